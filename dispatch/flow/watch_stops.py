"""Watch stops: whether runners come near and reach the stops that they have before them; no call waits, I/O is behind.

What somebody has before them is read from the books when they are first seen, when the relay says that an errand has
moved on, and now and then; what comes of their fixes is written behind the flush and told from the books.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from geo.fix import Fix
from geo.point import Point
from geo.stop_rings import Approach, StopRings, Target

from ..model.event import Event, EventKind
from ..model.visit import stop_ahead
from ..store.stop_visits import Ahead
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .fix_watch import ASK_BATCH, FixWatch, Rhythm, WatchedCampus
from .record_visits import record_visits, target_id

log = logging.getLogger(__name__)

#: Called on the bus with a campus's id and the runners whose errands have moved on.
WAKE = "stops"
_MOVES_ON = frozenset({
    EventKind.TASK_ASSIGNED, EventKind.TASK_REASSIGNED, EventKind.TASK_REOPENED, EventKind.ORDER_PICKED_UP,
    EventKind.ORDER_DELIVERED, EventKind.ORDER_CANCELLED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class StopRhythm(Rhythm):
    """Somebody may wait at the stop: sooner than for fences."""

    write_every_s: float = 0.3
    look_again_s: float = 30.0


@dataclass(slots=True)
class _Campus(WatchedCampus):
    """``stale``: runners whose stops must be read (again). ``waiting``: the newest fix of those never read."""

    rings: StopRings | None = None
    waiting: dict[str, Fix] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    looked_s: float = 0.0


class StopWatch(FixWatch[_Campus, Approach]):
    """One worker's watch over the stops that the runners who report to it have before them."""

    name, entries_name, wake, write_batch = "stops", "approaches of stops", WAKE, 100

    def __init__(self, ctx: Context, rhythm: StopRhythm | None = None) -> None:
        super().__init__(ctx, rhythm or StopRhythm())

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that was seen and said is judged and written."""
        return not self._queue and not any(one.pending or one.waiting or one.stale for one in self._campuses.values())

    def metrics(self) -> Mapping[str, float]:
        """Counters (``_total``) and gauges by name."""
        return {
            "stop_approaches_total": self.queued,
            "stop_overflow_total": self.overflows,
            "stop_write_failures_total": self.failures,
            "stops_watched": sum(0 if one.rings is None else len(one.rings) for one in self._campuses.values()),
        }

    # --- what the hub calls

    def forget(self, campus_id: str, runner_id: str) -> None:
        """The runner is off duty or gone; where they were stays in the books."""
        self.release(campus_id, runner_id)

    def release(self, campus_id: str, runner_id: str) -> None:
        """The runner reports to this worker no more, as far as is known."""
        campus = self._campuses.get(campus_id)
        if campus is not None:
            campus.pending.pop(runner_id, None)
            campus.waiting.pop(runner_id, None)
            campus.stale.discard(runner_id)
            self._make_stranger(campus, runner_id)

    # --- judging

    def _new_campus(self) -> _Campus:
        return _Campus()

    def _make_stranger(self, campus: _Campus, runner_id: str) -> None:
        if campus.rings is not None:
            campus.rings.forget(runner_id)

    def _judge(self, campus_id: str, campus: _Campus) -> None:
        pending, campus.pending = campus.pending, {}
        if campus.rings is None:
            campus.waiting.update(pending)
            return
        try:
            ids, fixes = list(pending), list(pending.values())
            approaches, strangers = campus.rings.judge(ids, fixes)
            for number in strangers:
                campus.waiting[ids[number]] = fixes[number]
            if strangers:
                self._woken.set()
            if approaches:
                self._enqueue(campus_id, campus, approaches)
        except Exception:
            log.exception("%d fixes were not compared with the stops of %s", len(pending), campus_id)

    # --- what happens behind

    def _on_wake(self, what: str) -> None:
        campus_id, *runner_ids = what.split()
        campus = self._campuses.get(campus_id)
        if campus is not None and campus.rings is not None:
            known = campus.rings.runner_ids
            campus.stale.update(runner_id for runner_id in runner_ids if runner_id in known)
            if campus.stale:
                self._woken.set()

    async def _round(self) -> None:
        now_s = self._ctx.clock.monotonic_s()
        await self._write()
        for campus_id, campus in list(self._campuses.items()):
            if campus.rings is None:
                ground = await self._ctx.grounds.get(campus_id)
                campus.rings = StopRings(ground.map.center)
            if now_s - campus.looked_s >= self._rhythm.look_again_s:
                campus.looked_s = now_s
                campus.stale |= campus.rings.runner_ids
            await self._ask(campus_id, campus)

    async def _ask(self, campus_id: str, campus: _Campus) -> None:
        """Read what runners have before them, and judge what the new ones sent meanwhile."""
        assert campus.rings is not None
        asked = [*campus.waiting, *(campus.stale - campus.waiting.keys())][:ASK_BATCH]
        if not asked:
            return
        campus.stale.difference_update(asked)
        try:
            found = await self._ctx.store.read(campus_id, partial(_ahead, asked))
        except BaseException:
            campus.stale.update(asked)
            raise
        for runner_id in asked:
            if runner_id in campus.waiting or runner_id in campus.rings.runner_ids:  # else released meanwhile
                campus.rings.aim(runner_id, found.get(runner_id, ()))
        fixes = {runner_id: campus.waiting.pop(runner_id) for runner_id in asked if runner_id in campus.waiting}
        approaches, _ = campus.rings.judge(list(fixes), list(fixes.values()))
        self._enqueue(campus_id, campus, approaches)
        if campus.waiting or campus.stale:
            self._woken.set()

    @staticmethod
    def _record(entries: Sequence[Approach], uow: UnitOfWork) -> int:
        return record_visits(uow, entries)


async def wake_watches(ctx: Context, campus_id: str, events: Iterable[Event]) -> None:
    """Tell the workers whose errands have moved on by these events."""
    moved = {
        runner_id
        for event in events
        if event.kind in _MOVES_ON
        for runner_id in (event.runner_id, event.former_runner_id)
        if runner_id
    }
    if moved:
        await ctx.bus.wake(WAKE, " ".join((campus_id, *sorted(moved))))


def _ahead(runner_ids: Sequence[str], uow: UnitOfWork) -> dict[str, list[Target]]:
    found: dict[str, list[Target]] = {}
    for one in uow.stop_visits.ahead(runner_ids):
        target = _target(one)
        if target is not None:
            found.setdefault(one.runner_id, []).append(target)
    return found


def _target(one: Ahead) -> Target | None:
    stop = stop_ahead(one.stops, one.status)
    return None if stop is None else Target(target_id(one.order_id, stop.role), Point(stop.lat, stop.lon))
