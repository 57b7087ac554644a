"""What the optimizer is told: routes in the planned order, floors, who is at a counter, who has earned what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from dispatch.access.principal import Principal
from dispatch.assign.params import Params
from dispatch.assign.solver import plan
from dispatch.flow import answer_offer, deliver_task
from dispatch.flow.arrival import service_s
from dispatch.flow.instants import ms
from dispatch.flow.move_credit import move
from dispatch.flow.route import in_planned_order, next_first
from dispatch.flow.situation import Situation, gather
from dispatch.model.campus import AssignMode
from dispatch.model.credit import CreditCause, CreditReason, acceptance_share
from dispatch.model.requests import DeclineOffer, Deliver, PickUp, Tap
from dispatch.model.stop import StopRole
from dispatch.store.unit_of_work import UnitOfWork
from geo.eta import FLOOR_DOWN_S, FLOOR_S
from tests.flow_world import World, run


async def _situation(world: World) -> Situation:
    return await gather(world.ctx, world.campus_id, await world.ctx.grounds.get(world.campus_id))


async def _only(world: World) -> Any:
    (runner,) = (await _situation(world)).runners
    return runner


async def test_a_waiting_task_has_its_stops_with_floors_and_its_counter(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    ground = await home.ctx.grounds.get(home.campus_id)
    situation = await _situation(home)
    (task,) = situation.to_plan()
    order = await home.order(order_id)
    spent = [service_s(ground, "parcel", role) for role in (StopRole.PICKUP, StopRole.DROPOFF)]
    assert task.order_id == order_id and len(task.points) == 2
    assert task.before_s == (spent[0], spent[1] + 2 * FLOOR_S), "the drop-off is on the third floor"
    assert task.after_s == (0.0, 2 * FLOOR_DOWN_S)
    assert task.merchant == order.stops[0].place_id and task.weight_g == 500
    assert student.account_id in task.forbidden
    opened = (await home.task(order_id)).opened_at
    assert (task.promised_at_ms, task.opened_at_ms) == (ms(order.promised_at), ms(opened)) and task.ready_at_ms is None


async def test_what_fills_a_bag_is_carried_alone(home: World) -> None:
    runner = await home.runner()
    big = await home.paid(await home.student(), volume_ml=50_000)
    await home.assign(runner, big)
    (stop, _) = (await _only(home)).route
    assert stop.volume_ml == 50_000
    await home.paid(await home.student(), volume_ml=20_000)
    assert (await home.tick()).offered == 0, "a bag holds 60 litres"
    await home.paid(await home.student(), volume_ml=10_000)
    assert (await home.tick()).offered == 1


async def test_an_order_for_later_is_ready_at_its_time(home: World) -> None:
    later = home.clock.now() + timedelta(minutes=50)
    await home.paid(await home.student(), pickup_after_ms=ms(later))
    (task,) = (await _situation(home)).to_plan()
    assert task.ready_at_ms == ms(later) < task.promised_at_ms


async def test_what_a_runner_carries_is_their_route(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    task = await home.task(order_id)
    told = await _only(home)
    assert [(stop.task_id, stop.role) for stop in told.route] == [(task.id, "pickup"), (task.id, "dropoff")]
    assert told.route[0].promised_at_ms is None and told.route[1].promised_at_ms is not None
    assert (told.available_in_s, told.load, told.idle_since_ms) == (0.0, 1, None)

    await deliver_task.arrived(home.ctx, runner, order_id, Tap())
    told = await _only(home)
    assert [stop.role for stop in told.route] == ["dropoff"], "whoever is at the counter has been sent there"
    assert told.available_in_s > 0 and told.load == 1

    await deliver_task.picked_up(home.ctx, runner, order_id, PickUp())
    told = await _only(home)
    assert [stop.role for stop in told.route] == ["dropoff"] and told.available_in_s == 0
    on_the_way_s = told.route[0].before_s

    await deliver_task.arrived(home.ctx, runner, order_id, Tap())
    told = await _only(home)
    assert [stop.role for stop in told.route] == ["dropoff"]
    assert told.route[0].before_s == on_the_way_s / 2, "half of it is behind them"

    home.advance(30)
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(pin=(await home.order(order_id)).pin))
    done_ms = round(home.clock.now().timestamp() * 1000)
    home.advance(60)
    told = await _only(home)
    assert told.route == () and told.earned_s == 30
    assert told.idle_since_ms is not None and told.idle_since_ms >= done_ms


async def test_the_planned_order_is_kept_and_what_nobody_planned_comes_last(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    first, second, third = [await home.assigned(student, runner) for _ in range(3)]
    a, b, c = [(await home.task(order_id)).id for order_id in (first, second, third)]
    visits = [(b, "pickup"), (a, "dropoff"), (a, "pickup"), ("tsk_gone", "pickup"), (b, "dropoff"), (a, "dropoff")]
    await run(home, lambda uow: uow.planned_routes.save(runner.account_id, visits))
    told = await _only(home)
    found = [(stop.task_id, stop.role) for stop in told.route]
    assert found == [
        (b, "pickup"), (a, "pickup"), (b, "dropoff"), (a, "dropoff"), (c, "pickup"), (c, "dropoff"),
    ], "nothing is handed over before it is picked up"  # fmt: skip
    hand = [(await home.task(one), await home.order(one)) for one in (first, second, third)]
    assert [left.visit for left in in_planned_order(hand, visits)] == found
    assert [order.id for order in next_first(hand, visits)] == [second, first, third]
    await deliver_task.arrived(home.ctx, runner, third, Tap())
    hand = [(await home.task(one), await home.order(one)) for one in (first, second, third)]
    assert [order.id for order in next_first(hand, visits)] == [third, second, first], "where they stand comes first"


async def test_offers_that_wait_for_an_answer_count_and_whoever_refused_is_not_asked_again(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.paid(student)
    offer = await home.offered(order_id)
    situation = await _situation(home)
    assert situation.to_plan() == [] and situation.runners[0].offered == 1
    await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer())
    situation = await _situation(home)
    (task,) = situation.to_plan()
    assert runner.account_id in task.forbidden and situation.runners[0].offered == 0
    assert situation.runners[0].excluded == "cooling_down"


async def test_credit_and_the_share_of_offers_taken_are_told_and_count(world: World) -> None:
    settings = (await world.ctx.grounds.get(world.campus_id)).campus.settings

    async def set_credit(who: Principal, wanted: int) -> None:
        def change(uow: UnitOfWork) -> None:
            delta = wanted - uow.memberships.get(who.account_id).credit
            move(
                uow, settings, who.account_id, CreditCause(CreditReason.CORRECTED, delta), subject_id=uow.new_id("crd")
            )

        await run(world, change)

    student, runner, other = await world.student(), await world.runner(), await world.runner()
    order_id = await world.paid(student)
    for better, worse in ((runner, other), (other, runner)):
        await set_credit(better, 90)
        await set_credit(worse, 64)
        situation = await _situation(world)
        assert {one.id: one.credit for one in situation.runners} == {better.account_id: 90, worse.account_id: 64}
        (task,) = situation.to_plan()
        ground = await world.ctx.grounds.get(world.campus_id)
        made = plan([task], situation.runners, ground.walkways.among, situation.now_ms, Params(commit_ahead_s=1e6))
        assert made.assignments[0].runner_id == better.account_id, "all else alike, who has more credit is asked first"
    offer = await world.offered(order_id)
    refusing = next(one for one in (runner, other) if one.account_id == offer.runner_id)
    await answer_offer.decline(world.ctx, refusing, offer.id, DeclineOffer())
    told = {one.id: one.acceptance for one in (await _situation(world)).runners}
    assert told.pop(refusing.account_id) == acceptance_share(0, 1)
    assert list(told.values()) == [acceptance_share(0, 0)], "of whom nobody knows anything the usual is assumed"


async def test_a_silent_runner_is_stale_and_one_off_duty_is_not_there(home: World) -> None:
    await home.runner()
    await home.runner(is_on=False)
    assert (await _only(home)).excluded is None
    home.advance(100)
    assert (await _only(home)).excluded == "stale_position"


async def test_what_is_left_to_the_runners_is_not_planned(home: World) -> None:
    order_id = await home.paid(await home.student())
    await home.settings(mode=AssignMode.GRAB)
    situation = await _situation(home)
    assert situation.to_plan() == []
    assert situation.left_to_grab() == {(await home.task(order_id)).id: "grab_only"}


async def test_the_books_are_read_with_as_many_questions_however_much_there_is(world: World) -> None:
    student = await world.student()

    async def questions() -> int:
        engine = world.ctx.store._read_engine
        asked: list[str] = []

        def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
            asked.append(statement)

        event.listen(engine, "before_cursor_execute", count)
        try:
            await _situation(world)
        finally:
            event.remove(engine, "before_cursor_execute", count)
        return sum(statement.lstrip().upper().startswith("SELECT") for statement in asked)

    runners = [await world.runner() for _ in range(2)]
    await world.assigned(student, runners[0])
    await world.assigned(student, runners[0])
    offer = await world.offered(await world.paid(student))
    await answer_offer.decline(world.ctx, next(r for r in runners if r.account_id == offer.runner_id), offer.id,
                               DeclineOffer())  # fmt: skip
    few = await questions()
    for _ in range(4):
        runner = await world.runner()
        await world.assigned(student, runner)
        await world.assigned(student, runner)
        await world.paid(student)
    assert await questions() == few
