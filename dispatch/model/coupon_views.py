"""Coupons and assurances over the wire: what may be asked for, what a student and the campus team are answered."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from .assurance import Assurance
from .coupon import CouponRules
from .requests import Request, Short, Version
from .views import QuoteView, View

# --- requests ---------------------------------------------------------------------------------------------------------

CouponFen = Annotated[int, Meta(ge=1, le=10_000)]
BudgetFen = Annotated[int, Meta(ge=0, le=10_000_000)]
CouponPayer = Literal["campus", "platform"]
TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class EditLateCoupon(Request, frozen=True, kw_only=True):
    """A coupon for whoever waits ``after_s`` seconds longer than was promised at the payment."""

    is_on: bool | UnsetType = UNSET
    after_s: Annotated[int, Meta(ge=60, le=86_400)] | UnsetType = UNSET
    amount_fen: CouponFen | UnsetType = UNSET
    payer: CouponPayer | UnsetType = UNSET


class EditFailureCoupon(Request, frozen=True, kw_only=True):
    """A coupon for whoever could not pay through no fault of theirs; no more than ``daily_fen`` a day."""

    is_on: bool | UnsetType = UNSET
    amount_fen: CouponFen | UnsetType = UNSET
    daily_fen: BudgetFen | UnsetType = UNSET
    payer: CouponPayer | UnsetType = UNSET


class EditOffPeakCoupon(Request, frozen=True, kw_only=True):
    """A coupon for whoever pays in this window of the campus's day: ``start`` belongs to it, ``end`` does not."""

    is_on: bool | UnsetType = UNSET
    start: TimeOfDay | UnsetType = UNSET
    end: TimeOfDay | UnsetType = UNSET
    amount_fen: CouponFen | UnsetType = UNSET
    daily_fen: BudgetFen | UnsetType = UNSET
    payer: CouponPayer | UnsetType = UNSET


class SetCouponRules(Request, frozen=True, kw_only=True):
    """Change what the campus gives coupons for; those that were given stay as they are, fields left out as well.
    ``version`` is the campus's."""

    version: Version
    late: EditLateCoupon | UnsetType = UNSET
    failure: EditFailureCoupon | UnsetType = UNSET
    off_peak: EditOffPeakCoupon | UnsetType = UNSET
    valid_days: Annotated[int, Meta(ge=1, le=365)] | UnsetType = UNSET


class AssuranceRequest(Request, frozen=True, kw_only=True):
    """A badge beside the price, with the document that it stands for; ``place_id``: of the merchant there alone."""

    kind: Literal["qualification", "food_insurance", "insurance"]
    title_zh: Short
    title_en: Short
    #: Elsewhere by https, or a path of this server; what browsers take for another server's is none.
    url: Annotated[str, Meta(pattern=r"^(https://|/[0-9A-Za-z_.~-])[\x21-\x7e]+$", max_length=500)]
    place_id: Annotated[str, Meta(min_length=1, max_length=80)] | None = None


class SetAssurances(Request, frozen=True, kw_only=True):
    """All of the campus's badges, in the order in which they are shown. ``version`` is the campus's."""

    version: Version
    assurances: Annotated[list[AssuranceRequest], Meta(max_length=12)]


# --- answers ----------------------------------------------------------------------------------------------------------


class CouponView(View, frozen=True, kw_only=True):
    """``reason``: late | payment_failed | off_peak; ``state``: available | reserved | used | expired; ``granted_for``:
    the order that it was given for; ``order_id``: the order that has it."""

    id: str
    reason: str
    amount_fen: int
    payer: str
    state: str
    granted_for: str
    granted_at_ms: int
    valid_until_ms: int
    order_id: str | None


class CouponPage(View, frozen=True, kw_only=True):
    """Newest first; ``next_before`` pages back."""

    coupons: list[CouponView]
    next_before: str | None


class QuoteToStudent(QuoteView, frozen=True, kw_only=True):
    """A quote, and what its student could use for it: the coupon that ends first is the first."""

    coupons: list[CouponView]


class CouponSumView(View, frozen=True, kw_only=True):
    """Coupons of one reason: how many were given, are with students, wait with an order, were used, are over."""

    reason: str
    granted: int
    granted_fen: int
    available_fen: int
    reserved_fen: int
    used: int
    used_fen: int
    expired_fen: int


class CampusCoupons(View, frozen=True, kw_only=True):
    """The campus's version and rules, sums of today (since its midnight) and of all, and the newest coupons."""

    version: int
    rules: CouponRules
    today: list[CouponSumView]
    total: list[CouponSumView]
    coupons: list[CouponView]
    next_before: str | None


class CouponRulesView(View, frozen=True, kw_only=True):
    """What the campus gives coupons for. ``version`` is the campus's."""

    version: int
    rules: CouponRules


class AssurancesView(View, frozen=True, kw_only=True):
    """The campus's badges. ``version`` is the campus's."""

    version: int
    assurances: list[Assurance]
