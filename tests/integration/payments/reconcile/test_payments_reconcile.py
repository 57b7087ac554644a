"""Reconciliation with the sandbox bank's real books, damaged by hand: found, repaired or handed over, on both
databases; repeated, nothing changes."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import msgspec
import pytest

from payments.port import ItemRefused, UnknownItem
from payments.store.database import Sql
from tests.payments_office import DAY, NEXT, Office, named


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
