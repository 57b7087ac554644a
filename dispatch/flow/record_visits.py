"""Record visits: what a runner's device says of a stop that they still have before them, written once and told once."""

from __future__ import annotations

from collections.abc import Sequence

from geo.stop_rings import Approach, ApproachKind

from ..model.event import EventKind
from ..model.geofence import instant
from ..model.order import Order
from ..model.stop import StopRole
from ..model.task import Task, TaskStatus
from ..model.visit import MAX_TIMES_TOLD, is_ahead
from ..store.unit_of_work import UnitOfWork
from .tell import tell

#: In these the runner has said already that they are there.
_CONFIRMED = frozenset({TaskStatus.AT_PICKUP, TaskStatus.AT_DROPOFF})


def target_id(order_id: str, role: StopRole) -> str:
    """The name of a stop among those that one runner has before them."""
    return f"{order_id}/{role}"


def record_visits(uow: UnitOfWork, approaches: Sequence[Approach]) -> int:
    """Write these in their order; how many changed the books. Whoever is not the order's runner any more, or is past
    that stop, changes nothing, and neither does what was written before."""
    changed = 0
    for approach in approaches:
        order_id, _, role_name = approach.target_id.partition("/")
        role = StopRole(role_name)
        order, task = uow.orders.find(order_id), uow.tasks.by_order(order_id)
        if order is None or task is None or not is_ahead(order, task, role, approach.runner_id):
            continue
        changed += _record(uow, order, task, role, approach)
    return changed


def _record(uow: UnitOfWork, order: Order, task: Task, role: StopRole, approach: Approach) -> bool:
    visits, runner_id, since = uow.stop_visits, approach.runner_id, instant(approach.since_ms)
    match approach.kind:
        case ApproachKind.NEAR:
            is_new = visits.near(order, role, runner_id, since)
            if is_new and task.status is TaskStatus.CARRYING:
                _tell(uow, EventKind.RUNNER_ARRIVING, order, task, role, approach)
            return is_new
        case ApproachKind.THERE:
            visit = visits.arrive(order, role, runner_id, since)
            if visit is not None and task.status not in _CONFIRMED and visit.times <= MAX_TIMES_TOLD:
                _tell(uow, EventKind.RUNNER_AT_STOP, order, task, role, approach)
            return visit is not None
        case ApproachKind.LEFT:
            return visits.leave(order, role, runner_id, instant(approach.at_ms)) is not None


def _tell(uow: UnitOfWork, kind: EventKind, order: Order, task: Task, role: StopRole, approach: Approach) -> None:
    tell(uow, kind, order, task, stop_role=str(role), at_ms=approach.since_ms)
