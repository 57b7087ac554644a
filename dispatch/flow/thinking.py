"""Questions about plans that people ask: answered in a thread, one after the other, and only so many may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ..model.errors import TooMany

T = TypeVar("T")

#: Who comes while so many ask already is sent away.
MOST_ASKING = 6


class Thinking:
    """One per process: a plan of a whole campus takes a core for a while, and the pages are served by the same one."""

    def __init__(self, most: int = MOST_ASKING) -> None:
        self._most = most
        self._asking = 0
        self._seat = asyncio.Lock()

    async def about(self, do: Callable[[], T]) -> T:
        """What ``do`` gives; raises :class:`TooMany` when too many ask at once."""
        if self._asking >= self._most:
            raise TooMany("several such questions are being answered; ask again in a moment")
        self._asking += 1
        # Whoever goes away leaves a thread that ends by itself; the seat is free only then.
        return await asyncio.shield(asyncio.ensure_future(self._answer(do)))

    async def _answer(self, do: Callable[[], T]) -> T:
        try:
            async with self._seat:
                return await asyncio.to_thread(do)
        finally:
            self._asking -= 1
