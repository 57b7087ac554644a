"""A provider's desk without sockets, at a clock that is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payments.simulator import events
from payments.simulator.books import Books
from payments.simulator.desk import Desk
from payments.simulator.events import OrderKey, Part
from payments.simulator.faults import FaultPlan, read
from payments.simulator.journal import Journal
from payments.simulator.order_book import OrderBook

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
HOUSE, SHOP = "wechat", "1900000001"


class HandClock:
    """Both times move together, and the provider works at its real speed."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def wall_s(self) -> float:
        return self.at.timestamp()

    def hastened_s(self, provider_s: float) -> float:
        return provider_s

    def advance(self, **time: float) -> None:
        self.at += timedelta(**time)


class Table:
    """A desk with its journal, clock and fault plan."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self.clock = HandClock()
        self.faults = FaultPlan(1)
        self.books = Books(self.journal, self.clock.now)
        self.desk = Desk(self.books, self.faults, self.clock)

    def wrong(self, text: str) -> None:
        """Let this go wrong."""
        self.faults.add(read(text))

    def opened(
        self, number: str = "ORDER1", fen: int = 1000, *, is_split: bool = True, **more: object
    ) -> events.Opened:
        return events.Opened(
            key=OrderKey(HOUSE, SHOP, number),
            channel="wechat",
            kind="NATIVE",
            amount_fen=fen,
            description="奶茶",
            token=f"token-of-{number}",
            expires_at=self.clock.now() + timedelta(minutes=15),
            is_split=is_split,
            **more,  # type: ignore[arg-type]
        )

    def order(self, number: str = "ORDER1", fen: int = 1000, *, is_split: bool = True) -> OrderBook:
        order = self.desk.open(self.opened(number, fen, is_split=is_split))
        assert isinstance(order, OrderBook)
        return order

    def paid(self, number: str = "ORDER1", fen: int = 1000, *, is_split: bool = True) -> OrderBook:
        order = self.order(number, fen, is_split=is_split)
        assert self.desk.pay(order, "oPayer") == "paid"
        return order

    def receiver(self, account: str = "P1", kind: str = "MERCHANT_ID") -> None:
        self.desk.add_receiver(events.ReceiverAdded(institution=HOUSE, merchant=SHOP, kind=kind, account=account))

    def part(self, fen: int, account: str = "P1", kind: str = "MERCHANT_ID") -> Part:
        return Part(kind=kind, account=account, amount_fen=fen, detail_id=self.desk.new_number("36", 20))

    def finish(self) -> int:
        """Let the provider finish what it works on."""
        self.clock.advance(seconds=10)
        return self.desk.work()

    def balance_fen(self) -> int:
        return self.books.balance_fen(HOUSE, SHOP)
