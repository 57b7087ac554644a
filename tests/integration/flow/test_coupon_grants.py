"""What coupons are given for: once for one incident, by the promise made at payment, within the day's budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order
from dispatch.flow.apply_payments import apply_payments
from dispatch.flow.grant_coupons import LATE_COUPON, late_coupon
from dispatch.model.coupon import (
    Coupon,
    CouponReason,
    CouponRules,
    CouponState,
    FailureCoupon,
    LateCoupon,
    OffPeakCoupon,
)
from dispatch.model.money import Fen
from dispatch.model.requests import CancelOrder
from payments import port
from payments.guards.guarded import Guards
from payments.guards.risk import read_rules
from payments.guards.vault import Vault
from tests.flow_world import START, World, run

HALF_HOUR = timedelta(minutes=30)


async def coupons(world: World, student: Principal) -> list[Coupon]:
    found: list[Coupon] = await world.read(lambda uow: uow.coupons.page(student.account_id))
    return found


async def until(world: World, at: datetime) -> None:
    await world.pass_time((at - world.clock.now()).total_seconds())


async def told(world: World, order_id: str) -> list[dict[str, Any]]:
    return [dict(event.payload) for event in await world.events(order_id) if event.kind == "coupon_granted"]


class Failing:
    """Payments that have something to report once, and judge as the ones behind them do."""

    def __init__(self, world: World, *events: port.AnyEvent) -> None:
        self.waiting = list(events)
        self.behind = world.payments

    async def events(self, limit: int = 100) -> list[port.AnyEvent]:
        return self.waiting[:limit]

    async def acknowledge(self, event_ids: list[str]) -> None:
        self.waiting = [event for event in self.waiting if event.id not in event_ids]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


async def fail(world: World, order_id: str, reason: str, number: int = 1) -> None:
    """The payment of this order fails; it is reported twice."""
    for _ in range(2):
        event = port.IntentFailed(
            seq=number, id=f"evt_{order_id}_{number}", intent_id=f"int{order_id[3:]}", campus_id=world.campus_id,
            order_ref=order_id, at=world.clock.now(), reason=reason,
        )  # fmt: skip
        assert await apply_payments(replace(world.ctx, payments=Failing(world, event))) == 1


# --- late -------------------------------------------------------------------------------------------------------------


async def test_who_waits_half_an_hour_longer_than_promised_has_a_coupon_once(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    promised = (await world.order(order_id)).promised_at
    await until(world, promised + HALF_HOUR - timedelta(seconds=1))
    assert await coupons(world, student) == []
    await until(world, promised + HALF_HOUR)
    (coupon,) = await coupons(world, student)
    assert (coupon.amount_fen, coupon.reason, coupon.incident) == (100, CouponReason.LATE, order_id)
    assert (coupon.state, coupon.granted_for, coupon.payer) == (CouponState.AVAILABLE, order_id, "campus")
    (event,) = await told(world, order_id)
    assert (event["amount_fen"], event["reason"], event["coupon_id"]) == (100, "late", coupon.id)
    await run(world, lambda uow: uow.jobs.schedule(LATE_COUPON, order_id, uow.now))
    await world.pass_time(3_600)
    assert [each.id for each in await coupons(world, student)] == [coupon.id]
    assert len(await told(world, order_id)) == 1


async def test_what_counts_is_the_promise_at_payment_and_the_delivery(home: World) -> None:
    """Somebody looks an hour late: what was there in time stays in time, and what was late stays late."""
    ground = await home.ctx.grounds.get(home.campus_id)
    student, runner = await home.student(), await home.runner()
    for minutes, count in ((30, 1), (29, 1)):
        order_id = await home.carrying(student, runner)
        promised = (await home.order(order_id)).promised_at
        home.advance((promised + timedelta(minutes=minutes) - home.clock.now()).total_seconds())
        await home.hand_over(runner, order_id)
        home.advance(3_600)
        await run(home, lambda uow, one=order_id: late_coupon(uow, one, ground))  # type: ignore[misc]
        assert len(await coupons(home, student)) == count, minutes


async def test_an_order_that_was_cancelled_in_time_consoles_nobody(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    order = await home.order(order_id)
    await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="想错了", version=order.version))
    await home.pass_time(86_400)
    assert await coupons(home, student) == []


async def test_a_campus_may_give_none(home: World) -> None:
    rules = CouponRules()
    await home.settings(coupons=replace(rules, late=replace(rules.late, is_on=False)))
    student = await home.student()
    await home.paid(student)
    await home.pass_time(86_400)
    assert await coupons(home, student) == []


async def test_a_campus_that_grows_more_patient_is_asked_again_later(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    await home.settings(coupons=CouponRules(late=LateCoupon(after_s=3_600)))
    promised = (await home.order(order_id)).promised_at
    await until(home, promised + HALF_HOUR)
    assert await coupons(home, student) == []
    await until(home, promised + 2 * HALF_HOUR)
    assert len(await coupons(home, student)) == 1


async def test_an_order_paid_before_there_were_coupons_is_watched_from_its_promise_on(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    await run(home, lambda uow: uow.jobs.cancel(LATE_COUPON, order_id))
    await until(home, (await home.order(order_id)).promised_at)
    await home.pass_time(1_800)
    assert len(await coupons(home, student)) == 1


# --- a quiet hour -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "is_given"),
    [("09:44:59", False), ("09:45:00", True), ("09:54:59", True), ("09:55:00", False)],
)
async def test_the_quiet_window_begins_inclusive_and_ends_exclusive(home: World, at: str, is_given: bool) -> None:
    """By the campus's clock: START is ten o'clock in Shanghai."""
    await home.settings(coupons=CouponRules(off_peak=OffPeakCoupon(is_on=True)))
    student = await home.student()
    tomorrow = (START + timedelta(days=1)).date()
    paid_at = datetime.combine(tomorrow, time.fromisoformat(at), START.tzinfo) - timedelta(hours=8)
    await until(home, paid_at)
    order_id = await home.paid(student)
    assert [each.granted_for for each in await coupons(home, student)] == ([order_id] if is_given else [])
    # Ten minutes are enough for two orders, but not for two red packets.
    await home.paid(student)
    assert len(await coupons(home, student)) == int(is_given)


async def test_the_quiet_windows_budget_of_the_day(world: World) -> None:
    rule = OffPeakCoupon(is_on=True, start=time(0, 0), end=time(23, 59), amount_fen=Fen(50), daily_fen=Fen(120))
    await world.settings(coupons=CouponRules(off_peak=rule))
    students = [await world.student() for _ in range(3)]
    for student in students:
        await world.paid(student)
    assert [len(await coupons(world, student)) for student in students] == [1, 1, 0]
    await world.pass_time(86_400)
    await world.paid(students[2])
    assert [each.reason for each in await coupons(world, students[2])].count(CouponReason.OFF_PEAK) == 1


async def test_a_red_packet_goes_with_the_payment_that_it_was_for(home: World) -> None:
    rule = OffPeakCoupon(is_on=True, start=time(0, 0), end=time(23, 59))
    await home.settings(coupons=CouponRules(off_peak=rule))
    student = await home.student()
    order_id = await home.paid(student)
    order = await home.order(order_id)
    await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="想错了", version=order.version))
    assert [each.state for each in await coupons(home, student)] == [CouponState.EXPIRED]


async def test_nothing_is_given_for_quiet_hours_unless_the_campus_says_so(home: World) -> None:
    student = await home.student()
    await until(home, START + timedelta(hours=23, minutes=46))
    await home.paid(student)
    assert await coupons(home, student) == []


# --- failed payments --------------------------------------------------------------------------------------------------


async def test_a_payment_that_failed_at_the_providers_consoles_once_a_student_and_day(world: World) -> None:
    student = await world.student()
    first, second = [(await world.place(student)).id for _ in range(2)]
    await fail(world, first, "http_503")
    await fail(world, second, "http_503")
    (coupon,) = await coupons(world, student)
    assert (coupon.amount_fen, coupon.reason, coupon.granted_for) == (300, CouponReason.PAYMENT_FAILED, first)
    assert len(await told(world, first)) == 1 and await told(world, second) == []


@pytest.mark.parametrize("reason", ["insufficient", "expired", "risk:system_check", "declined", "user_cancelled"])
async def test_what_was_not_the_providers_fault_consoles_nobody(home: World, reason: str) -> None:
    student = await home.student()
    await fail(home, (await home.place(student)).id, reason)
    assert await coupons(home, student) == []


async def test_the_days_budget_for_failures_is_kept(home: World) -> None:
    await home.settings(coupons=CouponRules(failure=FailureCoupon(amount_fen=Fen(300), daily_fen=Fen(300))))
    lucky, other = await home.student(), await home.student()
    for student in (lucky, other):
        await fail(home, (await home.place(student)).id, "timeout")
    assert (len(await coupons(home, lucky)), len(await coupons(home, other))) == (1, 0)


async def test_risk_has_the_last_word_on_a_consolation(home: World) -> None:
    vault = Vault({"k1": b"v" * 32}, "k1", b"l" * 32)
    rules = read_rules('{"*": {"coupon_budget": {"daily_fen": 300}}}')
    home.payments.guard(Guards(vault=vault, salt_key=b"s" * 32, rules=rules))
    lucky, other = await home.student(), await home.student()
    for student in (lucky, other):
        await fail(home, (await home.place(student)).id, "timeout")
    assert (len(await coupons(home, lucky)), len(await coupons(home, other))) == (1, 0)
    (case,) = await home.payments.risk_cases(home.campus_id)
    assert (case.kind, case.code, case.account) == ("coupon", "coupon_budget", other.account_id)


async def test_who_paid_meanwhile_needs_no_consolation(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    await fail(home, order_id, "timeout")
    assert await coupons(home, student) == []


async def test_when_no_bank_answers_the_page_has_a_consolation(home: World) -> None:
    """Nothing is made up here: the demonstration's bank takes no order, on either channel."""
    await home.payments.bank.script("*", "request_lost", 100)
    student = await home.student()
    view = await home.place(student)
    failed = [event.payload for event in await home.events(view.id) if event.kind == "payment_failed"]
    assert len(failed) == 1, await home.kinds(view.id)
    (coupon,) = await coupons(home, student)
    assert (coupon.reason, coupon.granted_for) == (CouponReason.PAYMENT_FAILED, view.id)
    await home.payments.bank.clear_scripts()
    await home.choose(student, view.id, "sandbox")
    await home.work()
    await home.pay(student, view.id)
    assert (await home.order(view.id)).held_fen == view.quote.total_fen
