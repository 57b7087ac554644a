"""Connections to SQLite and PostgreSQL, with the isolation that each side of the store needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

#: How long SQLite itself waits for another process's lock. Short, because the writer polls on its own account:
#: SQLite's waiting backs off to 100 ms, in which a busy neighbour commits dozens of times and the waiter starves.
WRITER_BUSY_MS = 5
READER_BUSY_MS = 10_000


def parse_url(database_url: str) -> URL:
    """The address with the driver that this program uses; raises ``ValueError`` for databases that it cannot use."""
    url = make_url(database_url)
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("SQLite needs a file: several processes share it")
        return url.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise ValueError(f"{backend} is no database that this program can use: sqlite or postgresql")


def writer_engine(url: URL, connections: int = 1, busy_ms: int = WRITER_BUSY_MS) -> Engine:
    """``BEGIN IMMEDIATE`` on SQLite, SERIALIZABLE on PostgreSQL."""
    if url.get_backend_name() != "sqlite":
        return create_engine(
            url,
            isolation_level="SERIALIZABLE",
            pool_size=connections,
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    _make_private(Path(str(url.database)))
    engine = create_engine(url, pool_size=1, max_overflow=1, hide_parameters=True)
    pragmas = (f"busy_timeout={busy_ms}", "synchronous=FULL", "foreign_keys=ON")
    _prepare_sqlite(engine, pragmas, "BEGIN IMMEDIATE")
    return engine


def reader_engine(url: URL, connections: int) -> Engine:
    """Snapshots that never wait for the writer and cannot write."""
    if url.get_backend_name() != "sqlite":
        engine = create_engine(
            url,
            isolation_level="REPEATABLE READ",
            pool_size=connections,
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        return engine.execution_options(postgresql_readonly=True)
    engine = create_engine(url, pool_size=connections, max_overflow=0, hide_parameters=True)
    _prepare_sqlite(engine, (f"busy_timeout={READER_BUSY_MS}", "query_only=ON"), "BEGIN")
    return engine


def _prepare_sqlite(engine: Engine, pragmas: tuple[str, ...], begin: str) -> None:
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _make_private(path: Path) -> None:
    """The file exists before SQLite opens it, readable by its owner only; its journal takes over the mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
