"""Look after orders: every few seconds, whether those under way go as they should, and when each will be there.

What a look needs to know of the looks before it - where a runner stands and since when, how near they have come - is
kept in memory, bounded by what is in hand now, and read from the tracks by a process that has just begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from geo.fix import Fix
from geo.point import Point

from ..model.account import Membership
from ..model.alarm import AlarmRules, Finding, Heading, Trail, look_at_hand, next_of
from ..model.delay import Delay, is_delayed, is_news
from ..model.order import LIVE, Order
from ..model.task import Task
from ..store.unit_of_work import UnitOfWork
from .arrival import Hand, arrivals
from .campus_ground import CampusGround
from .context import Context
from .instants import ms
from .raise_alert import raise_alert
from .tell_delay import expected_at, tell_delay

log = logging.getLogger(__name__)

#: Business seconds between looks.
LOOK_EVERY_S = 15.0
#: Runners whose past is read in one look; the others' begins now.
TRAILS_PER_LOOK = 20
#: Runners that are looked at in one go; then whatever else waits in this process has its turn.
_TURN = 25

_TEXTS: Mapping[str, tuple[str, str]] = {
    "late_departure": ("订单 {code}:骑手接单后 {n} 分钟未出发", "Order {code}: its runner has not set out for {n} min"),
    "off_course": (
        "订单 {code}:骑手偏离路线 {n} 米",
        "Order {code}: its runner has gone {n} m away from where it should go",
    ),
    "stopped": ("订单 {code}:送件途中停留 {n} 分钟", "Order {code}: stopped for {n} min while being carried"),
    "runner_silent": (
        "订单 {code}:{n} 分钟没有骑手的位置",
        "Order {code}: no word from its runner's phone for {n} min",
    ),
}


@dataclass(frozen=True, slots=True)
class _Books:
    hands: Mapping[str, Sequence[tuple[Task, Order]]]
    waiting: Sequence[Order]
    members: Mapping[str, Membership]
    delays: Mapping[str, Delay]


@dataclass(slots=True)
class _Memory:
    """Of one campus. ``doubted``: orders that the last look expected late; ``raised``: what need not be said again."""

    trails: dict[str, Trail] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    raised: set[tuple[str, str]] = field(default_factory=set)


class Lookout:
    """One process's look after the orders of all campuses. Several may look: what is told is told once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._memories: dict[str, _Memory] = {}

    async def look(self) -> int:
        """Look once at every campus; how many alerts and delays were new."""
        told = 0
        for campus in await self._ctx.store.read_global(lambda unit: unit.campuses.all()):
            try:
                told += await self._look_at(campus.id)
            except Exception:
                log.exception("nobody looked after the orders of %s; the next look tries again", campus.id)
        if told:
            self._ctx.announce()
        return told

    async def _look_at(self, campus_id: str) -> int:
        books = await self._ctx.store.read(campus_id, _read)
        memory = self._memories.setdefault(campus_id, _Memory())
        _forget(memory, books)
        if not books.hands and not books.waiting:
            return 0
        ground = await self._ctx.grounds.get(campus_id)
        fixes = await self._ctx.presence.get(campus_id, sorted(books.hands))
        now, rules = self._ctx.clock.now(), ground.campus.settings.alarms
        await self._remember(campus_id, memory, books, fixes, rules, now)
        findings: list[Finding] = []
        expected: dict[str, datetime] = {}
        for number, (runner_id, hand) in enumerate(books.hands.items()):
            fix = fixes.get(runner_id)
            headings = [] if fix is None else _headings(hand, fix, ground)
            findings += look_at_hand(runner_id, hand, headings, memory.trails.get(runner_id), rules, now)
            expected |= _expected(hand, books.members.get(runner_id), fix, ground, now)
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        for order in books.waiting:
            expected[order.id] = expected_at(order, {}, now) or now
        findings = [one for one in findings if (one.kind, one.subject_id) not in memory.raised]
        late = _late(memory, books, expected, now)
        if not findings and not late:
            return 0
        told = await self._ctx.store.run(campus_id, partial(_write, findings, late))
        memory.raised.update((one.kind, one.subject_id) for one in findings)
        return told

    async def _remember(
        self,
        campus_id: str,
        memory: _Memory,
        books: _Books,
        fixes: Mapping[str, Fix],
        rules: AlarmRules,
        now: datetime,
    ) -> None:
        """Add what is seen now to each trail, and begin those that are new with what the tracks know."""
        new = [runner_id for runner_id in books.hands if runner_id not in memory.trails]
        since = now - timedelta(seconds=max(rules.stopped_s, rules.late_departure_s) + 60)
        for runner_id in new[:TRAILS_PER_LOOK]:
            past = await self._ctx.tracks.read(campus_id, runner_id, since_ms=ms(since), until_ms=ms(now), limit=500)
            for fix in past:
                _move(memory, runner_id, fix)
        for runner_id, fix in fixes.items():
            trail = memory.trails.get(runner_id)
            if trail is None or _at(fix) >= trail.seen_at:
                _move(memory, runner_id, fix)


