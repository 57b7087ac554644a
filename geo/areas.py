"""Which of several areas a place belongs to: the smallest that holds it, for many places at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from .fence_shape import Geofence, LaidFence
from .point import LocalPlane, Point


class Areas:
    """Areas that may overlap; of several around one place the smallest counts, of equally large ones the first."""

    def __init__(self, fences: Sequence[Geofence], center: Point) -> None:
        """``center``: somewhere near them. Raises as :class:`LaidFence` does."""
        self._plane = LocalPlane(center)
        laid = [LaidFence(fence, self._plane) for fence in fences]
        order = sorted(range(len(laid)), key=lambda row: (laid[row].radius_m, row))
        self._laid = [(row, laid[row]) for row in order]

    def at(self, points: Sequence[Point]) -> list[int | None]:
        """For each point the number of its area; None outside of all. The edge counts as inside."""
        found: list[int | None] = [None] * len(points)
        if not points or not self._laid:
            return found
        xy = np.asarray(self._plane.xy_many(list(points)), dtype=np.float64)
        left = np.arange(len(points))
        for row, fence in self._laid:
            x, y = xy[left, 0], xy[left, 1]
            if fence.is_circle:
                is_in = np.hypot(x - fence.x, y - fence.y) <= fence.radius_m
            else:
                is_in = np.asarray(shapely.intersects_xy(fence.shape, x, y))
            for place in left[is_in]:
                found[int(place)] = row
            left = left[~is_in]
        return found
