"""Timetables from files: what calendars and tables say, and every fault told by line and field."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.model.errors import InvalidInput
from dispatch.model.shift import MAX_ENTRIES, Entry, Timetable
from dispatch.model.timetable_files import MAX_BYTES, as_table, read_timetable, read_weeks

ZONE = "Asia/Shanghai"


def event(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def calendar(*events: str) -> bytes:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *events, "END:VCALENDAR", ""]).encode()


def of_calendar(*events: str) -> Timetable:
    return read_timetable(calendar(*events), "text/calendar", ZONE)


MATHS = (
    "SUMMARY:高等数学\\, 上",
    "DTSTART;TZID=Asia/Shanghai:20260302T080000",
    "DTEND;TZID=Asia/Shanghai:20260302T093500",
)


def test_a_weekly_class_is_one_entry_from_its_first_day_to_its_last() -> None:
    found = of_calendar(event(*MATHS, "RRULE:FREQ=WEEKLY;COUNT=16;BYDAY=MO,WE"))
    assert found.term_starts is None
    assert [(one.weekday, one.from_min, one.to_min, one.first_day, one.last_day) for one in found.entries] == [
        (1, 480, 575, date(2026, 3, 2), date(2026, 4, 20)),
        (3, 480, 575, date(2026, 3, 4), date(2026, 4, 22)),
    ]
    assert {one.label for one in found.entries} == {"高等数学, 上"}


def test_weeks_that_are_left_out_are_left_out() -> None:
    found = of_calendar(
        event(*MATHS, "RRULE:FREQ=WEEKLY;UNTIL=20260331T000000Z", "EXDATE;TZID=Asia/Shanghai:20260309T080000"),
        event("DTSTART:20260303T020000Z", "DURATION:PT1H35M", "RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3"),
    )
    assert found.term_starts == date(2026, 3, 2)
    assert [(one.weekday, one.weeks) for one in found.entries] == [(1, (1, 3, 4, 5)), (2, (1, 3, 5))]
    assert found.entries[1].from_min == 600, "UTC becomes the campus's time"


def test_single_events_of_one_class_are_one_entry() -> None:
    weekly = [
        event("SUMMARY:体育", f"DTSTART:202603{day:02d}T140000", f"DTEND:202603{day:02d}T153000") for day in (3, 10, 17)
    ]
    found = of_calendar(*weekly)
    assert [(one.first_day, one.last_day, one.weeks) for one in found.entries] == [
        (date(2026, 3, 3), date(2026, 3, 17), ())
    ]


def test_whole_days_and_cancelled_events_are_left_out_and_folded_lines_read() -> None:
    found = of_calendar(
        event("DTSTART;VALUE=DATE:20260303", "SUMMARY:校庆"),
        event(*MATHS, "STATUS:CANCELLED"),
        event("SUMMARY:大学\r\n 物理", "DTSTART:20260304T100000", "DTEND:20260304T113500", "BEGIN:VALARM",
              "TRIGGER:-PT15M", "DTSTART:rubbish", "END:VALARM"),
    )  # fmt: skip
    assert [one.label for one in found.entries] == ["大学物理"]


@pytest.mark.parametrize("until", ["99991231", "99991231T235959Z", "29990101T000000"])
def test_a_rule_that_ends_in_thousands_of_years_has_no_end(until: str) -> None:
    endless = of_calendar(event(*MATHS, "RRULE:FREQ=WEEKLY"))
    assert of_calendar(event(*MATHS, f"RRULE:FREQ=WEEKLY;UNTIL={until}")) == endless


def test_a_rule_of_every_other_week_names_its_days_in_the_weeks_of_its_beginning() -> None:
    found = of_calendar(event(*MATHS, "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,MO;COUNT=4"))
    days = {entry.weekday: (entry.first_day, entry.last_day) for entry in found.entries}
    assert days == {1: (date(2026, 3, 2), date(2026, 3, 16)), 5: (date(2026, 3, 6), date(2026, 3, 20))}


def test_a_daily_rule_in_another_zone_follows_the_other_zones_clock() -> None:
    found = of_calendar(
        event("DTSTART;TZID=Europe/Berlin:20260327T080000", "DTEND;TZID=Europe/Berlin:20260327T090000",
              "RRULE:FREQ=DAILY;COUNT=4")
    )  # fmt: skip
    assert {(one.weekday, one.from_min) for one in found.entries} == {(5, 900), (6, 900), (7, 840), (1, 840)}


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        (("SUMMARY:x",), "lines.3.DTSTART"),
        (("DTSTART:20260399T080000", "DTEND:20260302T090000"), "lines.4.DTSTART"),
        (("DTSTART:2026-03-02", "DTEND:20260302T090000"), "lines.4.DTSTART"),
        (("DTSTART:99991231T235000Z", "DTEND:99991231T235900Z"), "lines.4.DTSTART"),
        (("DTSTART:00010101T000000", "DTEND:00010101T010000"), "lines.4.DTSTART"),
        (("DTSTART;TZID=Mars/Base:20260302T080000", "DTEND:20260302T090000"), "lines.4.DTSTART"),
        (("DTSTART;TZID=../../etc/passwd:20260302T080000", "DTEND:20260302T090000"), "lines.4.DTSTART"),
        (("DTSTART:20260302T080000",), "lines.3.DTEND"),
        (("DTSTART:20260302T080000", "DTEND:20260302T070000"), "lines.5.DTEND"),
        (("DTSTART:20260302T080000", "DTEND:20260304T080000"), "lines.5.DTEND"),
        (("DTSTART:20260302T080000", "DURATION:P2D"), "lines.5.DURATION"),
        (("DTSTART:20260302T080000", "DURATION:soon"), "lines.5.DURATION"),
        ((*MATHS, "RRULE:FREQ=MONTHLY"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;BYDAY=1MO"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;BYSETPOS=1"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;COUNT=many"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;INTERVAL=0"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;COUNT=5000"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;UNTIL=whenever"), "lines.7.RRULE"),
        ((*MATHS, "RRULE:FREQ=WEEKLY;UNTIL=20200101"), "lines.7.RRULE"),
        ((*MATHS, "EXDATE:yesterday"), "lines.7.EXDATE"),
        ((*MATHS, "EXDATE:99991231T235900Z"), "lines.7.EXDATE"),
        (("no colon",), "lines.4.line"),
    ],
)
def test_a_fault_in_a_calendar_is_told_by_line_and_field(lines: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        of_calendar(event(*lines))
    assert refused.value.field == field, refused.value.detail
    assert refused.value.detail["problems"][0]["line"] == int(field.split(".")[1])


def test_an_event_without_an_end_and_a_file_without_events_are_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_timetable(b"BEGIN:VEVENT\nDTSTART:20260302T080000\n", "text/calendar", ZONE)
    assert refused.value.field == "lines.1.VEVENT"
    with pytest.raises(InvalidInput) as refused:
        of_calendar()
    assert refused.value.field == "file"


TABLE = "kind,weekday,from,to,first_day,last_day,weeks,label,term_starts\n"


def of_table(text: str, **more: Any) -> Timetable:
    return read_timetable(text.encode(), "text/csv", ZONE, **more)


def test_a_table_in_english_and_in_chinese() -> None:
    english = of_table(TABLE + "class,Mon,8:00,9:35,2026/3/02,2026-06-01,1-3,Maths,2026-03-02\nshift,7,22:00,24:00\n")
    assert english.entries[0] == Entry(
        kind="class", weekday=1, from_min=480, to_min=575, first_day=date(2026, 3, 2), last_day=date(2026, 6, 1),
        weeks=(1, 2, 3), label="Maths",
    )  # fmt: skip
    assert (english.entries[1].kind, english.entries[1].to_min) == ("shift", 1440)
    chinese = "类型,星期,开始,结束,周次\n上课,周一,08:00,09:35,1-7单\n空闲,星期日,18:00,0:00,\n"
    for encoding in ("utf-8-sig", "gb18030"):
        found = read_timetable(chinese.encode(encoding), "text/csv", ZONE, date(2026, 3, 2))
        assert [(one.kind, one.weekday, one.to_min, one.weeks) for one in found.entries] == [
            ("class", 1, 575, (1, 3, 5, 7)), ("shift", 7, 1440, ()),
        ]  # fmt: skip
        assert found.term_starts == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("lunch,1,08:00,09:00,,,,,", "lines.2.kind"),
        ("class,8,08:00,09:00,,,,,", "lines.2.weekday"),
        ("class,1,8am,09:00,,,,,", "lines.2.from"),
        ("class,1,24:00,09:00,,,,,", "lines.2.from"),
        ("class,1,08:00,24:01,,,,,", "lines.2.to"),
        ("class,1,08:00,08:60,,,,,", "lines.2.to"),
        ("class,1,08:00,08:00,,,,,", "lines.2.to"),
        ("class,1,08:00,09:00,soon,,,,", "lines.2.first_day"),
        ("class,1,08:00,09:00,2026-03-02,2026-03-01,,,", "lines.2.last_day"),
        ("class,1,08:00,09:00,,,0-3,,2026-03-02", "lines.2.weeks"),
        ("class,1,08:00,09:00,,,1-99,,2026-03-02", "lines.2.weeks"),
        ("class,1,08:00,09:00,,,1-3,,", "term_starts"),
    ],
)
def test_a_fault_in_a_table_is_told_by_line_and_field(row: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        of_table(TABLE + row + "\n")
    assert refused.value.field == field, refused.value.detail


def test_several_faults_are_told_at_once_and_not_without_end() -> None:
    with pytest.raises(InvalidInput) as refused:
        of_table(TABLE + "x,9,a,b,,,,,\n" * 50)
    assert len(refused.value.detail["problems"]) == 20


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00\x01", b"\x00", b"x" * (MAX_BYTES + 1), b"", b"kind\n"])
def test_what_is_no_table_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_timetable(raw, "text/csv", ZONE)


def test_too_many_entries_are_refused() -> None:
    rows = "".join(f"class,1,08:{minute:02d},09:00,,,,,\n" for minute in range(60)) * 3
    with pytest.raises(InvalidInput, match=str(MAX_ENTRIES)):
        of_table(TABLE + rows)


def test_weeks_as_people_write_them() -> None:
    assert read_weeks("1-4, 6周，8-12双") == (1, 2, 3, 4, 6, 8, 10, 12)
    assert read_weeks("1-5(odd)") == (1, 3, 5) and read_weeks(" ") == ()


@given(st.binary(max_size=600) | st.text(alphabet="BEGIN:VTDSRULQ;=,-\n 0123456789", max_size=400).map(str.encode))
def test_no_file_does_more_than_be_read_or_refused(raw: bytes) -> None:
    for media in ("text/csv", "text/calendar"):
        refused: InvalidInput | None = None
        found = Timetable()
        try:
            found = read_timetable(raw, media, ZONE)
        except InvalidInput as fault:
            refused = fault
        assert found.entries if refused is None else refused.field


_DAYS = st.dates(date(2026, 1, 1), date(2026, 12, 31))


@given(
    st.lists(
        st.builds(
            Entry, kind=st.sampled_from(["class", "shift"]), weekday=st.integers(1, 7), from_min=st.integers(0, 700),
            to_min=st.integers(701, 1440), weeks=st.sets(st.integers(1, 53)).map(lambda weeks: tuple(sorted(weeks))),
            label=st.text(alphabet="数学 ,\"a", max_size=8).map(str.strip),
        ).filter(lambda entry: entry.from_min != entry.to_min % 1440),  # that is refused
        min_size=1, max_size=6,
    ),
    _DAYS,
)  # fmt: skip
def test_a_timetable_comes_back_from_its_table(entries: list[Entry], term: date) -> None:
    timetable = Timetable(term, tuple(entries))
    assert read_timetable(as_table(timetable).encode(), "text/csv", ZONE) == timetable


def test_a_calendar_has_bounds() -> None:
    with pytest.raises(InvalidInput) as refused:
        of_calendar(*[event("DTSTART:20260302T080000", "DTEND:20260302T090000")] * 2_001)
    assert refused.value.field.endswith(".VEVENT")
    with pytest.raises(InvalidInput) as refused:
        read_timetable(b"X:1\n" * 20_001, "text/calendar", ZONE)
    assert refused.value.field == "lines.20001.file"
    daily = event("DTSTART:20260302T080000", "DTEND:20260302T090000", "RRULE:FREQ=DAILY")
    with pytest.raises(InvalidInput) as refused:
        of_calendar(*[daily] * 60)
    assert refused.value.field.endswith(".VEVENT"), "so many dates in one file"
    far = [
        event("SUMMARY:x", f"DTSTART:{year}0302T080000", f"DTEND:{year}0302T090000") for year in (2020, 2026, 2037)
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="weeks"):
        of_calendar(*far)
