"""The AsyncAPI document of the hub, built from the same types that decode and encode its frames."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dispatch.model.event import EventKind

from .codes import CloseCode, may_return
from .frames import CODECS, ClientFrame, ServerFrame

ADDRESS = "/ws"
_REF = "#/components/schemas/{name}"
_CHANNEL = "#/channels/hub"
_DESCRIPTION = (
    "One WebSocket carries everything that is live. Its subprotocol says how frames are written: `campus.v1.json` "
    "(the default) as JSON in text frames, `campus.v1.msgpack` as msgpack maps with the same keys in binary frames.\n\n"
    "The first frame is `hello` with a token from `POST /api/v1/auth/socket-token`. A client ignores kinds of "
    "frames and fields that it does not know. Times that end in `_ms` and `at` are Unix milliseconds of business "
    "time, except `every_ms`, `flush_ms`, `report_every_ms` and `renew_ms`, which are real milliseconds. Close "
    "codes 4000 to 4499 mean come back (with back-off and jitter), 4500 to 4999 do not."
)

#: What a client may do: the frames, who may send them, and what answers (each may also be answered by ``error``).
_REQUESTS: tuple[tuple[str, str, Sequence[str], Sequence[str]], ...] = (
    ("sayHello", "Anybody with a token of this server; first of all, and again to go on for longer.",
     ["hello"], ["welcome"]),
    ("reportFixes", "Runners. Answers only where `hello` asked for `acks` or a fix is not believed.",
     ["fix", "fixes"], ["ack", "refused"]),
    ("follow", "Whoever may see the topic.", ["follow"], ["followed", "snapshot", "pos", "event"]),
    ("changeView", "Whoever follows the topic.", ["view"], ["viewed"]),
    ("unfollow", "Anybody.", ["unfollow"], ["unfollowed"]),
    ("ask", "Anybody.", ["ping"], ["pong"]),
)  # fmt: skip

#: What comes unasked.
_NEWS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("tellHowOftenToReport", "To runners.", ["report"]),
    ("tellEvents", "To the followers of a topic: every event, in order, none twice.", ["event"]),
    ("tellPositions", "To the followers of a topic: the newest of each runner.", ["pos", "gone"]),
    ("startAfresh", "To the followers of a topic whose past cannot be told.", ["followed", "snapshot"]),
    ("endTopics", "To the followers of a topic that has ended for them.", ["closed"]),
    ("complain", "To anybody whose frame was not understood.", ["error"]),
)

#: What a field means, wherever it stands.
_FIELDS = {
    "acc": "accuracy in metres",
    "accepted": "fixes that were believed since the last ack",
    "account": "whom the token speaks for",
    "acks": "whether the client wants to know what becomes of its fixes",
    "at": "when it was true, in Unix milliseconds of business time",
    "bat": "battery, from 0 to 1",
    "box": "part of the map, [south, west, north, east] in the connection's datum; for a console only",
    "brg": "bearing in degrees",
    "campus": "the campus that the account belongs to",
    "code": "why, in one word that does not change",
    "connection": "the server's name for this connection",
    "data": "what the kind of topic or event brings; positions in it are in the connection's datum",
    "datum": "of every coordinate on this connection",
    "distance_m": "report sooner after having moved so far",
    "epoch": "within which offsets count; a new one has begun when the past was lost",
    "every_ms": "real milliseconds from one to the next",
    "field": "the field at fault",
    "fixes": "readings in any order; the newest goes live at once",
    "flush_ms": "real milliseconds from one flush of the server to the next",
    "id": "of the event; published once",
    "kind": "what became true; more kinds may come",
    "lat": "degrees north",
    "lon": "degrees east",
    "message": "why, in words for a developer",
    "now_ms": "what time it is, in Unix milliseconds of business time",
    "offset": "the number of an event within its epoch",
    "p": "rows of runner, lat, lon, fixed_at_ms, bearing, speed, accuracy, received_at_ms",
    "re": "any number of the client's; the answer repeats it",
    "recovered": "whether exactly the missed events follow; else a snapshot does",
    "refused": "fixes that were not believed since the last ack",
    "renew_ms": "real milliseconds until a fresh hello is due",
    "report_every_ms": "real milliseconds between a runner's reports, until `report` says otherwise",
    "roles": "what the account may be here",
    "runners": "account ids",
    "seq": "a number of the client's; the highest that was handled comes back",
    "spd": "speed in m/s",
    "t": "the kind of frame",
    "time_scale": "how many times as fast as real time business time runs",
    "token": "from POST /api/v1/auth/socket-token",
    "topic": "order:, runner:, hall: or console: and an id",
}


def build(version: str) -> dict[str, Any]:
    """The whole document, as plain values."""
    frames = {_tag_of(frame): frame for union in (ClientFrame, ServerFrame) for frame in typing.get_args(union)}
    _, schemas = msgspec.json.schema_components([*frames.values()], ref_template=_REF)
    spoken = {frame.__name__ for frame in typing.get_args(ServerFrame)}
    components = {name: _plain(schema, is_ours=name in spoken) for name, schema in schemas.items()}
    for schema in components.values():
        for name, field in schema["properties"].items():
            field["description"] = _FIELDS[name]
    components["EventFrame"]["properties"]["kind"]["examples"] = [str(kind) for kind in EventKind]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Campus errands: the hub", "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": "{host}",
                "protocol": "wss",
                "description": "The server's own host; `ws` where it has no TLS.",
                "variables": {"host": {"default": "localhost:8888"}},
            }
        },
        "channels": {"hub": _channel(frames)},
        "operations": dict(_operations()),
        "components": {
            "schemas": components,
            "messages": {tag: _message(tag, frame) for tag, frame in frames.items()},
        },
    }


def _channel(tags: Iterable[str]) -> dict[str, Any]:
    codes = [
        {"code": int(code), "reason": code.reason, "come_back": may_return(code)} for code in CloseCode if code >= 4000
    ]
    headers = {"type": "object", "properties": {"Sec-WebSocket-Protocol": {"type": "string", "enum": [*CODECS]}}}
    return {
        "address": ADDRESS,
        "title": "The hub",
        "servers": [{"$ref": "#/servers/here"}],
        "messages": {tag: {"$ref": f"#/components/messages/{tag}"} for tag in tags},
        "bindings": {"ws": {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}},
        "x-close-codes": codes,
    }


def _operations() -> Iterable[tuple[str, dict[str, Any]]]:
    for name, who, asked, answers in _REQUESTS:
        reply = {"channel": {"$ref": _CHANNEL}, "messages": _messages([*answers, "error"])}
        yield name, _operation("receive", who, asked) | {"reply": reply}
    for name, whom, told in _NEWS:
        yield name, _operation("send", whom, told)


def _operation(action: str, description: str, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": _CHANNEL},
        "description": description,
        "messages": _messages(tags),
    }


def _messages(tags: Sequence[str]) -> list[dict[str, str]]:
    return [{"$ref": f"{_CHANNEL}/messages/{tag}"} for tag in tags]


def _message(tag: str, frame: type) -> dict[str, Any]:
    message = {"name": tag, "title": tag, "payload": {"$ref": _REF.format(name=frame.__name__)}}
    if frame.__doc__:
        message["summary"] = inspect.cleandoc(frame.__doc__).split("\n\n")[0].replace("``", "`")
    return message


def _tag_of(frame: type) -> str:
    return str(typing.cast(msgspec.inspect.StructType, msgspec.inspect.type_info(frame)).tag)


def _plain(schema: Any, *, is_ours: bool) -> Any:
    """The schema in the words of draft 7, which AsyncAPI builds on. What the server sends has no empty fields."""
    if isinstance(schema, list):
        return [_plain(part, is_ours=is_ours) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(part, is_ours=is_ours) for name, part in schema.items()}
    if "prefixItems" in plain:
        plain["items"], plain["additionalItems"] = plain.pop("prefixItems"), False
    if "description" in plain and isinstance(plain["description"], str):
        plain["description"] = inspect.cleandoc(plain["description"]).replace("``", "`")
    if is_ours and plain.get("default", 0) is None:
        (kept,) = [part for part in plain["anyOf"] if part != {"type": "null"}]
        return kept
    return plain
