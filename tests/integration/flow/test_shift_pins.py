"""Pins: the student's wish for a runner they know, and what the campus team keeps for somebody."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, go_on_duty, pin_order, plan_shifts, wish_runner
from dispatch.model.errors import InvalidInput, NotAvailable, NotFound, NotPermitted, StaleVersion, WrongState
from dispatch.model.requests import DeclineOffer, SetDuty
from dispatch.model.shift_requests import HoldOrder, TakeBreak
from tests.flow_world import World
from tests.shift_reading import ms, rules_for


async def shown(world: World, runner: Principal) -> list[str]:
    return [item.order_id for item in (await go_on_duty.hall(world.ctx, runner)).items]


async def known(world: World) -> tuple[Principal, Principal, Principal]:
    """A student, a runner who carried for them before, and one who did not."""
    student, runner, other = await world.student(), await world.runner(), await world.runner()
    await world.delivered(student, runner)
    return student, runner, other


async def test_a_student_asks_again_for_a_runner_they_know(world: World) -> None:
    student, runner, other = await known(world)
    again = (await wish_runner.known_runners(world.ctx, student)).runners
    assert [(one.id, one.is_ready, one.name[1:]) for one in again] == [(runner.account_id, True, "*")]
    order_id = await world.paid(student, wish_runner_id=runner.account_id)
    found = await rules_for(world, order_id)
    assert found.pinned == runner.account_id
    await world.publish()
    assert await shown(world, other) == [] and await shown(world, runner) == [order_id]
    heard = [event for event in await world.heard(f"hall:{world.campus_id}") if event.data["order_id"] == order_id]
    assert [event.kind for event in heard] == ["order_paid"] and "item" not in heard[0].data
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(world.ctx, other, order_id)
    assert refused.value.detail["reason"] == "kept_for_another"
    assert (await answer_offer.grab(world.ctx, runner, order_id)).status == "assigned"


async def test_a_wish_ends_and_then_the_order_is_everybodys(world: World) -> None:
    student, runner, other = await known(world)
    order_id = await world.paid(student, wish_runner_id=runner.account_id)
    await world.pass_time(30)
    await world.pass_time(89)
    assert (await rules_for(world, order_id)).pinned == runner.account_id
    await world.pass_time(1)
    assert (await rules_for(world, order_id)).pinned is None
    assert await shown(world, other) == [order_id]
    await world.publish()
    heard = [event.kind for event in await world.heard(f"hall:{world.campus_id}") if event.data["order_id"] == order_id]
    assert "order_freed" in heard
    assert "order_freed" not in [event.kind for event in await world.heard(f"order:{order_id}")]


async def test_nobody_waits_for_a_wish_that_cannot_come_true(world: World) -> None:
    student, runner, other = await known(world)
    order_id = await world.paid(student, wish_runner_id=runner.account_id)
    await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=ms(world, 600)))
    assert (await rules_for(world, order_id)).pinned is None and await shown(world, other) == [order_id]
    await plan_shifts.take_break(world.ctx, runner, TakeBreak(until_ms=None))
    assert (await rules_for(world, order_id)).pinned == runner.account_id
    await go_on_duty.set_duty(world.ctx, runner, SetDuty(is_on=False))
    assert (await wish_runner.known_runners(world.ctx, student)).runners[0].is_ready is False
    assert (await answer_offer.grab(world.ctx, other, order_id)).status == "assigned"


async def test_the_runner_who_declines_frees_it(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    await world.delivered(student, runner)
    order_id = await world.paid(student, wish_runner_id=runner.account_id)
    offer = await world.offered(order_id)
    await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer())
    assert (await rules_for(world, order_id)).pinned is None


async def test_one_wishes_only_for_whom_one_knows(world: World) -> None:
    student, _, other = await known(world)
    for who in (other.account_id, student.account_id, "acc_00000000000000000000000000"):
        with pytest.raises(InvalidInput) as refused:
            await world.place(student, wish_runner_id=who)
        assert refused.value.field == "wish_runner_id"
    assert (await wish_runner.known_runners(world.ctx, await world.student())).runners == []
    with pytest.raises(NotPermitted):
        await wish_runner.known_runners(world.ctx, await world.operator())


def request(runner: Principal, version: int, **more: Any) -> HoldOrder:
    return HoldOrder(runner_id=runner.account_id, version=version, reason="认识路", **more)


async def test_the_campus_team_keeps_an_order_for_one_runner(world: World) -> None:
    operator, runner, other = await world.operator(), await world.runner(), await world.runner()
    order_id = await world.paid(await world.student())
    offer = await world.offered(order_id)
    asked, wanted = (runner, other) if offer.runner_id == runner.account_id else (other, runner)
    version = (await world.order(order_id)).version
    held = await pin_order.hold(world.ctx, operator, order_id, request(wanted, version, minutes=10))
    assert held.until_ms == ms(world, 600)
    assert (await world.read(lambda uow: uow.offers.get(offer.id))).status == "withdrawn"
    assert (await world.task(order_id)).status == "open"
    assert await shown(world, asked) == [] and await shown(world, wanted) == [order_id]
    with pytest.raises(NotAvailable):
        await answer_offer.grab(world.ctx, asked, order_id)
    rows = [row for row in await world.read(lambda uow: uow.audit.page()) if row.action == "order.hold"]
    assert [(row.subject, row.reason, row.before) for row in rows] == [(order_id, "认识路", None)]
    await pin_order.release(world.ctx, operator, order_id)
    assert await shown(world, asked) == [order_id]
    with pytest.raises(NotFound):
        await pin_order.release(world.ctx, operator, order_id)


async def test_a_hold_ends_by_itself(world: World) -> None:
    operator, runner, other = await world.operator(), await world.runner(), await world.runner()
    order_id = await world.paid(await world.student())
    version = (await world.order(order_id)).version
    await pin_order.hold(world.ctx, operator, order_id, request(runner, version, minutes=1))
    await world.pass_time(59)
    assert (await rules_for(world, order_id)).pinned == runner.account_id
    await world.pass_time(1)
    assert (await rules_for(world, order_id)).pinned is None
    assert await world.read(lambda uow: uow.pins.get(order_id)) is None
    assert (await answer_offer.grab(world.ctx, other, order_id)).status == "assigned"


async def test_who_may_hold_what_for_whom(world: World) -> None:
    operator, runner = await world.operator(), await world.runner()
    student = await world.student()
    order_id = await world.paid(student)
    version = (await world.order(order_id)).version
    for who in (runner, student):
        with pytest.raises(NotPermitted):
            await pin_order.hold(world.ctx, who, order_id, request(runner, version))
        with pytest.raises(NotPermitted):
            await pin_order.release(world.ctx, who, order_id)
    stranger = await world.operator(campus_id=world.other_campus_id)
    with pytest.raises(NotFound):
        await pin_order.hold(world.ctx, stranger, order_id, request(runner, version))
    with pytest.raises(StaleVersion):
        await pin_order.hold(world.ctx, operator, order_id, request(runner, version - 1))
    for nobody in (student, operator, await world.runner(is_on=False)):
        with pytest.raises(NotAvailable):
            await pin_order.hold(world.ctx, operator, order_id, request(nobody, version))
    offer = await world.offered(order_id)
    await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer())
    with pytest.raises(NotAvailable) as refused:
        await pin_order.hold(world.ctx, operator, order_id, request(runner, version))
    assert refused.value.detail["reason"] == "offered_before"
    other = await world.runner()
    await world.assign(other, order_id)
    with pytest.raises(WrongState):
        await pin_order.hold(world.ctx, operator, order_id, request(runner, (await world.order(order_id)).version))
