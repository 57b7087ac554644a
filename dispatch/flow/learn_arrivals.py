"""What arrivals teach: every minute it is noted what is expected of each errand under way, and when one is done, how
wrong that was, how fast its runner went and how long the stops took."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from geo.arrival_model import ArrivalModel
from geo.calibration import shared_weight
from geo.eta import FLOOR_S, storeys
from geo.fix import Fix
from geo.pace import Key
from geo.point import line_length_m, near_distance_m
from geo.shrinkage import Mean
from geo.track import simplify_points
from geo.track_speed import Moved, walked

from ..model.account import Membership
from ..model.order import Order
from ..model.visit import StopVisit
from ..store.unit_of_work import GlobalUnit, UnitOfWork
from .arrival import Expected, Hand, expect_all, hands_of, service_key
from .arrival_figures import figures_of, read_figures, take_in
from .campus_ground import CampusGround
from .context import Context
from .make_quote import ERRAND, PROMISE
from .order_view import ms

log = logging.getLogger(__name__)

#: Real seconds until another process may learn for a campus whose learner has died.
LEASE_S = 90.0
#: Errands whose expectations are remembered, and expectations of one errand.
MOST_ORDERS, MOST_PER_ORDER = 5_000, 180
#: Seconds at a stop that count as these: less is a tap made later, more is another story.
LEAST_SERVICE_S, MOST_SERVICE_S = 5.0, 1_800.0
_SERVICES_REMEMBERED = 300.0
#: Whoever is busy with one errand for longer has others, or a story to tell.
MOST_BUSY_S = 5_400.0
#: Tracks read at once, and looked at for one errand.
_TRACKS_AT_ONCE, _READINGS = 20, 2_000
_SMOOTH_M = 8.0


@dataclass(slots=True)
class _Noted:
    """What was expected of one errand while it was under way."""

    runner_id: str
    expected: list[tuple[datetime, Expected]] = field(default_factory=list)


@dataclass(slots=True)
class _Campus:
    """What this process remembers of a campus whose arrivals it learns from."""

    fence: int
    model: ArrivalModel
    served_at: datetime
    noted: OrderedDict[str, _Noted] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class _Look:
    """One consistent read: what is under way, what of the noted is not any more, and the stops made meanwhile."""

    hands: Mapping[str, Hand]
    members: Mapping[str, Membership]
    ended: list[Order]
    served: list[tuple[StopVisit, Order | None]]


class ArrivalLearner:
    """Learns for every campus whose lease it holds. ``look`` is to be called once a business minute or so."""

    def __init__(self, ctx: Context, holder: str) -> None:
        self._ctx = ctx
        self._holder = holder
        self._campuses: dict[str, _Campus] = {}

    async def look(self) -> int:
        """Look at every campus once; how many errands were learned from."""
        learned = 0
        for campus in await self._ctx.store.read_global(lambda unit: unit.campuses.all()):
            if (known := await self._lead(campus.id)) is not None:
                learned += await self._look_at(campus.id, known)
        return learned

    async def stop(self) -> None:
        """Let another process go on; what was noted and has not arrived yet is lost."""
        for campus_id, known in self._campuses.items():
            await self._ctx.store.run_global(partial(self._release, campus_id, known.fence))
        self._campuses.clear()

    async def _lead(self, campus_id: str) -> _Campus | None:
        ttl_s = LEASE_S * self._ctx.clock.rate
        known = self._campuses.get(campus_id)
        if known is not None:
            if await self._ctx.store.run_global(partial(self._renew, campus_id, known.fence, ttl_s)):
                return known
            del self._campuses[campus_id]
        name = _lease(campus_id)
        fence = await self._ctx.store.run_global(lambda unit: unit.leases.acquire(name, self._holder, ttl_s))
        if fence is None:
            return None
        found = await self._ctx.store.read(campus_id, read_figures)
        served_at = datetime.fromtimestamp(found.figures.served_at_ms / 1000, self._ctx.clock.now().tzinfo)
        made = self._campuses[campus_id] = _Campus(fence, take_in(ArrivalModel(), found), served_at)
        return made

    def _renew(self, campus_id: str, fence: int, ttl_s: float, unit: GlobalUnit) -> bool:
        return unit.leases.renew(_lease(campus_id), self._holder, fence, ttl_s)

    def _release(self, campus_id: str, fence: int, unit: GlobalUnit) -> bool:
        return unit.leases.release(_lease(campus_id), self._holder, fence)

    async def _look_at(self, campus_id: str, known: _Campus) -> int:
        ctx = self._ctx
        ground = await ctx.grounds.get(campus_id)
        fixes = await ctx.presence.all(campus_id)
        seen = await ctx.store.read(campus_id, partial(_read, known))
        done = [order for order in seen.ended if order.delivered_at is not None and order.id in known.noted]
        tracks = await self._tracks(campus_id, done)
        # In a thread: finding the way over the paths takes a millisecond a reading.
        ways = await asyncio.to_thread(_ways, tracks, ground)
        changed = _learn_services(known, seen.served)
        for order in done:
            changed |= _learn_errors(known.model, order, known.noted[order.id])
            _learn_promise(known.model, order)
            _learn_detour(known.model, order, tracks[order.id])
        paces = {
            key
            for order in done
            if (key := _learn_pace(known.model, order, ways[order.id], seen.members, ground)) is not None
        }
        for order in seen.ended:
            known.noted.pop(order.id, None)
        _note(known, seen, fixes, ground, ctx.clock.now())
        if changed or paces:
            await ctx.store.run(campus_id, partial(_save, known, paces))
        return len(done)

    async def _tracks(self, campus_id: str, orders: Iterable[Order]) -> dict[str, list[Fix]]:
        """Where the runner of each of these orders was while carrying it out."""
        limit = asyncio.Semaphore(_TRACKS_AT_ONCE)

        async def read(order: Order) -> tuple[str, list[Fix]]:
            since, until = order.assigned_at, order.delivered_at
            if order.runner_id is None or since is None or until is None:
                return order.id, []
            async with limit:
                found = await self._ctx.tracks.read(
                    campus_id, order.runner_id, since_ms=ms(since), until_ms=ms(until), limit=_READINGS
                )
            return order.id, found

        return dict(await asyncio.gather(*(read(order) for order in orders)))


def _read(known: _Campus, uow: UnitOfWork) -> _Look:
    runners = uow.memberships.runners()
    members = {account.id: member for member, account in runners}
    hands = hands_of(uow, {task.runner_id for task in uow.tasks.held() if task.runner_id is not None})
    live = {order.id for hand in hands.values() for _, order in hand}
    ended = list(uow.orders.many([order_id for order_id in known.noted if order_id not in live]).values())
    since = known.served_at + timedelta(milliseconds=1)
    served = uow.stop_visits.served(since)
    orders = uow.orders.many({visit.order_id for visit in served})
    return _Look(hands, members, ended, [(visit, orders.get(visit.order_id)) for visit in served])


def _note(known: _Campus, seen: _Look, fixes: Mapping[str, Fix], ground: CampusGround, now: datetime) -> None:
    """Remember what is expected now of everything under way."""
    here = CampusGround(ground.campus, ground.map, ground.walkways, known.model)
    for runner_id, orders in expect_all(seen.hands, seen.members, fixes, here, now).items():
        for order_id, expected in orders.items():
            noted = known.noted.setdefault(order_id, _Noted(runner_id))
            if len(noted.expected) < MOST_PER_ORDER:
                noted.expected.append((now, expected))
    while len(known.noted) > MOST_ORDERS:
        known.noted.popitem(last=False)


def _learn_errors(model: ArrivalModel, order: Order, noted: _Noted) -> bool:
    assert order.delivered_at is not None
    before = [(at, expected) for at, expected in noted.expected if at < order.delivered_at]
    for at, expected in before:
        actual_s = (order.delivered_at - at).total_seconds()
        model.errors.learn(expected.case, expected.seconds, actual_s, weight=shared_weight(len(before)))
    return bool(before)


def _learn_promise(model: ArrivalModel, order: Order) -> None:
    """How long it took since it was promised, and how long its runner was busy with it."""
    assert order.delivered_at is not None
    if order.pickup_after is None:
        took_s = (order.delivered_at - order.placed_at).total_seconds()
        model.promises.learn(PROMISE, order.quote.duration_s + order.quote.queue_s, took_s)
    if order.assigned_at is not None:
        busy_s = min(MOST_BUSY_S, max(0.0, (order.delivered_at - order.assigned_at).total_seconds()))
        model.services[ERRAND] = model.services.get(ERRAND, Mean()).seen(busy_s, most=_SERVICES_REMEMBERED)


def _ways(tracks: Mapping[str, list[Fix]], ground: CampusGround) -> dict[str, Moved]:
    return {order_id: walked(track, ground.walkways.graph) for order_id, track in tracks.items()}


def _learn_pace(
    model: ArrivalModel, order: Order, way: Moved, members: Mapping[str, Membership], ground: CampusGround
) -> Key | None:
    """The runner whose speed is better known now."""
    member = members.get(order.runner_id or "")
    if member is None or order.assigned_at is None:
        return None
    hour = order.assigned_at.astimezone(ZoneInfo(ground.campus.settings.time_zone)).hour
    key = (member.account_id, member.vehicle)
    return key if model.paces.learn(*key, hour, way.metres, way.seconds) else None


def _learn_detour(model: ArrivalModel, order: Order, track: list[Fix]) -> None:
    """Between pick-up and hand-over, where a runner with one errand goes straight from stop to stop."""
    if order.picked_up_at is None:
        return
    way = [fix for fix in track if fix.fixed_at_ms >= ms(order.picked_up_at)]
    if len(way) > 2:
        straight_m = near_distance_m(way[0].lat, way[0].lon, way[-1].lat, way[-1].lon)
        model.detours.learn(straight_m, line_length_m(simplify_points([fix.point for fix in way], _SMOOTH_M)))


def _learn_services(known: _Campus, served: list[tuple[StopVisit, Order | None]]) -> bool:
    """Seconds at counters and doors, by the kind of errand and of stop; stairs are reckoned apart."""
    changed = False
    for visit, order in served:
        if visit.done_at is not None:
            known.served_at = max(known.served_at, visit.done_at)
        if visit.service_s is None or not LEAST_SERVICE_S <= visit.service_s <= MOST_SERVICE_S:
            continue
        key = service_key(visit.type_code, visit.role)
        seen = known.model.services.get(key, Mean())
        stairs_s = (
            FLOOR_S * sum(storeys(stop.floor) for stop in order.stops if stop.role is visit.role) if order else 0.0
        )
        spent_s = max(LEAST_SERVICE_S, visit.service_s - stairs_s)
        known.model.services[key] = seen.seen(spent_s, most=_SERVICES_REMEMBERED)
        changed = True
    return changed


def _save(known: _Campus, paces: Iterable[Key], uow: UnitOfWork) -> None:
    uow.arrivals.save_figures(figures_of(known.model, ms(known.served_at)))
    found = ((key, known.model.paces.of(key)) for key in sorted(paces))
    uow.arrivals.save_paces((*key, pace) for key, pace in found if pace is not None)


def _lease(campus_id: str) -> str:
    return f"arrivals:{campus_id}"
