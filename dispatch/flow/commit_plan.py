"""A plan that was previewed is acted on, pair by pair: whatever is not as it was shown is refused, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import InvalidInput, Refusal, StaleVersion
from ..model.order import Order
from ..model.plan_views import CommitResult, CommitView
from ..model.requests import CommitPlan
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .decisions import decide
from .offer_task import offer_task
from .preview_plan import KeptPair, KeptPreview, preview_name
from .read_orders import REASSIGNED
from .reassign_task import check_runner, force

#: How a decision is called that an operator made by committing a plan.
PREVIEWED = "preview"
#: What the audit says before the first pair is acted on (what was asked), and after the last (what came of it). The
#: first without the second: the server ended in between, and each order's own timeline tells how far it came.
ASKED, ENDED = "plan.commit", "plan.committed"


@dataclass(slots=True)
class _Committing:
    """What the pairs of one commit share. ``given``: by runner, tasks that they got by it already."""

    ctx: Context
    who: Principal
    request: CommitPlan
    plan: KeptPreview
    given: dict[str, set[str]] = field(default_factory=dict)


async def commit(ctx: Context, who: Principal, request: CommitPlan) -> CommitView:
    """Offer, or give by force, exactly what was previewed; each pair in a commit of its own; audited first and last."""
    who.require(Permission.ORDERS_REASSIGN)
    body = await ctx.notes.read(who.campus_id, preview_name(request.preview_id))
    if body is None:
        raise StaleVersion("this preview is not kept any more; preview again", field="preview_id")
    this = _Committing(ctx, who, request, msgspec.msgpack.decode(body, type=KeptPreview))
    pairs = {pair.order_id: pair for pair in this.plan.pairs}
    unknown = [order_id for order_id in request.order_ids if order_id not in pairs]
    if unknown:
        raise InvalidInput("this order is not in the preview", field="order_ids", order_id=unknown[0])
    # In the plan's own order: what goes to one runner first was put first.
    chosen = set(request.order_ids)
    wanted = [pair for pair in this.plan.pairs if pair.order_id in chosen]
    await ctx.store.run(who.campus_id, partial(_note, this, ASKED, {"asked": [pair.order_id for pair in wanted]}))
    results = [await _one(this, pair) for pair in wanted]
    view = CommitView(
        preview_id=request.preview_id,
        act=request.act,
        done=sum(1 for one in results if one.refusal is None),
        results=results,
    )
    told = {
        "done": [one.order_id for one in results if one.refusal is None],
        "refused": {one.order_id: one.refusal for one in results if one.refusal is not None},
    }
    await ctx.store.run(who.campus_id, partial(_note, this, ENDED, told))
    ctx.announce()
    return view


def _note(this: _Committing, action: str, told: dict[str, Any], uow: UnitOfWork) -> None:
    request = this.request
    said = {"act": request.act, "preset": this.plan.preset, **told}
    uow.audit.add(this.who.account_id, action, request.preview_id, request.reason, None, said)


async def _one(this: _Committing, pair: KeptPair) -> CommitResult:
    code = pair.order_id[-6:]
    try:
        await this.ctx.store.run(this.who.campus_id, partial(_act, this, pair))
    except Refusal as refusal:
        return CommitResult(
            order_id=pair.order_id, code=code, refusal=refusal.code, message=refusal.message, field=refusal.field
        )
    this.given.setdefault(pair.runner_id, set()).add(pair.task_id)
    return CommitResult(order_id=pair.order_id, code=code)


def _act(this: _Committing, pair: KeptPair, uow: UnitOfWork) -> None:
    order, task = _as_shown(this, pair, uow)
    check_runner(uow, pair.runner_id, order)
    visits = this.plan.visits.get(pair.runner_id, [])
    is_force = this.request.act == "force"
    decision = decide(
        uow,
        task,
        pair.runner_id,
        PREVIEWED,
        this.plan.params_version,
        regret_s=pair.regret_s,
        candidates=pair.candidates,
    )
    if not is_force:
        offer_task(uow, order, task, decision, this.ctx.options.offer_ttl, visits)
        return
    before = {"runner_id": order.runner_id, "status": str(order.status), "version": order.version}
    changed = force(uow, order, task, decision, this.who.account_id)
    uow.planned_routes.save(pair.runner_id, visits)
    after = {"runner_id": changed.runner_id, "status": str(changed.status), "version": changed.version}
    uow.audit.add(this.who.account_id, REASSIGNED, order.id, this.request.reason, before, after)


def _as_shown(this: _Committing, pair: KeptPair, uow: UnitOfWork) -> tuple[Order, Task]:
    """The order and its task, if they and the runner's hands are as they were shown."""
    order, task = uow.orders.get(pair.order_id), uow.tasks.get(pair.task_id)
    if order.version != pair.order_version or task.version != pair.task_version:
        raise StaleVersion("the order has changed since", field="order", status=str(task.status))
    given = this.given.get(pair.runner_id, set())
    held = {one.id for one in uow.tasks.held_by(pair.runner_id)}
    asked = len(uow.offers.pending_of_runner(pair.runner_id))
    is_force = this.request.act == "force"
    wanted_held = set(pair.hand) | (given if is_force else set())
    if held != wanted_held or asked != pair.offered + (0 if is_force else len(given)):
        raise StaleVersion("the runner's hands have changed since", field="runner")
    return order, task
