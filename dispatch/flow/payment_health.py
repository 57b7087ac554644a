"""Which ways to pay work, as the process that drives payments finds it: it tells all others, whose own calls are too
few to know."""

from __future__ import annotations

import msgspec

from payments.port import ChannelView

from .context import Context

#: Every campus of a server shares its ways to pay.
_PLACE, _NAME = "server", "ways_to_pay"
#: Real seconds between two tellings, and for which one is believed.
TELL_S, KEPT_S = 1.0, 5.0
_decoder = msgspec.json.Decoder(dict[str, bool])


async def tell_ways(ctx: Context) -> None:
    """Tell all processes which ways to pay take orders here."""
    told = {channel.code: channel.is_available for channel in ctx.payments.channels()}
    await ctx.notes.remember(_PLACE, _NAME, msgspec.json.encode(told), KEPT_S)


async def ways(ctx: Context) -> list[ChannelView]:
    """The ways to pay, each available as the driving process told lately; while it is silent, as it seems here."""
    own = ctx.payments.channels()
    body = await ctx.notes.recall(_PLACE, _NAME)
    if body is None:
        return own
    told = _decoder.decode(body)
    return [
        msgspec.structs.replace(channel, is_available=told.get(channel.code, channel.is_available)) for channel in own
    ]
