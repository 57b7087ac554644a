"""Reconciliation on demand over HTTP: who may ask for it, what is told while it is under way, and what bounds it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from dispatch.flow.work_money import _RUNS
from dispatch.model.account import Role
from payments.reconcile.business_day import CHINA, day_of


def yesterday(house: Any) -> date:
    return day_of(house.ctx.clock.now(), CHINA) - timedelta(days=1)


async def upkeep(house: Any) -> None:
    """One round of the reconciliation, as the jobs do it."""
    house.time.shift_s += 6
    while await house.payments.upkeep.reconciler.work():
        await house.work()


async def test_a_day_is_reconciled_when_somebody_asks(house: Any) -> None:
    student, operator = await house.person(Role.STUDENT), await house.person(Role.OPERATOR)
    await house.paid(student)
    paid_on = day_of(house.ctx.clock.now(), CHINA)
    house.time.shift_s += 86_400 + 11 * 3600
    operator = await house.person(Role.OPERATOR)
    asked = await house.call("POST", "/money/runs", {"channel": "sandbox", "day": paid_on.isoformat()}, who=operator)
    assert asked.status == 200
    run = asked.json
    assert (run["id"], run["state"], run["is_under_way"]) == (f"sandbox-{paid_on}", "waiting", True)
    await upkeep(house)
    seen = (await house.call("GET", f"/money/runs/{run['id']}", who=operator)).json["run"]
    assert (seen["state"], seen["is_under_way"], seen["due_at_ms"]) == ("agreed", False, None)
    # Once more: it stands as it was found until it is found anew.
    again = (await house.call("POST", "/money/runs", {"channel": "sandbox", "day": run["day"]}, who=operator)).json
    assert (again["state"], again["is_under_way"], again["ran_at_ms"]) == ("agreed", True, seen["ran_at_ms"])
    await upkeep(house)
    newer = (await house.call("GET", f"/money/runs/{run['id']}", who=operator)).json["run"]
    assert newer["ran_at_ms"] > seen["ran_at_ms"] and not newer["is_under_way"]
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [(row["actor"], row["subject"]) for row in rows if row["action"] == "reconcile"] == [
        (operator.account.name, run["id"])
    ] * 2


async def test_a_bill_that_is_not_there_is_told_with_the_next_try(house: Any) -> None:
    operator = await house.person(Role.OPERATOR)
    await house.payments.bank.script("*", "bill_late", 5)
    body = {"channel": "sandbox", "day": yesterday(house).isoformat()}
    run = (await house.call("POST", "/money/runs", body, who=operator)).json
    await upkeep(house)
    seen = (await house.call("GET", f"/money/runs/{run['id']}", who=operator)).json["run"]
    assert (seen["state"], seen["reason"], seen["is_under_way"]) == ("waiting", "late", False)
    assert seen["due_at_ms"] > house.ctx.clock.now().timestamp() * 1000


async def test_nobody_but_who_manages_money_may_ask(house: Any) -> None:
    body = {"channel": "sandbox", "day": yesterday(house).isoformat()}
    people = [await house.person(role) for role in (Role.STUDENT, Role.RUNNER)]
    for who, code in ((None, "not_signed_in"), *((person, "not_permitted") for person in people)):
        assert (await house.call("POST", "/money/runs", body, who=who)).code == code
    assert await house.payments.reconciliations() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "channel"),
        ({"channel": "sandbox"}, "day"),
        ({"channel": "sandbox", "day": "yesterday"}, "day"),
        ({"channel": "../x", "day": "2026-03-02"}, "channel"),
    ],
)
async def test_what_is_asked_must_be_a_channel_and_a_day(house: Any, body: dict[str, str], field: str) -> None:
    operator = await house.person(Role.OPERATOR)
    answer = await house.call("POST", "/money/runs", body, who=operator)
    assert (answer.status, answer.json["error"]["field"]) == (400, field)


async def test_no_bill_of_the_future_the_distant_past_or_nobody(house: Any) -> None:
    operator, day = await house.person(Role.OPERATOR), yesterday(house)
    for channel, wanted in (
        ("sandbox", day + timedelta(days=1)), ("sandbox", day - timedelta(days=400)), ("cowries", day)
    ):  # fmt: skip
        answer = await house.call("POST", "/money/runs", {"channel": channel, "day": str(wanted)}, who=operator)
        assert (answer.status, answer.json["error"]["detail"]) == (404, {"code": "no_such_run"})
    assert await house.payments.reconciliations() == []


async def test_a_campus_asks_only_so_often(house: Any) -> None:
    operator, colleague = await house.person(Role.OPERATOR), await house.person(Role.OPERATOR)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    body = {"channel": "sandbox", "day": yesterday(house).isoformat()}
    for _ in range(_RUNS):
        assert (await house.call("POST", "/money/runs", body, who=operator)).status == 200
    refused = await house.call("POST", "/money/runs", body, who=colleague)
    assert (refused.status, refused.code) == (429, "too_many") and int(refused.headers["Retry-After"]) > 0
    assert (await house.call("POST", "/money/runs", body, who=stranger)).status == 200
