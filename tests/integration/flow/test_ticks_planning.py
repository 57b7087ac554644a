"""A tick under a deadline, beside a shadow, and recorded: what acts, what is only looked at, what is found again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatch.assign.params import Params
from dispatch.assign.solver import plan
from dispatch.flow import answer_offer, go_on_duty
from dispatch.flow.assign_tasks import Tick, assign_tasks
from dispatch.flow.find_tick import latest_tick, recorded_tick
from dispatch.flow.planning import Desk
from dispatch.model.requests import DeclineOffer, SetDuty
from dispatch.ticks.archive import TickArchive
from dispatch.ticks.files import TickFiles
from dispatch.ticks.record import plan_digest
from dispatch.ticks.recorder import Recorder
from dispatch.ticks.replay import Recording, Span, replay
from dispatch.ticks.variant import parse_variant
from tests.flow_world import World


class Slow:
    """The optimizer, which waits at its first stage until it is let go; greedy does not."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked = 0
        self.ended = threading.Event()

    def __call__(self, tasks: Any, runners: Any, ways: Any, now_ms: int, params: Any, method: Any, lap: Any) -> Any:
        if method == "greedy":
            return plan(tasks, runners, ways, now_ms, params, method, lap)
        self.asked += 1
        self.gate.wait(30)
        try:
            return plan(tasks, runners, ways, now_ms, params, method, lap)
        finally:
            self.ended.set()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TickFiles(tmp_path), "test")
    yield made
    made.close()


async def _tick(world: World, desk: Desk) -> Tick:
    if not world.fence:
        name = f"planner:{world.campus_id}"
        fence = await world.ctx.store.run_global(lambda unit: unit.leases.acquire(name, "test", 10**8))
        assert fence is not None
        world.fence = fence
    return await assign_tasks(world.ctx, world.campus_id, world.fence, Params(), desk)


async def _world_with(world: World, orders: int, runners: int) -> list[str]:
    student = await world.student()
    for _ in range(runners):
        await world.runner()
    return [await world.paid(student) for _ in range(orders)]


# --- the deadline -----------------------------------------------------------------------------------------------------


async def test_a_late_plan_is_replaced_by_the_greedy_one_and_does_not_pile_up(home: World, eventually: Any) -> None:
    slow = Slow()
    desk = Desk(home.ctx, deadline_s=0.05, planner=slow)
    first, second = await _world_with(home, 2, 0)
    runner = await home.runner()
    try:
        found = await _tick(home, desk)
        assert (found.method, found.fallback, slow.asked) == ("greedy", "deadline", 1)
        assert found.offered >= 1
        decisions = [await home.read(lambda uow, one=one: uow.decisions.for_order(one)) for one in (first, second)]
        (decision, *_) = [one for each in decisions for one in each]
        assert decision.mode == "greedy" and decision.note.endswith("deadline") and decision.runner_id
        for offer in await home.read(lambda uow: uow.offers.pending()):
            await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer(reason="远"))
        await home.paid(await home.student())
        await home.runner()
        found = await _tick(home, desk)
        assert (found.fallback, slow.asked) == ("busy", 1), "the late one still thinks: nobody else is let in"
    finally:
        slow.gate.set()
    assert slow.ended.wait(30)
    await home.paid(await home.student())
    await home.runner()
    desk.deadline_s = 30.0
    await eventually(lambda: not desk.is_thinking)
    found = await _tick(home, desk)
    assert (found.method, found.fallback, slow.asked) == ("optimizer", "", 2)


async def test_a_fault_of_the_optimizer_is_a_fault_of_the_tick(home: World) -> None:
    def broken(*asked: Any) -> Any:
        raise ZeroDivisionError

    await _world_with(home, 1, 1)
    desk = Desk(home.ctx, planner=broken)
    with pytest.raises(ZeroDivisionError):
        await _tick(home, desk)
    assert not desk.is_thinking


