"""A coupon's way through an order: reserved when it is placed, used when it is paid, given back when it is not."""

from __future__ import annotations

from payments.port import Subsidy

from ..model.coupon import Coupon, CouponReason, with_coupon
from ..model.errors import CouponGone
from ..model.money import Fen
from ..model.order import Order
from ..model.quote import Quote
from ..store.unit_of_work import UnitOfWork
from .campus_ground import CampusGround
from .grant_coupons import EXPIRE_COUPON


def quoted_with(uow: UnitOfWork, student_id: str, coupon_id: str | None, quote: Quote) -> Quote:
    """The quote with the student's coupon; raises :class:`CouponGone` where it cannot be used."""
    if coupon_id is None:
        return quote
    coupon = uow.coupons.find(coupon_id)
    if coupon is None or coupon.student_id != student_id or not coupon.is_usable(uow.now):
        raise CouponGone(field="coupon_id")
    return with_coupon(quote, coupon)


def reserve_coupon(uow: UnitOfWork, order: Order) -> tuple[Subsidy, ...]:
    """Keep the quote's coupon for this order, in the commit that places it; what its payer adds. Of two orders that
    are placed with one coupon at once, one raises :class:`CouponGone`."""
    coupon_id = order.quote.coupon_id
    if coupon_id is None:
        return ()
    if not uow.coupons.reserve(coupon_id, order.student_id, order.id):
        raise CouponGone(field="coupon_id")
    uow.jobs.cancel(EXPIRE_COUPON, coupon_id)
    coupon = uow.coupons.of_order(order.id)
    assert coupon is not None, "it was reserved a moment ago"
    return (_subsidy(coupon, order),)


def _subsidy(coupon: Coupon, order: Order) -> Subsidy:
    amount_fen = order.quote.discount_fen
    if coupon.payer == "platform":
        return Subsidy(party="platform", account_ref="platform", amount_fen=amount_fen, ref=coupon.id)
    return Subsidy(party="campus", account_ref=order.campus_id, amount_fen=amount_fen, ref=coupon.id)


def use_coupon(uow: UnitOfWork, order: Order) -> None:
    """The order is paid."""
    if order.quote.coupon_id is not None:
        uow.coupons.use(order.id)


def return_coupon(uow: UnitOfWork, order: Order, charge_fen: Fen) -> None:
    """The order is cancelled. Its coupon goes back to the student, unless what the cancelling costs is more than the
    student has paid; and what was given for paying it in a quiet hour is withdrawn."""
    if order.paid_at is not None:
        uow.coupons.withdraw(order.id, CouponReason.OFF_PEAK)
    cost_fen = charge_fen + (order.goods_actual_fen or 0)
    if order.quote.coupon_id is None or cost_fen > order.quote.total_fen:
        return
    if uow.coupons.give_back(order.id):
        coupon = uow.coupons.find(order.quote.coupon_id)
        assert coupon is not None, "it was given back a moment ago"
        uow.jobs.schedule(EXPIRE_COUPON, coupon.id, coupon.valid_until)


def expire_coupon(uow: UnitOfWork, coupon_id: str, ground: CampusGround) -> None:
    """Its time is over, unless an order has it."""
    uow.coupons.expire(coupon_id)
