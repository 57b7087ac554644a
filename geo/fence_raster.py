"""The ground cut into squares, each of which knows the fences around it: one look-up instead of one test per fence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import fence_shape
from .fence_shape import LaidFence
from .point import Floats

_FINEST_M = 4.0
_MOST_SQUARES = 250_000


class Kind(NamedTuple):
    """A kind of square: the fences (rows) that it lies wholly inside of, those whose edge may cut it, and those that
    nobody has left who stands in it."""

    inside: tuple[int, ...] = ()
    edge: tuple[int, ...] = ()
    near: tuple[int, ...] = ()

    def is_settled(self, stays: Collection[int]) -> bool:
        """Whether somebody with these stays neither enters nor leaves as long as they are in such squares."""
        if not stays:
            return not self.inside and not self.edge
        certain = (*self.inside, *self.edge)
        if not all(row in stays for row in certain):
            return False
        return len(stays) == len(certain) + sum(row in stays for row in self.near)


class FenceRaster:
    """Squares of at least 4 m over all fences, and around them the wide world, where nothing is fenced (kind 0)."""

    def __init__(self, laid: Sequence[LaidFence]) -> None:
        self.kinds: list[Kind] = [Kind()]
        boxes = [_reach_of(fence) for fence in laid] or [(0.0, 0.0, 0.0, 0.0)]
        west, south = min(box[0] for box in boxes), min(box[1] for box in boxes)
        width, height = max(box[2] for box in boxes) - west, max(box[3] for box in boxes) - south
        self._square_m = max(_FINEST_M, sqrt(max(1.0, width * height) / _MOST_SQUARES))
        # A rim of one free square: whatever lies farther out is looked up there.
        self._west, self._south = west - self._square_m, south - self._square_m
        self._columns = ceil(width / self._square_m) + 3
        self._rows = ceil(height / self._square_m) + 3
        grid = np.zeros((self._rows, self._columns), np.int64)
        for row, fence in enumerate(laid):
            self._lay(grid, row, fence)
        grid[0, :] = grid[-1, :] = grid[:, 0] = grid[:, -1] = 0
        self._grid = grid.astype(np.int32).ravel()

    def look_up(self, x: Floats, y: Floats) -> NDArray[np.int32]:
        """The kinds (rows of ``kinds``) of the squares in which the points lie."""
        column = ((x - self._west) * (1.0 / self._square_m)).clip(0.0, self._columns - 1)
        row = ((y - self._south) * (1.0 / self._square_m)).clip(0.0, self._rows - 1)
        return self._grid.take(row.astype(np.intp) * self._columns + column.astype(np.intp))

    def _lay(self, grid: NDArray[np.int64], number: int, fence: LaidFence) -> None:
        """Mark what the fence covers; each new combination of fences becomes a kind."""
        west, south, east, north = _reach_of(fence)
        left, right = self._span(west - self._west, east - self._west)
        low, high = self._span(south - self._south, north - self._south)
        x = self._west + (np.arange(left, right) + 0.5) * self._square_m
        y = self._south + (np.arange(low, high) + 0.5) * self._square_m
        xs, ys = np.meshgrid(x, y)
        # A little more than half the diagonal, so that rounding puts no point into a wrong square.
        found = fence.sort_squares(xs.ravel(), ys.ravel(), 0.7072 * self._square_m + 0.01)
        part = grid[low:high, left:right]
        combined, inverse = np.unique(part.ravel() * 4 + found, return_inverse=True)
        kinds = np.array([self._with(int(value) // 4, int(value) % 4, number) for value in combined])
        part[...] = kinds[inverse].reshape(part.shape)

    def _with(self, kind_row: int, relation: int, number: int) -> int:
        if relation == fence_shape.OUTSIDE:
            return kind_row
        inside, edge, near = self.kinds[kind_row]
        match relation:
            case fence_shape.INSIDE:
                kind = Kind((*inside, number), edge, near)
            case fence_shape.EDGE:
                kind = Kind(inside, (*edge, number), near)
            case _:
                kind = Kind(inside, edge, (*near, number))
        self.kinds.append(kind)
        return len(self.kinds) - 1

    def _span(self, first_m: float, last_m: float) -> tuple[int, int]:
        """From the square before the first metre to the one behind the last."""
        return max(0, int(first_m / self._square_m) - 1), int(last_m / self._square_m) + 2


def _reach_of(fence: LaidFence) -> tuple[float, float, float, float]:
    """The box in which somebody may be inside of the fence, or not out of it yet."""
    west, south, east, north = fence.bounds
    margin_m = fence.exit_margin_m
    return west - margin_m, south - margin_m, east + margin_m, north + margin_m
