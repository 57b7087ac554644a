"""What every watch over runners' fixes does: they come in by plain calls that never wait, are judged together, and what
comes of them is queued and written to the books behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from geo.fix import Fix

from ..model.errors import Unavailable
from ..store.unit_of_work import UnitOfWork
from .context import Context

log = logging.getLogger(__name__)

#: As many fixes are judged together; fewer wait for company, but not longer than ``HOLD_S``.
BATCH, HOLD_S = 200, 0.2
#: Runners that are asked for in one question.
ASK_BATCH = 500
_LAST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Real seconds; ``capacity``: entries that may wait to be written."""

    write_every_s: float = 0.5
    look_again_s: float = 60.0
    stop_s: float = 2.0
    capacity: int = 10_000


@dataclass(slots=True)
class WatchedCampus:
    """What this worker knows of a campus. ``pending``: the newest fixes, not judged yet."""

    pending: dict[str, Fix] = field(default_factory=dict)


class Entry(Protocol):
    """Something that came of a fix and is to be written."""

    @property
    def runner_id(self) -> str: ...


C = TypeVar("C", bound=WatchedCampus)
E = TypeVar("E", bound=Entry)


class FixWatch(ABC, Generic[C, E]):
    """One worker's watch over the runners who report to it, in all their campuses."""

    #: How the watch, and what it writes, are called in the log.
    name: str
    entries_name: str
    #: What the bus calls when the books have changed.
    wake: str
    #: Entries that are written in one transaction.
    write_batch: int

    def __init__(self, ctx: Context, rhythm: Rhythm) -> None:
        self._ctx = ctx
        self._rhythm = rhythm
        self._campuses: dict[str, C] = {}
        self._queue: deque[tuple[str, E]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.queued = self.overflows = self.failures = 0

    # --- what each watch does in its own way

    @abstractmethod
    def _new_campus(self) -> C:
        """A campus of which nothing is known yet."""

    @abstractmethod
    def _judge(self, campus_id: str, campus: C) -> None:
        """Compare what is pending, and queue what comes of it. Never waits, never raises."""

    @abstractmethod
    def _make_stranger(self, campus: C, runner_id: str) -> None:
        """Forget what is known of a runner: their next fix is compared with what the books say."""

    @abstractmethod
    def _on_wake(self, what: str) -> None:
        """The bus says what has changed in the books."""

    @abstractmethod
    async def _round(self) -> None:
        """Look at the books, and write what waits."""

    @staticmethod
    @abstractmethod
    def _record(entries: Sequence[E], uow: UnitOfWork) -> int:
        """Write these in their order; how many changes came of them. To write them again does nothing."""

    def _is_watched(self, campus: C) -> bool:
        """Whether there is anything in this campus to compare a fix with."""
        return True

    # --- life

    async def start(self) -> None:
        self._ctx.bus.on_wake(self.wake, self._on_wake)
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Judge what has come and write what waits, within two seconds; then end."""
        self._judge_all()
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is None:
            return
        try:
            async with asyncio.timeout(self._rhythm.stop_s):
                await asyncio.wait({task})
                while self._queue:
                    await self._write()
        except (TimeoutError, Unavailable) as error:
            log.warning("%s end without an answer of the database: %r", self.name, error)
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._queue:
            log.warning("%d %s were not written; they are told late", len(self._queue), self.entries_name)

    # --- what the hub calls

    def observe(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        """Newest fixes of a campus's runners, WGS-84. Never waits, never raises."""
        campus = self._campuses.get(campus_id)
        if campus is None:
            campus = self._campuses[campus_id] = self._new_campus()
            self._woken.set()
        if not self._is_watched(campus):
            return
        campus.pending.update(fixes)
        if len(campus.pending) >= BATCH:
            self._judge(campus_id, campus)
        elif self._timer is None and not self._stopping.is_set():
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._judge_all)

    # --- judging

    def _judge_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for campus_id, campus in self._campuses.items():
            if campus.pending:
                self._judge(campus_id, campus)

    def _enqueue(self, campus_id: str, campus: C, entries: Iterable[E]) -> None:
        """Have these written. Beyond the capacity nothing is queued, and the runner becomes a stranger, whose next fix
        says it again once the queue has been written."""
        for entry in entries:
            if len(self._queue) < self._rhythm.capacity:
                self._queue.append((campus_id, entry))
                self.queued += 1
            else:
                self.overflows += 1
                self._make_stranger(campus, entry.runner_id)
        self._woken.set()

    # --- what happens behind

    async def _run(self) -> None:
        pause_s = self._rhythm.write_every_s
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), min(5.0, self._rhythm.look_again_s))
            self._woken.clear()
            try:
                await self._round()
                pause_s = self._rhythm.write_every_s
            except Exception as error:
                self.failures += 1
                log.warning("%s wait for the database: %r", self.name, error)
                self._woken.set()
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _write(self) -> None:
        """Write the oldest of what waits."""
        batch = [self._queue[number] for number in range(min(self.write_batch, len(self._queue)))]
        by_campus: dict[str, list[E]] = {}
        for campus_id, entry in batch:
            by_campus.setdefault(campus_id, []).append(entry)
        changed = 0
        for campus_id, entries in by_campus.items():
            changed += await self._ctx.store.run(campus_id, partial(self._record, entries))
        for _ in batch:
            self._queue.popleft()
        if changed:
            self._ctx.announce()
        if self._queue:
            self._woken.set()
