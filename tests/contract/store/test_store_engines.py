"""What only one kind of database does: shared commits and a full disk on SQLite, lost connections on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from dispatch.model.errors import Unavailable
from dispatch.store import writer
from dispatch.store.store import Store


def adding(books: Any, version: int) -> Any:
    """A transaction that writes one event."""

    def add(uow: Any) -> int:
        uow.outbox.add(books.make_event("ord_1", version))
        return version

    return add


async def count(books: Any, subject_id: str = "ord_1") -> int:
    return len(await books.store.read(books.here, lambda uow: uow.outbox.timeline(subject_id, 10_000)))


@pytest.fixture
async def sqlite_books(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    opened = await _open(f"sqlite:///{tmp_path}/deeper/books.db", request)
    yield opened
    await opened.store.stop()


async def _open(url: str, request: pytest.FixtureRequest) -> Any:
    [conftest] = [p for p in request.config.pluginmanager.get_plugins() if hasattr(p, "open_books")]
    return await conftest.open_books(url)


async def test_waiting_functions_share_a_commit(sqlite_books: Any) -> None:
    commits = []
    event.listen(sqlite_books.store._engines[0], "commit", lambda connection: commits.append(1))
    await asyncio.gather(*(sqlite_books.store.run(sqlite_books.here, adding(sqlite_books, n)) for n in range(100)))
    assert await count(sqlite_books) == 100
    assert len(commits) <= 10


async def test_nobody_hears_a_result_before_the_commit(sqlite_books: Any) -> None:
    first_ran, go_on = threading.Event(), threading.Event()

    def quick(uow: Any) -> str:
        first_ran.set()
        return str(adding(sqlite_books, 1)(uow))

    def slow(uow: Any) -> None:
        assert go_on.wait(10)

    one = asyncio.create_task(sqlite_books.store.run(sqlite_books.here, quick))
    two = asyncio.create_task(sqlite_books.store.run(sqlite_books.here, slow))
    await asyncio.to_thread(first_ran.wait, 10)
    assert not one.done() and await count(sqlite_books) == 0
    go_on.set()
    await asyncio.gather(one, two)
    assert await count(sqlite_books) == 1


async def test_a_full_disk_keeps_nothing_of_the_shared_commit_and_writing_goes_on_after(sqlite_books: Any) -> None:
    def fill_up(uow: Any) -> None:
        connection = uow.orders._sql
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for n in range(10_000):
            uow.outbox.add(sqlite_books.make_event("ord_2", n))

    outcomes = await asyncio.gather(
        *(
            sqlite_books.store.run(sqlite_books.here, fn)
            for fn in (adding(sqlite_books, 1), fill_up, adding(sqlite_books, 2))
        ),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], Unavailable)
    kept = await sqlite_books.store.read(sqlite_books.here, lambda uow: uow.outbox.timeline("ord_1"))
    assert {event.version for event in kept} == {outcome for outcome in outcomes if isinstance(outcome, int)}
    assert await count(sqlite_books, "ord_2") == 0
    lift = "PRAGMA max_page_count=1000000"
    await sqlite_books.store.run(sqlite_books.here, lambda uow: uow.orders._sql.exec_driver_sql(lift).all())
    assert await sqlite_books.store.run(sqlite_books.here, adding(sqlite_books, 3)) == 3


async def test_a_lock_that_is_not_given_back_is_reported(sqlite_books: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_books.store._writer, "_lock_wait_s", 0.05)
    holder = sqlite_books.another_store()
    await holder.start()
    held, go_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        held.set()
        assert go_on.wait(10)

    holding = asyncio.create_task(holder.run(sqlite_books.here, hold))
    await asyncio.to_thread(held.wait, 10)
    with pytest.raises(Unavailable):
        await sqlite_books.store.run(sqlite_books.here, adding(sqlite_books, 1))
    go_on.set()
    await holding
    assert await sqlite_books.store.run(sqlite_books.here, adding(sqlite_books, 1)) == 1
    await holder.stop()


async def test_the_file_is_its_owners_alone(sqlite_books: Any, tmp_path: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "deeper").iterdir()}
    assert modes == {0o600}


async def test_a_lost_connection_is_replaced(postgres_url: str, request: pytest.FixtureRequest) -> None:
    books = await _open(postgres_url, request)
    killer = books.another_store()
    await killer.start()
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    cut = f"SELECT pg_terminate_backend(pid) {others}"
    await killer.run_global(lambda unit: unit._scope.connection.exec_driver_sql(cut).all())
    assert await books.store.run(books.here, adding(books, 1)) == 1
    assert await count(books) == 1
    await killer.stop()
    await books.store.stop()


async def test_a_transaction_that_always_loses_gives_up(
    postgres_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.2)
    books = await _open(postgres_url, request)
    tries = []

    def lose(uow: Any) -> None:
        tries.append(1)
        uow.orders._sql.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(Unavailable):
        await books.store.run(books.here, lose)
    assert len(tries) > 2
    await books.store.stop()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d"])
def test_a_database_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"SQLite needs a file|mysql"):
        Store(url, now=lambda: None, new_id=str, vault=None)  # type: ignore[arg-type,return-value]
