"""Counts the requests that are being answered, so that a process that ends lets them come to their end."""

from __future__ import annotations

import asyncio
import contextlib


class UnderWay:
    """One per process."""

    def __init__(self) -> None:
        self._count = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.is_draining = False

    @property
    def count(self) -> int:
        """Requests that are being answered."""
        return self._count

    def begin(self) -> None:
        self._count += 1
        self._is_idle.clear()

    def end(self) -> None:
        self._count -= 1
        if not self._count:
            self._is_idle.set()

    def drain(self) -> None:
        """From now on every answer is the last on its connection."""
        self.is_draining = True

    async def idle(self, timeout_s: float) -> bool:
        """Wait until nothing is being answered; whether that came in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        return not self._count
