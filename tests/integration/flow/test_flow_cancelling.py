"""Cancelling: by whom, until when, at which price, and where each fen ends up."""

from __future__ import annotations

import pytest

from dispatch.flow import cancel_order, go_on_duty, read_orders
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, StaleVersion, WrongState
from dispatch.model.money import Fen, split_fen
from dispatch.model.order import OrderStatus
from dispatch.model.requests import CancelOrder, OperatorCancel
from tests.flow_world import World


def _wish(version: int, price_fen: int | None = None) -> CancelOrder:
    return CancelOrder(reason="no longer needed", version=version, expected_price_fen=price_fen)


async def test_before_anybody_has_it_it_costs_nothing(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    version = (await world.order(order_id)).version
    view = await cancel_order.cancel(world.ctx, student, order_id, _wish(version, 0))
    assert (view.status, view.cancel_reason, view.cancel_price_fen) == ("cancelled", "no longer needed", None)
    again = await cancel_order.cancel(world.ctx, student, order_id, _wish(version))
    assert again.version == view.version
    await world.work()
    order = await world.order(order_id)
    assert order.status is OrderStatus.CLOSED and order.released_fen == order.held_fen > 0
    await world.assert_books(order_id)
    assert (await world.task(order_id)).status == "cancelled"
    assert (await world.kinds(order_id))[-2:] == ["order_cancelled", "order_closed"]
    assert await world.read(lambda uow: uow.jobs.due_at("check_late", order_id)) is None


async def test_after_a_runner_took_it_part_of_the_price_is_captured(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.assigned(student, runner)
    world.advance(121)
    seen = await read_orders.order(world.ctx, student, order_id)
    service = seen.quote.service_fen
    assert seen.cancel_price_fen == service * 30 // 100 > 0
    with pytest.raises(StaleVersion) as refused:
        await cancel_order.cancel(world.ctx, student, order_id, _wish(seen.version, 0))
    assert refused.value.field == "expected_price_fen" and refused.value.detail["price_fen"] == seen.cancel_price_fen
    await cancel_order.cancel(world.ctx, student, order_id, _wish(seen.version, seen.cancel_price_fen))
    await world.work()
    order = await world.order(order_id)
    assert order.status is OrderStatus.CLOSED and order.captured_fen == seen.cancel_price_fen
    assert order.held_fen == order.captured_fen + order.released_fen
    await world.assert_books(order_id)
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert wallet.available_fen == split_fen(Fen(seen.cancel_price_fen), (80, 10, 10))[0] and wallet.pending_fen == 0
    assert (await go_on_duty.state(world.ctx, runner)).orders == []


async def test_just_after_the_assignment_it_is_still_free(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    home.advance(120)
    version = (await home.order(order_id)).version
    assert (await read_orders.order(home.ctx, student, order_id)).cancel_price_fen == 0
    await cancel_order.cancel(home.ctx, student, order_id, _wish(version, 0))
    await home.work()
    await home.assert_books(order_id)


async def test_what_a_student_cannot_cancel(home: World) -> None:
    student, other, runner = await home.student(), await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    order = await home.order(order_id)
    with pytest.raises(WrongState, match="campus team"):
        await cancel_order.cancel(home.ctx, student, order_id, _wish(order.version))
    assert (await read_orders.order(home.ctx, student, order_id)).cancel_price_fen is None
    with pytest.raises(NotFound):
        await cancel_order.cancel(home.ctx, other, order_id, _wish(order.version))
    with pytest.raises(StaleVersion):
        await cancel_order.cancel(home.ctx, student, order_id, _wish(order.version - 1))
    done = await home.delivered(student, runner)
    with pytest.raises(WrongState, match="delivered"):
        await cancel_order.cancel(home.ctx, student, done, _wish((await home.order(done)).version))


async def test_an_operator_cancels_on_the_way_and_the_goods_are_repaid(world: World) -> None:
    student, runner, operator = await world.student(), await world.runner(), await world.operator()
    order_id = await world.carrying(student, runner, type_code="shop", goods_cap_fen=4000)
    order = await world.order(order_id)
    assert order.goods_actual_fen == 2000
    wish = OperatorCancel(reason="an accident", version=order.version, charge_percent=50)
    view = await cancel_order.operator_cancel(world.ctx, operator, order_id, wish)
    assert view.status == "cancelled"
    await world.work()
    charge = order.quote.service_fen // 2
    closed = await world.order(order_id)
    assert closed.status is OrderStatus.CLOSED and closed.captured_fen == charge + 2000
    await world.assert_books(order_id)
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert wallet.available_fen == split_fen(Fen(charge), (80, 10, 10))[0] + 2000, "who laid the money out has it back"
    (entry,) = await world.audit("order.cancel")
    assert entry.actor_id == operator.account_id and entry.reason == "an accident"
    assert entry.before == {"status": "carrying", "runner_id": runner.account_id}
    assert entry.after == {"status": "cancelled", "charge_fen": charge}


async def test_an_operator_cancels_what_nobody_has_without_a_charge(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    order_id = await home.paid(student)
    version = (await home.order(order_id)).version
    wish = OperatorCancel(reason="a storm", version=version)
    charged = OperatorCancel(reason="a storm", version=version, charge_percent=100)
    with pytest.raises(InvalidInput) as invalid:
        await cancel_order.operator_cancel(home.ctx, operator, order_id, charged)
    assert invalid.value.field == "charge_percent"
    with pytest.raises(NotPermitted):
        await cancel_order.operator_cancel(home.ctx, student, order_id, wish)
    with pytest.raises(StaleVersion):
        await cancel_order.operator_cancel(
            home.ctx, operator, order_id, OperatorCancel(reason="a storm", version=version - 1)
        )
    await cancel_order.operator_cancel(home.ctx, operator, order_id, wish)
    await home.work()
    order = await home.order(order_id)
    assert order.captured_fen == 0 and order.released_fen == order.held_fen
    with pytest.raises(WrongState):
        await cancel_order.operator_cancel(
            home.ctx, operator, order_id, OperatorCancel(reason="again", version=order.version)
        )
