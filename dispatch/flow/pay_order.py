"""A student pays: chooses a channel, is told at once that it was accepted, and hears of the result over the hub."""

from __future__ import annotations

from collections.abc import Mapping

from payments.port import CallbackReply, IntentView, SwitchRefused, UnknownChannel, UnknownIntent

from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, PaymentDeclined, Unavailable, WrongState
from ..model.order import OrderStatus
from ..model.requests import PayOrder, SandboxPay
from ..model.views import ChannelView, PaymentView
from .context import Context
from .order_view import ms
from .place_order import intent_id
from .send_commands import send_commands


def payment_view(intent: IntentView | None, total_fen: int) -> PaymentView:
    """The payment as the student sees it; before the queue got to it, it is ``processing``."""
    if intent is None:
        return PaymentView(
            state="processing", channel=None, amount_fen=total_fen, credential=None, expires_at_ms=None, reason=None
        )
    return PaymentView(
        state=intent.state,
        channel=intent.channel,
        amount_fen=intent.amount_fen,
        credential=dict(intent.credential) if intent.credential else None,
        expires_at_ms=ms(intent.expires_at),
        reason=intent.reason or None,
    )


async def pay(ctx: Context, who: Principal, order_id: str, request: PayOrder) -> PaymentView:
    """Pay with this channel, or try it again after it failed. The old credential is proved dead before a new one is
    made."""
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    if order.student_id != who.account_id:
        raise NotFound(id=order_id)
    if order.status is not OrderStatus.AWAITING_PAYMENT:
        raise WrongState("this order does not wait for a payment", status=str(order.status))
    intent = await ctx.payments.view(intent_id(order_id))
    if intent is None:
        # Placed a moment ago: the wish that opens the payment goes first, so that the choice is not lost.
        await send_commands(ctx)
        intent = await ctx.payments.view(intent_id(order_id))
    if intent is None:
        raise Unavailable("the payment is still being opened; choose again in a moment")
    if intent.channel != request.channel or intent.state == "failed":
        try:
            await ctx.payments.switch_channel(intent.intent_id, request.channel)
        except UnknownChannel:
            raise InvalidInput("this channel takes no payments now", field="channel") from None
        except (SwitchRefused, UnknownIntent) as refused:
            raise WrongState(str(refused) or "the channel cannot be changed now") from None
        intent = await ctx.payments.view(intent_id(order_id))
    ctx.announce()
    return payment_view(intent, order.quote.total_fen)


async def sandbox_pay(ctx: Context, who: Principal, request: SandboxPay) -> None:
    """What a wallet on the student's phone does: pays a credential of the demonstration channel."""
    if ctx.sandbox is None:
        raise NotFound("this server has no demonstration channel")
    match await ctx.sandbox.pay(request.token, request.outcome):
        case "unknown_token":
            raise InvalidInput("there is no such credential", field="token")
        case "closed":
            raise WrongState("this credential can no longer be paid")
        case "insufficient":
            raise PaymentDeclined("the balance is too low", reason="insufficient")
    ctx.announce()


async def channels(ctx: Context) -> list[ChannelView]:
    """The ways to pay, in order of preference."""
    return [
        ChannelView(code=channel.code, name_zh=channel.name_zh, name_en=channel.name_en, is_demo=channel.is_demo)
        for channel in ctx.payments.channels()
        if channel.is_available
    ]


async def callback(ctx: Context, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
    """A provider reports; the payment module checks its signature and says what to answer."""
    try:
        reply = await ctx.payments.callback(channel, headers, body)
    except UnknownChannel:
        raise NotFound("there is no such channel") from None
    ctx.announce()
    return reply
