"""Hands the commands that were committed with orders to payments, in order, until each is durable there."""

from __future__ import annotations

from functools import partial

import msgspec

from payments.port import AnyCommand

from ..store.unit_of_work import GlobalUnit
from .context import Context

BATCH = 100
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


async def send_commands(ctx: Context) -> int:
    """Send what is waiting; how many were sent. Sent twice after a kill in between, a command is applied once."""
    waiting = await ctx.store.read_global(lambda unit: unit.commands.unsent(BATCH))
    for command_id, _, body in waiting:
        await ctx.payments.submit(_decoder.decode(body))
        await ctx.store.run_global(partial(_mark_sent, command_id))
    return len(waiting)


def _mark_sent(command_id: str, unit: GlobalUnit) -> None:
    unit.commands.mark_sent([command_id])
