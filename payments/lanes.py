"""What a driver has under way, in lanes: payers who wait for something to pay with, questions about what was made, and
instructions. A provider that does not answer fills up what is asked of it, and keeps nobody from anything else."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Literal

log = logging.getLogger(__name__)

Lane = Literal["new", "asked", "told"]

#: How many may be under way at once, and be taken from the queue at a time.
MOST: dict[Lane, int] = {"new": 128, "asked": 96, "told": 64}
BATCH: dict[Lane, int] = {"new": 64, "asked": 24, "told": 24}
#: So many questions and instructions may wait for one channel's answer; then it is asked no more. With a batch more
#: on top it still leaves connections to those who want something to pay with.
MOST_ASKED = 24


class Lanes:
    """The tasks of one driver."""

    def __init__(self) -> None:
        self._tasks: dict[Lane, set[asyncio.Task[None]]] = {lane: set() for lane in MOST}
        self._asked: Counter[str] = Counter()

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """Everything that is under way."""
        return [task for tasks in self._tasks.values() for task in tasks]

    def room(self, lane: Lane) -> int:
        """How many may be taken from the queue now. Who does not wait for an answer yet counts against the batch: it
        is not known whose answer it will be."""
        room = min(BATCH[lane], MOST[lane] - len(self._tasks[lane]))
        if lane != "new":
            not_yet = len(self._tasks["asked"]) + len(self._tasks["told"]) - self._asked.total()
            room = min(room, BATCH[lane] - not_yet)
        return max(0, room)

    @property
    def crowded(self) -> frozenset[str]:
        """Channels that are not asked anything more until some of their answers have come."""
        return frozenset(code for code, count in self._asked.items() if count >= MOST_ASKED)

    @contextmanager
    def asking(self, code: str) -> Iterator[None]:
        """While a question or an instruction waits for its answer."""
        self._asked[code] += 1
        try:
            yield
        finally:
            self._asked[code] -= 1

    def begin(self, lane: Lane, name: str, driving: Awaitable[None]) -> None:
        """Let it run."""

        async def guarded() -> None:
            try:
                await driving
            except Exception:
                # One intent's bug must not stop the others; its lease runs out and it is tried again.
                log.exception("payments could not drive %s", name)

        task = asyncio.create_task(guarded(), name=f"payments {name}")
        self._tasks[lane].add(task)
        task.add_done_callback(self._tasks[lane].discard)

    async def stop(self) -> None:
        """Give up what is under way."""
        tasks = self.running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
