"""The bench's generator: its fixes are what the hub reads and believes; what servers send is taken apart as sent."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from dispatch.hub.frames import MSGPACK, ReportFix, framed
from geo.filters import FilterState, Verdict, check
from geo.fix import Fix
from geo.point import Point, distance_m
from loadtest.bench.frames import BINARY, TEXT, Tracks, Unframer, fix_frames, frame_bytes, masked, upgrade_request
from loadtest.bench.lanes import CENTRE

START_MS = 1_795_000_000_000


def unmasked(frame: bytes) -> bytes:
    """The payload of a short client frame."""
    assert frame[1] & 0x80, "a client masks"
    length, mask = frame[1] & 0x7F, frame[2:6]
    assert length < 126
    assert len(frame) == 6 + length
    return bytes(byte ^ mask[k % 4] for k, byte in enumerate(frame[6:]))


def run(runners: int, fixes: int, every_ms: int) -> list[list[ReportFix]]:
    """The fixes of each runner as the hub's own decoder reads them."""
    order = np.arange(runners * fixes, dtype=np.int64)
    at_ms = START_MS + (order // runners) * every_ms
    rows = fix_frames(Tracks(CENTRE, runners), order % runners, at_ms, order + 1)
    found: list[list[ReportFix]] = [[] for _ in range(runners)]
    for number, row in enumerate(rows):
        frame = MSGPACK.decode(unmasked(row.tobytes()))
        assert isinstance(frame, ReportFix)
        assert frame.at == at_ms[number]
        assert frame.seq == number + 1
        found[number % runners].append(frame)
    return found


def test_every_fix_is_one_masked_frame_of_the_same_length() -> None:
    order = np.arange(10, dtype=np.int64)
    rows = fix_frames(Tracks(CENTRE, 5), order % 5, START_MS + order, order)
    assert rows.shape == (10, frame_bytes())
    assert all(row[0] == 0x80 | BINARY for row in rows)


@pytest.mark.parametrize("every_ms", [100, 5_000])
def test_the_filters_believe_every_fix(every_ms: int) -> None:
    for fixes in run(20, 60, every_ms):
        state = FilterState()
        for one in fixes:
            fix = Fix(one.lat, one.lon, one.at, one.acc, one.spd, one.brg, one.bat, one.seq, one.at)
            assert check(state, fix, one.at) is Verdict.LIVE


def test_runners_move_at_the_speed_that_they_claim_and_stay_near() -> None:
    for fixes in run(20, 30, 1_000):
        way_m = sum(distance_m(Point(a.lat, a.lon), Point(b.lat, b.lon)) for a, b in pairwise(fixes))
        assert fixes[0].spd is not None
        assert way_m == pytest.approx(fixes[0].spd * 29, rel=0.05)
        assert all(distance_m(CENTRE, Point(one.lat, one.lon)) < 500 for one in fixes)


def test_two_runners_are_not_in_the_same_place() -> None:
    places = {(fixes[0].lat, fixes[0].lon) for fixes in run(200, 1, 100)}
    assert len(places) == 200


@pytest.mark.parametrize("length", [0, 5, 125, 126, 70_000])
def test_a_masked_frame_of_any_length_carries_its_payload(length: int) -> None:
    payload = random.Random(length).randbytes(length)
    frame = masked(TEXT, payload)
    head = 6 if length < 126 else 8 if length < 65_536 else 14
    mask = frame[head - 4 : head]
    assert bytes(byte ^ mask[k % 4] for k, byte in enumerate(frame[head:])) == payload


def test_server_frames_are_taken_apart_wherever_they_are_cut() -> None:
    luck = random.Random(3)
    payloads = [luck.randbytes(length) for length in (0, 1, 125, 126, 300, 65_535, 65_536, 7)]
    stream = b"".join(framed(BINARY, payload) for payload in payloads)
    for _ in range(20):
        reader, found, at = Unframer(), [], 0
        while at < len(stream):
            size = luck.choice((1, 2, 3, 9, 500, 40_000))
            found += list(reader.feed(stream[at : at + size]))
            at += size
        assert found == [(BINARY, payload) for payload in payloads]


def test_the_handshake_names_its_subprotocol() -> None:
    request = upgrade_request("/ws", "127.0.0.1:1", MSGPACK.subprotocol).decode()
    assert request.startswith("GET /ws HTTP/1.1\r\n")
    assert "Sec-WebSocket-Protocol: campus.v1.msgpack\r\n" in request
    assert "Protocol" not in upgrade_request("/pub/a", "127.0.0.1:1").decode()


def test_the_masks_do_not_change_what_is_said() -> None:
    body = {"t": "hello", "token": "x" * 300}
    frame = masked(BINARY, msgspec.msgpack.encode(body), b"\x00\x00\x00\x00")
    assert msgspec.msgpack.decode(frame[8:]) == body
