"""A SQL database for plain functions: writing threads that share commits, a few reading ones, bounded repetition.

A function gets a connection inside a transaction and cannot await, so no transaction ever spans the network. It may run
more than once and must have no other effect. A cancelled wait is unknown: the commit may have happened.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from payments.store.group_commit import MOST_TOGETHER, GroupCommit

T = TypeVar("T")

TRIES = 12
READERS = 3
#: Threads that write on PostgreSQL; on SQLite there is one.
WRITERS = 4
#: How long one process waits for another's write transaction on SQLite.
BUSY_MS = 15_000

#: Serialisation failure, deadlock, and what two transactions see that made the same thing at the same time.
_REPEATABLE_SQLSTATES = frozenset({"40001", "40P01", "23505", "42P06", "42P07"})


class Database:
    """``sqlite:///path`` (several processes may share the file) or ``postgresql://…`` with a schema of its own."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = sa.make_url(url)
        self.schema = schema
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(self.url) if self.is_sqlite else _postgres_engine(self.url, schema)
        threads, most = (1, MOST_TOGETHER) if self.is_sqlite else (WRITERS, 1)
        self._writer = GroupCommit(self.run_now, f"{schema}-write", threads=threads, most=most)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{schema}-read")

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """``fn`` in a write transaction; when it returns, its effect is on disk. TooBusy: too many wait."""
        result: T = await self._writer.run(fn)
        return result

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """``fn`` in a read-only transaction that no writer holds up."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, fn)

    def run_now(self, fn: Callable[[Connection], T]) -> T:
        """``run`` for a caller without a loop."""
        for attempt in range(1, TRIES + 1):
            try:
                with self._engine.connect() as connection, connection.begin():
                    return fn(connection)
            except (DBAPIError, sqlite3.OperationalError) as error:
                if attempt == TRIES or not _is_repeatable(error):
                    raise
                # Full jitter: two processes that collided should not collide again.
                time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311
        raise AssertionError("the last try returns or raises")

    def _read_now(self, fn: Callable[[Connection], T]) -> T:
        options: dict[str, Any] = {"is_read": True}
        if not self.is_sqlite:
            # A serialisable reader is aborted now and then, and makes writers be; a snapshot is enough to look at.
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            return fn(connection)

    def close(self) -> None:
        """Wait for what runs, then let go of threads and connections."""
        self._writer.close()
        self._readers.shutdown()
        self._engine.dispose()


def _is_repeatable(error: DBAPIError | sqlite3.OperationalError) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) in _REPEATABLE_SQLSTATES or "database is locked" in str(cause)


def _sqlite_engine(url: sa.URL) -> Engine:
    arguments = {"check_same_thread": False, "timeout": BUSY_MS / 1000}
    assert url.database, "a database of money is a file"
    # Made before SQLite opens it, readable by its owner alone; its journal takes over the mode.
    os.close(os.open(url.database, os.O_RDWR | os.O_CREAT, 0o600))
    engine = sa.create_engine(
        url, poolclass=QueuePool, pool_size=READERS + 1, connect_args=arguments, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: it would open them deferred.
        dbapi_connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_read = connection.get_execution_options().get("is_read", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if is_read else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: sa.URL, schema: str) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return sa.create_engine(
        url,
        pool_size=READERS + WRITERS,
        pool_pre_ping=True,
        isolation_level="SERIALIZABLE",
        hide_parameters=True,
        connect_args={"options": f"-c search_path={schema}"},
    )


def _lock_key(name: str) -> int:
    return int.from_bytes(name.encode()[:7].ljust(7, b"\0"), "big")


#: Parsed once: reading the text anew costs more than running it.
_text = lru_cache(maxsize=1024)(sa.text)


class Sql:
    """A connection for those who write their statements as text with ``:named`` parameters."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query, as dictionaries."""
        return [dict(row) for row in self._connection.execute(_text(statement), parameters).mappings()]

    def one(self, statement: str, **parameters: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        rows = self.rows(statement, **parameters)
        return rows[0] if rows else None

    def do(self, statement: str, **parameters: Any) -> int:
        """How many rows the statement changed."""
        return self._connection.execute(_text(statement), parameters).rowcount


def migrate(connection: Connection, migrations: list[tuple[str, ...]], *, schema: str) -> int:
    """Apply the numbered migrations that the database has not got yet, in order, each once, under a lock; the new
    version. A migration is a tuple of statements in which ``{serial}`` is the database's rising primary key; one that
    begins with ``-- sqlite`` or ``-- postgresql`` is for that database alone."""
    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:  # SQLite's BEGIN IMMEDIATE is the lock already.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(schema)})
        # Only when it is missing: asking for one that exists takes a right that a plain role need not have.
        if not sa.inspect(connection).has_schema(schema):
            connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    sql = Sql(connection)
    sql.do("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
    newest = sql.one("SELECT MAX(version) AS version FROM schema_version")
    version = (newest["version"] if newest else None) or 0
    assert version <= len(migrations), "the database was written by a newer version of this software"
    serial = "INTEGER PRIMARY KEY AUTOINCREMENT" if is_sqlite else "BIGSERIAL PRIMARY KEY"
    for number in range(version + 1, len(migrations) + 1):
        for statement in migrations[number - 1]:
            first = statement.partition("\n")[0]
            if first.startswith("-- ") and first != f"-- {connection.dialect.name}":
                continue
            connection.exec_driver_sql(statement.format(serial=serial))
        sql.do("INSERT INTO schema_version (version) VALUES (:version)", version=number)
    return len(migrations)
