"""Which days are reconciled and when: bills that are late, midnight, days that were missed, and two at work at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from payments.channels.sandbox import shape
from payments.money import Fen
from payments.outcomes import Bill, BillAnswer, BillLine, NoBill
from payments.port import NoSuchRun
from payments.reconcile.as_csv import items_csv, safe
from payments.reconcile.run import GIVE_UP_AFTER, Reconciler
from payments.reconcile.view import WorkItemView
from tests.payments_desk import sqlite_desk
from tests.payments_office import DAY, NEXT, OddChannel, Office, named


async def test_a_bill_that_is_late_is_asked_for_again_and_given_up_in_the_end(office: Office) -> None:
    desk = office.desk
    await desk.fault("bill_late", count=2)
    await desk.open_and_pay()
    await office.until(NEXT)
    run = await office.run()
    assert (run.state, run.tries, run.reason) == ("waiting", 1, "late")
    await office.until(NEXT, 10.5 * 3600 + 301)
    assert (await office.run()).tries == 2
    await office.until(NEXT, 10.5 * 3600 + 301 + 901)
    assert (await office.run()).state == "agreed"
    # What was found stands when the bill cannot be had once more.
    await desk.fault("bill_late", count=1000)
    assert (await office.reconciler.reconcile("sandbox", DAY)).state == "agreed"
    await office.until(NEXT + timedelta(days=1))
    await desk.advance(GIVE_UP_AFTER.total_seconds() + 3600)
    await office.rest()
    assert (await office.run(NEXT)).state == "given_up"
    await desk.bank.clear_scripts()
    assert (await office.reconciler.reconcile("sandbox", NEXT)).state == "agreed"
    for wrong in (("sandbox", NEXT + timedelta(days=30)), ("cash", DAY)):
        with pytest.raises(NoSuchRun):
            await office.reconciler.reconcile(*wrong)


async def test_around_midnight_nobody_is_accused(office: Office) -> None:
    """Paid there a second before midnight, booked here the next day; and a bill that comes a day late."""
    desk = office.desk
    await office.until(DAY, 24 * 3600 - 600)
    await desk.open("a")
    token = await desk.token()
    await desk.fault("late", "a", value="30")
    await office.until(DAY, 24 * 3600 - 1)
    assert await desk.bank.pay(token) == "paid"
    await desk.open("b", for_s=900)
    await office.until(NEXT, 60)
    assert await desk.pay("b") == "paid"
    assert (await desk.view("a")).state == "success"
    await office.until(NEXT)
    await office.until(NEXT + timedelta(days=1))
    assert [(await office.run(day)).state for day in (DAY, NEXT)] == ["agreed", "agreed"]
    assert await office.items() == []
    assert (await office.run(DAY)).sums.theirs.paid_fen == 1000
    assert (await office.run(DAY)).sums.ours.paid_fen == 0


async def test_days_after_a_standstill_are_caught_up_with(office: Office) -> None:
    await office.desk.open_and_pay()
    await office.until(DAY + timedelta(days=5))
    assert [run.day for run in await office.people.reconciliations()] == [
        DAY + timedelta(days=ahead) for ahead in (4, 3, 2, 1, 0)
    ]
    assert {run.state for run in await office.people.reconciliations()} == {"agreed"}


async def test_two_processes_reconcile_a_day_once(any_office: Office) -> None:
    desk = any_office.desk
    desk.bank.notify = None
    for name in "abc":
        await desk.open(name)
        assert await desk.bank.pay(await desk.token(name)) == "paid"
    await any_office.ours("UPDATE intents SET due_at = NULL")
    await desk.advance(24 * 3600)
    others = [any_office.another() for _ in range(3)]
    for _ in range(5):
        await asyncio.gather(*(other.work() for other in others))
    items = await any_office.items()
    assert [item.state for item in items] == ["repaired"] * 3
    assert (await any_office.run()).mismatches == 3
    await desk.assert_books()


async def test_no_bill_for_a_day_without_business_and_a_bill_of_another_day(office: Office) -> None:
    desk = office.desk
    await desk.open_and_pay()
    inner = desk.channel()
    good = await _bill_of_later(office)
    channels: dict[str, Any] = {"sandbox": OddChannel(inner, lambda _: good)}
    payments = desk.payments
    office.reconciler = Reconciler(payments._store, channels, lambda: desk.at, payments._new_id)
    await office.until(NEXT)
    assert (await office.run()).reason == "wrong_day"
    channels["sandbox"] = OddChannel(inner, lambda _: NoBill(reason="nothing", is_final=True))
    other = Reconciler(payments._store, channels, lambda: desk.at, payments._new_id)
    run = await other.reconcile("sandbox", DAY)
    assert (run.state, run.lines) == ("differing", 0)


async def test_one_merchant_with_two_channels_has_one_bill(any_office: Office) -> None:
    """Both channels see everything: each judges its own, and a number that nobody knows is one matter."""
    desk = any_office.desk
    await desk.open_and_pay("a")
    await desk.open("b", channels=("sandbox_backup",))
    assert await desk.pay("b") == "paid"
    await any_office.until(NEXT, 10.2 * 3600)
    bills = [await desk.channel(code).bill(DAY) for code in ("sandbox", "sandbox_backup")]
    stranger = BillLine(kind="paid", attempt_id="CANTEEN0001", number="CANTEEN0001", amount_fen=Fen(800))
    lines = tuple(line for bill in bills if isinstance(bill, Bill) for line in bill.trades)
    payments = desk.payments
    channels: dict[str, Any] = {
        code: OddChannel(desk.channel(code), lambda day: Bill(day=day, trades=(*lines, stranger)))
        for code in ("sandbox", "sandbox_backup")
    }
    any_office.reconciler = Reconciler(payments._store, channels, lambda: desk.at, payments._new_id)
    await any_office.until(NEXT)
    item = await any_office.only()
    assert (item.kind, item.cause, item.number) == ("paid_there_not_here", "unknown_number", "CANTEEN0001")
    sums = [(await any_office.run(DAY, code)).sums for code in ("sandbox", "sandbox_backup")]
    assert [(each.ours.paid_fen, each.theirs.paid_fen) for each in sums] == [(1000, 1800), (1000, 1800)]


async def _bill_of_later(office: Office) -> BillAnswer:
    answer = await office.desk.channel().bill(DAY - timedelta(days=3))
    assert not isinstance(answer, NoBill)
    return answer


async def test_a_channel_that_is_gone_leaves_its_days_waiting(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        desk.bank.notify = None
        await desk.open("a")
        assert await desk.bank.pay(await desk.token()) == "paid"
        office = Office(desk)
        await office.ours("UPDATE intents SET due_at = NULL")
        await desk.fault("bill_late")
        await desk.fault("query_lost", "a", count=100)
        await office.until(NEXT)
        await office.until(NEXT, 10.5 * 3600 + 310)
        assert (await office.only()).state == "repairing"
    async with sqlite_desk(tmp_path, [shape("other")]) as desk:
        office = Office(desk)
        await office.until(NEXT, 14 * 3600)
        assert named(await office.only())[2:] == ("open", "no_such_channel")


async def test_sums_and_texts_of_a_table(office: Office) -> None:
    for text in ("=1+1", "+1", "-1", "@x", "\t=1", "  =1", "＝1", "\r\n=1", "|cmd"):
        assert safe(text).startswith("'")
    for text in ("", "ord_1", "2026-03-02", "差额"):
        assert safe(text) == text
    assert items_csv([]).startswith("id,run_id,")


async def test_the_rows_are_what_the_tables_say(office: Office) -> None:
    def look(connection: sa.Connection) -> set[str]:
        return {column["name"] for column in sa.inspect(connection).get_columns("work_items")}

    columns = await office.desk.payments._store.database.read(look)
    assert set(WorkItemView.__struct_fields__) | {"lease_until"} == columns
