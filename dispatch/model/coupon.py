"""Coupons: what makes up for a late order or a payment that failed, and the red packet of a quiet hour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from enum import StrEnum

from .money import Fen
from .quote import Quote, QuoteLine

#: Nobody pays less than this for an errand, whatever their coupon is worth.
LEAST_SERVICE_FEN = Fen(1)
#: A coupon that is given back can still be used so long.
GIVEN_BACK_FOR = timedelta(days=1)


class CouponState(StrEnum):
    AVAILABLE = "available"
    RESERVED = "reserved"  # an order that waits for its payment has it
    USED = "used"
    EXPIRED = "expired"


class CouponReason(StrEnum):
    LATE = "late"  # an order came much later than promised when it was paid
    PAYMENT_FAILED = "payment_failed"  # through no fault of the student
    OFF_PEAK = "off_peak"  # an order was paid in the quiet window of the day


@dataclass(frozen=True, slots=True)
class Coupon:
    """A student's discount on one order's service price. ``payer``: whose money it is; ``incident``: what it was given
    for, which gives no second one; ``granted_for``: the order that was about; ``order_id``: the one that has it."""

    id: str
    campus_id: str
    student_id: str
    reason: CouponReason
    incident: str
    amount_fen: Fen
    payer: str
    granted_for: str
    granted_at: datetime
    valid_until: datetime
    state: CouponState = CouponState.AVAILABLE
    order_id: str | None = None

    def is_usable(self, now: datetime) -> bool:
        return self.state is CouponState.AVAILABLE and now < self.valid_until


@dataclass(frozen=True, slots=True)
class LateCoupon:
    """For an order that is at least ``after_s`` seconds later than promised at its payment; once per order."""

    is_on: bool = True
    after_s: int = 1_800
    amount_fen: Fen = Fen(100)
    payer: str = "campus"


@dataclass(frozen=True, slots=True)
class FailureCoupon:
    """For a payment that failed at the provider's; once a student and day, and within a budget of the day."""

    is_on: bool = True
    amount_fen: Fen = Fen(300)
    daily_fen: Fen = Fen(6_000)
    payer: str = "campus"


@dataclass(frozen=True, slots=True)
class OffPeakCoupon:
    """For an order that is paid in a window of the campus's day, ``start`` inclusive, ``end`` exclusive; once a student
    and day, and within a budget of the day."""

    is_on: bool = False
    start: time = time(9, 45)
    end: time = time(9, 55)
    amount_fen: Fen = Fen(50)
    daily_fen: Fen = Fen(5_000)
    payer: str = "campus"

    def applies(self, local: time) -> bool:
        return self.start <= local < self.end


@dataclass(frozen=True, slots=True)
class CouponRules:
    """What a campus gives coupons for, and how long they can be used."""

    late: LateCoupon = field(default_factory=LateCoupon)
    failure: FailureCoupon = field(default_factory=FailureCoupon)
    off_peak: OffPeakCoupon = field(default_factory=OffPeakCoupon)
    valid_days: int = 30


def lateness(promised_at: datetime, delivered_at: datetime | None, now: datetime) -> timedelta:
    """How much later than promised an order came, or is by now; below zero before."""
    return (delivered_at or now) - promised_at


def discount_fen(coupon_fen: int, service_fen: int) -> Fen:
    """What a coupon takes off: of the service price alone, of which something is left to be paid.

    >>> discount_fen(100, 350), discount_fen(300, 250), discount_fen(100, 1)
    (100, 249, 0)
    """
    return Fen(max(0, min(coupon_fen, service_fen - LEAST_SERVICE_FEN)))


def with_coupon(quote: Quote, coupon: Coupon) -> Quote:
    """The quote with the coupon's line. What is earned by carrying stays: the coupon's payer makes up for it."""
    amount_fen = discount_fen(coupon.amount_fen, quote.service_fen)
    if not amount_fen:
        return quote
    line = QuoteLine("coupon", "优惠券", "Coupon", Fen(-amount_fen), coupon.payer)
    return replace(quote, lines=(*quote.lines, line), discount_fen=amount_fen, coupon_id=coupon.id)


#: Words in which providers and our own driver say that the fault was not the payer's.
_PROVIDERS_FAULT = (
    "no_channel", "unavailable", "overload", "connect", "silence", "no_answer", "interrupted", "system", "http_5",
    "timeout", "reply_lost", "never_written", "bad_answer", "reset",
)  # fmt: skip


def is_providers_fault(reason: str) -> bool:
    """Whether a payment failed at the provider's: not declined, not judged, not merely left unpaid.

    >>> is_providers_fault("http_503"), is_providers_fault("insufficient"), is_providers_fault("expired")
    (True, False, False)
    """
    said = reason.lower()
    return not said.startswith("risk:") and any(word in said for word in _PROVIDERS_FAULT)
