"""Offers and grabs: answered, expired, taken back, never made twice, and exactly one winner when two want the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, cancel_order, explain_decision, go_on_duty, reassign_task
from dispatch.flow.run_due_jobs import run_due_jobs
from dispatch.model.campus import AssignMode
from dispatch.model.errors import (
    AlreadyTaken,
    NotAvailable,
    NotFound,
    NotPermitted,
    OfferExpired,
    Refusal,
    WrongState,
)
from dispatch.model.offer import OfferStatus
from dispatch.model.order import OrderStatus
from dispatch.model.requests import CancelOrder, DeclineOffer, Reassign, SetDuty
from dispatch.model.shift import CoolDown
from tests.flow_world import World, run


async def _offer(world: World, offer_id: str) -> Any:
    return await world.read(lambda uow: uow.offers.get(offer_id))


async def _assigned_events(world: World, order_id: str) -> list[str]:
    return [kind for kind in await world.kinds(order_id) if kind in ("task_assigned", "task_reassigned")]


async def test_an_accepted_offer_is_the_runners_order(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    assert offer.expires_at - offer.offered_at == timedelta(seconds=15)
    assert (await world.task(order_id)).status == "offered"
    view = await answer_offer.accept(world.ctx, runner, offer.id)
    assert (view.status, view.task_status, view.pin) == ("assigned", "assigned", None)
    again = await answer_offer.accept(world.ctx, runner, offer.id)
    assert again.version == view.version, "the same tap twice is one"
    assert await world.read(lambda uow: uow.jobs.due_at("expire_offer", offer.id)) is None
    with pytest.raises(WrongState):
        await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer())
    decisions = await world.read(lambda uow: uow.decisions.for_order(order_id))
    assert len(decisions) == 1 and decisions[0].runner_id == runner.account_id and decisions[0].fence == world.fence


async def test_a_declined_offer_goes_to_the_next_and_never_back(world: World) -> None:
    await world.settings(cool_down=CoolDown(first_s=0))
    student, first, second = await world.student(), await world.runner(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    asked = {first.account_id: first, second.account_id: second}
    decliner = asked.pop(offer.runner_id)
    await answer_offer.decline(world.ctx, decliner, offer.id, DeclineOffer(reason="too far"))
    await answer_offer.decline(world.ctx, decliner, offer.id, DeclineOffer())
    assert (await world.task(order_id)).status == "open"
    assert (await world.kinds(order_id)).count("offer_declined") == 1
    second_offer = await world.offered(order_id)
    assert second_offer.runner_id in asked
    await answer_offer.decline(world.ctx, asked[second_offer.runner_id], second_offer.id, DeclineOffer())
    tick = await world.tick()
    assert tick.offered == 0 and tick.waiting is not None
    assert tick.waiting[order_id] == "all_offered_before"


async def test_an_offer_that_nobody_answers_expires(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    await world.pass_time(14.9)
    assert (await _offer(world, offer.id)).status is OfferStatus.PENDING
    world.advance(0.1)
    with pytest.raises(OfferExpired):
        await answer_offer.accept(world.ctx, runner, offer.id)
    assert (await go_on_duty.state(world.ctx, runner)).offer is None, "not shown once its time is over"
    await world.work()
    assert (await _offer(world, offer.id)).status is OfferStatus.EXPIRED
    assert (await world.task(order_id)).status == "open"
    with pytest.raises(OfferExpired):
        await answer_offer.accept(world.ctx, runner, offer.id)
    assert (await world.kinds(order_id))[-1] == "offer_expired"
    assert (await world.tick()).offered == 0, "not to the same runner again"


async def test_a_job_that_comes_too_early_leaves_the_offer_its_time(home: World) -> None:
    student = await home.student()
    await home.runner()
    offer = await home.offered(await home.paid(student))
    await run(home, lambda uow: uow.jobs.schedule("expire_offer", offer.id, uow.now))
    assert await run_due_jobs(home.ctx, "hasty") == 1
    assert (await _offer(home, offer.id)).status is OfferStatus.PENDING
    await home.pass_time(15)
    assert (await _offer(home, offer.id)).status is OfferStatus.EXPIRED


async def test_a_cancelled_order_takes_its_offer_back(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    version = (await world.order(order_id)).version
    await cancel_order.cancel(world.ctx, student, order_id, CancelOrder(reason="no need", version=version))
    assert (await _offer(world, offer.id)).status is OfferStatus.WITHDRAWN
    with pytest.raises(AlreadyTaken):
        await answer_offer.accept(world.ctx, runner, offer.id)
    await answer_offer.decline(world.ctx, runner, offer.id, DeclineOffer())
    assert (await world.kinds(order_id))[-2:] == ["offer_withdrawn", "order_cancelled"]


async def test_whoever_goes_off_duty_gives_the_offer_back(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    state = await go_on_duty.set_duty(world.ctx, runner, SetDuty(is_on=False))
    assert not state.is_on_duty and state.offer is None
    assert (await _offer(world, offer.id)).status is OfferStatus.DECLINED
    assert (await world.task(order_id)).status == "open"
    assert runner.account_id not in await world.ctx.presence.all(world.campus_id)


async def test_an_offer_is_its_runners_alone(home: World) -> None:
    student, runner, other = await home.student(), await home.runner(), await home.runner(is_on=False)
    offer = await home.offered(await home.paid(student))
    with pytest.raises(NotFound):
        await answer_offer.accept(home.ctx, other, offer.id)
    with pytest.raises(NotFound):
        await answer_offer.decline(home.ctx, other, offer.id, DeclineOffer())
    assert offer.runner_id == runner.account_id


async def test_whoever_carries_enough_takes_no_more(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    await home.settings(max_tasks_per_runner=1)
    first, second = await home.paid(student), await home.paid(student)
    await answer_offer.grab(home.ctx, runner, first)
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(home.ctx, runner, second)
    assert refused.value.detail["reason"] == "at_capacity"
    off = await home.runner(is_on=False)
    with pytest.raises(NotAvailable) as refused:
        await answer_offer.grab(home.ctx, off, second)
    assert refused.value.detail["reason"] == "off_duty"


async def test_what_cannot_be_grabbed(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    unpaid = await home.place(student)
    with pytest.raises(NotFound):
        await answer_offer.grab(home.ctx, runner, unpaid.id)
    own = await home.paid(runner)
    with pytest.raises(NotPermitted, match="your own"):
        await answer_offer.grab(home.ctx, runner, own)
    taken = await home.assigned(student, runner)
    assert (await answer_offer.grab(home.ctx, runner, taken)).status == "assigned", "the same tap twice is one"
    with pytest.raises(AlreadyTaken):
        await answer_offer.grab(home.ctx, await home.runner(), taken)
    order_id = await home.paid(student)
    with pytest.raises(NotPermitted):
        await answer_offer.grab(home.ctx, await home.person(), order_id)
    await home.settings(mode=AssignMode.DISPATCH)
    with pytest.raises(NotPermitted, match="by itself"):
        await answer_offer.grab(home.ctx, runner, order_id)
    assert (await go_on_duty.hall(home.ctx, runner)).items == []


async def test_a_campus_where_runners_grab_plans_nothing(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    await home.runner()
    await home.settings(mode=AssignMode.GRAB)
    order_id = await home.paid(student)
    assert (await home.tick()).offered == 0
    assert (await explain_decision.why(home.ctx, operator, order_id)).waiting == "grab_only"


async def test_grabbing_what_one_is_offered_accepts_it_and_anothers_offer_is_withdrawn(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.paid(student)
    offer = await world.offered(order_id)
    await answer_offer.grab(world.ctx, runner, order_id)
    assert (await _offer(world, offer.id)).status is OfferStatus.ACCEPTED
    second = await world.paid(student)
    offer = await world.offered(second)
    fast = await world.runner()
    assert (await answer_offer.grab(world.ctx, fast, second)).runner is not None
    assert (await _offer(world, offer.id)).status is OfferStatus.WITHDRAWN
    with pytest.raises(AlreadyTaken):
        await answer_offer.accept(world.ctx, runner, offer.id)


async def _race(*attempts: Awaitable[Any]) -> tuple[int, list[BaseException]]:
    """How many succeeded, and what the others were told."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    return len(outcomes) - len(lost), lost


