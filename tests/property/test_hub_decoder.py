"""Whatever bytes arrive, the parser and the decoders answer with a message or a named refusal, never otherwise."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.flow.track_runner import LiveTable
from dispatch.hub.frames import JSON, MSGPACK, BadFrame, Codec, ReportFix
from dispatch.wire.websocket import Parser, WireError, parse_close, unmask
from geo.filters import Reason, Verdict
from geo.fix import Fix

leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
values = st.recursive(
    leaves | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
kinds = st.sampled_from(["hello", "fix", "fixes", "follow", "view", "unfollow", "ping", "x"])
names = st.sampled_from([
    "at", "lat", "lon", "acc", "spd", "seq", "fixes", "topic", "offset", "epoch", "token", "re", "every_ms", "box", "z",
])  # fmt: skip
almost = st.builds(lambda kind, more: {"t": kind, **more}, kinds, st.dictionaries(names, values, max_size=6))


def answers(codec: Codec, raw: bytes) -> Any:
    try:
        return codec.decode(raw)
    except BadFrame as error:
        refused = error
    assert refused.code in ("malformed", "invalid_input")
    assert refused.message
    return None


def close_verdict(payload: bytes) -> int:
    try:
        return parse_close(payload)
    except WireError as error:
        return error.code


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    answers(JSON, raw)
    answers(MSGPACK, raw)


@settings(max_examples=300)
@given(almost | values)
def test_anything_that_is_nearly_a_frame(frame: Any) -> None:
    answers(MSGPACK, msgpack.packb(frame))
    answers(JSON, msgspec.json.encode(frame))


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_on_the_socket(pieces: list[bytes]) -> None:
    parser = Parser(max_bytes=64)
    for piece in pieces:
        for opcode, payload in parser.feed(piece):
            assert opcode in (1, 2, 8, 9, 10)
            assert len(payload) <= 125
            if opcode == 8:
                assert close_verdict(payload) >= 1000


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300))
def test_masking_twice_changes_nothing(mask: bytes, data: bytes) -> None:
    assert unmask(mask, unmask(mask, data)) == data


numbers = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, 90.0, 180.0])


@given(numbers, numbers, st.integers(0, 2**53 - 1), st.none() | numbers, st.none() | numbers)
def test_no_fix_breaks_the_table(lat: float, lon: float, at: int, acc: float | None, spd: float | None) -> None:
    frame = MSGPACK.decode(msgpack.packb({"t": "fix", "lat": lat, "lon": lon, "at": at, "acc": acc, "spd": spd}))
    assert isinstance(frame, ReportFix)
    table = LiveTable()
    verdict = table.hold("cmp", "acc").judge(
        Fix(frame.lat, frame.lon, frame.at, frame.acc, frame.spd, received_at_ms=10**9)
    )
    assert isinstance(verdict, Verdict | Reason)
    assert bool(table.flush().newest) is (verdict is Verdict.LIVE)
