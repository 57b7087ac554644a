"""The campus team at work over HTTP: runners reviewed, people blocked, roles given, settings changed; all audited."""

from __future__ import annotations

from typing import Any

from dispatch.model.account import Role
from dispatch.model.event import EventKind


async def audited(house: Any, who: Any, action: str) -> Any:
    rows = (await house.call("GET", "/audit", who=who)).json["rows"]
    return next(row for row in rows if row["action"] == action)


async def test_a_student_becomes_a_runner_and_is_removed(house: Any) -> None:
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    assert (await house.call("GET", "/runner/state", who=student)).code == "not_permitted"
    path = f"/accounts/{student.id}/runner-review"
    early = await house.call("POST", path, {"status": "approved"}, who=operator)
    assert early.code == "wrong_state"
    for _ in range(2):
        applied = await house.call("POST", "/me/runner-application", {}, who=student)
        assert applied.json["runner_status"] == "applied"
    approved = await house.call("POST", path, {"status": "approved", "reason": "met in person"}, who=operator)
    assert approved.json["runner_status"] == "approved" and "runner" in approved.json["roles"]
    assert "****" in approved.json["phone"]
    # The same token: what somebody may do is looked up again within seconds.
    house.time.shift_s += 6
    assert (await house.call("POST", "/runner/duty", {"is_on": True}, who=student)).json["is_on_duty"]
    removed = await house.call("POST", path, {"status": "removed", "reason": "no show"}, who=operator)
    assert removed.json["roles"] == ["student"]
    house.time.shift_s += 6
    assert (await house.call("GET", "/runner/state", who=student)).code == "not_permitted"
    assert (await house.call("POST", "/me/runner-application", {}, who=student)).code == "wrong_state"
    row = await audited(house, operator, "review_runner")
    assert row["before"]["runner_status"] == "approved" and row["after"]["runner_status"] == "removed"
    assert row["actor"] == operator.account.name and row["reason"] == "no show"
    events = await house.ctx.store.read(house.campus_id, lambda uow: uow.outbox.timeline(student.id))
    assert EventKind.RUNNER_OFF_DUTY in {event.kind for event in events}


async def test_blocking_ends_sessions_and_tells_the_sockets(house: Any) -> None:
    runner, operator = await house.person(Role.RUNNER), await house.person(Role.OPERATOR)
    await house.call("POST", "/runner/duty", {"is_on": True}, who=runner)
    path = f"/accounts/{runner.id}/block"
    blocked = await house.call("POST", path, {"is_blocked": True, "reason": "abuse"}, who=operator)
    assert blocked.json["is_blocked"]
    house.time.shift_s += 6
    assert (await house.call("GET", "/me", who=runner)).code == "not_signed_in"
    events = await house.ctx.store.read(house.campus_id, lambda uow: uow.outbox.timeline(runner.id))
    (event,) = [one for one in events if one.kind is EventKind.ACCOUNT_BLOCKED]
    assert event.runner_id == runner.id
    row = await audited(house, operator, "block_account")
    assert (row["before"], row["after"], row["subject"]) == ({"is_blocked": False}, {"is_blocked": True}, runner.id)
    body = {"phone": runner.account.phone, "campus_id": house.campus_id}
    assert (await house.call("POST", "/auth/code", body)).status == 202
    signed = await house.call("POST", "/auth/sign-in", body | {"code": house.sms.code()})
    assert signed.status == 403 and signed.code == "account_blocked"
    await house.call("POST", path, {"is_blocked": False, "reason": "talked"}, who=operator)
    house.time.shift_s += 61
    assert (await house.call("POST", "/auth/code", body)).status == 202
    assert (await house.call("POST", "/auth/sign-in", body | {"code": house.sms.code()})).status == 200


