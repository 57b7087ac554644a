"""Migrations: from nothing and from every earlier version, with data, in several processes at once."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from dispatch.store import migrate, tables
from dispatch.store.engine import parse_url, writer_engine
from dispatch.store.migrate import SchemaTooNew
from dispatch.store.migrations import LATEST
from dispatch.store.store import SchemaOutdated, Store


@pytest.fixture
def engine(sql_url: str) -> Any:
    made = writer_engine(parse_url(sql_url), busy_ms=10_000)
    yield made
    made.dispose()


def columns_of(engine: Engine) -> dict[str, dict[str, bool]]:
    """Every table's columns, and whether they may be NULL."""
    found = inspect(engine)
    return {
        name: {column["name"]: bool(column["nullable"]) for column in found.get_columns(name)}
        for name in found.get_table_names()
        if not name.startswith("sqlite_")
    }


def test_the_migrations_make_the_tables_that_the_queries_use(engine: Engine, books_now: Any) -> None:
    assert migrate.migrate(engine, books_now) == list(range(1, LATEST + 1))
    made = columns_of(engine)
    assert made.keys() == tables.metadata.tables.keys()
    for name, table in tables.metadata.tables.items():
        assert made[name].keys() == {column.name for column in table.c}, name
        for column in table.c:
            if not column.primary_key:
                assert made[name][column.name] == column.nullable, f"{name}.{column.name}"


def test_a_populated_database_of_version_1_becomes_the_latest(engine: Engine, books_now: Any) -> None:
    assert migrate.migrate(engine, books_now, target=1) == [1]
    order_id = "ord_01M6D3DKSE0000000000ABCXYZ"
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO orders (id, campus_id, student_id, type_code, status, version, quote, service_fen,"
                " goods_cap_fen, stops, description, weight_g, placed_at, promised_at, held_fen, captured_fen,"
                " released_fen, refunded_fen, pin, pin_tries, rating_text) VALUES (:id, 'cmp_1', 'acc_1', 'parcel',"
                " 'open', 3, '{}', 300, 0, '[]', '旧的', 100, 1, 2, 300, 0, 0, 0, '1234', 0, '')"
            ),
            {"id": order_id},
        )
        bought = "UPDATE orders SET runner_id = 'acc_r', goods_actual_fen = 700 WHERE id = :id"
        connection.execute(text(bought), {"id": order_id})
        kept = (
            "INSERT INTO idempotency (campus_id, account_id, key, request_hash, answer, stored_at)"
            " VALUES ('cmp_1', 'acc_1', 'k', :bytes, :bytes, 5)"
        )
        connection.execute(text(kept), {"bytes": b"answer"})
    assert migrate.migrate(engine, books_now) == list(range(2, LATEST + 1))
    with engine.connect() as connection:
        row = connection.execute(text("SELECT id, code, description, version, goods_runner_id FROM orders")).one()
        assert tuple(row) == (order_id, "ABCXYZ", "旧的", 3, "acc_r")
        assert connection.execute(text("SELECT answer, key_id FROM idempotency")).one() == (b"answer", None)
        assert migrate.schema_version(connection) == LATEST
    assert "orders_by_code" in {index["name"] for index in inspect(engine).get_indexes("orders")}


def test_a_populated_database_of_version_3_gets_geofences_and_keeps_its_events(engine: Engine, books_now: Any) -> None:
    assert migrate.migrate(engine, books_now, target=3) == [1, 2, 3]
    event = (
        "INSERT INTO events (id, campus_id, kind, subject_id, version, at, payload)"
        " VALUES ('evt_1', 'cmp_1', 'order_paid', 'ord_1', 2, 7, '{}')"
    )
    with engine.begin() as connection:
        connection.execute(text(event))
    assert migrate.migrate(engine, books_now) == list(range(4, LATEST + 1))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT id, kind, at FROM events")).all() == [("evt_1", "order_paid", 7)]
        assert connection.execute(text("SELECT count(*) FROM geofences")).scalar() == 0
        fence = "INSERT INTO geofences VALUES ('fen_1', 'cmp_1', '门', NULL, '{}', NULL, 1, :yes, 1, 1, 'acc_1')"
        connection.execute(text(fence), {"yes": True})
        stay = "INSERT INTO geofence_stays VALUES (:id, 'cmp_1', 'fen_1', 'acc_r', :at, NULL, :no)"
        connection.execute(text(stay), {"id": "sty_1", "at": 5, "no": False})
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(stay), {"id": "sty_2", "at": 6, "no": False})


