"""Decisions are asked about, what waits is foreseen, and reassigning tells what it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.assign.params import Params
from dispatch.assign.presets import preset_params
from dispatch.flow import commit_plan, explain_decision, foresee_orders, preview_plan, reassign_task, weigh_reassign
from dispatch.flow.assign_tasks import assign_tasks
from dispatch.flow.context import Context
from dispatch.flow.planning import Desk
from dispatch.flow.thinking import Thinking
from dispatch.jobs.planner import Planner
from dispatch.model.errors import NotFound, NotPermitted, StaleVersion, TooMany
from dispatch.model.requests import CommitPlan, PreviewPlan, Reassign, SeenMove, SetDuty
from dispatch.ticks.archive import TickArchive
from dispatch.ticks.files import TickFiles
from dispatch.ticks.recorder import Recorder
from tests.flow_world import World


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(TickFiles(tmp_path / "ticks"), "test")
    yield made
    made.close()


async def _recorded_tick(world: World, recorder: Recorder) -> Context:
    """One planning tick, recorded; gives a context that finds it."""
    if not world.fence:
        name = f"planner:{world.campus_id}"
        world.fence = await world.ctx.store.run_global(lambda unit: unit.leases.acquire(name, "test", 10**8)) or 0
    await assign_tasks(world.ctx, world.campus_id, world.fence, Params(), Desk(world.ctx, recorder=recorder))
    await asyncio.to_thread(recorder.flush)
    return replace(world.ctx, ticks=TickArchive(recorder.files))


# --- why not somebody else --------------------------------------------------------------------------------------------


async def test_the_recorded_tick_says_why_it_was_not_another_runner(world: World, recorder: Recorder) -> None:
    student, operator = await world.student(), await world.operator()
    near = await world.runner(at=world.map.place(world.places()[0]).point, name="近")
    far = await world.runner(at=world.map.place("zhu-1").point, name="远")
    silent = await world.runner()
    await world.ctx.presence.remove(world.campus_id, [silent.account_id])
    order_id = await world.paid(student)
    ctx = await _recorded_tick(world, recorder)
    late = await world.runner()

    async def ask(runner: Principal) -> Any:
        return await explain_decision.why_not(ctx, operator, order_id, runner.account_id)

    dearer = await ask(far)
    assert (dearer.rule, dearer.chosen_id, dearer.chosen_name) == ("dearer", near.account_id, "近")
    assert dearer.gap_s > 0 and dearer.cost_s == pytest.approx(dearer.chosen_cost_s + dearer.gap_s, abs=0.2)
    assert sum(dearer.terms.values()) == pytest.approx(dearer.cost_s, abs=1.0)
    assert sum(dearer.chosen_terms.values()) == pytest.approx(dearer.chosen_cost_s, abs=1.0)
    assert dearer.is_decided and dearer.runner_name == "远"
    chosen = await ask(near)
    assert (chosen.rule, chosen.gap_s) == ("chosen", 0.0)
    ruled_out = await ask(silent)
    assert (ruled_out.rule, ruled_out.gap_s) == ("stale_position", None) and ruled_out.terms, "and what it would cost"
    assert (await ask(late)).rule == "not_there"
    (decision,) = (await explain_decision.why(ctx, operator, order_id)).decisions
    named = await explain_decision.why_not(ctx, operator, order_id, far.account_id, decision.id)
    assert named == dearer
    other = await world.paid(student)
    with pytest.raises(NotFound):
        await explain_decision.why_not(ctx, operator, other, far.account_id, decision.id)
    assert (await explain_decision.why_not(ctx, operator, other, far.account_id)).rule == "not_in_tick"


async def test_who_may_ask_and_what_is_said_when_nothing_is_kept(home: World, recorder: Recorder) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.paid(student)
    ctx = await _recorded_tick(home, recorder)
    for who in (student, runner):
        with pytest.raises(NotPermitted):
            await explain_decision.why_not(ctx, who, order_id, runner.account_id)
        with pytest.raises(NotPermitted):
            await foresee_orders.outlook(ctx, who)
        with pytest.raises(NotPermitted):
            await preview_plan.preview(ctx, who, PreviewPlan())
        wish = CommitPlan(preview_id=ctx.new_id("pre"), order_ids=[order_id], reason="x")
        with pytest.raises(NotPermitted):
            await commit_plan.commit(ctx, who, wish)
    stranger = await home.operator(campus_id=home.other_campus_id)
    with pytest.raises(NotFound):
        await explain_decision.why_not(ctx, stranger, order_id, runner.account_id)
    elsewhere = await home.runner(campus_id=home.other_campus_id)
    with pytest.raises(NotFound):
        await explain_decision.why_not(ctx, operator, order_id, elsewhere.account_id)
    gone = await explain_decision.why_not(home.ctx, operator, order_id, runner.account_id)
    assert (gone.rule, gone.is_decided, gone.at_ms is not None) == ("not_recorded", True, True)
    grabbed = await home.assigned(student, runner)
    assert (await explain_decision.why_not(ctx, operator, grabbed, runner.account_id)).rule == "not_planned"


async def test_an_order_that_waits_is_asked_about_by_the_newest_tick(home: World, recorder: Recorder) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    later_ms = round((home.clock.now() + timedelta(minutes=25)).timestamp() * 1000)
    order_id = await home.paid(student, pickup_after_ms=later_ms)
    ctx = await _recorded_tick(home, recorder)
    said = await explain_decision.why_not(ctx, operator, order_id, runner.account_id)
    assert (said.rule, said.is_decided) == ("chosen", False), "foreseen, and not decided yet"


async def test_only_so_many_questions_wait_for_their_turn() -> None:
    thinking, gate = Thinking(most=1), asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.ensure_future(
        thinking.about(lambda: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(30))
    )
    await asyncio.sleep(0)
    with pytest.raises(TooMany):
        await thinking.about(lambda: 1)
    gate.set()
    assert await first and await thinking.about(lambda: 2) == 2


# --- why not yet ------------------------------------------------------------------------------------------------------


async def test_the_planner_tells_what_it_foresees(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    planner = Planner(world.ctx, "test", 2.0)
    assert (await foresee_orders.outlook(world.ctx, operator)).at_ms is None, "nobody has spoken yet"
    later_ms = round((world.clock.now() + timedelta(minutes=25)).timestamp() * 1000)
    order_id = await world.paid(student, pickup_after_ms=later_ms)
    await planner.tick()
    (told,) = (await foresee_orders.outlook(world.ctx, operator)).orders
    assert (told.order_id, told.state, told.reason, told.runner_id) == (order_id, "waiting", "no_runners", None)
    runner = await world.runner(name="明")
    await planner.tick()
    view = await foresee_orders.outlook(world.ctx, operator)
    (told,) = view.orders
    assert (told.state, told.reason, told.runner_id) == ("planned", "planned", runner.account_id)
    assert told.leave_at_ms > view.at_ms and told.done_at_ms > later_ms
    why = await explain_decision.why(world.ctx, operator, order_id)
    assert (why.foreseen, why.foreseen_name, why.planned_at_ms) == (told, "明", view.at_ms)
    assert why.waiting == "planned"
    other = await world.operator(campus_id=world.other_campus_id)
    assert (await foresee_orders.outlook(world.ctx, other)).orders == [], "every campus has its own"
    assert "明" not in repr(view)
    await planner.stop()


async def test_of_a_very_long_list_only_the_first_are_told(home: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresee_orders, "MOST_TOLD", 2)
    waiting = {f"ord_{n}": foresee_orders.foreseen(f"ord_{n}", "no_runners", None) for n in range(5)}
    await foresee_orders.keep_outlook(home.ctx, home.campus_id, waiting)
    told = await foresee_orders.read_outlook(home.ctx, home.campus_id)
    assert (len(told.orders), told.left_out) == (2, 3)


# --- what if ----------------------------------------------------------------------------------------------------------


async def _two_in_hand(world: World) -> tuple[Principal, Principal, list[str]]:
    """A runner with two errands, and another one with one."""
    student = await world.student()
    first = await world.runner(at=world.map.place(world.places()[0]).point, name="一")
    second = await world.runner(at=world.map.center, name="二")
    orders = [await world.assigned(student, first)]
    world.advance(1)  # what came up first is done first
    orders.append(await world.assigned(student, first))
    orders.append(await world.assigned(student, second))
    return first, second, orders


async def test_every_promise_that_moves_is_told_and_asked_again(world: World) -> None:
    operator = await world.operator()
    first, second, (moved, kept, others) = await _two_in_hand(world)
    view = await weigh_reassign.options(world.ctx, operator, moved)
    (option,) = [one for one in view.options if one.runner_id == second.account_id]
    (released,) = view.released
    assert (released.order_id, released.runner_id) == (kept, first.account_id) and released.seconds < 0
    assert released.was_late_s >= released.late_s and released.code == kept[-6:]
    (delayed,) = option.moves
    assert (delayed.order_id, delayed.runner_id) == (others, second.account_id) and delayed.seconds > 0
    order = await world.order(others)
    assert delayed.promised_at_ms == round(order.promised_at.timestamp() * 1000)
    assert delayed.late_s == max(0, round((delayed.done_at_ms - delayed.promised_at_ms) / 1000))
    (current,) = [one for one in view.options if one.is_current]
    assert current.runner_id == first.account_id and current.moves == [] and current.arrive_at_ms > 0

    def seen(shift: int = 0) -> list[SeenMove]:
        moves = [*option.moves, *view.released]
        return [SeenMove(order_id=m.order_id, seconds=m.seconds + shift, is_late=m.late_s > 0) for m in moves]

    async def give(told: list[SeenMove] | None) -> Any:
        request = Reassign(runner_id=second.account_id, version=view.version, reason="other", seen=told)
        return await reassign_task.reassign(world.ctx, operator, moved, request)

    for wrong in ([], seen(shift=500), seen()[:1]):
        with pytest.raises(StaleVersion) as refused:
            await give(wrong)
        assert refused.value.field == "seen"
    await give(seen())
    (entry,) = await world.audit("order.reassign")
    assert entry.after["moves_s"] == {kept: released.seconds, others: delayed.seconds}


async def test_what_is_in_hands_is_fetched_from_there(home: World) -> None:
    operator, student = await home.operator(), await home.student()
    first = await home.runner(at=home.map.center)
    near = await home.runner(at=home.map.center, name="身边")
    at_counter = await home.runner(at=home.map.place(home.places()[0]).point, name="柜台")
    order_id = await home.carrying(student, first)
    view = await weigh_reassign.options(home.ctx, operator, order_id)
    by_name = {one.runner_name: one for one in view.options}
    assert by_name["身边"].distance_m == 0 < by_name["柜台"].distance_m
    assert {near.account_id, at_counter.account_id} < {one.runner_id for one in view.options}


async def test_of_very_many_runners_the_nearest_and_the_named_one(home: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weigh_reassign, "MOST_WEIGHED", 1)
    operator, student = await home.operator(), await home.student()
    near = await home.runner(at=home.map.place(home.places()[0]).point)
    far = await home.runner(at=home.map.place("zhu-1").point)
    order_id = await home.paid(student)
    view = await weigh_reassign.options(home.ctx, operator, order_id)
    assert ([one.runner_id for one in view.options], view.left_out) == ([near.account_id], 1)
    view = await weigh_reassign.options(home.ctx, operator, order_id, far.account_id)
    assert {one.runner_id for one in view.options} == {near.account_id, far.account_id}


def test_presets_say_what_they_are() -> None:
    base = Params()
    assert preset_params(base, "balanced") is base
    fastest, fewest = preset_params(base, "fastest"), preset_params(base, "fewest_km")
    assert fastest.version == f"{base.version}+fastest" and fewest.travel_weight > base.travel_weight
    assert fastest.wait_weight > base.wait_weight > fewest.wait_weight
    assert SetDuty(is_on=True).is_on
