"""The events of an iCalendar file (RFC 5545) as far as timetables use it: times, weekly and daily rules, exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .file_fault import Fault

MAX_LINES, MAX_EVENTS, MAX_DATES = 20_000, 2_000, 20_000
#: Occurrences of one event at most, and how far its rule is followed.
MAX_OCCURRENCES, MAX_SPAN = 400, timedelta(days=400)
#: No class is before or after these years; a rule that ends later has no end ("until 9999" is written by some).
FIRST_YEAR, LAST_YEAR = 1970, 2199
_PROPERTY = re.compile(r'([A-Za-z-]+)((?:;[A-Za-z-]+=(?:"[^"]*"|[^;:"]*))*):(.*)', re.DOTALL)
_STAMP = re.compile(r"(\d{8})T(\d{6})(Z?)")
_LASTS = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_DAYS = {name: number for number, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_RULE = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"})


@dataclass(frozen=True, slots=True)
class Rule:
    """``step``: days or weeks between; ``weekdays``: 0 is Monday, empty: that of the beginning."""

    is_weekly: bool
    step: int
    count: int | None
    until: datetime | None
    weekdays: frozenset[int]


@dataclass(slots=True)
class Happening:
    """An event that has an hour. ``starts`` is in the event's own zone, so that its rule follows that zone's clock."""

    line: int
    starts: datetime
    lasts: timedelta
    label: str = ""
    rule: Rule | None = None
    rule_line: int = 0
    left_out: set[datetime] = field(default_factory=set)


@dataclass(slots=True)
class _Event:
    line: int
    properties: list[tuple[int, str, dict[str, str], str]] = field(default_factory=list)


def events_in(text: str, zone: ZoneInfo, faults: list[Fault]) -> Iterator[Happening]:
    """The file's events in order; what takes whole days has no hour and is left out. Faults are added, not raised."""
    for event in _blocks(text, faults):
        found = _happening(event, zone, faults)
        if found is not None:
            yield found


