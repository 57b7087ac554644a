"""Orders as their parties and operators read them: one, many, what happened, and the way the runner took."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import msgspec

from geo.datum import Datum, from_wgs84
from geo.fix import Fix
from geo.map_match import match
from geo.off_route import WINDOW_S
from geo.point import Point

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, NotPermitted
from ..model.event import Event, EventKind, is_for_parties
from ..model.order import LIVE, Order, OrderStatus
from ..model.task import Task
from ..model.views import EventView, OrderPage, OrderView, TimelineView, TrackView
from ..store.unit_of_work import UnitOfWork
from .arrival import Hand, arrivals_of, hands_of, remaining_stops
from .campus_ground import CampusGround
from .context import Context
from .dispatch_state import dispatch_states, with_dispatch
from .order_view import People, Viewer, ms, order_view, viewer_of
from .payment_view import intent_id, payment_view
from .search_text import search_text

#: What a forced reassignment is called in the audit.
REASSIGNED = "order.reassign"
_HANDED_OVER = frozenset({EventKind.TASK_ASSIGNED, EventKind.TASK_REASSIGNED})
_REASSIGNMENTS = _HANDED_OVER | {EventKind.TASK_REOPENED}
#: So many of the newest events or audit entries are looked through for something that happened seconds ago.
_LOOKED_AT = 50
#: Whether runners are off their way is asked of at most so many at once.
_FEW_TRACKS = 8
#: Readings from which the way taken is drawn.
_DRAWN = 1_200


@dataclass(frozen=True, slots=True)
class Read:
    """One order with what its view needs, read in one transaction."""

    order: Order
    task: Task | None
    people: People
    photo_ids: list[str]
    view: OrderView


def read_one(uow: UnitOfWork, order_id: str, who: Principal, ground: CampusGround, undo_ttl: timedelta) -> Read:
    """Read an order as ``who`` may see it; a stranger gets :class:`NotFound`."""
    order = uow.orders.get(order_id)
    viewer = viewer_of(order, who)
    task = uow.tasks.by_order(order.id)
    people = People.of(uow, [order])
    photo_ids = uow.photos.of_order(order.id)
    undo_until = undo_deadline(uow, order, undo_ttl) if viewer is Viewer.OPERATOR else None
    view = order_view(
        order, task, people, viewer, ground.campus.settings, uow.now, photo_ids=photo_ids, undo_until=undo_until
    )
    if task is not None and viewer is not Viewer.RUNNER:
        states = dispatch_states(uow, ground.campus.settings, [order], {order.id: task})
        view = with_dispatch(view, states.get(order.id), viewer)
    return Read(order, task, people, photo_ids, view)


def read_several(
    uow: UnitOfWork, asked: Sequence[tuple[str, Principal]], ground: CampusGround, undo_ttl: timedelta
) -> list[Read | NotFound]:
    """As :func:`read_one` for each of the pairs, with as few questions for a hundred as for one."""
    found = uow.orders.many({order_id for order_id, _ in asked})
    orders = list(found.values())
    people, tasks = People.of(uow, orders), uow.tasks.by_orders(found)
    photos, forced = uow.photos.of_orders(found), recently_forced(uow, undo_ttl)
    states = dispatch_states(uow, ground.campus.settings, orders, tasks)

    def read(order_id: str, who: Principal) -> Read | NotFound:
        order = found.get(order_id)
        if order is None:
            return NotFound("there is no such order here")
        try:
            viewer = viewer_of(order, who)
        except NotFound as refusal:
            return refusal
        is_undoable = viewer is Viewer.OPERATOR and order_id in forced
        undo_until = undo_deadline(uow, order, undo_ttl) if is_undoable else None
        task, photo_ids, settings = tasks.get(order_id), photos.get(order_id, []), ground.campus.settings
        view = order_view(order, task, people, viewer, settings, uow.now, photo_ids=photo_ids, undo_until=undo_until)
        return Read(order, task, people, photo_ids, with_dispatch(view, states.get(order_id), viewer))

    return [read(order_id, who) for order_id, who in asked]


def undo_deadline(uow: UnitOfWork, order: Order, undo_ttl: timedelta) -> datetime | None:
    """Until when the last forced reassignment can be taken back; None once anything happened after it."""
    forced = last_forced(uow, order)
    return None if forced is None or uow.now >= forced.at + undo_ttl else forced.at + undo_ttl


def last_forced(uow: UnitOfWork, order: Order) -> Event | None:
    """The forced reassignment that made the order what it is now, unless it was an undo itself.

    An offer or an alarm that came after it changes nothing of the order, and an undo takes the offer back.
    """
    if not order.is_live and order.status is not OrderStatus.OPEN:
        return None
    for event in reversed(uow.outbox.timeline(order.id, limit=_LOOKED_AT)):
        if event.version != order.version:
            return None
        if event.kind in _REASSIGNMENTS:
            is_forced = event.payload.get("how") == "forced" and not event.payload.get("is_undo")
            return event if is_forced else None
    return None


def recently_forced(uow: UnitOfWork, undo_ttl: timedelta) -> frozenset[str]:
    """The orders that an operator has moved within the time for taking it back, found by what the audit says."""
    entries = uow.audit.page(limit=_LOOKED_AT)
    return frozenset(entry.subject for entry in entries if entry.action == REASSIGNED and uow.now < entry.at + undo_ttl)


async def order(ctx: Context, who: Principal, order_id: str, datum: str = "wgs84") -> OrderView:
    """The order with the runner's position, the arrival range and, for its student, the payment."""
    ground = await ctx.grounds.get(who.campus_id)
    read = await ctx.store.read(who.campus_id, lambda uow: read_one(uow, order_id, who, ground, ctx.options.undo_ttl))
    return convert(await enrich(ctx, who, read, ground), Datum(datum))


