"""Watch geofences: fixes come in by plain calls that never wait; crossings reach the books and the console behind them.

SQL is the truth about who is in which fence. A worker looks there before it judges a runner whom it has not seen for a
while, so that somebody who entered on one worker leaves on another; and it looks again every minute, so that whatever
was lost - a crossing of a worker that died, one that found the queue full - is told late rather than never.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from geo.fence_shape import Circle, Geofence
from geo.fix import Fix
from geo.geofence import Crossing, Geofences, Stay
from geo.point import Point

from ..model.geofence import CampusFence, FenceStay, judged
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .fix_watch import ASK_BATCH, FixWatch, Rhythm, WatchedCampus
from .order_view import ms
from .record_crossings import Gone, record

log = logging.getLogger(__name__)

#: Called on the bus with a campus's id when its fences have changed.
WAKE = "geofences"
#: Fixes kept of a runner whose stays are not known yet; the newest stay.
MAX_WAITING_FIXES = 16


@dataclass(frozen=True, slots=True)
class WatchRhythm(Rhythm):
    """``silent_s``: who was not heard of for so long is forgotten here."""

    silent_s: float = 30.0


@dataclass(slots=True)
class _Campus(WatchedCampus):
    """``waiting``: runners whose stays have not been read yet."""

    fences: Geofences | None = None
    versions: tuple[tuple[str, int], ...] = ()
    is_stale: bool = True
    looked_s: float = 0.0
    waiting: dict[str, deque[Fix]] = field(default_factory=dict)


class FenceWatch(FixWatch[_Campus, Crossing | Gone]):
    """One worker's watch over the fences of all campuses whose runners report to it."""

    name, entries_name, wake, write_batch = "geofences", "crossings of geofences", WAKE, 250
    _rhythm: WatchRhythm

    def __init__(self, ctx: Context, rhythm: WatchRhythm | None = None) -> None:
        super().__init__(ctx, rhythm or WatchRhythm())
        self._touched: set[str] = set()

    @property
    def waiting_fixes(self) -> int:
        """Fixes that are not judged yet."""
        return sum(len(campus.pending) + sum(map(len, campus.waiting.values())) for campus in self._campuses.values())

    def metrics(self) -> Mapping[str, float]:
        """Counters (``_total``) and gauges by name."""
        return {
            "geofence_crossings_total": self.queued,
            "geofence_overflow_total": self.overflows,
            "geofence_write_failures_total": self.failures,
            "geofence_waiting": len(self._queue),
            "geofence_waiting_fixes": self.waiting_fixes,
        }

    # --- what the hub calls

    def forget(self, campus_id: str, runner_id: str) -> None:
        """The runner is off duty or gone: their stays end where they were last seen."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            return
        seen = None if campus.fences is None else campus.fences.last_seen(runner_id)
        self.release(campus_id, runner_id)
        if self._is_watched(campus):
            at_ms = ms(self._ctx.clock.now()) if seen is None else seen.at_ms
            self._enqueue(campus_id, campus, [Gone(runner_id, at_ms, seen)])

    def release(self, campus_id: str, runner_id: str) -> None:
        """The runner reports to this worker no more, as far as is known. They stay where they are."""
        campus = self._campuses.get(campus_id)
        if campus is not None:
            campus.pending.pop(runner_id, None)
            campus.waiting.pop(runner_id, None)
            self._make_stranger(campus, runner_id)

    # --- judging

    def _new_campus(self) -> _Campus:
        return _Campus()

    def _is_watched(self, campus: _Campus) -> bool:
        return campus.fences is None or len(campus.fences) > 0

    def _make_stranger(self, campus: _Campus, runner_id: str) -> None:
        if campus.fences is not None:
            campus.fences.forget(runner_id)

    def _judge(self, campus_id: str, campus: _Campus) -> None:
        if campus.fences is None:  # being loaded; nobody's fix is older than their newest one
            return
        pending, campus.pending = campus.pending, {}
        try:
            ids, fixes = list(pending), list(pending.values())
            crossings, strangers = campus.fences.judge(ids, fixes, self._ctx.clock.monotonic_s())
            for row in strangers:
                campus.waiting.setdefault(ids[row], deque(maxlen=MAX_WAITING_FIXES)).append(fixes[row])
            if strangers:
                self._woken.set()
            if crossings:
                self._enqueue(campus_id, campus, crossings)
        except Exception:
            log.exception("%d fixes were not compared with the geofences of %s", len(pending), campus_id)

    def _enqueue(self, campus_id: str, campus: _Campus, entries: Iterable[Crossing | Gone]) -> None:
        entries = list(entries)
        self._touched.update(entry.runner_id for entry in entries)
        super()._enqueue(campus_id, campus, entries)

    # --- what happens behind

    def _on_wake(self, campus_id: str) -> None:
        campus = self._campuses.get(campus_id)
        if campus is not None:
            campus.is_stale = True
            self._woken.set()

    async def _round(self) -> None:
        now_s = self._ctx.clock.monotonic_s()
        for campus_id, campus in list(self._campuses.items()):
            is_due = now_s - campus.looked_s >= self._rhythm.look_again_s
            if campus.is_stale or is_due:
                await self._load(campus_id, campus, now_s)
        await self._write()
        for campus_id, campus in list(self._campuses.items()):
            if campus.fences is not None:
                for runner_id in campus.fences.silent(now_s - self._rhythm.silent_s):
                    campus.fences.forget(runner_id)
                await self._restore(campus_id, campus)

    async def _load(self, campus_id: str, campus: _Campus, now_s: float) -> None:
        """Read the fences, and lay them out if they have changed; compare who is inside with the books."""
        campus.is_stale = False
        try:
            found = await self._ctx.store.read(campus_id, lambda uow: uow.geofences.active())
            versions = tuple((fence.id, fence.version) for fence in found)
            if campus.fences is None or versions != campus.versions:
                laid = await asyncio.to_thread(_lay_out, found)
                if campus.fences is not None:
                    laid.take_over(campus.fences)
                campus.fences, campus.versions = laid, versions
                self._judge(campus_id, campus)
            else:
                await self._compare(campus_id, campus)
        except BaseException:
            campus.is_stale = True
            raise
        campus.looked_s = now_s

    async def _compare(self, campus_id: str, campus: _Campus) -> None:
        """Take what the books say for true of everybody whose crossings are written."""
        assert campus.fences is not None
        known = campus.fences.runner_ids - self._queued_runners()
        self._touched.clear()
        for stays in await self._ask(campus_id, sorted(known)):
            for runner_id, opened in stays.items():
                if runner_id in self._touched or (seen := campus.fences.last_seen(runner_id)) is None:
                    continue
                if campus.fences.inside(runner_id).keys() != {stay.fence_id for stay in opened}:
                    campus.fences.admit(runner_id, _stays(opened), seen)

    async def _restore(self, campus_id: str, campus: _Campus) -> None:
        """Admit runners with the stays that the books know of, and judge what they sent meanwhile."""
        assert campus.fences is not None
        for stays in await self._ask(campus_id, sorted(campus.waiting.keys() - self._queued_runners())):
            busy = self._queued_runners()
            for runner_id, opened in stays.items():
                if runner_id in busy or runner_id not in campus.waiting:
                    continue
                fixes = campus.waiting.pop(runner_id)
                campus.fences.admit(runner_id, _stays(opened))
                batch, now_s = [(runner_id, fix) for fix in fixes], self._ctx.clock.monotonic_s()
                self._enqueue(campus_id, campus, campus.fences.observe(batch, now_s))
        if campus.waiting:
            self._woken.set()

    async def _ask(self, campus_id: str, runner_ids: Sequence[str]) -> list[dict[str, list[FenceStay]]]:
        """The open stays of these runners, all of whom are in the answer."""
        answers = []
        for first in range(0, len(runner_ids), ASK_BATCH):
            asked = runner_ids[first : first + ASK_BATCH]
            found = await self._ctx.store.read(campus_id, partial(_open_of, asked))
            answers.append({runner_id: found.get(runner_id, []) for runner_id in asked})
        return answers

    @staticmethod
    def _record(entries: Sequence[Crossing | Gone], uow: UnitOfWork) -> int:
        return record(uow, entries)

    def _queued_runners(self) -> set[str]:
        return {entry.runner_id for _, entry in self._queue}


def _open_of(runner_ids: Sequence[str], uow: UnitOfWork) -> dict[str, list[FenceStay]]:
    return uow.geofence_stays.open_of(runner_ids)


def _lay_out(fences: Sequence[CampusFence]) -> Geofences:
    laid = [judged(fence) for fence in fences]
    return Geofences(laid, _somewhere_in(laid[0]) if laid else Point(0.0, 0.0))


def _somewhere_in(fence: Geofence) -> Point:
    return fence.shape.center if isinstance(fence.shape, Circle) else fence.shape.ring[0]


def _stays(opened: Iterable[FenceStay]) -> list[tuple[str, Stay]]:
    return [(stay.fence_id, Stay(ms(stay.entered_at), stay.has_dwelled)) for stay in opened]
