"""Withdrawals over HTTP: who may ask, who may look, who may decide, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.model.account import Role
from dispatch.web.routes import ROUTES
from payments.money import Fen
from payments.terms import Terms
from tests.money_scene import add_withdrawal

DAY_S = 86_400


async def earned(house: Any, runner: Any) -> int:
    """What one settled errand left the runner."""
    student = await house.person(Role.STUDENT)
    order = await house.carried(student, runner)
    path = f"/orders/{order['id']}"
    pin = (await house.call("GET", path, who=student)).json["pin"]
    assert (await house.call("POST", f"{path}/picked-up", {}, who=runner)).status == 200
    assert (await house.call("POST", f"{path}/delivered", {"pin": pin}, who=runner)).status == 200
    assert (await house.call("POST", f"{path}/confirm", {}, who=student)).status == 200
    await settle(house, order["id"])
    return int((await house.call("GET", "/runner/wallet", who=runner)).json["available_fen"])


async def settle(house: Any, order_id: str) -> None:
    """Divide the money now; the day's waiting is tested elsewhere."""
    from dispatch.flow.settle_order import command_settlement

    ground = await house.ctx.grounds.get(house.campus_id)
    await house.ctx.store.run(house.campus_id, lambda uow: command_settlement(uow, uow.orders.get(order_id), ground))
    await house.work()


async def ask(house: Any, who: Any, fen: object, key: str = "w1", **more: Any) -> Any:
    body = {"amount_fen": fen, **more}
    headers = {"Idempotency-Key": key} if key else {}
    return await house.call("POST", "/runner/withdrawals", body, who=who, headers=headers)


async def test_a_runner_withdraws_once_however_often_the_request_comes(house: Any) -> None:
    runner = await house.person(Role.STUDENT, Role.RUNNER)
    fen = await earned(house, runner)
    first, again = await ask(house, runner, fen), await ask(house, runner, fen)
    assert (first.status, again.status) == (202, 202) and first.json["id"] == again.json["id"]
    assert first.json["state"] == "under_way"
    await house.work()
    wallet = (await house.call("GET", "/runner/wallet", who=runner)).json
    assert (wallet["available_fen"], wallet["withdrawing_fen"], wallet["withdrawn_fen"]) == (0, 0, fen)
    assert wallet["pay_by_ms"] is None and [one["state"] for one in wallet["withdrawals"]] == ["done"]
    assert (await house.call("GET", "/runner/withdrawals", who=runner)).json["withdrawals"] == wallet["withdrawals"]
    other = await ask(house, runner, fen + 1)
    assert (other.status, other.code) == (409, "idempotency_key_reused")


async def test_a_refusal_names_the_field_the_rule_and_its_limit(house: Any) -> None:
    runner = await house.person(Role.STUDENT, Role.RUNNER)
    fen = await earned(house, runner)
    for wrong in (0, -1, "all", 1.5, 10**12, None):
        answer = await ask(house, runner, wrong)
        assert (answer.code, answer.json["error"]["field"]) == ("invalid_input", "amount_fen"), wrong
    keyless = await ask(house, runner, fen, key="")
    assert (keyless.status, keyless.json["error"]["field"]) == (400, "Idempotency-Key")
    too_much = await ask(house, runner, fen + 1, "a")
    error = too_much.json["error"]
    assert (too_much.status, error["code"], error["field"]) == (400, "invalid_input", "amount_fen")
    assert error["detail"] == {"reason": "available", "limit": fen}
    assert (await ask(house, runner, 100, "b")).status == 202
    second = await ask(house, runner, 100, "c")
    assert (second.status, second.code) == (409, "wrong_state")
    assert second.json["error"]["detail"] == {"reason": "one_at_a_time", "limit": 1}
    assert (await ask(house, runner, 100, "d", account_ref="acc_x")).json["error"]["field"] == "account_ref"


