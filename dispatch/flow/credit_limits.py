"""What a runner's credit lets them have: whom the planner leaves out, how many at once, how dear, how early."""

from __future__ import annotations

from datetime import timedelta

from ..model.account import Membership
from ..model.campus import CampusSettings
from ..model.credit import CreditLimits, acceptance_share, limits_of
from ..model.errors import NotAvailable
from ..model.order import Order
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork


def credit_limits(member: Membership, settings: CampusSettings) -> CreditLimits:
    """What the runner may have at this campus now."""
    return limits_of(settings.credit, member.credit, settings.max_tasks_per_runner)


def check_credit(
    uow: UnitOfWork, member: Membership, settings: CampusSettings, order: Order, task: Task, *, is_grab: bool
) -> None:
    """Raises :class:`NotAvailable` where the runner's credit does not reach for this order now."""
    limits = credit_limits(member, settings)
    level = str(limits.level)
    if not limits.may_take:
        raise NotAvailable(
            "your credit is too low for new orders; appeal, or talk to the campus team", reason="credit_too_low",
            level=level,
        )  # fmt: skip
    if len(uow.tasks.held_by(member.account_id)) >= limits.max_tasks:
        raise NotAvailable(
            "you carry as many as one may", reason="at_capacity", limit=limits.max_tasks, level=level
        )  # fmt: skip
    if limits.forbids(order.quote.total_fen):
        raise NotAvailable(
            "this order is worth more than your credit allows", reason="credit_value", limit=limits.most_value_fen,
            level=level,
        )  # fmt: skip
    if is_grab and limits.hall_delay_s and uow.now < task.opened_at + timedelta(seconds=limits.hall_delay_s):
        raise NotAvailable(
            "others may take it first; it is yours to take in a moment", reason="credit_wait",
            limit=limits.hall_delay_s, level=level,
        )  # fmt: skip


def acceptance_of(uow: UnitOfWork) -> dict[str, float]:
    """The share of offers that each runner on duty takes, from their newest answers. It moves slowly: ask rarely."""
    return {runner_id: acceptance_share(taken, asked) for runner_id, (taken, asked) in uow.offers.answers().items()}
