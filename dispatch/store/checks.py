"""What must always be true of the books, asked of the tables themselves; each check names the rows that break it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from ..model.offer import OfferStatus
from ..model.order import LIVE, TERMINAL, OrderStatus
from ..model.task import HELD, TAKEABLE
from .scope import Scope
from .tables import credit_entries, memberships, offers, orders, tasks

_LIMIT = 100


class Checks:
    def __init__(self, scope: Scope) -> None:
        self._sql = scope.connection

    def violations(self) -> dict[str, list[str]]:
        """The rules that are broken, each with up to 100 ids of orders, tasks or offers; empty: all is well."""
        found = {
            name: [str(row[0]) for row in self._sql.execute(query.limit(_LIMIT))] for name, query in _RULES.items()
        }
        return {name: subjects for name, subjects in found.items() if subjects}

    def orders_by_status(self) -> dict[str, int]:
        query = select(orders.c.status, func.count()).group_by(orders.c.status)
        return {str(status): int(count) for status, count in self._sql.execute(query)}


def _orders_with_tasks(*wrong: ColumnElement[bool]) -> Select[Any]:
    joined = select(orders.c.id).join(tasks, tasks.c.order_id == orders.c.id, isouter=True)
    return joined.where(*wrong).order_by(orders.c.id)


_held = list(HELD)
_live = list(LIVE)
_RULES: dict[str, Select[Any]] = {
    "ended_order_unbalanced": _orders_with_tasks(
        orders.c.status.in_(list(TERMINAL)),
        orders.c.held_fen != orders.c.captured_fen + orders.c.released_fen + orders.c.refunded_fen,
    ),
    "live_order_without_its_runner": _orders_with_tasks(
        orders.c.status.in_(_live),
        or_(
            tasks.c.id.is_(None),
            tasks.c.status.not_in(_held),
            tasks.c.runner_id.is_(None),
            orders.c.runner_id.is_(None),
            tasks.c.runner_id != orders.c.runner_id,
        ),
    ),
    "open_order_without_open_task": _orders_with_tasks(
        orders.c.status == OrderStatus.OPEN, or_(tasks.c.id.is_(None), tasks.c.status.not_in(list(TAKEABLE)))
    ),
    "task_carried_for_no_live_order": _orders_with_tasks(tasks.c.status.in_(_held), orders.c.status.not_in(_live)),
    "task_of_another_campus": _orders_with_tasks(tasks.c.campus_id != orders.c.campus_id),
    "offer_pending_for_taken_task": select(offers.c.id)
    .join(tasks, tasks.c.id == offers.c.task_id)
    .where(and_(offers.c.status == OfferStatus.PENDING, tasks.c.status.not_in(list(TAKEABLE)))),
    "credit_is_not_the_sum_of_its_lines": select(memberships.c.account_id)
    .join(
        credit_entries,
        and_(
            credit_entries.c.campus_id == memberships.c.campus_id,
            credit_entries.c.account_id == memberships.c.account_id,
        ),
        isouter=True,
    )
    .where(memberships.c.credit_lines > 0)
    .group_by(memberships.c.account_id, memberships.c.campus_id, memberships.c.credit, memberships.c.credit_lines)
    .having(
        or_(
            memberships.c.credit != func.coalesce(func.sum(credit_entries.c.delta), 0),
            memberships.c.credit_lines != func.count(credit_entries.c.id),
        )
    ),
    "task_offered_twice_to_a_runner": select(offers.c.task_id)
    .group_by(offers.c.task_id, offers.c.runner_id)
    .having(func.count() > 1),
}
