"""Coupons in SQL: each change is conditional on the state that it was made from, so that none is used twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, case, func, literal, select, update

from ..model.coupon import GIVEN_BACK_FOR, Coupon, CouponReason, CouponState
from .scope import CampusScope, by_id
from .tables import coupons as t

#: So long after its last day a coupon that nobody has is forgotten, and one that was used; what it cost is in the
#: ledger for good.
COUPON_KEPT, USED_COUPON_KEPT = timedelta(days=90), timedelta(days=400)
_NAMES = tuple(Coupon.__dataclass_fields__)
_BY_ID = by_id(t)
_S = CouponState


class CouponSum(NamedTuple):
    """How many coupons of one reason are in one state, and for how much."""

    reason: CouponReason
    state: CouponState
    coupons: int
    amount_fen: int


class Coupons:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def grant(self, coupon: Coupon) -> bool:
        """False, with nothing changed, where the student has had one for this incident."""
        self._scope.check(coupon.campus_id)
        values = {name: getattr(coupon, name) for name in _NAMES}
        return self._scope.insert_new(t, values, ("campus_id", "student_id", "reason", "incident"))

    def find(self, coupon_id: str) -> Coupon | None:
        row = self._scope.find(_BY_ID, coupon_id)
        return None if row is None else _coupon(row)

    def usable(self, student_id: str, limit: int = 20) -> list[Coupon]:
        """What the student can use now: the one that ends first is the first."""
        query = (
            select(t)
            .where(
                self._scope.mine(t), t.c.student_id == student_id, t.c.state == _S.AVAILABLE,
                t.c.valid_until > self._scope.now,
            )
            .order_by(t.c.valid_until, t.c.id)
            .limit(limit)
        )  # fmt: skip
        return [_coupon(row) for row in self._sql.execute(query)]

    def page(self, student_id: str | None = None, limit: int = 50, before: str | None = None) -> list[Coupon]:
        """Newest first; ``before`` is the id of the last of the page before."""
        query = select(t).where(self._scope.mine(t)).order_by(t.c.id.desc()).limit(limit)
        if student_id is not None:
            query = query.where(t.c.student_id == student_id)
        if before is not None:
            query = query.where(t.c.id < before)
        return [_coupon(row) for row in self._sql.execute(query)]

    def granted_fen(self, reason: CouponReason, since: datetime) -> int:
        """What was given away for this since then."""
        mine = self._scope.mine(t), t.c.reason == reason, t.c.granted_at >= since
        return int(self._sql.scalar(select(func.coalesce(func.sum(t.c.amount_fen), 0)).where(*mine)) or 0)

    def sums(self, since: datetime | None = None) -> list[CouponSum]:
        """Counted by reason and state; ``since``: only those that were granted from then on."""
        query = select(t.c.reason, t.c.state, func.count(), func.coalesce(func.sum(t.c.amount_fen), 0)).where(
            self._scope.mine(t)
        )
        if since is not None:
            query = query.where(t.c.granted_at >= since)
        rows = self._sql.execute(query.group_by(t.c.reason, t.c.state).order_by(t.c.reason, t.c.state))
        return [CouponSum(reason, state, int(count), int(fen)) for reason, state, count, fen in rows]

    # --- its life

    def reserve(self, coupon_id: str, student_id: str, order_id: str) -> bool:
        """Keep it for an order that is being placed; False where it is not the student's, or not usable any more."""
        usable = (
            self._scope.mine(t), t.c.id == coupon_id, t.c.student_id == student_id, t.c.state == _S.AVAILABLE,
            t.c.valid_until > self._scope.now,
        )  # fmt: skip
        return self._change(and_(*usable), state=_S.RESERVED, order_id=order_id)

    def use(self, order_id: str) -> bool:
        """The order that has it is paid."""
        return self._change(self._of(order_id, _S.RESERVED), state=_S.USED)

    def give_back(self, order_id: str) -> bool:
        """The order that has it will not be; what is given back can still be used for a while."""
        least = self._scope.now + GIVEN_BACK_FOR
        until = case((t.c.valid_until > least, t.c.valid_until), else_=literal(least, t.c.valid_until.type))
        had = self._of(order_id, _S.RESERVED, _S.USED)
        return self._change(had, state=_S.AVAILABLE, order_id=None, valid_until=until)

    def expire(self, coupon_id: str) -> bool:
        """Its time is over and nobody has it."""
        is_over = t.c.state == _S.AVAILABLE, t.c.valid_until <= self._scope.now
        return self._change(and_(self._scope.mine(t), t.c.id == coupon_id, *is_over), state=_S.EXPIRED)

    def withdraw(self, granted_for: str, reason: CouponReason) -> bool:
        """What it was given for did not last: nobody can use it any more, unless somebody has."""
        given = t.c.granted_for == granted_for, t.c.reason == reason, t.c.state == _S.AVAILABLE
        return self._change(and_(self._scope.mine(t), *given), state=_S.EXPIRED)

    def of_order(self, order_id: str) -> Coupon | None:
        """The coupon that the order has."""
        row = self._sql.execute(select(t).where(self._scope.mine(t), t.c.order_id == order_id)).first()
        return None if row is None else _coupon(row)

    def _of(self, order_id: str, *states: CouponState) -> Any:
        return and_(self._scope.mine(t), t.c.order_id == order_id, t.c.state.in_(states))

    def _change(self, where: Any, **values: Any) -> bool:
        return self._sql.execute(update(t).where(where).values(**values)).rowcount > 0


def _coupon(row: Row[Any]) -> Coupon:
    stored = row._mapping
    return Coupon(**{name: stored[name] for name in _NAMES})
