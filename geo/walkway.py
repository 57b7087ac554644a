"""Walking on a campus: distances over its paths, and the line to walk.

Metres here are *walking metres*: a way over steps counts longer than it is, so that metres divided by a pace are
an honest time. Where there is no graph, or none in reach, the straight line counts with a detour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .between import Between
from .campus import CampusMap
from .distance_fields import DistanceFields
from .point import Floats, Point, distances_m, lat_lon_array
from .walk_graph import CROSSING_WEIGHT, PIECE_M, SNAP_MAX_M, STEPS_WEIGHT, Snap, WalkGraph

__all__ = [
    "CROSSING_WEIGHT",
    "DETOUR_RATIO",
    "PIECE_M",
    "SNAP_MAX_M",
    "STEPS_WEIGHT",
    "DistanceFields",
    "Snap",
    "WalkGraph",
    "Walkways",
]

# Footpaths bend: the straight line always promises too early.
DETOUR_RATIO = 1.3
#: Distance fields kept for a campus: as many as fit, within these bounds.
_FIELD_BYTES, _LEAST_FIELDS, _MOST_FIELDS = 64 * 2**20, 512, 8_192


def _capacity(graph: WalkGraph) -> int:
    return min(_MOST_FIELDS, max(_LEAST_FIELDS, _FIELD_BYTES // (4 * len(graph))))


class Walkways:
    """Distances and ways between any two places of a campus, over its paths where they reach."""

    #: By how much the straight line is longer than it looks, where no path reaches.
    detour = DETOUR_RATIO

    def __init__(self, graph: WalkGraph | None, capacity: int | None = None) -> None:
        self.graph = graph
        self.fields = DistanceFields(graph, capacity or _capacity(graph)) if graph is not None else None

    @classmethod
    def of(cls, campus: CampusMap, capacity: int | None = None) -> Walkways:
        return cls(WalkGraph.of(campus), capacity)

    def warm(self, points: Iterable[Point]) -> int:
        """Work out the fields of places that will be asked about; how many are kept now."""
        if self.graph is None or self.fields is None:
            return 0
        rows = lat_lon_array(points)
        if len(rows):
            self.fields.many(list(dict.fromkeys(self.graph.snap_many(rows)[0].tolist())))
        return len(self.fields)

    def walk_m(self, a: Point, b: Point) -> float:
        """Walking metres from ``a`` to ``b``; never less than the straight line."""
        return float(self.walk_m_many(lat_lon_array([a]), b)[0])

    def walk_m_many(self, points: Iterable[Point] | Floats, target: Point) -> Floats:
        """Walking metres from each row (lat, lon) to one target."""
        rows = lat_lon_array(points)
        straight = distances_m(rows, target)
        if self.graph is None or self.fields is None or not len(rows):
            return straight * DETOUR_RATIO
        end = self.graph.snap(target)
        if end.offset_m > SNAP_MAX_M:
            return straight * DETOUR_RATIO
        nodes, offsets = self.graph.snap_many(rows)
        return self._joined(straight, nodes, offsets, end)

    def walk_m_matrix(self, points: Iterable[Point] | Floats, targets: Sequence[Point]) -> Floats:
        """Walking metres, shape (points, targets)."""
        rows = lat_lon_array(points)
        out = np.empty((len(rows), len(targets)))
        nodes = offsets = None
        if self.graph is not None and len(rows):
            nodes, offsets = self.graph.snap_many(rows)
        for column, target in enumerate(targets):
            straight = distances_m(rows, target)
            out[:, column] = straight * DETOUR_RATIO
            if self.graph is not None and nodes is not None and offsets is not None:
                end = self.graph.snap(target)
                if end.offset_m <= SNAP_MAX_M:
                    out[:, column] = self._joined(straight, nodes, offsets, end)
        return out

    def among(self, points: Iterable[Point] | Floats) -> Between:
        """All places of one moment measured at once: ask for the metres between any rows of them."""
        return Between(lat_lon_array(points), self.fields, DETOUR_RATIO)

    def _joined(self, straight: Floats, nodes: NDArray[np.int64], offsets: Floats, end: Snap) -> Floats:
        assert self.fields is not None
        over = self.fields.to(end.node)[nodes].astype(np.float64) + offsets + end.offset_m
        # On the same piece of path the two offsets may point the same way: the straight line is nearer the truth.
        over = np.where(nodes == end.node, straight, np.maximum(over, straight))
        return np.where(np.isfinite(over) & (offsets <= SNAP_MAX_M), over, straight * DETOUR_RATIO)

    def path(self, a: Point, b: Point) -> list[Point]:
        """The line to walk, for drawing; both ends included, straight where no path is known."""
        if self.graph is None or self.fields is None:
            return [a, b]
        start, end = self.graph.snap(a), self.graph.snap(b)
        if max(start.offset_m, end.offset_m) > SNAP_MAX_M or start.node == end.node:
            return [a, b]
        line = [a, *self.graph.walk(start.node, self.fields.to(end.node)), b]
        return [point for index, point in enumerate(line) if index == 0 or point != line[index - 1]]

    def stats(self) -> Mapping[str, float]:
        """Figures for metrics: nodes, fields kept, hits and misses of the cache."""
        if self.graph is None or self.fields is None:
            return {"nodes": 0, "fields": 0, "hits": 0, "misses": 0}
        return {
            "nodes": len(self.graph),
            "fields": len(self.fields),
            "hits": self.fields.hits,
            "misses": self.fields.misses,
        }
