"""Brings a database to this version of the schema, one transaction per step, one process at a time."""

from __future__ import annotations

import sqlite3
import time
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, inspect, select, text

from . import tables
from .migrations import LATEST, MIGRATIONS

_LOCK_WAIT_S = 60.0
#: Any fixed number: processes of this program that migrate the same PostgreSQL database meet at it.
_ADVISORY_LOCK = 0x6469_7370


class SchemaTooNew(Exception):
    """The database was made by a later version of this program."""


def schema_version(connection: Connection) -> int:
    """0 where there is no schema yet."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    return max(connection.scalars(select(tables.schema_version.c.version)), default=0)


def migrate(engine: Engine, now: datetime, target: int = LATEST) -> list[int]:
    """Apply what is missing up to ``target``; the versions applied. Raises :class:`SchemaTooNew`."""
    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine)
    else:
        # A stricter level would fix its snapshot before the lock is ours, and miss what others did meanwhile.
        engine = engine.execution_options(isolation_level="READ COMMITTED")
    applied: list[int] = []
    for version in range(1, target + 1):
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            if _apply(connection, version, now):
                applied.append(version)
    return applied


def _apply(connection: Connection, version: int, now: datetime) -> bool:
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at BIGINT NOT NULL)"
    )
    present = max(connection.scalars(select(tables.schema_version.c.version)), default=0)
    if present > LATEST:
        raise SchemaTooNew(f"the database is at version {present}, this program knows {LATEST}")
    if present >= version:
        return False
    MIGRATIONS[version - 1](connection)
    connection.execute(insert(tables.schema_version).values(version=version, applied_at=now))
    return True


def _switch_to_wal(engine: Engine) -> None:
    """The journal mode is a property of the file; changing it needs the file alone for a moment."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            _set_wal(engine)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _set_wal(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL").close()
    finally:
        connection.close()
