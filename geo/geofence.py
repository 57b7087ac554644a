"""Geofences: circles and polygons that runners enter, leave and dwell in, judged with the accuracy of the fix.

One enters where the position lies inside. One leaves only when the position, minus its inaccuracy, lies further
outside than a tenth of the fence's size and than 20 m: a dot that trembles on the line makes one crossing, not twenty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from .errors import BadFence
from .point import Floats, LocalPlane, Point, checked

_MARGIN_SHARE = 0.1
_MARGIN_LEAST_M = 20.0


@dataclass(frozen=True, slots=True)
class Circle:
    center: Point
    radius_m: float


@dataclass(frozen=True, slots=True)
class Outline:
    """A polygon; the last point is not the first again."""

    ring: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Geofence:
    """A named area. ``dwell_s``: after so long inside, a dwell is told once; None: never."""

    id: str
    name: str
    shape: Circle | Outline
    dwell_s: float | None = None


class CrossingKind(StrEnum):
    ENTER = "enter"
    EXIT = "exit"
    DWELL = "dwell"


class Crossing(NamedTuple):
    """Somebody entered, left or stayed in a fence. ``inside_s`` is how long they had been in it (0 for entering)."""

    runner_id: str
    fence_id: str
    kind: CrossingKind
    at_ms: int
    point: Point
    inside_s: float


class Sighting(NamedTuple):
    """A runner's newest believed fix, as fences see it."""

    runner_id: str
    point: Point
    accuracy_m: float
    at_ms: int


@dataclass(slots=True)
class _Stay:
    entered_at_ms: int
    has_dwelled: bool = False


class _Laid:
    """A fence laid out on the plane: where it is, and by how much it must be left."""

    __slots__ = ("exit_margin_m", "fence", "radius_m", "shape", "x", "y")

    def __init__(self, fence: Geofence, plane: LocalPlane) -> None:
        self.fence = fence
        if isinstance(fence.shape, Circle):
            if not 0 < fence.shape.radius_m < 1e6:
                raise BadFence(f"geofence {fence.id!r} has a radius of {fence.shape.radius_m} m", "radius_m")
            self.radius_m = fence.shape.radius_m
            self.x, self.y = plane.xy(checked(*fence.shape.center))
            # The tree only asks whether a point may lie inside; the circle itself is judged exactly.
            reach = self.radius_m
            self.shape: BaseGeometry = shapely.box(self.x - reach, self.y - reach, self.x + reach, self.y + reach)
        else:
            if len(fence.shape.ring) < 3:
                raise BadFence(f"geofence {fence.id!r} has fewer than three corners", "ring")
            polygon = shapely.Polygon(plane.xy_many([checked(*point) for point in fence.shape.ring]))
            self.shape = polygon if polygon.is_valid else shapely.make_valid(polygon)
            if self.shape.area <= 0:
                raise BadFence(f"geofence {fence.id!r} encloses nothing", "ring")
            self.x = self.y = 0.0
            # A polygon is as big as the circle of the same area.
            self.radius_m = sqrt(self.shape.area / pi)
            shapely.prepare(self.shape)
        self.exit_margin_m = max(_MARGIN_SHARE * self.radius_m, _MARGIN_LEAST_M)

    @property
    def is_circle(self) -> bool:
        return isinstance(self.fence.shape, Circle)

    def outside_m(self, x: float, y: float) -> float:
        """Metres to the fence; 0 inside."""
        if self.is_circle:
            return max(0.0, float(np.hypot(x - self.x, y - self.y)) - self.radius_m)
        return float(shapely.distance(self.shape, shapely.Point(x, y)))


