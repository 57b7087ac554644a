"""Carries each flush's positions to Redis and to the other workers, one write at a time, newest only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dispatch.live.bus import Bus, PositionRow
from dispatch.live.connect import RedisTrouble, is_passing
from dispatch.live.presence import Presence
from dispatch.live.tracks import Tracks
from geo.errors import BadPoint
from geo.fix import Fix
from geo.redis_index import RedisGeoIndex

log = logging.getLogger(__name__)

IndexFactory = Callable[[str], RedisGeoIndex]
Fixes = Sequence[tuple[str, Fix]]

#: Fixes kept for the tracks while Redis is away; beyond them tracks have a hole, maps never.
MAX_TRACK_PENDING = 50_000

#: Real seconds for which a runner's readings gather into one chunk of its track.
TRACK_EVERY_S = 3.0

#: Business milliseconds after which the index is told again that a runner lives: the sweep, which is the only one to
#: ask, waits for minutes.
NOTE_EVERY_MS = 10_000

_PAUSE_S = 0.2


def position_row(runner_id: str, fix: Fix) -> PositionRow:
    """A fix as a ``pos`` frame carries it."""
    return (
        runner_id,
        fix.lat,
        fix.lon,
        fix.fixed_at_ms,
        fix.bearing_deg,
        fix.speed_mps,
        fix.accuracy_m,
        fix.received_at_ms,
    )


class PositionWriter:
    """While a write is on its way the next batch gathers; a slow Redis makes batches larger, never the hub wait.

    Campuses of one server go together. On a cluster each goes by itself: its server may be away while others are there.
    """

    def __init__(self, bus: Bus, presence: Presence, tracks: Tracks, index_of: IndexFactory) -> None:
        self._rooms = _Rooms(bus, presence, tracks, index_of)
        self._lanes: dict[str, _Lane] = {}
        self._track_due_s = 0.0

    @property
    def pending(self) -> int:
        """Positions that Redis does not have yet."""
        return sum(lane.pending for lane in self._lanes.values())

    @property
    def failures(self) -> int:
        return self._rooms.failures

    @property
    def written(self) -> int:
        """Positions that the index was given."""
        return self._rooms.written

    def add(self, campus_id: str, fixes: Fixes) -> None:
        """These are the newest fixes of their runners."""
        self._lane(campus_id).add(campus_id, fixes)

    def forget(self, campus_id: str, runner_id: str) -> None:
        """Write nothing more of this runner's position and take back what was written, after what is on its way."""
        self._lane(campus_id).forget(campus_id, runner_id)

    def add_track(self, campus_id: str, fixes: Fixes) -> None:
        """These were believed, in whatever order."""
        self._lane(campus_id).add_track(campus_id, fixes)

    def note_again(self, campus_id: str, runner_ids: Iterable[str] | None = None) -> None:
        """Redis may not know any more that these runners live (None: anybody of the campus)."""
        self._rooms.note_again(campus_id, runner_ids)

    def forget_silent(self, before_ms: int) -> None:
        """Keep nothing of runners of whom nothing was written since."""
        self._rooms.forget_silent(before_ms)

    def kick(self, now_s: float) -> None:
        """Begin to write unless a write is on its way, which will take this along; tracks only every few seconds."""
        is_track_due = now_s >= self._track_due_s
        if is_track_due:
            self._track_due_s = now_s + TRACK_EVERY_S
        for lane in self._lanes.values():
            lane.kick(is_track_due)

    async def finish(self) -> None:
        """Write what is pending, once."""
        self.kick(float("inf"))
        await asyncio.gather(*(lane.finish() for lane in self._lanes.values()))
        self._rooms.presence.close()

    def _lane(self, campus_id: str) -> _Lane:
        name = campus_id if self._rooms.presence.is_spread else ""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(self._rooms)
        return lane


class _Rooms:
    """What all lanes write to, and what they have done together."""

    def __init__(self, bus: Bus, presence: Presence, tracks: Tracks, index_of: IndexFactory) -> None:
        self.bus = bus
        self.presence = presence
        self.tracks = tracks
        self._index_of = index_of
        self._indexes: dict[str, RedisGeoIndex] = {}
        self._noted: dict[str, dict[str, int]] = {}  # campus → runner → when the index was last told that they live
        self.failures = self.written = 0

    def commands(self, campus_id: str, fixes: Fixes) -> list[Sequence[Any]]:
        """What tells Redis and the other workers of the newest fixes. Raises BadPoint."""
        index = self._indexes.get(campus_id)
        if index is None:
            index = self._indexes[campus_id] = self._index_of(campus_id)
        commands: list[Sequence[Any]] = []
        noted = self._noted.setdefault(campus_id, {})
        due = [
            (runner_id, fix.received_at_ms)
            for runner_id, fix in fixes
            if fix.received_at_ms - noted.get(runner_id, 0) >= NOTE_EVERY_MS
        ]
        if due:
            noted.update(due)
            commands.append(index.seen_command(due))
        commands.append(index.places_command([(runner_id, fix.lat, fix.lon) for runner_id, fix in fixes]))
        commands.append(self.presence.put_command(campus_id, fixes))
        if followed := self.bus.wanted(campus_id, fixes):
            published = self.bus.positions_command(campus_id, [position_row(one, fix) for one, fix in followed])
            if published is not None:
                commands.append(published)
        return commands

    def note_again(self, campus_id: str, runner_ids: Iterable[str] | None = None) -> None:
        """The index may have forgotten these (None: anybody)."""
        if runner_ids is None:
            self._noted.pop(campus_id, None)
        elif noted := self._noted.get(campus_id):
            for runner_id in runner_ids:
                noted.pop(runner_id, None)

    def forget_silent(self, before_ms: int) -> None:
        for campus_id, noted in self._noted.items():
            self._noted[campus_id] = {runner_id: at_ms for runner_id, at_ms in noted.items() if at_ms >= before_ms}


