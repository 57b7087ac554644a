"""Whether somebody who should be on the way to a stop is going elsewhere, from their last few readings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .fix import Fix
from .point import Floats, LocalPlane, Point, lat_lon_array
from .walkway import Walkways

#: Further from the planned way than this is off it, if several readings in a row say so.
FAR_M, IN_A_ROW = 60.0, 3
#: What is left may grow by so much before it means anything.
GROWN_M = 60.0
#: Readings are looked at so far apart, over so long.
_BEAT_S, WINDOW_S = 15.0, 240.0
#: Whoever comes nearer by this share of what they move is on some good way.
_PROGRESS = 0.3
_MOST_ACCURACY_M = 40.0


def is_off_route(fixes: Sequence[Fix], stops: Sequence[Point], ways: Walkways) -> bool:
    """``fixes``: of the last minutes, oldest first; ``stops``: any of which may be next.

    They are off the way when it grows to every stop, or when they keep far from the planned way without coming nearer.
    """
    seen = _beats(fixes)
    if len(seen) <= IN_A_ROW or not stops:
        return False
    rows = lat_lon_array([fix.point for fix in seen])
    doubt_m = min(_MOST_ACCURACY_M, max(fix.accuracy_m or 0.0 for fix in (*seen[-IN_A_ROW:], seen[0])))
    return all(_is_off(rows, stop, ways, doubt_m) for stop in stops)


def _is_off(rows: Floats, stop: Point, ways: Walkways, doubt_m: float) -> bool:
    left_m = ways.walk_m_many(rows, stop)
    last = left_m[-IN_A_ROW - 1 :]
    if bool((np.diff(last) > 0).all()) and left_m[-1] - left_m.min() > GROWN_M + doubt_m:
        return True
    plane = LocalPlane(stop)
    xy = plane.xy_many(rows)
    moved_m = float(np.hypot(*np.diff(xy, axis=0).T).sum())
    has_come_nearer = left_m[0] - left_m[-1] > _PROGRESS * moved_m
    if has_come_nearer or moved_m < FAR_M:
        return False
    way = plane.xy_many(ways.path(Point(float(rows[0, 0]), float(rows[0, 1])), stop))
    return bool((_metres_from(xy[-IN_A_ROW:], way) > FAR_M + doubt_m).all())


def _beats(fixes: Sequence[Fix]) -> list[Fix]:
    """The newest reading and those before it, a beat apart."""
    found: list[Fix] = []
    for fix in reversed(fixes):
        if found and found[0].fixed_at_ms - fix.fixed_at_ms > WINDOW_S * 1000:
            break
        if not found or found[-1].fixed_at_ms - fix.fixed_at_ms >= _BEAT_S * 1000:
            found.append(fix)
    return found[::-1]


def _metres_from(xy: Floats, line: Floats) -> Floats:
    """Of each place to the nearest of a line's pieces."""
    if len(line) < 2:
        return np.asarray(np.hypot(*(xy - line[0]).T), dtype=np.float64)
    start, along = line[:-1], np.diff(line, axis=0)
    length2 = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip((((xy[:, None] - start) * along).sum(axis=2)) / length2, 0.0, 1.0)
    near = start + share[..., None] * along
    return np.asarray(np.hypot(*np.moveaxis(xy[:, None] - near, 2, 0)).min(axis=1), dtype=np.float64)
