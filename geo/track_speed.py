"""How fast somebody goes while they go: the moving parts of a track, without the stops between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from .fix import Fix
from .pace import FASTEST_MPS, SLOWEST_MPS
from .point import near_distance_m

#: Readings are compared so far apart: noise is small beside what is walked meanwhile.
_BEAT_S = 20.0
#: Between readings further apart than this one may have done anything.
_GAP_S = 60.0
#: A reading vaguer than this says nothing about a speed.
_MOST_ACCURACY_M = 40.0
#: The first and the last beat of a movement are partly a stop, if it has others.
_EDGES = 3


class Moved(NamedTuple):
    """Metres and seconds of being under way."""

    metres: float
    seconds: float


def moved(fixes: Sequence[Fix]) -> Moved:
    """The moving part of a track, oldest reading first."""
    metres, seconds = 0.0, 0.0
    run: list[Moved] = []
    for step in [*_steps(fixes), None]:
        if step is not None and SLOWEST_MPS <= step.metres / step.seconds <= FASTEST_MPS:
            run.append(step)
            continue
        if len(run) >= _EDGES:
            run = run[1:-1]
        metres += sum(one.metres for one in run)
        seconds += sum(one.seconds for one in run)
        run = []
    return Moved(metres, seconds)


def _steps(fixes: Sequence[Fix]) -> list[Moved]:
    """From beat to beat; a gap is a standstill."""
    found: list[Moved] = []
    metres, began = 0.0, None
    for before, fix in pairwise(fix for fix in fixes if (fix.accuracy_m or 0.0) <= _MOST_ACCURACY_M):
        if fix.fixed_at_ms - before.fixed_at_ms > _GAP_S * 1000:
            found.append(Moved(0.0, 1.0))
            began = None
            continue
        began = began or before
        seconds = (fix.fixed_at_ms - began.fixed_at_ms) / 1000
        if seconds >= _BEAT_S:
            metres = near_distance_m(began.lat, began.lon, fix.lat, fix.lon)
            found.append(Moved(metres, seconds))
            began = fix
    return found
