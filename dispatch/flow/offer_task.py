"""A choice is put to its runner as an offer, with the decision behind it: the planner's, or a plan that people made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..assign.state import Assignment
from ..model import ids
from ..model.decision import Decision
from ..model.event import EventKind
from ..model.offer import Offer, OfferStatus
from ..model.order import Order
from ..model.task import Task, TaskMove, next_status
from ..store.planned_routes import Visit
from ..store.unit_of_work import UnitOfWork
from .availability import check_still_ready
from .tell import tell

#: So many of the runners who were no candidates are kept with a decision; of the others it is asked again.
_EXCLUDED_KEPT = 20


def offer_task(
    uow: UnitOfWork,
    order: Order,
    task: Task,
    decision: Decision,
    ttl: timedelta,
    visits: Sequence[Visit],
    *,
    fence: int | None = None,
) -> Offer:
    """Put it to the runner of the decision. ``task`` is as it was seen: any change since refuses the offer, and with
    ``fence`` so does another planner. ``visits``: the order in which the runner is to go to all their stops."""
    assert decision.runner_id is not None, "an offer is made to somebody"
    check_still_ready(uow, decision.runner_id)
    offer = Offer(
        id=uow.new_id(ids.OFFER),
        campus_id=uow.campus_id,
        task_id=task.id,
        order_id=order.id,
        runner_id=decision.runner_id,
        status=OfferStatus.PENDING,
        offered_at=uow.now,
        expires_at=uow.now + ttl,
        decision_id=decision.id,
    )
    offered = replace(
        task,
        status=next_status(task.status, TaskMove.OFFER),
        version=task.version + 1,
        offer_id=offer.id,
        decision_id=decision.id,
        fence=decision.fence,
    )
    uow.tasks.save(offered, fence=fence)
    uow.offers.insert(offer)
    uow.decisions.insert(decision)
    uow.planned_routes.save(offer.runner_id, list(visits))
    uow.jobs.schedule("expire_offer", offer.id, offer.expires_at)
    tell(uow, EventKind.TASK_OFFERED, order, offered, runner_id=offer.runner_id, offer_id=offer.id)
    return offer


def end_offer(uow: UnitOfWork, offer: Offer, status: OfferStatus) -> None:
    """It waits for no answer any more. Raises ``StaleVersion`` where it has ended already."""
    uow.offers.save(replace(offer, status=status), OfferStatus.PENDING)
    uow.jobs.cancel("expire_offer", offer.id)


def kept_candidates(chosen: Assignment) -> list[dict[str, Any]]:
    """What is kept of an assignment to explain it: the chosen, the best others, and those who were none."""
    kept: list[dict[str, Any]] = [
        {
            "runner_id": one.runner_id,
            "cost_s": one.cost_s,
            "terms": dict(one.terms),
            "distance_m": round(one.distance_m),
            "done_at_ms": one.done_at_ms,
            "is_chosen": one.runner_id == chosen.runner_id,
        }
        for one in chosen.candidates
    ]
    kept.extend(
        {"runner_id": runner_id, "excluded": str(rule)}
        for runner_id, rule in list(chosen.excluded.items())[:_EXCLUDED_KEPT]
    )
    return kept
