"""Who may follow a topic, and what a follower is shown first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from geo.datum import Datum

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import NotFound, NotPermitted
from ..model.ids import ORDER, is_id
from ..model.order import LIVE
from .context import Context
from .go_on_duty import hall, state
from .order_view import Viewer, viewer_of
from .read_orders import convert, enrich, read_one
from .watch_console import console


@dataclass(frozen=True, slots=True)
class TopicGrant:
    """The right to follow. ``watch``: whose position the topic's state lane carries now, ``""`` for nobody's."""

    snapshot: dict[str, Any]
    watch: str | None = None


async def follow_topic(ctx: Context, who: Principal, topic: str, datum: str = "wgs84") -> TopicGrant:
    """Check the right and read the snapshot; ``NotPermitted``, or ``NotFound`` where even existence is a secret.

    ``order:<id>``: its student, the runner who carries it, operators · ``runner:<id>``: that runner ·
    ``hall:<campus>``: runners of the campus · ``console:<campus>``: its operators.
    """
    kind, _, name = topic.partition(":")
    match kind:
        case "order" if is_id(ORDER, name):
            return await _order(ctx, who, name, datum)
        case "runner" if name == who.account_id:
            who.require(Permission.TASKS_CARRY)
            return TopicGrant(msgspec.to_builtins(await state(ctx, who, datum)))
        case "hall" if name == who.campus_id:
            who.require(Permission.TASKS_CARRY)
            return TopicGrant(msgspec.to_builtins(await hall(ctx, who, datum)))
        case "console" if name == who.campus_id:
            who.require(Permission.ORDERS_READ_ANY)
            return TopicGrant(msgspec.to_builtins(await console(ctx, who, datum)))
        case "runner" | "hall" | "console":
            raise NotPermitted(topic=topic)
        case _:
            raise NotFound("there is no such topic", topic=topic)


async def _order(ctx: Context, who: Principal, order_id: str, datum: str) -> TopicGrant:
    ground = await ctx.grounds.get(who.campus_id)
    read = await ctx.store.read(who.campus_id, lambda uow: read_one(uow, order_id, who, ground, ctx.options.undo_ttl))
    if viewer_of(read.order, who) is Viewer.RUNNER and read.order.status not in LIVE:
        raise NotPermitted("this order is over", topic=f"order:{order_id}")
    watch = read.order.runner_id if read.order.status in LIVE else ""
    view = convert(await enrich(ctx, who, read, ground), Datum(datum))
    return TopicGrant(msgspec.to_builtins(view), watch)
