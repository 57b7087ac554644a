"""Who may follow which topics, and what a follower is shown first; many followers at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from geo.datum import Datum

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import NotFound, NotPermitted, Refusal
from ..model.ids import ORDER, is_id
from ..model.order import LIVE, Order
from ..store.orders import Parties
from .context import Context
from .go_on_duty import hall, state
from .order_view import Viewer, viewer_of
from .read_orders import Read, convert, enrich_several, read_several
from .watch_console import console


@dataclass(frozen=True, slots=True)
class TopicGrant:
    """The right to follow. ``watch``: whose position the topic's state lane carries now, ``""`` for nobody's, None
    where it is not of that kind. ``snapshot``: what a follower is shown first, where it was asked for."""

    watch: str | None = None
    snapshot: Any = None


async def may_follow_many(ctx: Context, asked: Sequence[tuple[Principal, str]]) -> list[TopicGrant | Refusal]:
    """Whether each of these people of one campus may follow that topic: what somebody needs who comes back and has
    missed nothing that cannot be told. One question to the books for all the orders, none for other topics.

    ``order:<id>``: its student, the runner who carries it, operators · ``runner:<id>``: that runner ·
    ``hall:<campus>``: runners of the campus · ``console:<campus>``: its operators. ``NotPermitted``, or ``NotFound``
    where even existence is a secret.
    """
    order_ids = {order_id for _, topic in asked if (order_id := _order_id(topic))}
    parties: dict[str, Parties] = {}
    if order_ids:
        parties = await ctx.store.read(asked[0][0].campus_id, lambda uow: uow.orders.parties(order_ids))
    return [_granted(who, topic, parties) for who, topic in asked]


def _granted(who: Principal, topic: str, parties: dict[str, Parties]) -> TopicGrant | Refusal:
    try:
        order_id = _order_id(topic)
        if not order_id:
            _require(who, topic)
            return TopicGrant()
        if order_id not in parties:
            return NotFound("there is no such order here")
        return TopicGrant(_watch(parties[order_id], who))
    except Refusal as refusal:
        return refusal


async def read_topics(ctx: Context, asked: Sequence[tuple[Principal, str, str]]) -> list[TopicGrant | Refusal]:
    """As :func:`may_follow_many`, with the snapshot in the datum that each of them asked for. What several see alike
    is read once; everything is read after the call began."""
    answers: dict[int, TopicGrant | Refusal] = {}
    orders = [number for number, (_, topic, _) in enumerate(asked) if _order_id(topic)]
    if orders:
        found = await _order_snapshots(ctx, [asked[number] for number in orders])
        answers.update(zip(orders, found, strict=True))
    consoles: dict[tuple[str, str], Any] = {}
    for number, (who, topic, datum) in enumerate(asked):
        if number in answers:
            continue
        try:
            _require(who, topic)
            if topic.startswith("console:"):
                if (topic, datum) not in consoles:
                    consoles[topic, datum] = msgspec.to_builtins(await console(ctx, who, datum))
                answers[number] = TopicGrant(snapshot=consoles[topic, datum])
            else:
                read: Callable[[Context, Principal, str], Awaitable[Any]] = hall if topic.startswith("hall:") else state
                answers[number] = TopicGrant(snapshot=msgspec.to_builtins(await read(ctx, who, datum)))
        except Refusal as refusal:
            answers[number] = refusal
    return [answers[number] for number in range(len(asked))]


def _order_id(topic: str) -> str:
    kind, _, name = topic.partition(":")
    return name if kind == "order" and is_id(ORDER, name) else ""


def _require(who: Principal, topic: str) -> None:
    """The right to a topic that is no order's."""
    kind, _, name = topic.partition(":")
    match kind:
        case "runner" if name == who.account_id:
            who.require(Permission.TASKS_CARRY)
        case "hall" if name == who.campus_id:
            who.require(Permission.TASKS_CARRY)
        case "console" if name == who.campus_id:
            who.require(Permission.ORDERS_READ_ANY)
        case "runner" | "hall" | "console":
            raise NotPermitted(topic=topic)
        case _:
            raise NotFound("there is no such topic", topic=topic)


def _watch(order: Order | Parties, who: Principal) -> str:
    """Whose position the order's topic shows to ``who``; raises where it is none of theirs."""
    if viewer_of(order, who) is Viewer.RUNNER and order.status not in LIVE:
        raise NotPermitted("this order is over", topic=f"order:{order.id}")
    return (order.runner_id or "") if order.status in LIVE else ""


async def _order_snapshots(ctx: Context, asked: Sequence[tuple[Principal, str, str]]) -> list[TopicGrant | Refusal]:
    campus_id = asked[0][0].campus_id
    ground = await ctx.grounds.get(campus_id)
    pairs = [(_order_id(topic), who) for who, topic, _ in asked]
    found = await ctx.store.read(campus_id, lambda uow: read_several(uow, pairs, ground, ctx.options.undo_ttl))
    answers: list[TopicGrant | Refusal] = []
    reads: list[tuple[Principal, Read]] = []
    for (who, _, _), read in zip(asked, found, strict=True):
        if isinstance(read, Refusal):
            answers.append(read)
            continue
        try:
            answers.append(TopicGrant(_watch(read.order, who)))
            reads.append((who, read))
        except Refusal as refusal:
            answers.append(refusal)
    views = iter(await enrich_several(ctx, reads, ground))
    return [
        answer if isinstance(answer, Refusal) else TopicGrant(answer.watch, _builtins(next(views), datum))
        for answer, (_, _, datum) in zip(answers, asked, strict=True)
    ]


def _builtins(view: Any, datum: str) -> Any:
    return msgspec.to_builtins(convert(view, Datum(datum)))
