"""Days as providers count them: the calendar of one zone, each day from its first instant to the next one's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

#: The calendar of the providers' bills: one zone, no summer time.
CHINA = timezone(timedelta(hours=8), "UTC+8")


def day_of(at: datetime, zone: tzinfo) -> date:
    """The day that an instant belongs to.

    >>> day_of(datetime(2026, 3, 1, 16, 0, tzinfo=UTC), CHINA)
    datetime.date(2026, 3, 2)
    """
    return at.astimezone(zone).date()


def at_clock(day: date, clock: time, zone: tzinfo) -> datetime:
    """The instant at which the clocks of the zone show ``clock`` on that day."""
    return datetime.combine(day, clock, zone).astimezone(UTC)


def bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """The day's first instant, and the next day's.

    >>> bounds(date(2026, 3, 2), CHINA)[0]
    datetime.datetime(2026, 3, 1, 16, 0, tzinfo=datetime.timezone.utc)
    """
    return at_clock(day, time(), zone), at_clock(day + timedelta(days=1), time(), zone)
