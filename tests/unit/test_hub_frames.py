"""Frames become types or are refused by the name of the field at fault."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from dispatch.hub.frames import (
    JSON,
    MSGPACK,
    BadFrame,
    Codec,
    ErrorFrame,
    Follow,
    Hello,
    Ping,
    Positions,
    ReportFix,
    ReportFixes,
    Unfollow,
    framed,
)  # fmt: skip

FIX = {"t": "fix", "at": 5, "lat": 30, "lon": 114.5}
READING = {"at": 1, "lat": 2.0, "lon": 3.0}


def packed(codec: Codec, frame: Any) -> bytes:
    return json.dumps(frame).encode() if codec is JSON else msgpack.packb(frame)  # type: ignore[no-any-return]


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_every_kind_of_frame(codec: Codec) -> None:
    assert codec.decode(packed(codec, {"t": "hello", "token": "x"})) == Hello("x")
    assert codec.decode(packed(codec, FIX | {"acc": 1, "seq": 9})) == ReportFix(5, 30.0, 114.5, acc=1.0, seq=9)
    batch = codec.decode(packed(codec, {"t": "fixes", "fixes": [{"at": 1, "lat": 2.0, "lon": 3.0}]}))
    assert isinstance(batch, ReportFixes)
    assert batch.fixes[0].lat == 2.0
    assert codec.decode(packed(codec, {"t": "follow", "topic": "order:1", "re": 2})) == Follow("order:1", 2)
    assert codec.decode(packed(codec, {"t": "unfollow", "topic": "order:1"})) == Unfollow("order:1")
    assert codec.decode(packed(codec, {"t": "ping"})) == Ping()


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (FIX | {"lat": "30"}, "lat"),
        (FIX | {"lat": None}, "lat"),
        (FIX | {"at": 1.5}, "at"),
        (FIX | {"at": -1}, "at"),
        (FIX | {"at": 2**60}, "at"),
        (FIX | {"colour": 1}, "colour"),
        ({"t": "fix", "at": 1, "lat": 2.0}, "lon"),
        ({"t": "fixes", "fixes": []}, "fixes"),
        ({"t": "fixes", "fixes": [READING] * 241}, "fixes"),
        ({"t": "fixes", "fixes": [READING, READING | {"lat": True}]}, "fixes[1].lat"),
        ({"t": "hello", "token": 5}, "token"),
        ({"t": "hello", "token": "x" * 5_000}, "token"),
        ({"t": "hello", "token": "x", "datum": "bd09"}, "datum"),
        ({"t": "follow", "topic": ""}, "topic"),
        ({"t": "follow", "topic": "order:1", "offset": -1}, "offset"),
        ({"t": "dance"}, "t"),
        ({"topic": "order:1"}, "t"),
        ([1, 2], None),
        ("fix", None),
        (7, None),
        (None, None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(codec: Codec, frame: Any, field: str | None) -> None:
    with pytest.raises(BadFrame) as refused:
        codec.decode(packed(codec, frame))
    assert (refused.value.code, refused.value.field) == ("invalid_input", field)


@pytest.mark.parametrize(
    ("codec", "raw"),
    [
        (JSON, b""), (JSON, b"{"), (JSON, b"{} x"), (JSON, b"\xff"), (JSON, b'{"t":"hello","token":"\xff"}'),
        (JSON, b'{"t":"fix","at":1,"lat":NaN,"lon":0}'), (JSON, b"[" * 60_000),
        (MSGPACK, b""), (MSGPACK, b"\x81"), (MSGPACK, b"\xc1"), (MSGPACK, b"\x91" * 60_000),
        (MSGPACK, b"\x82\xa1t\xa5hello\xa5token\xa2\xff\xff"),
    ],
)  # fmt: skip
def test_what_is_no_frame_at_all(codec: Codec, raw: bytes) -> None:
    with pytest.raises(BadFrame) as refused:
        codec.decode(raw)
    assert refused.value.code in ("malformed", "invalid_input")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_header_says_the_length(size: int) -> None:
    raw = framed(2, bytes(size))
    head = {125: 2, 0: 2, 126: 4, 65_535: 4, 65_536: 10}[size]
    assert raw[0] == 0x82
    assert len(raw) == head + size
    if head > 2:
        assert int.from_bytes(raw[2:head], "big") == size


def test_what_has_no_value_is_left_out() -> None:
    assert json.loads(JSON.encode(ErrorFrame("a", "b"))[2:]) == {"t": "error", "code": "a", "message": "b"}
    row = ("acc_1", 1.0, 2.0, 3, None, None, None, 4)
    assert msgpack.unpackb(MSGPACK.encode(Positions("console:c", [row]))[2:])["p"] == [list(row)]
