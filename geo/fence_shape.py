"""The shapes of geofences - circles and polygons - and the same laid out on a plane, where they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi, sqrt

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from .errors import BadFence
from .point import Floats, LocalPlane, Point, checked

_MARGIN_SHARE = 0.1
_MARGIN_LEAST_M = 20.0

#: What a square of ground is to a fence: all inside, cut by its edge, all outside but so near that nobody has left who
#: stands there, or farther out.
OUTSIDE, INSIDE, EDGE, NEAR = 0, 1, 2, 3


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


def exit_margin_m(radius_m: float) -> float:
    """How far outside of something of this size somebody must be who has left it beyond doubt."""
    return max(_MARGIN_SHARE * radius_m, _MARGIN_LEAST_M)


class LaidFence:
    """A fence laid out on the plane: where it is, and by how much it must be left. ``radius_m`` of a polygon is that of
    the circle of the same area."""

    __slots__ = ("bounds", "dwell_ms", "exit_margin_m", "fence", "is_circle", "radius_m", "shape", "x", "y")

    def __init__(self, fence: Geofence, plane: LocalPlane) -> None:
        """Raises :class:`BadFence` or :class:`BadPoint` for what encloses nothing."""
        self.fence = fence
        self.dwell_ms = None if fence.dwell_s is None else round(fence.dwell_s * 1000)
        self.is_circle = isinstance(fence.shape, Circle)
        if isinstance(fence.shape, Circle):
            if not 0 < fence.shape.radius_m < 1e6:
                raise BadFence(f"geofence {fence.id!r} has a radius of {fence.shape.radius_m} m", "radius_m")
            self.radius_m = reach = fence.shape.radius_m
            self.x, self.y = plane.xy(checked(*fence.shape.center))
            # The tree only asks whether something may lie inside; the circle itself is judged exactly.
            self.shape: BaseGeometry = shapely.box(self.x - reach, self.y - reach, self.x + reach, self.y + reach)
        else:
            if len(fence.shape.ring) < 3:
                raise BadFence(f"geofence {fence.id!r} has fewer than three corners", "ring")
            polygon = shapely.Polygon(plane.xy_many([checked(*point) for point in fence.shape.ring]))
            self.shape = polygon if polygon.is_valid else _repaired(polygon)
            if self.shape.area <= 0:
                raise BadFence(f"geofence {fence.id!r} encloses nothing", "ring")
            self.radius_m = sqrt(self.shape.area / pi)
            self.x = self.y = 0.0
            shapely.prepare(self.shape)
        self.bounds: tuple[float, float, float, float] = self.shape.bounds
        self.exit_margin_m = exit_margin_m(self.radius_m)

    def covers(self, x: float, y: float) -> bool:
        """Whether the point lies inside; the edge counts as inside."""
        if self.is_circle:
            return hypot(x - self.x, y - self.y) <= self.radius_m
        return bool(shapely.intersects_xy(self.shape, x, y))

    def outside_m(self, x: float, y: float) -> float:
        """Metres to the fence; 0 inside."""
        if self.is_circle:
            return max(0.0, hypot(x - self.x, y - self.y) - self.radius_m)
        return float(shapely.distance(self.shape, shapely.Point(x, y)))

    def is_left(self, x: float, y: float, accuracy_m: float) -> bool:
        """Whether somebody who was inside is outside beyond doubt."""
        return self.outside_m(x, y) - accuracy_m > self.exit_margin_m

    def passed(self, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float] | None:
        """The first and the last part (0..1) of the way from ``start`` to ``end`` that lies inside; None: no part."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length_sq = dx * dx + dy * dy
        if length_sq <= 0.0:
            return None
        if not self.is_circle:
            cut = shapely.intersection(self.shape, shapely.LineString([start, end]))
            xy = shapely.get_coordinates(cut)
            if len(xy) < 2:
                return None
            parts = ((xy[:, 0] - start[0]) * dx + (xy[:, 1] - start[1]) * dy) / length_sq
            return float(parts.min()), float(parts.max())
        fx, fy = start[0] - self.x, start[1] - self.y
        half = (fx * dx + fy * dy) / length_sq
        root = half * half - (fx * fx + fy * fy - self.radius_m**2) / length_sq
        if root <= 0.0:
            return None
        first, last = max(0.0, -half - sqrt(root)), min(1.0, -half + sqrt(root))
        return (first, last) if first < last else None

    def sort_squares(self, x: Floats, y: Floats, reach_m: float) -> NDArray[np.int64]:
        """What the squares around these middles are to the fence: ``INSIDE``, ``EDGE``, ``NEAR`` or ``OUTSIDE``. No
        corner of a square is farther than ``reach_m`` from its middle. In doubt this says ``EDGE`` rather than
        ``INSIDE`` or ``NEAR``, and ``OUTSIDE`` rather than ``NEAR``."""
        near_m = self.exit_margin_m - reach_m
        if self.is_circle:
            beyond_m = np.hypot(x - self.x, y - self.y) - self.radius_m
            is_edge, is_inside, is_near = beyond_m <= reach_m, beyond_m < -reach_m, beyond_m < near_m
        else:
            middles, edge = shapely.points(x, y), self.shape.boundary
            shapely.prepare(edge)
            is_edge = np.asarray(shapely.dwithin(edge, middles, reach_m))
            is_inside = np.asarray(shapely.contains_xy(self.shape, x, y)) & ~is_edge
            is_near = np.asarray(shapely.dwithin(self.shape, middles, max(0.0, near_m)))
        found = np.full(len(x), OUTSIDE, np.int64)
        if near_m > 0.0:
            found[is_near] = NEAR
        found[is_edge] = EDGE
        found[is_inside] = INSIDE
        return found


def _repaired(polygon: BaseGeometry) -> BaseGeometry:
    """What a ring that crosses itself encloses, without the lines that enclose nothing."""
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygon)))
    return shapely.union_all([part for part in parts if part.area > 0])
