"""Recorded tracks cut into stretches between stops: where somebody went straight from one place to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from geo.filters import FilterState, Verdict, check
from geo.fix import Fix
from geo.point import Point, line_length_m, near_distance_m
from geo.track import simplify_points

from .tracks import BOX, PersonDay

#: Whoever stays within so many metres for so long has stopped there.
STAY_M, STAY_S = 30.0, 90.0
#: No reading for so long: either the device slept, because nobody moved, or it lost sight and the way is unknown.
GAP_S, SLEPT_M = 60.0, 100.0
#: A track that ends so near the edge of the box has left it.
EDGE_DEG = 0.001
#: What counts as an errand's way.
LEAST_STRAIGHT_M, LEAST_S, MOST_S = 80.0, 60.0, 3_600.0
SLOWEST_MPS, FASTEST_MPS = 0.5, 6.0
MOST_DETOUR = 3.0
#: Who is faster than this for a sixth of the way is riding: walkers are not, riders are when nothing stops them.
RIDING_MPS, RIDING_SHARE = 2.4, 5 / 6
_BEAT_S = 20.0
_SMOOTH_M = 5.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A way from stop to stop; ``mode``: walk | e_bike."""

    person: str
    day: str
    mode: str
    fixes: tuple[Fix, ...]
    path_m: float

    @property
    def end(self) -> Point:
        return self.fixes[-1].point

    @property
    def seconds(self) -> float:
        return (self.fixes[-1].fixed_at_ms - self.fixes[0].fixed_at_ms) / 1000

    @property
    def straight_m(self) -> float:
        return _metres(self.fixes[0], self.fixes[-1])

    def hour(self, offset_h: int) -> int:
        """Of the local day, at the beginning."""
        return (datetime.fromtimestamp(self.fixes[0].fixed_at_ms / 1000, UTC).hour + offset_h) % 24


def stretches(day: PersonDay, box: Sequence[float] = BOX) -> Iterator[Stretch]:
    """The ways of one person-day that begin and end at a stop."""
    person, _, date = day.name.partition(" ")
    for part, is_from_stop, is_to_stop in _parts(_believed(day), box):
        stays = _stays(part)
        if is_from_stop and not (stays and stays[0][0] == 0):
            stays.insert(0, (0, 0))
        if is_to_stop and not (stays and stays[-1][1] == len(part) - 1):
            stays.append((len(part) - 1, len(part) - 1))
        for (_, begin), (end, _) in pairwise(stays):
            if (found := _stretch(person, date, part[begin : end + 1])) is not None:
                yield found


def _believed(day: PersonDay) -> list[Fix]:
    state, found = FilterState(), []
    for reading in day.readings:
        fix = Fix(reading.lat, reading.lon, reading.at_ms)
        if check(state, fix, reading.at_ms) is Verdict.LIVE:
            found.append(fix)
    return found


def _parts(fixes: Sequence[Fix], box: Sequence[float]) -> Iterator[tuple[list[Fix], bool, bool]]:
    """The track between its gaps, and whether each end is a stop."""
    part: list[Fix] = []
    is_from_stop = bool(fixes) and not _is_at_edge(fixes[0], box)
    for fix in fixes:
        if part and fix.fixed_at_ms - part[-1].fixed_at_ms > GAP_S * 1000:
            has_slept = _metres(part[-1], fix) <= SLEPT_M
            yield part, is_from_stop, has_slept
            part, is_from_stop = [], has_slept
        part.append(fix)
    if part:
        yield part, is_from_stop, not _is_at_edge(part[-1], box)


def _is_at_edge(fix: Fix, box: Sequence[float]) -> bool:
    south, west, north, east = box
    return min(fix.lat - south, north - fix.lat, fix.lon - west, east - fix.lon) < EDGE_DEG


def _stays(part: Sequence[Fix]) -> list[tuple[int, int]]:
    """First and last reading of each stay within the part."""
    found, first = [], 0
    while first < len(part) - 1:
        last = first
        while last + 1 < len(part) and _metres(part[first], part[last + 1]) <= STAY_M:
            last += 1
        if part[last].fixed_at_ms - part[first].fixed_at_ms >= STAY_S * 1000:
            found.append((first, last))
            first = last + 1
        else:
            first += 1
    return found


def _stretch(person: str, date: str, fixes: Sequence[Fix]) -> Stretch | None:
    if len(fixes) < 3:
        return None
    path_m = line_length_m(simplify_points([fix.point for fix in fixes], _SMOOTH_M))
    made = Stretch(person, date, _mode(fixes), tuple(fixes), path_m)
    is_way = (
        made.straight_m >= LEAST_STRAIGHT_M
        and LEAST_S <= made.seconds <= MOST_S
        and SLOWEST_MPS <= path_m / made.seconds <= FASTEST_MPS
        and path_m <= MOST_DETOUR * made.straight_m
    )
    return made if is_way else None


def _mode(fixes: Sequence[Fix]) -> str:
    beats = [fixes[0]]
    for fix in fixes:
        if fix.fixed_at_ms - beats[-1].fixed_at_ms >= _BEAT_S * 1000:
            beats.append(fix)
    if len(beats) < 2:
        return "walk"
    speeds = [_metres(a, b) / ((b.fixed_at_ms - a.fixed_at_ms) / 1000) for a, b in pairwise(beats)]
    return "e_bike" if float(np.quantile(speeds, RIDING_SHARE)) > RIDING_MPS else "walk"


def _metres(a: Fix, b: Fix) -> float:
    return near_distance_m(a.lat, a.lon, b.lat, b.lon)
