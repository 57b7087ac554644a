"""The AsyncAPI document is one by the official schema, and says of each frame what the decoder does."""

from __future__ import annotations

import copy
import functools
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.hub.asyncapi import build
from dispatch.hub.codes import CloseCode
from dispatch.hub.frames import JSON, BadFrame, ClientFrame, ServerFrame

DOCUMENT = build("1.2.3")
OFFICIAL = Path(__file__).resolve().parents[2] / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
CLIENT_TAGS = ["hello", "fix", "fixes", "follow", "view", "unfollow", "ping"]


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Draft7Validator:
    assert OFFICIAL.is_file(), "the official schema of AsyncAPI is missing: run `npm ci`"
    return jsonschema_rs.Draft7Validator(json.loads(OFFICIAL.read_text()))


def refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from refs(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from refs(inner)


def at(pointer: str) -> Any:
    place: Any = DOCUMENT
    for name in pointer.removeprefix("#/").split("/"):
        place = place[name]
    return place


@functools.cache
def schema_of(tag: str) -> jsonschema_rs.Draft7Validator:
    """What checks a frame of this kind."""
    payload = DOCUMENT["components"]["messages"][tag]["payload"]
    return jsonschema_rs.Draft7Validator({**payload, "components": DOCUMENT["components"]})


def test_it_is_an_asyncapi_document(official: jsonschema_rs.Draft7Validator) -> None:
    assert [str(error) for error in official.iter_errors(DOCUMENT)] == []
    for path, wrong in (
        (("operations", "follow", "action"), "fly"),
        (("components", "schemas", "Hello", "type"), "fly"),
        (("channels", "hub", "bindings", "ws", "method"), "PUT"),
        (("asyncapi",), "2.0.0"),
    ):
        broken: Any = copy.deepcopy(DOCUMENT)
        place = broken
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = wrong
        assert not official.is_valid(broken), path


def test_every_reference_leads_somewhere() -> None:
    found = set(refs(DOCUMENT))
    assert len(found) > 40
    for pointer in found:
        assert at(pointer), pointer


def test_every_frame_is_a_message_of_the_channel_and_of_an_operation_that_says_who() -> None:
    frames = [*typing.get_args(ClientFrame), *typing.get_args(ServerFrame)]
    messages = DOCUMENT["components"]["messages"]
    assert len(messages) == len(frames) and [*DOCUMENT["channels"]["hub"]["messages"]] == [*messages]
    assert all(message["summary"] for message in messages.values())
    operations = DOCUMENT["operations"].values()
    said = {
        action: {
            ref.rpartition("/")[2] for one in operations if one["action"] == action for ref in refs(one["messages"])
        }
        for action in ("receive", "send")
    }
    answers = {ref.rpartition("/")[2] for one in operations for ref in refs(one.get("reply", {}).get("messages"))}
    assert said["receive"] == set(CLIENT_TAGS)
    assert said["send"] | answers == set(messages) - set(CLIENT_TAGS)
    assert all(one["description"] for one in operations)
    for tag, message in messages.items():
        properties = at(message["payload"]["$ref"])["properties"]
        assert properties["t"]["enum"] == [tag] and all(field["description"] for field in properties.values())


def test_close_codes_carry_their_verdict() -> None:
    codes = {one["code"]: one for one in DOCUMENT["channels"]["hub"]["x-close-codes"]}
    assert [*codes] == [int(code) for code in CloseCode if code >= 4000]
    assert all(one["come_back"] is (code < 4500) for code, one in codes.items())


def test_what_the_server_sends_leaves_out_what_has_no_value() -> None:
    welcome = DOCUMENT["components"]["schemas"]["Welcome"]
    assert welcome["properties"]["re"]["type"] == "integer" and "re" not in welcome["required"]
    row = DOCUMENT["components"]["schemas"]["Positions"]["properties"]["p"]["items"]
    assert len(row["items"]) == 8 and row["additionalItems"] is False
    assert schema_of("pos").is_valid({"t": "pos", "topic": "x", "p": [["a", 1.0, 2.0, 3, None, 1.5, None, 4]]})
    assert not schema_of("pos").is_valid({"t": "pos", "topic": "x", "p": [["a", 1.0, 2.0, 3, None, 1.5, None]]})


# To a schema 1.0 is an integer, to the decoder it is none.
values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**6)
    | st.sampled_from([2**53 - 1, 2**53, -1, 50, 49, 60_000, 60_001])
    | st.floats(-200, 200).filter(lambda number: number % 1 != 0)
    | st.text(max_size=90) | st.sampled_from(["wgs84", "gcj02"]),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.sampled_from(["at", "lat", "lon", "x"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
good: dict[str, st.SearchStrategy[Any]] = {
    "token": st.text(max_size=8), "at": st.integers(0, 2**53 - 1),
    "lat": st.floats(-90, 90), "lon": st.floats(-180, 180), "topic": st.just("order:ord_1"),
    "fixes": st.just([{"at": 1, "lat": 2.5, "lon": 3.5}]),
}  # fmt: skip
FIELDS = {tag: [*at(DOCUMENT["components"]["messages"][tag]["payload"]["$ref"])["properties"]] for tag in CLIENT_TAGS}


@st.composite
def near_frames(draw: st.DrawFn) -> dict[str, Any]:
    """Frames that are right in most of their fields."""
    tag = draw(st.sampled_from(CLIENT_TAGS))
    frame: dict[str, Any] = {"t": tag}
    for name in FIELDS[tag][1:]:
        if name in good and draw(st.integers(0, 5)):
            frame[name] = draw(good[name])
        elif draw(st.booleans()):
            frame[name] = draw(values)
    if draw(st.integers(0, 9)) == 0:
        frame[draw(st.text(max_size=3))] = draw(values)
    return frame


def refusal_of(frame: dict[str, Any]) -> str:
    try:
        JSON.decode(json.dumps(frame).encode())
    except BadFrame as error:
        return error.message
    return ""


@settings(max_examples=500)
@given(near_frames())
def test_the_schema_and_the_decoder_agree(frame: dict[str, Any]) -> None:
    refused = refusal_of(frame)
    if refused.startswith("Wrong field `box`"):
        return  # a box upside down: the one thing that a schema cannot say
    assert (frame["t"] in CLIENT_TAGS and schema_of(frame["t"]).is_valid(frame)) is (not refused), refused
