"""Work that is done again and again beside the driver, so that nothing slow ever holds up a payment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

#: Real seconds between two rounds with nothing to do.
PAUSE_S = 1.0


class Rounds:
    """One task that calls ``work`` for ever; a round that fails is logged, and the next one follows."""

    def __init__(self, name: str, work: Callable[[], Awaitable[int]], pause_s: float = PAUSE_S) -> None:
        self._name = name
        self._work = work
        self._pause_s = pause_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        assert self._task is None, "started once"
        self._task = asyncio.create_task(self._for_ever(), name=self._name)

    async def stop(self) -> None:
        """Give up what is under way; rows say how far it had come."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _for_ever(self) -> None:
        while True:
            try:
                done = await self._work()
            except Exception:
                log.exception("a round of %s failed; the next one follows", self._name)
                done = 0
            if not done:
                await asyncio.sleep(self._pause_s)
