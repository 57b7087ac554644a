"""A breaker per channel: after failures in a row a channel is passed over for new orders, for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

FAILURES_TO_OPEN = 5
OPEN_S = 30.0


class Breaker(msgspec.Struct, frozen=True):
    """Failures in a row, and until when the channel is passed over."""

    failures: int = 0
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether new orders should go elsewhere; once the time is over, the next order is the probe."""
        return self.open_until is not None and now < self.open_until

    def after(self, *, is_success: bool, now: datetime) -> Breaker:
        """The breaker after one more call."""
        if is_success:
            return Breaker()
        failures = self.failures + 1
        is_tripped = failures >= FAILURES_TO_OPEN
        return Breaker(failures, now + timedelta(seconds=OPEN_S) if is_tripped else None)
