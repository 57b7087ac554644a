"""Credit over HTTP: what a runner reads, what the campus team writes, who may appeal, and what each is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.model.account import Role


@pytest.fixture
async def operator(house: Any) -> Any:
    return await house.person(Role.OPERATOR)


@pytest.fixture
async def runner(house: Any) -> Any:
    return await house.person(Role.STUDENT, Role.RUNNER)


@pytest.fixture
async def order(house: Any, runner: Any) -> Any:
    """One that the runner carries."""
    return await house.carried(await house.person(Role.STUDENT), runner, "carried")


async def correct(house: Any, operator: Any, runner: Any, delta: int, reason: str = "saw it myself") -> Any:
    body = {"kind": "corrected", "delta": delta, "reason": reason}
    return await house.call("POST", f"/accounts/{runner.id}/credit", body, who=operator)


async def credit(house: Any, who: Any, query: str = "") -> Any:
    answer = await house.call("GET", f"/me/credit{query}", who=who)
    assert answer.status == 200, answer.body
    return answer.json


async def test_somebody_without_a_history_sees_the_rules(house: Any, runner: Any) -> None:
    view = await credit(house, runner)
    assert (view["credit"], view["level"], view["has_badge"], view["lines"]) == (80, "normal", False, [])
    assert view["acceptance_percent"] == 87 and view["next_before"] is None
    assert [level["level"] for level in view["levels"]] == ["good", "normal", "warned", "limited", "removed"]
    limited, removed = view["levels"][3:]
    assert (limited["max_tasks"], limited["most_value_fen"], limited["hall_delay_s"]) == (1, 3_000, 60)
    assert (removed["max_tasks"], removed["may_take"]) == (0, False)
    rules = {(rule["reason"], rule["delta"]) for rule in view["rules"]}
    assert {("on_time", 1), ("declined", 0), ("late", -6), ("lost", -20), ("taken_back", -5), ("faded", 1)} <= rules


async def test_a_correction_is_a_line_with_its_reason_and_on_record(house: Any, operator: Any, runner: Any) -> None:
    body = {"kind": "corrected", "delta": -7, "reason": "parcels left in the rain"}
    path = f"/accounts/{runner.id}/credit"
    made = await house.call("POST", path, body, who=operator, headers={"Idempotency-Key": "k"})
    again = await house.call("POST", path, body, who=operator, headers={"Idempotency-Key": "k"})
    assert made.status == 200 and again.body == made.body and made.json["credit"] == 73
    (line, opening) = made.json["lines"]
    assert (line["delta"], line["balance"], line["reason"], line["number"]) == (-7, 73, "corrected", 2)
    assert (line["note"], line["actor"]) == ("parcels left in the rain", operator.account.name)
    assert (opening["delta"], opening["reason"], opening["can_appeal"]) == (80, "opening", False)
    (seen, _) = (await credit(house, runner))["lines"]
    assert seen["actor"] == "team" and seen["note"] == line["note"] and seen["can_appeal"]
    assert operator.account.name not in str(await credit(house, runner)), "who it was is the team's business"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert (rows[0]["action"], rows[0]["subject"], rows[0]["reason"]) == ("credit.corrected", runner.id, body["reason"])
    assert rows[0]["before"] == {"credit": 80} and rows[0]["after"]["credit"] == 73


async def test_pages_of_a_history(house: Any, operator: Any, runner: Any) -> None:
    for _ in range(4):
        assert (await correct(house, operator, runner, -1)).status == 200
    first = await credit(house, runner, "?limit=2")
    assert [line["number"] for line in first["lines"]] == [5, 4] and first["next_before"] == 4
    second = await credit(house, runner, f"?limit=2&before={first['next_before']}")
    assert [line["number"] for line in second["lines"]] == [3, 2]
    last = await credit(house, runner, "?limit=2&before=2")
    assert [line["number"] for line in last["lines"]] == [1] and last["next_before"] is None
    everything = (await house.call("GET", f"/accounts/{runner.id}/credit", who=operator)).json
    assert [line["balance"] for line in everything["lines"]] == [76, 77, 78, 79, 80]


async def test_what_was_lost_costs_by_rule_and_once(house: Any, operator: Any, runner: Any, order: Any) -> None:
    path, body = f"/accounts/{runner.id}/credit", {"kind": "lost", "reason": "never arrived", "order_id": order["id"]}
    made = await house.call("POST", path, body, who=operator)
    assert made.json["credit"] == 60 and made.json["lines"][0]["order_id"] == order["id"]
    assert (await house.call("POST", path, body, who=operator)).code == "wrong_state"
    damaged = await house.call("POST", path, {**body, "kind": "damaged"}, who=operator)
    assert damaged.json["credit"] == 50 and damaged.json["level"] == "warned"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "corrected"}, "delta"),
        ({"kind": "corrected", "delta": 0}, "delta"),
        ({"kind": "corrected", "delta": -101}, "delta"),
        ({"kind": "corrected", "delta": 1, "reason": "x"}, "reason"),
        ({"kind": "lost"}, "order_id"),
        ({"kind": "lost", "delta": -3}, "delta"),
        ({"kind": "lost", "order_id": "ord_x"}, "order_id"),
        ({"kind": "late"}, "kind"),
        ({"kind": "corrected", "delta": 1, "points": 2}, "points"),
    ],
)
async def test_a_wrong_record_is_refused_by_name(
    house: Any, operator: Any, runner: Any, change: dict[str, Any], field: str
) -> None:
    body = {"reason": "for a good reason", **change}
    refused = await house.call("POST", f"/accounts/{runner.id}/credit", body, who=operator)
    assert refused.status == 400 and refused.json["error"]["field"] == field, refused.body
    assert (await credit(house, runner))["lines"] == []


async def test_nobody_answers_for_an_order_that_they_never_had(house: Any, operator: Any, order: Any) -> None:
    other = await house.person(Role.STUDENT, Role.RUNNER)
    body = {"kind": "lost", "reason": "never arrived", "order_id": order["id"]}
    refused = await house.call("POST", f"/accounts/{other.id}/credit", body, who=operator)
    assert refused.json["error"]["field"] == "order_id"
    student = await house.person(Role.STUDENT)
    refused = await correct(house, operator, student, -5)
    assert refused.json["error"]["field"] == "kind", "a student has no credit to lose"


async def test_nobody_corrects_themselves_or_another_campus(house: Any, operator: Any, runner: Any) -> None:
    both = await house.person(Role.OPERATOR, Role.RUNNER)
    assert (await correct(house, both, both, 20)).code == "not_permitted"
    assert (await correct(house, operator, both, 20)).code == "not_permitted", "only an admin decides about the team"
    foreign = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    line = (await correct(house, operator, runner, -3)).json["lines"][0]
    assert (await correct(house, foreign, runner, -5)).status == 404
    reverse = {"reason": "not my campus"}
    for path in (f"/accounts/{runner.id}/credit",):
        assert (await house.call("GET", path, who=foreign)).status == 404
    assert (await house.call("POST", f"/credit-lines/{line['id']}/reverse", reverse, who=foreign)).status == 404
    assert (await credit(house, runner))["credit"] == 77


async def test_a_line_is_taken_back_once_and_stays_to_be_read(house: Any, operator: Any, runner: Any) -> None:
    line = (await correct(house, operator, runner, -9)).json["lines"][0]
    path, body = f"/credit-lines/{line['id']}/reverse", {"reason": "it was somebody else"}
    view = (await house.call("POST", path, body, who=operator)).json
    back, wrong, opening = view["lines"]
    assert view["credit"] == 80 and (back["delta"], back["reason"]) == (9, "reversed")
    assert back["facts"] == {"number": 2, "of": "corrected"}
    assert wrong["is_reversed"] and not wrong["can_appeal"] and not back["is_reversed"]
    assert (await house.call("POST", path, body, who=operator)).code == "wrong_state"
    for final in (back, opening):
        refused = await house.call("POST", f"/credit-lines/{final['id']}/reverse", body, who=operator)
        assert refused.code == "wrong_state"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [row["action"] for row in rows] == ["credit.reverse", "credit.corrected"]


@pytest.mark.parametrize("is_granted", [True, False])
async def test_an_appeal_is_heard_and_decided(house: Any, operator: Any, runner: Any, is_granted: bool) -> None:
    line = (await correct(house, operator, runner, -9)).json["lines"][0]
    path = f"/credit-lines/{line['id']}/appeal"
    stranger = await house.person(Role.STUDENT, Role.RUNNER)
    assert (await house.call("POST", path, {"text": "let me"}, who=stranger)).status == 404
    made = await house.call("POST", path, {"text": "it rained, and the lift was out"}, who=runner)
    assert made.status == 200 and made.json["appeal"]["status"] == "open" and not made.json["can_appeal"]
    assert (await house.call("POST", path, {"text": "once more"}, who=runner)).code == "wrong_state"
    alerts = (await house.call("GET", "/console", who=operator)).json["alerts"]
    (alert,) = [one for one in alerts if one["kind"] == "credit_appeal"]
    assert runner.account.name in alert["text_en"] and alert["account_id"] == runner.id
    appeal = made.json["appeal"]["id"]
    body = {"is_granted": is_granted, "answer": "we looked at the weather"}
    assert (await house.call("POST", f"/credit-appeals/{appeal}/decide", body, who=runner)).code == "not_permitted"
    view = (await house.call("POST", f"/credit-appeals/{appeal}/decide", body, who=operator)).json
    assert view["credit"] == (80 if is_granted else 71)
    (mine,) = [one for one in (await credit(house, runner))["lines"] if one["id"] == line["id"]]
    status = "granted" if is_granted else "refused"
    assert (mine["appeal"]["status"], mine["appeal"]["answer"]) == (status, body["answer"])
    assert mine["is_reversed"] is is_granted
    assert (await house.call("POST", f"/credit-appeals/{appeal}/decide", body, who=operator)).code == "wrong_state"
    assert (await house.call("GET", "/console", who=operator)).json["alerts"] == [], "whoever decides has taken note"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    (row,) = [row for row in rows if row["action"] == "credit.appeal"]
    assert row["after"]["status"] == status and row["reason"] == body["answer"]


async def test_taking_a_line_back_grants_its_appeal(house: Any, operator: Any, runner: Any) -> None:
    line = (await correct(house, operator, runner, -9)).json["lines"][0]
    await house.call("POST", f"/credit-lines/{line['id']}/appeal", {"text": "it rained"}, who=runner)
    await house.call("POST", f"/credit-lines/{line['id']}/reverse", {"reason": "it did"}, who=operator)
    mine = (await credit(house, runner))["lines"][1]
    assert mine["appeal"]["status"] == "granted" and mine["appeal"]["answer"] == "it did"


async def test_appeals_have_a_bound_and_a_time(house: Any, operator: Any, runner: Any) -> None:
    for _ in range(7):
        await correct(house, operator, runner, -1)
    lines = [line["id"] for line in (await credit(house, runner))["lines"][:7]]
    for line in lines[:5]:
        assert (await house.call("POST", f"/credit-lines/{line}/appeal", {"text": "no, no"}, who=runner)).status == 200
    refused = await house.call("POST", f"/credit-lines/{lines[5]}/appeal", {"text": "no, no"}, who=runner)
    assert refused.code == "too_many"
    opening = (await credit(house, runner))["lines"][-1]["id"]
    assert (await house.call("POST", f"/credit-lines/{opening}/appeal", {"text": "no"}, who=runner)).status == 400
    refused = await house.call("POST", f"/credit-lines/{opening}/appeal", {"text": "no, no"}, who=runner)
    assert refused.code == "wrong_state", "the first line took nothing"


async def test_who_was_removed_reads_and_appeals_still(house: Any, operator: Any, runner: Any) -> None:
    line = (await correct(house, operator, runner, -75)).json["lines"][0]
    line = next(one for one in (await credit(house, runner))["lines"] if one["reason"] == "corrected")
    removed = {"status": "removed", "reason": "fell to 5"}
    assert (await house.call("POST", f"/accounts/{runner.id}/runner-review", removed, who=operator)).status == 200
    house.time.shift_s += 6  # past the time for which a process remembers who somebody is
    assert (await house.call("GET", "/runner/state", who=runner)).code == "not_permitted"
    assert (await credit(house, runner))["level"] == "removed"
    made = await house.call("POST", f"/credit-lines/{line['id']}/appeal", {"text": "please look again"}, who=runner)
    assert made.status == 200


async def test_the_console_and_the_students_card_show_the_level(house: Any, operator: Any, runner: Any) -> None:
    student = await house.person(Role.STUDENT)
    order = await house.carried(student, runner, "shown")
    await correct(house, operator, runner, 15)
    card = (await house.call("GET", f"/orders/{order['id']}", who=student)).json["runner"]
    assert (card["credit"], card["has_badge"]) == (95, True)
    (row,) = (await house.call("GET", "/console", who=operator)).json["runners"]
    assert (row["credit"], row["credit_level"]) == (95, "good")
    state = (await house.call("GET", "/runner/state", who=runner)).json
    assert (state["credit"], state["credit_level"], state["max_tasks"]) == (95, "good", 4)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "before=0", "before=x", "unknown=1"])
async def test_a_wrong_question_is_refused(house: Any, runner: Any, query: str) -> None:
    refused = await house.call("GET", f"/me/credit?{query}", who=runner)
    assert refused.status == 400 and refused.json["error"]["field"] == query.partition("=")[0]


async def test_the_campus_team_changes_the_rules_and_old_lines_stay(house: Any, operator: Any, runner: Any) -> None:
    await correct(house, operator, runner, -15)
    version = (await house.call("GET", f"/campuses/{house.campus_id}")).json["version"]
    rules = {"lost": -30, "late": [{"over_s": 300, "delta": -2}], "normal_from": 70, "limited_value_fen": 500}
    edited = await house.call("PATCH", "/campus", {"version": version, "credit": rules}, who=operator)
    assert edited.status == 200, edited.body
    house.time.shift_s += 3  # past the time for which a process keeps the settings
    view = await credit(house, runner)
    assert (view["credit"], view["level"], view["rule_version"]) == (65, "warned", f"credit-{version + 1}")
    assert [line["rule_version"] for line in view["lines"]] == ["credit-1"] * 2
    told = {(rule["reason"], rule["delta"]) for rule in view["rules"]}
    assert ("lost", -30) in told and ("late", -2) in told and ("late", -6) not in told
    (row,) = [
        one for one in (await house.call("GET", "/audit", who=operator)).json["rows"] if one["action"] == "edit_campus"
    ]
    assert row["before"]["credit"]["lost"]["delta"] == -20 and row["after"]["credit"]["lost"]["delta"] == -30
    student = {"version": version + 1, "credit": {"lost": 0}}
    assert (await house.call("PATCH", "/campus", student, who=runner)).code == "not_permitted"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"good_from": 60}, "credit.good_from"),
        ({"limited_from": 50}, "credit.warned_from"),
        ({"late": [{"over_s": 300, "delta": -2}, {"over_s": 200, "delta": -3}]}, "credit.late"),
        ({"late": [{"over_s": 300, "delta": -2}, {"over_s": 400, "delta": -1}]}, "credit.late"),
        ({"late": [{"over_s": 300, "delta": 1}]}, "credit.late.0.delta"),
        ({"lost": -101}, "credit.lost"),
        ({"lost": 1}, "credit.lost"),
        ({"on_time": -1}, "credit.on_time"),
        ({"stolen": -3}, "credit.stolen"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(
    house: Any, operator: Any, change: dict[str, Any], field: str
) -> None:
    version = (await house.call("GET", f"/campuses/{house.campus_id}")).json["version"]
    refused = await house.call("PATCH", "/campus", {"version": version, "credit": change}, who=operator)
    assert refused.status == 400 and refused.json["error"]["field"] == field, refused.body