def _blocks(text: str, faults: list[Fault]) -> Iterator[_Event]:
    event: _Event | None = None
    depth = count = 0
    for number, line in _unfolded(text):
        if number > MAX_LINES:
            faults.append(Fault(number, "file", f"more than {MAX_LINES} lines"))
            return
        found = _PROPERTY.fullmatch(line)
        if found is None:
            faults.append(Fault(number, "line", "this is no NAME:value"))
            return
        name, value = found[1].upper(), found[3]
        if name == "BEGIN" and value.upper() == "VEVENT" and event is None:
            event, depth, count = _Event(number), 0, count + 1
            if count > MAX_EVENTS:
                faults.append(Fault(number, "VEVENT", f"more than {MAX_EVENTS} events"))
                return
        elif event is not None and name == "END" and value.upper() == "VEVENT" and depth == 0:
            yield event
            event = None
        elif event is not None and name in ("BEGIN", "END"):
            depth += 1 if name == "BEGIN" else -1
        elif event is not None and depth == 0:
            event.properties.append((number, name, _parameters(found[2]), value))
    if event is not None:
        faults.append(Fault(event.line, "VEVENT", "this event has no end"))


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Lines with the number of their first; one that begins with a blank goes on the line before."""
    begun: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1] in (" ", "\t") and begun:
            begun.append(line[1:])
            continue
        if begun:
            yield first, "".join(begun)
        first, begun = number, [line] if line.strip() else []
    if begun:
        yield first, "".join(begun)


def _parameters(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if part)
    return {name.upper(): value.strip('"') for name, _, value in pairs}


def _happening(event: _Event, zone: ZoneInfo, faults: list[Fault]) -> Happening | None:
    known = {name: (line, parameters, value) for line, name, parameters, value in event.properties}
    before = len(faults)
    if "DTSTART" not in known:
        faults.append(Fault(event.line, "DTSTART", "an event has a beginning"))
        return None
    if known.get("STATUS", (0, {}, ""))[2].upper() == "CANCELLED":
        return None
    starts = _instant(known["DTSTART"], "DTSTART", zone, faults)
    ends = _instant(known["DTEND"], "DTEND", zone, faults) if "DTEND" in known else None
    if starts is None or len(faults) > before:
        return None
    lasts = _lasts(known, starts, ends, event.line, faults)
    label = known.get("SUMMARY", (0, {}, ""))[2]
    found = Happening(event.line, starts, lasts, re.sub(r"\\([,;\\])", r"\1", label).replace("\\n", " ").strip())
    if "RRULE" in known:
        found.rule_line = known["RRULE"][0]
        found.rule = _rule(known["RRULE"], zone, faults)
    for line, name, parameters, value in event.properties:
        if name == "EXDATE":
            for one in value.split(","):
                at = _instant((line, parameters, one), "EXDATE", zone, faults)
                if at is not None:
                    found.left_out.add(at.astimezone(UTC))
    return found if len(faults) == before else None


def _lasts(
    known: dict[str, tuple[int, dict[str, str], str]],
    starts: datetime,
    ends: datetime | None,
    line: int,
    faults: list[Fault],
) -> timedelta:
    lasts, name = timedelta(0), "DTEND"
    if ends is not None:
        line, lasts = known["DTEND"][0], ends.astimezone(UTC) - starts.astimezone(UTC)
    elif "DURATION" in known:
        name, (line, _, value) = "DURATION", known["DURATION"]
        found = _LASTS.fullmatch(value)
        if found is not None:
            days, hours, minutes, seconds = (
                int(part or 0) for part in (part[:6] if part else "" for part in found.groups())
            )
            lasts = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta(minutes=1) <= lasts < timedelta(days=1):
        faults.append(Fault(line, name, "an entry lasts longer than a minute and less than a day"))
    return lasts


def _instant(given: tuple[int, dict[str, str], str], name: str, zone: ZoneInfo, faults: list[Fault]) -> datetime | None:
    """The instant in its own zone; None for a whole day, and for a fault, which is added."""
    line, parameters, value = given
    if parameters.get("VALUE", "").upper() == "DATE":
        return None
    found = _STAMP.fullmatch(value.strip())
    try:
        if found is None:
            raise ValueError
        naive = datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except ValueError:
        faults.append(Fault(line, name, "a time is written 20260302T080000"))
        return None
    if not FIRST_YEAR <= naive.year <= LAST_YEAR:
        faults.append(Fault(line, name, f"a time is from {FIRST_YEAR} to {LAST_YEAR}"))
        return None
    if found[3]:
        return naive.replace(tzinfo=UTC).astimezone(zone)
    if "TZID" not in parameters:
        return naive.replace(tzinfo=zone)
    try:
        return naive.replace(tzinfo=ZoneInfo(parameters["TZID"].lstrip("/")))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(Fault(line, name, f"there is no time zone {parameters['TZID'][:40]!r}"))
        return None


def _rule(given: tuple[int, dict[str, str], str], zone: ZoneInfo, faults: list[Fault]) -> Rule | None:
    line, _, value = given
    parts = dict(part.upper().partition("=")[::2] for part in value.strip().strip(";").split(";"))
    unknown = sorted(parts.keys() - _RULE)
    days = [name for name in parts.get("BYDAY", "").split(",") if name]
    if parts.get("FREQ") not in ("WEEKLY", "DAILY") or unknown or any(name not in _DAYS for name in days):
        what = (
            unknown[0] if unknown else "FREQ" if not days or parts.get("FREQ") not in ("WEEKLY", "DAILY") else "BYDAY"
        )
        faults.append(Fault(line, "RRULE", f"only weekly and daily rules are understood; {what} is not"))
        return None
    try:
        step, count = int(parts.get("INTERVAL", "1")), int(parts["COUNT"]) if "COUNT" in parts else None
    except ValueError:
        faults.append(Fault(line, "RRULE", "INTERVAL and COUNT are numbers"))
        return None
    if not 1 <= step <= 60 or (count is not None and not 1 <= count <= MAX_OCCURRENCES):
        faults.append(Fault(line, "RRULE", f"INTERVAL is from 1 to 60, COUNT from 1 to {MAX_OCCURRENCES}"))
        return None
    until = None
    ends = parts.get("UNTIL")
    if ends is not None and not (ends[:4].isdecimal() and int(ends[:4]) > LAST_YEAR):
        text = ends if "T" in ends else ends + "T235959"
        until = _instant((line, {}, text), "RRULE", zone, faults)
    return Rule(parts["FREQ"] == "WEEKLY", step, count, until, frozenset(_DAYS[name] for name in days))


def occurrences(happening: Happening, faults: list[Fault]) -> list[datetime]:
    """When it comes, in order; a rule without an end is followed for :data:`MAX_SPAN`."""
    rule, starts = happening.rule, happening.starts
    if rule is None:
        return [] if starts.astimezone(UTC) in happening.left_out else [starts]
    found: list[datetime] = []
    for counted, ahead in enumerate(_days_ahead(rule, starts.weekday()), 1):
        day = starts.date() + timedelta(days=ahead)
        at = datetime.combine(day, time(starts.hour, starts.minute, starts.second), starts.tzinfo)
        if rule.until is not None and at.astimezone(UTC) > rule.until.astimezone(UTC):
            break
        if at.astimezone(UTC) not in happening.left_out:
            found.append(at)
        if counted == (rule.count or MAX_OCCURRENCES):
            break
    if not found:
        faults.append(Fault(happening.rule_line, "RRULE", "it never comes"))
    return found


def _days_ahead(rule: Rule, weekday: int) -> Iterator[int]:
    """Days from the beginning, which is on ``weekday``, to each day that the rule names, in order."""
    if not rule.is_weekly:
        for ahead in range(0, MAX_SPAN.days + 1, rule.step):
            if not rule.weekdays or (weekday + ahead) % 7 in rule.weekdays:
                yield ahead
        return
    weekdays = sorted(rule.weekdays or {weekday})
    for week in range(0, MAX_SPAN.days + 7, 7 * rule.step):
        yield from (ahead for day in weekdays if 0 <= (ahead := week + day - weekday) <= MAX_SPAN.days)
