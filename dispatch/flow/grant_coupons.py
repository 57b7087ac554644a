"""Coupons are given: for an order that is far too late, a payment that failed at the provider's, a quiet hour.

Each is granted in the transaction of what it is for, once for one incident, and told on the order's topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from payments import port
from payments.guards.risk import RiskRequest

from ..model import ids
from ..model.campus import CampusSettings
from ..model.coupon import Coupon, CouponReason, is_providers_fault, lateness
from ..model.event import EventKind
from ..model.money import Fen
from ..model.order import Order, OrderStatus
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .context import Context
from .instants import ms
from .move_credit import day_start
from .tell import tell

#: Kinds of jobs: somebody looks how late an order is, and whether a coupon's time is over.
LATE_COUPON, EXPIRE_COUPON = "late_coupon", "expire_coupon"
_OVER = frozenset({OrderStatus.CANCELLED, OrderStatus.CLOSED})


@dataclass(frozen=True, slots=True)
class _Gift:
    """What is given, and for what: another one for the same incident is not."""

    reason: CouponReason
    incident: str
    amount_fen: Fen
    payer: str


def _grant(uow: UnitOfWork, order: Order, gift: _Gift, settings: CampusSettings) -> bool:
    """Whether it is granted; the order's student hears of it."""
    coupon = Coupon(
        id=uow.new_id(ids.COUPON),
        campus_id=order.campus_id,
        student_id=order.student_id,
        reason=gift.reason,
        incident=gift.incident,
        amount_fen=gift.amount_fen,
        payer=gift.payer,
        granted_for=order.id,
        granted_at=uow.now,
        valid_until=uow.now + timedelta(days=settings.coupons.valid_days),
    )
    if not uow.coupons.grant(coupon):
        return False
    uow.jobs.schedule(EXPIRE_COUPON, coupon.id, coupon.valid_until)
    tell(
        uow,
        EventKind.COUPON_GRANTED,
        order,
        uow.tasks.by_order(order.id),
        coupon_id=coupon.id,
        reason=str(coupon.reason),
        amount_fen=coupon.amount_fen,
        valid_until_ms=ms(coupon.valid_until),
    )
    return True


def _is_within(uow: UnitOfWork, gift: _Gift, daily_fen: int, settings: CampusSettings) -> bool:
    """Whether the day's budget has room for it. Two that ask at once: one of the transactions is repeated."""
    given_fen = uow.coupons.granted_fen(gift.reason, day_start(settings, uow.now))
    return given_fen + gift.amount_fen <= daily_fen


def _day(settings: CampusSettings, at: datetime) -> str:
    return at.astimezone(ZoneInfo(settings.time_zone)).date().isoformat()


# --- late orders ------------------------------------------------------------------------------------------------------


def watch_lateness(uow: UnitOfWork, order: Order, settings: CampusSettings) -> None:
    """Have somebody look when the order would be late enough."""
    uow.jobs.schedule(LATE_COUPON, order.id, order.promised_at + timedelta(seconds=settings.coupons.late.after_s))


def late_coupon(uow: UnitOfWork, order_id: str, ground: CampusGround) -> None:
    """The order should have come long ago: by what was promised when it was paid."""
    order = uow.orders.get(order_id)
    settings = ground.campus.settings
    rule = settings.coupons.late
    if not rule.is_on or order.status in _OVER:
        return
    if lateness(order.promised_at, order.delivered_at, uow.now) >= timedelta(seconds=rule.after_s):
        _grant(uow, order, _Gift(CouponReason.LATE, order.id, rule.amount_fen, rule.payer), settings)
    elif order.delivered_at is None:
        watch_lateness(uow, order, settings)


# --- a quiet hour -----------------------------------------------------------------------------------------------------


def thank_for_payment(uow: UnitOfWork, order: Order, paid_at: datetime, settings: CampusSettings) -> None:
    """The order is paid now; in the quiet window that is worth a red packet, once a student and day."""
    rule = settings.coupons.off_peak
    if not rule.is_on or not rule.applies(settings.local_time(paid_at)):
        return
    gift = _Gift(CouponReason.OFF_PEAK, _day(settings, paid_at), rule.amount_fen, rule.payer)
    if _is_within(uow, gift, rule.daily_fen, settings):
        _grant(uow, order, gift, settings)


# --- failed payments --------------------------------------------------------------------------------------------------


async def judge_failure(ctx: Context, event: port.AnyEvent) -> bool:
    """Whether a payment failed so that its student gets something for it: at the provider's, and risk does not object.
    Asked again about the same, the answer is the same."""
    if not isinstance(event, port.IntentFailed) or not is_providers_fault(event.reason):
        return False
    settings = (await ctx.grounds.get(event.campus_id)).campus.settings
    gift = _failure_gift(event, settings)

    def look(uow: UnitOfWork) -> str | None:
        order = uow.orders.find(event.order_ref)
        if order is None or order.status is not OrderStatus.AWAITING_PAYMENT:
            return None
        return order.student_id if _is_within(uow, gift, settings.coupons.failure.daily_fen, settings) else None

    student_id = await ctx.store.read(event.campus_id, look) if settings.coupons.failure.is_on else None
    if student_id is None:
        return False
    request = RiskRequest(
        kind="coupon",
        ref=f"{student_id}:{gift.incident}",
        campus_id=event.campus_id,
        account=student_id,
        amount_fen=gift.amount_fen,
        incident=gift.incident,
    )
    try:
        return (await ctx.payments.assess_risk(request)).decision == "allow"
    except port.PaymentsError as refused:
        # Payments without guards have no opinion; once per incident and the day's budget hold all the same.
        if refused.code != "not_set_up":
            raise
        return True


def console_for_failure(uow: UnitOfWork, order: Order, event: port.IntentFailed, settings: CampusSettings) -> None:
    """Give what :func:`judge_failure` allowed, unless the day's budget was used up meanwhile."""
    gift = _failure_gift(event, settings)
    if _is_within(uow, gift, settings.coupons.failure.daily_fen, settings):
        _grant(uow, order, gift, settings)


def _failure_gift(event: port.IntentFailed, settings: CampusSettings) -> _Gift:
    # Whatever fails on one day is one incident to a student: providers' troubles last for hours.
    rule = settings.coupons.failure
    return _Gift(CouponReason.PAYMENT_FAILED, _day(settings, event.at), rule.amount_fen, rule.payer)
