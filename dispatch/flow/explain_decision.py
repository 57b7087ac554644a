"""Why this runner, why not another one, and why nobody yet: from what was kept, and from the recorded tick."""

from __future__ import annotations

from math import isfinite

from msgspec.structs import replace

from ..access.permissions import Permission
from ..access.principal import Principal
from ..assign.explain import WhyNot, what_if
from ..assign.explain import why_not as play_again
from ..model.account import Account
from ..model.decision import Decision
from ..model.errors import NotFound
from ..model.operator_views import CandidateView, DecisionView, WhyView
from ..model.order import Order, OrderStatus
from ..model.plan_views import WhyNotView
from ..store.unit_of_work import UnitOfWork
from ..ticks.archive import RecordedTick
from ..ticks.variant import method_of
from .assign_tasks import why_waiting
from .context import Context
from .find_tick import latest_tick, recorded_tick
from .foresee_orders import read_outlook
from .order_view import ms

#: Decisions that a plan made. A tick can be played again where it was recorded; a preview is no tick, and never is.
_PLANNED = frozenset({"optimizer", "greedy", "preview"})


async def why(ctx: Context, who: Principal, order_id: str) -> WhyView:
    """Every decision about this order with its reasons, the newest first; for one that waits, why it does now."""
    who.require(Permission.ORDERS_READ_ANY)
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    told = await read_outlook(ctx, who.campus_id)
    foreseen = next((one for one in told.orders if one.order_id == order_id), None)
    at_ms = told.at_ms
    if order.status is OrderStatus.OPEN and foreseen is None:
        foreseen, at_ms = await why_waiting(ctx, who.campus_id, order_id), ms(ctx.clock.now())

    def read(uow: UnitOfWork) -> WhyView:
        order = uow.orders.get(order_id)
        waits = foreseen if order.status is OrderStatus.OPEN and not _is_offered(uow, order) else None
        decisions = uow.decisions.for_order(order.id)
        runner_ids = {one["runner_id"] for decision in decisions for one in decision.candidates}
        runner_ids |= {decision.runner_id for decision in decisions if decision.runner_id}
        if waits is not None and waits.runner_id is not None:
            runner_ids.add(waits.runner_id)
        names = {account_id: account.name for account_id, account in uow.accounts.many(runner_ids).items()}
        return WhyView(
            decisions=[
                _decision_view(decision, names) for decision in sorted(decisions, key=lambda one: one.id, reverse=True)
            ],
            waiting=None if waits is None else waits.reason,
            foreseen=waits,
            foreseen_name=names.get(waits.runner_id or "", "") if waits is not None else "",
            planned_at_ms=at_ms if waits is not None else None,
        )

    return await ctx.store.read(who.campus_id, read)


def _is_offered(uow: UnitOfWork, order: Order) -> bool:
    task = uow.tasks.by_order(order.id)
    return task is not None and task.offer_id is not None


def _decision_view(decision: Decision, names: dict[str, str]) -> DecisionView:
    return DecisionView(
        id=decision.id,
        at_ms=ms(decision.at),
        mode=decision.mode,
        runner_id=decision.runner_id,
        regret_s=decision.regret_s,
        candidates=[
            CandidateView(
                runner_id=one["runner_id"],
                runner_name=names.get(one["runner_id"], ""),
                cost_s=one.get("cost_s"),
                terms=one.get("terms", {}),
                distance_m=one.get("distance_m"),
                excluded=one.get("excluded"),
                is_chosen=bool(one.get("is_chosen")),
                done_at_ms=one.get("done_at_ms"),
            )
            for one in decision.candidates
        ],
        note=decision.note,
    )


# --- why not somebody else --------------------------------------------------------------------------------------------


async def why_not(
    ctx: Context, who: Principal, order_id: str, runner_id: str, decision_id: str | None = None
) -> WhyNotView:
    """Why a decision did not choose this runner, by playing its tick again; without ``decision_id`` the newest one, and
    where there is none the newest tick."""
    who.require(Permission.ORDERS_READ_ANY)

    def read(uow: UnitOfWork) -> tuple[Decision | None, Account]:
        uow.memberships.get(runner_id)
        decisions = uow.decisions.for_order(uow.orders.get(order_id).id)
        if decision_id is not None:
            decisions = [one for one in decisions if one.id == decision_id]
            if not decisions:
                raise NotFound("there is no such decision about this order", field="decision_id")
        return (decisions[0] if decisions else None), uow.accounts.get(runner_id)

    decision, runner = await ctx.store.read(who.campus_id, read)
    blank = WhyNotView(
        rule="not_recorded",
        runner_id=runner_id,
        runner_name=runner.name,
        at_ms=None if decision is None else ms(decision.at),
        is_decided=decision is not None,
    )
    if decision is not None and decision.mode not in _PLANNED:
        return replace(blank, rule="not_planned")
    recorded = await (
        latest_tick(ctx, who.campus_id) if decision is None else recorded_tick(ctx, who.campus_id, decision)
    )
    if recorded is None:
        return blank
    return await _played_again(ctx, who.campus_id, blank, recorded, order_id, decision)


async def _played_again(
    ctx: Context, campus_id: str, blank: WhyNotView, recorded: RecordedTick, order_id: str, decision: Decision | None
) -> WhyNotView:
    tick, ways = recorded
    there = replace(blank, at_ms=tick.now_ms)
    task = next((one for one in tick.tasks if one.order_id == order_id), None)
    if task is None:
        return replace(there, rule="not_in_tick")
    runner = next((one for one in tick.runners if one.id == blank.runner_id), None)
    if runner is None:
        return replace(there, rule="not_there")
    method = method_of(tick.acted)

    def ask(runner_id: str) -> WhyNot:
        return play_again(tick.tasks, tick.runners, ways, tick.now_ms, tick.params, task.id, runner_id, method)

    def asked() -> tuple[WhyNot, float | None, dict[str, float]]:
        found = ask(blank.runner_id)
        kept = (
            next((one for one in decision.candidates if one.get("is_chosen")), None) if decision is not None else None
        )
        if found.chosen is None:
            return found, None, {}
        if kept is not None and found.chosen == kept["runner_id"]:
            return found, kept.get("cost_s"), dict(kept.get("terms", {}))
        chosen = found if found.chosen == blank.runner_id else ask(found.chosen)
        return found, chosen.cost_s, dict(chosen.terms or {})

    def answered() -> tuple[WhyNot, float | None, dict[str, float]]:
        found, cost_s, terms = asked()
        if found.cost_s is None:
            # A rule was in the way: what it would have cost without one is worth knowing too.
            alone = what_if(task, runner, ways, tick.now_ms, tick.params)
            if isfinite(alone.cost_s):
                found = WhyNot(found.rule, found.chosen, alone.cost_s, alone.terms)
        return found, cost_s, terms

    found, chosen_cost_s, chosen_terms = await ctx.thinking.about(answered)
    return replace(
        there,
        rule=found.rule,
        chosen_id=found.chosen,
        chosen_name=await _name(ctx, campus_id, found.chosen),
        cost_s=found.cost_s,
        gap_s=found.gap_s,
        terms=dict(found.terms or {}),
        chosen_cost_s=chosen_cost_s,
        chosen_terms=chosen_terms,
    )


async def _name(ctx: Context, campus_id: str, account_id: str | None) -> str:
    if account_id is None:
        return ""
    return (await ctx.store.read(campus_id, lambda uow: uow.accounts.get(account_id))).name
