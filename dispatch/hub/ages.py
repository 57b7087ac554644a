"""How old a position is when it is written to a watcher's socket: plain counters, cheap enough for every delivery.

Two ages are counted. The age since receipt, ``now - received_at``, is on the server's clock alone. The age since the
reading, ``now - fixed_at``, would be on two clocks; see ``Skew`` for how it is corrected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from .frames import PositionRow

#: Upper edges in real milliseconds; what is older falls into the last, open bucket.
EDGES_MS = (
    5, 10, 25, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 30_000,
)  # fmt: skip


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
        return quantile_ms(self.counts, q)


def quantile_ms(counts: Sequence[int], q: float) -> float:
    """The upper edge of the bucket in which the q-quantile lies (infinite in the last, 0.0 while empty)."""
    rank, seen = q * sum(counts), 0
    if not rank:
        return 0.0
    for edge, count in zip((*EDGES_MS, float("inf")), counts, strict=True):
        seen += count
        if seen >= rank:
            return float(edge)
    return float("inf")


class Skew:
    """How far a runner's clock is behind ours, as nearly as can be known: the least ``received_at - fixed_at`` of late.

    That least difference is the skew of the clocks plus the shortest way that a reading of this runner took lately, so
    ``now - fixed_at - least_ms`` is the time by which a reading was older, when it was written, than the fastest one
    was on arrival: waiting in the phone, on a bad network and here, without the fastest network time itself. It is
    never less than the age since receipt. "Lately" is between one and two windows of business time, so that a clock
    that was set right, or drifts, is followed.
    """

    __slots__ = ("_former_ms", "least_ms", "recent_ms", "turns_at_ms")

    WINDOW_MS = 300_000

    def __init__(self, lag_ms: int, at_ms: int) -> None:
        self.least_ms = self.recent_ms = lag_ms
        self._former_ms: int | None = None
        self.turns_at_ms = at_ms + self.WINDOW_MS

    def see(self, lag_ms: int, at_ms: int) -> None:
        """A reading with this ``received_at - fixed_at`` was received; it says something new only if it is less than
        ``recent_ms``, or from ``turns_at_ms`` on."""
        if at_ms >= self.turns_at_ms:
            is_next = at_ms < self.turns_at_ms + self.WINDOW_MS
            self._former_ms = self.recent_ms if is_next else None
            self.recent_ms = lag_ms
            self.turns_at_ms = at_ms + self.WINDOW_MS
        elif lag_ms < self.recent_ms:
            self.recent_ms = lag_ms
        former_ms = self._former_ms
        self.least_ms = self.recent_ms if former_ms is None else min(former_ms, self.recent_ms)


class Freshness:
    """Both ages of what is shown. Rows are noted when they are queued and counted when the sockets were written to."""

    __slots__ = ("_age_scale", "_noted", "ages", "delivered", "fix_ages")

    def __init__(self, age_scale: float) -> None:
        """``age_scale`` turns business into real ms."""
        self._age_scale = age_scale
        self._noted: list[tuple[Sequence[PositionRow], int, Mapping[str, Skew]]] = []
        self.ages = Ages()  # since receipt
        self.fix_ages = Ages()  # since the reading, with the difference of the clocks taken out
        self.delivered = 0

    def note(self, rows: Sequence[PositionRow], times: int, skews: Mapping[str, Skew]) -> None:
        """These go to so many followers; ``skews`` are those of their runners."""
        self._noted.append((rows, times, skews))

    def measure(self, now_ms: int) -> None:
        """What was noted since the last call has been written."""
        noted, self._noted = self._noted, []
        ages: dict[int, int] = {}  # most rows of a flush have one of a few ages
        fix_ages: dict[int, int] = {}
        for rows, times, skews in noted:
            for row in rows:
                age_ms = now_ms - row[7]
                ages[age_ms] = ages.get(age_ms, 0) + times
                if (skew := skews.get(row[0])) is not None:
                    age_ms = now_ms - row[3] - skew.least_ms
                    fix_ages[age_ms] = fix_ages.get(age_ms, 0) + times
            self.delivered += times * len(rows)
        for found, counted in ((ages, self.ages), (fix_ages, self.fix_ages)):
            for age_ms, times in found.items():
                counted.add(age_ms * self._age_scale, times)
