"""How old a position is when it is written to a watcher's socket: plain counters, cheap enough for every delivery."""

from __future__ import annotations

from bisect import bisect_left

#: Upper edges in real milliseconds; what is older falls into the last, open bucket.
EDGES_MS = (5, 10, 25, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)


class Ages:
    """A histogram of ages."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES_MS) + 1)
        self.sum_ms = 0.0

    def add(self, age_ms: float, times: int = 1) -> None:
        """``age_ms`` is real time; a clock that stepped back counts as 0."""
        self.counts[bisect_left(EDGES_MS, age_ms)] += times
        if age_ms > 0:
            self.sum_ms += age_ms * times

    @property
    def total(self) -> int:
        return sum(self.counts)

    def quantile_ms(self, q: float) -> float:
        """The upper edge of the bucket in which the q-quantile lies (infinite in the last, 0.0 while empty)."""
        rank, seen = q * self.total, 0
        if not rank:
            return 0.0
        for edge, count in zip((*EDGES_MS, float("inf")), self.counts, strict=True):
            seen += count
            if seen >= rank:
                return float(edge)
        return float("inf")
