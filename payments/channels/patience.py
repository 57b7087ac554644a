"""Budgets that count only the time in which our own event loop listens: a provider is not blamed for our being busy."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

#: Real seconds between two beats while anything is waited for, and how late one must be to count.
BEAT_S = 0.02
LATE_S = 0.01


class Patience:
    """The beat of one loop. It beats while a budget is running."""

    def __init__(self) -> None:
        self._budgets: dict[Budget, None] = {}
        self._beat: asyncio.TimerHandle | None = None

    def budget(self, seconds: float, most_lost_s: float) -> Budget:
        """An asynchronous context that ends with TimeoutError after so many seconds of listening; at most
        ``most_lost_s`` of not listening are forgiven."""
        return Budget(self, seconds, most_lost_s)

    def add(self, budget: Budget) -> None:
        self._budgets[budget] = None
        if self._beat is None:
            self._next_beat()

    def remove(self, budget: Budget) -> None:
        del self._budgets[budget]
        if not self._budgets and self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def _next_beat(self) -> None:
        due_at = time.monotonic() + BEAT_S
        self._beat = asyncio.get_running_loop().call_later(BEAT_S, self._on_beat, due_at)

    def _on_beat(self, due_at: float) -> None:
        # A callback, not a task: it runs before the time-outs that were due after it, and in time to move them.
        late_s = time.monotonic() - due_at
        if late_s > LATE_S:
            for budget in self._budgets:
                budget.lose(late_s)
        self._next_beat()


class Budget:
    """One wait."""

    def __init__(self, patience: Patience, seconds: float, most_lost_s: float) -> None:
        self._patience = patience
        self._timeout = asyncio.timeout(seconds)
        self._most_lost_s = most_lost_s
        self._began = 0.0
        #: Real seconds that did not count.
        self.lost_s = 0.0

    async def __aenter__(self) -> Budget:
        await self._timeout.__aenter__()
        self._began = time.monotonic()
        self._patience.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.remove(self)
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def is_forgiven_all(self) -> bool:
        """Whether no more lateness of ours is forgiven: what ended then says nothing about the other side."""
        return self.lost_s >= self._most_lost_s

    def extend_to(self, seconds: float) -> None:
        """From now on so many seconds of listening since the beginning."""
        left_s = seconds + self.lost_s - (time.monotonic() - self._began)
        self._timeout.reschedule(asyncio.get_running_loop().time() + max(0.0, left_s))

    def lose(self, seconds: float) -> None:
        """So long nobody listened."""
        granted_s = min(seconds, self._most_lost_s - self.lost_s)
        when = self._timeout.when()
        if granted_s <= 0 or when is None or self._timeout.expired():
            return
        self.lost_s += granted_s
        self._timeout.reschedule(when + granted_s)
