"""Reconciliation with the sandbox bank's real books, damaged by hand: found, repaired or handed over, on both
databases; repeated, nothing changes."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import sqlalchemy as sa

from payments.channels.sandbox import shape
from payments.money import Fen
from payments.outcomes import (
    Bill,
    BillAnswer,
    BillLine,
    MoneyAnswer,
    NoBill,
    QueryAnswer,
    ReceiverOutcome,
    SplitAnswer,
)
from payments.port import ItemRefused, NoSuchRun, UnknownItem
from payments.reconcile import repair as reconcile_repair
from payments.reconcile.as_csv import items_csv, safe
from payments.reconcile.repair import verdict_on
from payments.reconcile.run import GIVE_UP_AFTER, Reconciler
from payments.reconcile.view import ReconciliationView, WorkItemView
from payments.store.database import Sql
from tests.payments_desk import START, Desk, sqlite_desk

#: The desk's day; it starts at noon.
DAY = date(2026, 3, 2)
NEXT = DAY + timedelta(days=1)


class Office:
    """A desk, and the reconciliation of its database."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reconciler = self.another()
        self.people = desk.payments.upkeep.reconciliation

    def another(self) -> Reconciler:
        """Another process's."""
        payments = self.desk.payments
        return Reconciler(payments._store, payments._channels, lambda: self.desk.at, payments._new_id)

    async def until(self, day: date, clock_s: float = 10.5 * 3600) -> None:
        """Let the time pass until the clocks in China show that, and work."""
        start_s = (day - DAY) / timedelta(seconds=1) + clock_s - 12 * 3600
        await self.desk.advance((START - self.desk.at).total_seconds() + start_s)
        await self.rest()

    async def rest(self) -> None:
        """Work until nothing is due."""
        for _ in range(50):
            if not await self.reconciler.work() + await self.desk.payments.work():
                return
        raise AssertionError("reconciliation never comes to rest")

    async def run(self, day: date = DAY, channel: str = "sandbox") -> ReconciliationView:
        return next(run for run in await self.people.reconciliations() if (run.channel, run.day) == (channel, day))

    async def items(self) -> list[WorkItemView]:
        return [item for run in await self.people.reconciliations() for item in await self.people.differences(run.id)]

    async def only(self) -> WorkItemView:
        (item,) = await self.items()
        return item

    async def bank(self, statement: str) -> None:
        """Change the bank's own books."""
        assert await self.desk.bank._database.run(lambda c: Sql(c).do(statement)) > 0

    async def ours(self, statement: str) -> None:
        """Change our own books."""
        assert await self.desk.payments._store.database.run(lambda c: Sql(c).do(statement)) > 0


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with sqlite_desk(tmp_path) as desk:
        yield Office(desk)


