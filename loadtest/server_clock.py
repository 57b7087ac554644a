"""The server's business time as a client knows it: asked a few times, the quickest answer is believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class ServerClock:
    """Business milliseconds from this process's monotonic clock."""

    now_at_ms: float
    watch_at_s: float
    rate: float
    best_s: float
    watch: Callable[[], float] = time.perf_counter

    def now_ms(self) -> int:
        return int(self.now_at_ms + (self.watch() - self.watch_at_s) * 1000 * self.rate)

    def real_s(self, until_ms: float) -> float:
        """Real seconds from now until that business time; 0 when it is past."""
        return max(0.0, (until_ms - self.now_ms()) / 1000 / self.rate)

    def hear(self, asked_s: float, answered_s: float, now_ms: float) -> None:
        """Another answer of the server; a quicker one than those before replaces them."""
        took_s = answered_s - asked_s
        if took_s < self.best_s:
            self.now_at_ms, self.watch_at_s, self.best_s = now_ms, asked_s + took_s / 2, took_s


def first_answer(asked_s: float, answered_s: float, now_ms: float, rate: float) -> ServerClock:
    took_s = answered_s - asked_s
    return ServerClock(now_ms, asked_s + took_s / 2, rate, took_s)