async def test_nobody_but_the_runner_withdraws_and_nobody_but_the_team_decides(house: Any) -> None:
    runner = await house.person(Role.STUDENT, Role.RUNNER)
    fen = await earned(house, runner)
    house.payments._store.terms = Terms(review_above_fen=Fen(1))
    held = (await ask(house, runner, fen)).json
    student, other = await house.person(Role.STUDENT), await house.person(Role.STUDENT, Role.RUNNER)
    operator = await house.person(Role.OPERATOR)
    stranger = await house.person(Role.OPERATOR, campus_id=house.other_campus_id)
    path, body = f"/money/withdrawals/{held['id']}/review", {"is_approved": True, "reason": "known to us"}
    for who, code in ((None, "not_signed_in"), (student, "not_permitted"), (operator, "not_permitted")):
        assert (await ask(house, who, 100)).code == code
        assert (await house.call("GET", "/runner/withdrawals", who=who)).code == code
    for who, code in ((None, "not_signed_in"), (student, "not_permitted"), (runner, "not_permitted")):
        assert (await house.call("GET", "/money/withdrawals", who=who)).code == code
        assert (await house.call("POST", path, body, who=who)).code == code
    assert (await house.call("GET", "/runner/withdrawals", who=other)).json["withdrawals"] == []
    # Another runner's money is never in reach: the request has no account to name.
    assert (await ask(house, other, fen)).json["error"]["detail"] == {"reason": "available", "limit": 0}
    assert (await house.call("POST", path, body, who=stranger)).code == "not_found"
    assert (await house.call("GET", "/money/withdrawals", who=stranger)).json["withdrawals"] == []
    (row,) = (await house.call("GET", "/money/withdrawals?only_held=true", who=operator)).json["withdrawals"]
    assert (row["account_name"], row["amount_fen"], row["is_own"]) == (runner.account.name, fen, False)
    for bad in ({}, {"is_approved": True}, body | {"reason": ""}, body | {"reason": " "}, body | {"reason": "x" * 251}):
        answer = await house.call("POST", path, bad, who=operator)
        assert answer.status == 400 and answer.json["error"]["field"] in ("is_approved", "reason"), bad
    assert (await house.call("POST", path, body, who=operator)).json["state"] == "under_way"
    rows = (await house.call("GET", "/audit", who=operator)).json["rows"]
    assert [(row["action"], row["reason"]) for row in rows if row["subject"] == held["id"]] == [
        ("approve_withdrawal", "known to us")
    ]
    own = await add_withdrawal(house.payments, house.campus_id, operator.id)
    answer = await house.call("POST", f"/money/withdrawals/{own}/review", body, who=operator)
    assert (answer.status, answer.code) == (403, "not_permitted")


async def test_what_waits_stands_before_what_is_newer(house: Any) -> None:
    operator = await house.person(Role.OPERATOR)
    held = await add_withdrawal(house.payments, house.campus_id, "acc_1")
    newer = [await add_withdrawal(house.payments, house.campus_id, f"acc_{n}", state="done") for n in (2, 3)]
    listed = (await house.call("GET", "/money/withdrawals?limit=2", who=operator)).json["withdrawals"]
    assert [one["id"] for one in listed] == [held, newer[-1]]
    waiting = (await house.call("GET", "/money/withdrawals?only_held=true", who=operator)).json["withdrawals"]
    assert [(one["id"], one["account_name"]) for one in waiting] == [(held, "acc_1")]


@pytest.mark.parametrize("path", ["/runner/withdrawals", "/money/withdrawals"])
async def test_lists_are_bounded(house: Any, path: str) -> None:
    who = await house.person(Role.RUNNER, Role.OPERATOR)
    for number in range(3):
        state = "done" if number else "held"
        await add_withdrawal(house.payments, house.campus_id, who.id, state=state)
    assert len((await house.call("GET", f"{path}?limit=2", who=who)).json["withdrawals"]) == 2
    assert (await house.call("GET", f"{path}?limit=0", who=who)).json["error"]["field"] == "limit"
    route = next(one for one in ROUTES if one.method == "GET" and one.path == path)
    assert route.query.__struct_fields__[0] == "limit"