class Geofences:
    """The fences of one campus and who is in which; batches of sightings in, crossings out."""

    def __init__(self, fences: Iterable[Geofence], origin: Point) -> None:
        self._plane = LocalPlane(origin)
        self._laid = [_Laid(fence, self._plane) for fence in fences]
        ids = [laid.fence.id for laid in self._laid]
        if len(set(ids)) != len(ids):
            raise BadFence("two geofences share an id", "id")
        self._tree = shapely.STRtree([laid.shape for laid in self._laid])
        self._stays: dict[str, dict[int, _Stay]] = {}

    def __len__(self) -> int:
        return len(self._laid)

    def containing_many(self, points: Iterable[Point] | Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs (row of the point, row of the fence) for every point inside a fence."""
        xy = self._plane.xy_many(points)
        if not self._laid or not len(xy):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, fences = self._tree.query(shapely.points(xy), predicate="intersects")
        keep = np.ones(len(rows), dtype=bool)
        for pair, (row, fence) in enumerate(zip(rows, fences, strict=True)):
            laid = self._laid[fence]
            if laid.is_circle:
                keep[pair] = laid.outside_m(xy[row, 0], xy[row, 1]) <= 0.0
        return np.asarray(rows[keep], np.int64), np.asarray(fences[keep], np.int64)

    def containing(self, point: Point) -> list[Geofence]:
        """The fences around one point."""
        _, fences = self.containing_many([point])
        return [self._laid[row].fence for row in fences]

    def inside(self, runner_id: str) -> list[str]:
        """Ids of the fences that a runner is in."""
        return [self._laid[row].fence.id for row in self._stays.get(runner_id, {})]

    def observe(self, sightings: Sequence[Sighting]) -> list[Crossing]:
        """Judge a batch, in its order; exits before entries for each runner."""
        inside: dict[int, list[int]] = {}
        rows, fences = self.containing_many([sighting.point for sighting in sightings])
        for row, fence in zip(rows, fences, strict=True):
            inside.setdefault(int(row), []).append(int(fence))
        crossings: list[Crossing] = []
        for row, sighting in enumerate(sightings):
            entered = inside.get(row, ())
            stays = self._stays.get(sighting.runner_id)
            if stays or entered:
                self._judge(sighting, entered, crossings)
        return crossings

    def _judge(self, sighting: Sighting, now_inside: Sequence[int], crossings: list[Crossing]) -> None:
        stays = self._stays.setdefault(sighting.runner_id, {})
        x, y = self._plane.xy(sighting.point)
        for row, stay in list(stays.items()):
            if row in now_inside:
                continue
            laid = self._laid[row]
            if laid.outside_m(x, y) - sighting.accuracy_m > laid.exit_margin_m:
                del stays[row]
                crossings.append(_crossing(sighting, laid.fence, CrossingKind.EXIT, stay))
        for row in now_inside:
            if row not in stays:
                stays[row] = _Stay(sighting.at_ms)
                crossings.append(_crossing(sighting, self._laid[row].fence, CrossingKind.ENTER, stays[row]))
        for row, stay in stays.items():
            dwell_s = self._laid[row].fence.dwell_s
            if dwell_s is not None and not stay.has_dwelled and sighting.at_ms - stay.entered_at_ms >= dwell_s * 1000:
                stay.has_dwelled = True
                crossings.append(_crossing(sighting, self._laid[row].fence, CrossingKind.DWELL, stay))
        if not stays:
            del self._stays[sighting.runner_id]

    def forget(self, runner_id: str, at_ms: int | None = None, point: Point | None = None) -> list[Crossing]:
        """A runner is gone (off duty, swept): their stays end here, told as exits when a time and place are given."""
        stays = self._stays.pop(runner_id, {})
        if at_ms is None or point is None:
            return []
        sighting = Sighting(runner_id, point, 0.0, at_ms)
        return [_crossing(sighting, self._laid[row].fence, CrossingKind.EXIT, stay) for row, stay in stays.items()]


def _crossing(sighting: Sighting, fence: Geofence, kind: CrossingKind, stay: _Stay) -> Crossing:
    inside_s = max(0.0, (sighting.at_ms - stay.entered_at_ms) / 1000)
    return Crossing(sighting.runner_id, fence.id, kind, sighting.at_ms, sighting.point, inside_s)