async def enrich(ctx: Context, who: Principal, read: Read, ground: CampusGround) -> OrderView:
    """Add what SQL does not know: where the runner is and how the payment stands."""
    (view,) = await enrich_several(ctx, [(who, read)], ground)
    return view


async def enrich_several(
    ctx: Context, reads: Sequence[tuple[Principal, Read]], ground: CampusGround
) -> list[OrderView]:
    """As :func:`enrich`, with one question about all the runners."""
    runner_ids = {read.order.runner_id for _, read in reads if read.order.is_live and read.order.runner_id}
    fixes: Mapping[str, Fix] = {}
    hands: Mapping[str, Hand] = {}
    if runner_ids:
        campus_id = ground.campus.id
        fixes = await ctx.presence.get(campus_id, sorted(runner_ids))
        hands = await ctx.store.read(campus_id, partial(hands_of, runner_ids=runner_ids))
    now = ctx.clock.now()
    recent = await recent_fixes(ctx, ground.campus.id, runner_ids, now)
    members = {runner_id: read.people.members.get(runner_id) for _, read in reads for runner_id in read.people.members}
    etas = arrivals_of(hands, members, fixes, ground, now, recent)
    views = []
    for who, read in reads:
        view, order = read.view, read.order
        if order.status is OrderStatus.AWAITING_PAYMENT and order.student_id == who.account_id:
            intent = await ctx.payments.view(intent_id(order.id))
            view = msgspec.structs.replace(view, payment=payment_view(ctx, intent, order.quote.total_fen))
        if order.is_live and order.runner_id is not None:
            view = msgspec.structs.replace(view, eta=etas.get(order.id))
            fix = fixes.get(order.runner_id)
            if view.runner is not None and fix is not None:
                position = [fix.lat, fix.lon, float(fix.fixed_at_ms)]
                view = msgspec.structs.replace(view, runner=msgspec.structs.replace(view.runner, position=position))
        views.append(view)
    return views


async def recent_fixes(
    ctx: Context, campus_id: str, runner_ids: Collection[str], now: datetime
) -> Mapping[str, Sequence[Fix]]:
    """Where a few runners were in the last minutes; of many nobody's, because it is one question each."""
    if len(runner_ids) > _FEW_TRACKS:
        return {}
    since_ms, until_ms = ms(now) - round(WINDOW_S * 1000), ms(now) + 60_000
    asked = [ctx.tracks.read(campus_id, one, since_ms=since_ms, until_ms=until_ms) for one in runner_ids]
    return dict(zip(runner_ids, await asyncio.gather(*asked), strict=True))


async def orders(
    ctx: Context,
    who: Principal,
    *,
    scope: str = "mine",
    status: str | None = None,
    q: str | None = None,
    limit: int = 20,
    before: str | None = None,
    datum: str = "wgs84",
) -> OrderPage:
    """A page of orders, newest first: one's own (as student or as runner), or everybody's for those who may."""
    if scope == "all" and not who.may(Permission.ORDERS_READ_ANY):
        raise NotPermitted(permission=str(Permission.ORDERS_READ_ANY))
    statuses = _statuses(status)
    ground = await ctx.grounds.get(who.campus_id)

    def read(uow: UnitOfWork) -> list[OrderView]:
        mine = who.account_id
        student = mine if scope == "mine" else None
        runner = mine if scope == "carried" else None
        found = uow.orders.page(
            student_id=student, runner_id=runner, statuses=statuses, q=search_text(q), limit=limit, before=before
        )
        people = People.of(uow, found)
        tasks = uow.tasks.by_orders([one.id for one in found])
        settings = ground.campus.settings
        return [order_view(one, tasks.get(one.id), people, viewer_of(one, who), settings, uow.now) for one in found]

    views = [convert(view, Datum(datum)) for view in await ctx.store.read(who.campus_id, read)]
    return OrderPage(orders=views, next_before=views[-1].id if len(views) == limit else None)


