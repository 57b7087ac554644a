"""What the campus team does about its money: takes and closes items of reconciliation, decides on risk; all audited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payments.guards.risk import RiskCase
from payments.guards.second_factor import CodeWrong, SecondFactorNeeded
from payments.port import PaymentsError, WithdrawalRefused
from payments.reconcile.view import WorkItemView

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import CodeNeeded, InvalidInput, NotFound, NotPermitted, Refusal, TooMany, WrongState
from ..model.money_views import AskRun, CloseItem, ReviewRisk, RiskCaseView, RunView, TakeItem, WorkItem
from .context import Context
from .watch_money import case_views, find_item, item_views, run_view

_UNKNOWN = frozenset({"unknown_item", "unknown_intent", "unknown_withdrawal", "no_such_run", "unknown_channel"})
#: Runs that a campus may ask for in so many seconds: providers count how often their bills are fetched.
_RUNS, _RUNS_S = 20, 600
#: Cases are looked through in pages of this size, and no more than so many pages of old ones.
_PAGE, _PAGES = 500, 20


def refusal_of(refused: PaymentsError | ValueError) -> Refusal:
    """A refusal of payments in the form of this house."""
    if isinstance(refused, WithdrawalRefused):
        return InvalidInput(str(refused), field=refused.field, limit=refused.limit)
    if isinstance(refused, SecondFactorNeeded | CodeWrong):
        return CodeNeeded()
    if isinstance(refused, PaymentsError):
        kind = NotFound if refused.code in _UNKNOWN else WrongState
        return kind(f"{refused.code}: {refused}", code=refused.code)
    field, _, why = str(refused).partition(":")
    return InvalidInput(str(refused), field=field if why and field.isidentifier() else None)


@contextmanager
def payments_refusals() -> Iterator[None]:
    """What payments refuses inside is this house's refusal outside."""
    try:
        yield
    except (PaymentsError, ValueError) as refused:
        raise refusal_of(refused) from refused


async def reconcile(ctx: Context, who: Principal, request: AskRun) -> RunView:
    """Run a channel's day as soon as may be, whether it ran before or not; the run as it stands until then."""
    who.require(Permission.MONEY_MANAGE)
    if not await ctx.counters.hit(f"reconcile:{who.campus_id}", _RUNS, _RUNS_S):
        raise TooMany("that were many runs; wait a while", retry_after_s=ctx.counters.retry_after_s(_RUNS_S))
    with payments_refusals():
        run = await ctx.payments.reconcile(request.channel, request.day)
    was = {"state": run.state, "channel": run.channel, "day": run.day.isoformat()}
    await ctx.store.run(who.campus_id, lambda uow: uow.audit.add(who.account_id, "reconcile", run.id, "", None, was))
    return await run_view(ctx, run)


async def take_item(ctx: Context, who: Principal, item_id: str, request: TakeItem) -> WorkItem:
    """Look into an item oneself."""
    who.require(Permission.MONEY_MANAGE)
    before = await find_item(ctx, who, item_id)
    with payments_refusals():
        after = await ctx.payments.take_item(item_id, who.account_id, request.instead_of or "")
    return await _told(ctx, who, "take_work_item", before, after, "")


async def close_item(ctx: Context, who: Principal, item_id: str, request: CloseItem) -> WorkItem:
    """It is settled, and why."""
    who.require(Permission.MONEY_MANAGE)
    reason = _said(request.reason)
    before = await find_item(ctx, who, item_id)
    with payments_refusals():
        after = await ctx.payments.close_item(item_id, who.account_id, reason)
    return await _told(ctx, who, "close_work_item", before, after, reason)


async def _told(
    ctx: Context, who: Principal, action: str, before: WorkItemView, after: WorkItemView, reason: str
) -> WorkItem:
    if (before.state, before.handler) != (after.state, after.handler):
        was, now = _shown(before), _shown(after)
        await ctx.store.run(
            who.campus_id, lambda uow: uow.audit.add(who.account_id, action, after.id, reason, was, now)
        )
    (view,) = await item_views(ctx, who, [after])
    return view


def _shown(item: WorkItemView) -> dict[str, str | int]:
    return {
        "state": item.state, "handler": item.handler, "run_id": item.run_id, "kind": item.kind,
        "number": item.number, "ours_fen": item.ours_fen, "theirs_fen": item.theirs_fen,
    }  # fmt: skip


async def review_risk(ctx: Context, who: Principal, case_id: str, request: ReviewRisk) -> RiskCaseView:
    """Let go on what risk holds, or refuse it. Nobody decides on their own case."""
    who.require(Permission.MONEY_MANAGE)
    reason = _said(request.reason)
    before = await _find_case(ctx, who, case_id)
    if before.account == who.account_id:
        raise NotPermitted("somebody else has to decide on one's own case")
    with payments_refusals():
        await ctx.payments.review_risk(case_id, is_released=request.is_released, by=who.account_id, reason=reason)
    after = await _find_case(ctx, who, case_id)
    if before.standing != after.standing:
        action = "release_risk" if request.is_released else "refuse_risk"
        was, now = {"standing": before.standing}, {"standing": after.standing, "amount_fen": after.amount_fen}
        await ctx.store.run(who.campus_id, lambda uow: uow.audit.add(who.account_id, action, case_id, reason, was, now))
    ctx.announce()
    (view,) = await case_views(ctx, who, [after])
    return view


async def _find_case(ctx: Context, who: Principal, case_id: str) -> RiskCase:
    """The case, decided or not; raises :class:`NotFound`, also for another campus's."""
    for only_open in (True, False):
        before: int | None = None
        for _ in range(_PAGES):
            page = await ctx.payments.risk_cases(who.campus_id, _PAGE, before, only_open)
            for case in page:
                if case.id == case_id:
                    return case
            if len(page) < _PAGE:
                break
            before = page[-1].seq
    raise NotFound("there is no such case here")


def _said(reason: str) -> str:
    if not reason.strip():
        raise InvalidInput("say why", field="reason")
    return reason.strip()
