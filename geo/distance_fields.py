"""Distance fields of the places asked about most recently, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from .junctions import Junctions
from .walk_graph import Row, WalkGraph

#: So many fields are worked out at a time: what is needed on the way stays small.
_AT_ONCE = 256


class DistanceFields:
    """At most ``capacity`` rows of four bytes a node.

    Several threads may ask at once.
    """

    def __init__(self, graph: WalkGraph, capacity: int = 512) -> None:
        if capacity < 1:
            raise ValueError("a cache of distance fields keeps at least one")
        self.graph = graph
        self._junctions = Junctions(graph.matrix)
        self._capacity = capacity
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._lock = Lock()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._rows)

    def to(self, node: int) -> Row:
        """Walking metres from every node to this one."""
        return self.many([node])[0]

    def many(self, nodes: Sequence[int]) -> list[Row]:
        """The fields of several nodes, in their order; what is missing is worked out together."""
        rows: dict[int, Row] = {}
        missing = []
        with self._lock:
            for node in nodes:
                row = self._rows.get(node)
                if row is not None:
                    self.hits += 1
                    self._rows.move_to_end(node)
                    rows[node] = row
                else:
                    self.misses += 1
                    missing.append(node)
        # Outside the lock: whoever asks about a known place need not wait. Two may work out the same row, equally.
        for first in range(0, len(missing), _AT_ONCE):
            some = missing[first : first + _AT_ONCE]
            found = self._junctions.fields(np.asarray(some, np.intp))
            # Copies: a view would keep all the others' rows alive for as long as one of them is kept.
            rows.update((node, found[i].copy() if len(some) > 1 else found[0]) for i, node in enumerate(some))
        if missing:
            with self._lock:
                for node in missing[-self._capacity :]:
                    self._rows[node] = rows[node]
                    self._rows.move_to_end(node)
                while len(self._rows) > self._capacity:
                    self._rows.popitem(last=False)
        return [rows[node] for node in nodes]