async def test_stages_say_where_the_time_went(home: World) -> None:
    await _world_with(home, 1, 1)
    found = await _tick(home, Desk(home.ctx))
    assert {"books", "positions", "situation", "offers"} < set(found.stages_ms)
    assert (found.tasks, found.runners, found.offered) == (1, 1, 1)


# --- the shadow -------------------------------------------------------------------------------------------------------


async def test_a_shadow_plans_and_never_acts(home: World, recorder: Recorder) -> None:
    await _world_with(home, 2, 2)
    desk = Desk(home.ctx, recorder=recorder, shadow=parse_variant("max_pickup_m=0"))
    found = await _tick(home, desk)
    assert found.offered >= 1 and found.shadow is not None
    assert (found.shadow.skipped, found.shadow.chosen, found.shadow.different) == ("", (), found.offered)
    same = Desk(home.ctx, shadow=parse_variant(f"nearest={Params().nearest}"))
    await home.paid(await home.student())
    await home.runner()
    found = await _tick(home, same)
    assert found.shadow is not None and (found.shadow.different, len(found.shadow.chosen)) == (0, found.offered)
    recorder.flush()
    archive = TickArchive(recorder.files)
    kept = archive.latest(home.campus_id)
    assert kept is not None and kept.tick.shadow is not None and kept.tick.shadow.variant == "max_pickup_m=0"


async def test_a_shadow_that_is_late_is_left_alone_and_one_that_fails_harms_nobody(home: World) -> None:
    calls: list[str] = []
    gate = threading.Event()

    def planner(tasks: Any, runners: Any, ways: Any, now_ms: int, params: Any, method: Any, lap: Any) -> Any:
        calls.append(params.version)
        if params.nearest == 7:
            gate.wait(30)
        if params.nearest == 8:
            raise ZeroDivisionError
        return plan(tasks, runners, ways, now_ms, params, method, lap)

    await _world_with(home, 1, 1)
    desk = Desk(home.ctx, deadline_s=2.0, shadow=parse_variant("nearest=7"), planner=planner)
    desk.shadow_deadline_s = 0.05
    try:
        found = await _tick(home, desk)
        assert found.shadow is not None and (found.offered, found.shadow.skipped) == (1, "deadline")
        await home.paid(await home.student())
        await home.runner()
        found = await _tick(home, desk)
        assert found.shadow is not None and (found.offered, found.shadow.skipped) == (1, "busy")
        assert len(calls) == 3, "the late one is not joined by another"
    finally:
        gate.set()
    broken = Desk(home.ctx, shadow=parse_variant("nearest=8"), planner=planner)
    await home.paid(await home.student())
    await home.runner()
    found = await _tick(home, broken)
    assert found.shadow is not None and (found.offered, found.shadow.skipped) == (1, "failed")


# --- the record -------------------------------------------------------------------------------------------------------


async def test_a_decision_leads_to_what_the_planner_saw(world: World, recorder: Recorder) -> None:
    (order_id,) = await _world_with(world, 1, 2)
    ctx = replace(world.ctx, ticks=TickArchive(recorder.files))
    desk = Desk(world.ctx, recorder=recorder)
    assert await latest_tick(ctx, world.campus_id) is None
    await _tick(world, desk)
    recorder.flush()
    (decision,) = await world.read(lambda uow: uow.decisions.for_order(order_id))
    found = await recorded_tick(ctx, world.campus_id, decision)
    assert found is not None and found == await latest_tick(ctx, world.campus_id)
    tick = found.tick
    assert tick.chosen == ((decision.task_id, decision.runner_id),)
    assert [task.order_id for task in tick.tasks] == [order_id] and len(tick.runners) == 2
    again = plan(tick.tasks, tick.runners, found.ways, tick.now_ms, tick.params)
    assert plan_digest(again) == tick.digest
    assert await recorded_tick(world.ctx, world.campus_id, decision) is None, "nothing is recorded there"
    assert await recorded_tick(ctx, world.campus_id, replace(decision, tick_id=None)) is None
    assert await recorded_tick(ctx, world.other_campus_id, decision) is None


