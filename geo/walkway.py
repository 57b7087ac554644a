"""Walking on a campus: a graph of its paths, distances over it, and the line to walk.

Metres here are *walking metres*: a way over steps counts longer than it is, so that metres divided by a pace are
an honest time. Where there is no graph, or none in reach, the straight line counts with a detour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .campus import CampusMap, Path, PathKind
from .point import Floats, LocalPlane, Point, distance_m, distances_m, lat_lon_array

# Footpaths bend: the straight line always promises too early.
DETOUR_RATIO = 1.3
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

    def distance_field(self, node: int) -> Row:
        """Walking metres from every node to this one (infinite where there is no way): one Dijkstra."""
        return np.asarray(dijkstra(self.matrix, directed=False, indices=[node])[0], dtype=np.float32)

    def walk(self, start: int, field: Row) -> list[Point]:
        """The nodes from ``start`` downhill to where ``field`` is zero, both included; empty where there is no way."""
        if not np.isfinite(field[start]):
            return []
        node, points = start, [self._point(start)]
        starts, ends, costs = self.matrix.indptr, self.matrix.indices, self.matrix.data
        while field[node] > 0.0:
            edges = slice(starts[node], starts[node + 1])
            node = int(ends[edges][np.argmin(field[ends[edges]] + costs[edges])])
            points.append(self._point(node))
        return points

    def _point(self, node: int) -> Point:
        return Point(float(self.nodes[node, 0]), float(self.nodes[node, 1]))


class DistanceFields:
    """Distance fields of the places asked about most recently: at most ``capacity`` rows of four bytes a node.

    Several threads may ask at once.
    """

    def __init__(self, graph: WalkGraph, capacity: int = 512) -> None:
        if capacity < 1:
            raise ValueError("a cache of distance fields keeps at least one")
        self.graph = graph
        self._capacity = capacity
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._lock = Lock()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._rows)

    def to(self, node: int) -> Row:
        """Walking metres from every node to this one."""
        with self._lock:
            row = self._rows.get(node)
            if row is not None:
                self.hits += 1
                self._rows.move_to_end(node)
                return row
            self.misses += 1
        # Outside the lock: whoever asks about a known place need not wait. Two may work out the same row, equally.
        row = self.graph.distance_field(node)
        with self._lock:
            self._rows[node] = row
            self._rows.move_to_end(node)
            if len(self._rows) > self._capacity:
                self._rows.popitem(last=False)
        return row


class Walkways:
    """Distances and ways between any two places of a campus, over its paths where they reach."""

    def __init__(self, graph: WalkGraph | None, capacity: int = 512) -> None:
        self.graph = graph
        self.fields = DistanceFields(graph, capacity) if graph is not None else None

    @classmethod
    def of(cls, campus: CampusMap, capacity: int = 512) -> Walkways:
        return cls(WalkGraph.of(campus), capacity)

    def warm(self, points: Iterable[Point]) -> int:
        """Work out the fields of places that will be asked about; how many are kept now."""
        if self.graph is None or self.fields is None:
            return 0
        for point in points:
            self.fields.to(self.graph.snap(point).node)
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
