"""The paths of a campus as a graph whose edges weigh what walking them costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .campus import CampusMap, Path, PathKind
from .point import Floats, LocalPlane, Point, distance_m, lat_lon_array

# Stairs are climbed at about half the pace of level ground; at a crossing one waits.
STEPS_WEIGHT = 2.0
CROSSING_WEIGHT = 1.3
# Long straight pieces are divided, so that the nearest node is never far from the nearest place on a path.
PIECE_M = 12.0
# Mapped paths often miss each other by a stride.
_GAP_M = 5.0
# Further from every path than this, the graph says nothing about the way.
SNAP_MAX_M = 150.0

_WEIGHTS = {PathKind.STEPS: STEPS_WEIGHT, PathKind.CROSSING: CROSSING_WEIGHT}
_KEY_UNITS = 10_000_000  # points are the same where they agree to a centimetre

Row = NDArray[np.float32]


class Snap(NamedTuple):
    """The node nearest to a place, and how far away it is."""

    node: int
    offset_m: float


class _Sketch:
    """Nodes and edges while a graph is being put together."""

    def __init__(self, plane: LocalPlane) -> None:
        self.plane = plane
        self.points: list[Point] = []
        self._nodes: dict[tuple[int, int], int] = {}
        self.edges: list[tuple[int, int, float]] = []

    def node(self, point: Point) -> int:
        key = (round(point[0] * _KEY_UNITS), round(point[1] * _KEY_UNITS))
        known = self._nodes.get(key)
        if known is None:
            known = self._nodes[key] = len(self.points)
            self.points.append(point)
        return known

    def edge(self, a: int, b: int, weight: float = 1.0) -> None:
        """A straight way, in pieces of at most ``PIECE_M``."""
        if a == b:
            return
        start, end = self.points[a], self.points[b]
        length = distance_m(start, end)
        pieces = max(1, int(np.ceil(length / PIECE_M)))
        before = a
        for piece in range(1, pieces):
            share = piece / pieces
            between = self.node(
                Point(start.lat + (end.lat - start.lat) * share, start.lon + (end.lon - start.lon) * share)
            )
            self._join(before, between, weight)
            before = between
        self._join(before, b, weight)

    def _join(self, a: int, b: int, weight: float) -> None:
        if a != b:
            self.edges.append((a, b, max(0.01, distance_m(self.points[a], self.points[b])) * weight))

    def path(self, path: Path) -> None:
        weight = _WEIGHTS.get(path.kind, 1.0)
        nodes = [self.node(point) for point in path.points]
        for a, b in pairwise(nodes):
            self.edge(a, b, weight)

    def join_gates(self, gates: Iterable[Point]) -> None:
        """Tie each gate to the nearest node and the nodes beside it: from a door one turns either way."""
        beside: dict[int, set[int]] = {}
        for a, b, _ in self.edges:
            beside.setdefault(a, set()).add(b)
            beside.setdefault(b, set()).add(a)
        tree = cKDTree(self.plane.xy_many(self.points))
        on_paths = len(self.points)
        for gate in gates:
            metres, row = tree.query(self.plane.xy(gate))
            node = self.node(gate)
            if node < on_paths or metres > SNAP_MAX_M:
                continue
            self.edge(node, int(row))
            for near in beside.get(int(row), ()):
                if distance_m(gate, self.points[near]) <= metres + PIECE_M:
                    self._join(node, near, 1.0)

    def matrix(self) -> csr_array:
        count = len(self.points)
        if not self.edges:
            return csr_array((count, count), dtype=np.float64)
        rows = np.asarray(self.edges, dtype=np.float64)
        a, b = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        # Two ways between the same nodes: a sparse matrix would add them up, the shorter one counts.
        low, high = np.minimum(a, b), np.maximum(a, b)
        order = np.lexsort((rows[:, 2], high, low))
        low, high, cost = low[order], high[order], rows[order, 2]
        first = np.ones(len(low), dtype=bool)
        first[1:] = (np.diff(low) != 0) | (np.diff(high) != 0)
        low, high, cost = low[first], high[first], cost[first]
        return csr_array(
            (np.concatenate((cost, cost)), (np.concatenate((low, high)), np.concatenate((high, low)))),
            shape=(count, count),
        )


def _bridge_gaps(sketch: _Sketch) -> None:
    """Join loose ends to another part of the network that lies within a stride or two."""
    matrix = sketch.matrix()
    _, part = connected_components(matrix, directed=False)
    degree = np.diff(matrix.indptr)
    xy = sketch.plane.xy_many(sketch.points)
    tree = cKDTree(xy)
    for end in np.flatnonzero(degree <= 1):
        others = [n for n in tree.query_ball_point(xy[end], _GAP_M) if part[n] != part[end]]
        if others:
            nearest = min(others, key=lambda n: float(np.hypot(*(xy[n] - xy[end]))))
            sketch.edge(int(end), int(nearest))


class WalkGraph:
    """The paths of a campus as nodes and weighted edges; only its largest connected part is snapped to."""

    def __init__(self, points: Sequence[Point], matrix: csr_array, plane: LocalPlane) -> None:
        self.nodes: Floats = lat_lon_array(points)
        self.matrix = matrix
        self.plane = plane
        _, part = connected_components(matrix, directed=False)
        sizes = np.bincount(part) if len(part) else np.zeros(1, np.int64)
        self._main: NDArray[np.int64] = np.flatnonzero(part == sizes.argmax())
        self.connected_share = float(sizes.max() / max(1, len(self.nodes)))
        self._tree = cKDTree(plane.xy_many(self.nodes[self._main]))

    @classmethod
    def of(cls, campus: CampusMap) -> WalkGraph | None:
        """The campus's graph, gates joined to it; None when it has no paths."""
        return cls.build(campus.paths, (gate.point for _, gate in campus.gates()), campus.plane)

    @classmethod
    def build(cls, paths: Iterable[Path], gates: Iterable[Point], plane: LocalPlane) -> WalkGraph | None:
        sketch = _Sketch(plane)
        for path in paths:
            sketch.path(path)
        if not sketch.edges:
            return None
        _bridge_gaps(sketch)
        sketch.join_gates(gates)
        return cls(sketch.points, sketch.matrix(), plane)

    def __len__(self) -> int:
        return len(self.nodes)

    def snap(self, point: Point) -> Snap:
        metres, row = self._tree.query(self.plane.xy(point))
        return Snap(int(self._main[row]), float(metres))

    def snap_many(self, points: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Nodes and offsets for rows of (lat, lon)."""
        metres, rows = self._tree.query(self.plane.xy_many(points))
        return self._main[rows], np.asarray(metres, dtype=np.float64)

    def near(self, points: Floats, most: int, within_m: float) -> tuple[NDArray[np.int64], Floats]:
        """For each row (lat, lon) up to ``most`` nodes, nearest first; where there are fewer the metres are infinite
        and the node is -1."""
        found = self._tree.query(self.plane.xy_many(points), k=most, distance_upper_bound=within_m)
        metres, rows = (np.asarray(one).reshape(-1, most) for one in found)
        return np.where(np.isfinite(metres), self._main[np.minimum(rows, len(self._main) - 1)], -1), metres

    def reach(self, nodes: NDArray[np.int64], within_m: float) -> tuple[Floats, NDArray[np.int32]]:
        """Walking metres from each of the nodes to all within reach, infinite to others, and who comes before whom."""
        metres, before = dijkstra(self.matrix, directed=False, indices=nodes, limit=within_m, return_predecessors=True)
        return metres, before

    def distance_field(self, node: int) -> Row:
        """Walking metres from every node to this one (infinite where there is no way): one Dijkstra."""
        return np.asarray(dijkstra(self.matrix, directed=False, indices=[node])[0], dtype=np.float32)

    def walk(self, start: int, field: Row) -> list[Point]:
        """The nodes from ``start`` downhill to where ``field`` is zero, both included; empty where there is no way."""
        if not np.isfinite(field[start]):
            return []
        node, points = start, [self.point(start)]
        starts, ends, costs = self.matrix.indptr, self.matrix.indices, self.matrix.data
        while field[node] > 0.0:
            edges = slice(starts[node], starts[node + 1])
            node = int(ends[edges][np.argmin(field[ends[edges]] + costs[edges])])
            points.append(self.point(node))
        return points

    def point(self, node: int) -> Point:
        return Point(float(self.nodes[node, 0]), float(self.nodes[node, 1]))
