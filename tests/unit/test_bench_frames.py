"""The bench's generator: its fixes are what the hub reads and believes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dispatch.hub.frames import MSGPACK, ReportFix
from geo.filters import FilterState, Verdict, check
from geo.fix import Fix
from geo.point import Point, distance_m
from loadtest.bench.frames import Tracks, fix_frames, frame_bytes
from loadtest.bench.lanes import CENTRE
from loadtest.websocket_bytes import BINARY

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