@pytest.fixture
async def any_office(sql_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """On either database."""
    bank_url = f"sqlite:///{tmp_path}/bank.db" if sql_url.startswith("sqlite") else sql_url
    async with Desk(sql_url, bank_url) as desk:
        yield Office(desk)


def named(item: WorkItemView) -> tuple[str, str, str, str]:
    return item.kind, item.cause, item.state, item.reason


async def test_days_that_agree_and_the_same_run_again(any_office: Office) -> None:
    desk = any_office.desk
    await desk.open_and_pay("a")
    await desk.open_and_pay("b")
    await desk.settle("a", runner=700, campus=50, platform=150)
    await desk.release("b")
    await desk.refund("a", 100)
    await any_office.until(DAY, 23 * 3600)
    assert await any_office.people.reconciliations() == []
    await any_office.until(NEXT, 10.4 * 3600)
    assert await any_office.people.reconciliations() == []
    await any_office.until(NEXT)
    run = await any_office.run()
    assert (run.state, run.lines, run.mismatches) == ("agreed", 8, 0)
    assert run.sums.theirs == run.sums.ours
    assert (run.sums.ours.paid_fen, run.sums.ours.refunded_fen) == (2000, 1200)
    assert (run.sums.ours.split_fen, run.sums.ours.taken_back_fen) == (200, 22)
    again = await any_office.reconciler.reconcile("sandbox", DAY)
    assert msgspec.structs.replace(again, tries=run.tries, ran_at=run.ran_at) == run
    assert await any_office.items() == []
    # The backup has seen no attempt, so it has no day.
    assert {each.channel for each in await any_office.people.reconciliations()} == {"sandbox"}


async def test_a_ghost_is_booked_once_and_a_run_repeated_changes_nothing(any_office: Office) -> None:
    desk = any_office.desk
    await desk.fault("lost", "a")
    await desk.open("a")
    await desk.fault("query_lost", "a", count=1000)
    assert await desk.bank.pay(await desk.token()) == "paid"
    await any_office.until(NEXT, 10.2 * 3600)
    assert (await desk.view()).state != "success"
    await desk.bank.clear_scripts()
    await desk.payments._store.database.run(lambda c: Sql(c).do("UPDATE intents SET due_at = NULL"))
    await any_office.until(NEXT)
    item = await any_office.only()
    assert named(item) == ("paid_there_not_here", "not_booked", "repaired", "booked")
    assert (item.ours_fen, item.theirs_fen, item.order_ref, item.campus_id) == (0, 1000, "ord_a", "nu")
    assert (await desk.view()).state == "success"
    await desk.assert_books()
    assert "Paid" in await desk.kinds()
    first = await any_office.run()
    assert (first.state, first.mismatches) == ("differing", 1)
    for _ in range(2):
        again = await any_office.reconciler.reconcile("sandbox", DAY)
        await any_office.rest()
        assert (again.state, again.mismatches, again.digest) == ("agreed", 1, first.digest)
        assert await any_office.only() == item
    # The next day has our booking and no payment; it stands on the bill of the day before.
    await any_office.until(NEXT + timedelta(days=1))
    assert (await any_office.run(NEXT)).state == "agreed"
    assert len(await desk.kinds()) == len(set(await desk.kinds()))


async def test_a_second_payment_is_given_back_by_the_rule(any_office: Office) -> None:
    desk = any_office.desk
    await desk.open("a")
    old = await desk.token()
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert await desk.pay() == "paid"
    # A bank that takes money for what it had called closed, and never says so.
    await desk.fault("pays_closed", "a")
    await desk.fault("lost", "a")
    assert await desk.bank.pay(old) == "paid"
    await any_office.ours("UPDATE intents SET due_at = NULL")
    await any_office.until(NEXT)
    await desk.advance(60)
    item = await any_office.only()
    assert named(item)[:3] == ("twice", "second_attempt", "repaired")
    assert await desk.states() == ["sandbox:refunded", "sandbox_backup:paid"]
    await desk.assert_books()


async def test_a_refund_done_there_is_asked_about_under_its_number(office: Office) -> None:
    desk = office.desk
    await desk.open_and_pay()
    await desk.fault("release_lost", "a", count=1000)
    await desk.release()
    await office.ours("UPDATE instructions SET due_at = NULL")
    await desk.bank.clear_scripts()
    await office.until(NEXT)
    assert named(await office.only())[:3] == ("state_differs", "not_booked", "repairing")
    await desk.advance(70)
    await office.rest()
    assert named(await office.only()) == ("state_differs", "not_booked", "repaired", "booked")
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


async def test_money_back_and_splits_that_the_bank_forgot_are_done_under_their_numbers(any_office: Office) -> None:
    desk = any_office.desk
    for name in "abc":
        await desk.open_and_pay(name)
    await desk.release("a")
    await desk.settle("b", runner=1000, campus=0, platform=0)
    await desk.settle("c", runner=900, campus=0, platform=100)
    await desk.withdraw("w1", 1900)
    await desk.refund("c", 100)
    await any_office.bank("DELETE FROM moves WHERE kind IN ('return', 'split') AND amount_fen = 1000 AND out_no IN"
                      " (SELECT out_no FROM orders WHERE order_ref IN ('ord_a', 'ord_b'))")  # fmt: skip
    await any_office.bank("DELETE FROM moves WHERE kind = 'refund'")
    await any_office.bank(
        "UPDATE orders SET frozen_fen = 1000, split_fen = 0, returned_fen = 0 WHERE order_ref <> 'ord_c'"
    )
    await any_office.bank("UPDATE orders SET refunded_fen = 0 WHERE order_ref = 'ord_c'")
    assert await desk.payments.check() != []
    await any_office.until(NEXT)
    assert {named(item) for item in await any_office.items()} == {
        ("state_differs", "missing", "repaired", "done_under_its_number")
    }
    assert {item.what for item in await any_office.items()} == {"refunded", "split"}
    await desk.assert_books()
    # The bank does it today, so it is on today's bill, which is judged without a word.
    await any_office.until(NEXT + timedelta(days=1))
    assert (await any_office.run(NEXT)).state == "agreed"
    assert len(await any_office.items()) == 3


async def test_what_only_people_can_settle(any_office: Office) -> None:
    desk = any_office.desk
    for name in "abcd":
        await desk.open_and_pay(name)
    await desk.release("c")
    await any_office.bank("UPDATE orders SET paid_fen = 990, frozen_fen = 990 WHERE order_ref = 'ord_a'")
    await any_office.bank("UPDATE moves SET number = 'CONSOLE0001' WHERE kind = 'return'")
    await any_office.bank("UPDATE orders SET out_no = 'STRANGER01' WHERE order_ref = 'ord_d'")
    await any_office.until(NEXT)
    found = {(item.kind, item.cause, item.what, item.state) for item in await any_office.items()}
    assert {
        ("amount_differs", "amount", "paid", "open"),
        ("state_differs", "unknown_number", "refunded", "open"),
        ("paid_there_not_here", "unknown_number", "paid", "open"),
        # The bank knows nothing of the payment under our number, and gives back what it says it gave back.
        ("paid_here_not_there", "missing", "paid", "open"),
    } <= found
    run = await any_office.run()
    assert run.state == "differing"
    opened = await any_office.people.open_items()
    assert len(opened) == len([item for item in await any_office.items() if item.state == "open"])

    item = opened[0]
    with pytest.raises(ValueError, match="reason"):
        await any_office.people.close_item(item.id, "op_li", "  ")
    with pytest.raises(ValueError, match="handler"):
        await any_office.people.take_item(item.id, "")
    with pytest.raises(UnknownItem):
        await any_office.people.take_item("item_0", "op_li")
    assert (await any_office.people.take_item(item.id, "op_li")).state == "taken"
    assert (await any_office.people.take_item(item.id, "op_li")).handler == "op_li"
    with pytest.raises(ItemRefused):
        await any_office.people.take_item(item.id, "op_wang")
    with pytest.raises(ItemRefused):
        await any_office.people.close_item(item.id, "op_wang", "mine")
    assert (await any_office.people.take_item(item.id, "op_wang", instead_of="op_li")).handler == "op_wang"
    closed = await any_office.people.close_item(item.id, "op_wang", "=the bank has said so")
    assert (closed.state, closed.handler) == ("closed", "op_wang")
    assert await any_office.people.close_item(item.id, "op_wang", "=the bank has said so") == closed
    with pytest.raises(ItemRefused):
        await any_office.people.close_item(item.id, "op_wang", "no, it has not")
    # The run again finds it again, and leaves it closed.
    await any_office.reconciler.reconcile("sandbox", DAY)
    assert item.id not in {each.id for each in await any_office.people.open_items()}

    table = list(csv.DictReader(io.StringIO(await any_office.people.differences_csv(run.id))))
    assert {row["id"] for row in table} == {each.id for each in await any_office.people.differences(run.id)}
    mine = next(row for row in table if row["id"] == item.id)
    assert mine["reason"] == "'=the bank has said so"
    assert mine["theirs_yuan"] in ("9.90", "10.00", "0.00")
    assert len(await any_office.people.open_items_csv()) > 0
    (line,) = csv.DictReader(io.StringIO(await any_office.people.reconciliations_csv()))
    assert (line["day"], line["state"], line["ours_paid_yuan"]) == ("2026-03-02", "differing", "40.00")


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


async def test_a_repair_that_does_not_work_becomes_people_s(office: Office) -> None:
    desk = office.desk
    desk.bank.notify = None
    await desk.open("a")
    assert await desk.bank.pay(await desk.token()) == "paid"
    await office.ours("UPDATE intents SET due_at = NULL")
    await desk.fault("query_lost", "a", count=1000)
    await office.until(NEXT)
    assert named(await office.only())[2:] == ("repairing", "query_says_no_answer")
    for _ in range(6):
        await desk.advance(3600)
        await office.rest()
    item = await office.only()
    assert (item.state, item.tries) == ("open", 5)
    # People book it by hand or wait for the callback; the next run then finds nothing any more.
    await desk.bank.clear_scripts()
    desk.bank.notify = desk.payments.callback
    await desk.bank.work()
    assert (await desk.view()).state == "success"
    await office.reconciler.reconcile("sandbox", DAY)
    assert named(await office.only())[2:] == ("repaired", "differs_no_more")


async def test_a_bill_that_was_not_there_clears_who_was_accused(office: Office) -> None:
    """A bill of the day after names what was missing: the item ends by itself."""
    desk = office.desk
    await desk.open_and_pay()
    await office.bank("UPDATE orders SET paid_at = paid_at + 86400000000")
    await desk.fault("query_lost", "a", count=1000)
    await office.until(NEXT)
    assert named(await office.only())[:3] == ("paid_here_not_there", "missing", "repairing")
    await office.ours("UPDATE work_items SET due_at = NULL")
    await office.until(NEXT + timedelta(days=1))
    assert named(await office.only())[2:] == ("repaired", "billed_later")


async def test_a_payment_that_no_bill_has_and_the_bank_confirms(office: Office) -> None:
    desk = office.desk
    await desk.open_and_pay()
    await office.bank("UPDATE orders SET paid_at = NULL")
    await office.until(NEXT)
    assert named(await office.only()) == ("paid_here_not_there", "missing", "repaired", "confirmed")


class OddChannel:
    """The sandbox's channel with a bill of our own making."""

    def __init__(self, inner: Any, answer: Callable[[date], BillAnswer]) -> None:
        self._inner = inner
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def bill(self, day: date) -> BillAnswer:
        return self._answer(day)


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


def _with(office: Office, answer: Callable[[date], BillAnswer]) -> None:
    """Let the sandbox's channel have bills of our own making."""
    payments = office.desk.payments
    channels: dict[str, Any] = {"sandbox": OddChannel(office.desk.channel(), answer)}
    office.reconciler = Reconciler(payments._store, channels, lambda: office.desk.at, payments._new_id)


async def test_what_the_provider_reversed_by_itself_is_no_ghost(office: Office) -> None:
    """Taken before midnight and given back after it under a number that we never gave: a ghost for one day."""
    desk = office.desk
    await desk.open("a")
    attempt_id = (await desk.view()).attempts[0].attempt_id
    taken = BillLine(kind="paid", attempt_id=attempt_id, number=attempt_id, amount_fen=Fen(1000))
    back = BillLine(kind="refunded", attempt_id=attempt_id, number="REVERSAL001", amount_fen=Fen(1000))
    bills = {DAY: (taken,), NEXT: (back,)}
    _with(office, lambda day: Bill(day=day, trades=bills.get(day, ())))
    await office.until(NEXT)
    assert named(await office.only()) == (
        "paid_there_not_here", "not_booked", "repairing", "query_says_closed"
    )  # fmt: skip
    await office.until(NEXT + timedelta(days=1))
    assert named(await office.only())[2:] == ("repaired", "reversed_there")
    assert (await office.run(NEXT)).state == "agreed"


async def test_a_bill_that_names_splits_by_their_order_alone(any_office: Office) -> None:
    desk = any_office.desk
    for name in "abc":
        await desk.open_and_pay(name)
    await desk.settle("a")
    await desk.fault("split_fails", "b", count=2, value="campus")
    await desk.settle("b")
    await desk.fault("split_lost", "c", count=1000)
    await desk.settle("c")
    await desk.advance(60, step_s=5)
    await any_office.ours("UPDATE instructions SET due_at = NULL")
    whole = desk.channel()
    await any_office.until(NEXT, 9 * 3600)
    await desk.bank.clear_scripts()
    await desk.advance(1.5 * 3600)
    bill = await whole.bill(DAY)
    assert isinstance(bill, Bill)
    assert bill.flows is not None
    by_order = tuple(
        msgspec.structs.replace(line, number=line.attempt_id) for line in bill.flows if line.kind == "split"
    )
    _with(any_office, lambda day: Bill(day=day, trades=bill.trades if day == DAY else (), flows=by_order))
    await any_office.rest()
    item = await any_office.only()
    assert (item.kind, item.cause, item.order_ref, item.theirs_fen) == ("state_differs", "not_booked", "ord_c", 200)
    await desk.advance(70)
    await any_office.rest()
    assert named(await any_office.only())[2:] == ("repaired", "booked")
    await desk.assert_books()
    # One that the bill has only in part is asked about again, by its instructions.
    short = tuple(line for line in by_order if (line.attempt_id, line.amount_fen) != (by_order[0].attempt_id, 50))
    assert len(short) == len(by_order) - 1
    _with(any_office, lambda day: Bill(day=day, trades=bill.trades, flows=short))
    await any_office.reconciler.reconcile("sandbox", DAY)
    await any_office.rest()
    found = {named(each) for each in await any_office.items()}
    assert ("amount_differs", "less_there", "repaired", "done_under_its_number") in found


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


def _split(*standings: Literal["paid", "pending", "closed"]) -> SplitAnswer:
    outcomes = [
        ReceiverOutcome(party="runner", account_ref=f"run{place}", standing=standing, reason="gone")
        for place, standing in enumerate(standings)
    ]
    return SplitAnswer(receivers=tuple(outcomes))


class MuteChannel(OddChannel):
    """A channel whose calls never end, but for the bill."""

    async def query(self, attempt_id: str) -> QueryAnswer:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def bill(self, day: date) -> BillAnswer:
        answer: BillAnswer = await self._inner.bill(day)
        return answer


async def test_repairs_that_get_no_answer_are_tried_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_repair, "CALL_S", 0.05)
    desk = office.desk
    desk.bank.notify = None
    await desk.open("a")
    assert await desk.bank.pay(await desk.token()) == "paid"
    await office.ours("UPDATE intents SET due_at = NULL")
    desk.bank.notify = desk.payments.callback
    await desk.open_and_pay("b")
    await desk.release("b")
    await office.bank("DELETE FROM moves")
    channels: dict[str, Any] = {"sandbox": MuteChannel(desk.channel(), lambda day: NoBill(reason=str(day)))}
    office.reconciler = Reconciler(desk.payments._store, channels, lambda: desk.at, desk.payments._new_id)
    await desk.advance(22 * 3600)
    await office.ours("UPDATE intents SET due_at = NULL")
    await office.until(NEXT)
    assert {named(item)[1:] for item in await office.items() if item.state == "repairing"} >= {
        ("missing", "repairing", "timeout")
    }


