"""The simulator's two times: business time, which may be set and hastened, and the wall, which dates signatures."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec


class ClockTerms(msgspec.Struct, frozen=True, kw_only=True):
    """``start_ms``: what business time was when the wall showed ``origin_s``; ``calendar_rate``: how fast it runs;
    ``rate``: how many times faster the provider itself works and re-sends than it would."""

    start_ms: int
    origin_s: float
    calendar_rate: float = 1.0
    rate: float = 1.0


class Clock(Protocol):
    """What the simulator knows of time."""

    def now(self) -> datetime:
        """Business time, aware UTC."""

    def wall_s(self) -> float:
        """Seconds since 1970 as everybody's machines show them."""

    def hastened_s(self, provider_s: float) -> float:
        """Real seconds for what takes the provider ``provider_s``."""


class ScaledClock:
    """The clock of a running simulator."""

    def __init__(self, terms: ClockTerms) -> None:
        self.terms = terms

    @classmethod
    def started(cls, *, rate: float = 1.0, calendar_rate: float = 1.0, start: datetime | None = None) -> ScaledClock:
        """A clock that begins now, or at ``start``."""
        origin_s = time.time()
        start_ms = round((start.timestamp() if start else origin_s) * 1000)
        return cls(ClockTerms(start_ms=start_ms, origin_s=origin_s, calendar_rate=calendar_rate, rate=rate))

    def now(self) -> datetime:
        passed_s = (time.time() - self.terms.origin_s) * self.terms.calendar_rate
        return datetime.fromtimestamp(self.terms.start_ms / 1000, UTC) + timedelta(seconds=passed_s)

    def wall_s(self) -> float:
        return time.time()

    def hastened_s(self, provider_s: float) -> float:
        return provider_s / self.terms.rate
