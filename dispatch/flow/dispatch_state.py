"""How an order that waits for a runner is doing, as the campus team sees it, and what its student is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..model.campus import CampusSettings
from ..model.escalation import Step
from ..model.order import Order
from ..model.task import TAKEABLE, Task, TaskStatus
from ..model.views import DispatchView, OrderView
from ..store.unit_of_work import UnitOfWork
from .availability import TaskRules, rules_of_waiting
from .order_view import Viewer, ms


def dispatch_states(
    uow: UnitOfWork, settings: CampusSettings, orders: Iterable[Order], tasks: Mapping[str, Task]
) -> dict[str, DispatchView]:
    """By order id, of those that nobody has yet."""
    waiting = [(tasks[one.id], one) for one in orders if one.id in tasks and tasks[one.id].status in TAKEABLE]
    rules = rules_of_waiting(uow, settings, waiting)
    return {order.id: _view(task, rules[task.id], settings) for task, order in waiting}


def with_dispatch(view: OrderView, state: DispatchView | None, viewer: Viewer) -> OrderView:
    """The view with what this viewer may know: operators everything, the student whether they are asked to choose."""
    if state is None or viewer is Viewer.RUNNER:
        return view
    if viewer is Viewer.OPERATOR:
        return msgspec.structs.replace(view, dispatch=state)
    return msgspec.structs.replace(view, is_choice=state.step == Step.CHOICE)


def _view(task: Task, rules: TaskRules, settings: CampusSettings) -> DispatchView:
    if rules.number and rules.number == len(settings.ladder.rungs):
        state = "failed"
    elif task.status is TaskStatus.OFFERED:
        state = "offered"
    else:
        state = "escalated" if rules.number else "waiting"
    return DispatchView(
        state=state,
        step=str(rules.rung.step),
        since_ms=ms(rules.since),
        refusals=rules.refusals,
        mode=str(rules.mode),
        zone_id=rules.zone,
        pinned_runner_id=rules.pinned,
        pinned_until_ms=None if rules.pinned_until is None else ms(rules.pinned_until),
    )