def _statuses(text: str | None) -> list[OrderStatus] | None:
    if not text:
        return None
    try:
        return [OrderStatus(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput("no such status", field="status", known=[str(one) for one in OrderStatus]) from None


async def timeline(ctx: Context, who: Principal, order_id: str) -> TimelineView:
    """What happened to the order, oldest first."""

    def read(uow: UnitOfWork) -> list[EventView]:
        viewer = viewer_of(uow.orders.get(order_id), who)
        events = uow.outbox.timeline(order_id)
        names = uow.accounts.many({event.actor_id for event in events if event.actor_id})
        return [
            EventView(
                id=event.id,
                kind=str(event.kind),
                at_ms=ms(event.at),
                actor=names[event.actor_id].name if viewer is Viewer.OPERATOR and event.actor_id in names else None,
                data=dict(event.payload),
            )
            for event in events
            if viewer is Viewer.OPERATOR or is_for_parties(event.kind)
        ]

    return TimelineView(events=await ctx.store.read(who.campus_id, read))


async def track(ctx: Context, who: Principal, order_id: str, datum: str = "wgs84") -> TrackView:
    """The way the runner took for this order, and the way that is left."""
    ground = await ctx.grounds.get(who.campus_id)

    def look(uow: UnitOfWork) -> tuple[Read, datetime | None]:
        found = read_one(uow, order_id, who, ground, ctx.options.undo_ttl)
        return found, _handed_over_at(uow, found.order)

    read, since = await ctx.store.read(who.campus_id, look)
    order = read.order
    wanted = Datum(datum)
    if order.runner_id is None or since is None:
        return TrackView(points=[], path=[])
    if order.status not in LIVE and order.student_id == who.account_id:
        # Where somebody goes after the hand-over is nobody's business; the student has seen the way there.
        return TrackView(points=[], path=[])
    until = order.delivered_at or order.cancelled_at or ctx.clock.now()
    fixes = await ctx.tracks.read(order.campus_id, order.runner_id, since_ms=ms(since), until_ms=ms(until))
    points = [[*from_wgs84(fix.point, wanted), float(fix.fixed_at_ms)] for fix in fixes]
    way: list[Point] = []
    if order.status in LIVE:
        present = await ctx.presence.get(order.campus_id, [order.runner_id])
        legs = list(remaining_stops(order, read.task))
        if order.runner_id in present:
            legs.insert(0, present[order.runner_id].point)
        for a, b in pairwise(legs):
            way.extend(ground.walkways.path(a, b))
    taken = [] if order.runner_id == who.account_id else await _way_taken(fixes, ground)
    return TrackView(
        points=points,
        path=[list(from_wgs84(point, wanted)) for point in way],
        line=[list(from_wgs84(point, wanted)) for point in taken],
    )


async def _way_taken(fixes: Sequence[Fix], ground: CampusGround) -> list[Point]:
    """The readings as a line over the paths; of a long way only the newest part, since each reading takes a while."""
    newest = fixes[-_DRAWN:]
    return (await asyncio.to_thread(match, newest, ground.walkways.graph)).points


def _handed_over_at(uow: UnitOfWork, order: Order) -> datetime | None:
    """Since when the runner who has the order has had it: where they were before is none of this order's business."""
    events = uow.outbox.timeline(order.id, limit=_LOOKED_AT)
    return next((event.at for event in reversed(events) if event.kind in _HANDED_OVER), order.assigned_at)


def convert(view: OrderView, datum: Datum) -> OrderView:
    """The view with its positions in the caller's datum; the identity for WGS-84."""
    if datum is Datum.WGS84:
        return view
    stops = []
    for stop in view.stops:
        lat, lon = from_wgs84(Point(stop.lat, stop.lon), datum)
        stops.append(msgspec.structs.replace(stop, lat=lat, lon=lon))
    runner = view.runner
    if runner is not None and runner.position is not None:
        lat, lon, at = runner.position
        moved = from_wgs84(Point(lat, lon), datum)
        runner = msgspec.structs.replace(runner, position=[moved.lat, moved.lon, at])
    return msgspec.structs.replace(view, stops=stops, runner=runner)
