"""The campus team's money over HTTP: today, alarms, an order's trace, reconciliation and its items, risk."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from dispatch.model import ids
from dispatch.model.account import Role
from payments.guards.risk import Amount, RuleBook
from payments.port import Refund
from payments.upkeep.alarms import AlarmView
from tests.money_scene import AT, RUN, add_case, add_item, add_run, guard

READS = (
    "/money", "/money/overview", "/money/alarms", "/money/callbacks", "/money/runs", "/money/items",
    "/money/items/csv", "/money/risk-cases",
)  # fmt: skip


async def test_nobody_but_the_campus_team_sees_or_touches_money(house: Any) -> None:
    student, runner = await house.person(Role.STUDENT), await house.person(Role.RUNNER)
    order = await house.paid(student)
    await add_run(house.payments)
    item = await add_item(house.payments, house.campus_id)
    reads = [*READS, f"/orders/{order['id']}/money-trace", f"/money/runs/{RUN}", f"/money/runs/{RUN}/csv"]
    acts: list[tuple[str, dict[str, object]]] = [
        (f"/money/items/{item.id}/take", {}),
        (f"/money/items/{item.id}/close", {"reason": "x"}),
    ]
    acts.append(("/money/risk-cases/risk_x/review", {"is_released": True, "reason": "x"}))
    for who, code in ((None, "not_signed_in"), (student, "not_permitted"), (runner, "not_permitted")):
        for path in reads:
            assert (await house.call("GET", path, who=who)).code == code, path
        for path, body in acts:
            assert (await house.call("POST", path, body, who=who)).code == code, path
    operator = await house.person(Role.OPERATOR)
    for path in READS:
        assert (await house.call("GET", path, who=operator)).status == 200, path


async def test_the_day_and_the_channels(house: Any) -> None:
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    empty = (await house.call("GET", "/money/overview", who=operator)).json
    assert (empty["today"]["orders"], empty["last_paid_at_ms"], empty["quiet_min"]) == (0, None, None)
    order = await house.paid(student)
    house.time.shift_s += 180
    seen = (await house.call("GET", "/money/overview", who=operator)).json
    fen = order["quote"]["total_fen"]
    assert (seen["today"]["orders"], seen["today"]["held_fen"], seen["totals"]["held_fen"]) == (1, fen, fen)
    assert seen["quiet_min"] == 3 and seen["is_quiet"] is False
    assert [(one["code"], one["is_available"], one["problems"]) for one in seen["channels"]] == [
        ("sandbox", True, []), ("sandbox_backup", True, []),
    ]  # fmt: skip
    house.time.shift_s += 3600
    operator = await house.person(Role.OPERATOR)
    (hour,) = (await house.call("GET", "/money/callbacks?hours=48", who=operator)).json["hours"]
    assert (hour["channel"], hour["payments"], hour["ghosts"]) == ("sandbox", 1, 0)
    assert (await house.call("GET", "/money/callbacks?hours=0", who=operator)).json["error"]["field"] == "hours"


async def test_an_orders_trace_tells_everything_but_secrets(house: Any) -> None:
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    order = await house.place(student)
    token = (await house.call("GET", f"/orders/{order['id']}", who=student)).json["payment"]["credential"]["token"]
    await house.call("POST", "/sandbox/pay", {"token": token}, who=student)
    await house.work()
    path = f"/orders/{order['id']}/money-trace"
    answer = await house.call("GET", path, who=operator)
    entries = answer.json["entries"]
    assert {"attempt", "decision", "request", "reply", "callback"} <= {entry["kind"] for entry in entries}
    assert all(entry["title_zh"] and entry["title_en"] for entry in entries)
    assert [entry["seq"] for entry in entries] == sorted(entry["seq"] for entry in entries)
    assert token.encode() not in answer.body and not answer.json["is_cut"]
    newest = (await house.call("GET", f"{path}?limit=2", who=operator)).json
    assert newest["entries"] == entries[-2:] and newest["is_cut"]
    assert (await house.call("GET", path, who=stranger)).code == "not_found"
    assert (await house.call("GET", f"{path}?limit=1001", who=operator)).json["error"]["field"] == "limit"


async def test_items_are_taken_closed_and_audited(house: Any) -> None:
    operator, colleague = await house.person(Role.OPERATOR), await house.person(Role.OPERATOR)
    await add_run(house.payments)
    item = await add_item(house.payments, house.campus_id)
    (seen,) = (await house.call("GET", "/money/items", who=operator)).json["items"]
    assert (seen["id"], seen["state"], seen["theirs_fen"], seen["is_mine"]) == (item.id, "open", 880, False)
    path = f"/money/items/{item.id}"
    taken = (await house.call("POST", f"{path}/take", {}, who=operator)).json
    assert (taken["state"], taken["handler_name"], taken["is_mine"]) == ("taken", operator.account.name, True)
    assert (await house.call("POST", f"{path}/take", {}, who=operator)).status == 200
    refused = await house.call("POST", f"{path}/take", {}, who=colleague)
    assert (refused.status, refused.code) == (409, "wrong_state")
    assert refused.json["error"]["detail"] == {"code": "item_refused"}
    assert (await house.call("POST", f"{path}/close", {"reason": "guessed"}, who=colleague)).code == "wrong_state"
    instead = {"instead_of": operator.id}
    assert (await house.call("POST", f"{path}/take", instead, who=colleague)).json["is_mine"]
    for bad in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}):
        answer = await house.call("POST", f"{path}/close", bad, who=colleague)
        assert (answer.status, answer.json["error"]["field"]) == (400, "reason"), bad
    closed = (await house.call("POST", f"{path}/close", {"reason": "paid back by hand"}, who=colleague)).json
    assert (closed["state"], closed["reason"], closed["is_mine"]) == ("closed", "paid back by hand", False)
    assert (await house.call("GET", "/money/items", who=operator)).json["items"] == []
    assert (await house.call("POST", f"{path}/take", {}, who=operator)).code == "wrong_state"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [(row["action"], row["actor"], row["reason"]) for row in rows if row["subject"] == item.id] == [
        ("close_work_item", colleague.account.name, "paid back by hand"),
        ("take_work_item", colleague.account.name, ""),
        ("take_work_item", operator.account.name, ""),
    ]


async def test_another_campuss_items_and_those_of_nobody(house: Any) -> None:
    operator, admin = await house.person(Role.OPERATOR), await house.person(Role.ADMIN)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    await add_run(house.payments)
    own = await add_item(house.payments, house.campus_id, order_ref="=cmd()")
    nobodys = await add_item(house.payments, "")
    theirs = await add_item(house.payments, house.other_campus_id)
    for who, expected in ((operator, [own]), (admin, [own, nobodys]), (stranger, [theirs])):
        ids = sorted(item.id for item in expected)
        for path in ("/money/items", f"/money/runs/{RUN}"):
            answer = (await house.call("GET", path, who=who)).json
            assert sorted(item["id"] for item in answer["items"]) == ids
        for path in ("/money/items/csv", f"/money/runs/{RUN}/csv"):
            table = await house.call("GET", path, who=who)
            assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert "attachment" in table.headers["Content-Disposition"]
            rows = list(csv.DictReader(io.StringIO(table.body.decode("utf-8-sig"))))
            assert sorted(row["id"] for row in rows) == ids
            assert all(not row["order_ref"].startswith("=") for row in rows)
    for item in (nobodys, theirs):
        for act, body in (("take", {}), ("close", {"reason": "not mine"})):
            answer = await house.call("POST", f"/money/items/{item.id}/{act}", body, who=operator)
            assert answer.code == "not_found"
    for missing in ("/money/runs/sandbox-2020-01-01", "/money/runs/x/csv"):
        assert (await house.call("GET", missing, who=operator)).code == "not_found"
    (run,) = (await house.call("GET", "/money/runs", who=operator)).json["runs"]
    # Sums of a channel that other campuses share are nobody's to see.
    assert (run["id"], run["state"], run["theirs"], run["mismatches"]) == (RUN, "differing", None, None)


@pytest.mark.parametrize("is_released", [True, False])
async def test_a_held_payment_is_reviewed(house: Any, is_released: bool) -> None:
    guard(house.payments, RuleBook(default=(Amount(code="large_payment", decision="hold", above_fen=1),)))
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    order = await house.place(student)
    (case,) = (await house.call("GET", "/money/risk-cases?only_open=true", who=operator)).json["cases"]
    assert (case["order_id"], case["account_name"], case["code"]) == (
        order["id"], student.account.name, "large_payment",
    )  # fmt: skip
    assert case["needs_review"] and case["amount_fen"] == order["quote"]["total_fen"]
    assert [alert["kind"] for alert in (await house.call("GET", "/console", who=operator)).json["alerts"]] == [
        "risk_held"
    ]
    path, body = f"/money/risk-cases/{case['id']}/review", {"is_released": is_released, "reason": "called them"}
    assert (await house.call("POST", path, body, who=stranger)).code == "not_found"
    assert (await house.call("POST", path, body | {"reason": " "}, who=operator)).json["error"]["field"] == "reason"
    decided = (await house.call("POST", path, body, who=operator)).json
    assert decided["standing"] == ("released" if is_released else "refused")
    assert decided["decided_by_name"] == operator.account.name and not decided["needs_review"]
    assert (await house.call("POST", path, body, who=operator)).status == 200
    other = body | {"is_released": not is_released}
    assert (await house.call("POST", path, other, who=operator)).code == "wrong_state"
    await house.work()
    assert (await house.call("GET", "/console", who=operator)).json["alerts"] == []
    actions = [row["action"] for row in (await house.call("GET", "/audit", who=operator)).json["rows"]]
    assert actions.count("release_risk" if is_released else "refuse_risk") == 1
    credential = (await house.call("GET", f"/orders/{order['id']}", who=student)).json["payment"]["credential"]
    assert (credential is not None) == is_released


async def test_cases_are_paged(house: Any) -> None:
    guard(house.payments, RuleBook(default=()))
    operator, student = await house.person(Role.OPERATOR), await house.person(Role.STUDENT)
    ids = [await add_case(house.payments, house.campus_id, student.id) for _ in range(3)]
    await add_case(house.payments, house.other_campus_id, student.id)
    first = (await house.call("GET", "/money/risk-cases?limit=2", who=operator)).json
    rest = (await house.call("GET", f"/money/risk-cases?limit=2&before={first['next_before']}", who=operator)).json
    assert [case["id"] for case in first["cases"] + rest["cases"]] == ids[::-1]
    assert rest["next_before"] is None
    assert (await house.call("GET", "/money/risk-cases?limit=0", who=operator)).json["error"]["field"] == "limit"


async def test_alarms_of_this_campus_and_of_all_in_words(house: Any) -> None:
    operator = await house.person(Role.OPERATOR)

    def alarm(number: int, campus_id: str, **more: Any) -> AlarmView:
        fields: dict[str, Any] = {"kind": "quiet", "subject": "", "parameters": {"minutes": 15, "asked": 2,
                                                                                 "paid_last_week": 3}}  # fmt: skip
        return AlarmView(
            id=f"alarm_{number}", campus_id=campus_id, step=0, times=1, opened_at=AT, told_at=AT, seen_at=AT,
            **fields | more,
        )  # fmt: skip

    told = [
        alarm(1, house.campus_id),
        alarm(2, house.other_campus_id),
        alarm(3, house.campus_id, kind="hold_expires", closed_at=AT),
        alarm(4, "", kind="callbacks_missing", subject="sandbox",
              parameters={"channel": "sandbox", "ghosts": 5, "payments": 6}),
        alarm(5, "", kind="breaker_open", subject="sandbox:create",
              parameters={"channel": "sandbox", "operation": "create", "minutes": 6}),
    ]  # fmt: skip

    def write(uow: Any) -> None:
        for each in told:
            uow.alarms.put(each)

    await house.payments._store.run(write)
    seen = (await house.call("GET", "/money/alarms", who=operator)).json["alarms"]
    assert {(one["id"], one["is_everywhere"]) for one in seen} == {
        ("alarm_1", False), ("alarm_4", True), ("alarm_5", True),
    }  # fmt: skip
    missing = next(one for one in seen if one["kind"] == "callbacks_missing")
    assert "5 of 6" in missing["text_en"] and "演示支付" in missing["text_zh"] and missing["advice_zh"]
    view = (await house.call("GET", "/money/overview", who=operator)).json
    assert view["is_quiet"] and view["channels"][0]["passed_over"] == ["create"]
    assert view["channels"][0]["problems"] == ["breaker_open", "callbacks_missing"]


async def test_refunds_and_their_deadlines(house: Any) -> None:
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    order = await house.paid(student)
    await house.payments.bank.script(order["id"], "release_lost", 1000)
    refund = Refund(
        id="refund:1",
        intent_id=ids.derived_id(ids.INTENT, order["id"]),
        refund_id="refund-1",
        amount_fen=100,
        reason="wet parcel",
    )
    await house.payments.submit(refund)
    await house.payments.work()
    (seen,) = (await house.call("GET", "/money/refunds?only_open=true", who=operator)).json["refunds"]
    assert (seen["order_id"], seen["amount_fen"], seen["reason"]) == (order["id"], 100, "wet parcel")
    assert seen["due_by_ms"] > seen["asked_at_ms"] and not seen["is_overdue"] and seen["done_at_ms"] is None
    assert [(part["path"], part["amount_fen"]) for part in seen["parts"]] == [("held", 100)]
    assert (await house.call("GET", "/money/refunds", who=stranger)).json["refunds"] == []
    assert (await house.call("GET", "/money/refunds?limit=x", who=operator)).json["error"]["field"] == "limit"
