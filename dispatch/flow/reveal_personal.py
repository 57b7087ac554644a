"""Staff sees personal data only when it must: with a reason that is kept."""

from __future__ import annotations

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.operator_views import RevealView
from ..model.requests import Reveal
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .order_view import stop_view


async def reveal(ctx: Context, who: Principal, order_id: str, request: Reveal) -> RevealView:
    """The student's name, phone and the stops' details; the audit keeps who looked, at what and why."""
    who.require(Permission.PERSONAL_REVEAL)

    def read(uow: UnitOfWork) -> RevealView:
        order = uow.orders.get(order_id)
        student = uow.accounts.get(order.student_id)
        uow.audit.add(who.account_id, "personal.reveal", order.id, request.reason, None, None)
        return RevealView(
            name=student.name, phone=student.phone, stops=[stop_view(stop, is_personal=True) for stop in order.stops]
        )

    return await ctx.store.run(who.campus_id, read)