class _Lane:
    """What waits for one server."""

    def __init__(self, rooms: _Rooms) -> None:
        self._rooms = rooms
        self._newest: dict[str, dict[str, Fix]] = {}
        self._gone: dict[str, set[str]] = {}
        self._track: dict[str, list[tuple[str, Fix]]] = {}
        self._track_size = 0
        self._is_track_due = False
        self._is_failing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        return sum(len(fixes) for fixes in self._newest.values())

    @property
    def _has_work(self) -> bool:
        return bool(self._newest or self._gone or (self._track and self._is_track_due))

    def add(self, campus_id: str, fixes: Fixes) -> None:
        if self._gone and (gone := self._gone.get(campus_id)):
            gone.difference_update(runner_id for runner_id, _ in fixes)
        newest = self._newest.get(campus_id)
        if newest is None:
            self._newest[campus_id] = dict(fixes)
        else:
            newest.update(fixes)

    def forget(self, campus_id: str, runner_id: str) -> None:
        self._newest.get(campus_id, {}).pop(runner_id, None)
        self._gone.setdefault(campus_id, set()).add(runner_id)

    def add_track(self, campus_id: str, fixes: Fixes) -> None:
        if self._track_size + len(fixes) <= MAX_TRACK_PENDING:
            self._track.setdefault(campus_id, []).extend(fixes)
            self._track_size += len(fixes)

    def kick(self, is_track_due: bool) -> None:
        self._is_track_due = is_track_due or self._is_track_due
        if self._has_work and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write_all(), name="positions")

    async def finish(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=2.0)
            self._task.cancel()

    async def _write_all(self) -> None:
        while self._has_work:
            newest, self._newest = self._newest, {}
            gone, self._gone = self._gone, {}
            track: dict[str, list[tuple[str, Fix]]] = {}
            if self._is_track_due:
                track, self._track, self._track_size = self._track, {}, 0
                self._is_track_due = False
            try:
                await self._take_back(gone)
                await self._write(newest)
                for campus_id, readings in track.items():
                    await self._rooms.tracks.append_many(campus_id, readings)
            except RedisTrouble as error:
                if not self._is_failing:
                    log.warning("positions wait for Redis: %r", error)
                self._is_failing = True
                self._rooms.failures += 1
                self._put_back(newest, track, gone)
                await asyncio.sleep(_PAUSE_S)
            except Exception:
                log.exception("a batch of positions was lost")
            else:
                self._is_failing = False

    async def _write(self, newest: dict[str, dict[str, Fix]]) -> None:
        """The indexes, the newest fixes and what others follow, in one round trip."""
        commands: list[Sequence[Any]] = []
        count = 0
        for campus_id, fixes in newest.items():
            if not fixes:
                continue
            try:
                commands += self._rooms.commands(campus_id, list(fixes.items()))
                count += len(fixes)
            except BadPoint:
                # It passed the filters, so that this is a bug of ours; the campus's next flush is another.
                log.exception("a flush of %s was lost", campus_id)
        if not commands:
            return
        refused: Exception | None = None
        for answer in await self._rooms.presence.send(commands):
            if isinstance(answer, Exception):
                if is_passing(answer):
                    raise answer
                refused = answer
        if refused is not None:
            # To say the same again would get the same answer for ever.
            log.error("Redis refused a part of a flush: %r", refused)
        self._rooms.written += count

    async def _take_back(self, gone: dict[str, set[str]]) -> None:
        for campus_id, runner_ids in gone.items():
            if runner_ids:
                await self._rooms.presence.remove(campus_id, sorted(runner_ids))
                await self._rooms.bus.publish_gone(campus_id, sorted(runner_ids))

    def _put_back(
        self,
        newest: dict[str, dict[str, Fix]],
        track: dict[str, list[tuple[str, Fix]]],
        gone: dict[str, set[str]],
    ) -> None:
        """What came meanwhile is newer and wins; writing the same reading again changes nothing."""
        for campus_id, fixes in newest.items():
            self._rooms.note_again(campus_id, fixes)
            left = self._gone.get(campus_id, set())
            kept = {runner_id: fix for runner_id, fix in fixes.items() if runner_id not in left}
            self._newest[campus_id] = kept | self._newest.get(campus_id, {})
        for campus_id, runner_ids in gone.items():
            back = self._newest.get(campus_id, {})
            self._gone.setdefault(campus_id, set()).update(one for one in runner_ids if one not in back)
        for campus_id, readings in track.items():
            self.add_track(campus_id, readings)
            self._is_track_due = True
