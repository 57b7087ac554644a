"""Who is near: what an index of runners promises, a k-d tree for a whole planning tick, and an index in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .point import Floats, LocalPlane, Point, checked, distance_m, lat_lon_array


class Nearby(NamedTuple):
    """One runner that a search found; ``at_ms`` is the time of the fix."""

    runner_id: str
    point: Point
    distance_m: float
    at_ms: int


Entry = tuple[str, Point, int]  # runner id, place, fixed_at_ms


class Index(Protocol):
    """The newest place of each runner of one campus. Two bodies: in memory and in Redis."""

    async def put_many(self, entries: Sequence[Entry]) -> None:
        """Store places, the last entry of a runner wins; ``BadPoint`` stores none of them."""

    async def nearby(self, point: Point, radius_m: float, limit: int) -> list[Nearby]:
        """Runners within ``radius_m``, nearest first, at most ``limit``."""

    async def positions(self, runner_ids: Sequence[str]) -> dict[str, Point]:
        """Where these runners are; those who are unknown are left out."""

    async def remove(self, runner_ids: Sequence[str]) -> int:
        """Forget runners; how many there were."""

    async def sweep(self, before_ms: int, limit: int) -> list[str]:
        """Forget at most ``limit`` runners whose fix is older than ``before_ms``, oldest first; who they were."""

    async def size(self) -> int:
        """How many runners are known."""


class PointTree:
    """Points frozen into a k-d tree over local metres: a planning tick asks thousands of questions of it."""

    __slots__ = ("_plane", "_tree", "points")

    def __init__(self, points: Iterable[Point] | Floats, plane: LocalPlane | None = None) -> None:
        self.points: Floats = lat_lon_array(points)
        if plane is None:
            middle = self.points.mean(axis=0) if len(self.points) else (0.0, 0.0)
            plane = LocalPlane(Point(float(middle[0]), float(middle[1])))
        self._plane = plane
        self._tree = cKDTree(plane.xy_many(self.points))

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, point: Point, k: int = 1, within_m: float = float("inf")) -> list[tuple[int, float]]:
        """At most ``k`` (row, metres), nearest first, none further than ``within_m``."""
        rows, metres = self.nearest_many([point], k, within_m)
        return [(int(row), float(m)) for row, m in zip(rows[0], metres[0], strict=True) if row < len(self)]

    def nearest_many(
        self, points: Iterable[Point] | Floats, k: int, within_m: float = float("inf")
    ) -> tuple[NDArray[np.int64], Floats]:
        """For each question, ``k`` rows and metres, nearest first; a missing one is row ``len(self)`` at infinity."""
        asked = self._plane.xy_many(points)
        if not len(self) or not len(asked):
            return np.full((len(asked), k), len(self), np.int64), np.full((len(asked), k), np.inf)
        metres, rows = self._tree.query(asked, k=list(range(1, k + 1)), distance_upper_bound=within_m)
        return np.asarray(rows, np.int64), np.asarray(metres, np.float64)

    def within(self, point: Point, radius_m: float) -> list[int]:
        """Rows within ``radius_m``, in no order."""
        return [int(row) for row in self._tree.query_ball_point(self._plane.xy(point), radius_m)] if len(self) else []


class MemoryIndex:
    """The index of one process, kept in dictionaries: for tests, replays and simulations."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Point, int]] = {}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        fresh = {runner_id: (checked(*point), at_ms) for runner_id, point, at_ms in entries}
        for runner_id, (point, at_ms) in fresh.items():
            known = self._places.get(runner_id)
            self._places[runner_id] = (point, max(at_ms, known[1]) if known else at_ms)

    async def nearby(self, point: Point, radius_m: float, limit: int) -> list[Nearby]:
        found = [
            Nearby(runner_id, place, metres, at_ms)
            for runner_id, (place, at_ms) in self._places.items()
            if (metres := distance_m(point, place)) <= radius_m
        ]
        return sorted(found, key=lambda near: near.distance_m)[: max(limit, 0)]

    async def positions(self, runner_ids: Sequence[str]) -> dict[str, Point]:
        return {runner_id: self._places[runner_id][0] for runner_id in runner_ids if runner_id in self._places}

    async def remove(self, runner_ids: Sequence[str]) -> int:
        return sum(self._places.pop(runner_id, None) is not None for runner_id in runner_ids)

    async def sweep(self, before_ms: int, limit: int) -> list[str]:
        stale = sorted((at_ms, runner_id) for runner_id, (_, at_ms) in self._places.items() if at_ms < before_ms)
        gone = [runner_id for _, runner_id in stale[: max(limit, 0)]]
        for runner_id in gone:
            del self._places[runner_id]
        return gone

    async def size(self) -> int:
        return len(self._places)
