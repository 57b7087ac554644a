"""The relay: events that were committed go out to their topics, each at least once, known by its id as the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import msgspec

from geo.fix import Fix

from ..live.connect import RedisTrouble
from ..live.resume_streams import Published
from ..model.event import Event, EventKind, publications
from ..model.order import Order
from ..model.task import TAKEABLE
from ..model.views import OrderView
from ..store.unit_of_work import GlobalUnit, UnitOfWork
from .availability import rules_of_waiting
from .campus_ground import CampusGround
from .context import Context
from .go_on_duty import hall_item, offer_view
from .order_view import People, ms, runner_card
from .watch_console import operator_views
from .watch_stops import wake_watches

BATCH = 200

_CARD_KINDS = frozenset({EventKind.TASK_ASSIGNED, EventKind.TASK_REASSIGNED})
_HALL_KINDS = frozenset({
    EventKind.ORDER_PAID, EventKind.TASK_REOPENED, EventKind.ORDER_CALLED, EventKind.ORDER_FREED,
})  # fmt: skip


class Streams(Protocol):
    """Where events go: numbered, kept for those who come back, and published, in one atomic step per topic."""

    async def publish_many(self, campus_id: str, events: list[Published]) -> Any: ...


async def publish_events(ctx: Context, streams: Streams) -> int:
    """Publish what is waiting, in the order of each thing's version; how many events went out.

    Killed between publishing and marking, it publishes again, and the stream recognises the ids.
    A campus whose part of Redis is away keeps its events until it is back, and holds up no other's.
    """
    away: dict[str, BaseException] = {}
    done = 0
    while True:
        known_away = list(away)
        events = await ctx.store.read_global(lambda unit, skip=known_away: unit.outbox.unpublished(BATCH, skip))  # type: ignore[misc]
        by_campus: dict[str, list[Event]] = {}
        for event in events:
            by_campus.setdefault(event.campus_id, []).append(event)
        ended = await asyncio.gather(
            *(_publish(ctx, streams, campus_id, batch) for campus_id, batch in by_campus.items()),
            return_exceptions=True,
        )
        for campus_id, error in zip(by_campus, ended, strict=True):
            if isinstance(error, RedisTrouble):
                away[campus_id] = error
            elif error is not None:
                raise error
        done += sum(len(batch) for campus_id, batch in by_campus.items() if campus_id not in away)
        if not away or not events:
            break
    if away and not done:
        raise next(iter(away.values()))
    return done


async def _publish(ctx: Context, streams: Streams, campus_id: str, batch: list[Event]) -> None:
    ground = await ctx.grounds.get(campus_id)
    fixes = await ctx.presence.all(campus_id)
    told = await ctx.store.read(campus_id, _enriching(batch, ground, fixes, ctx.options.undo_ttl))
    outgoing: list[Published] = [
        (event.id, event.version, ms(event.at), publication) for event in told for publication in publications(event)
    ]
    await streams.publish_many(campus_id, outgoing)
    await wake_watches(ctx, campus_id, batch)
    await ctx.store.run_global(partial(_mark_published, [event.id for event in batch]))


def _mark_published(event_ids: list[str], unit: GlobalUnit) -> None:
    unit.outbox.mark_published(event_ids)


def _enriching(
    batch: list[Event], ground: CampusGround, fixes: Mapping[str, Fix], undo_ttl: timedelta
) -> Callable[[UnitOfWork], list[Event]]:
    """Add what only one audience may see, as it is now: the newest truth is what a late listener needs."""

    def enrich(uow: UnitOfWork) -> list[Event]:
        orders = uow.orders.many({event.subject_id for event in batch if event.subject_id.startswith("ord_")})
        people = People.of(uow, list(orders.values()))
        for_all = _for_all(uow, batch, orders, ground)
        whole = {view.id: view for view in operator_views(uow, list(orders.values()), ground, fixes, undo_ttl, people)}
        return [
            _enriched(uow, event, orders[event.subject_id], people, whole[event.subject_id], ground, fixes, for_all)
            if event.subject_id in orders
            else event
            for event in batch
        ]

    return enrich


def _enriched(
    uow: UnitOfWork,
    event: Event,
    order: Order,
    people: People,
    whole: OrderView,
    ground: CampusGround,
    fixes: Mapping[str, Fix],
    for_all: frozenset[str],
) -> Event:
    private: dict[str, dict[str, Any]] = {"operator": {"order": msgspec.to_builtins(whole)}}
    if event.kind in _CARD_KINDS and event.runner_id == order.runner_id and order.runner_id:
        card = runner_card(people, order.runner_id, ground.campus.settings.credit)
        private["student"] = {"runner_id": order.runner_id, "runner": msgspec.to_builtins(card)}
    if event.kind is EventKind.TASK_OFFERED and "offer_id" in event.payload:
        offer = uow.offers.get(event.payload["offer_id"])
        view = offer_view(order, offer, ground, fixes.get(offer.runner_id))
        private["runner"] = {"offer": msgspec.to_builtins(view)}
    if event.kind in _HALL_KINDS and order.id in for_all:
        private["hall"] = {"item": msgspec.to_builtins(hall_item(order, ground, None))}
    return replace(event, private=private)


def _for_all(uow: UnitOfWork, batch: list[Event], orders: Mapping[str, Order], ground: CampusGround) -> frozenset[str]:
    """Which of the orders that the hall hears of it may show: neither their zone nor a pin keeps them from it."""
    wanted = {event.subject_id for event in batch if event.kind in _HALL_KINDS} & orders.keys()
    tasks = uow.tasks.by_orders(wanted)
    waiting = [(tasks[one], orders[one]) for one in wanted if one in tasks and tasks[one].status in TAKEABLE]
    rules = rules_of_waiting(uow, ground.campus.settings, waiting)
    shown = (order.id for task, order in waiting if rules[task.id].is_in_hall and rules[task.id].pinned is None)
    return frozenset(shown)
