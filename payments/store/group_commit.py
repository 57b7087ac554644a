"""Transactions that share a commit: what waits while one is being written to disk is written together next.

On SQLite there is one writer, and most of what a small transaction costs is waiting for the disk; so everything that
waits runs in one transaction, each function in a savepoint of its own, and all are told after the one commit. On
PostgreSQL the server does that for its clients, and each function has a transaction and a thread to itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

Fn = Callable[[Connection], Any]
#: Runs the functions in one transaction, which is repeated when it lost against another; their results are valid once
#: it has returned.
Commit = Callable[[Callable[[Connection], None]], None]

#: So many functions share a commit at most, and for so long one may keep other processes from writing.
MOST_TOGETHER = 64
MOST_HELD_S = 0.05
#: So many may wait; beyond that the caller is told at once.
MOST_WAITING = 5_000


class TooBusy(Exception):
    """More transactions wait than there is room for: nothing was stored."""


class _Asked:
    """One function, and who waits for it."""

    __slots__ = ("error", "fn", "future", "loop", "result")

    def __init__(self, fn: Fn, loop: asyncio.AbstractEventLoop) -> None:
        self.fn = fn
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection, *, is_alone: bool) -> None:
        if is_alone:
            self.result = self.fn(connection)
            return
        try:
            with connection.begin_nested():
                self.result, self.error = self.fn(connection), None
        except DBAPIError:
            raise  # It may be the whole transaction's failure: everybody is begun again.
        except BaseException as error:
            self.error = error

    def tell(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommit:
    """``threads`` writers, each taking up to ``most`` waiting functions into one transaction."""

    def __init__(self, commit: Commit, name: str, *, threads: int = 1, most: int = MOST_TOGETHER) -> None:
        self._commit = commit
        self._most = most
        self._waiting: deque[_Asked] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._busy = 0
        self._lock = threading.Lock()

    async def run(self, fn: Fn) -> Any:
        """The result of ``fn`` once it is on disk, or what it raised. TooBusy when too many wait already."""
        asked = _Asked(fn, asyncio.get_running_loop())
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise TooBusy(f"{MOST_WAITING} transactions wait already")
            self._waiting.append(asked)
            is_to_start = self._busy < self._threads
            self._busy += is_to_start
        if is_to_start:
            self._pool.submit(self._work)
        return await asked.future

    def close(self) -> None:
        """Finish what waits."""
        self._pool.shutdown()

    def _work(self) -> None:
        while True:
            with self._lock:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                if not batch:
                    self._busy -= 1
                    return
            later = self._write(batch)
            with self._lock:
                self._waiting.extendleft(reversed(later))

    def _write(self, batch: Sequence[_Asked]) -> Sequence[_Asked]:
        """Write them together; gives those that there was no time for."""
        done = list(batch)

        def together(connection: Connection) -> None:
            until = time.monotonic() + MOST_HELD_S
            done.clear()
            for asked in batch:
                if done and time.monotonic() > until:
                    break
                asked.run(connection, is_alone=len(batch) == 1)
                done.append(asked)

        try:
            self._commit(together)
        except BaseException as error:
            if len(batch) > 1:
                # One of them may be at fault: each by itself, so that no other suffers from it.
                for asked in batch:
                    self._write([asked])
                return ()
            batch[0].error = error
            done = list(batch)
        _tell(done)
        return batch[len(done) :]


def _tell(batch: Sequence[_Asked]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Asked]] = {}
    for asked in batch:
        by_loop.setdefault(asked.loop, []).append(asked)
    for loop, members in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell_all, members)


def _tell_all(batch: Sequence[_Asked]) -> None:
    for asked in batch:
        asked.tell()
