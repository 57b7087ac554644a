"""An operator gives money of an order back, whole or in part, with a one-time code of their own."""

from __future__ import annotations

from payments.port import Refund

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.errors import InvalidInput, NotFound
from ..model.money_views import RefundOrder, RefundRow
from .context import Context
from .payment_view import intent_id
from .watch_money import refund_row
from .work_money import payments_refusals


async def refund_order(ctx: Context, who: Principal, order_id: str, request: RefundOrder) -> RefundRow:
    """Give this much back: out of what is held, or from whoever got it since. Raises :class:`CodeNeeded` where it is
    lacking. The same code again is the same refund."""
    who.require(Permission.MONEY_MANAGE)
    if not request.reason.strip():
        raise InvalidInput("say why", field="reason")
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    intent = await ctx.payments.view(intent_id(order.id))
    if intent is None or intent.hold_state == "none":
        raise InvalidInput("nobody has paid this order", field="amount_fen")
    refund_id = ids.derived_id("rfd", request.code_id) if request.code_id else ctx.new_id("rfd")
    command = Refund(
        id=f"refund:{refund_id}",
        intent_id=intent.intent_id,
        refund_id=refund_id,
        amount_fen=request.amount_fen,
        reason=request.reason.strip(),
        operator=who.account_id,
        code_id=request.code_id or "",
    )
    with payments_refusals():
        await ctx.payments.submit(command)
    now = {"amount_fen": request.amount_fen, "refund_id": refund_id}
    await ctx.store.run(
        who.campus_id, lambda uow: uow.audit.add(who.account_id, "refund_order", order.id, command.reason, {}, now)
    )
    ctx.announce()
    found = [each for each in await ctx.payments.refunds(order_ref=order.id) if each.refund_id == refund_id]
    if not found:
        raise NotFound("this refund is not known")
    return refund_row(found[0])
