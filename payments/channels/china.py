"""What providers in China write alike: Beijing's calendar, and amounts in yuan with two places."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from payments.money import Fen

#: China has had one time zone and no summer time since 1991.
BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")

#: Until so many hours into the next day a bill that is not there may still come.
BILL_HOURS = 12

_YUAN = re.compile(r"([+-]?)(\d{1,10})(?:\.(\d{1,2}))?")


def fen_of_yuan(text: str) -> Fen | None:
    """An amount in yuan as fen, without ever being a float; None: not an amount.

    >>> fen_of_yuan("12.5"), fen_of_yuan("-0.05"), fen_of_yuan("1e3")
    (1250, -5, None)
    """
    match = _YUAN.fullmatch(text.strip())
    if match is None or not text.isascii():
        return None
    sign, whole, rest = match.groups()
    fen = int(whole) * 100 + int((rest or "").ljust(2, "0"))
    return Fen(-fen if sign == "-" else fen)


def beijing_text(at: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment as a provider wants to read it."""
    return at.astimezone(BEIJING).strftime(form)


def beijing_moment(text: str, form: str = "%Y-%m-%d %H:%M:%S") -> datetime | None:
    """The moment that a provider wrote; None: not one."""
    try:
        return datetime.strptime(text.strip(), form).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None


def beijing_day(at: datetime) -> date:
    """The provider's day of a moment."""
    return at.astimezone(BEIJING).date()


def is_bill_overdue(day: date, now: datetime) -> bool:
    """Whether a bill of that day that is not there now will not come any more."""
    ready_at = datetime(day.year, day.month, day.day, tzinfo=BEIJING) + timedelta(days=1, hours=BILL_HOURS)
    return now >= ready_at
