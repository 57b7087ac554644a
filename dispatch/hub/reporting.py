"""How often a runner is asked to report: often while somebody waits for them, rarely else, less when we are late."""

from __future__ import annotations

from typing import NamedTuple

STRETCHES = (1, 2, 4)
#: Share of late flushes, within a window of this many seconds, that is too many, and that is few enough.
WINDOW_S = 5
TOO_MANY, FEW = 0.2, 0.02


class Reporting(NamedTuple):
    """Report every ``every_ms`` of real time, and sooner after having moved ``distance_m``."""

    every_ms: int
    distance_m: int


#: A task or an offer in hand: a student watches, or the planner counts on where they are.
BUSY = Reporting(3_000, 10)
IDLE = Reporting(10_000, 50)
#: Business milliseconds between reports, at most: half of what estimates of arrival take for old. It counts where
#: business time runs faster than real time, as far as pages can follow.
FRESH_MS, FASTEST_MS = 30_000, 250


def reporting(*, is_busy: bool, stretch: int, time_scale: float) -> Reporting:
    wanted = BUSY if is_busy else IDLE
    every_ms = min(wanted.every_ms, max(FASTEST_MS, round(FRESH_MS / time_scale)))
    return Reporting(every_ms * stretch, wanted.distance_m * stretch)


class Stretch:
    """A worker whose flushes are late asks its runners to report more rarely, step by step, and back again."""

    __slots__ = ("_flushes", "_late", "_turns_s", "factor")

    def __init__(self) -> None:
        self.factor = STRETCHES[0]
        self._turns_s: int | None = None
        self._flushes = self._late = 0

    def see(self, flushes: int, late: int, second: int) -> int:
        """All flushes so far and how many of them were late; the factor that holds. One step per window at most: what
        runners were told last shows only after they have reported."""
        if self._turns_s is not None and second < self._turns_s:
            return self.factor
        count = flushes - self._flushes
        share = (late - self._late) / count if count else 0.0
        step = STRETCHES.index(self.factor)
        if self._turns_s is None or FEW < share <= TOO_MANY:
            pass
        elif share > TOO_MANY:
            self.factor = STRETCHES[min(step + 1, len(STRETCHES) - 1)]
        else:
            self.factor = STRETCHES[max(step - 1, 0)]
        self._flushes, self._late, self._turns_s = flushes, late, second + WINDOW_S
        return self.factor