async def test_of_many_who_grab_at_once_one_wins(world: World) -> None:
    student = await world.student()
    runners = [await world.runner() for _ in range(6)]
    for _ in range(3):
        order_id = await world.paid(student)
        free = [runner for runner in runners if len((await go_on_duty.state(world.ctx, runner)).orders) < 3]
        won, lost = await _race(*(answer_offer.grab(world.ctx, runner, order_id) for runner in free))
        assert won == 1 and all(isinstance(error, AlreadyTaken) for error in lost), lost
        assert await _assigned_events(world, order_id) == ["task_assigned"]
        order, task = await world.order(order_id), await world.task(order_id)
        assert order.runner_id == task.runner_id and order.status is OrderStatus.ASSIGNED


async def test_an_accept_and_a_grab_meet_and_one_wins(world: World) -> None:
    student = await world.student()
    for _ in range(3):
        runner, rival = await world.runner(), await world.runner()
        order_id = await world.paid(student)
        offer = await world.offered(order_id)
        asked = {runner.account_id: runner, rival.account_id: rival}
        accepter = asked.pop(offer.runner_id)
        grabber = asked.popitem()[1]
        won, lost = await _race(
            answer_offer.grab(world.ctx, grabber, order_id), answer_offer.accept(world.ctx, accepter, offer.id)
        )
        assert won == 1 and [type(error) for error in lost] == [AlreadyTaken]
        assert await _assigned_events(world, order_id) == ["task_assigned"]
        assert await world.read(lambda uow: uow.offers.pending()) == []
        for one in (runner, rival):
            await go_on_duty.set_duty(world.ctx, one, SetDuty(is_on=False))


