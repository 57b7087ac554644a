"""Time with a start and a rate: business time may run faster than real time; sockets and heartbeats never do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where now comes from. ``now`` is business time, aware UTC; ``monotonic_s`` real seconds since some instant."""

    @property
    def rate(self) -> float: ...

    def now(self) -> datetime: ...

    def monotonic_s(self) -> float: ...

    def real_s(self, business_s: float) -> float: ...


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Business time began at ``start`` when the real clock showed ``origin_s`` (Unix seconds), and runs ``rate`` times
    as fast. All processes of one server share the three numbers, so they agree on now as well as the machine does."""

    start: datetime
    origin_s: float
    rate: float = 1.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=(time.time() - self.origin_s) * self.rate)

    #: the system's own function, without a call in between: it is asked at every read of a socket
    monotonic_s = staticmethod(time.monotonic)

    def real_s(self, business_s: float) -> float:
        """How many real seconds pass while ``business_s`` do."""
        return business_s / self.rate


def real_clock() -> ScaledClock:
    """Business time is real time."""
    origin_s = time.time()
    return ScaledClock(datetime.fromtimestamp(origin_s, UTC), origin_s)


@dataclass(slots=True)
class ManualClock:
    """A clock that a test moves by hand; both of its times move together."""

    at: datetime
    rate: float = 1.0
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def real_s(self, business_s: float) -> float:
        return business_s / self.rate

    def advance(self, business_s: float) -> None:
        """Let ``business_s`` seconds of business time pass."""
        self.at += timedelta(seconds=business_s)
        self.elapsed_s += business_s / self.rate
