"""An operator gives money of an order back, whole or in part, with a one-time code of their own: once per key."""

from __future__ import annotations

from payments.port import Refund

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.errors import InvalidInput, KeyReused, NotFound, NotPermitted
from ..model.money_views import RefundOrder, RefundRow
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .payment_view import intent_id
from .watch_money import refund_row
from .work_money import payments_refusals


async def refund_order(ctx: Context, who: Principal, order_id: str, request: RefundOrder, key: str = "") -> RefundRow:
    """Give this much back: out of what is held, of which the settlement then divides what is left, or from whoever got
    it since. Raises :class:`CodeNeeded` where it is lacking. The same key again, or without one the same code, is the
    same refund. Nobody decides on their own money."""
    who.require(Permission.MONEY_MANAGE)
    if not request.reason.strip():
        raise InvalidInput("say why", field="reason")
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    if order.student_id == who.account_id:
        raise NotPermitted("somebody else has to give back the money of one's own order")
    intent = await ctx.payments.view(intent_id(order.id))
    if intent is None or intent.hold_state == "none":
        raise InvalidInput("nobody has paid this order", field="amount_fen")
    refund_id = _refund_id(ctx, who, request, key)
    command = Refund(
        id=f"refund:{refund_id}",
        intent_id=intent.intent_id,
        refund_id=refund_id,
        amount_fen=request.amount_fen,
        reason=request.reason.strip(),
        operator=who.account_id,
        code_id=request.code_id or "",
    )
    try:
        with payments_refusals():
            await ctx.payments.submit(command)
    except InvalidInput as refused:
        raise refused if refused.field or not key else KeyReused(field="Idempotency-Key") from None
    await ctx.store.run(who.campus_id, lambda uow: _write_down(uow, order.id, command))
    ctx.announce()
    found = [each for each in await ctx.payments.refunds(order_ref=order.id) if each.refund_id == refund_id]
    if not found:
        raise NotFound("this refund is not known")
    return refund_row(found[0])


def _refund_id(ctx: Context, who: Principal, request: RefundOrder, key: str) -> str:
    if key:
        return ids.hashed_id("rfd", who.account_id, key)
    return ids.derived_id("rfd", request.code_id) if request.code_id else ctx.new_id("rfd")


def _write_down(uow: UnitOfWork, order_id: str, command: Refund) -> None:
    """Once, and at a repetition too: a server may have died after payments had heard of it."""
    if uow.inbox.accept(command.id):
        now = {"amount_fen": command.amount_fen, "refund_id": command.refund_id}
        uow.audit.add(command.operator, "refund_order", order_id, command.reason, {}, now)
