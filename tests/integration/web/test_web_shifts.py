"""Weeks, breaks, zones, holds and the campus's rules over HTTP: done by whom they belong to, refused by field."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.model.account import Role

CLASS = {"kind": "class", "weekday": 1, "from_min": 480, "to_min": 575, "label": "数学"}
CALENDAR = b"""BEGIN:VCALENDAR
BEGIN:VEVENT
SUMMARY:\xe6\x95\xb0\xe5\xad\xa6
DTSTART;TZID=Asia/Shanghai:20260302T080000
DTEND;TZID=Asia/Shanghai:20260302T093500
RRULE:FREQ=WEEKLY;COUNT=16
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
async def runner(house: Any) -> Any:
    return await house.person(Role.RUNNER)


@pytest.fixture
async def operator(house: Any) -> Any:
    return await house.person(Role.OPERATOR)


async def read(house: Any, who: Any, raw: bytes, media: str, query: str = "") -> Any:
    return await house.call(
        "POST", f"/runner/plan/read{query}", who=who, raw=raw, headers={"Content-Type": media}
    )  # fmt: skip


async def test_a_week_from_a_file_to_the_books(house: Any, runner: Any, operator: Any) -> None:
    draft = await read(house, runner, CALENDAR, "text/calendar; charset=utf-8")
    assert draft.status == 200 and draft.json["entries"][0]["label"] == "数学"
    body = {"version": 0, **draft.json}
    saved = await house.call("PUT", "/runner/plan", body, who=runner, headers={"Idempotency-Key": "week"})
    again = await house.call("PUT", "/runner/plan", body, who=runner, headers={"Idempotency-Key": "week"})
    assert saved.status == 200 and again.body == saved.body and saved.json["version"] == 1
    seen = await house.call("GET", f"/accounts/{runner.id}/plan", who=operator)
    assert seen.json["entries"] == saved.json["entries"]
    stale = await house.call("PUT", f"/accounts/{runner.id}/plan", {"version": 0, "entries": []}, who=operator)
    assert stale.code == "stale_version" and stale.json["error"]["detail"] == {"version": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"entries": [{**CLASS, "weekday": 8}]}, "entries.0.weekday"),
        ({"entries": [{**CLASS, "from_min": 1440}]}, "entries.0.from_min"),
        ({"entries": [{**CLASS, "to_min": 480}]}, "entries.0.to_min"),
        ({"entries": [{**CLASS, "kind": "sleep"}]}, "entries.0.kind"),
        ({"entries": [{**CLASS, "label": "x" * 61}]}, "entries.0.label"),
        ({"entries": [{**CLASS, "weeks": [54]}]}, "entries.0.weeks.0"),
        ({"entries": [{**CLASS, "weeks": [1]}]}, "term_starts"),
        ({"entries": [{**CLASS, "first_day": "soon"}]}, "entries.0.first_day"),
        ({"entries": [{**CLASS, "colour": "red"}]}, "entries.0.colour"),
        ({"entries": [CLASS] * 121}, "entries"),
        ({"zones": ["fen_00000000000000000000000000"]}, "zones.0"),
        ({"zones": []}, "zones"),
        ({"term_starts": "2026"}, "term_starts"),
    ],
)
async def test_a_wrong_week_is_refused_by_name(house: Any, runner: Any, change: dict[str, Any], field: str) -> None:
    refused = await house.call("PUT", "/runner/plan", {"version": 0, "entries": [], **change}, who=runner)
    assert refused.status == 400 and refused.json["error"]["field"] == field, refused.body
    assert (await house.call("GET", "/runner/plan", who=runner)).json["version"] == 0


