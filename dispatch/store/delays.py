"""Delays in SQL: what the two sides of an order were told of when it comes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import select

from ..model.delay import Delay
from ..model.order import Order
from .scope import CampusScope, upsert
from .tables import delays as t


@cache
def _tell(dialect: str) -> Any:
    """Insert what was told, or replace what was told before."""
    statement = upsert(t, dialect)
    fresh = {name: statement.excluded[name] for name in ("expected_at", "told_at")}
    return statement.on_conflict_do_update(
        index_elements=["campus_id", "order_id"], set_={**fresh, "times": t.c.times + 1}
    )


class Delays:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def of_orders(self, order_ids: Collection[str]) -> dict[str, Delay]:
        """Those of the orders of which a delay was told."""
        if not order_ids:
            return {}
        query = select(t).where(self._scope.mine(t), t.c.order_id.in_(list(order_ids)))
        return {row.order_id: Delay(**row._mapping) for row in self._sql.execute(query)}

    def tell(self, order: Order, expected_at: datetime) -> None:
        """Both sides are being told that it is expected then."""
        self._scope.check(order.campus_id)
        now = self._scope.now
        values = {
            "campus_id": order.campus_id, "order_id": order.id, "expected_at": expected_at,
            "first_told_at": now, "told_at": now, "times": 1,
        }  # fmt: skip
        self._sql.execute(_tell(self._scope.dialect), values)
