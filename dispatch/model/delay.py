"""A delay: when an order that cannot make its promise is expected, as both its sides were told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: An arrival that is expected this little after the promise is no delay that anybody is told of in advance.
LEEWAY = timedelta(seconds=60)
#: Both sides hear again when what is expected has moved by more than this.
MOVED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Delay:
    """``expected_at``: when it is expected, as told last; the promise itself stays what it was."""

    campus_id: str
    order_id: str
    expected_at: datetime
    first_told_at: datetime
    told_at: datetime
    times: int


def is_delayed(promised_at: datetime, expected_at: datetime, now: datetime) -> bool:
    """Whether the promise is broken, or will be by what is expected now."""
    return now > promised_at or expected_at > promised_at + LEEWAY


def is_news(known: Delay | None, promised_at: datetime, expected_at: datetime, now: datetime) -> bool:
    """Whether both sides should be told: the first time, and again when it has moved."""
    if known is None:
        return is_delayed(promised_at, expected_at, now)
    return abs(expected_at - known.expected_at) > MOVED
