"""A line in which work gathers: taken up in batches, one after the other, by a task that lives while there is any."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

#: So long may work go on without letting the loop do anything else: a flush must not be late because of it.
SLICE_S = 0.004


class Line(Generic[T]):
    """While one batch is worked on the next one gathers; what comes one by one is not kept waiting."""

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], most: int) -> None:
        """``work`` must deal with every item of its batch; what it raises is logged and costs that batch alone."""
        self._work = work
        self._most = most
        self._waiting: deque[T] = deque()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T) -> None:
        self._waiting.append(item)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def take_all(self) -> list[T]:
        """Everything that still waits, for whoever has learnt that it cannot be done."""
        taken, self._waiting = list(self._waiting), deque()
        return taken

    async def stop(self) -> None:
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            try:
                await self._work(batch)
            except Exception:
                log.exception("%d items of a line were given up", len(batch))


class Slices:
    """Lets the loop go on with other things whenever a slice of work has taken long enough."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._until = self._now() + SLICE_S

    async def breathe(self) -> bool:
        """Called between two pieces of work; whether others have had their turn meanwhile."""
        if self._now() < self._until:
            return False
        await asyncio.sleep(0)
        self._until = self._now() + SLICE_S
        return True