def test_a_populated_database_of_version_4_gets_histories_of_credit_and_keeps_the_scores(
    engine: Engine, books_now: Any
) -> None:
    assert migrate.migrate(engine, books_now, target=4) == [1, 2, 3, 4]
    account = (
        "INSERT INTO accounts (id, name_sealed, phone_sealed, phone_hash, key_id, language, is_blocked, created_at)"
        " VALUES ('acc_r', :b, :b, :b, 'k', 'en', :no, 1)"
    )
    member = "INSERT INTO memberships VALUES ('acc_r', 'cmp_1', '[\"runner\"]', 'approved', 63, 'walk', :no)"
    with engine.begin() as connection:
        connection.execute(text(account), {"b": b"x", "no": False})
        connection.execute(text(member), {"no": False})
    assert migrate.migrate(engine, books_now) == list(range(5, LATEST + 1))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT credit, credit_lines FROM memberships")).one() == (63, 0)
        line = (
            "INSERT INTO credit_entries VALUES (:id, 'cmp_1', 'acc_r', :number, 5, 63, 63, 'opening', :of, 'v', NULL,"
            " '{}', '', NULL)"
        )
        connection.execute(text(line), {"id": "crd_1", "number": 1, "of": "acc_r"})
    for twice in ({"number": 1, "of": "other"}, {"number": 2, "of": "acc_r"}):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(line), {"id": "crd_2", **twice})


def test_migrating_again_does_nothing(engine: Engine, books_now: Any) -> None:
    migrate.migrate(engine, books_now)
    assert migrate.migrate(engine, books_now) == []


def test_a_database_of_a_later_program_is_left_alone(engine: Engine, books_now: Any) -> None:
    migrate.migrate(engine, books_now)
    with engine.begin() as connection:
        connection.execute(tables.schema_version.insert().values(version=LATEST + 1, applied_at=books_now))
    with pytest.raises(SchemaTooNew):
        migrate.migrate(engine, books_now)


def test_several_that_migrate_at_once_do_each_step_once(sql_url: str, books_now: Any) -> None:
    applied: list[int] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        own = writer_engine(parse_url(sql_url), busy_ms=10_000)
        barrier.wait()
        applied.extend(migrate.migrate(own, books_now))
        own.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(applied) == list(range(1, LATEST + 1))


def test_the_journal_is_switched_once_the_file_is_free(tmp_path: Path, books_now: Any) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        connection.execute("CREATE TABLE t (a)")
        connection.execute("BEGIN EXCLUSIVE")
        held.set()
        done.wait(0.2)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    engine = writer_engine(parse_url(f"sqlite:///{tmp_path}/books.db"), busy_ms=1)
    assert migrate.migrate(engine, books_now) == list(range(1, LATEST + 1))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()
    holder.join(10)


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path, books_now: Any) -> None:
    path = tmp_path / "books.db"
    path.write_bytes(b"somebody's letters, and not a database at all" * 50)
    engine = writer_engine(parse_url(f"sqlite:///{path}"))
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        migrate.migrate(engine, books_now)
    engine.dispose()
    assert path.read_bytes().startswith(b"somebody's letters")


async def test_a_store_opens_only_a_database_of_its_own_version(sql_url: str, books_now: Any) -> None:
    store = Store(sql_url, now=lambda: books_now, new_id=str, vault=None)  # type: ignore[arg-type]
    assert store.schema_version() == 0
    with pytest.raises(SchemaOutdated, match="dispatch migrate"):
        await store.start()
    assert store.migrate() == list(range(1, LATEST + 1))
    assert store.schema_version() == Store.LATEST == LATEST
    await store.start()
    await store.stop()
    later = writer_engine(parse_url(sql_url))
    with later.begin() as connection:
        connection.execute(tables.schema_version.insert().values(version=LATEST + 1, applied_at=books_now))
    later.dispose()
    with pytest.raises(SchemaOutdated, match="newer program"):
        await store.start()
