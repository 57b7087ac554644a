"""The store: transactions as plain functions, run in threads so that no SQL waits in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..model.errors import Unavailable
from ..model.ids import NewId
from . import migrate
from .engine import parse_url, reader_engine, writer_engine
from .migrations import LATEST
from .unit_of_work import GlobalUnit, UnitOfWork
from .vault import Vault
from .writer import MAX_WAITING, GroupWriter, SerializableWriter, Writer

T = TypeVar("T")
_READERS = 4
_POSTGRES_WRITERS = 4
_MIGRATION_BUSY_MS = 60_000


class SchemaOutdated(Exception):
    """The database is not at this program's version."""


class Store:
    """The books of one server. Several processes may have the same database open.

    ``fn`` is a plain function: it cannot await, so no transaction spans the network. It may run more than once
    (PostgreSQL begins a transaction again that lost), so it must have no effect beyond its unit of work. A caller that
    stops waiting does not know the outcome: what had not begun is dropped, what had begun commits.
    """

    LATEST = LATEST

    def __init__(self, database_url: str, *, now: Callable[[], datetime], new_id: NewId, vault: Vault) -> None:
        self._url = parse_url(database_url)
        self._now = now
        self._new_id = new_id
        self._vault = vault
        self._engines: list[Engine] = []
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._reading = 0

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the database; raises :class:`SchemaOutdated` unless its schema is that of this version."""
        version = await asyncio.to_thread(self.schema_version)
        if version != LATEST:
            raise SchemaOutdated(
                f"the database is at version {version} of its schema, this program works with {LATEST}: "
                + ("run `dispatch migrate`" if version < LATEST else "run the newer program")
            )
        is_sqlite = self._url.get_backend_name() == "sqlite"
        writing = writer_engine(self._url, 1 if is_sqlite else _POSTGRES_WRITERS)
        self._read_engine = reader_engine(self._url, _READERS)
        self._engines = [writing, self._read_engine]
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._writer = GroupWriter(writing) if is_sqlite else SerializableWriter(writing, _POSTGRES_WRITERS)

    async def stop(self) -> None:
        """Finish what waits, then close every connection."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
            self._writer = None
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown, True)
            self._readers = None
        for engine in self._engines:
            engine.dispose()
        self._engines = []

    def migrate(self) -> list[int]:
        """Bring the database to this version; the versions applied. Blocks; safe in several processes at once."""
        engine = writer_engine(self._url, busy_ms=_MIGRATION_BUSY_MS)
        try:
            return migrate.migrate(engine, self._now())
        finally:
            engine.dispose()

    def schema_version(self) -> int:
        """0 for an empty database. Blocks."""
        engine = writer_engine(self._url, busy_ms=_MIGRATION_BUSY_MS)
        try:
            with engine.connect() as connection:
                return migrate.schema_version(connection)
        finally:
            engine.dispose()

    @property
    def waiting(self) -> int:
        """Transactions that wait or run, writing and reading."""
        return self._reading + (self._writer.waiting if self._writer is not None else 0)

    # --- transactions -------------------------------------------------------------------------------------------------

    async def run(self, campus_id: str, fn: Callable[[UnitOfWork], T]) -> T:
        """``fn``'s result, once committed; its exception, with nothing of it kept. Raises :class:`Unavailable` when too
        many wait or the database does not answer."""
        result: T = await self._write(lambda connection: fn(self._campus_unit(connection, campus_id)))
        return result

    async def run_global(self, fn: Callable[[GlobalUnit], T]) -> T:
        """As :meth:`run`, for what spans campuses."""
        result: T = await self._write(lambda connection: fn(self._global_unit(connection)))
        return result

    async def read(self, campus_id: str, fn: Callable[[UnitOfWork], T]) -> T:
        """``fn``'s result on a snapshot of committed data; it cannot write and never waits for a writer."""
        result: T = await self._read(lambda connection: fn(self._campus_unit(connection, campus_id)))
        return result

    async def read_global(self, fn: Callable[[GlobalUnit], T]) -> T:
        """As :meth:`read`, for what spans campuses."""
        result: T = await self._read(lambda connection: fn(self._global_unit(connection)))
        return result

    def _campus_unit(self, connection: Connection, campus_id: str) -> UnitOfWork:
        return UnitOfWork(connection, campus_id, self._now(), self._new_id, self._vault)

    def _global_unit(self, connection: Connection) -> GlobalUnit:
        return GlobalUnit(connection, self._now(), self._new_id, self._vault)

    async def _write(self, transaction: Callable[[Connection], Any]) -> Any:
        if self._writer is None:
            raise Unavailable("the store is not open")
        return await self._writer.run(transaction)

    async def _read(self, transaction: Callable[[Connection], Any]) -> Any:
        if self._readers is None:
            raise Unavailable("the store is not open")
        if self._reading >= MAX_WAITING:
            raise Unavailable("too many questions are waiting to be answered")
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, transaction)
        finally:
            self._reading -= 1

    def _read_now(self, transaction: Callable[[Connection], Any]) -> Any:
        try:
            with self._read_engine.connect() as connection:
                return transaction(connection)
        except DBAPIError as error:
            raise Unavailable("the database did not answer; try again") from error
