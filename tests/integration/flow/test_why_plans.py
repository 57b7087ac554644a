"""Decisions are asked about, what waits is foreseen, reassigning tells what it moves, and plans are previewed."""

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
from dispatch.flow import (
    answer_offer,
    commit_plan,
    explain_decision,
    foresee_orders,
    preview_plan,
    reassign_task,
    weigh_reassign,
)
from dispatch.flow.assign_tasks import assign_tasks
from dispatch.flow.context import Context
from dispatch.flow.planning import Desk
from dispatch.flow.thinking import Thinking
from dispatch.jobs.planner import Planner
from dispatch.model import ids
from dispatch.model.campus import AssignMode
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, StaleVersion, TooMany, Unavailable
from dispatch.model.plan_views import PlanPreview
from dispatch.model.requests import CommitPlan, DeclineOffer, PreviewPlan, Reassign, SeenMove, SetDuty
from dispatch.ticks.archive import TickArchive
from dispatch.ticks.files import TickFiles
from dispatch.ticks.recorder import Recorder
from tests.flow_world import World, run, touch


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


# --- previews ---------------------------------------------------------------------------------------------------------


async def _previewed(
    world: World, orders: int = 2, runners: int = 2, **order: Any
) -> tuple[Principal, list[str], PlanPreview]:
    """Orders that the planner leaves to the runners, and a plan of them."""
    await world.settings(mode=AssignMode.GRAB)
    student, operator = await world.student(), await world.operator()
    for _ in range(runners):
        await world.runner()
    made = [await world.paid(student, **order) for _ in range(orders)]
    return operator, made, await preview_plan.preview(world.ctx, operator, PreviewPlan())


def _commit(view: PlanPreview, act: Any = "offer", orders: list[str] | None = None) -> CommitPlan:
    chosen = orders if orders is not None else [pair.order_id for pair in view.pairs]
    return CommitPlan(preview_id=view.id, order_ids=chosen, act=act, reason="a busy noon")


async def test_a_preview_acts_on_nothing_and_a_commit_offers_exactly_it(world: World) -> None:
    operator, orders, view = await _previewed(world)
    assert {pair.order_id for pair in view.pairs} == set(orders) and view.waiting == [] and view.left_out == 0
    assert view.new_m > 0 and view.mean_wait_s > 0
    for pair in view.pairs:
        (route,) = [one for one in view.routes if one.runner_id == pair.runner_id]
        assert [stop.role for stop in route.stops if stop.order_id == pair.order_id] == ["pickup", "dropoff"]
        assert all(stop.is_new for stop in route.stops) and pair.done_at_ms > pair.leave_at_ms
    assert await world.read(lambda uow: uow.offers.pending()) == [], "nobody was asked anything"
    (told,) = await world.audit("plan.preview")
    assert told.subject == view.id and ids.is_id("pre", view.id), "no tick: nothing of it is recorded"
    assert told.actor_id == operator.account_id and told.after["pairs"] == 2
    done = await commit_plan.commit(world.ctx, operator, _commit(view))
    assert (done.done, [one.refusal for one in done.results]) == (2, [None, None])
    offers = {offer.order_id: offer.runner_id for offer in await world.read(lambda uow: uow.offers.pending())}
    assert offers == {pair.order_id: pair.runner_id for pair in view.pairs}
    (decision,) = (await explain_decision.why(world.ctx, operator, orders[0])).decisions
    asked_why = await explain_decision.why_not(world.ctx, operator, orders[0], operator.account_id, decision.id)
    assert asked_why.rule == "not_recorded", "a preview cannot be played again"
    assert decision.mode == "preview" and any(one.is_chosen and one.terms for one in decision.candidates)
    (asked,), (ended,) = await world.audit("plan.commit"), await world.audit("plan.committed")
    assert asked.reason == ended.reason == "a busy noon" and asked.subject == ended.subject == view.id
    assert asked.after == {"act": "offer", "preset": view.preset, "asked": [pair.order_id for pair in view.pairs]}
    assert set(ended.after["done"]) == set(orders) and ended.after["refused"] == {}
    again = await commit_plan.commit(world.ctx, operator, _commit(view))
    assert (again.done, {one.refusal for one in again.results}) == (0, {"stale_version"})


async def test_what_changed_since_is_refused_pair_by_pair(world: World) -> None:
    operator, orders, view = await _previewed(world, orders=4, runners=4, weight_g=20_000)
    by_order = {pair.order_id: pair.runner_id for pair in view.pairs}
    assert len(set(by_order.values())) == 4
    changed, grabbed, away, fine = orders
    await run(world, touch(changed))
    busy = await world.paid(await world.student())

    def off(uow: Any) -> None:
        member = uow.memberships.get(by_order[away])
        uow.memberships.save(replace(member, is_on_duty=False))

    await run(world, off)
    version = (await world.order(busy)).version
    give = Reassign(runner_id=by_order[grabbed], version=version, reason="other")
    await reassign_task.reassign(world.ctx, operator, busy, give)
    done = await commit_plan.commit(world.ctx, operator, _commit(view, "force"))
    refusals = {one.order_id: (one.refusal, one.field) for one in done.results}
    assert refusals == {
        changed: ("stale_version", "order"), grabbed: ("stale_version", "runner"),
        away: ("not_available", "runner_id"), fine: (None, None),
    }  # fmt: skip
    assert (await world.order(fine)).runner_id == by_order[fine] and done.done == 1
    undone = [entry for entry in await world.audit("order.reassign") if entry.subject == fine]
    assert [entry.reason for entry in undone] == ["a busy noon"]


