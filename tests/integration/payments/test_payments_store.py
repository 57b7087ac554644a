"""Payments' database on both engines: migrations, constraints that guard the money, repetition; and the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from payments import ledger
from payments.attempt import AttemptState, open_attempt
from payments.channels.sandbox import shape
from payments.ledger import LedgerError
from payments.money import Fen
from payments.store import migrations
from payments.store.database import Database, Sql, migrate
from payments.store.instant import from_us, to_us
from payments.store.rows import IntentRow
from payments.store.tables import metadata
from payments.store.unit_of_work import SCHEMA, Store, UnitOfWork
from tests.payments_desk import START, Desk, sqlite_desk

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def store(sql_url: str) -> AsyncIterator[Store]:
    store = Store(sql_url)
    await store.migrate()
    yield store
    store.close()


def _intent(name: str = "int_a") -> IntentRow:
    return IntentRow(
        id=name,
        amount_fen=Fen(100),
        channels=("sandbox",),
        expires_at=START,
        campus_id="nu",
        order_ref="o",
        payer_ref="s",
        description="",
        created_at=START,
    )


def test_instants_keep_their_microseconds() -> None:
    for at in (START, START + timedelta(microseconds=1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8)))):
        assert from_us(to_us(at)) == at


async def test_the_tables_are_what_the_migrations_make(store: Store) -> None:
    def compare(connection: sa.Connection) -> None:
        inspector = sa.inspect(connection)
        assert set(inspector.get_table_names()) == {*metadata.tables, "schema_version"}
        for table in metadata.tables.values():
            made = {column["name"] for column in inspector.get_columns(table.name)}
            assert made == set(table.columns.keys()), table.name

    await store.database.read(compare)


async def test_migrating_is_done_once_whoever_comes(sql_url: str) -> None:
    stores = [Store(sql_url) for _ in range(3)]
    versions = await asyncio.gather(*(store.migrate() for store in stores))
    assert versions == [len(migrations.MIGRATIONS)] * 3
    await stores[0].run(lambda uow: uow.intents.add(_intent(), due_at=START))
    assert await stores[1].migrate() == len(migrations.MIGRATIONS)
    found = await stores[2].read(lambda uow: uow.intents.get("int_a"))
    assert found == _intent()
    for store in stores:
        store.close()


async def test_a_later_migration_keeps_what_is_there(store: Store) -> None:
    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    later = [*migrations.MIGRATIONS, ("ALTER TABLE intents ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)]
    for _ in range(2):
        version = await store.database.run(lambda c: migrate(c, later, schema=SCHEMA))
        assert version == len(later)
    colour = await store.database.read(lambda c: Sql(c).one("SELECT colour FROM intents"))
    assert colour == {"colour": "red"}
    with pytest.raises(AssertionError, match="newer version"):
        await store.migrate()


async def test_the_index_lets_one_attempt_live(store: Store) -> None:
    def attempt(number: int, state: AttemptState) -> Callable[[UnitOfWork], None]:
        made = open_attempt(
            intent_id="int_a",
            number=number,
            amount_fen=Fen(100),
            intent_expires_at=START,
            shape=shape(),
            now=START,
        )
        return lambda uow: uow.attempts.add(type(made)(**{**_fields(made), "state": state}))

    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    await store.run(attempt(1, AttemptState.CLOSED))
    await store.run(attempt(2, AttemptState.ISSUED))
    for state in (AttemptState.CREATING, AttemptState.ISSUED, AttemptState.CLOSING, AttemptState.UNKNOWN):
        with pytest.raises(IntegrityError):
            await store.run(attempt(3, state))
    await store.run(attempt(3, AttemptState.ABANDONED))


async def test_an_error_of_the_database_names_no_values(store: Store) -> None:
    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    with pytest.raises(IntegrityError) as failed:
        await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    assert "INSERT INTO intents" in str(failed.value) and "parameters hidden" in str(failed.value)


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}  # type: ignore[attr-defined]


async def test_one_attempt_pays(store: Store) -> None:
    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    claims = await asyncio.gather(
        *(store.run(lambda uow, name=name: uow.intents.claim_paid("int_a", name)) for name in ("A1", "A2", "A3"))
    )
    assert sorted(claims) == [False, False, True]


async def test_the_ledger_refuses_what_would_make_it_wrong(store: Store) -> None:
    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    hold = ledger.hold(channel="sandbox", payer_ref="s", intent_id="int_a", attempt_id="A1", amount_fen=Fen(100))
    await store.run(lambda uow: uow.books.post(_intent(), hold, START))
    with pytest.raises(IntegrityError):
        await store.run(lambda uow: uow.books.post(_intent(), hold, START))
    too_much = ledger.capture(
        party="runner", account_ref="r", intent_id="int_a", attempt_id="A1", number="S1", amount_fen=Fen(101)
    )
    with pytest.raises(LedgerError, match="escrow:int_a would fall to -1"):
        await store.run(lambda uow: uow.books.post(_intent(), too_much, START))
    balances = await store.read(lambda uow: uow.books.check())
    assert balances == {"bank:sandbox": -100, "student:s": 0, "escrow:int_a": 100}


@pytest.mark.parametrize("change", ["UPDATE entries SET amount_fen = 99", "DELETE FROM entries", "TRUNCATE entries"])
async def test_what_was_booked_stays_whoever_asks(store: Store, change: str) -> None:
    if store.database.is_sqlite:
        change = change.replace("TRUNCATE", "DELETE FROM")
    hold = ledger.hold(channel="sandbox", payer_ref="s", intent_id="int_a", attempt_id="A1", amount_fen=Fen(100))
    await store.run(lambda uow: uow.intents.add(_intent(), due_at=START))
    await store.run(lambda uow: uow.books.post(_intent(), hold, START))
    with pytest.raises(DBAPIError, match="stays as it is"):
        await store.database.run(lambda connection: connection.exec_driver_sql(change))
    assert (await store.read(lambda uow: uow.books.balances()))["escrow:int_a"] == 100


async def test_reading_cannot_write(sql_url: str) -> None:
    database = Database(sql_url, "other")
    await database.run(lambda c: migrate(c, [("CREATE TABLE things (id INTEGER)",)], schema="other"))
    with pytest.raises(DBAPIError):
        await database.read(lambda c: Sql(c).do("INSERT INTO things VALUES (1)"))
    assert await database.read(lambda c: Sql(c).one("SELECT * FROM things")) is None
    database.close()


async def test_transactions_that_collide_are_repeated(sql_url: str) -> None:
    """Each adds one to what it read: with any lost update the sum would be short."""
    databases = [Database(sql_url, "sums") for _ in range(3)]
    first = ("CREATE TABLE sums (id INTEGER PRIMARY KEY, value INTEGER)", "INSERT INTO sums VALUES (1, 0)")
    await databases[0].run(lambda c: migrate(c, [first], schema="sums"))

    def add(connection: sa.Connection) -> None:
        sql = Sql(connection)
        row = sql.one("SELECT value FROM sums WHERE id = 1")
        assert row is not None
        sql.do("UPDATE sums SET value = :value WHERE id = 1", value=row["value"] + 1)

    await asyncio.gather(*(database.run(add) for database in databases for _ in range(20)))
    assert await databases[0].read(lambda c: Sql(c).one("SELECT value FROM sums")) == {"value": 60}
    for database in databases:
        database.close()


async def test_a_mistake_is_not_repeated(store: Store) -> None:
    runs: list[int] = []

    def wrong(uow: UnitOfWork) -> None:
        runs.append(1)
        uow.intents.change("int_nobody", reason="x")

    with pytest.raises(AssertionError, match="no intent int_nobody"):
        await store.run(wrong)
    assert len(runs) == 1
    for missing in (
        lambda uow: uow.intents.require("x"),
        lambda uow: uow.attempts.require("x"),
    ):
        with pytest.raises(AssertionError):
            await store.run(missing)


async def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    is_inside, may_leave = threading.Event(), threading.Event()

    def hold(uow: UnitOfWork) -> None:
        uow.intents.add(_intent(), due_at=START)
        is_inside.set()
        assert may_leave.wait(10)

    writing = asyncio.create_task(store.run(hold))
    await asyncio.get_running_loop().run_in_executor(None, is_inside.wait, 10)
    assert await asyncio.wait_for(store.read(lambda uow: uow.intents.get("int_a")), 5) is None
    may_leave.set()
    await writing
    assert await store.read(lambda uow: uow.intents.get("int_a")) is not None


# -- the loop ---------------------------------------------------------------------------------------------------------


async def test_driving_in_the_background(tmp_path: Path, eventually: Eventually) -> None:
    desk = sqlite_desk(tmp_path)
    await desk.payments.start(is_driving=True)
    await desk.open(is_worked=False)

    async def is_ready() -> bool:
        return (await desk.view()).credential is not None

    await eventually(is_ready)
    assert await desk.bank.pay(await desk.token()) == "paid"

    async def is_paid() -> bool:
        return "Paid" in await desk.kinds()

    await eventually(is_paid)
    await desk.payments.submit(desk.settlement("a", 1000))

    async def is_settled() -> bool:
        return "Settled" in await desk.kinds()

    await eventually(is_settled)
    desk.at += timedelta(hours=1)
    await desk.payments.stop()


async def test_what_another_process_left_is_found_without_being_woken(tmp_path: Path, eventually: Eventually) -> None:
    driver, door = sqlite_desk(tmp_path), sqlite_desk(tmp_path)
    await driver.payments.start(is_driving=True)
    await driver.payments.work()
    await door.payments.start()
    await door.open(is_worked=False)

    async def is_ready() -> bool:
        return (await door.view()).credential is not None

    await eventually(is_ready)
    await door.payments.stop()
    await driver.payments.stop()


async def test_a_failing_pass_is_logged_and_followed_by_the_next(
    tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    desk = sqlite_desk(tmp_path)
    await desk.payments.migrate()
    bank = desk.bank._database.url.database
    assert bank is not None
    async with desk:
        notify = desk.bank.notify

        async def broken(*_: object) -> object:
            raise RuntimeError("the house is on fire")

        desk.bank.notify = broken  # type: ignore[assignment]
        await desk.open(description="[sandbox:late=1]")
        await desk.pay()
        desk.at += timedelta(seconds=2)
        await desk.payments.start(is_driving=True)
        await eventually(lambda: "a pass of payments failed" in caplog.text)
        desk.bank.notify = notify
        desk.at += timedelta(seconds=30)

        async def is_paid() -> bool:
            return (await desk.view()).state == "success"

        await eventually(is_paid)


async def test_one_intents_trouble_does_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with sqlite_desk(tmp_path, [shape("sandbox"), shape("gone")]) as before:
        await before.open("a", channels=("gone",))
        await before.release("a")
        await before.open("b", channels=("gone",))
    async with sqlite_desk(tmp_path) as desk:
        caplog.set_level(logging.ERROR)
        await desk.open("c")
        await desk.advance(60)
        assert "could not drive int_b" in caplog.text
        assert await desk.states("c") == ["sandbox:issued"]
        assert await desk.pay("c") == "paid"


async def test_the_examiner_finds_what_was_tampered_with(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        for name in "abc":
            await desk.open_and_pay(name)
        await desk.release("b")
        await desk.assert_books()
        for guard in ("entries_are_not_changed", "entries_are_not_dropped"):
            await _tamper(desk, f"DROP TRIGGER {guard}")
        await _tamper(desk, "UPDATE entries SET amount_fen = 999 WHERE kind = 'hold' AND order_ref = 'ord_a'")
        found = {(difference.what, difference.subject) for difference in await desk.payments.check()}
        assert ("escrow", "int_a") in found
        await _tamper(desk, "UPDATE entries SET amount_fen = 1000 WHERE kind = 'hold' AND order_ref = 'ord_a'")
        await _tamper(desk, "DELETE FROM entries WHERE kind IN ('release', 'pay_out')")
        found = {(difference.what, difference.subject) for difference in await desk.payments.check()}
        assert {("escrow", "int_b"), ("closed_with_escrow", "int_b"), ("kept", "bank:sandbox")} <= found
        await _tamper(desk, "DELETE FROM entries WHERE kind = 'hold' AND order_ref = 'ord_c'")
        await _tamper(desk, "UPDATE entries SET debit = 'student:nobody' WHERE kind = 'pay_in' AND order_ref = 'ord_c'")
        whats = {difference.what for difference in await desk.payments.check()}
        assert any("would fall" in what for what in whats)
        await _tamper(desk, "DROP INDEX attempts_one_live")
        await _tamper(desk, "UPDATE attempts SET state = 'issued'")
        await _tamper(
            desk,
            "INSERT INTO attempts SELECT id || 'x', intent_id, 2, channel, state, amount_fen, created_at, changed_at,"
            " expires_at, dead_after, ask_at, asks, seen, reason, transaction_id, credential FROM attempts",
        )
        assert "live_attempts" in {difference.what for difference in await desk.payments.check()}


async def test_the_examiner_finds_money_that_only_the_bank_knows(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        desk.bank.notify = None
        await desk.open()
        await desk.bank.pay(await desk.token())
        found = {(difference.what, difference.theirs_fen) for difference in await desk.payments.check()}
        assert found == {("paid", 1000), ("frozen", 1000), ("kept", 1000)}


async def test_the_examiner_finds_money_that_only_we_know(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open_and_pay()
        await desk.bank._database.run(lambda connection: Sql(connection).do("DELETE FROM orders"))
        found = {(difference.what, difference.ours_fen) for difference in await desk.payments.check()}
        assert found == {("paid", 1000), ("frozen", 1000), ("kept", 1000)}


async def _tamper(desk: Desk, statement: str) -> None:
    await desk.payments._store.database.run(lambda connection: Sql(connection).do(statement))
