"""A student pays: chooses a channel, is told at once that it was accepted, and hears of the result over the hub."""

from __future__ import annotations

from collections.abc import Mapping

from payments.guards.guarded import NotSetUp
from payments.guards.risk_desk import ChallengeFailed
from payments.guards.second_factor import CodesExhausted
from payments.guards.second_factor_act import Act
from payments.port import CallbackReply, SwitchRefused, UnknownChannel, UnknownIntent

from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, PaymentDeclined, TooMany, Unavailable, WrongState
from ..model.order import Order, OrderStatus
from ..model.requests import MeetChallenge, PayOrder, SandboxPay
from ..model.views import ChannelView, CodeSentView, PaymentView
from .context import Context
from .order_view import ms
from .origin import NOWHERE, Origin
from .payer_needs import lacking, tell_place
from .payment_view import forget, intent_id, payment_view, recall, remember
from .send_commands import send_commands


async def payment(ctx: Context, who: Principal, order_id: str) -> PaymentView:
    """How the payment stands, for a page that asks while the hub is silent: no provider is asked, and what is asked
    again within a second is answered from memory, unless something happened to it."""
    kept = await recall(ctx, who.campus_id, order_id, who.account_id)
    if kept is not None:
        return kept
    order = await _own(ctx, who, order_id)
    intent = await ctx.payments.view(intent_id(order_id))
    view = payment_view(ctx, intent, order.quote.total_fen)
    await remember(ctx, who.campus_id, order_id, who.account_id, view)
    return view


async def _own(ctx: Context, who: Principal, order_id: str) -> Order:
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    if order.student_id != who.account_id:
        raise NotFound(id=order_id)
    return order


async def pay(ctx: Context, who: Principal, order_id: str, request: PayOrder, origin: Origin = NOWHERE) -> PaymentView:
    """Pay with this channel, or try it again after it failed. The old credential is proved dead before a new one is
    made."""
    order = await _own(ctx, who, order_id)
    if order.status is not OrderStatus.AWAITING_PAYMENT:
        raise WrongState("this order does not wait for a payment", status=str(order.status))
    if needs := (await lacking(ctx, who.account_id)).get(request.channel):
        raise InvalidInput("this channel has to know more of you first", field="channel", needs=needs)
    await tell_place(ctx, who.account_id, request.channel, origin)
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
    await forget(ctx, who.campus_id, [order_id])
    ctx.announce()
    return payment_view(ctx, intent, order.quote.total_fen)


async def meet_challenge(ctx: Context, who: Principal, order_id: str, request: MeetChallenge) -> PaymentView:
    """The student proves what risk asked for; then the payment goes on."""
    order = await _own(ctx, who, order_id)
    try:
        await ctx.payments.answer_challenge(intent_id(order_id), request.token)
    except ChallengeFailed:
        raise InvalidInput("this proves nothing", field="token") from None
    except (UnknownIntent, NotSetUp):
        raise WrongState("nothing is asked for") from None
    finally:
        await forget(ctx, who.campus_id, [order_id])
    ctx.announce()
    return payment_view(ctx, await ctx.payments.view(intent_id(order_id)), order.quote.total_fen)


async def ask_code(ctx: Context, who: Principal, order_id: str) -> CodeSentView:
    """Send the one-time code that risk asked for, bound to this very payment."""
    order = await _own(ctx, who, order_id)
    intent = await ctx.payments.view(intent_id(order_id))
    risk = None if intent is None else intent.risk
    if intent is None or risk is None or risk.decision != "challenge" or risk.challenge != "code":
        raise WrongState("no code is asked for")
    act = Act(kind="pay", account_ref=order.student_id, amount_fen=intent.amount_fen, target=intent.intent_id)
    try:
        sent = await ctx.payments.ask_code(act)
    except CodesExhausted:
        raise TooMany("too many codes; ask again later") from None
    except (ChallengeFailed, NotSetUp):
        raise WrongState("no code can be sent; somebody looks at the payment") from None
    return CodeSentView(code_id=sent.code_id, expires_at_ms=ms(sent.expires_at))


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


async def channels(ctx: Context, who: Principal) -> list[ChannelView]:
    """The ways to pay, in order of preference; none that needs what this payer has no way to give."""
    missing = await lacking(ctx, who.account_id)
    return [
        ChannelView(
            code=channel.code,
            name_zh=channel.name_zh,
            name_en=channel.name_en,
            is_demo=channel.is_demo,
            needs=missing[channel.code],
            binding=channel.binding if missing[channel.code] else "",
            is_bound=bool(channel.binding) and not missing[channel.code],
        )
        for channel in ctx.payments.channels()
        if channel.code in missing and (channel.binding or not missing[channel.code])
    ]


async def callback(ctx: Context, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
    """A provider reports; the payment module checks its signature and says what to answer."""
    try:
        reply = await ctx.payments.callback(channel, headers, body)
    except UnknownChannel:
        raise NotFound("there is no such channel") from None
    ctx.announce()
    return reply
