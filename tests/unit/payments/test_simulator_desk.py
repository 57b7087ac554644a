"""The rules of a provider's desk, one by one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payments.simulator import books as bounds
from payments.simulator import desk as limits
from payments.simulator import events, rules
from payments.simulator.books import OPENING_BALANCE_FEN
from payments.simulator.desk import Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import ContractBook, OrderBook, RefundBook, ReturnBook, SplitBook, TransferBook
from tests.simulator_desk import HOUSE, SHOP, Table


@pytest.fixture
def table() -> Table:
    return Table()


def test_an_order_is_opened_once(table: Table) -> None:
    order = table.order()
    assert table.desk.open(table.opened()) is order
    assert table.desk.open(table.opened(fen=999)) == Refusal("different")
    table.desk.pay(order, "oPayer")
    assert table.desk.open(table.opened()) == Refusal("paid")
    table.order("ORDER2")
    table.desk.close(OrderKey(HOUSE, SHOP, "ORDER2"))
    assert table.desk.open(table.opened("ORDER2")) == Refusal("closed")


def test_books_that_are_full_take_no_more(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_ORDERS", "MAX_TRANSFERS", "MAX_RECEIVERS", "MAX_CONTRACTS"):
        assert getattr(bounds, name) > 0
        monkeypatch.setattr(limits, name, 0)
    assert table.desk.open(table.opened()) == Refusal("full")
    assert table.desk.transfer(OrderKey(HOUSE, SHOP, "T"), "oRunner", 1, has_to_agree=True) == Refusal("full")
    added = events.ReceiverAdded(institution=HOUSE, merchant=SHOP, kind="MERCHANT_ID", account="P1")
    assert table.desk.add_receiver(added) == Refusal("full")
    assert table.desk.make_contract(HOUSE, "C1", "oPayer", 1) == Refusal("full")


def test_an_order_is_paid_once_while_it_is_open(table: Table) -> None:
    order = table.order()
    assert table.desk.pay(order, "oPayer") == "paid"
    assert table.desk.pay(order, "oPayer") == "already_paid"
    late = table.order("ORDER2")
    table.clock.advance(minutes=15)
    assert table.desk.pay(late, "oPayer") == "closed"
    assert late.standing(table.clock.now()) == "closed"
    table.wrong("pays_closed count=1")
    assert table.desk.pay(late, "oPayer") == "paid"
    assert [o.paid_fen for o in (order, late)] == [1000, 1000]


def test_a_payer_may_be_poor(table: Table) -> None:
    table.wrong("insufficient count=1")
    order = table.order()
    assert table.desk.pay(order, "oPayer") == "insufficient"
    assert table.desk.pay(order, "oPayer") == "paid"
    made = table.desk.make_contract(HOUSE, "C1", "oPayer", 1500)
    assert isinstance(made, ContractBook)
    assert table.desk.make_contract(HOUSE, "C1", "oPayer", 1500) is made
    for number, result in (("D1", "paid"), ("D2", "insufficient")):
        debit = table.desk.open(table.opened(number, terms={"contract_id": "C1"}))
        assert isinstance(debit, OrderBook)
        assert table.desk.pay(debit, "oPayer", "debit") == result
    assert made.spent_fen == 1000


def test_another_amount_may_be_charged(table: Table) -> None:
    table.wrong("wrong_amount value=-5000 count=1")
    assert table.paid().paid_fen == 1
    table.wrong("wrong_amount value=7 count=1")
    assert table.paid("ORDER2").paid_fen == 1007


def test_closing(table: Table) -> None:
    order = table.order()
    assert table.desk.close(OrderKey(HOUSE, SHOP, "NEVER")) == "absent"
    table.wrong("no_effect op=close count=1")
    assert table.desk.close(order.key) == "closed"
    assert order.standing(table.clock.now()) == "open"
    assert table.desk.close(order.key) == "closed"
    assert table.desk.close(order.key) == "closed"
    assert (order.standing(table.clock.now()), order.closed_at) == ("closed", table.clock.now())
    table.wrong("pay_before_close count=1")
    assert table.desk.close(table.order("ORDER2").key) == "paid"


def test_an_order_may_hide(table: Table) -> None:
    table.wrong("absent op=query count=1")
    order = table.order()
    assert [table.desk.is_hidden(order, "query") for _ in range(2)] == [True, False]


def test_a_refund_comes_out_of_what_is_frozen_and_then_of_the_balance(table: Table) -> None:
    order = table.paid()
    refund = table.desk.refund(order, "R1", 300)
    assert isinstance(refund, RefundBook)
    assert (order.frozen_fen, order.refunded_fen, order.refunding_fen, refund.standing) == (700, 0, 300, "pending")
    assert table.desk.refund(order, "R1", 300) is refund
    assert table.desk.refund(order, "R1", 301) == Refusal("different")
    assert table.desk.refund(table.paid("ORDER2"), "R1", 300) == Refusal("different")
    assert table.desk.work() == 0
    assert table.finish() == 1
    assert (order.refunded_fen, refund.standing) == (300, "done")
    table.desk.split(order, "U1", [], is_last=True)
    table.finish()
    assert (order.frozen_fen, order.unfrozen_fen, table.balance_fen()) == (0, 700, OPENING_BALANCE_FEN + 700)
    table.desk.refund(order, "R2", 700)
    assert table.balance_fen() == OPENING_BALANCE_FEN


def test_a_refund_is_refused(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    order = table.order()
    assert table.desk.refund(order, "R1", 1) == Refusal("not_paid")
    table.desk.pay(order, "oPayer")
    assert table.desk.refund(order, "R1", 0) == Refusal("too_much")
    assert table.desk.refund(order, "R1", 1001) == Refusal("too_much")
    monkeypatch.setattr(rules, "MAX_REFUNDS", 1)
    table.desk.refund(order, "R1", 1)
    assert table.desk.refund(order, "R2", 1) == Refusal("too_many")
    table.clock.advance(days=366)
    assert table.desk.refund(order, "R3", 1) == Refusal("too_old")


def test_a_merchant_without_money_gives_none_back(table: Table) -> None:
    order = table.paid(fen=1000, is_split=False)
    table.desk.transfer(OrderKey(HOUSE, SHOP, "T1"), "oRunner", OPENING_BALANCE_FEN + 900, has_to_agree=False)
    assert table.desk.refund(order, "R1", 101) == Refusal("not_enough")
    assert isinstance(table.desk.refund(order, "R2", 100), RefundBook)
    assert table.desk.transfer(OrderKey(HOUSE, SHOP, "T2"), "oRunner", 1, has_to_agree=False) == Refusal("not_enough")


@pytest.mark.parametrize("is_split", [True, False])
def test_a_refund_that_is_closed_leaves_the_money(table: Table, is_split: bool) -> None:
    table.wrong("refund_closed count=1")
    table.wrong("refund_abnormal skip=1 count=1")
    order = table.paid(is_split=is_split)
    for number in ("R1", "R2"):
        table.desk.refund(order, number, 400)
        table.finish()
    assert [order.refunds[n].standing for n in ("R1", "R2")] == ["closed", "abnormal"]
    assert (order.refunded_fen, order.refunding_fen) == (0, 400)
    assert order.frozen_fen == (600 if is_split else 0)


def test_a_refund_that_is_closed_after_the_unfreezing_is_the_merchants(table: Table) -> None:
    table.wrong("refund_closed count=1")
    table.wrong("refund_pending s=60 count=1")
    order = table.paid()
    table.desk.refund(order, "R1", 400)
    table.desk.split(order, "U1", [], is_last=True)
    table.finish()
    assert (order.unfrozen_fen, table.balance_fen()) == (600, OPENING_BALANCE_FEN + 600)
    table.clock.advance(seconds=60)
    table.desk.work()
    assert (order.frozen_fen, order.unfrozen_fen, table.balance_fen()) == (0, 1000, OPENING_BALANCE_FEN + 1000)


def test_a_split_pays_its_receivers_when_the_provider_is_done(table: Table) -> None:
    order = table.paid()
    table.receiver()
    split = table.desk.split(order, "S1", [table.part(300)], is_last=False)
    assert isinstance(split, SplitBook)
    assert (split.received_fen("P1"), order.splitting_fen, order.split_fen, order.frozen_fen) == (0, 300, 0, 700)
    assert table.desk.split(order, "S1", [table.part(300)], is_last=False) is split
    assert table.desk.split(order, "S1", [table.part(301)], is_last=False) == Refusal("different")
    assert table.desk.split(order, "S1", [table.part(300)], is_last=True) == Refusal("different")
    table.finish()
    assert (split.received_fen("P1"), split.received_fen("P2"), order.split_fen) == (300, 0, 300)


def test_a_split_is_refused(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.receiver()
    ask = table.desk.split
    assert ask(table.order(), "S1", [table.part(1)], is_last=False) == Refusal("not_paid")
    assert ask(table.paid("O2", is_split=False), "S1", [table.part(1)], is_last=False) == Refusal("not_split")
    order = table.paid("O3")
    assert ask(order, "S1", [table.part(1001)], is_last=False) == Refusal("too_much")
    assert ask(order, "S1", [table.part(0)], is_last=False) == Refusal("too_much")
    assert ask(order, "S1", [table.part(1, "P9")], is_last=False) == Refusal("no_receiver")
    assert ask(order, "S1", [table.part(301)], is_last=False, cap_permille=300) == Refusal("over_cap")
    assert isinstance(ask(order, "S1", [table.part(300)], is_last=False, cap_permille=300), SplitBook)
    assert ask(order, "S2", [table.part(1)], is_last=False, cap_permille=300) == Refusal("over_cap")
    ask(order, "S3", [], is_last=True)
    assert ask(order, "S4", [], is_last=True) == Refusal("unfrozen")
    monkeypatch.setattr(rules, "MAX_SPLITS", 0)
    assert ask(table.paid("O4"), "S5", [], is_last=True) == Refusal("too_many")


def test_a_receiver_may_get_nothing(table: Table) -> None:
    for account in ("P1", "P2"):
        table.receiver(account)
    parts = [table.part(100), table.part(200, "P2")]
    for number, value, got in (("O1", 0, (100, 0)), ("O2", 1, (0, 200))):
        table.faults.remove()
        table.wrong(f"split_partly_failed value={value}")
        order = table.paid(number)
        split = table.desk.split(order, f"S{number}", parts, is_last=False)
        table.finish()
        assert isinstance(split, SplitBook)
        assert (split.received_fen("P1"), split.received_fen("P2")) == got
        assert order.frozen_fen == 1000 - sum(got)


def test_a_part_that_fails_after_the_last_split_is_the_merchants(table: Table) -> None:
    table.receiver()
    table.wrong("split_pending op=split s=60 count=1")
    table.wrong("split_partly_failed count=1")
    order = table.paid()
    table.desk.split(order, "S1", [table.part(300)], is_last=False)
    table.desk.split(order, "S2", [], is_last=True)
    table.finish()
    assert (order.frozen_fen, order.unfrozen_fen) == (0, 700)
    table.clock.advance(seconds=60)
    table.desk.work()
    assert (order.frozen_fen, order.unfrozen_fen, order.split_fen) == (0, 1000, 0)


def test_a_part_is_taken_back_from_who_may_give_it(table: Table) -> None:
    table.receiver()
    order = table.paid()
    assert table.desk.take_back(order, "B1", "S1", "P1", 1) == Refusal("absent")
    table.desk.split(order, "S1", [table.part(300)], is_last=False)
    table.finish()
    assert table.desk.take_back(order, "B1", "S1", "P1", 1, is_returnable=False) == Refusal("not_returnable")
    assert table.desk.take_back(order, "B1", "S1", "P1", 301) == Refusal("too_much")
    back = table.desk.take_back(order, "B1", "S1", "P1", 200)
    assert isinstance(back, ReturnBook)
    assert table.desk.take_back(order, "B1", "S1", "P1", 200) is back
    assert table.desk.take_back(order, "B1", "S1", "P1", 100) == Refusal("different")
    assert table.desk.take_back(order, "B2", "S1", "P1", 101) == Refusal("too_much")
    assert (order.frozen_fen, order.taken_back_fen) == (900, 200)
    table.wrong("return_failed count=1")
    failed = table.desk.take_back(order, "B3", "S1", "P1", 100)
    assert isinstance(failed, ReturnBook)
    assert (failed.taken.is_done, order.frozen_fen) == (False, 900)
    table.desk.split(order, "U1", [], is_last=True)
    table.finish()
    table.desk.take_back(order, "B4", "S1", "P1", 100)
    assert (order.frozen_fen, order.unfrozen_fen, table.balance_fen()) == (0, 1000, OPENING_BALANCE_FEN + 1000)


def test_returns_are_bounded(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.receiver()
    order = table.paid()
    table.desk.split(order, "S1", [table.part(300)], is_last=False)
    table.finish()
    monkeypatch.setattr(rules, "MAX_REFUNDS", 0)
    assert table.desk.take_back(order, "B1", "S1", "P1", 1) == Refusal("too_many")


def test_receivers_come_and_go(table: Table) -> None:
    table.receiver()
    table.receiver()
    assert len(table.books.receivers) == 1
    removed = events.ReceiverRemoved(institution=HOUSE, merchant=SHOP, kind="MERCHANT_ID", account="P1")
    for _ in range(2):
        table.desk.remove_receiver(removed)
    assert len(table.books.receivers) == 0


def test_a_transfer_waits_arrives_fails_or_is_cancelled(table: Table) -> None:
    table.wrong("transfer_failed order=T3")
    sent = {
        n: table.desk.transfer(OrderKey(HOUSE, SHOP, n), "oRunner", 100, has_to_agree=n != "T4")
        for n in ("T1", "T2", "T3", "T4")
    }
    transfers = {n: t for n, t in sent.items() if isinstance(t, TransferBook)}
    assert len(transfers) == 4
    assert table.desk.transfer(OrderKey(HOUSE, SHOP, "T1"), "oRunner", 100, has_to_agree=True) is transfers["T1"]
    assert table.desk.transfer(OrderKey(HOUSE, SHOP, "T1"), "oRunner", 99, has_to_agree=True) == Refusal("different")
    token = transfers["T1"].opened.token
    assert table.books.transfer_of_token(token) is transfers["T1"]
    assert table.books.transfer_of_token("") is None
    assert table.desk.agree(transfers["T1"])
    assert not table.desk.agree(transfers["T1"])
    assert table.desk.agree(transfers["T3"])
    assert table.desk.cancel_transfer(transfers["T1"]) == Refusal("not_cancellable")
    assert table.desk.cancel_transfer(transfers["T2"]) is None
    assert table.desk.cancel_transfer(transfers["T2"]) is None
    assert table.desk.work() == 0
    table.finish()
    assert [t.standing for t in transfers.values()] == ["done", "cancelled", "failed", "done"]
    assert table.balance_fen() == OPENING_BALANCE_FEN - 200


def test_nothing_stays_frozen_for_longer_than_thirty_days(table: Table) -> None:
    order, other = table.paid(), table.paid("ORDER2")
    table.desk.split(other, "U1", [], is_last=True)
    table.finish()
    table.clock.advance(days=29)
    assert table.desk.work() == 0
    table.clock.at += timedelta(days=1)
    assert table.desk.work() == 1
    assert (order.frozen_fen, order.unfrozen_fen, order.is_unfrozen) == (0, 1000, True)