async def test_an_item_that_somebody_closed_while_it_was_repaired_stays_closed(office: Office) -> None:
    desk = office.desk
    desk.bank.notify = None
    await desk.open("a")
    assert await desk.bank.pay(await desk.token()) == "paid"
    await office.ours("UPDATE intents SET due_at = NULL")
    await desk.fault("query_lost", "a", count=1000)
    await office.until(NEXT)
    item = await office.only()
    await office.people.close_item(item.id, "op_li", "it is settled by hand")
    mender = office.reconciler._mender
    await mender.mend(item.id)
    await desk.payments._store.run(lambda uow: mender._conclude(item.id, "repaired", "late", uow))
    assert named(await office.only())[2:] == ("closed", "it is settled by hand")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (SplitAnswer(reason="no_such_order"), ("later", "no_such_order")),
        (SplitAnswer(), ("later", "no_answer")),
        (_split("paid", "paid"), ("repaired", "done_under_its_number")),
        (_split("paid", "pending"), ("later", "pending")),
        (_split("pending", "closed"), ("open", "receiver_closed: gone")),
        (MoneyAnswer(standing="done"), ("repaired", "done_under_its_number")),
        (MoneyAnswer(standing="failed", reason="frozen"), ("open", "refused: frozen")),
        (MoneyAnswer(standing="pending"), ("later", "pending")),
        (MoneyAnswer(standing="no_answer", reason="timeout"), ("later", "timeout")),
    ],
)
def test_what_an_answer_means_for_an_item(answer: SplitAnswer | MoneyAnswer, verdict: tuple[str, str]) -> None:
    assert verdict_on(answer) == verdict
