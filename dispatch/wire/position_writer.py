"""Carries each flush's positions to Redis and to the other workers, one write at a time, newest only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from dispatch.live.bus import Bus, PositionRow
from dispatch.live.connect import RedisTrouble
from dispatch.live.presence import Presence
from dispatch.live.tracks import Tracks
from geo.fix import Fix
from geo.redis_index import RedisGeoIndex

log = logging.getLogger(__name__)

IndexFactory = Callable[[str], RedisGeoIndex]

#: Fixes kept for the tracks while Redis is away; beyond them tracks have a hole, maps never.
MAX_TRACK_PENDING = 50_000

#: Real seconds for which a runner's readings gather into one chunk of its track.
TRACK_EVERY_S = 3.0


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
    """While a write is on its way the next batch gathers; a slow Redis makes batches larger, never the hub wait."""

    def __init__(self, bus: Bus, presence: Presence, tracks: Tracks, index_of: IndexFactory) -> None:
        self._bus = bus
        self._presence = presence
        self._tracks = tracks
        self._index_of = index_of
        self._newest: dict[str, dict[str, Fix]] = {}
        self._gone: dict[str, set[str]] = {}
        self._track: dict[str, list[tuple[str, Fix]]] = {}
        self._track_size = 0
        self._track_due_s = 0.0
        self._is_track_due = False
        self._indexes: dict[str, RedisGeoIndex] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self.failures = 0
        self.written = 0

    @property
    def pending(self) -> int:
        """Positions that Redis does not have yet."""
        return sum(len(fixes) for fixes in self._newest.values())

    def add(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        newest = self._newest.setdefault(campus_id, {})
        if self._gone and (gone := self._gone.get(campus_id)):
            gone.difference_update(runner_id for runner_id, _ in fixes)
        for runner_id, fix in fixes:
            newest[runner_id] = fix

    def forget(self, campus_id: str, runner_id: str) -> None:
        """Write nothing more of this runner's position and take back what was written, after what is on its way."""
        self._newest.get(campus_id, {}).pop(runner_id, None)
        self._gone.setdefault(campus_id, set()).add(runner_id)

    def add_track(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        if self._track_size + len(fixes) <= MAX_TRACK_PENDING:
            self._track.setdefault(campus_id, []).extend(fixes)
            self._track_size += len(fixes)

    def kick(self, now_s: float) -> None:
        """Begin to write unless a write is on its way, which will take this along; tracks only every few seconds."""
        self._is_track_due = now_s >= self._track_due_s
        if self._is_track_due:
            self._track_due_s = now_s + TRACK_EVERY_S
        if self._has_work and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write_all(), name="positions")

    @property
    def _has_work(self) -> bool:
        return bool(self._newest or self._gone or (self._track and self._is_track_due))

    async def finish(self) -> None:
        """Write what is pending, once."""
        self.kick(float("inf"))
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
            try:
                for campus_id, runner_ids in gone.items():
                    await self._take_back(campus_id, sorted(runner_ids))
                for campus_id, fixes in newest.items():
                    await self._write(campus_id, list(fixes.items()))
                for campus_id, readings in track.items():
                    await self._tracks.append_many(campus_id, readings)
            except RedisTrouble as error:
                if not self._is_failing:
                    log.warning("positions wait for Redis: %r", error)
                self._is_failing = True
                self.failures += 1
                self._put_back(newest, track, gone)
                await asyncio.sleep(0.2)
            except Exception:
                log.exception("a batch of positions was lost")
            else:
                self._is_failing = False

    async def _write(self, campus_id: str, fixes: list[tuple[str, Fix]]) -> None:
        """The index, the newest fixes and what others follow, in one round trip."""
        if not fixes:
            return
        index = self._indexes.get(campus_id)
        if index is None:
            index = self._indexes[campus_id] = self._index_of(campus_id)
        commands = index.put_commands([(one, fix.lat, fix.lon, fix.received_at_ms) for one, fix in fixes])
        commands.append(self._presence.put_command(campus_id, fixes))
        followed = self._bus.wanted(campus_id, fixes)
        if followed:
            commands.append(self._bus.positions_command(campus_id, [position_row(one, fix) for one, fix in followed]))
        await self._presence.send(commands)
        self.written += len(fixes)

    async def _take_back(self, campus_id: str, runner_ids: list[str]) -> None:
        if runner_ids:
            await self._presence.remove(campus_id, runner_ids)
            await self._bus.publish_gone(campus_id, runner_ids)

    def _put_back(
        self,
        newest: dict[str, dict[str, Fix]],
        track: dict[str, list[tuple[str, Fix]]],
        gone: dict[str, set[str]],
    ) -> None:
        """What came meanwhile is newer and wins; writing the same reading again changes nothing."""
        for campus_id, fixes in newest.items():
            left = self._gone.get(campus_id, set())
            kept = {runner_id: fix for runner_id, fix in fixes.items() if runner_id not in left}
            self._newest[campus_id] = kept | self._newest.get(campus_id, {})
        for campus_id, runner_ids in gone.items():
            back = self._newest.get(campus_id, {})
            self._gone.setdefault(campus_id, set()).update(one for one in runner_ids if one not in back)
        for campus_id, readings in track.items():
            self.add_track(campus_id, readings)
