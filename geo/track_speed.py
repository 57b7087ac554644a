"""How fast somebody goes while they go: the moving parts of a track, without the stops between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from .fix import Fix
from .map_match import match
from .pace import FASTEST_MPS, SLOWEST_MPS
from .point import near_distance_m
from .walk_graph import WalkGraph

#: Readings are compared so far apart: noise is small beside what is walked meanwhile.
_BEAT_S = 20.0
#: Between readings further apart than this one may have done anything.
_GAP_S = 60.0
#: A reading vaguer than this says nothing about a speed.
_MOST_ACCURACY_M = 40.0
#: The first and the last beat of a movement are partly a stop, if it has others.
_EDGES = 3
#: The paths say how far a movement was if so much of it is on them, and not by more than this factor.
_LEAST_M, _LEAST_SHARE, _MOST_RATIO = 60.0, 0.8, 1.5


class Moved(NamedTuple):
    """Metres and seconds of being under way."""

    metres: float
    seconds: float


class _Beat(NamedTuple):
    """From one reading to another some seconds later: rows of both."""

    begin: int
    end: int
    metres: float
    seconds: float

    @property
    def is_moving(self) -> bool:
        return SLOWEST_MPS <= self.metres / self.seconds <= FASTEST_MPS


def moved(fixes: Sequence[Fix]) -> Moved:
    """The moving parts of a track, oldest reading first, as the crow flies from beat to beat."""
    return walked(fixes, None)


def walked(fixes: Sequence[Fix], graph: WalkGraph | None) -> Moved:
    """The moving parts of a track in walking metres: over the paths where readings scatter about them, because noise
    lengthens a way, and reading seldom shortens it."""
    clear = [fix for fix in fixes if (fix.accuracy_m or 0.0) <= _MOST_ACCURACY_M]
    metres, seconds = 0.0, 0.0
    for run in _runs(clear):
        inner = run[1:-1] if len(run) >= _EDGES else run
        metres += sum(beat.metres for beat in inner) * _ratio(clear, run, graph)
        seconds += sum(beat.seconds for beat in inner)
    return Moved(metres, seconds)


def _ratio(fixes: Sequence[Fix], run: Sequence[_Beat], graph: WalkGraph | None) -> float:
    """How much longer the way of a movement is than its beats."""
    beats_m = sum(beat.metres for beat in run)
    if graph is None or beats_m < _LEAST_M:
        return 1.0
    matched = match(fixes[run[0].begin : run[-1].end + 1], graph)
    if matched.share < _LEAST_SHARE:
        return 1.0
    return min(_MOST_RATIO, max(1 / _MOST_RATIO, matched.walk_m / beats_m))


def _runs(fixes: Sequence[Fix]) -> Iterator[list[_Beat]]:
    """Beats of uninterrupted movement."""
    run: list[_Beat] = []
    for beat in _beats(fixes):
        if beat.is_moving and (not run or run[-1].end == beat.begin):
            run.append(beat)
            continue
        if run:
            yield run
        run = [beat] if beat.is_moving else []
    if run:
        yield run


def _beats(fixes: Sequence[Fix]) -> Iterator[_Beat]:
    begin = 0
    for row, (before, fix) in enumerate(pairwise(fixes), start=1):
        if fix.fixed_at_ms - before.fixed_at_ms > _GAP_S * 1000:
            begin = row
            continue
        first = fixes[begin]
        seconds = (fix.fixed_at_ms - first.fixed_at_ms) / 1000
        if seconds >= _BEAT_S:
            yield _Beat(begin, row, near_distance_m(first.lat, first.lon, fix.lat, fix.lon), seconds)
            begin = row
