"""The frames of the protocol and how they become bytes: JSON in text frames, msgpack in binary frames.

A frame is decoded once, straight into its type, or refused with the name of the field at fault. What goes out is
encoded with its WebSocket header, so that a frame for a thousand watchers is built once and written as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

MAX_FIXES = 240
_MAX_SAFE = 2**53 - 1  # the largest integer that every client language can hold

Re: TypeAlias = Annotated[int, Meta(ge=0, le=_MAX_SAFE)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=_MAX_SAFE)]
TopicName: TypeAlias = Annotated[str, Meta(min_length=3, max_length=80)]
#: how often a watcher wants to hear of positions, in real time
EveryMs: TypeAlias = Annotated[int, Meta(ge=50, le=60_000)]
Latitude: TypeAlias = Annotated[float, Meta(ge=-90, le=90)]
Longitude: TypeAlias = Annotated[float, Meta(ge=-180, le=180)]
#: south, west, north, east in the connection's datum
Box: TypeAlias = tuple[Latitude, Longitude, Latitude, Longitude]

#: runner id, lat, lon, fixed_at_ms, bearing, speed, accuracy, received_at_ms
PositionRow: TypeAlias = tuple[str, float, float, int, float | None, float | None, float | None, int]


# --- from clients


class Hello(Struct, tag_field="t", tag="hello", forbid_unknown_fields=True):
    """The first frame, and again to extend the connection with a newer token of the same account."""

    token: Annotated[str, Meta(max_length=4096)]
    re: Re | None = None
    datum: Literal["wgs84", "gcj02"] = "wgs84"
    acks: bool = False


class ReportFix(Struct, tag_field="t", tag="fix", forbid_unknown_fields=True, gc=False):
    """One reading of a runner's device; ``at`` is when it was taken."""

    at: Milliseconds
    lat: float
    lon: float
    acc: float | None = None
    spd: float | None = None
    brg: float | None = None
    bat: float | None = None
    seq: Re | None = None


class Reading(Struct, forbid_unknown_fields=True, gc=False):
    """A reading inside a batch."""

    at: Milliseconds
    lat: float
    lon: float
    acc: float | None = None
    spd: float | None = None
    brg: float | None = None
    bat: float | None = None
    seq: Re | None = None


class ReportFixes(Struct, tag_field="t", tag="fixes", forbid_unknown_fields=True):
    """What a device gathered while it had no connection, in any order."""

    fixes: Annotated[list[Reading], Meta(min_length=1, max_length=MAX_FIXES)]
    seq: Re | None = None


class Follow(Struct, tag_field="t", tag="follow", forbid_unknown_fields=True):
    """Follow a topic; with ``offset`` and ``epoch`` also what was missed since. ``every_ms`` and ``box``: see View."""

    topic: TopicName
    re: Re | None = None
    offset: Re | None = None
    epoch: Annotated[str, Meta(max_length=32)] | None = None
    every_ms: EveryMs | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.box is not None:
            _require_box(self.box)


class View(Struct, tag_field="t", tag="view", forbid_unknown_fields=True):
    """From now on the positions of a followed topic come so often, and only those within the box.

    It replaces the view as a whole: what is left out is again as if it had never been asked for.
    """

    topic: TopicName
    re: Re | None = None
    every_ms: EveryMs | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.box is not None:
            _require_box(self.box)


def _require_box(box: Box) -> None:
    """What the decoder turns into a refusal of the field."""
    south, west, north, east = box
    if not south <= north:
        raise ValueError(f"{_WRONG}box`: its south lies north of its north")
    if not west <= east:
        raise ValueError(f"{_WRONG}box`: its west lies east of its east; a box does not cross the antimeridian")


_WRONG = "Wrong field `"


class Unfollow(Struct, tag_field="t", tag="unfollow", forbid_unknown_fields=True):
    """Hear no more of a topic."""

    topic: TopicName
    re: Re | None = None


class Ping(Struct, tag_field="t", tag="ping", forbid_unknown_fields=True):
    """Is anybody there, and what time is it? For clients that cannot send WebSocket pings."""

    re: Re | None = None


ClientFrame: TypeAlias = Hello | ReportFix | ReportFixes | Follow | View | Unfollow | Ping


# --- to clients


class _Answer(Struct, tag_field="t", omit_defaults=True):
    pass


class Welcome(_Answer, tag="welcome"):
    """Who the token speaks for, what time it is, and the rhythms of this server."""

    account: str
    campus: str
    roles: list[str]
    connection: str
    now_ms: int
    time_scale: float
    report_every_ms: int  # how often a runner should report, in real time
    flush_ms: int
    renew_ms: int  # real time until a fresh hello is due on this connection
    re: int | None = None


