"""What the server says, decoded straight into types; kinds that this client does not know are left out."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

Row: TypeAlias = tuple[str, float, float, int, Any, Any, Any, int]


class Welcome(Struct, tag_field="t", tag="welcome"):
    account: str
    now_ms: int
    renew_ms: int


class Followed(Struct, tag_field="t", tag="followed"):
    topic: str
    recovered: bool
    offset: int
    epoch: str
    re: int | None = None


class SnapshotFrame(Struct, tag_field="t", tag="snapshot"):
    topic: str
    data: Raw


class Event(Struct, tag_field="t", tag="event"):
    topic: str
    offset: int
    id: str
    kind: str
    at: int


class Positions(Struct, tag_field="t", tag="pos"):
    topic: str
    p: list[Row]


class Gone(Struct, tag_field="t", tag="gone"):
    topic: str
    runners: list[str]


class Closed(Struct, tag_field="t", tag="closed"):
    topic: str
    code: str


class Ack(Struct, tag_field="t", tag="ack"):
    seq: int
    accepted: int
    refused: int


class Refused(Struct, tag_field="t", tag="refused"):
    code: str
    at: int
    seq: int | None = None


class ErrorFrame(Struct, tag_field="t", tag="error"):
    code: str
    topic: str | None = None
    re: int | None = None


Frame: TypeAlias = Welcome | Followed | SnapshotFrame | Event | Positions | Gone | Closed | Ack | Refused | ErrorFrame

_frames: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_kinds = msgspec.msgpack.Decoder(dict[str, Any])
KNOWN = frozenset(
    ("welcome", "followed", "snapshot", "event", "pos", "gone", "closed", "ack", "refused", "error")
)  # fmt: skip


def decoded(payload: bytes) -> Frame | None:
    """None for a kind that is not known here; raises msgspec.DecodeError for what is no frame of the protocol."""
    try:
        return _frames.decode(payload)
    except msgspec.ValidationError:
        if _kinds.decode(payload).get("t") in KNOWN:
            raise
        return None


class _Versioned(Struct):
    id: str
    version: int


class _Item(Struct):
    order_id: str
    version: int


class _Shows(Struct):
    """A snapshot of any topic: an order is itself, a console and a runner list orders, a hall lists items."""

    id: str = ""
    version: int = 0
    orders: list[_Versioned] = []
    items: list[_Item] = []


_decode_shows = msgspec.msgpack.Decoder(_Shows).decode


def versions_in(data: Raw) -> dict[str, int]:
    """The version of each order that a snapshot shows."""
    shows = _decode_shows(data)
    if shows.id:
        return {shows.id: shows.version}
    return {one.id: one.version for one in shows.orders} | {one.order_id: one.version for one in shows.items}
