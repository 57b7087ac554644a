"""A runner answers an offer, or takes an order from the hall: exactly one wins, the others learn why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.campus import CampusSettings
from ..model.errors import AlreadyTaken, NotAvailable, NotFound, NotPermitted, OfferExpired, StaleVersion, WrongState
from ..model.event import EventKind
from ..model.offer import Offer, OfferStatus, is_expired
from ..model.order import Order
from ..model.requests import DeclineOffer
from ..model.shift import rested
from ..model.task import HELD, TAKEABLE, Task, TaskMove, next_status
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .availability import rules_of_order, rules_of_runner
from .cancel_order import withdraw_offer
from .context import Context
from .credit_limits import check_credit
from .decisions import decide
from .escalate import look_again
from .move_credit import credit_answer
from .offer_task import end_offer
from .order_view import ms
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
            end_offer(uow, offer, OfferStatus.ACCEPTED)
            take_task(uow, order, task, who.account_id, "offer", actor_id=who.account_id)
            _rested(uow, who.account_id)
        elif offer.status is OfferStatus.EXPIRED:
            raise OfferExpired
        elif offer.status is not OfferStatus.ACCEPTED:
            raise AlreadyTaken("this offer was taken back", status=str(offer.status))
        return read_one(uow, offer.order_id, who, ground, ctx.options.undo_ttl).view

    return await _first(ctx, who, change)


async def decline(ctx: Context, who: Principal, offer_id: str, request: DeclineOffer) -> None:
    """Decline; the task goes to somebody else, and never to this runner again."""
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> None:
        offer = _own(uow, offer_id, who)
        if offer.status is OfferStatus.PENDING:
            give_back(uow, offer, OfferStatus.DECLINED, reason=request.reason)
            credit_answer(uow, offer, OfferStatus.DECLINED, ground.campus.settings)
            pause = uow.runner_plans.pause(who.account_id)
            cool_down = ground.campus.settings.cool_down
            uow.runner_plans.save_pause(cool_down.after(pause, uow.now, request.ask_again_s))
        elif offer.status is OfferStatus.ACCEPTED:
            raise WrongState("you accepted this offer; ask the campus team to take it back")

    await ctx.store.run(who.campus_id, change)
    ctx.announce()


def give_back(uow: UnitOfWork, offer: Offer, status: OfferStatus, *, reason: str = "") -> None:
    """End a pending offer without an assignment: its task waits again, with the event, in the caller's transaction."""
    end_offer(uow, offer, status)
    task = uow.tasks.get(offer.task_id)
    order = uow.orders.get(offer.order_id)
    if task.offer_id == offer.id:
        task = replace(
            task, status=next_status(task.status, TaskMove.WITHDRAW), version=task.version + 1, offer_id=None
        )
        uow.tasks.save(task)
        look_again(uow, order.id)
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
            if order.student_id == who.account_id:
                raise NotPermitted("this is your own order")
            if task.status not in TAKEABLE:
                raise AlreadyTaken(status=str(task.status))
            _check_free(uow, who, ground.campus.settings, order, task, is_grab=True)
            _check_hall(uow, who, ground.campus.settings, order, task)
            pending = uow.offers.pending_of_task(task.id)
            if pending is not None and pending.runner_id == who.account_id:
                end_offer(uow, pending, OfferStatus.ACCEPTED)
            else:
                withdraw_offer(uow, order, task)
            decision = decide(uow, task, who.account_id, "grab", "taken from the hall")
            uow.decisions.insert(decision)
            take_task(uow, order, task, who.account_id, "grab", actor_id=who.account_id, decision_id=decision.id)
            _rested(uow, who.account_id)
        return read_one(uow, order_id, who, ground, ctx.options.undo_ttl).view

    return await _first(ctx, who, change)


async def _first(ctx: Context, who: Principal, change: Callable[[UnitOfWork], OrderView]) -> OrderView:
    """Do it, unless somebody else was faster."""
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
    pause = uow.runner_plans.pause(who.account_id)
    if pause.break_until is not None and uow.now < pause.break_until:
        raise NotAvailable("end your break first", reason="on_break", until_ms=ms(pause.break_until))
    check_credit(uow, member, settings, order, task, is_grab=is_grab)


def _check_hall(uow: UnitOfWork, who: Principal, settings: CampusSettings, order: Order, task: Task) -> None:
    """Whether it may be taken from the hall by this runner now: its zone, and whoever it is kept for."""
    rules = rules_of_order(uow, settings, task, order)
    if not rules.is_in_hall:
        where = "this zone gives" if rules.zone is not None else "this campus gives"
        raise NotPermitted(f"{where} orders out by itself", reason="dispatch_zone", zone_id=rules.zone)
    if rules.pinned not in (None, who.account_id):
        until_ms = None if rules.pinned_until is None else ms(rules.pinned_until)
        raise NotAvailable("it is kept for another runner for a while", reason="kept_for_another", until_ms=until_ms)
    zones = rules_of_runner(uow, settings, uow.memberships.get(who.account_id)).zones
    if not rules.may_have(who.account_id, zones):
        raise NotAvailable("you do not work in this zone", reason="other_zone", zone_id=rules.zone)


def _rested(uow: UnitOfWork, runner_id: str) -> None:
    pause = uow.runner_plans.pause(runner_id)
    if pause.declines or pause.cool_until is not None:
        uow.runner_plans.save_pause(rested(pause))
