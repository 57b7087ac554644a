"""Plans are previewed, and committed as they were shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, commit_plan, explain_decision, preview_plan, reassign_task
from dispatch.model import ids
from dispatch.model.campus import AssignMode
from dispatch.model.errors import InvalidInput, StaleVersion, TooMany, Unavailable
from dispatch.model.plan_views import PlanPreview
from dispatch.model.requests import CommitPlan, DeclineOffer, PreviewPlan, Reassign
from tests.flow_world import World, run, touch

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
