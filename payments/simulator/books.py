"""The provider's own books: what follows from its journal, order by order and account by account."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from payments.simulator import events
from payments.simulator.events import AnyEvent, NoticeQueued, OrderKey, TransferStanding
from payments.simulator.journal import Journal
from payments.simulator.order_book import (
    ChargeBook,
    ContractBook,
    NoticeBook,
    OrderBook,
    ReceiverBook,
    RefundBook,
    ReturnBook,
    SplitBook,
    TransferBook,
    TryBook,
)

#: Every account begins with so much, so that a refund after a split and a transfer have something to come from.
OPENING_BALANCE_FEN = 100_000_000

#: When so many are in the books, further ones are refused; a new state file begins anew.
MAX_ORDERS = 200_000
MAX_TRANSFERS = 200_000
MAX_RECEIVERS = 50_000
MAX_CONTRACTS = 50_000

#: A notice that is sent by hand is not sent more often than this.
MAX_TRIES = 60


Tell = Callable[[AnyEvent], Sequence[NoticeQueued]]
AccountKey = tuple[str, str]


class Books:
    """All of it, in memory, with the journal behind it. ``tell`` turns an event into what the merchant hears of it."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._now = now
        self.tell: Tell = lambda _: ()
        #: Called with each order that is opened.
        self.on_order: Callable[[OrderBook], None] = lambda _: None
        #: Called with each notice that is queued.
        self.on_notice: Callable[[NoticeBook], None] = lambda _: None
        self.orders: dict[OrderKey, OrderBook] = {}
        self.transfers: dict[OrderKey, TransferBook] = {}
        self.notices: dict[str, NoticeBook] = {}
        self._notices_of: dict[OrderKey, list[NoticeBook]] = {}
        self.receivers: dict[tuple[str, str, str, str], ReceiverBook] = {}
        self.contracts: dict[tuple[str, str], ContractBook] = {}
        self._balances: dict[AccountKey, int] = {}
        self._merchants: dict[str, set[str]] = {}
        self._by_token: dict[str, OrderKey] = {}
        self._by_transaction: dict[tuple[str, str], OrderKey] = {}
        #: Refunds, splits and returns by the merchant's number for them: (institution, merchant, kind, number).
        self._by_number: dict[tuple[str, str, str, str], OrderKey] = {}
        #: Since when which order's money is frozen, the oldest first.
        self.freezings: deque[tuple[datetime, OrderKey]] = deque()
        #: What is under way, in the order of its beginning.
        self._unfinished: dict[tuple[OrderKey, str, str], None] = {}
        self._moving: dict[OrderKey, None] = {}
        for at, event in journal.events():
            self._apply(event, at)

    def book(self, *happened: AnyEvent) -> None:
        """Events that are true together, and what the merchant is to hear of them: on disk when this returns."""
        at = self._now()
        written = list(happened)
        for event in happened:
            self._apply(event, at)
        for event in happened:
            for notice in self.tell(event):
                self._apply(notice, at)
                written.append(notice)
        self._journal.append(at, *written)

    # -- looking up ---------------------------------------------------------------------------------------------------

    def order(self, key: OrderKey) -> OrderBook | None:
        """The order of that number."""
        return self.orders.get(key)

    def orders_of_number(self, institution: str, number: str) -> list[OrderBook]:
        """The orders of that number, of whichever merchants."""
        keys = (OrderKey(institution, merchant, number) for merchant in self._merchants.get(institution, ()))
        return [self.orders[key] for key in keys if key in self.orders]

    def order_of_token(self, token: str) -> OrderBook | None:
        """The order that this token pays."""
        key = self._by_token.get(token)
        return None if key is None else self.orders[key]

    def order_of_transaction(self, institution: str, transaction_id: str) -> OrderBook | None:
        """The order that was paid by this transaction."""
        key = self._by_transaction.get((institution, transaction_id))
        return None if key is None else self.orders[key]

    def order_of(
        self, kind: Literal["refund", "split", "return"], institution: str, merchant: str, number: str
    ) -> OrderBook | None:
        """The order that the merchant's refund, split or return of that number belongs to."""
        key = self._by_number.get((institution, merchant, kind, number))
        return None if key is None else self.orders[key]

    def balance_fen(self, institution: str, merchant: str) -> int:
        """What the merchant may dispose of."""
        return self._balances.get((institution, merchant), OPENING_BALANCE_FEN)

    def transfer_of_token(self, token: str) -> TransferBook | None:
        """The transfer that this token accepts."""
        return next((t for t in self.transfers_under_way() if t.opened.token == token), None) if token else None

    def notices_of(self, key: OrderKey) -> list[NoticeBook]:
        """What the merchant was or is to be told of an order or a transfer."""
        return self._notices_of.get(key, [])

    def unfinished(self) -> list[tuple[OrderBook, RefundBook | SplitBook]]:
        """Refunds and splits that the provider is still working on."""
        found: list[tuple[OrderBook, RefundBook | SplitBook]] = []
        for key, kind, number in self._unfinished:
            order = self.orders[key]
            found.append((order, order.refunds[number] if kind == "refund" else order.splits[number]))
        return found

    def transfers_under_way(self) -> list[TransferBook]:
        """Transfers that have not ended, those that wait for a person among them."""
        return [self.transfers[key] for key in self._moving]

    # -- what follows from an event -----------------------------------------------------------------------------------

    def _apply(self, event: AnyEvent, at: datetime) -> None:
        match event:
            case events.Opened():
                self.orders[event.key] = OrderBook(opened=event, opened_at=at)
                self._by_token[event.token] = event.key
                self._merchants.setdefault(event.key.institution, set()).add(event.key.merchant)
                self.on_order(self.orders[event.key])
            case events.Charged():
                self._charged(event, at)
            case events.Closed():
                order = self.orders[event.key]
                order.is_closed, order.closed_at = True, at
            case events.RefundOpened():
                self._refund_opened(event, at)
            case events.RefundEnded():
                self._refund_ended(event, at)
            case events.SplitOpened():
                self._split_opened(event, at)
            case events.SplitEnded():
                self._split_ended(event, at)
            case events.TakenBack():
                self._taken_back(event, at)
            case events.ReceiverAdded():
                place = (event.institution, event.merchant, event.kind, event.account)
                self.receivers[place] = ReceiverBook(added=event, at=at)
            case events.ReceiverRemoved():
                self.receivers.pop((event.institution, event.merchant, event.kind, event.account), None)
            case events.TransferOpened():
                standing: TransferStanding = "waiting" if event.token else "accepted"
                self.transfers[event.key] = TransferBook(
                    opened=event, opened_at=at, standing=standing, ends_at_s=event.ends_at_s
                )
                self._moving[event.key] = None
                self._move(event.key, -event.amount_fen)
            case events.TransferMoved():
                self._transfer_moved(event, at)
            case events.ContractMade():
                self.contracts[event.institution, event.contract_id] = ContractBook(made=event, made_at=at)
            case events.ContractEnded():
                self.contracts[event.institution, event.contract_id].is_ended = True
            case events.NoticeQueued():
                notice = NoticeBook(queued=event, queued_at=at, due_at_s=event.due_at_s)
                self.notices[event.notice_id] = notice
                self._notices_of.setdefault(event.key, []).append(notice)
                self.on_notice(notice)
            case events.NoticeTried():
                notice = self.notices[event.notice_id]
                notice.tries.append(TryBook(at=at, status=event.status, answer=event.answer))
                notice.is_heard = notice.is_heard or event.is_heard
                notice.due_at_s = event.due_at_s

    def _move(self, key: OrderKey, amount_fen: int) -> None:
        account = (key.institution, key.merchant)
        self._balances[account] = self._balances.get(account, OPENING_BALANCE_FEN) + amount_fen

    def _charged(self, event: events.Charged, at: datetime) -> None:
        order = self.orders[event.key]
        order.charges.append(
            ChargeBook(at=at, transaction_id=event.transaction_id, amount_fen=event.amount_fen, payer=event.payer)
        )
        self._by_transaction[event.key.institution, event.transaction_id] = event.key
        if order.opened.is_split:
            order.frozen_fen += event.amount_fen
            self.freezings.append((at, event.key))
        else:
            self._move(event.key, event.amount_fen)
        contract = self.contracts.get((event.key.institution, order.opened.terms.get("contract_id", "")))
        if contract is not None:
            contract.spent_fen += event.amount_fen

    def _refund_opened(self, event: events.RefundOpened, at: datetime) -> None:
        order = self.orders[event.key]
        self._unfinished[event.key, "refund", event.number] = None
        order.refunds[event.number] = RefundBook(opened=event, opened_at=at)
        self._by_number[event.key.institution, event.key.merchant, "refund", event.number] = event.key
        order.frozen_fen -= event.frozen_fen
        assert order.frozen_fen >= 0, "a refund takes no more than is frozen"
        self._move(event.key, event.frozen_fen - event.amount_fen)

    def _refund_ended(self, event: events.RefundEnded, at: datetime) -> None:
        order = self.orders[event.key]
        refund = order.refunds[event.number]
        self._unfinished.pop((event.key, "refund", event.number), None)
        refund.standing, refund.ended_at = event.standing, at
        if event.standing == "closed":
            frozen_fen = 0 if order.is_unfrozen else refund.opened.frozen_fen
            order.frozen_fen += frozen_fen
            order.unfrozen_fen += refund.opened.frozen_fen - frozen_fen
            self._move(event.key, refund.opened.amount_fen - frozen_fen)

    def _split_opened(self, event: events.SplitOpened, at: datetime) -> None:
        order = self.orders[event.key]
        self._unfinished[event.key, "split", event.number] = None
        order.splits[event.number] = SplitBook(opened=event, opened_at=at)
        self._by_number[event.key.institution, event.key.merchant, "split", event.number] = event.key
        order.frozen_fen -= sum(part.amount_fen for part in event.parts)
        assert order.frozen_fen >= 0, "a split takes no more than is frozen"
        order.is_unfrozen = order.is_unfrozen or event.is_last

    def _split_ended(self, event: events.SplitEnded, at: datetime) -> None:
        order = self.orders[event.key]
        split = order.splits[event.number]
        split.ended_at = at
        self._unfinished.pop((event.key, "split", event.number), None)
        order.frozen_fen += sum(part.amount_fen for part in split.opened.parts if part.ends_as == "closed")
        is_last_under_way = any(s.opened.is_last and s.ended_at is None for s in order.splits.values())
        if order.is_unfrozen and not is_last_under_way:
            self._move(event.key, order.frozen_fen)
            split.unfrozen_fen = order.frozen_fen
            order.unfrozen_fen += order.frozen_fen
            order.frozen_fen = 0

    def _taken_back(self, event: events.TakenBack, at: datetime) -> None:
        order = self.orders[event.key]
        order.returns[event.number] = ReturnBook(taken=event, at=at)
        self._by_number[event.key.institution, event.key.merchant, "return", event.number] = event.key
        if not event.is_done:
            return
        split = order.splits[event.split_number]
        split.taken_back[event.account] = split.taken_back.get(event.account, 0) + event.amount_fen
        if order.is_unfrozen:
            self._move(event.key, event.amount_fen)
            order.unfrozen_fen += event.amount_fen
        else:
            order.frozen_fen += event.amount_fen

    def _transfer_moved(self, event: events.TransferMoved, at: datetime) -> None:
        transfer = self.transfers[event.key]
        transfer.standing, transfer.reason, transfer.moved_at = event.standing, event.reason, at
        transfer.ends_at_s = event.ends_at_s
        if event.standing in ("done", "failed", "cancelled"):
            self._moving.pop(event.key, None)
        if event.standing in ("failed", "cancelled"):
            self._move(event.key, transfer.opened.amount_fen)
