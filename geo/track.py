"""A track: a runner's fixes in the order in which they were taken, bounded, with late ones put where they belong."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
from shapely import LineString, simplify

from .fix import Fix
from .point import LocalPlane, Point, line_length_m


class Track:
    """At most ``capacity`` newest fixes by ``fixed_at_ms``; one fix per millisecond (the first one stays)."""

    __slots__ = ("_capacity", "_fixes", "_times", "dropped")

    def __init__(self, capacity: int = 1_000) -> None:
        if capacity < 1:
            raise ValueError("a track keeps at least one fix")
        self._capacity = capacity
        self._fixes: list[Fix] = []
        self._times: list[int] = []
        self.dropped = 0  # fixes that the bound pushed out

    def __len__(self) -> int:
        return len(self._fixes)

    def __iter__(self) -> Iterator[Fix]:
        return iter(self._fixes)

    @property
    def newest(self) -> Fix | None:
        return self._fixes[-1] if self._fixes else None

    @property
    def points(self) -> list[Point]:
        return [fix.point for fix in self._fixes]

    def add(self, fix: Fix) -> bool:
        """Put a fix in its place; False when that moment is taken already or lies before all that is kept."""
        at_ms = fix.fixed_at_ms
        if not self._times or at_ms > self._times[-1]:
            self._fixes.append(fix)
            self._times.append(at_ms)
        else:
            index = bisect_left(self._times, at_ms)
            if self._times[index] == at_ms or (index == 0 and len(self._times) >= self._capacity):
                return False
            self._fixes.insert(index, fix)
            self._times.insert(index, at_ms)
        if len(self._times) > self._capacity:
            del self._fixes[0], self._times[0]
            self.dropped += 1
        return True

    def since(self, at_ms: int) -> list[Fix]:
        """Fixes taken at ``at_ms`` or later."""
        return self._fixes[bisect_left(self._times, at_ms) :]

    def between(self, from_ms: int, until_ms: int) -> list[Fix]:
        """Fixes with ``from_ms <= fixed_at_ms < until_ms``."""
        return self._fixes[bisect_left(self._times, from_ms) : bisect_left(self._times, until_ms)]

    @property
    def length_m(self) -> float:
        return line_length_m(self.points)


def simplify_points(points: Sequence[Point], tolerance_m: float = 3.0) -> list[Point]:
    """Fewer points whose line stays within ``tolerance_m`` of the given one; the ends are kept."""
    if len(points) < 3:
        return list(points)
    plane = LocalPlane(points[0])
    line = simplify(LineString(plane.xy_many(points)), tolerance_m, preserve_topology=False)
    # The kept corners are given points: hand back the very values, not their way through the plane and back.
    return [points[index] for index in _kept(plane.xy_many(points), np.asarray(line.coords))]


def _kept(xy: np.ndarray, corners: np.ndarray) -> list[int]:
    kept: list[int] = []
    corner = 0
    for index, (x, y) in enumerate(xy):
        if corner < len(corners) and x == corners[corner][0] and y == corners[corner][1]:
            kept.append(index)
            corner += 1
    return kept
