"""What the planner foresees for the orders that wait: told by it after every tick, read by whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice

import msgspec

from ..access.permissions import Permission
from ..access.principal import Principal
from ..assign.state import Assignment, Waiting
from ..live.connect import RedisTrouble
from ..model.plan_views import ForeseenView, OutlookView
from .context import Context
from .order_view import ms

log = logging.getLogger(__name__)

_NAME = "outlook"
#: Real seconds: a planner that has not spoken for this long is not believed any more.
KEPT_S = 15.0
#: Of more orders than this only the first are told.
MOST_TOLD = 2_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(OutlookView).decode


def foreseen(order_id: str, reason: str, planned: Assignment | None) -> ForeseenView:
    """One order, with whoever is foreseen for it."""
    if planned is None or reason != Waiting.PLANNED:
        return ForeseenView(order_id=order_id, state="waiting", reason=reason)
    return ForeseenView(
        order_id=order_id,
        state="planned",
        reason=reason,
        runner_id=planned.runner_id,
        leave_at_ms=planned.leave_at_ms,
        done_at_ms=planned.done_at_ms,
    )


async def keep_outlook(ctx: Context, campus_id: str, waiting: Mapping[str, ForeseenView]) -> None:
    """Tell all processes. Redis being away costs the telling, not the tick."""
    told = list(islice(waiting.values(), MOST_TOLD))
    view = OutlookView(at_ms=ms(ctx.clock.now()), orders=told, left_out=len(waiting) - len(told))
    try:
        await ctx.notes.keep(campus_id, _NAME, _encode(view), KEPT_S)
    except RedisTrouble as error:
        log.warning("what is foreseen was not told: %r", error)


async def outlook(ctx: Context, who: Principal) -> OutlookView:
    """What the planner said last."""
    who.require(Permission.ORDERS_READ_ANY)
    return await read_outlook(ctx, who.campus_id)


async def read_outlook(ctx: Context, campus_id: str) -> OutlookView:
    """What the planner of this campus said last; empty when it is silent."""
    try:
        body = await ctx.notes.read(campus_id, _NAME)
        return OutlookView(at_ms=None, orders=[]) if body is None else _decode(body)
    except (*RedisTrouble, msgspec.MsgspecError) as error:
        log.warning("what is foreseen is not readable: %r", error)
        return OutlookView(at_ms=None, orders=[])
