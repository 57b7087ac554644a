"""When a runner can be sent: the weekly timetable of classes and shifts, breaks, and the rest after a refusal.

A timetable is written in the campus's local time, as people know it. Where the clocks change, a class holds from the
first moment at which the clock on the wall shows its beginning to the last at which it has not yet shown its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from .errors import InvalidInput

#: Entries of one timetable, weeks of one term.
MAX_ENTRIES, MAX_WEEKS = 120, 53
#: A break lasts at least and at most so long.
LEAST_BREAK, LONGEST_BREAK = timedelta(minutes=1), timedelta(hours=4)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class Absence(StrEnum):
    """Why a runner on duty is given nothing new; the optimizer's exclusions have the same names."""

    OFF_SHIFT = "off_shift"
    ON_BREAK = "on_break"
    IN_CLASS = "in_class"
    COOLING_DOWN = "cooling_down"
    CREDIT_TOO_LOW = "credit_too_low"


Week = Annotated[int, Meta(ge=1, le=MAX_WEEKS)]


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that comes every week: ``class``, in which nobody is disturbed, or ``shift``, in which they carry.

    ``weekday``: 1 is Monday. Minutes of the day, campus-local; ``to_min`` not after ``from_min``: it ends on the next
    day. ``first_day`` and ``last_day`` (both inclusive) and ``weeks`` of the term say when it is valid; it belongs to
    the day on which it begins.
    """

    kind: Literal["class", "shift"]
    weekday: Annotated[int, Meta(ge=1, le=7)]
    from_min: Annotated[int, Meta(ge=0, le=1439)]
    to_min: Annotated[int, Meta(ge=1, le=1440)]
    first_day: date | None = None
    last_day: date | None = None
    weeks: Annotated[tuple[Week, ...], Meta(max_length=MAX_WEEKS)] = ()
    label: Annotated[str, Meta(max_length=60)] = ""


class Timetable(Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """``term_starts``: a day of the term's first week; weeks begin on Monday."""

    term_starts: date | None = None
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES)] = ()


@dataclass(frozen=True, slots=True)
class RunnerPlan:
    """What a runner planned. ``zones``: ids of the geofences where they work; None: everywhere."""

    runner_id: str
    campus_id: str
    version: int
    timetable: Timetable
    zones: tuple[str, ...] | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RunnerPause:
    """What keeps a runner from being asked for a while. ``declines``: refusals in a row, last at ``declined_at``."""

    runner_id: str
    campus_id: str
    break_until: datetime | None = None
    cool_until: datetime | None = None
    declines: int = 0
    declined_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """``excluded`` None: can be sent now, and until then (None: nothing is planned within a day)."""

    excluded: Absence | None
    until: datetime | None


def check_timetable(timetable: Timetable) -> None:
    """Raises :class:`InvalidInput` with the entry's field where an entry contradicts itself."""
    for row, entry in enumerate(timetable.entries):
        if entry.from_min == entry.to_min % 1440:
            raise InvalidInput("it ends when it begins", field=f"entries.{row}.to_min")
        if entry.first_day and entry.last_day and entry.last_day < entry.first_day:
            raise InvalidInput("the last day is before the first", field=f"entries.{row}.last_day")
        if entry.weeks and timetable.term_starts is None:
            raise InvalidInput("weeks need to know when the term starts", field="term_starts")


def week_of(day: date, term_starts: date) -> int:
    """The week of the term, the first is 1; zero and less before the term."""
    monday = term_starts - timedelta(days=term_starts.weekday())
    return (day - monday).days // 7 + 1


def is_valid_on(entry: Entry, day: date, term_starts: date | None) -> bool:
    """Whether the entry's dates and weeks include this day, whatever its weekday."""
    if (entry.first_day and day < entry.first_day) or (entry.last_day and day > entry.last_day):
        return False
    return not entry.weeks or (term_starts is not None and week_of(day, term_starts) in entry.weeks)


# --- local time -------------------------------------------------------------------------------------------------------


def first_instant(zone: ZoneInfo, day: date, minute: int) -> datetime:
    """The first instant of the day at which the clock on the wall shows ``minute`` or later; 1440 is midnight."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minute)
    early, late = _both(zone, wall)
    if early <= late:
        return early
    # The clock jumps over it: the jump itself, which lies between what the two offsets make of it.
    low, high = late, early
    while high - low > _SECOND:
        middle = low + (high - low) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def last_instant(zone: ZoneInfo, day: date, minute: int) -> datetime:
    """As :func:`first_instant`, but where the clock shows it twice the second time."""
    early, late = _both(zone, datetime.combine(day, time()) + timedelta(minutes=minute))
    return late if early <= late else first_instant(zone, day, minute)


def _both(zone: ZoneInfo, wall: datetime) -> tuple[datetime, datetime]:
    """What the offsets before and after a change of the clocks make of a time on the wall; the same on most days."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


