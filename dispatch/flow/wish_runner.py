"""A student wishes for a runner who carried for them before: that one is asked first."""

from __future__ import annotations

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import RunnerStatus, masked_name
from ..model.errors import InvalidInput
from ..model.order import Order
from ..model.pin import Pin, PinKind
from ..model.shift_views import KnownRunner, KnownRunners
from ..store.unit_of_work import UnitOfWork
from .availability import rules_of_runner
from .context import Context
from .order_view import ms

#: Runners that a student may choose from.
KNOWN_MOST = 10


async def known_runners(ctx: Context, who: Principal) -> KnownRunners:
    """Runners who carried for the student before, the latest first."""
    who.require(Permission.ORDERS_PLACE)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings

    def read(uow: UnitOfWork) -> list[KnownRunner]:
        before = uow.pins.carried_before(who.account_id, KNOWN_MOST)
        accounts = uow.accounts.many(runner_id for runner_id, _ in before)
        stars = uow.statistics.stars({runner_id for runner_id, _ in before}) if before else {}
        found = []
        for runner_id, last_at in before:
            account, member = accounts.get(runner_id), None
            if account is not None and not account.is_blocked:
                member = uow.memberships.get(runner_id)
            if account is None or member is None or member.runner_status is not RunnerStatus.APPROVED:
                continue
            found.append(
                KnownRunner(
                    id=runner_id,
                    name=masked_name(account.name),
                    vehicle=member.vehicle,
                    stars=stars.get(runner_id),
                    last_at_ms=ms(last_at),
                    is_ready=member.is_on_duty and rules_of_runner(uow, settings, member).excluded is None,
                )
            )
        return found

    return KnownRunners(runners=await ctx.store.read(who.campus_id, read))


def wish_for(uow: UnitOfWork, order: Order, runner_id: str) -> None:
    """Write the student's wish down, with the order; raises :class:`InvalidInput` for somebody they do not know."""
    known = {known_id for known_id, _ in uow.pins.carried_before(order.student_id, KNOWN_MOST)}
    if runner_id not in known or runner_id == order.student_id:
        raise InvalidInput("this runner has not carried for you lately", field="wish_runner_id")
    uow.pins.save(Pin(order.campus_id, order.id, PinKind.WISH, runner_id, uow.now, order.student_id))
