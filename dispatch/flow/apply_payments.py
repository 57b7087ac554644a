"""What payments reports becomes true for the order: each event once, in the transaction that moves the order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from payments import port

from ..model import ids
from ..model.campus import CampusSettings
from ..model.event import EventKind
from ..model.money import Fen
from ..model.order import Order, OrderMove, OrderStatus, next_status
from ..model.task import Task, TaskStatus
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .escalate import begin_waiting
from .grant_coupons import console_for_failure, judge_failure, thank_for_payment, watch_lateness
from .money_alerts import alert_order, apply_alarms, refund_arrived
from .order_view import ms
from .payment_view import forget
from .tell import tell
from .use_coupons import use_coupon

BATCH = 100
log = logging.getLogger(__name__)


async def apply_payments(ctx: Context) -> int:
    """Apply what is waiting; how many events were. Killed anywhere, the rest is offered again and skipped if known."""
    events = await ctx.payments.events(BATCH)
    by_order: dict[str, list[port.AnyEvent]] = {}
    for event in events:
        if event.order_ref:
            by_order.setdefault(event.order_ref, []).append(event)
    outcomes = await asyncio.gather(*(_apply_in_order(ctx, part) for part in by_order.values()))
    applied = [event_id for part, _ in outcomes for event_id in part]
    # An alarm is about no order.
    alarms, alarm_problem = await apply_alarms(ctx, [event for event in events if not event.order_ref])
    applied += alarms
    await ctx.payments.acknowledge(applied)
    if applied:
        ctx.announce()
    problem = next((error for _, error in outcomes if error is not None), alarm_problem)
    if problem is not None and not applied:
        raise problem
    return len(applied)


async def _apply_in_order(ctx: Context, events: list[port.AnyEvent]) -> tuple[list[str], Exception | None]:
    """Apply what happened to one order, one event after the other; the ids of those that were, and what went wrong.

    An event that cannot be applied stops its order's later ones, nobody else's, and stays on offer.
    """
    applied: list[str] = []
    for event in events:
        try:
            settings = (await ctx.grounds.get(event.campus_id)).campus.settings
            is_consoled = await judge_failure(ctx, event)
            await ctx.store.run(event.campus_id, _applying(event, settings, is_consoled=is_consoled))
        except Exception as error:
            log.exception("a payment event could not be applied", extra={"fields": {"event": event.id}})
            return applied, error
        applied.append(event.id)
        await forget(ctx, event.campus_id, [event.order_ref])
    return applied, None


def _applying(event: port.AnyEvent, settings: CampusSettings, *, is_consoled: bool) -> Callable[[UnitOfWork], None]:
    def apply(uow: UnitOfWork) -> None:
        if uow.inbox.accept(event.id):
            order = uow.orders.get(event.order_ref)
            _apply(uow, order, event, settings)
            if is_consoled and isinstance(event, port.IntentFailed) and order.status is OrderStatus.AWAITING_PAYMENT:
                console_for_failure(uow, order, event, settings)

    return apply


def _apply(uow: UnitOfWork, order: Order, event: port.AnyEvent, settings: CampusSettings) -> None:
    match event:
        case port.IntentReady():
            if order.status is OrderStatus.AWAITING_PAYMENT:
                tell(uow, EventKind.PAYMENT_READY, order, channel=event.channel, part=event.part, parts=event.parts)
        case port.IntentFailed():
            if order.status is OrderStatus.AWAITING_PAYMENT:
                tell(uow, EventKind.PAYMENT_FAILED, order, reason=event.reason)
        case port.Paid():
            _paid(uow, order, event, settings)
        case port.Settled():
            _settled(uow, order, event)
        case port.Released():
            _released(uow, order, event.amount_fen)
        case port.Refunded():
            _refunded(uow, order, event)
        case port.RefundOverdue() | port.HoldExpiring() | port.SubsidyOwed():
            alert_order(uow, order, event)
        case port.RiskJudged():
            alert_order(uow, order, event)
            if order.status is OrderStatus.AWAITING_PAYMENT:
                tell(uow, EventKind.PAYMENT_JUDGED, order, decision=event.decision, challenge=event.challenge)
        case port.PayoutFailed() | port.ReleaseFailed() | port.Suspicious():
            kind = type(event).__name__
            uow.alerts.raise_once(
                kind,
                order.id,
                f"订单 {order.id[-6:]} 资金异常:{event.reason}",
                f"Money of {order.id[-6:]}: {event.reason}",
            )
            tell(uow, EventKind.MONEY_ALERT, order, problem=kind, reason=event.reason)


def _refunded(uow: UnitOfWork, order: Order, event: port.Refunded) -> None:
    if event.is_from_hold:
        # Before the money was divided: the settlement will name it among what was released.
        released = Fen(order.released_fen + event.amount_fen)
        changed = replace(order, version=order.version + 1, released_fen=released)
    else:
        changed = replace(
            order,
            version=order.version + 1,
            captured_fen=Fen(order.captured_fen - event.amount_fen),
            refunded_fen=Fen(order.refunded_fen + event.amount_fen),
        )
    uow.orders.save(changed)
    tell(uow, EventKind.ORDER_REFUNDED, changed, uow.tasks.by_order(order.id), amount_fen=event.amount_fen)
    refund_arrived(uow, changed, event.refund_id)


def _paid(uow: UnitOfWork, order: Order, event: port.Paid, settings: CampusSettings) -> None:
    held = Fen(order.held_fen + event.amount_fen)
    if order.status is not OrderStatus.AWAITING_PAYMENT:
        # Cancelled while the payment was under way: the release that was ordered then gives it back by rule.
        uow.orders.save(replace(order, version=order.version + 1, held_fen=held))
        return
    # The promise is made at payment: nobody is sent before, so it starts to run then, and never moves again.
    waited = timedelta(0) if order.pickup_after is not None else uow.now - order.placed_at
    paid = replace(
        order,
        status=next_status(order.status, OrderMove.PAY),
        version=order.version + 1,
        held_fen=held,
        paid_at=uow.now,
        promised_at=order.promised_at + waited,
    )
    uow.orders.save(paid)
    uow.jobs.cancel("expire_unpaid", order.id)
    task = Task(
        id=ids.derived_id(ids.TASK, order.id),
        campus_id=order.campus_id,
        order_id=order.id,
        status=TaskStatus.OPEN,
        version=1,
        runner_id=None,
        opened_at=uow.now,
    )
    uow.tasks.insert(task)
    uow.jobs.schedule("check_late", order.id, paid.promised_at)
    begin_waiting(uow, paid, task)
    tell(uow, EventKind.ORDER_PAID, paid, task, channel=event.channel, promised_at_ms=ms(paid.promised_at))
    use_coupon(uow, paid)
    watch_lateness(uow, paid, settings)
    thank_for_payment(uow, paid, event.at, settings)


def _settled(uow: UnitOfWork, order: Order, event: port.Settled) -> None:
    is_cancelled = order.status is OrderStatus.CANCELLED
    settled = replace(
        order,
        status=next_status(order.status, OrderMove.CLOSE if is_cancelled else OrderMove.SETTLE),
        version=order.version + 1,
        captured_fen=event.captured_fen,
        released_fen=event.released_fen,
    )
    uow.orders.save(settled)
    kind = EventKind.ORDER_CLOSED if is_cancelled else EventKind.ORDER_SETTLED
    tell(uow, kind, settled, uow.tasks.by_order(order.id), captured_fen=event.captured_fen)


def _released(uow: UnitOfWork, order: Order, amount_fen: int) -> None:
    is_cancelled = order.status is OrderStatus.CANCELLED
    closed = replace(
        order,
        status=next_status(order.status, OrderMove.CLOSE) if is_cancelled else order.status,
        version=order.version + 1,
        released_fen=Fen(order.released_fen + amount_fen),
    )
    uow.orders.save(closed)
    if is_cancelled:
        tell(uow, EventKind.ORDER_CLOSED, closed, uow.tasks.by_order(order.id), released_fen=amount_fen)