async def test_a_file_that_is_none_is_refused(house: Any, runner: Any) -> None:
    bad = await read(house, runner, b"weekday,from,to\n1,08:00,09:00\nx,08:00,09:00\n", "text/csv")
    assert (bad.status, bad.json["error"]["field"]) == (400, "lines.3.weekday")
    assert bad.json["error"]["detail"]["problems"][0]["line"] == 3
    assert (await read(house, runner, b"{}", "application/json")).status == 415
    assert (await read(house, runner, b"x" * 300_000, "text/csv")).status == 413
    weeks = b"weekday,from,to,weeks\n1,08:00,09:00,1-4\n"
    assert (await read(house, runner, weeks, "text/csv")).json["error"]["field"] == "term_starts"
    given = await read(house, runner, weeks, "text/csv", "?term_starts=2026-03-02")
    assert given.json["term_starts"] == "2026-03-02"
    assert (await read(house, runner, weeks, "text/csv", "?term_starts=x")).json["error"]["field"] == "term_starts"


async def test_another_campus_sees_and_plans_nothing(house: Any, runner: Any) -> None:
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    path = f"/accounts/{runner.id}/plan"
    assert (await house.call("GET", path, who=stranger)).code == "not_found"
    assert (await house.call("PUT", path, {"version": 0, "entries": []}, who=stranger)).code == "not_found"


async def test_the_campuss_rules_are_read_changed_and_audited(house: Any, operator: Any) -> None:
    before = (await house.call("GET", "/dispatch-rules", who=operator)).json
    assert [one["step"] for one in before["rungs"]] == ["wider", "far", "called", "alerted", "choice"]
    assert (before["cool_down"]["first_s"], before["wish_s"], before["call_gap_s"]) == (60, 120, 30)
    rungs = [
        {"step": "wider", "after_s": 30, "reach": 2},
        {"step": "alerted", "after_s": 60, "reach": 2, "is_alert": True},
    ]
    change = {"version": before["version"], "rungs": rungs, "wish_s": 60,
              "cool_down": {"first_s": 30, "longest_s": 300, "forget_s": 600}}  # fmt: skip
    after = await house.call("PATCH", "/dispatch-rules", change, who=operator)
    assert after.status == 200 and len(after.json["rungs"]) == 2 and after.json["calls_most"] == before["calls_most"]
    assert (await house.call("GET", "/dispatch-rules", who=operator)).json == after.json
    assert (await house.call("PATCH", "/dispatch-rules", change, who=operator)).code == "stale_version"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert rows[0]["action"] == "set_dispatch_rules" and rows[0]["before"]["wish_s"] == 120
    for role in (Role.STUDENT, Role.RUNNER):
        who = await house.person(role)
        assert (await house.call("GET", "/dispatch-rules", who=who)).code == "not_permitted"
        assert (await house.call("PATCH", "/dispatch-rules", change, who=who)).code == "not_permitted"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wish_s": 901}, "wish_s"),
        ({"call_gap_s": 29}, "call_gap_s"),
        ({"cool_down": {"first_s": 60, "longest_s": 59, "forget_s": 60}}, "cool_down.longest_s"),
        ({"rungs": [{"step": "wider", "after_s": 4}]}, "rungs.0.after_s"),
        ({"rungs": [{"step": "wider", "after_s": 60, "reach": 0.5}]}, "rungs.0.reach"),
        ({"rungs": [{"step": "waiting", "after_s": 60}]}, "rungs.0.step"),
        ({"rungs": [{"step": "wider", "after_s": 60}, {"step": "far", "after_s": 60}]}, "rungs.1.after_s"),
        ({"rungs": [{"step": "far", "after_s": 60, "reach": 3}, {"step": "called", "after_s": 90}]}, "rungs.1.reach"),
        (
            {"rungs": [{"step": "far", "after_s": 60, "is_any_zone": True}, {"step": "called", "after_s": 90}]},
            "rungs.1.is_any_zone",
        ),
        ({"rungs": [{"step": "wider", "after_s": 5}] * 11}, "rungs"),
    ],
)
async def test_wrong_rules_are_refused_by_name(house: Any, operator: Any, change: dict[str, Any], field: str) -> None:
    version = (await house.call("GET", "/dispatch-rules", who=operator)).json["version"]
    refused = await house.call("PATCH", "/dispatch-rules", {"version": version, **change}, who=operator)
    assert refused.status == 400 and refused.json["error"]["field"] == field, refused.body
    assert (await house.call("GET", "/dispatch-rules", who=operator)).json["version"] == version
