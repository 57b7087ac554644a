"""Whatever merchants, payers and faults do in whatever order: the provider's books add up, and its journal says the
same again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from payments.simulator import views
from payments.simulator.books import OPENING_BALANCE_FEN, Books
from payments.simulator.events import OrderKey
from payments.simulator.order_book import OrderBook
from tests.simulator_desk import HOUSE, SHOP, Table

AMOUNT = st.one_of(st.integers(1, 300), st.integers(1, 1200))
NUMBER = st.integers(0, 3)
FAULT = st.sampled_from(
    [
        "refund_closed p=0.5",
        "refund_abnormal p=0.5",
        "refund_pending s=20 p=0.5",
        "split_partly_failed p=0.5",
        "split_pending s=20 p=0.5",
        "return_failed p=0.5",
        "transfer_failed p=0.5",
        "wrong_amount value=-250 p=0.5",
        "pays_closed p=0.5",
        "no_effect op=close p=0.5",
        "pay_before_close p=0.5",
    ]
)
STEP = st.one_of(
    st.tuples(st.just("open"), NUMBER, st.booleans()),
    st.tuples(st.just("pay"), NUMBER, st.none()),
    st.tuples(st.just("close"), NUMBER, st.none()),
    st.tuples(st.just("refund"), NUMBER, AMOUNT),
    st.tuples(st.just("split"), NUMBER, AMOUNT),
    st.tuples(st.just("last_split"), NUMBER, AMOUNT),
    st.tuples(st.just("take_back"), NUMBER, AMOUNT),
    st.tuples(st.just("transfer"), NUMBER, AMOUNT),
    st.tuples(st.just("agree"), NUMBER, st.booleans()),
    st.tuples(st.just("wait"), st.just(0), st.integers(1, 30)),
    st.tuples(st.just("month"), st.just(0), st.none()),
)


def act(table: Table, step: tuple[str, int, Any], nth: int) -> None:
    """One thing that somebody does."""
    what, number, value = step
    name = f"ORDER{number}"
    order = table.books.order(OrderKey(HOUSE, SHOP, name))
    transfer = table.books.transfers.get(OrderKey(HOUSE, SHOP, f"T{number}"))
    match what:
        case "open":
            table.desk.open(table.opened(name, is_split=value))
        case "pay" if order:
            table.desk.pay(order, "oPayer")
        case "close":
            table.desk.close(OrderKey(HOUSE, SHOP, name))
        case "refund" if order:
            table.desk.refund(order, f"R{nth}", value)
        case "split" | "last_split" if order:
            table.desk.split(order, f"S{nth}", [table.part(value)], is_last=what == "last_split")
        case "take_back" if order and order.splits:
            table.desk.take_back(order, f"B{nth}", next(iter(order.splits)), "P1", value)
        case "transfer":
            table.desk.transfer(OrderKey(HOUSE, SHOP, f"T{number}"), "oRunner", value, has_to_agree=True)
        case "agree" if transfer:
            if value:
                table.desk.agree(transfer)
            else:
                table.desk.cancel_transfer(transfer)
        case "wait":
            table.clock.advance(seconds=value)
            table.desk.work()
        case "month":
            table.clock.advance(days=30)
            table.desk.work()
        case _:
            pass


def check_order(order: OrderBook) -> None:
    """Every fen that was paid is somewhere, and nowhere twice."""
    left = sum(r.opened.frozen_fen for r in order.refunds.values() if r.standing != "closed")
    assert order.refunded_fen <= order.refunding_fen <= order.paid_fen
    assert order.split_fen <= order.splitting_fen
    assert 0 <= order.taken_back_fen <= order.split_fen
    assert order.frozen_fen >= 0
    if not order.opened.is_split:
        assert (order.frozen_fen, order.unfrozen_fen, order.splitting_fen) == (0, 0, 0)
    else:
        whole = order.frozen_fen + left + order.splitting_fen - order.taken_back_fen + order.unfrozen_fen
        assert whole == order.paid_fen


def check_balance(books: Books) -> None:
    """The merchant has what was unfrozen and what was never frozen, less what it gave away."""
    fen = OPENING_BALANCE_FEN
    for order in books.orders.values():
        fen += order.unfrozen_fen if order.opened.is_split else order.paid_fen
        for refund in order.refunds.values():
            if refund.standing != "closed":
                fen -= refund.opened.amount_fen - refund.opened.frozen_fen
    for transfer in books.transfers.values():
        if transfer.standing not in ("failed", "cancelled"):
            fen -= transfer.opened.amount_fen
    assert books.balance_fen(HOUSE, SHOP) == fen


@settings(max_examples=200, deadline=None)
@given(st.sets(FAULT, max_size=5), st.lists(STEP, min_size=15, max_size=40))
def test_the_books_add_up_and_the_journal_says_the_same_again(
    faults: set[str], steps: list[tuple[str, int, Any]]
) -> None:
    table = Table()
    table.receiver()
    # Most of what can happen happens to orders that are paid; the fourth is left to the steps.
    for number, is_split in ((0, True), (1, True), (2, False)):
        table.paid(f"ORDER{number}", is_split=is_split)
    for fault in sorted(faults):
        table.wrong(fault)
    for nth, step in enumerate(steps):
        act(table, step, nth)
        for order in table.books.orders.values():
            check_order(order)
        check_balance(table.books)
    again = Books(table.journal, table.clock.now)
    assert seen(again, table) == seen(table.books, table)
    table.journal.close()


def seen(books: Books, table: Table) -> list[Any]:
    """Everything that anybody can see of the books."""
    return [
        [views.order_whole(order, table.clock) for order in books.orders.values()],
        [views.transfer_line(transfer) for transfer in books.transfers.values()],
        [(order.key, type(task).__name__, task.opened.number) for order, task in books.unfinished()],
        [transfer.opened.key for transfer in books.transfers_under_way()],
        list(books.receivers),
        books.balance_fen(HOUSE, SHOP),
        [key for _, key in books.freezings if not books.orders[key].is_unfrozen],
    ]
