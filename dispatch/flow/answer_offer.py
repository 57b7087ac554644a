"""A runner answers an offer, or takes an order from the hall: exactly one wins, the others learn why not."""

from __future__ import annotations

from dataclasses import replace

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.campus import AssignMode, CampusSettings
from ..model.decision import Decision
from ..model.errors import AlreadyTaken, NotAvailable, NotFound, NotPermitted, OfferExpired, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.offer import Offer, OfferStatus, is_expired
from ..model.order import Order
from ..model.requests import DeclineOffer
from ..model.task import HELD, TAKEABLE, Task, TaskMove, next_status
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .cancel_order import withdraw_offer
from .context import Context
from .credit_limits import check_credit
from .move_credit import credit_answer
from .read_orders import read_one
from .take_task import take_task
from .tell import tell


async def accept(ctx: Context, who: Principal, offer_id: str) -> OrderView:
    """Accept. The same tap arriving twice gets the same answer; too late or taken is said as such."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        offer = _own(uow, offer_id, who)
        if offer.status is OfferStatus.PENDING:
            order, task = uow.orders.get(offer.order_id), uow.tasks.get(offer.task_id)
            _check_free(uow, who, ground.campus.settings, order, task)
            if is_expired(offer, uow.now):
                raise OfferExpired(expired_at_ms=round(offer.expires_at.timestamp() * 1000))
            uow.offers.save(replace(offer, status=OfferStatus.ACCEPTED), OfferStatus.PENDING)
            uow.jobs.cancel("expire_offer", offer.id)
            take_task(uow, order, task, who.account_id, "offer", actor_id=who.account_id)
        elif offer.status is OfferStatus.EXPIRED:
            raise OfferExpired
        elif offer.status is not OfferStatus.ACCEPTED:
            raise AlreadyTaken("this offer was taken back", status=str(offer.status))
        return read_one(uow, offer.order_id, who, ground, ctx.options.undo_ttl).view

    try:
        view = await ctx.store.run(who.campus_id, change)
    except (StaleVersion, WrongState) as lost:
        raise AlreadyTaken from lost
    ctx.announce()
    return view


async def decline(ctx: Context, who: Principal, offer_id: str, request: DeclineOffer) -> None:
    """Decline; the task goes to somebody else, and never to this runner again."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> None:
        offer = _own(uow, offer_id, who)
        if offer.status is OfferStatus.PENDING:
            give_back(uow, offer, OfferStatus.DECLINED, reason=request.reason)
            credit_answer(uow, offer, OfferStatus.DECLINED, ground.campus.settings)
        elif offer.status is OfferStatus.ACCEPTED:
            raise WrongState("you accepted this offer; ask the campus team to take it back")

    await ctx.store.run(who.campus_id, change)
    ctx.announce()


def give_back(uow: UnitOfWork, offer: Offer, status: OfferStatus, *, reason: str = "") -> None:
    """End a pending offer without an assignment: its task waits again, with the event, in the caller's transaction."""
    uow.offers.save(replace(offer, status=status), OfferStatus.PENDING)
    uow.jobs.cancel("expire_offer", offer.id)
    task = uow.tasks.get(offer.task_id)
    order = uow.orders.get(offer.order_id)
    if task.offer_id == offer.id:
        task = replace(
            task, status=next_status(task.status, TaskMove.WITHDRAW), version=task.version + 1, offer_id=None
        )
        uow.tasks.save(task)
    is_declined = status is OfferStatus.DECLINED
    tell(
        uow,
        EventKind.OFFER_DECLINED if is_declined else EventKind.OFFER_EXPIRED,
        order,
        task,
        actor_id=offer.runner_id if is_declined else None,
        runner_id=offer.runner_id,
        offer_id=offer.id,
        reason=reason,
    )


async def grab(ctx: Context, who: Principal, order_id: str) -> OrderView:
    """Take an order from the hall, where the campus allows it."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> OrderView:
        order = uow.orders.get(order_id)
        task = uow.tasks.by_order(order_id)
        if task is None:
            raise NotFound(id=order_id)
        if task.runner_id != who.account_id or task.status not in HELD:
            if ground.campus.settings.mode is AssignMode.DISPATCH:
                raise NotPermitted("this campus gives orders out by itself")
            if order.student_id == who.account_id:
                raise NotPermitted("this is your own order")
            if task.status not in TAKEABLE:
                raise AlreadyTaken(status=str(task.status))
            _check_free(uow, who, ground.campus.settings, order, task, is_grab=True)
            pending = uow.offers.pending_of_task(task.id)
            if pending is not None and pending.runner_id == who.account_id:
                uow.offers.save(replace(pending, status=OfferStatus.ACCEPTED), OfferStatus.PENDING)
                uow.jobs.cancel("expire_offer", pending.id)
            else:
                withdraw_offer(uow, order, task)
            decision = Decision(
                id=uow.new_id(ids.DECISION),
                campus_id=uow.campus_id,
                task_id=task.id,
                order_id=order.id,
                at=uow.now,
                mode="grab",
                runner_id=who.account_id,
                regret_s=None,
                fence=task.fence,
                candidates=[],
                note="taken from the hall",
            )
            uow.decisions.insert(decision)
            take_task(uow, order, task, who.account_id, "grab", actor_id=who.account_id, decision_id=decision.id)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    try:
        view = await ctx.store.run(who.campus_id, change)
    except (StaleVersion, WrongState) as lost:
        raise AlreadyTaken from lost
    ctx.announce()
    return view


def _own(uow: UnitOfWork, offer_id: str, who: Principal) -> Offer:
    offer = uow.offers.get(offer_id)
    if offer.runner_id != who.account_id:
        raise NotFound(id=offer_id)
    return offer


def _check_free(
    uow: UnitOfWork, who: Principal, settings: CampusSettings, order: Order, task: Task, *, is_grab: bool = False
) -> None:
    who.require(Permission.TASKS_CARRY)
    member = uow.memberships.get(who.account_id)
    if not member.is_on_duty:
        raise NotAvailable("come on duty first", reason="off_duty")
    check_credit(uow, member, settings, order, task, is_grab=is_grab)
