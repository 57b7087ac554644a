"""Finds out where a runner is when somebody begins to follow them: what this worker knows itself, then Redis."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from dispatch.flow.track_runner import LiveTable
from dispatch.live.bus import PositionRow
from dispatch.live.presence import Presence
from geo.fix import Fix

from .position_writer import position_row

log = logging.getLogger(__name__)

#: Real seconds after which Redis is read a second time: until other workers know what is followed here they send
#: nothing of it, and a fix that they took meanwhile is in Redis alone.
SECOND_LOOK_S = 1.0
#: Real seconds for which this worker's own newest fix of a runner says where they are; later another may know better.
RECENT_S = 10.0
_ANSWER_S = 3.0
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)

Deliver = Callable[[str, list[PositionRow]], None]


class Whereabouts:
    """Questions gather while an answer is on its way, so that a thousand followers at once cost a few reads."""

    def __init__(
        self,
        table: LiveTable,
        presence: Presence,
        now_ms: Callable[[], int],
        silent_since_ms: Callable[[], int],
        rate: float,
        is_heard: Callable[[str], Awaitable[None]],
        deliver: Deliver,
    ) -> None:
        """``now_ms`` is business time, which runs ``rate`` times as fast as real time; who was not heard of since
        ``silent_since_ms`` is nowhere; ``is_heard`` waits until the campus's bus is heard here."""
        self._table = table
        self._presence = presence
        self._now_ms = now_ms
        self._silent_since_ms = silent_since_ms
        self._rate = rate
        self._is_heard = is_heard
        self._deliver = deliver
        self._asked: dict[str, dict[str, None]] = {}
        self._asked_all: set[str] = set()
        self._gone: dict[str, set[str]] = {}  # who left while an answer was on its way that may not know it yet
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: deque[asyncio.TimerHandle] = deque()

    def ask(self, campus_id: str, runner_ids: Sequence[str] | None) -> None:
        """Deliver the newest positions of these runners (None: of all): what is known here before this returns."""
        since_ms = self._silent_since_ms()
        recent_ms = self._now_ms() - round(RECENT_S * 1000 * self._rate)
        known: list[tuple[str, Fix]] = []
        if runner_ids is None:
            known = self._table.everybody(since_ms).get(campus_id, [])
        else:
            elsewhere = []
            for runner_id in runner_ids:
                fix = self._table.newest(campus_id, runner_id)
                if fix is not None and fix.received_at_ms >= since_ms:
                    known.append((runner_id, fix))
                if fix is None or fix.received_at_ms < recent_ms:
                    elsewhere.append(runner_id)
            runner_ids = elsewhere
        if known:
            self._deliver(campus_id, [position_row(runner_id, fix) for runner_id, fix in known])
        if runner_ids is None or runner_ids:
            self._read(campus_id, runner_ids)
            loop = asyncio.get_running_loop()
            while self._again and self._again[0].when() <= loop.time():
                self._again.popleft()
            self._again.append(loop.call_later(SECOND_LOOK_S, self._read, campus_id, runner_ids))

    def gone(self, campus_id: str, runner_ids: Iterable[str]) -> None:
        """These have left: an answer that is on its way does not bring them back."""
        if campus_id in self._tasks:
            self._gone.setdefault(campus_id, set()).update(runner_ids)

    async def stop(self) -> None:
        for again in self._again:
            again.cancel()
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _read(self, campus_id: str, runner_ids: Sequence[str] | None) -> None:
        if runner_ids is None:
            self._asked_all.add(campus_id)
        else:
            self._asked.setdefault(campus_id, {}).update(dict.fromkeys(runner_ids))
        if campus_id not in self._tasks:
            self._tasks[campus_id] = asyncio.create_task(self._answer(campus_id), name="whereabouts")

    async def _answer(self, campus_id: str) -> None:
        try:
            await self._is_heard(campus_id)
            while campus_id in self._asked_all or campus_id in self._asked:
                runner_ids = self._asked.pop(campus_id, {})
                is_all = campus_id in self._asked_all
                self._asked_all.discard(campus_id)
                fixes = await self._fetch(campus_id, None if is_all else list(runner_ids))
                gone = self._gone.pop(campus_id, set())
                since_ms = self._silent_since_ms()
                rows = [
                    position_row(runner_id, fix)
                    for runner_id, fix in fixes.items()
                    if fix.received_at_ms >= since_ms and runner_id not in gone
                ]
                if rows:
                    self._deliver(campus_id, rows)
        except Exception:
            log.exception("where the runners of %s are was not found out", campus_id)
        finally:
            self._tasks.pop(campus_id, None)
            self._gone.pop(campus_id, None)

    async def _fetch(self, campus_id: str, runner_ids: Sequence[str] | None) -> dict[str, Fix]:
        """A few tries; whoever is not found by then is shown with the next fix."""
        for pause_s in _PAUSES_S:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if runner_ids is None:
                        return await self._presence.all(campus_id)
                    return await self._presence.get(campus_id, runner_ids)
            except Exception as error:
                log.warning("positions of %s are not known yet: %r", campus_id, error)
                await asyncio.sleep(pause_s)
        return {}
