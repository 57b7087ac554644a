"""Hands the commands that were committed with orders to payments, in order, until each is durable there."""

from __future__ import annotations

import logging
from functools import partial

import msgspec

from payments.port import AnyCommand, CommandRefused, UnknownIntent

from ..store.unit_of_work import GlobalUnit
from .context import Context
from .place_order import order_id_of

BATCH = 100
log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


async def send_commands(ctx: Context) -> int:
    """Send what is waiting; how many were dealt with. Sent twice after a kill in between, a command is applied once.

    A command that payments refuses for good becomes an alert and is not sent again: it must not hold up the others.
    """
    waiting = await ctx.store.read_global(lambda unit: unit.commands.unsent(BATCH))
    done: list[str] = []
    postponed: set[str] = set()
    try:
        for command_id, kind, body in waiting:
            command = _decoder.decode(body)
            if command.intent_id in postponed:
                continue
            try:
                await ctx.payments.submit(command)
            except UnknownIntent:
                # Another process may be sending the command that opens it; what follows on it waits too.
                postponed.add(command.intent_id)
                log.warning("payments does not know the intent yet", extra={"fields": {"command": command_id}})
                continue
            except (CommandRefused, ValueError) as refused:
                log.exception("payments refused a command", extra={"fields": {"command": command_id}})
                await ctx.store.run_global(partial(_alert, order_id_of(command.intent_id), kind, str(refused)))
            done.append(command_id)
    finally:
        if done:
            await ctx.store.run_global(partial(_mark_sent, done))
    return len(done)


def _mark_sent(command_ids: list[str], unit: GlobalUnit) -> None:
    unit.commands.mark_sent(command_ids)


def _alert(order_id: str, kind: str, problem: str, unit: GlobalUnit) -> None:
    for campus in unit.campuses.all():
        uow = unit.at(campus.id)
        if uow.orders.find(order_id) is not None:
            text_zh = f"订单 {order_id[-6:]} 的资金指令 {kind} 被拒绝:{problem}"
            text_en = f"Payments refused {kind} of order {order_id[-6:]}: {problem}"
            uow.alerts.raise_once("money_command_refused", order_id, text_zh, text_en)
