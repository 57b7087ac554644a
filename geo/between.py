"""Walking metres between all the places of one moment, measured together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .distance_fields import DistanceFields
from .point import EARTH_RADIUS_M, Floats
from .walk_graph import SNAP_MAX_M

Rows = NDArray[np.intp]
_NONE = -1


class Between:
    """Metres from row ``a`` to row ``b`` of the given places; arrays of rows are broadcast together.

    A way is as long back as there, so the fields are those of whichever side has fewer nodes that are not at hand yet.
    What was gathered for one question serves the next. For one thread; at most ``most_bytes`` (or one row) are held.
    """

    def __init__(
        self, points: Floats, fields: DistanceFields | None, detour: float, most_bytes: int = 128 * 2**20
    ) -> None:
        self._detour = detour
        self._unit_m = _on_sphere_m(points)
        self._fields = fields if len(points) else None
        if self._fields is None:
            return
        nodes, self._offsets = self._fields.graph.snap_many(points)
        self._is_off = self._offsets > SNAP_MAX_M
        # Only the nodes that somebody stands at are columns of the table, numbered from 0.
        self._nodes, column = np.unique(nodes, return_inverse=True)
        self._column: Rows = column.reshape(-1)
        self._slot: Rows = np.full(len(self._nodes), _NONE, np.intp)
        self._used = 0
        self._most = max(1, most_bytes // (4 * len(self._nodes)))
        self._table = np.empty((min(64, self._most), len(self._nodes)), np.float32)

    def __call__(self, a: ArrayLike, b: ArrayLike) -> Floats:
        rows_a, rows_b = np.asarray(a, np.intp), np.asarray(b, np.intp)
        if self._fields is None:
            return self._straight(rows_a, rows_b) * self._detour
        shape = np.broadcast_shapes(rows_a.shape, rows_b.shape)
        if rows_a.ndim == 2 and rows_a.shape[1] == 1 and rows_b.shape in ((1, rows_b.size), (rows_b.size,)):
            return self._grid(rows_a[:, 0], rows_b.reshape(-1))
        if rows_b.ndim == 2 and rows_b.shape[1] == 1 and rows_a.shape in ((1, rows_a.size), (rows_a.size,)):
            return self._grid(rows_b[:, 0], rows_a.reshape(-1)).copy()
        flat_a, flat_b = (np.broadcast_to(rows, shape).reshape(-1) for rows in (rows_a, rows_b))
        return self._pairs(flat_a, flat_b).reshape(shape)

    def _grid(self, a: Rows, b: Rows) -> Floats:
        """Every ``a`` with every ``b``, shape (a, b)."""
        if len(self._missing(self._column[a])) < len(self._missing(self._column[b])):
            return np.ascontiguousarray(self._grid(b, a).T)
        out = np.empty((b.size, a.size))
        for first in range(0, b.size, self._most):
            some = self._column[b[first : first + self._most]]
            self._hold(np.unique(some))
            out[first : first + len(some)] = np.take(self._table[self._slot[some]], self._column[a], axis=1)
        out += self._offsets[a]
        out += self._offsets[b][:, None]
        for at_a, at_b in self._doubtful(a, b):
            out[at_b, at_a] = self._mended(a[at_a], b[at_b], out[at_b, at_a])
        return out.T

    def _doubtful(self, a: Rows, b: Rows) -> Iterator[tuple[Rows, Rows]]:
        """The pairs of a grid that the graph alone does not answer: a place off the paths, or twice the same node."""
        for off in np.flatnonzero(self._is_off[a]):
            yield np.full(b.size, off), np.arange(b.size)
        for off in np.flatnonzero(self._is_off[b]):
            yield np.arange(a.size), np.full(a.size, off)
        order = np.argsort(self._column[a], kind="stable")
        first, end = (np.searchsorted(self._column[a][order], self._column[b], side) for side in ("left", "right"))
        same = end - first
        at_b = np.repeat(np.arange(b.size), same)
        nth = np.arange(len(at_b)) - np.repeat(np.cumsum(same) - same, same)
        yield order[first[at_b] + nth], at_b

    def _pairs(self, a: Rows, b: Rows) -> Floats:
        """Each ``a`` with its ``b``."""
        column_a, column_b = self._column[a], self._column[b]
        is_new = (self._slot[column_a] == _NONE) & (self._slot[column_b] == _NONE)
        if is_new.any():
            new_a, new_b = self._missing(column_a[is_new]), self._missing(column_b[is_new])
            new = new_a if len(new_a) < len(new_b) else new_b
            if len(new) > self._most:
                half = len(a) // 2
                return np.concatenate((self._pairs(a[:half], b[:half]), self._pairs(a[half:], b[half:])))
            if self._used + len(new) > self._most:
                self._forget()
                return self._pairs(a, b)
            self._hold(new)
        slot_a, slot_b = self._slot[column_a], self._slot[column_b]
        from_b = slot_b != _NONE
        out = self._table[np.where(from_b, slot_b, slot_a), np.where(from_b, column_a, column_b)].astype(np.float64)
        out += self._offsets[a]
        out += self._offsets[b]
        doubtful = np.flatnonzero((column_a == column_b) | self._is_off[a] | self._is_off[b])
        if doubtful.size:
            out[doubtful] = self._mended(a[doubtful], b[doubtful], out[doubtful])
        return out

    def _mended(self, a: Rows, b: Rows, over: Floats) -> Floats:
        """Where the graph does not say how far it is: off the paths, or at the same node."""
        straight = self._straight(a, b)
        is_off = self._is_off[a] | self._is_off[b]
        return np.where(is_off, straight * self._detour, np.where(self._column[a] == self._column[b], straight, over))

    def _missing(self, columns: Rows) -> Rows:
        """The distinct columns without a row of their own yet."""
        is_asked = np.zeros(len(self._nodes), np.bool_)
        is_asked[columns] = True
        is_asked &= self._slot == _NONE
        return np.flatnonzero(is_asked)

    def _hold(self, columns: Rows) -> None:
        """Give each of these distinct columns, at most ``most``, a row; the others' are forgotten for want of room."""
        assert self._fields is not None
        new = columns[self._slot[columns] == _NONE]
        if self._used + len(new) > self._most:
            self._forget()
            new = columns
        end = self._used + len(new)
        if end > len(self._table):
            grown = np.empty((min(self._most, max(end, 2 * len(self._table))), len(self._nodes)), np.float32)
            grown[: self._used] = self._table[: self._used]
            self._table = grown
        for row, field in enumerate(self._fields.many(self._nodes[new].tolist()), self._used):
            np.take(field, self._nodes, out=self._table[row])
        self._slot[new] = np.arange(self._used, end)
        self._used = end

    def _forget(self) -> None:
        self._slot[:] = _NONE
        self._used = 0

    def _straight(self, a: Rows, b: Rows) -> Floats:
        """Great-circle metres: the chord, with the little by which the arc is longer."""
        chord = self._unit_m[a] - self._unit_m[b]
        metres = np.sqrt((chord * chord).sum(axis=-1))
        return cast(Floats, 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, metres / (2 * EARTH_RADIUS_M))))


def _on_sphere_m(points: Floats) -> Floats:
    """Places as metres from the earth's middle, shape (n, 3)."""
    lat, lon = np.radians(points[:, 0]), np.radians(points[:, 1])
    return EARTH_RADIUS_M * np.column_stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)))
