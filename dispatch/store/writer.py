"""Runs transactions: one thread with shared commits on SQLite, a few threads with retries on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..model.errors import Unavailable

#: So many transactions may wait; beyond, callers are told to come back rather than made to wait.
MAX_WAITING = 2_000
#: A shared commit takes in at most so many functions, and lets other processes in after so long.
MAX_BATCH = 64
MAX_HOLD_S = 0.05
#: How long SQLite's write lock is tried for before the waiting callers are told to come back.
LOCK_WAIT_S = 20.0
#: PostgreSQL: how long a transaction that lost against another one is begun again, and the longest pause between.
RETRY_S = 10.0
MAX_PAUSE_S = 0.1
_TRANSIENT = frozenset({"40001", "40P01"})

#: A transaction: repeatable and free of side effects beyond its connection.
Transaction = Callable[[Connection], Any]


class Writer(Protocol):
    """Runs transactions that write. ``run`` gives the function's result after its commit, or its exception."""

    async def run(self, transaction: Transaction) -> Any: ...

    @property
    def waiting(self) -> int: ...

    def close(self) -> None: ...


class _Waiting:
    """A transaction in the queue, and who waits for it."""

    __slots__ = ("error", "future", "loop", "result", "transaction")

    def __init__(self, transaction: Transaction, loop: asyncio.AbstractEventLoop) -> None:
        self.transaction = transaction
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupWriter:
    """SQLite: whatever waits when the writer is free runs one after the other in one ``BEGIN IMMEDIATE``, each in a
    savepoint of its own, and shares one commit (one fsync). An exception undoes its own savepoint only. Nobody hears
    a result before the commit, since without it there is none.
    """

    def __init__(self, engine: Engine, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._engine = engine
        self._lock_wait_s = lock_wait_s
        self._queue: deque[_Waiting] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def run(self, transaction: Transaction) -> Any:
        waiting = _Waiting(transaction, asyncio.get_running_loop())
        with self._wake:
            if self._is_closing or len(self._queue) >= MAX_WAITING:
                raise Unavailable("too many changes are waiting to be written")
            self._queue.append(waiting)
            self._wake.notify()
        return await waiting.future

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._is_closing:
                    self._wake.wait()
                if not self._queue:
                    break
            batch: list[_Waiting] = []
            try:
                self._commit_together(batch)
            except BaseException as error:
                self._drop_connection()
                for waiting in batch:
                    waiting.result, waiting.error = None, _unavailable(error)
            _deliver(batch)
        self._drop_connection()

    def _commit_together(self, batch: list[_Waiting]) -> None:
        """Fill ``batch`` with what waits and run it in one transaction; raises when nothing of it was committed."""
        self._take(batch)
        connection = self._begin()
        until = time.monotonic() + MAX_HOLD_S
        done = 0
        while done < len(batch):
            _run_in_savepoint(connection, batch[done])
            done += 1
            if done == len(batch) < MAX_BATCH and time.monotonic() < until:
                self._take(batch)
        connection.commit()

    def _take(self, batch: list[_Waiting]) -> None:
        with self._wake:
            while self._queue and len(batch) < MAX_BATCH:
                waiting = self._queue.popleft()
                if not waiting.future.cancelled():
                    batch.append(waiting)

    def _begin(self) -> Connection:
        """A connection that holds the write lock."""
        until = time.monotonic() + self._lock_wait_s
        while True:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                self._connection.begin()
            except DBAPIError as error:
                if self._connection is not None:
                    self._connection.rollback()
                if not _is_busy(error) or time.monotonic() > until:
                    raise
            else:
                return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()


def _run_in_savepoint(connection: Connection, waiting: _Waiting) -> None:
    connection.exec_driver_sql("SAVEPOINT one")
    try:
        waiting.result = waiting.transaction(connection)
    except BaseException as error:
        waiting.error = _unavailable(error) if isinstance(error, DBAPIError) else error
        # Some failures (a full disk) end the whole transaction in SQLite; then this fails too, and so does the batch.
        connection.exec_driver_sql("ROLLBACK TO one")
    connection.exec_driver_sql("RELEASE one")


def _deliver(batch: list[_Waiting]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, members in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle_all, members)


def _settle_all(batch: list[_Waiting]) -> None:
    for waiting in batch:
        waiting.settle()


class SerializableWriter:
    """PostgreSQL: every function in its own SERIALIZABLE transaction, begun again when it lost against another."""

    def __init__(self, engine: Engine, threads: int) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store-writer")
        self._waiting = 0

    @property
    def waiting(self) -> int:
        return self._waiting

    async def run(self, transaction: Transaction) -> Any:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many changes are waiting to be written")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, transaction)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _run(self, transaction: Transaction) -> Any:
        until = time.monotonic() + RETRY_S
        pause_s = 0.002
        while True:
            try:
                with self._engine.begin() as connection:
                    return transaction(connection)
            except DBAPIError as error:
                is_transient = getattr(error.orig, "sqlstate", None) in _TRANSIENT
                if not is_transient or time.monotonic() > until:
                    raise _unavailable(error) from error
            # Those that collided must not meet again at the same instant.
            time.sleep(random.uniform(0, pause_s))  # noqa: S311
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _is_busy(error: DBAPIError) -> bool:
    return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)


def _unavailable(error: BaseException) -> BaseException:
    """What callers are told of a failing database; what their own function raised they get as it is."""
    told = Unavailable("the database did not confirm the change; try again")
    told.__cause__ = error
    return told
