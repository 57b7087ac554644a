"""Timetables as files: the calendar (.ics) or table (.csv) that a student has anyway, read into weekly entries.

Every fault is told by line and field (``lines.12.RRULE``); of several the first :data:`MAX_PROBLEMS` at once. Nothing
here opens a file or asks for the time.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from .calendar_file import MAX_DATES, Happening, events_in, occurrences
from .errors import InvalidInput
from .file_fault import Fault
from .shift import MAX_ENTRIES, MAX_WEEKS, Entry, Timetable, check_timetable, week_of

MAX_BYTES, MAX_ROWS, MAX_PROBLEMS = 262_144, 1_000, 20
_LABEL = 60
_WEEK = timedelta(weeks=1)
Kind = Literal["class", "shift"]


def read_timetable(raw: bytes, media: str, time_zone: str, term_starts: date | None = None) -> Timetable:
    """The timetable in the file; raises :class:`InvalidInput`. ``media``: ``text/calendar`` or ``text/csv``, for which
    ``term_starts`` stands in where the table does not say it."""
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"a timetable has at most {MAX_BYTES} bytes", field="file")
    text = _decoded(raw)
    found = read_calendar(text, time_zone) if media == "text/calendar" else read_table(text)
    if not found.entries:
        raise InvalidInput("there is nothing in it that comes at an hour", field="file")
    if len(found.entries) > MAX_ENTRIES:
        raise InvalidInput(
            f"a timetable has at most {MAX_ENTRIES} entries, this one {len(found.entries)}", field="file"
        )
    if found.term_starts is None and any(entry.weeks for entry in found.entries):
        found = Timetable(term_starts, found.entries)
    check_timetable(found)
    return found


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):  # what a spreadsheet in China saves
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InvalidInput("this is no text", field="file")


def _refused(faults: list[Fault]) -> InvalidInput:
    first = faults[0]
    return InvalidInput(
        f"line {first.line}, {first.name}: {first.problem}",
        field=f"lines.{first.line}.{first.name}",
        problems=[
            {"line": one.line, "field": one.name, "message": one.problem} for one in faults[:MAX_PROBLEMS]
        ],
    )  # fmt: skip


# --- a table ----------------------------------------------------------------------------------------------------------

_COLUMNS = {
    "kind": "kind", "类型": "kind", "weekday": "weekday", "day": "weekday", "星期": "weekday", "周几": "weekday",
    "from": "from", "start": "from", "开始": "from", "开始时间": "from", "to": "to", "end": "to", "结束": "to",
    "结束时间": "to", "first_day": "first_day", "开始日期": "first_day", "last_day": "last_day", "结束日期": "last_day",
    "weeks": "weeks", "周次": "weeks", "周数": "weeks", "label": "label", "name": "label", "名称": "label",
    "课程": "label", "课程名称": "label", "term_starts": "term_starts", "开学日期": "term_starts",
}  # fmt: skip
_KINDS: dict[str, Kind] = {
    "": "class", "class": "class", "课": "class", "上课": "class", "课程": "class", "shift": "shift", "free": "shift",
    "空闲": "shift", "班次": "shift", "值班": "shift",
}  # fmt: skip
_WEEKDAYS = {name: day for day, names in enumerate(
    ("mon monday 周一 星期一 一", "tue tuesday 周二 星期二 二", "wed wednesday 周三 星期三 三",
     "thu thursday 周四 星期四 四", "fri friday 周五 星期五 五", "sat saturday 周六 星期六 六",
     "sun sunday 周日 星期日 日 周天 星期天 天"), 1) for name in (*names.split(), str(day))}  # fmt: skip
_CLOCK = re.compile(r"(\d{1,2})[:：](\d{2})")
_DAY_WRITTEN = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_WEEKS = re.compile(r"(\d{1,2})(?:\s*[-–~]\s*(\d{1,2}))?\s*周?\s*[(（]?(odd|even|单|双)?周?[)）]?")


def read_table(text: str) -> Timetable:
    """Comma-separated: a row of names, then one row per entry. ``kind`` (class), ``weekday``, ``from``, ``to`` and, if
    wanted, ``first_day``, ``last_day``, ``weeks`` (``1-8,10-16双``), ``label``, ``term_starts`` (the first row's)."""
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        names = [_COLUMNS.get(name.strip().lower(), "") for name in next(rows, [])]
    except csv.Error as fault:
        raise _refused([Fault(1, "columns", str(fault))]) from None
    missing = [name for name in ("weekday", "from", "to") if name not in names]
    if missing:
        raise _refused([Fault(1, missing[0], "this column is missing")])
    entries: list[Entry] = []
    faults: list[Fault] = []
    term: date | None = None
    for row in _rows(rows, faults):
        given = {name: cell.strip() for name, cell in zip(names, row, strict=False) if name}
        if not any(given.values()):
            continue
        entry, starts = _entry(given, rows.line_num, faults)
        term = term or starts
        if entry is not None:
            entries.append(entry)
        if len(entries) > MAX_ROWS or len(faults) >= MAX_PROBLEMS:
            break
    if faults:
        raise _refused(faults)
    return Timetable(term, tuple(entries))


def _rows(rows: Iterator[list[str]], faults: list[Fault]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as fault:
        faults.append(Fault(getattr(rows, "line_num", 0), "row", str(fault)))


def _entry(given: dict[str, str], line: int, faults: list[Fault]) -> tuple[Entry | None, date | None]:
    before = len(faults)

    def read(name: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(given.get(name, ""))
        except (ValueError, KeyError) as fault:
            faults.append(Fault(line, name, str(fault) if isinstance(fault, ValueError) else "this is not known"))
            return None

    kind = read("kind", lambda cell: _KINDS[cell.lower()])
    weekday = read("weekday", lambda cell: _WEEKDAYS[cell.lower()])
    starts, ends = read("from", _minute), read("to", _minute)
    first, last = read("first_day", _date), read("last_day", _date)
    weeks, term = read("weeks", read_weeks), read("term_starts", _date)
    if len(faults) == before:
        if starts == 1440:
            faults.append(Fault(line, "from", "it begins before midnight"))
        elif starts == ends % 1440:
            faults.append(Fault(line, "to", "it ends when it begins"))
        elif first and last and last < first:
            faults.append(Fault(line, "last_day", "the last day is before the first"))
    if len(faults) > before:
        return None, None
    entry = Entry(
        kind=kind, weekday=weekday, from_min=starts, to_min=ends or 1440, first_day=first, last_day=last, weeks=weeks,
        label=given.get("label", "")[:_LABEL],
    )  # fmt: skip
    return entry, term


def _minute(cell: str) -> int:
    found = _CLOCK.fullmatch(cell)
    minute = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else -1
    if not 0 <= minute <= 1440:
        raise ValueError("a time is written 08:30")
    return minute


def _date(cell: str) -> date | None:
    found = _DAY_WRITTEN.fullmatch(cell)
    try:
        if cell and found is None:
            raise ValueError
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        raise ValueError("a day is written 2026-03-02") from None


def read_weeks(cell: str) -> tuple[int, ...]:
    """``1-8,10-16双`` as the numbers of the weeks; empty: every week. Raises :class:`ValueError`."""
    weeks: set[int] = set()
    for part in re.split(r"[,，、;]", cell) if cell.strip() else ():
        found = _WEEKS.fullmatch(part.strip())
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else 0
        if found is None or not 1 <= first <= last <= MAX_WEEKS:
            raise ValueError(f"weeks are written 1-8,10-16 and end at {MAX_WEEKS}")
        parity = {"odd": 1, "单": 1, "even": 0, "双": 0}.get(found[3] or "")
        weeks.update(week for week in range(first, last + 1) if parity is None or week % 2 == parity)
    return tuple(sorted(weeks))


# --- a calendar -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Series:
    """What has one name and comes on one weekday at one hour."""

    days: set[date] = field(default_factory=set)


def read_calendar(text: str, time_zone: str) -> Timetable:
    """Classes from a calendar: what comes on the same weekday at the same hour under the same name is one entry, valid
    from its first day to its last; where weeks are left out, with the weeks in which it comes."""
    zone = ZoneInfo(time_zone)
    faults: list[Fault] = []
    series: dict[tuple[int, int, int, str], _Series] = {}
    count = 0
    for happening in events_in(text, zone, faults):
        if len(faults) >= MAX_PROBLEMS:
            break
        for starts in occurrences(happening, faults):
            count += 1
            if count > MAX_DATES:
                raise _refused([Fault(happening.line, "VEVENT", f"more than {MAX_DATES} dates in one file")])
            key = _hours(happening, starts, zone)
            series.setdefault(key, _Series()).days.add(starts.astimezone(zone).date())
    if faults:
        raise _refused(faults)
    if not series:
        return Timetable()
    term = min(min(one.days) for one in series.values())
    entries = [_weekly(key, one.days, term) for key, one in sorted(series.items())]
    return Timetable(term if any(entry.weeks for entry in entries) else None, tuple(entries))


def _hours(happening: Happening, starts: datetime, zone: ZoneInfo) -> tuple[int, int, int, str]:
    local, ends = starts.astimezone(zone), (starts.astimezone(UTC) + happening.lasts).astimezone(zone)
    from_min = local.hour * 60 + local.minute
    to_min = ends.hour * 60 + ends.minute or 1440
    return local.isoweekday(), from_min, to_min, happening.label[:_LABEL]


def _weekly(key: tuple[int, int, int, str], days: set[date], term: date) -> Entry:
    weekday, from_min, to_min, label = key
    first, last = min(days), max(days)
    weeks: tuple[int, ...] = ()
    if len(days) != (last - first) // _WEEK + 1:
        weeks = tuple(sorted({week_of(day, term) for day in days}))
        if weeks[-1] > MAX_WEEKS:
            raise InvalidInput(f"it spans more than {MAX_WEEKS} weeks", field="file", label=label)
    return Entry(
        kind="class", weekday=weekday, from_min=from_min, to_min=to_min, first_day=first, last_day=last,
        weeks=weeks, label=label,
    )  # fmt: skip


def as_table(timetable: Timetable) -> str:
    """The timetable as :func:`read_table` takes it."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["kind", "weekday", "from", "to", "first_day", "last_day", "weeks", "label", "term_starts"])
    for entry in timetable.entries:
        rows.writerow([
            entry.kind, entry.weekday, _clock(entry.from_min), _clock(entry.to_min), entry.first_day or "",
            entry.last_day or "", ",".join(map(str, entry.weeks)), entry.label, timetable.term_starts or "",
        ])  # fmt: skip
    return out.getvalue()


def _clock(minute: int) -> str:
    return "24:00" if minute == 1440 else time(minute // 60, minute % 60).strftime("%H:%M")