async def test_a_grab_and_the_planner_meet_and_one_wins(world: World) -> None:
    student = await world.student()
    await world.tick()
    for _ in range(3):
        planned, grabber = await world.runner(), await world.runner()
        order_id = await world.paid(student)
        await asyncio.gather(world.tick(), answer_offer.grab(world.ctx, grabber, order_id))
        order, task = await world.order(order_id), await world.task(order_id)
        assert order.runner_id == task.runner_id == grabber.account_id and task.offer_id is None
        pending = await world.read(lambda uow: uow.offers.pending())
        assert [offer.task_id for offer in pending] == [], "no offer survives the assignment"
        for one in (planned, grabber):
            await go_on_duty.set_duty(world.ctx, one, SetDuty(is_on=False))


async def _force(world: World, operator: Principal, order_id: str, runner: Principal, version: int) -> Any:
    request = Reassign(runner_id=runner.account_id, version=version, reason="other")
    return await reassign_task.reassign(world.ctx, operator, order_id, request)


async def test_an_operator_a_runner_and_a_student_meet(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    runners = [await world.runner(), await world.runner()]
    order_id = await world.paid(student)
    version = (await world.order(order_id)).version
    outcomes = await asyncio.gather(
        _force(world, operator, order_id, runners[0], version),
        answer_offer.grab(world.ctx, runners[1], order_id),
        cancel_order.cancel(world.ctx, student, order_id, CancelOrder(reason="no need", version=version)),
        return_exceptions=True,
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(lost) == 2 and all(isinstance(error, Refusal) for error in lost), outcomes
    assert (await world.order(order_id)).version == version + 1
    await world.work()
    if (await world.order(order_id)).status is OrderStatus.CLOSED:
        await world.assert_books(order_id)