# --- the agenda -------------------------------------------------------------------------------------------------------

#: When what changes, over two local days: (instant, why they cannot be sent from then on).
Agenda = tuple[tuple[datetime, Absence | None], ...]
_Span = tuple[datetime, datetime]


@lru_cache(maxsize=8_192)
def agenda(timetable: Timetable, time_zone: str, day: date) -> Agenda:
    """What the timetable says of this local day and the next.

    On a day on which some shift is valid, whoever has shifts is off shift outside of them, also where the day has none;
    without valid shifts they carry whenever they are on duty.
    """
    zone = ZoneInfo(time_zone)
    days = [day, day + _DAY]
    spans = list(_spans(timetable, zone, [day - _DAY, *days]))
    classes = [span for kind, span in spans if kind == "class"]
    shifts = [span for kind, span in spans if kind == "shift"]
    midnights = [first_instant(zone, one, 0) for one in (*days, day + 2 * _DAY)]
    has_shifts = [
        any(entry.kind == "shift" and is_valid_on(entry, one, timetable.term_starts) for entry in timetable.entries)
        for one in days
    ]

    def absence(at: datetime) -> Absence | None:
        if _holds(classes, at):
            return Absence.IN_CLASS
        if has_shifts[at >= midnights[1]] and not _holds(shifts, at):
            return Absence.OFF_SHIFT
        return None

    moments = {moment for span in classes + shifts for moment in span if midnights[0] < moment < midnights[2]}
    steps: list[tuple[datetime, Absence | None]] = []
    for moment in sorted(moments | set(midnights[:2])):
        now = absence(moment)
        if not steps or steps[-1][1] is not now:
            steps.append((moment, now))
    return tuple(steps)


def _spans(timetable: Timetable, zone: ZoneInfo, days: Iterable[date]) -> Iterable[tuple[str, _Span]]:
    for day in days:
        for entry in timetable.entries:
            if entry.weekday == day.isoweekday() and is_valid_on(entry, day, timetable.term_starts):
                ends = entry.to_min + (1440 if entry.to_min <= entry.from_min else 0)
                yield entry.kind, (first_instant(zone, day, entry.from_min), last_instant(zone, day, ends))


def _holds(spans: list[_Span], at: datetime) -> bool:
    return any(start <= at < end for start, end in spans)


def availability(
    now: datetime, timetable: Timetable | None, time_zone: str, pause: RunnerPause | None = None
) -> Availability:
    """Whether a runner on duty can be sent, and until when."""
    steps: Agenda = ()
    if timetable is not None and timetable.entries:
        steps = agenda(timetable, time_zone, now.astimezone(ZoneInfo(time_zone)).date())
    at = bisect_right(steps, now, key=lambda step: step[0]) - 1
    excluded = steps[at][1] if steps else None
    if pause is not None and pause.break_until is not None and now < pause.break_until:
        excluded = Absence.ON_BREAK
    elif excluded is None and pause is not None and pause.cool_until is not None and now < pause.cool_until:
        excluded = Absence.COOLING_DOWN
    if excluded is not None:
        return Availability(excluded, None)
    return Availability(None, next((moment for moment, why in steps[at + 1 :] if why is not None), None))


# --- refusals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CoolDown:
    """A runner who declined is left in peace for ``first_s``, twice as long after each further refusal within
    ``forget_s``, at most for ``longest_s``. 0: not at all."""

    first_s: int = 60
    longest_s: int = 600
    forget_s: int = 1800

    def after(self, pause: RunnerPause, now: datetime, busy_s: int | None = None) -> RunnerPause:
        """The pause after a refusal; ``busy_s``: they said themselves for how long, which counts as no refusal."""
        if busy_s is not None:
            return _with(pause, now + timedelta(seconds=busy_s), pause.declines, pause.declined_at)
        is_row = pause.declined_at is not None and now - pause.declined_at < timedelta(seconds=self.forget_s)
        declines = pause.declines + 1 if is_row else 1
        rest_s = min(self.first_s * 2 ** min(declines - 1, 20), self.longest_s)
        return _with(pause, now + timedelta(seconds=rest_s), declines, now)


def rested(pause: RunnerPause) -> RunnerPause:
    """After an errand was taken: earlier refusals are forgotten."""
    return _with(pause, None, 0, None)


def _with(pause: RunnerPause, cool_until: datetime | None, declines: int, declined_at: datetime | None) -> RunnerPause:
    return RunnerPause(pause.runner_id, pause.campus_id, pause.break_until, cool_until, declines, declined_at)
