"""One order from the wish to the divided money, and the promise that the books agree."""

from __future__ import annotations

from datetime import timedelta

from dispatch.flow import answer_offer, confirm_order, deliver_task, go_on_duty
from dispatch.model.order import OrderStatus
from dispatch.model.requests import ConfirmOrder, Deliver, PickUp, Tap
from tests.flow_world import DAY_S, World


async def test_an_order_goes_the_whole_way_and_its_money_is_divided(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student, type_code="meal", goods_cap_fen=3000)
    offer = await world.offered(order_id)
    assert offer.runner_id == runner.account_id
    await answer_offer.accept(world.ctx, runner, offer.id)
    await deliver_task.arrived(world.ctx, runner, order_id, Tap())
    await deliver_task.picked_up(world.ctx, runner, order_id, PickUp(goods_actual_fen=2100))
    pin = (await world.order(order_id)).pin
    await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=pin))
    wallet = await go_on_duty.wallet(world.ctx, runner)
    service = (await world.order(order_id)).quote.service_fen
    assert wallet.pending_fen == service * 80 // 100 + 2100 and wallet.available_fen == 0

    await world.pass_time(3600)
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    confirmed_at = world.clock.now()
    await world.pass_time(DAY_S - 1)
    assert (await world.order(order_id)).status is OrderStatus.CONFIRMED
    await world.pass_time(1)
    order = await world.order(order_id)
    assert order.status is OrderStatus.SETTLED and world.clock.now() - confirmed_at == timedelta(days=1)
    assert order.captured_fen == order.quote.service_fen + 2100
    assert order.released_fen == 3000 - 2100, "the goods cost less than their cap"
    await world.assert_books(order_id)
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.pending_fen, wallet.available_fen) == (0, service * 80 // 100 + 2100)
    assert [line.order_id for line in wallet.lines] == [order_id]
    totals = await world.payments.totals(world.campus_id)
    assert totals.runner_fen + totals.campus_fen + totals.platform_fen == totals.captured_fen == order.captured_fen


async def test_an_order_that_nobody_confirms_is_confirmed_and_settled_by_time(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.delivered(student, runner)
    await world.pass_time(DAY_S - 1)
    assert (await world.order(order_id)).status is OrderStatus.DELIVERED
    await world.pass_time(1)
    assert (await world.order(order_id)).status is OrderStatus.CONFIRMED
    await world.pass_time(DAY_S)
    assert (await world.order(order_id)).status is OrderStatus.SETTLED
    await world.assert_books(order_id)
    assert "order_confirmed" in await world.kinds(order_id)
