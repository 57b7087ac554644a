"""The order in which a runner visits what they carry: as it was planned when they were asked, else as it came up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..model.order import Order
from ..model.stop import Stop, StopRole
from ..model.task import Task, TaskStatus
from ..store.planned_routes import Visit


@dataclass(frozen=True, slots=True)
class StopLeft:
    """A stop that is still to be visited."""

    task: Task
    order: Order
    stop: Stop

    @property
    def visit(self) -> Visit:
        return self.task.id, str(self.stop.role)


def stops_left(task: Task, order: Order) -> list[StopLeft]:
    """Where the runner still has to go for this order, in order. Whoever is at the counter has been sent there, and
    counts as past it."""
    is_past = task.status in (TaskStatus.AT_PICKUP, TaskStatus.CARRYING, TaskStatus.AT_DROPOFF)
    return [StopLeft(task, order, stop) for stop in order.stops if not (is_past and stop.role is StopRole.PICKUP)]


def in_planned_order(hand: Sequence[tuple[Task, Order]], planned: Sequence[Visit]) -> list[StopLeft]:
    """All stops left; those that no plan knows come last, and nothing is handed over before it is picked up."""
    left = {one.visit: one for task, order in hand for one in stops_left(task, order)}
    found: list[StopLeft] = []
    for visit in (*planned, *list(left)):
        task_id, role = visit
        if role == StopRole.DROPOFF and (task_id, str(StopRole.PICKUP)) in left:
            continue
        if (stop := left.pop(visit, None)) is not None:
            found.append(stop)
    return found


def next_first(hand: Sequence[tuple[Task, Order]], planned: Sequence[Visit]) -> list[Order]:
    """The orders in hand: that of the counter or door at which the runner stands, then in the order in which their
    stops come; those without stops last."""
    here = [order for task, order in hand if task.status in (TaskStatus.AT_PICKUP, TaskStatus.AT_DROPOFF)]
    in_order = [*here, *(left.order for left in in_planned_order(hand, planned)), *(order for _, order in hand)]
    return list({order.id: order for order in in_order}.values())
