"""A loop that works until nothing is left, sleeps until it is woken or a while has passed, and survives failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

#: Real seconds to wait after a failure, doubling up to the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0


class Loop:
    """Runs ``step`` again and again. ``step`` returns how much it did: as long as that is not 0, it runs on at once."""

    def __init__(self, name: str, step: Callable[[], Awaitable[int]], every_s: float) -> None:
        self.name = name
        self.failures = 0
        self.steps = 0
        self._step = step
        self._every_s = every_s
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        """Look now; calls that come while it works count as one."""
        self._woken.set()

    async def stop(self) -> None:
        """Let the step that runs finish, then end."""
        self._stopping.set()
        self._woken.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                done = await self._step()
                self.steps += 1
                pause_s = FIRST_PAUSE_S
            except asyncio.CancelledError:
                raise
            except Exception:
                self.failures += 1
                log.exception("%s failed; it tries again", self.name)
                await self._wait(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
                continue
            if not done:
                await self._wait(self._every_s)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