async def test_ticks_without_tasks_are_not_recorded(home: World, recorder: Recorder) -> None:
    await home.runner()
    found = await _tick(home, Desk(home.ctx, recorder=recorder))
    recorder.flush()
    assert (found.offered, recorder.counts.written) == (0, 0)


async def test_nothing_personal_is_recorded(home: World, recorder: Recorder) -> None:
    await _world_with(home, 1, 1)
    await _tick(home, Desk(home.ctx, recorder=recorder))
    recorder.flush()
    recorder.close()
    kept = TickArchive(recorder.files).latest(home.campus_id)
    assert kept is not None
    for secret in ("王五", "13900001234", "取快递", "甲"):
        assert secret not in repr(kept.tick)


async def test_a_recorded_hour_comes_out_again(home: World, recorder: Recorder) -> None:
    desk = Desk(home.ctx, recorder=recorder)
    student = await home.student()
    runners = [await home.runner() for _ in range(3)]
    await _tick(home, desk)
    for number in range(6):
        await home.paid(student)
        for runner in runners:
            await home.stand(runner, home.map.center)
        await assign_tasks(home.ctx, home.campus_id, home.fence, Params(), desk)
        offers = await home.read(lambda uow: uow.offers.pending())
        for offer in offers[:1]:
            runner = next(one for one in runners if one.account_id == offer.runner_id)
            if number % 3 == 2:
                await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer(reason="远"))
            else:
                await answer_offer.accept(home.ctx, runner, offer.id)
        await home.pass_time(20)
    recorder.flush()
    found = replay(Recording(recorder.files.folder).ticks(Span()), None)
    assert found.ticks >= 6 and found.same_plan == found.ticks


# --- several errands at once ------------------------------------------------------------------------------------------


async def test_a_runner_is_asked_about_several_errands_and_answers_each(world: World) -> None:
    student = await world.student()
    orders = [await world.paid(student) for _ in range(2)]
    runner = await world.runner()
    found = await world.tick()
    if found.offered == 1:  # the second is put to them in the next round
        found = await world.tick()
    offers = await world.read(lambda uow: uow.offers.pending_of_runner(runner.account_id))
    assert {offer.order_id for offer in offers} == set(orders)
    state = await go_on_duty.state(world.ctx, runner)
    assert [offer.id for offer in state.offers] == [offer.id for offer in offers] and state.offer == state.offers[0]
    route = await world.read(lambda uow: uow.planned_routes.of([runner.account_id]))
    assert {task_id for task_id, _ in route[runner.account_id]} >= {offers[-1].task_id}
    await answer_offer.accept(world.ctx, runner, offers[0].id)
    state = await go_on_duty.state(world.ctx, runner)
    assert [offer.id for offer in state.offers] == [offers[1].id] and len(state.orders) == 1
    await answer_offer.accept(world.ctx, runner, offers[1].id)
    state = await go_on_duty.state(world.ctx, runner)
    assert state.offers == [] and state.offer is None and len(state.orders) == 2


async def test_whoever_goes_off_duty_gives_all_offers_back(world: World) -> None:
    student = await world.student()
    for _ in range(2):
        await world.paid(student)
    runner = await world.runner()
    await world.tick()
    await world.tick()
    await go_on_duty.set_duty(world.ctx, runner, SetDuty(is_on=False))
    assert await world.read(lambda uow: uow.offers.pending()) == []


async def test_offers_that_run_out_go_back_each(home: World) -> None:
    student = await home.student()
    orders = [await home.paid(student) for _ in range(2)]
    runner = await home.runner()
    await home.tick()
    await home.tick()
    await home.pass_time(16)
    assert (await go_on_duty.state(home.ctx, runner)).offers == []
    assert [(await home.task(order_id)).status for order_id in orders] == ["open", "open"]
