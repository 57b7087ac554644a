"""A coupon on its way through orders: seen, reserved once, used, given back; and every fen of it in the books."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order, deliver_task, edit_coupon_rules, place_order, show_coupons, watch_console
from dispatch.flow.confirm_order import confirm
from dispatch.model import ids
from dispatch.model.coupon import Coupon, CouponReason, CouponState
from dispatch.model.coupon_views import EditFailureCoupon, EditLateCoupon, EditOffPeakCoupon, SetCouponRules
from dispatch.model.errors import CouponGone, InvalidInput, NotPermitted, StaleVersion
from dispatch.model.money import Fen, split_fen
from dispatch.model.order import OrderStatus
from dispatch.model.requests import CancelOrder, ConfirmOrder, OperatorCancel, PickUp
from dispatch.store.store import Store
from dispatch.store.vault import Vault
from payments.port import OpenIntent
from tests.flow_world import DAY_S, World, run


async def given(
    world: World, student: Principal, fen: int = 100, *, payer: str = "campus", days: float = 30, **changes: Any
) -> Coupon:
    """A coupon of the student's."""
    world.counter[0] += 1
    world.advance(1)
    now = world.clock.now()
    coupon = Coupon(
        id=world.ctx.new_id(ids.COUPON), campus_id=world.campus_id, student_id=student.account_id,
        reason=CouponReason.LATE, incident=f"ord_{world.counter[0]}", amount_fen=Fen(fen), payer=payer,
        granted_for=f"ord_{world.counter[0]}", granted_at=now, valid_until=now + timedelta(days=days),
    )  # fmt: skip
    coupon = replace(coupon, **changes)
    assert await run(world, lambda uow: uow.coupons.grant(coupon))
    return coupon


async def state(world: World, coupon: Coupon) -> tuple[CouponState, str | None]:
    found = await world.read(lambda uow: uow.coupons.find(coupon.id))
    return found.state, found.order_id


async def settled(world: World, student: Principal, order_id: str) -> None:
    await confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S + 1)
    assert (await world.order(order_id)).status is OrderStatus.SETTLED


async def carry(world: World, runner: Principal, order_id: str, goods_fen: int | None = None) -> None:
    await deliver_task.picked_up(world.ctx, runner, order_id, PickUp(goods_actual_fen=goods_fen))
    await world.hand_over(runner, order_id)


async def cancel(world: World, student: Principal, order_id: str) -> None:
    version = (await world.order(order_id)).version
    await cancel_order.cancel(world.ctx, student, order_id, CancelOrder(reason="不要了", version=version))
    await world.work()


