"""Orders in SQL: every change is conditional on the version that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, Select, and_, bindparam, case, distinct, func, insert, or_, select

from ..model.errors import NotFound
from ..model.ids import ORDER, is_id
from ..model.order import Order, OrderStatus
from ..model.stop import Stop
from .scope import CampusScope, by_id, next_version
from .tables import accounts, memberships
from .tables import orders as t

_S = OrderStatus
#: What the console and the planner look at.
_RUNNING = (_S.OPEN, _S.ASSIGNED, _S.CARRYING)
#: A delivered order stays on the console so long.
_SHOWN_AFTER_DELIVERY = timedelta(hours=1)
#: Columns that hold an attribute of the same name as it is.
_PLAIN = (
    "id", "campus_id", "student_id", "type_code", "status", "version", "quote", "description", "weight_g", "volume_ml",
    "placed_at", "promised_at", "merchant_id", "runner_id", "pickup_after", "paid_at", "assigned_at", "picked_up_at",
    "delivered_at", "confirmed_at", "cancelled_at", "cancel_reason", "goods_actual_fen", "held_fen", "captured_fen",
    "released_fen", "refunded_fen", "pin", "pin_tries", "rating", "rating_text",
    "goods_runner_id",
)  # fmt: skip
_FIXED = frozenset({"id", "campus_id", "code", "student_id", "placed_at"})
_INSERT, _BY_ID, _SAVE = insert(t), by_id(t), next_version(t)
#: Whose an order is, of many orders at once, without opening anything of what it says.
_PARTIES = select(t.c.id, t.c.student_id, t.c.runner_id, t.c.status).where(
    t.c.campus_id == bindparam("_campus_id"), t.c.id.in_(bindparam("_ids", expanding=True))
)
_decode_personal = msgspec.json.Decoder(list[tuple[str, str, str]]).decode


def code_of(order_id: str) -> str:
    """What people call an order: the last six characters of its id."""
    return order_id[-6:]


class Parties(NamedTuple):
    """Whose an order is, and whether anything still happens to it."""

    id: str
    student_id: str
    runner_id: str | None
    status: OrderStatus


class Orders:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, order: Order) -> None:
        self._scope.check(order.campus_id)
        self._sql.execute(_INSERT, self._values(order))

    def get(self, order_id: str) -> Order:
        """The order; raises :class:`NotFound`, also for another campus's."""
        order = self.find(order_id)
        if order is None:
            raise NotFound("there is no such order here")
        return order

    def find(self, order_id: str) -> Order | None:
        row = self._scope.find(_BY_ID, order_id)
        return None if row is None else self._order(row)

    def many(self, order_ids: Iterable[str]) -> dict[str, Order]:
        """Those of the orders that this campus has."""
        return {order.id: order for order in self._all(self._mine().where(t.c.id.in_(list(order_ids))))}

    def renewed(self, order_ids: Iterable[str], known: Mapping[str, Order]) -> dict[str, Order]:
        """As :meth:`many`, but of those that are known in their present version nothing is read and opened again."""
        wanted = list(order_ids)
        versions = select(t.c.id, t.c.version).where(self._scope.mine(t), t.c.id.in_(wanted))
        present = {row.id: row.version for row in self._sql.execute(versions)}
        found = {
            order_id: known[order_id]
            for order_id, version in present.items()
            if order_id in known and known[order_id].version == version
        }
        return found | self.many(present.keys() - found.keys()) if len(found) < len(present) else found

    def parties(self, order_ids: Iterable[str]) -> dict[str, Parties]:
        """Whose those of the orders are that this campus has."""
        rows = self._sql.execute(_PARTIES, {"_campus_id": self._scope.campus_id, "_ids": list(order_ids)})
        return {parties.id: parties for parties in map(Parties._make, rows)}

    def save(self, order: Order) -> None:
        """Store a change. ``order.version`` is the new version; raises :class:`StaleVersion` unless the stored one is
        exactly one less, and :class:`NotFound`."""
        self._scope.check(order.campus_id)
        values = {name: value for name, value in self._values(order).items() if name not in _FIXED}
        if not self._scope.save_next(_SAVE, order.id, order.version, values):
            raise self._scope.missed(t, order.id, "order")

    def page(
        self,
        *,
        student_id: str | None = None,
        runner_id: str | None = None,
        statuses: Iterable[OrderStatus] | None = None,
        q: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[Order]:
        """Newest first; ``before`` is the id of the last order of the page before.

        ``q`` finds by id, by code, by the student's whole phone number, and by words of the description.
        """
        query = self._mine().order_by(t.c.id.desc()).limit(limit)
        if student_id is not None:
            query = query.where(t.c.student_id == student_id)
        if runner_id is not None:
            query = query.where(t.c.runner_id == runner_id)
        if statuses is not None:
            query = query.where(t.c.status.in_(list(statuses)))
        if before is not None:
            query = query.where(t.c.id < before)
        if q is not None and q.strip():
            query = self._searched(query, q.strip())
        return self._all(query)

    def active(self) -> list[Order]:
        """Open, assigned and carried orders, and those delivered within the last hour; oldest first."""
        recent = and_(t.c.status == _S.DELIVERED, t.c.delivered_at > self._scope.now - _SHOWN_AFTER_DELIVERY)
        return self._all(self._mine().where(or_(t.c.status.in_(_RUNNING), recent)).order_by(t.c.id))

    def unsettled_of_runner(self, runner_id: str) -> list[Order]:
        """Delivered or confirmed, not yet paid out: carried by this runner, or with goods that this runner bought;
        oldest first."""
        is_theirs = or_(t.c.runner_id == runner_id, t.c.goods_runner_id == runner_id)
        query = self._mine().where(is_theirs, t.c.status.in_((_S.DELIVERED, _S.CONFIRMED)))
        return self._all(query.order_by(t.c.id))

    def kpis(self, day_start: datetime, now: datetime) -> dict[str, int]:
        """Today so far, by the campus's day that began at ``day_start``; ``done_yesterday`` up to the same hour.

        Keys: active unassigned late done_today done_yesterday turnover_today_fen students_today placed_today.
        """
        day = timedelta(days=1)
        is_running = t.c.status.in_(_RUNNING)
        present = select(
            func.count(),
            _count_if(t.c.status == _S.OPEN),
            _count_if(t.c.promised_at < now),
        ).where(self._scope.mine(t), is_running)
        delivered = select(
            _count_if(t.c.delivered_at >= day_start),
            _count_if(t.c.delivered_at < now - day),
        ).where(self._scope.mine(t), t.c.delivered_at >= day_start - day, t.c.delivered_at <= now)
        placed = select(
            func.coalesce(func.sum(case((t.c.paid_at.is_not(None), t.c.held_fen - t.c.released_fen), else_=0)), 0),
            func.count(distinct(t.c.student_id)),
            func.count(),
        ).where(self._scope.mine(t), t.c.placed_at >= day_start, t.c.placed_at <= now)
        active, unassigned, late = self._sql.execute(present).one()
        done_today, done_yesterday = self._sql.execute(delivered).one()
        turnover, students, placed_today = self._sql.execute(placed).one()
        return {
            "active": int(active),
            "unassigned": int(unassigned),
            "late": int(late),
            "done_today": int(done_today),
            "done_yesterday": int(done_yesterday),
            "turnover_today_fen": int(turnover),
            "students_today": int(students),
            "placed_today": int(placed_today),
        }

    def _searched(self, query: Select[Any], q: str) -> Select[Any]:
        if is_id(ORDER, q):
            return query.where(t.c.id == q)
        words = "%" + q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found = [t.c.description.ilike(words, escape="\\"), t.c.code == q.upper()]
        if q.lstrip("+").isdecimal():
            here = select(accounts.c.id).join(memberships, memberships.c.account_id == accounts.c.id)
            is_theirs = accounts.c.phone_hash == self._scope.vault.lookup_hash(q)
            found.append(t.c.student_id.in_(here.where(self._scope.mine(memberships), is_theirs)))
        return query.where(or_(*found))

    def _mine(self) -> Select[Any]:
        return select(t).where(self._scope.mine(t))

    def _all(self, query: Select[Any]) -> list[Order]:
        return [self._order(row) for row in self._sql.execute(query)]

    def _values(self, order: Order) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(order, name) for name in _PLAIN}
        sealed = seal_stops(self._scope, order)
        return values | {
            "code": code_of(order.id),
            "service_fen": order.quote.service_fen,
            "goods_cap_fen": order.quote.goods_cap_fen,
            "stops": tuple(replace(stop, detail="", contact_name="", contact_phone="") for stop in order.stops),
            "stops_sealed": sealed,
            "key_id": None if sealed is None else self._scope.vault.current,
        }

    def _order(self, row: Row[Any]) -> Order:
        stored = row._mapping
        values = {name: stored[name] for name in _PLAIN}
        stops: tuple[Stop, ...] = stored["stops"]
        if stored["stops_sealed"] is not None:
            personal = _decode_personal(self._scope.vault.open(stored["stops_sealed"], stored["id"]))
            stops = tuple(
                replace(stop, detail=detail, contact_name=name, contact_phone=phone)
                for stop, (detail, name, phone) in zip(stops, personal, strict=True)
            )
        return Order(**values, stops=stops)


def seal_stops(scope: CampusScope, order: Order) -> bytes | None:
    """The personal part of the stops; None where there is nothing personal."""
    texts = [(stop.detail, stop.contact_name, stop.contact_phone) for stop in order.stops]
    if not any(any(group) for group in texts):
        return None
    return scope.vault.seal(msgspec.json.encode(texts).decode(), order.id)


def _count_if(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