class ReportEvery(_Answer, tag="report"):
    """To a runner: report so often (in real time), and sooner after having moved so far."""

    every_ms: int
    distance_m: int


class Ack(_Answer, tag="ack"):
    """Fixes handled since the last one; ``seq`` is the highest among them."""

    seq: int
    accepted: int
    refused: int


class Refused(_Answer, tag="refused"):
    """One fix was not believed; ``at`` is its own time."""

    code: str
    at: int
    seq: int | None = None


class Followed(_Answer, tag="followed"):
    """The topic is followed from here on: ``recovered`` tells whether exactly the missed events come next."""

    topic: str
    recovered: bool
    offset: int
    epoch: str
    re: int | None = None


class Viewed(_Answer, tag="viewed"):
    """The view is as asked for from the next flush on; ``every_ms`` is the rhythm that holds."""

    topic: str
    every_ms: int
    re: int | None = None


class Unfollowed(_Answer, tag="unfollowed"):
    """The topic is not followed any more."""

    topic: str
    re: int | None = None


class Snapshot(_Answer, tag="snapshot"):
    """The topic's subject as it is now."""

    topic: str
    data: Any


class EventFrame(_Answer, tag="event"):
    """Something became true; a topic's events come in the order of ``offset``, without a hole."""

    topic: str
    offset: int
    id: str
    kind: str
    at: int
    data: Any


class Positions(_Answer, tag="pos"):
    """The newest fix of each runner of the topic that moved."""

    topic: str
    p: Sequence[PositionRow]


class Gone(_Answer, tag="gone"):
    """Take these runners off the map."""

    topic: str
    runners: Sequence[str]


class Closed(_Answer, tag="closed"):
    """The topic has ended for this follower."""

    topic: str
    code: str


class ErrorFrame(_Answer, tag="error"):
    """A frame was refused; the connection goes on."""

    code: str
    message: str
    re: int | None = None
    field: str | None = None
    topic: str | None = None


class Pong(_Answer, tag="pong"):
    """Somebody is there, and this is the time."""

    now_ms: int
    re: int | None = None


ServerFrame: TypeAlias = (
    Welcome
    | ReportEvery
    | Ack
    | Refused
    | Followed
    | Viewed
    | Unfollowed
    | Snapshot
    | EventFrame
    | Positions
    | Gone
    | Closed
    | ErrorFrame
    | Pong
)

TEXT, BINARY = 0x1, 0x2


def framed(opcode: int, payload: bytes) -> bytes:
    """A whole unmasked WebSocket frame, as a server sends it."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65_536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


class BadFrame(ValueError):
    """What a client sent is no frame of the protocol; ``field`` names the part at fault."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


class Codec:
    """One way of writing frames, chosen by the WebSocket subprotocol."""

    __slots__ = ("_encode", "decode_raw", "name", "opcode", "subprotocol")

    faults = (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
    """What ``decode_raw`` raises for bytes that are no frame; ``explain`` puts it into words."""

    def __init__(
        self,
        name: str,
        opcode: int,
        decode: Callable[[bytes], ClientFrame],
        encode: Callable[[Any], bytes],
    ) -> None:
        self.name = name
        self.subprotocol = f"campus.v1.{name}"
        self.opcode = opcode
        #: as ``decode``, without a call in between
        self.decode_raw = decode
        self._encode = encode

    def decode(self, payload: bytes) -> ClientFrame:
        """Raises BadFrame."""
        try:
            return self.decode_raw(payload)
        except self.faults as error:
            raise self.explain(error) from None

    def explain(self, error: Exception) -> BadFrame:
        """One of ``faults`` as what the client is told."""
        if isinstance(error, msgspec.ValidationError):
            return BadFrame("invalid_input", *_explain(str(error)))
        return BadFrame("malformed", f"this is not {self.name}: {error}")

    def encode(self, frame: ServerFrame) -> bytes:
        """The frame's bytes, WebSocket header included."""
        return framed(self.opcode, self._encode(frame))


def _explain(message: str) -> tuple[str, str | None]:
    """Msgspec's words and, apart from them, the field: ``Expected `float`, got `str` - at `$.fixes[3].lat```."""
    text, mark, path = message.rpartition(" - at `$")
    if mark:
        return text, path.rstrip("`").lstrip(".") or None
    for start in ("Object contains unknown field `", "Object missing required field `", _WRONG):
        if message.startswith(start):
            return message, message[len(start) :].partition("`")[0]
    return message, None


JSON = Codec("json", TEXT, msgspec.json.Decoder(ClientFrame).decode, msgspec.json.Encoder().encode)
MSGPACK = Codec("msgpack", BINARY, msgspec.msgpack.Decoder(ClientFrame).decode, msgspec.msgpack.Encoder().encode)
CODECS = {codec.subprotocol: codec for codec in (MSGPACK, JSON)}
