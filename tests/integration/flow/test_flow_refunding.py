"""An operator gives money back: before the split and after it, whole and in part; the order ends well all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order, confirm_order, go_on_duty, refund_order, work_money
from dispatch.flow.settle_order import runner_pay_fen
from dispatch.model.account import Role
from dispatch.model.errors import KeyReused, NotPermitted
from dispatch.model.money_views import RefundOrder, RefundRow, ReviewRisk
from dispatch.model.order import OrderStatus
from dispatch.model.requests import ConfirmOrder, OperatorCancel
from payments.guards.risk import RuleBook
from tests.flow_world import DAY_S, World
from tests.money_scene import add_case, guard


async def give(
    world: World, who: Principal, order_id: str, fen: int, key: str = "r1", reason: str = "cold"
) -> RefundRow:
    asked = RefundOrder(amount_fen=fen, reason=reason)
    row = await refund_order.refund_order(world.ctx, who, order_id, asked, key)
    await world.work()
    return row


async def settle(world: World, student: Principal, order_id: str) -> None:
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S)


async def pay_of(world: World, order_id: str) -> int:
    settings = (await world.ctx.grounds.get(world.campus_id)).campus.settings
    return runner_pay_fen(await world.order(order_id), settings)


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_part_comes_to_the_same_before_the_split_and_after_it(world: World, is_before: bool) -> None:
    student, runner, operator = await world.student(), await world.runner(), await world.operator()
    order_id = await world.delivered(student, runner)
    total, pay = (await world.order(order_id)).held_fen, await pay_of(world, order_id)
    if is_before:
        await give(world, operator, order_id, 100)
    await settle(world, student, order_id)
    if not is_before:
        await give(world, operator, order_id, 100)
    order = await world.order(order_id)
    assert order.status is OrderStatus.SETTLED
    assert (order.captured_fen, order.released_fen + order.refunded_fen) == (total - 100, 100)
    left = (await go_on_duty.wallet(world.ctx, runner)).available_fen
    assert abs(left - pay * (total - 100) / total) < 1, "each bears by its share, to the fen"
    await world.assert_books(order_id)
    assert "money_command_refused" not in await world.alerts()


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_whole_refund_ends_the_order_with_nothing_for_anybody(world: World, is_before: bool) -> None:
    student, runner, operator = await world.student(), await world.runner(), await world.operator()
    order_id = await world.delivered(student, runner)
    total = (await world.order(order_id)).held_fen
    if is_before:
        await give(world, operator, order_id, total)
        assert (await world.order(order_id)).released_fen == total
    await settle(world, student, order_id)
    if not is_before:
        await give(world, operator, order_id, total)
    order = await world.order(order_id)
    assert order.status is OrderStatus.SETTLED
    assert (order.captured_fen, order.released_fen + order.refunded_fen) == (0, total)
    assert (await go_on_duty.wallet(world.ctx, runner)).available_fen == 0
    await world.assert_books(order_id)
    assert "money_command_refused" not in await world.alerts()


@pytest.mark.parametrize("left_fen", [0, 50])
async def test_a_charge_takes_what_a_refund_has_left(world: World, left_fen: int) -> None:
    student, runner, operator = await world.student(), await world.runner(), await world.operator()
    order_id = await world.assigned(student, runner)
    order = await world.order(order_id)
    await give(world, operator, order_id, order.held_fen - left_fen)
    version = (await world.order(order_id)).version
    wish = OperatorCancel(reason="an accident", version=version, charge_percent=50)
    await cancel_order.operator_cancel(world.ctx, operator, order_id, wish)
    await world.work()
    closed = await world.order(order_id)
    assert closed.status is OrderStatus.CLOSED
    assert (closed.captured_fen, closed.released_fen) == (left_fen, order.held_fen - left_fen)
    await world.assert_books(order_id)
    assert "money_command_refused" not in await world.alerts()


async def test_what_is_refunded_whole_can_be_cancelled(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    order_id = await world.paid(student)
    await give(world, operator, order_id, (await world.order(order_id)).held_fen)
    wish = OperatorCancel(reason="a storm", version=(await world.order(order_id)).version)
    await cancel_order.operator_cancel(world.ctx, operator, order_id, wish)
    await world.work()
    assert (await world.order(order_id)).status is OrderStatus.CLOSED
    await world.assert_books(order_id)


async def test_nobody_gives_themselves_money_back(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    also_operator = replace(student, roles=frozenset({Role.STUDENT, Role.OPERATOR}))
    with pytest.raises(NotPermitted):
        await give(home, also_operator, order_id, 1)
    assert (await home.order(order_id)).released_fen == 0


async def test_the_same_key_is_one_refund_and_says_so_once(world: World) -> None:
    student, operator, colleague = await world.student(), await world.operator(), await world.operator()
    order_id = await world.paid(student)
    rows = [await give(world, operator, order_id, 100) for _ in range(3)]
    assert len({row.id for row in rows}) == 1 and (await world.order(order_id)).released_fen == 100
    with pytest.raises(KeyReused):
        await give(world, operator, order_id, 101)
    other = await give(world, colleague, order_id, 100)
    another = await give(world, operator, order_id, 100, "r2")
    assert len({rows[0].id, other.id, another.id}) == 3 and (await world.order(order_id)).released_fen == 300
    assert len(await world.audit("refund_order")) == 3


async def test_a_refund_is_written_down_though_the_server_died_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, operator = await world.student(), await world.operator()
    order_id = await world.paid(student)
    submit = world.payments.submit

    async def die(command: Any) -> None:
        await submit(command)
        raise ConnectionError("killed when payments had heard of it")

    monkeypatch.setattr(world.payments, "submit", die)
    with pytest.raises(ConnectionError):
        await give(world, operator, order_id, 100)
    monkeypatch.setattr(world.payments, "submit", submit)
    assert await world.audit("refund_order") == []
    for _ in range(2):
        await give(world, operator, order_id, 100)
    (entry,) = await world.audit("refund_order")
    assert (entry.actor_id, entry.reason, entry.after["amount_fen"]) == (operator.account_id, "cold", 100)
    assert (await world.order(order_id)).released_fen == 100


async def test_nobody_decides_on_their_own_case_of_risk(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    guard(home.payments, RuleBook(default=()))
    await add_case(home.payments, home.campus_id, student.account_id)
    (case,) = await home.payments.risk_cases(home.campus_id)
    also_operator = replace(student, roles=frozenset({Role.STUDENT, Role.OPERATOR}))
    for is_released in (True, False):
        with pytest.raises(NotPermitted):
            await work_money.review_risk(
                home.ctx, also_operator, case.id, ReviewRisk(is_released=is_released, reason="it is mine")
            )
    assert await home.payments.risk_cases(home.campus_id, only_open=True) == [case]
    decided = await work_money.review_risk(
        home.ctx, operator, case.id, ReviewRisk(is_released=True, reason="called them")
    )
    assert decided.standing == "released"
