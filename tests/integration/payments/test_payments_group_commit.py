"""Transactions that wait together are written together, and none suffers from another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from payments.store import group_commit
from payments.store.database import Database
from payments.store.group_commit import TooBusy


class Counted(Database):
    """A database that counts its transactions."""

    transactions = 0

    def run_now(self, fn: Callable[[Connection], Any]) -> Any:
        self.transactions += 1
        return super().run_now(fn)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counted]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/books" if is_sqlite else request.getfixturevalue("postgres_url")
    made = Counted(url, "group_commit")

    def create(connection: Connection) -> None:
        if not is_sqlite:
            connection.exec_driver_sql("DROP SCHEMA IF EXISTS group_commit CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA group_commit")
        connection.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY)")

    made.run_now(create)
    made.transactions = 0
    yield made
    made.close()


def keep(name: str) -> Callable[[Connection], str]:
    def fn(connection: Connection) -> str:
        connection.execute(sa.text("INSERT INTO things (name) VALUES (:name)"), {"name": name})
        return name

    return fn


async def names(database: Database) -> set[str]:
    return set(await database.read(lambda connection: connection.execute(sa.text("SELECT name FROM things")).scalars()))


async def blocked(database: Database) -> tuple[threading.Event, list[asyncio.Task[Any]]]:
    """Every writing thread is busy until the event is set."""
    gate, begun = threading.Event(), threading.Semaphore(0)

    def wait(_: Connection) -> None:
        begun.release()
        gate.wait(30)

    threads = 1 if database.is_sqlite else 4
    tasks = [asyncio.create_task(database.run(wait)) for _ in range(threads)]
    for _ in range(threads):
        assert await asyncio.to_thread(begun.acquire, timeout=30)
    return gate, tasks


async def test_what_waits_is_written_together_where_there_is_one_writer(database: Counted) -> None:
    gate, holding = await blocked(database)
    waiting = [asyncio.create_task(database.run(keep(f"n{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting) == [f"n{number}" for number in range(50)]
    await asyncio.gather(*holding)
    assert len(await names(database)) == 50
    if database.is_sqlite:
        assert database.transactions <= 10
    else:
        assert database.transactions >= 50


async def test_who_fails_undoes_what_is_their_own_and_nothing_else(database: Counted) -> None:
    def wrong(connection: Connection) -> None:
        keep("half")(connection)
        raise ValueError("changed my mind")

    gate, holding = await blocked(database)
    await_all = asyncio.gather(
        database.run(keep("first")),
        database.run(wrong),
        database.run(keep("twice")),
        database.run(keep("twice")),
        database.run(keep("last")),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gate.set()
    first, refused, once, again, last = await await_all
    await asyncio.gather(*holding)
    assert (first, last) == ("first", "last") and isinstance(refused, ValueError)
    kept = [isinstance(each, IntegrityError) for each in (once, again)]
    assert sorted(kept) == [False, True]
    assert await names(database) == {"first", "twice", "last"}


async def test_more_than_may_wait_are_told_at_once(database: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MOST_WAITING", 2)
    gate, holding = await blocked(database)
    waiting = [asyncio.create_task(database.run(keep(name))) for name in ("a", "b")]
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await database.run(keep("c"))
    gate.set()
    await asyncio.gather(*waiting, *holding)
    assert await names(database) == {"a", "b"}


async def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/books", "group_commit")
    database.run_now(lambda connection: connection.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY)"))
    waiting = [asyncio.create_task(database.run(keep(f"n{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    assert len(await asyncio.gather(*waiting)) == 20


async def test_a_reader_loses_against_no_writer(postgres_url: str) -> None:
    """The plot in which a serialisable reader has to give up: it saw what was written after another writer, who commits
    while it reads, had looked there."""
    database = Database(postgres_url, "public")
    engine = database._engine

    def look(connection: Connection, name: str) -> bool:
        return connection.execute(sa.text("SELECT 1 FROM things WHERE name = :n"), {"n": name}).first() is not None

    def settings(connection: Connection) -> list[str]:
        names = ("transaction_isolation", "transaction_read_only")
        return [connection.execute(sa.text(f"SHOW {name}")).scalar_one() for name in names]

    def create(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE things (name TEXT PRIMARY KEY)")

    database.run_now(create)
    with engine.connect() as slow:
        late = slow.begin()
        assert not look(slow, "early")
        database.run_now(keep("early"))
        keep("late")(slow)

        def read(connection: Connection) -> tuple[bool, bool, list[str]]:
            is_early = look(connection, "early")
            late.commit()
            return is_early, look(connection, "late"), settings(connection)

        assert await database.read(read) == (True, False, ["repeatable read", "on"]), "one snapshot, and read-only"
    assert await database.run(settings) == ["serializable", "off"], "who writes is as before"
    database.close()
