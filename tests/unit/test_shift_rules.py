"""Shifts, classes, breaks and rests: what a timetable means at an instant, also at midnight and where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dispatch.model.errors import InvalidInput
from dispatch.model.shift import (
    Absence,
    CoolDown,
    Entry,
    RunnerPause,
    Timetable,
    availability,
    check_timetable,
    first_instant,
    last_instant,
    rested,
    week_of,
)

SHANGHAI, NEW_YORK = "Asia/Shanghai", "America/New_York"
#: A Monday.
MONDAY = date(2026, 3, 2)


def at(zone: str, day: date, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def entry(kind: Any, weekday: int, start: str, end: str, **more: Any) -> Entry:
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (start, end))
    return Entry(kind=kind, weekday=weekday, from_min=first, to_min=last, **more)


def table(*entries: Entry, term: date | None = None) -> Timetable:
    return Timetable(term, entries)


def why(now: datetime, timetable: Timetable, zone: str = SHANGHAI) -> str | None:
    found = availability(now, timetable, zone).excluded
    return None if found is None else str(found)


def until(now: datetime, timetable: Timetable, zone: str = SHANGHAI) -> datetime | None:
    return availability(now, timetable, zone).until


def test_without_a_timetable_whoever_is_on_duty_is_available() -> None:
    now = at(SHANGHAI, MONDAY, 10)
    assert availability(now, Timetable(), SHANGHAI).excluded is None
    assert availability(now, None, SHANGHAI).until is None


def test_a_class_keeps_from_its_first_minute_to_its_last() -> None:
    week = table(entry("class", 1, "08:00", "09:35"))
    assert [why(at(SHANGHAI, MONDAY, *hour), week) for hour in ((7, 59), (8, 0), (9, 34), (9, 35))] == [
        None, "in_class", "in_class", None,
    ]  # fmt: skip
    assert why(at(SHANGHAI, MONDAY + timedelta(1), 8), week) is None
    assert until(at(SHANGHAI, MONDAY, 7), week) == at(SHANGHAI, MONDAY, 8)
    assert until(at(SHANGHAI, MONDAY, 9, 35), week) is None
    # The evening before: tomorrow's class is known.
    assert until(at(SHANGHAI, MONDAY - timedelta(1), 23), week) == at(SHANGHAI, MONDAY, 8)


def test_outside_of_shifts_somebody_with_shifts_is_off() -> None:
    week = table(entry("shift", 1, "11:00", "13:00"), entry("shift", 1, "12:30", "14:00"))
    assert why(at(SHANGHAI, MONDAY, 10, 59), week) == "off_shift"
    assert why(at(SHANGHAI, MONDAY, 12), week) is None
    assert until(at(SHANGHAI, MONDAY, 12), week) == at(SHANGHAI, MONDAY, 14), "shifts that touch are one"
    assert why(at(SHANGHAI, MONDAY, 14), week) == "off_shift"
    assert why(at(SHANGHAI, MONDAY + timedelta(1), 12), week) == "off_shift", "a day without a shift is free"


def test_a_class_in_a_shift_wins() -> None:
    week = table(entry("shift", 1, "08:00", "14:00"), entry("class", 1, "10:00", "11:00"))
    assert until(at(SHANGHAI, MONDAY, 8), week) == at(SHANGHAI, MONDAY, 10)
    assert why(at(SHANGHAI, MONDAY, 10, 30), week) == "in_class"
    assert why(at(SHANGHAI, MONDAY, 11), week) is None


def test_a_shift_on_one_day_says_nothing_of_other_days() -> None:
    once = MONDAY + timedelta(2)
    week = table(entry("shift", 3, "11:00", "13:00", first_day=once, last_day=once))
    assert why(at(SHANGHAI, MONDAY, 9), week) is None
    assert why(at(SHANGHAI, once, 10), week) == "off_shift" and why(at(SHANGHAI, once, 11), week) is None
    # The evening before it is known that from midnight on there is a plan.
    assert until(at(SHANGHAI, once - timedelta(1), 20), week) == at(SHANGHAI, once, 0)


def test_what_runs_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    week = table(entry("shift", 7, "22:00", "02:00"), entry("shift", 1, "20:00", "24:00"))
    sunday = MONDAY - timedelta(1)
    assert why(at(SHANGHAI, sunday, 23, 59), week) is None and why(at(SHANGHAI, MONDAY, 1, 59), week) is None
    assert until(at(SHANGHAI, MONDAY, 1), week) == at(SHANGHAI, MONDAY, 2)
    assert until(at(SHANGHAI, sunday, 23), week) == at(SHANGHAI, MONDAY, 2)
    assert why(at(SHANGHAI, MONDAY, 2), week) == "off_shift"
    assert why(at(SHANGHAI, MONDAY, 23, 59), week) is None
    assert why(at(SHANGHAI, MONDAY + timedelta(1), 0), week) == "off_shift"


def test_dates_and_weeks_of_the_term_bound_an_entry() -> None:
    in_march = entry("class", 1, "08:00", "09:00", first_day=date(2026, 3, 9), last_day=date(2026, 3, 16))
    found = [why(at(SHANGHAI, MONDAY + timedelta(7 * week), 8), table(in_march)) for week in range(4)]
    assert found == [None, "in_class", "in_class", None], "both days are included"
    odd = entry("class", 1, "08:00", "09:00", weeks=(1, 3))
    # The term starts on a Wednesday: its first week is that Monday's.
    term = table(odd, term=MONDAY + timedelta(2))
    assert [why(at(SHANGHAI, MONDAY + timedelta(7 * week), 8), term) for week in range(-1, 4)] == [
        None, "in_class", None, "in_class", None,
    ]  # fmt: skip
    assert [week_of(MONDAY + timedelta(days), MONDAY + timedelta(2)) for days in (-1, 0, 6, 7)] == [0, 1, 1, 2]


def test_local_time_is_the_campuss() -> None:
    week = table(entry("class", 1, "08:00", "09:00"))
    assert why(at(NEW_YORK, MONDAY, 8), week, NEW_YORK) == "in_class"
    assert why(at(NEW_YORK, MONDAY, 8), week, SHANGHAI) is None


def test_where_the_clock_jumps_ahead() -> None:
    spring = date(2026, 3, 8)  # 02:00 becomes 03:00 in New York, at 07:00 UTC
    jump = datetime(2026, 3, 8, 7, tzinfo=UTC)
    zone = ZoneInfo(NEW_YORK)
    assert first_instant(zone, spring, 150) == jump == last_instant(zone, spring, 150)
    assert first_instant(zone, spring, 120) == jump == first_instant(zone, spring, 180)
    week = table(entry("class", 7, "02:30", "03:15"))
    assert why(jump - timedelta(seconds=1), week, NEW_YORK) is None
    assert why(jump, week, NEW_YORK) == "in_class", "the clock shows 03:00, which is after 02:30"
    assert why(jump + timedelta(minutes=15), week, NEW_YORK) is None
    gone = table(entry("class", 7, "02:10", "02:50"))
    assert why(jump, gone, NEW_YORK) is None, "it never comes on that day"


def test_where_the_clock_is_set_back() -> None:
    autumn = date(2026, 11, 1)  # 01:00 to 02:00 comes twice
    week = table(entry("class", 7, "01:15", "01:45"))
    hours = [(1, 14, 0), (1, 15, 0), (1, 50, 0), (1, 44, 1), (1, 45, 1)]
    found = [why(at(NEW_YORK, autumn, hour, minute, fold=fold), week, NEW_YORK) for hour, minute, fold in hours]
    assert found == [None, "in_class", "in_class", "in_class", None], "from the first time to the last"


def test_a_day_that_has_no_midnight() -> None:
    # In Santiago the clocks go from 24:00 to 01:00.
    zone, spring = "America/Santiago", date(2026, 9, 6)
    week = table(entry("shift", 7, "00:00", "02:00", first_day=spring, last_day=spring))
    starts = first_instant(ZoneInfo(zone), spring, 0)
    assert starts.astimezone(ZoneInfo(zone)).hour == 1
    assert why(starts, week, zone) is None and why(starts + timedelta(hours=1), week, zone) == "off_shift"


@pytest.mark.parametrize(
    ("timetable", "field"),
    [
        (table(entry("class", 1, "08:00", "08:00")), "entries.0.to_min"),
        (table(entry("class", 1, "00:00", "24:00")), "entries.0.to_min"),
        (
            table(entry("class", 1, "08:00", "09:00"), entry("class", 1, "08:00", "09:00", first_day=MONDAY,
                                                             last_day=MONDAY - timedelta(1))),
            "entries.1.last_day",
        ),
        (table(entry("class", 1, "08:00", "09:00", weeks=(1,))), "term_starts"),
    ],
)  # fmt: skip
def test_an_entry_that_contradicts_itself_is_refused_by_name(timetable: Timetable, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_timetable(timetable)
    assert refused.value.field == field


NOW = datetime(2026, 3, 2, 4, tzinfo=UTC)
IDLE = RunnerPause("acc_r", "cmp_1")


def test_a_break_counts_before_everything_and_ends_by_itself() -> None:
    week = table(entry("class", 1, "11:00", "13:00"))
    pause = RunnerPause("acc_r", "cmp_1", break_until=NOW + timedelta(minutes=5), cool_until=NOW + timedelta(hours=1))
    assert availability(NOW, week, SHANGHAI, pause).excluded is Absence.ON_BREAK
    assert availability(NOW + timedelta(minutes=5), week, SHANGHAI, pause).excluded is Absence.IN_CLASS
    assert availability(NOW + timedelta(minutes=5), None, SHANGHAI, pause).excluded is Absence.COOLING_DOWN
    assert availability(NOW + timedelta(hours=1), None, SHANGHAI, pause).excluded is None


def test_each_refusal_in_a_row_rests_twice_as_long_up_to_a_bound() -> None:
    rules, pause, now, rests = CoolDown(60, 600, 1800), IDLE, NOW, []
    for _ in range(6):
        pause = rules.after(pause, now)
        assert pause.cool_until is not None
        rests.append((pause.cool_until - now).total_seconds())
        now = pause.cool_until
    assert rests == [60, 120, 240, 480, 600, 600]
    later = rules.after(pause, now + timedelta(seconds=1800))
    assert later.declines == 1, "refusals of long ago are forgotten"
    assert rested(pause) == IDLE


def test_whoever_says_they_are_busy_is_asked_later_and_has_refused_nothing() -> None:
    rules = CoolDown()
    busy = rules.after(rules.after(IDLE, NOW), NOW, busy_s=900)
    assert busy.cool_until == NOW + timedelta(seconds=900) and busy.declines == 1
    assert rules.after(busy, NOW).cool_until == NOW + timedelta(seconds=120)


def test_a_campus_may_let_nobody_rest() -> None:
    pause = CoolDown(first_s=0).after(IDLE, NOW)
    assert availability(NOW, None, SHANGHAI, pause).excluded is None


def test_the_optimizer_knows_these_reasons_by_the_same_names() -> None:
    from dispatch.assign.state import Exclusion

    known = {str(one) for one in Exclusion}
    missing = {str(one) for one in Absence} - known
    assert not missing