class Dying:
    """A store whose server ends after so many transactions."""

    def __init__(self, inner: Any, left: int) -> None:
        self._inner = inner
        self._left = left

    async def run(self, campus_id: str, change: Any) -> Any:
        if not self._left:
            raise ConnectionError("the server has ended")
        self._left -= 1
        return await self._inner.run(campus_id, change)


async def test_what_was_asked_is_in_the_books_before_anything_is_done(world: World) -> None:
    operator, orders, view = await _previewed(world)
    with pytest.raises(ConnectionError):
        await commit_plan.commit(replace(world.ctx, store=Dying(world.ctx.store, 2)), operator, _commit(view))
    assert len(await world.read(lambda uow: uow.offers.pending())) == 1, "the first was put to its runner"
    (asked,) = await world.audit("plan.commit")
    assert asked.actor_id == operator.account_id and set(asked.after["asked"]) == set(orders)
    assert await world.audit("plan.committed") == [], "nobody knows of an end"
    with pytest.raises(ConnectionError):
        await commit_plan.commit(replace(world.ctx, store=Dying(world.ctx.store, 0)), operator, _commit(view))
    assert len(await world.read(lambda uow: uow.offers.pending())) == 1, "nothing is done that is not written down"


async def test_a_bundle_is_committed_whole(home: World) -> None:
    operator, orders, view = await _previewed(home, orders=2, runners=1)
    assert [pair.number for pair in view.pairs] == [1, 2]
    done = await commit_plan.commit(home.ctx, operator, _commit(view, "force"))
    assert done.done == 2
    runner_id = view.pairs[0].runner_id
    held = await home.read(lambda uow: uow.tasks.held_by(runner_id))
    assert {task.order_id for task in held} == set(orders)


async def test_unticked_and_unknown_orders(home: World) -> None:
    operator, orders, view = await _previewed(home)
    only = await preview_plan.preview(home.ctx, operator, PreviewPlan(without=[orders[0]], preset="fastest"))
    assert [pair.order_id for pair in only.pairs] == [orders[1]]
    with pytest.raises(InvalidInput):
        await commit_plan.commit(home.ctx, operator, _commit(only, orders=orders))
    done = await commit_plan.commit(home.ctx, operator, _commit(view, orders=orders[:1]))
    assert [one.order_id for one in done.results] == orders[:1]
    gone = CommitPlan(preview_id=home.ctx.new_id("pre"), order_ids=orders, reason="x")
    with pytest.raises(StaleVersion):
        await commit_plan.commit(home.ctx, operator, gone)
    stranger = await home.operator(campus_id=home.other_campus_id)
    with pytest.raises(StaleVersion):
        await commit_plan.commit(home.ctx, stranger, _commit(view))


async def test_previews_are_bounded(home: World, monkeypatch: pytest.MonkeyPatch) -> None:
    operator, _, view = await _previewed(home, orders=3)
    monkeypatch.setattr(preview_plan, "MOST_PLANNED", 1)
    short = await preview_plan.preview(home.ctx, operator, PreviewPlan())
    assert (len(short.pairs), short.left_out) == (1, 2) and len(view.pairs) == 3
    monkeypatch.setattr(preview_plan, "DEADLINE_S", -1.0)
    with pytest.raises(Unavailable):
        await preview_plan.preview(home.ctx, operator, PreviewPlan())
    monkeypatch.setattr(preview_plan, "MOST_A_MINUTE", 0)
    with pytest.raises(TooMany):
        await preview_plan.preview(home.ctx, operator, PreviewPlan())


async def test_who_declined_since_is_not_asked(home: World) -> None:
    operator, orders, view = await _previewed(home, orders=1, runners=1)
    await commit_plan.commit(home.ctx, operator, _commit(view))
    (offer,) = await home.read(lambda uow: uow.offers.pending())
    runner = Principal(offer.runner_id, home.campus_id, frozenset(), "ses_x", operator.expires_at)
    await answer_offer.decline(home.ctx, runner, offer.id, DeclineOffer())
    view = await preview_plan.preview(home.ctx, operator, PreviewPlan())
    assert view.pairs == [] and [(one.order_id, one.reason) for one in view.waiting] == [(orders[0], "nobody_fits")]


def test_presets_say_what_they_are() -> None:
    base = Params()
    assert preset_params(base, "balanced") is base
    fastest, fewest = preset_params(base, "fastest"), preset_params(base, "fewest_km")
    assert fastest.version == f"{base.version}+fastest" and fewest.travel_weight > base.travel_weight
    assert fastest.wait_weight > base.wait_weight > fewest.wait_weight
    assert SetDuty(is_on=True).is_on
