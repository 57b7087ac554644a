"""What channels must know of whoever pays: what is lacking, how it is given, and what only the server can say."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Iterable
from datetime import timedelta

from payments.guards.binding import BindRefused
from payments.guards.guarded import CLIENT_IP
from payments.port import ChannelView, UnknownChannel
from payments.service.remote import PaymentsUnreachable

from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, Unavailable, WrongState
from ..model.payer_views import BindChannel, BindPageView, UnbindChannel
from .context import Context
from .origin import Origin
from .payment_health import ways
from .work_money import payments_refusals

#: Real seconds that an order waits to hear what its payer entrusted.
HEARD_S = 2.0
#: How long somebody may take at a provider's page.
STATE_LIFE = timedelta(minutes=10)
log = logging.getLogger(__name__)


async def lacking(ctx: Context, account_id: str) -> dict[str, list[str]]:
    """What each channel that takes payments now still has to be told of this payer."""
    available = [channel for channel in await ways(ctx) if channel.is_available]
    if all(not _asked(channel) for channel in available):
        return {channel.code: [] for channel in available}
    had = set(await ctx.payments.entrusted(account_id))
    return {channel.code: [need for need in _asked(channel) if need not in had] for channel in available}


async def lacking_for_order(ctx: Context, account_id: str, chosen: str | None) -> dict[str, list[str]]:
    """As ``lacking``, for an order that waits for nobody: while payments cannot say what they were told, it goes to
    channels that need nothing and the chosen one; else to all. Payments pass over one that does not know the payer."""
    try:
        async with asyncio.timeout(HEARD_S):
            return await lacking(ctx, account_id)
    except (PaymentsUnreachable, TimeoutError) as fault:
        log.warning("what a payer entrusted is not known now: %s", type(fault).__name__)
    available = [channel for channel in await ways(ctx) if channel.is_available]
    likely = [channel for channel in available if channel.code == chosen or not _asked(channel)]
    return {channel.code: [] for channel in likely or available}


def _asked(channel: ChannelView) -> list[str]:
    return [need for need in channel.needs if need != CLIENT_IP]


def place_for(ctx: Context, channels: Iterable[str], origin: Origin) -> str | None:
    """Where the payer is, if a channel that may be tried asks for it."""
    wanted = set(channels)
    is_asked = any(CLIENT_IP in channel.needs for channel in ctx.payments.channels() if channel.code in wanted)
    return origin.address if is_asked else None


async def tell_place(ctx: Context, account_id: str, channel: str, origin: Origin) -> None:
    """Entrust where the payer is, if this channel asks for it; it is kept sealed."""
    place = place_for(ctx, [channel], origin)
    if place is not None:
        await ctx.payments.entrust(account_id, {CLIENT_IP: place})


async def bind_page(ctx: Context, who: Principal, channel: str) -> BindPageView:
    """Where the student's browser is sent to make itself known to a channel; it comes back to the student's page."""
    try:
        url = await ctx.payments.bind_page(channel, f"{ctx.options.public_url}/track", _new_state(ctx, who, channel))
    except UnknownChannel:
        raise NotFound("there is no such channel") from None
    except BindRefused:
        raise WrongState("this channel has no page for that", code="not_offered") from None
    return BindPageView(url=url)


async def bind(ctx: Context, who: Principal, channel: str, request: BindChannel) -> None:
    """Make oneself known to a channel: by what its page gave, or by what one was given for one's card."""
    given: dict[str, str] = {}
    if request.code is not None:
        if not _is_state(ctx, who, channel, request.state or ""):
            raise InvalidInput("this page was not opened from here, or too long ago", field="state")
        given["code"] = request.code
    if request.card_token is not None:
        if not request.is_agreed:
            raise InvalidInput("debits have to be agreed to", field="is_agreed")
        given["card_token"] = request.card_token
    if len(given) != 1:
        raise InvalidInput("give the code of a page, or the token of a card", field="code")
    try:
        with payments_refusals():
            await ctx.payments.bind(channel, who.account_id, given, request.code_id or "")
    except WrongState as refused:
        raise _in_words(refused, next(iter(given))) from None
    await _note(ctx, who, "bind_channel", channel)


async def unbind(ctx: Context, who: Principal, channel: str, request: UnbindChannel) -> None:
    """Have forgotten what a channel was told of oneself."""
    try:
        with payments_refusals():
            await ctx.payments.unbind(channel, who.account_id, request.code_id or "")
    except WrongState as refused:
        raise _in_words(refused, None) from None
    await _note(ctx, who, "unbind_channel", channel)


def _in_words(refused: WrongState, field: str | None) -> Exception:
    if refused.detail.get("code") != BindRefused.code:
        return refused
    match refused.message.rpartition(": ")[2]:
        case "refused":
            return InvalidInput("the channel does not accept this", field=field)
        case "unreachable":
            return Unavailable("the channel cannot be asked now; try again")
        case _:
            return WrongState("this channel needs nothing that could be given here", code="not_offered")


async def _note(ctx: Context, who: Principal, action: str, channel: str) -> None:
    await ctx.store.run(who.campus_id, lambda uow: uow.audit.add(who.account_id, action, channel, ""))


# -- coming back from a page -------------------------------------------------------------------------------------------


def _new_state(ctx: Context, who: Principal, channel: str) -> str:
    """Letters and digits alone, and bound to this session: nobody can be sent back with somebody else's code."""
    until_s = int((ctx.tokens.now() + STATE_LIFE).timestamp())
    return f"{until_s}x{_state_proof(ctx, who, channel, until_s)}"


def _is_state(ctx: Context, who: Principal, channel: str, state: str) -> bool:
    until, _, proof = state.partition("x")
    if not until.isdecimal() or len(until) > 12 or not proof.isascii():
        return False
    is_ours = hmac.compare_digest(proof, _state_proof(ctx, who, channel, int(until)))
    return is_ours and ctx.tokens.now().timestamp() <= int(until)


def _state_proof(ctx: Context, who: Principal, channel: str, until_s: int) -> str:
    return ctx.tokens.digest("bind", who.session_id, channel, str(until_s)).hex()[:40]
