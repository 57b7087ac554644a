"""Paying: by another channel, with too little, too late, and what happens to commands and events that do not fit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from dispatch.flow import cancel_order, confirm_order, go_on_duty, pay_order, payment_view, place_order, read_orders
from dispatch.flow.apply_payments import apply_payments
from dispatch.flow.compare_intents import compare_intents
from dispatch.flow.send_commands import send_commands
from dispatch.model import ids
from dispatch.model.errors import InvalidInput, NotFound, PaymentDeclined, Refusal, WrongState
from dispatch.model.money import split_fen
from dispatch.model.order import OrderStatus
from dispatch.model.quote import SplitRules
from dispatch.model.requests import CancelOrder, ConfirmOrder, SandboxPay
from dispatch.model.task import Task, TaskStatus
from dispatch.store.unit_of_work import UnitOfWork
from payments.port import Release
from tests.flow_world import World, run


async def test_a_payment_opens_the_order_and_its_task(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    before = await read_orders.order(world.ctx, student, view.id)
    assert before.payment is not None and before.payment.state == "pending"
    await world.pay(student, view.id)
    order = await world.order(view.id)
    assert order.status is OrderStatus.OPEN and order.held_fen == order.quote.total_fen
    assert order.paid_at == world.clock.now() and order.promised_at == order.quote.arrive_by
    assert (await world.task(view.id)).status == "open"
    assert await world.kinds(view.id) == ["order_placed", "payment_ready", "order_paid"]
    assert await world.read(lambda uow: uow.jobs.due_at("expire_unpaid", view.id)) is None
    assert await world.read(lambda uow: uow.jobs.due_at("check_late", view.id)) == order.promised_at


async def test_before_the_queue_is_worked_off_the_payment_is_under_way(home: World) -> None:
    student = await home.student()
    quote = await place_order.quote_order(home.ctx, student, home.request())
    view = await place_order.place_order(home.ctx, student, home.wish(quote.total_fen), "k")
    seen = await read_orders.order(home.ctx, student, view.id)
    assert seen.payment is not None and seen.payment.state == "processing" and seen.payment.credential is None
    assert (await home.choose(student, view.id, "sandbox")).state == "pending", "chosen, and nothing is in flight yet"


async def test_a_channel_chosen_before_the_queue_is_worked_off_counts(world: World) -> None:
    student = await world.student()
    quote = await place_order.quote_order(world.ctx, student, world.request())
    view = await place_order.place_order(world.ctx, student, world.wish(quote.total_fen), "k")
    with pytest.raises(InvalidInput):
        await world.choose(student, view.id, "gold")
    await world.choose(student, view.id, "sandbox_backup")
    await world.work()
    intent = await world.payments.view(payment_view.intent_id(view.id))
    assert intent is not None and intent.channel == "sandbox_backup"
    await world.pay(student, view.id)
    assert (await world.order(view.id)).status is OrderStatus.OPEN


async def test_switching_the_channel_proves_the_old_credential_dead(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    old = await world.credential(student, view.id)
    await world.choose(student, view.id, "sandbox_backup")
    await world.work()
    new = await world.credential(student, view.id)
    assert new != old
    with pytest.raises(WrongState):
        await pay_order.sandbox_pay(world.ctx, student, SandboxPay(token=old))
    await world.pay(student, view.id)
    assert (await world.order(view.id)).status is OrderStatus.OPEN
    assert (await world.kinds(view.id)).count("payment_ready") == 2
    with pytest.raises(WrongState):
        await world.choose(student, view.id, "sandbox")


async def test_choosing_is_for_the_owner_and_for_a_channel_that_exists(home: World) -> None:
    student, other = await home.student(), await home.student()
    view = await home.place(student)
    assert (await home.choose(student, view.id, "sandbox")).state == "pending"
    with pytest.raises(NotFound):
        await home.choose(other, view.id, "sandbox")
    with pytest.raises(InvalidInput) as refused:
        await home.choose(student, view.id, "gold")
    assert refused.value.field == "channel"


async def test_too_little_on_the_account_leaves_the_credential_payable(home: World) -> None:
    student = await home.student()
    view = await home.place(student)
    token = await home.credential(student, view.id)
    with pytest.raises(PaymentDeclined):
        await pay_order.sandbox_pay(home.ctx, student, SandboxPay(token=token, outcome="insufficient"))
    with pytest.raises(InvalidInput):
        await pay_order.sandbox_pay(home.ctx, student, SandboxPay(token="no-such-token"))
    await home.pay(student, view.id)
    await pay_order.sandbox_pay(home.ctx, student, SandboxPay(token=token))
    await home.work()
    order = await home.order(view.id)
    assert order.held_fen == order.quote.total_fen, "paying twice is paying once"


async def test_without_the_demonstration_channel_nobody_pays_in_it(home: World) -> None:
    student = await home.student()
    with pytest.raises(NotFound):
        await pay_order.sandbox_pay(replace(home.ctx, sandbox=None), student, SandboxPay(token="t"))


async def test_a_payment_that_failed_everywhere_is_told_and_can_be_tried_again(home: World) -> None:
    student = await home.student()
    await home.payments.bank.script("*", "declined", count=2)
    view = await home.place(student)
    assert "payment_failed" in await home.kinds(view.id)
    failed = await read_orders.order(home.ctx, student, view.id)
    assert failed.payment is not None and failed.payment.state == "failed" and failed.payment.reason
    assert failed.payment.channel is not None
    await home.choose(student, view.id, failed.payment.channel)
    await home.work()
    await home.pay(student, view.id)
    assert (await home.order(view.id)).status is OrderStatus.OPEN


async def test_an_order_that_nobody_pays_ends_and_holds_nothing(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    await world.pass_time(899)
    assert (await world.order(view.id)).status is OrderStatus.AWAITING_PAYMENT
    await world.pass_time(1)
    await world.pass_time(60)
    order = await world.order(view.id)
    assert (order.status, order.cancel_reason, order.held_fen) == (OrderStatus.CLOSED, "unpaid", 0)
    await world.assert_books(view.id)
    assert (await world.payments.totals(world.campus_id)).held_fen == 0


async def test_money_that_comes_after_the_cancellation_goes_back(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    token = await world.credential(student, view.id)
    await world.payments.bank.script("*", "close_ignored")
    # The student cancels while the wallet is already open, and pays in it.
    await cancel_order.cancel(world.ctx, student, view.id, CancelOrder(reason="changed my mind", version=1))
    await world.payments.bank.pay(token)
    for _ in range(4):
        await world.pass_time(120)
    order = await world.order(view.id)
    assert order.status is OrderStatus.CLOSED
    assert order.held_fen == order.released_fen == order.quote.total_fen and order.captured_fen == 0
    await world.assert_books(view.id)
    assert await world.read(lambda uow: uow.tasks.by_order(view.id)) is None, "nobody is sent for it"


async def test_a_callback_of_no_known_channel_is_answered(home: World) -> None:
    reply = await pay_order.callback(home.ctx, "gold", {}, b"{}")
    assert reply.status == 404


async def test_events_are_applied_once_however_often_they_are_offered(world: World) -> None:
    student = await world.student()
    view = await world.place(student)
    token = await world.credential(student, view.id)
    await pay_order.sandbox_pay(world.ctx, student, SandboxPay(token=token))
    while await world.payments.work():
        pass
    # Two processes read the same events before either has acknowledged them.
    await asyncio.gather(*(apply_payments(world.ctx) for _ in range(3)))
    order = await world.order(view.id)
    assert order.held_fen == order.quote.total_fen and order.version == 2
    assert (await world.kinds(view.id)).count("order_paid") == 1


async def test_a_refused_command_alerts_a_person_and_holds_up_nobody(world: World) -> None:
    student = await world.student()
    settled = await world.delivered(student, await world.runner())
    await world.pass_time(2 * 86_400)
    await world.pass_time(86_400)
    assert (await world.order(settled)).status is OrderStatus.SETTLED

    def wrong(uow: UnitOfWork) -> None:
        command = Release(id=f"wrong:{settled}", intent_id=payment_view.intent_id(settled), reason="a bug")
        uow.commands.add(command.id, settled, "Release", msgspec.json.encode(command))

    await run(world, wrong)
    view = await world.place(student)
    await world.pay(student, view.id)
    assert (await world.order(view.id)).status is OrderStatus.OPEN
    assert "money_command_refused" in await world.alerts()
    assert await world.ctx.store.read_global(lambda unit: unit.commands.count_unsent()) == 0


async def test_a_command_that_came_before_its_intent_waits_for_it(home: World) -> None:
    student = await home.student()
    quote = await place_order.quote_order(home.ctx, student, home.request())
    unknown = home.ctx.new_id(ids.ORDER)

    def early(uow: UnitOfWork) -> None:
        command = Release(id=f"release:{unknown}", intent_id=payment_view.intent_id(unknown), reason="early")
        uow.commands.add(command.id, unknown, "Release", msgspec.json.encode(command))

    await run(home, early)
    await place_order.place_order(home.ctx, student, home.wish(quote.total_fen), "k")
    assert await send_commands(home.ctx) == 1
    assert await send_commands(home.ctx) == 0
    assert await home.ctx.store.read_global(lambda unit: unit.commands.count_unsent()) == 1


async def test_an_event_that_does_not_fit_holds_up_no_other_order(home: World) -> None:
    student = await home.student()
    first, second = await home.place(student), await home.place(student)
    tokens = [await home.credential(student, view.id) for view in (first, second)]

    def spoil(uow: UnitOfWork) -> None:
        # As if the task were there already: the payment cannot be applied.
        order = uow.orders.get(first.id)
        task = Task(ids.derived_id(ids.TASK, order.id), uow.campus_id, order.id, TaskStatus.OPEN, 1, None, uow.now)
        uow.tasks.insert(task)

    await run(home, spoil)
    for token in tokens:
        await pay_order.sandbox_pay(home.ctx, student, SandboxPay(token=token))
    while await home.payments.work():
        pass
    await apply_payments(home.ctx)
    assert (await home.order(second.id)).status is OrderStatus.OPEN
    assert (await home.order(first.id)).status is OrderStatus.AWAITING_PAYMENT
    assert [event.order_ref for event in await home.payments.events()] == [first.id]


async def test_orders_and_intents_are_compared(home: World) -> None:
    student = await home.student()
    good, wrong, moved = [await home.paid(student) for _ in range(3)]
    unpaid = await home.place(student)
    assert await compare_intents(home.ctx) == [], "the two sides are given time"

    def spoil(uow: UnitOfWork) -> None:
        order = uow.orders.get(wrong)
        uow.orders.save(replace(order, version=order.version + 1, held_fen=order.held_fen + 1))
        order = uow.orders.get(moved)
        uow.orders.save(replace(order, version=order.version + 1, status=OrderStatus.AWAITING_PAYMENT))
        order = uow.orders.get(unpaid.id)
        uow.orders.save(replace(order, version=order.version + 1, status=OrderStatus.OPEN, paid_at=uow.now))
        ghost = replace(order, id=uow.new_id(ids.ORDER), version=1)
        uow.orders.insert(ghost)

    await run(home, spoil)
    home.advance(timedelta(minutes=11).total_seconds())
    found = await compare_intents(home.ctx)
    assert good not in found and {wrong, moved, unpaid.id} < set(found) and len(found) == 4
    assert (await home.alerts()).count("money_mismatch") == 4
    assert set(await compare_intents(home.ctx)) == set(found)
    assert (await home.alerts()).count("money_mismatch") == 4, "each is told once"


async def test_a_failed_release_alerts_and_is_tried_again(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    await world.payments.bank.script("*", "release_fails", count=1)
    version = (await world.order(order_id)).version
    await cancel_order.cancel(world.ctx, student, order_id, CancelOrder(reason="no need", version=version))
    for _ in range(40):
        await world.pass_time(600)
        if (await world.order(order_id)).status is OrderStatus.CLOSED:
            break
    assert (await world.order(order_id)).status is OrderStatus.CLOSED
    assert "ReleaseFailed" in await world.alerts() and "money_alert" in await world.kinds(order_id)
    await world.assert_books(order_id)


async def test_an_unavailable_payment_module_takes_no_order(home: World) -> None:
    class Closed:
        def channels(self) -> list[object]:
            return []

    student = await home.student()
    with pytest.raises(Refusal) as refused:
        await place_order.place_order(replace(home.ctx, payments=Closed()), student, home.wish(1), "k")  # type: ignore[arg-type]
    assert refused.value.code == "unavailable"


async def test_the_split_of_the_day_it_was_placed_divides_it(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.delivered(student, runner)
    older = await home.delivered(student, runner)

    def forget(uow: UnitOfWork) -> None:
        order = uow.orders.get(older)
        uow.orders.save(replace(order, version=order.version + 1, quote=replace(order.quote, split=None)))

    await run(home, forget)
    await home.settings(split=SplitRules(50, 25, 25))
    service = (await home.order(order_id)).quote.service_fen
    due = [split_fen(service, weights)[0] for weights in ((80, 10, 10), (50, 25, 25))]
    pending = {line.order_id: line.amount_fen for line in (await go_on_duty.wallet(home.ctx, runner)).pending}
    assert pending == {order_id: due[0], older: due[1]}, "an order of an earlier version is divided as it is done now"
    assert (await go_on_duty.state(home.ctx, runner)).today_fen == sum(due)
    for placed in (order_id, older):
        await confirm_order.confirm(home.ctx, student, placed, ConfirmOrder())
    await home.pass_time(86_400)
    assert (await go_on_duty.wallet(home.ctx, runner)).available_fen == sum(due)
    await home.assert_books(order_id)