def _read(uow: UnitOfWork) -> _Books:
    held, takeable = uow.tasks.held(), uow.tasks.takeable()
    orders = uow.orders.many({task.order_id for task in held + takeable})
    hands: dict[str, list[tuple[Task, Order]]] = {}
    for task in held:
        if task.runner_id is not None:
            hands.setdefault(task.runner_id, []).append((task, orders[task.order_id]))
    members = {member.account_id: member for member, _ in uow.memberships.runners()} if hands else {}
    waiting = [orders[task.order_id] for task in takeable]
    return _Books(hands, waiting, members, uow.delays.of_orders(list(orders)))


def _forget(memory: _Memory, books: _Books) -> None:
    """Keep nothing of what is over."""
    memory.trails = {runner: trail for runner, trail in memory.trails.items() if runner in books.hands}
    live = {order.id for hand in books.hands.values() for _, order in hand}
    memory.raised = {one for one in memory.raised if one[1].partition(":")[0] in live}
    memory.doubted &= live | {order.id for order in books.waiting}


def _move(memory: _Memory, runner_id: str, fix: Fix) -> None:
    at = _at(fix)
    trail = memory.trails.get(runner_id)
    if trail is None:
        memory.trails[runner_id] = Trail(fix.point, at, at, fix.accuracy_m or 0.0)
    else:
        trail.move(fix.point, at, fix.accuracy_m or 0.0)


def _at(fix: Fix) -> datetime:
    return datetime.fromtimestamp(fix.fixed_at_ms / 1000, UTC)


def _headings(hand: Sequence[tuple[Task, Order]], fix: Fix, ground: CampusGround) -> list[Heading]:
    found = []
    for task, order in hand:
        stop = next_of(task, order)
        if stop is not None:
            found.append(Heading(task, order, stop, ground.walkways.walk_m(fix.point, Point(stop.lat, stop.lon))))
    return found


def _expected(
    hand: Hand, member: Membership | None, fix: Fix | None, ground: CampusGround, now: datetime
) -> dict[str, datetime]:
    """When each of a runner's orders will be there; nothing while nobody knows where the runner is."""
    if fix is None:
        return {}
    etas = arrivals(hand, member, fix, ground, now)
    found = {order.id: expected_at(order, etas, now) for _, order in hand}
    return {order_id: at for order_id, at in found.items() if at is not None}


def _late(
    memory: _Memory, books: _Books, expected: Mapping[str, datetime], now: datetime
) -> list[tuple[str, datetime]]:
    """Delays that are news. What is only foreseen has to be foreseen by two looks: a plan may change in between."""
    found: list[tuple[str, datetime]] = []
    doubted: set[str] = set()
    for order in [*books.waiting, *(order for hand in books.hands.values() for _, order in hand)]:
        at = expected.get(order.id)
        known = books.delays.get(order.id)
        if at is None or not is_news(known, order.promised_at, at, now):
            continue
        is_sure = now > order.promised_at or order.id in memory.doubted
        doubted.add(order.id)
        if is_sure and (known is not None or is_delayed(order.promised_at, at, now)):
            found.append((order.id, at))
    memory.doubted = doubted
    return found


def _write(findings: Sequence[Finding], late: Sequence[tuple[str, datetime]], uow: UnitOfWork) -> int:
    """Raise and tell what is still so; how much of it was new."""
    told = 0
    orders = uow.orders.many({one.order_id for one in findings} | {order_id for order_id, _ in late})
    for one in findings:
        order = orders.get(one.order_id)
        if order is None or order.status not in LIVE or order.runner_id != one.runner_id:
            continue
        values = {"code": order.id[-6:], "n": one.figure}
        text_zh, text_en = (text.format(**values) for text in _TEXTS[one.kind])
        told += raise_alert(uow, one.kind, one.subject_id, text_zh, text_en, order)
    for order_id, at in late:
        order = orders.get(order_id)
        told += order is not None and tell_delay(uow, order, at)
    return told
