"""Repairs that get no answer or come too late, and bills with words of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Literal

import msgspec
import pytest

from payments.money import Fen
from payments.outcomes import Bill, BillAnswer, BillLine, MoneyAnswer, NoBill, QueryAnswer, ReceiverOutcome, SplitAnswer
from payments.reconcile import repair as reconcile_repair
from payments.reconcile.repair import verdict_on
from payments.reconcile.run import Reconciler
from tests.payments_office import DAY, NEXT, OddChannel, Office, named


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
    attempt = (await desk.view("a")).attempts[0].attempt_id
    short = tuple(line for line in by_order if (line.attempt_id, line.amount_fen) != (attempt, 50))
    assert len(short) == len(by_order) - 1
    _with(any_office, lambda day: Bill(day=day, trades=bill.trades, flows=short))
    await any_office.reconciler.reconcile("sandbox", DAY)
    await any_office.rest()
    found = {named(each) for each in await any_office.items()}
    assert ("amount_differs", "less_there", "repaired", "done_under_its_number") in found


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