async def test_the_price_is_lower_and_the_runner_earns_the_same(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    coupon = await given(world, student, 100)
    plain = await place_order.quote_order(world.ctx, student, world.request())
    assert [each.id for each in plain.coupons] == [coupon.id] and plain.discount_fen == 0
    quote = await place_order.quote_order(world.ctx, student, world.request(coupon_id=coupon.id))
    assert quote.total_fen == plain.total_fen - 100 == sum(line.amount_fen for line in quote.lines)
    assert (quote.service_fen, quote.discount_fen, quote.coupon_id) == (plain.service_fen, 100, coupon.id)
    assert [(line.kind, line.amount_fen, line.payer) for line in quote.lines][-1] == ("coupon", -100, "campus")

    placed = await world.place(student, coupon_id=coupon.id)
    assert placed.quote.total_fen == quote.total_fen
    assert await state(world, coupon) == (CouponState.RESERVED, placed.id)
    await world.pay(student, placed.id)
    assert await state(world, coupon) == (CouponState.USED, placed.id)
    assert (await world.order(placed.id)).held_fen == quote.total_fen
    await world.assign(runner, placed.id)
    await carry(world, runner, placed.id)
    await settled(world, student, placed.id)

    service = Fen(plain.service_fen)
    runner_fen, campus_fen, platform_fen = split_fen(service, (80, 10, 10))
    order = await world.order(placed.id)
    assert (order.captured_fen, order.released_fen) == (quote.total_fen, 0)
    await world.assert_books(placed.id)
    totals = await world.payments.totals(world.campus_id)
    # The campus gives up its own share of the order first; what is beyond that is transferred to the runner.
    assert (totals.subsidies_fen, totals.campus_fen, totals.platform_fen) == (100, 0, platform_fen)
    balance = await world.payments.balances(runner.account_id)
    assert balance.available_fen + balance.withdrawn_fen == runner_fen
    assert balance.withdrawn_fen == 100 - campus_fen
    (own, *_) = await world.payments.statement(world.campus_id)
    assert (own.kind, own.amount_fen, own.order_ref) == ("subsidy_borne", -campus_fen, placed.id)
    operator = await world.operator()
    assert (await watch_console.money(world.ctx, operator)).subsidies_fen == 100
    counted = await show_coupons.campus_coupons(world.ctx, operator)
    (late,) = [each for each in counted.total if each.reason == "late"]
    assert (late.granted, late.used, late.used_fen, late.available_fen) == (1, 1, 100, 0)


@pytest.mark.parametrize("payer", ["campus", "platform"])
async def test_goods_that_cost_less_do_not_eat_the_coupon(home: World, payer: str) -> None:
    """The hold covers the goods' limit; what is not spent goes back, and the discount is the student's all the same."""
    student, runner = await home.student(), await home.runner()
    coupon = await given(home, student, 100, payer=payer)
    placed = await home.place(student, type_code="meal", goods_cap_fen=3_000, coupon_id=coupon.id)
    await home.pay(student, placed.id)
    await home.assign(runner, placed.id)
    await carry(home, runner, placed.id, 1_200)
    await settled(home, student, placed.id)
    order = await home.order(placed.id)
    assert order.captured_fen == placed.quote.service_fen + 1_200 - 100
    assert order.released_fen == 1_800
    await home.assert_books(placed.id)
    assert (await home.payments.totals(home.campus_id)).subsidies_fen == 100


async def test_a_coupon_worth_more_than_the_errand_leaves_one_fen_to_pay(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    coupon = await given(home, student, 10_000)
    placed = await home.place(student, coupon_id=coupon.id)
    assert placed.quote.total_fen == 1 and placed.quote.discount_fen == placed.quote.service_fen - 1
    await home.pay(student, placed.id)
    await home.assign(runner, placed.id)
    await carry(home, runner, placed.id)
    await settled(home, student, placed.id)
    assert (await home.order(placed.id)).captured_fen == 1
    await home.assert_books(placed.id)


@pytest.mark.parametrize("turn", range(3))
async def test_of_two_orders_placed_at_once_one_has_the_coupon(world: World, ready_sql_url: str, turn: int) -> None:
    """From two processes."""
    student = await world.student()
    coupon = await given(world, student)
    vault = Vault({"1": b"d" * 32}, "1", b"l" * 32)
    store = Store(ready_sql_url, now=world.clock.now, new_id=world.ctx.new_id, vault=vault)
    await store.start()
    try:
        quote = await place_order.quote_order(world.ctx, student, world.request(coupon_id=coupon.id))
        wish = world.wish(quote.total_fen, coupon_id=coupon.id)
        contexts = (world.ctx, replace(world.ctx, store=store))
        answers = await asyncio.gather(
            *(place_order.place_order(each, student, wish, f"key-{n}") for n, each in enumerate(contexts)),
            return_exceptions=True,
        )
    finally:
        await store.stop()
    (placed,) = [each for each in answers if not isinstance(each, BaseException)]
    (refused,) = [each for each in answers if isinstance(each, BaseException)]
    assert isinstance(refused, CouponGone) and refused.field == "coupon_id", refused
    assert await state(world, coupon) == (CouponState.RESERVED, placed.id)
    orders = await world.read(lambda uow: uow.orders.page(student_id=student.account_id))
    assert [order.id for order in orders] == [placed.id]
    waiting = await world.ctx.store.read_global(lambda unit: unit.commands.unsent(10))
    (opened,) = [msgspec.json.decode(body, type=OpenIntent) for _, _, body in waiting]
    (subsidy,) = opened.subsidies
    assert (subsidy.party, subsidy.account_ref, subsidy.amount_fen) == ("campus", world.campus_id, 100)
    assert subsidy.ref == coupon.id and opened.amount_fen == quote.total_fen


async def test_the_same_request_again_reserves_nothing_again(home: World) -> None:
    student = await home.student()
    coupon = await given(home, student)
    quote = await place_order.quote_order(home.ctx, student, home.request(coupon_id=coupon.id))
    wish = home.wish(quote.total_fen, coupon_id=coupon.id)
    first = await place_order.place_order(home.ctx, student, wish, "key")
    assert (await place_order.place_order(home.ctx, student, wish, "key")).id == first.id
    with pytest.raises(CouponGone):
        await place_order.place_order(home.ctx, student, wish, "another key")


async def test_what_cannot_be_used(home: World) -> None:
    student, stranger = await home.student(), await home.student()
    coupon, old = await given(home, student), await given(home, student, days=1)
    with pytest.raises(CouponGone):
        await place_order.quote_order(home.ctx, stranger, home.request(coupon_id=coupon.id))
    with pytest.raises(CouponGone):
        await place_order.quote_order(home.ctx, student, home.request(coupon_id=home.ctx.new_id(ids.COUPON)))
    assert [each.id for each in await home.read(lambda uow: uow.coupons.usable(student.account_id))] == [
        old.id, coupon.id,
    ]  # fmt: skip
    home.advance(DAY_S)
    with pytest.raises(CouponGone):
        await place_order.quote_order(home.ctx, student, home.request(coupon_id=old.id))
    wish = home.wish((await place_order.quote_order(home.ctx, student, home.request())).total_fen)
    for foreign in (old.id, coupon.id):
        who = student if foreign == old.id else stranger
        with pytest.raises(CouponGone):
            await place_order.place_order(home.ctx, who, msgspec.structs.replace(wish, coupon_id=foreign), foreign)


async def test_an_order_that_is_not_paid_gives_it_back(world: World) -> None:
    student = await world.student()
    coupon = await given(world, student)
    placed = await world.place(student, coupon_id=coupon.id)
    settings = (await world.ctx.grounds.get(world.campus_id)).campus.settings
    await world.pass_time(settings.unpaid_ttl_s + 1)
    assert (await world.order(placed.id)).status in (OrderStatus.CANCELLED, OrderStatus.CLOSED)
    assert await state(world, coupon) == (CouponState.AVAILABLE, None)
    again = await world.place(student, coupon_id=coupon.id)
    await cancel(world, student, again.id)
    assert await state(world, coupon) == (CouponState.AVAILABLE, None)


async def test_a_paid_order_that_is_cancelled_gives_it_back_with_a_day_to_use_it(world: World) -> None:
    student = await world.student()
    coupon = await given(world, student, days=0.5)
    placed = await world.place(student, coupon_id=coupon.id)
    await world.pay(student, placed.id)
    await world.pass_time(DAY_S / 2 + 60)
    assert await state(world, coupon) == (CouponState.USED, placed.id)
    await cancel(world, student, placed.id)
    await world.assert_books(placed.id)
    assert (await world.order(placed.id)).released_fen == placed.quote.total_fen
    assert await state(world, coupon) == (CouponState.AVAILABLE, None)
    await world.pass_time(DAY_S - 60)
    assert await state(world, coupon) == (CouponState.AVAILABLE, None)
    await world.pass_time(60)
    assert await state(world, coupon) == (CouponState.EXPIRED, None)


@pytest.mark.parametrize("percent", [30, 100])
async def test_a_cancellation_that_costs_takes_the_students_money_first(home: World, percent: int) -> None:
    student, runner, operator = await home.student(), await home.runner(), await home.operator()
    coupon = await given(home, student, 100)
    placed = await home.place(student, coupon_id=coupon.id)
    await home.pay(student, placed.id)
    await home.assign(runner, placed.id)
    version = (await home.order(placed.id)).version
    wish = OperatorCancel(reason="进不去楼", version=version, charge_percent=percent)
    await cancel_order.operator_cancel(home.ctx, operator, placed.id, wish)
    await home.work()
    order = await home.order(placed.id)
    assert order.status is OrderStatus.CLOSED
    await home.assert_books(placed.id)
    charge_fen = placed.quote.service_fen * percent // 100
    assert order.captured_fen == min(charge_fen, placed.quote.total_fen)
    # Only what the student's money did not cover did the coupon bear, and then it is used.
    is_borne = charge_fen > placed.quote.total_fen
    assert is_borne == (percent == 100)
    assert (await state(home, coupon))[0] is (CouponState.USED if is_borne else CouponState.AVAILABLE)
    assert (await home.payments.totals(home.campus_id)).subsidies_fen == (100 if is_borne else 0)


async def test_who_sees_coupons_and_who_says_what_they_are_for(home: World) -> None:
    student, stranger, operator = await home.student(), await home.student(), await home.operator()
    coupons = [await given(home, student) for _ in range(3)]
    seen = await show_coupons.own_coupons(home.ctx, student, limit=2)
    assert [each.id for each in seen.coupons] == [coupons[2].id, coupons[1].id]
    rest = await show_coupons.own_coupons(home.ctx, student, limit=2, before=seen.next_before)
    assert [each.id for each in rest.coupons] == [coupons[0].id] and rest.next_before is None
    assert (await show_coupons.own_coupons(home.ctx, stranger)).coupons == []
    with pytest.raises(NotPermitted):
        await show_coupons.campus_coupons(home.ctx, student)
    before = await show_coupons.campus_coupons(home.ctx, operator)
    wish = SetCouponRules(
        version=before.version, late=EditLateCoupon(amount_fen=200), off_peak=EditOffPeakCoupon(is_on=True, end="10:05")
    )
    with pytest.raises(NotPermitted):
        await edit_coupon_rules.set_coupon_rules(home.ctx, student, wish)
    after = await edit_coupon_rules.set_coupon_rules(home.ctx, operator, wish)
    assert (after.rules.late.amount_fen, after.rules.late.is_on, after.rules.off_peak.is_on) == (200, True, True)
    assert (await show_coupons.campus_coupons(home.ctx, operator)).rules == after.rules
    (entry,) = await home.audit("set_coupon_rules")
    assert entry.before["late"]["amount_fen"] == 100 and entry.after["late"]["amount_fen"] == 200
    with pytest.raises(StaleVersion):
        await edit_coupon_rules.set_coupon_rules(home.ctx, operator, wish)
    wish = SetCouponRules(version=after.version, failure=EditFailureCoupon(daily_fen=0, payer="platform"), valid_days=7)
    after = await edit_coupon_rules.set_coupon_rules(home.ctx, operator, wish)
    assert (after.rules.failure.daily_fen, after.rules.failure.payer, after.rules.valid_days) == (0, "platform", 7)
    assert after.rules.late.amount_fen == 200
    backwards = SetCouponRules(version=after.version, off_peak=EditOffPeakCoupon(start="11:00"))
    with pytest.raises(InvalidInput) as refused:
        await edit_coupon_rules.set_coupon_rules(home.ctx, operator, backwards)
    assert refused.value.field == "off_peak.end"