async def test_rank_is_respected(house: Any) -> None:
    operator, other, admin = (
        await house.person(Role.OPERATOR), await house.person(Role.OPERATOR), await house.person(Role.ADMIN),
    )  # fmt: skip
    block = {"is_blocked": True, "reason": "a quarrel"}
    for target in (operator, other, admin):
        assert (await house.call("POST", f"/accounts/{target.id}/block", block, who=operator)).code == "not_permitted"
    assert (await house.call("POST", f"/accounts/{other.id}/block", block, who=admin)).status == 200
    foreign = await house.person(Role.STUDENT, campus_id=house.other_campus_id)
    assert (await house.call("POST", f"/accounts/{foreign.id}/block", block, who=admin)).code == "not_found"


async def test_an_admin_gives_roles_but_keeps_their_own(house: Any) -> None:
    admin, student = await house.person(Role.ADMIN), await house.person(Role.STUDENT)
    path = f"/accounts/{student.id}/roles"
    given = await house.call("POST", path, {"roles": ["student", "runner", "operator"]}, who=admin)
    assert given.json["roles"] == ["operator", "runner", "student"] and given.json["runner_status"] == "approved"
    house.time.shift_s += 6
    assert (await house.call("GET", "/console", who=student)).status == 200
    taken = await house.call("POST", path, {"roles": ["student"]}, who=admin)
    assert taken.json["runner_status"] == "none"
    own = await house.call("POST", f"/accounts/{admin.id}/roles", {"roles": ["student"]}, who=admin)
    assert own.code == "not_permitted"
    assert (await audited(house, admin, "set_roles"))["after"]["roles"] == ["student"]


async def test_accounts_are_listed_found_and_paged(house: Any) -> None:
    operator = await house.person(Role.OPERATOR)
    students = [await house.person(Role.STUDENT) for _ in range(3)]
    first = (await house.call("GET", "/accounts?limit=2", who=operator)).json
    rest = (await house.call("GET", f"/accounts?limit=2&before={first['next_before']}", who=operator)).json
    assert {one["id"] for one in first["accounts"] + rest["accounts"]} == {operator.id, *(s.id for s in students)}
    assert (
        rest["next_before"] is None
        or not (await house.call("GET", f"/accounts?before={rest['next_before']}", who=operator)).json["accounts"]
    )
    by_role = (await house.call("GET", "/accounts?role=operator", who=operator)).json["accounts"]
    assert [one["id"] for one in by_role] == [operator.id]
    for q in (students[0].id, students[0].account.phone, students[0].account.name):
        assert (await house.call("GET", f"/accounts?q={q}", who=operator)).json["accounts"][0]["id"] == students[0].id


async def test_profiles(house: Any) -> None:
    student = await house.person(Role.STUDENT)
    edited = await house.call("PATCH", "/me", {"name": " 小王 ", "language": "en"}, who=student)
    assert (edited.json["name"], edited.json["language"]) == ("小王", "en")
    assert (await house.call("PATCH", "/me", {"name": "   "}, who=student)).json["error"]["field"] == "name"
    assert (await house.call("PATCH", "/me", {}, who=student)).json["name"] == "小王"


async def test_settings_change_by_version_and_are_audited(house: Any) -> None:
    operator = await house.person(Role.OPERATOR)
    version = (await house.call("GET", f"/campuses/{house.campus_id}")).json["version"]
    edit = {
        "version": version, "mode": "grab", "opens": "08:00", "closes": "22:30", "max_tasks_per_runner": 2,
        "runner_percent": 70, "campus_percent": 20,
    }  # fmt: skip
    changed = await house.call("PATCH", "/campus", edit, who=operator)
    assert changed.status == 200 and changed.json["version"] == version + 1 and changed.json["opens"] == "08:00"
    stale = await house.call("PATCH", "/campus", edit, who=operator)
    assert stale.code == "stale_version" and stale.json["error"]["detail"]["version"] == version + 1
    much = await house.call("PATCH", "/campus", {"version": version + 1, "runner_percent": 90}, who=operator)
    assert much.json["error"]["field"] == "runner_percent"
    row = await audited(house, operator, "edit_campus")
    assert row["before"]["mode"] == "mixed" and row["after"]["split"] == [70, 20, 10]
    assert (await house.call("GET", "/audit?limit=1", who=operator)).json["next_before"] == row["id"]
    other = (await house.call("GET", f"/campuses/{house.other_campus_id}")).json
    assert other["mode"] == "mixed"
