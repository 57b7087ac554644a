"""Carries each flush's positions to Redis and to the other workers, one write at a time, newest only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dispatch.live.bus import Bus, PositionRow
from dispatch.live.connect import RedisTrouble, is_passing
from dispatch.live.packing import Chunk, pack_fix
from dispatch.live.presence import Presence
from dispatch.live.tracks import Tracks
from geo.errors import BadPoint
from geo.fix import Fix
from geo.redis_index import RedisGeoIndex

log = logging.getLogger(__name__)

IndexFactory = Callable[[str], RedisGeoIndex]
Fixes = Sequence[tuple[str, Fix]]
#: Runner → newest fix, and the same packed.
Newest = dict[str, tuple[Fix, bytes]]

#: Fixes kept for the tracks while Redis is away; beyond them tracks have a hole, maps never.
MAX_TRACK_PENDING = 50_000

#: Real seconds for which a runner's readings gather into one chunk of its track.
TRACK_EVERY_S = 3.0

#: Business milliseconds after which the index is told again that a runner lives: the sweep, which is the only one to
#: ask, waits for minutes.
NOTE_EVERY_MS = 10_000

_PAUSE_S = 0.2
_NO_CHUNKS: dict[str, Chunk] = {}


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

    def commands(self, campus_id: str, newest: Newest) -> list[Sequence[Any]]:
        """What tells Redis and the other workers of the newest fixes. Raises BadPoint."""
        index = self._indexes.get(campus_id)
        if index is None:
            index = self._indexes[campus_id] = self._index_of(campus_id)
        noted = self._noted.setdefault(campus_id, {})
        due: list[tuple[str, int]] = []
        places: list[tuple[str, float, float]] = []
        items: list[str | bytes] = []
        for runner_id, (fix, packed) in newest.items():
            places.append((runner_id, fix.lat, fix.lon))
            items += (runner_id, packed)
            if fix.received_at_ms - noted.get(runner_id, 0) >= NOTE_EVERY_MS:
                due.append((runner_id, fix.received_at_ms))
        commands: list[Sequence[Any]] = [
            index.places_command(places),
            self.presence.put_command(campus_id, items),
        ]
        if due:
            noted.update(due)
            commands.insert(0, index.seen_command(due))
        if followed := self.bus.wanted(campus_id, list(newest.items())):
            rows = [position_row(runner_id, fix) for runner_id, (fix, _) in followed]
            if (published := self.bus.positions_command(campus_id, rows)) is not None:
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
        self._newest: dict[str, Newest] = {}
        self._gone: dict[str, set[str]] = {}
        self._track: dict[str, dict[str, Chunk]] = {}
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
        newest = self._newest.setdefault(campus_id, {})
        chunks = self._track.get(campus_id, _NO_CHUNKS)
        for runner_id, fix in fixes:
            chunk = chunks.get(runner_id)
            # Most often it is the reading that the track has just been given.
            packed = chunk.parts[-1] if chunk is not None and chunk.last is fix else pack_fix(fix)
            newest[runner_id] = (fix, packed)

    def forget(self, campus_id: str, runner_id: str) -> None:
        self._newest.get(campus_id, {}).pop(runner_id, None)
        self._gone.setdefault(campus_id, set()).add(runner_id)

    def add_track(self, campus_id: str, fixes: Fixes) -> None:
        if self._track_size + len(fixes) > MAX_TRACK_PENDING:
            return
        self._track_size += len(fixes)
        chunks = self._track.setdefault(campus_id, {})
        for runner_id, fix in fixes:
            chunk = chunks.get(runner_id)
            if chunk is None:
                chunk = chunks[runner_id] = Chunk()
            chunk.add(fix)

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
            track: dict[str, dict[str, Chunk]] = {}
            if self._is_track_due:
                track, self._track, self._track_size = self._track, {}, 0
                self._is_track_due = False
            try:
                await self._take_back(gone)
                await self._write(newest)
                for campus_id, chunks in track.items():
                    await self._rooms.tracks.append_chunks(campus_id, chunks)
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

    async def _write(self, newest: dict[str, Newest]) -> None:
        """The indexes, the newest fixes and what others follow, in one round trip."""
        commands: list[Sequence[Any]] = []
        count = 0
        for campus_id, fixes in newest.items():
            if not fixes:
                continue
            try:
                commands += self._rooms.commands(campus_id, fixes)
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
        newest: dict[str, Newest],
        track: dict[str, dict[str, Chunk]],
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
        for campus_id, chunks in track.items():
            self._is_track_due = True
            waiting = self._track.setdefault(campus_id, {})
            for runner_id, chunk in chunks.items():
                size = len(chunk.parts)
                if self._track_size + size > MAX_TRACK_PENDING:
                    continue
                self._track_size += size
                if (later := waiting.get(runner_id)) is None:
                    waiting[runner_id] = chunk
                else:
                    later.parts[:0] = chunk.parts
                    later.newest_ms = max(later.newest_ms, chunk.newest_ms)
