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
    ReportEvery,
    ReportFix,
    ReportFixes,
    Unfollow,
    View,
    Viewed,
    framed,
)  # fmt: skip

FIX = {"t": "fix", "at": 5, "lat": 30, "lon": 114.5}
READING = {"at": 1, "lat": 2.0, "lon": 3.0}
WRONG_VIEWS: list[tuple[dict[str, Any], str]] = [
    ({"every_ms": 49}, "every_ms"),
    ({"every_ms": 60_001}, "every_ms"),
    ({"every_ms": 250.5}, "every_ms"),
    ({"every_ms": True}, "every_ms"),
    ({"box": [30, 114, 31]}, "box"),
    ({"box": [30, 114, 31, 115, 0]}, "box"),
    ({"box": {"south": 30}}, "box"),
    ({"box": [30, 114, "31", 115]}, "box[2]"),
    ({"box": [-90.5, 114, 31, 115]}, "box[0]"),
    ({"box": [30, 114, 31, 180.5]}, "box[3]"),
    ({"box": [31, 114, 30, 115]}, "box"),
    ({"box": [30, 179, 31, -179]}, "box"),
]


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
    view = {"topic": "console:1", "every_ms": 250, "box": [30, 114, 31.5, 114]}
    assert codec.decode(packed(codec, view | {"t": "view", "re": 3})) == View("console:1", 3, 250, (30, 114, 31.5, 114))
    followed = codec.decode(packed(codec, view | {"t": "follow"}))
    assert followed == Follow("console:1", every_ms=250, box=(30.0, 114.0, 31.5, 114.0))
    assert codec.decode(packed(codec, {"t": "view", "topic": "console:1"})) == View("console:1")
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
        *[
            ({"t": kind, "topic": "console:1"} | wrong, field)
            for kind in ("follow", "view")
            for wrong, field in WRONG_VIEWS
        ],
        ({"t": "view"}, "topic"),
        ({"t": "view", "topic": "console:1", "offset": 1}, "offset"),
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


def test_a_box_says_what_is_wrong_with_it() -> None:
    for box, why in (([31, 114, 30, 115], "north of its north"), ([30, 179, 31, -179], "antimeridian")):
        with pytest.raises(BadFrame, match=why):
            JSON.decode(packed(JSON, {"t": "view", "topic": "console:1", "box": box}))
    for number in (float("nan"), float("inf"), float("-inf")):
        for place in range(4):
            broken = [30.0, 114.0, 31.0, 115.0]
            broken[place] = number
            with pytest.raises(BadFrame) as refused:
                MSGPACK.decode(packed(MSGPACK, {"t": "view", "topic": "console:1", "box": broken}))
            assert refused.value.field == f"box[{place}]"


def test_what_the_server_says_of_rhythms() -> None:
    assert json.loads(JSON.encode(Viewed("console:1", 250, 4))[2:]) == {
        "t": "viewed", "topic": "console:1", "every_ms": 250, "re": 4,
    }  # fmt: skip
    assert msgpack.unpackb(MSGPACK.encode(ReportEvery(10_000, 50))[2:]) == {
        "t": "report", "every_ms": 10_000, "distance_m": 50,
    }  # fmt: skip
