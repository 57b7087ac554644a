"""Coupons as their students see them, and as the campus team counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.coupon import Coupon, CouponReason, CouponState
from ..model.coupon_views import CampusCoupons, CouponPage, CouponSumView, CouponView
from ..store.coupons import CouponSum
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .instants import ms
from .move_credit import day_start

_S = CouponState


def coupon_view(coupon: Coupon) -> CouponView:
    return CouponView(
        id=coupon.id, reason=str(coupon.reason), amount_fen=coupon.amount_fen, payer=coupon.payer,
        state=str(coupon.state), granted_for=coupon.granted_for, granted_at_ms=ms(coupon.granted_at),
        valid_until_ms=ms(coupon.valid_until), order_id=coupon.order_id,
    )  # fmt: skip


async def own_coupons(ctx: Context, who: Principal, *, limit: int = 20, before: str | None = None) -> CouponPage:
    """One's own coupons, also those that are used or over."""
    who.require(Permission.ORDERS_PLACE)
    found = await ctx.store.read(who.campus_id, lambda uow: uow.coupons.page(who.account_id, limit, before))
    return CouponPage(
        coupons=[coupon_view(each) for each in found], next_before=found[-1].id if len(found) == limit else None
    )


async def campus_coupons(ctx: Context, who: Principal, *, limit: int = 20, before: str | None = None) -> CampusCoupons:
    """What the campus gives, gave and paid."""
    who.require(Permission.MONEY_READ)
    campus = await ctx.store.read_global(lambda unit: unit.campuses.get(who.campus_id))
    settings = campus.settings

    def read(uow: UnitOfWork) -> CampusCoupons:
        found = uow.coupons.page(None, limit, before)
        return CampusCoupons(
            version=campus.version,
            rules=settings.coupons,
            today=_sum_views(uow.coupons.sums(day_start(settings, uow.now))),
            total=_sum_views(uow.coupons.sums()),
            coupons=[coupon_view(each) for each in found],
            next_before=found[-1].id if len(found) == limit else None,
        )

    return await ctx.store.read(who.campus_id, read)


def _sum_views(sums: Iterable[CouponSum]) -> list[CouponSumView]:
    counts: Counter[tuple[CouponReason, CouponState]] = Counter()
    fen: Counter[tuple[CouponReason, CouponState]] = Counter()
    for each in sums:
        counts[each.reason, each.state] += each.coupons
        fen[each.reason, each.state] += each.amount_fen
    return [
        CouponSumView(
            reason=str(reason),
            granted=sum(counts[reason, state] for state in _S),
            granted_fen=sum(fen[reason, state] for state in _S),
            available_fen=fen[reason, _S.AVAILABLE],
            reserved_fen=fen[reason, _S.RESERVED],
            used=counts[reason, _S.USED],
            used_fen=fen[reason, _S.USED],
            expired_fen=fen[reason, _S.EXPIRED],
        )
        for reason in CouponReason
    ]
