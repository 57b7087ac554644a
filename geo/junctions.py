"""Distances over a graph through its junctions: most nodes lie on a path between two of them and need no search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

Rows = NDArray[np.intp]
Fields = NDArray[np.float32]

#: Above this a table of all junctions with each other would be too much to keep (four bytes a pair).
MOST_JUNCTIONS = 5_000
_ON_NONE = -1


class Junctions:
    """Where paths meet or end, and how far every other node lies from the two at the ends of its path.

    A search runs over the junctions alone and once for each of them; the rest is arithmetic. Several threads may ask
    at once: two may work out the same row, equally.
    """

    def __init__(self, matrix: csr_array, most: int = MOST_JUNCTIONS) -> None:
        self._matrix = matrix
        self._most = most
        count = matrix.shape[0]
        degree = np.diff(matrix.indptr)
        self._chain = np.full(count, _ON_NONE, np.intp)
        self._chains: list[Rows] = []
        self._ends: list[tuple[int, int, float]] = []
        self._end = np.zeros((2, count), np.intp)
        self._to_end = np.zeros((2, count))
        is_junction = degree != 2
        for node in np.flatnonzero(is_junction):
            self._follow_all(int(node), is_junction)
        for node in np.flatnonzero(~is_junction):  # a ring that nothing joins has no junction: any node will do
            if self._chain[node] == _ON_NONE and not is_junction[node]:
                is_junction[node] = True
                self._follow_all(int(node), is_junction)
        self._nodes: Rows = np.flatnonzero(is_junction)
        self._finish(count)

    def _follow_all(self, junction: int, is_junction: NDArray[np.bool_]) -> None:
        starts, ends, costs = self._matrix.indptr, self._matrix.indices, self._matrix.data
        for edge in range(starts[junction], starts[junction + 1]):
            self._follow(junction, int(ends[edge]), float(costs[edge]), is_junction)

    def _follow(self, junction: int, node: int, length: float, is_junction: NDArray[np.bool_]) -> None:
        """Along a path from a junction until the next one."""
        starts, ends, costs = self._matrix.indptr, self._matrix.indices, self._matrix.data
        before, members, metres = junction, [], []
        while not is_junction[node]:
            if self._chain[node] != _ON_NONE:
                return  # followed before, from its other end
            members.append(node)
            metres.append(length)
            edge = starts[node] if ends[starts[node]] != before else starts[node] + 1
            before, node, length = node, int(ends[edge]), length + float(costs[edge])
        if members or junction <= node:
            self._ends.append((junction, node, length))
        if members:
            rows = np.asarray(members, np.intp)
            self._chain[rows] = len(self._chains)
            self._chains.append(rows)
            self._end[0, rows], self._end[1, rows] = junction, node
            self._to_end[0, rows] = metres
            self._to_end[1, rows] = length - np.asarray(metres)

    def _finish(self, count: int) -> None:
        """Number the junctions, and join them by the shortest path between each two."""
        number = np.zeros(count, np.intp)
        number[self._nodes] = np.arange(len(self._nodes))
        self._end[:, self._nodes] = self._nodes
        self._end = number[self._end]
        shortest: dict[tuple[int, int], float] = {}
        for a, b, length in self._ends:
            pair = (int(min(number[a], number[b])), int(max(number[a], number[b])))
            if pair[0] != pair[1] and length < shortest.get(pair, np.inf):
                shortest[pair] = length
        rows = np.asarray(list(shortest), np.intp).reshape(-1, 2)
        size = len(self._nodes)
        lengths = np.fromiter(shortest.values(), np.float64, len(shortest))
        self._joined = csr_array((lengths, (rows[:, 0], rows[:, 1])), shape=(size, size))
        is_kept = 0 < size <= self._most
        self._table: Fields | None = np.empty((size, size), np.float32) if is_kept else None
        self._is_filled = np.zeros(size, np.bool_)

    def __len__(self) -> int:
        return len(self._nodes)

    def fields(self, nodes: Rows) -> Fields:
        """Metres from every node to each of ``nodes``, a row for each; infinite where there is no way."""
        if self._table is None:
            found = dijkstra(self._matrix, directed=False, indices=nodes)
            return np.asarray(found, dtype=np.float32).reshape(len(nodes), -1)
        missing = np.unique(self._end[:, nodes])
        missing = missing[~self._is_filled[missing]]
        if len(missing):
            self._table[missing] = dijkstra(self._joined, directed=False, indices=missing)
            self._is_filled[missing] = True
        to_end = self._to_end.astype(np.float32)
        near = [self._table[self._end[side, nodes]] + to_end[side, nodes, None] for side in (0, 1)]
        to_junctions = np.minimum(near[0], near[1], out=near[0])
        out: Fields = np.take(to_junctions, self._end[0], axis=1)
        out += to_end[0]
        other = np.take(to_junctions, self._end[1], axis=1)
        other += to_end[1]
        np.minimum(out, other, out=out)
        for row, node in enumerate(nodes):
            if (chain := self._chain[node]) != _ON_NONE:
                members = self._chains[chain]
                along = np.abs(self._to_end[0, members] - self._to_end[0, node]).astype(np.float32)
                out[row, members] = np.minimum(out[row, members], along)
        return out
