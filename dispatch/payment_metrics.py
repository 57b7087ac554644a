"""What payments tell Prometheus: how each channel's operations fare, which breaker is open, and what providers hold
against us."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from prometheus_client import Counter, Gauge

from payments.breaker import BreakerState
from payments.health import HealthView

#: Real seconds between two looks.
EVERY_S = 1.0
#: What a state is as a figure: the higher, the worse.
FIGURE: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}

_OF = ["channel", "operation"]
BREAKER = Gauge("dispatch_payment_breaker", "Breaker of a channel's operation: 0 closed, 1 half open, 2 open", _OF,
    multiprocess_mode="livemax")  # fmt: skip
OPEN_S = Gauge("dispatch_payment_breaker_open_seconds", "How long it has been in trouble", _OF,
    multiprocess_mode="livemax")  # fmt: skip
UNDER_WAY = Gauge("dispatch_payment_calls_under_way", "Calls to the institution that wait for an answer", _OF,
    multiprocess_mode="livesum")  # fmt: skip
SLOW = Gauge("dispatch_payment_calls_slow", "Those that have taken half of their time, and count as failing",
    _OF, multiprocess_mode="livesum")  # fmt: skip
CALLS = Counter("dispatch_payment_calls", "Calls that ended and say something of the institution: worked, failed",
    [*_OF, "outcome"])  # fmt: skip
COMPLAINTS = Counter("dispatch_payment_complaints", "What a person has to remove: our keys, our rights, our rate",
    ["channel", "reason"])  # fmt: skip


class PaymentMetrics:
    """Carries the health of one process's channels over, at most once a second."""

    def __init__(self, health: Callable[[], HealthView], monotonic_s: Callable[[], float] = monotonic) -> None:
        self._health = health
        self._monotonic_s = monotonic_s
        self._look_at_s = 0.0
        self._counted: dict[tuple[str, ...], int] = {}

    def look(self) -> None:
        """Take the figures over, unless that was done a moment ago."""
        now_s = self._monotonic_s()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + EVERY_S
        health = self._health()
        for each in health.breakers:
            of = (each.channel, each.operation)
            BREAKER.labels(*of).set(FIGURE[each.state])
            OPEN_S.labels(*of).set(each.open_s)
            UNDER_WAY.labels(*of).set(each.under_way)
            SLOW.labels(*of).set(each.slow)
            self._count(CALLS, (*of, "failed"), each.failed_calls)
            self._count(CALLS, (*of, "worked"), each.calls - each.failed_calls)
        for complaint in health.complaints:
            self._count(COMPLAINTS, (complaint.channel, complaint.reason), complaint.count)

    def _count(self, counter: Counter, labels: tuple[str, ...], total: int) -> None:
        counter.labels(*labels).inc(total - self._counted.get(labels, 0))
        self._counted[labels] = total
