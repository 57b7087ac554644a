"""What a provider does for its merchants, whatever the protocol: every rule and every business fault is here, once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Literal

import msgspec

from payments.simulator import events, rules
from payments.simulator.books import MAX_CONTRACTS, MAX_ORDERS, MAX_RECEIVERS, MAX_TRANSFERS, Books
from payments.simulator.clock import Clock
from payments.simulator.events import OrderKey, Part
from payments.simulator.faults import Fault, FaultName, FaultPlan
from payments.simulator.order_book import ContractBook, OrderBook, RefundBook, ReturnBook, SplitBook, TransferBook
from payments.simulator.rules import FROZEN_AT_MOST, WORK_S, PayResult
from payments.simulator.rules import Refusal as Refusal

#: A term of orders whose money was frozen where it is, and never came to the merchant.
HELD_BY_PAYER = "held_by_payer"


class Desk:
    """One provider house: books, clock and fault plan. All of it is plain and immediate."""

    def __init__(self, books: Books, faults: FaultPlan, clock: Clock, *, work_s: float = WORK_S) -> None:
        self.books = books
        self.faults = faults
        self.clock = clock
        self._work_s = work_s
        #: What is not finished and when, so that a look costs nothing while there is nothing to do.
        self._next_end_s: float | None = 0.0

    def new_number(self, prefix: str, digits: int) -> str:
        """A number as providers give them: nobody guesses the next one."""
        return prefix + "".join(secrets.choice("0123456789") for _ in range(digits))

    def new_token(self) -> str:
        """What a payer holds for an order."""
        return secrets.token_hex(16)

    def _ends_at_s(self, provider_s: float) -> float:
        at_s = self.clock.wall_s() + self.clock.hastened_s(provider_s)
        self._next_end_s = at_s if self._next_end_s is None else min(self._next_end_s, at_s)
        return at_s

    # -- orders -------------------------------------------------------------------------------------------------------

    def open(self, opened: events.Opened) -> OrderBook | Refusal:
        """A new order, or the one that was opened before with the same words."""
        order = self.books.order(opened.key)
        if order is None:
            if len(self.books.orders) >= MAX_ORDERS:
                return Refusal("full")
            self.books.book(opened)
            return self.books.orders[opened.key]
        if rules.essence(order.opened) != rules.essence(opened):
            return Refusal("different")
        standing = order.standing(self.clock.now())
        if standing == "paid":
            return Refusal("paid")
        return order if standing == "open" else Refusal("closed")

    def is_hidden(self, order: OrderBook, operation: str) -> bool:
        """Whether the provider says this time that there is no such order."""
        return self.faults.fires("absent", order.opened.channel, operation, order.key.number) is not None

    def pay(self, order: OrderBook, payer: str, operation: str = "pay") -> PayResult:
        """The payer, who holds the token, pays."""
        channel, number = order.opened.channel, order.key.number
        standing = order.standing(self.clock.now())
        if standing == "paid":
            return "already_paid"
        if standing == "closed" and self.faults.fires("pays_closed", channel, operation, number) is None:
            return "closed"
        if self.faults.fires("insufficient", channel, operation, number) is not None:
            return "insufficient"
        contract = self.books.contracts.get((order.key.institution, order.opened.terms.get("contract_id", "")))
        if contract is not None and contract.spent_fen + order.opened.amount_fen > contract.made.balance_fen:
            return "insufficient"
        wrong = self.faults.fires("wrong_amount", channel, operation, number)
        amount_fen = max(1, order.opened.amount_fen + (wrong.number if wrong else 0))
        # Some providers have a number for the trade before it is paid.
        transaction_id = order.opened.terms.get("transaction_id") or self.new_number("4200", 24)
        self.books.book(
            events.Charged(key=order.key, transaction_id=transaction_id, amount_fen=amount_fen, payer=payer)
        )
        return "paid"

    def close(self, key: OrderKey) -> Literal["closed", "paid", "absent"]:
        """Nobody can pay it any more, unless a fault says otherwise; closing again is closing."""
        order = self.books.order(key)
        if order is None:
            return "absent"
        channel = order.opened.channel
        if self.faults.fires("pay_before_close", channel, "close", key.number) is not None:
            self.pay(order, order.opened.terms.get("openid", "a payer in a hurry"))
        if order.charges:
            return "paid"
        is_empty_word = self.faults.fires("no_effect", channel, "close", key.number) is not None
        if not order.is_closed and not is_empty_word:
            self.books.book(events.Closed(key=key))
        return "closed"

    # -- refunds ------------------------------------------------------------------------------------------------------

    def refund(
        self,
        order: OrderBook,
        number: str,
        amount_fen: int,
        *,
        notify_url: str = "",
        terms: dict[str, str] | None = None,
        takes_s: float | None = None,
    ) -> RefundBook | Refusal:
        """Give the payer this much; the same number again is the same refund. ``takes_s`` 0 is done with the next
        ``work``."""
        holder = self.books.order_of("refund", order.key.institution, order.key.merchant, number)
        if holder is not None:
            refund = holder.refunds[number]
            is_same = holder.key == order.key and refund.opened.amount_fen == amount_fen
            return refund if is_same else Refusal("different")
        balance_fen = self.books.balance_fen(order.key.institution, order.key.merchant)
        why = rules.why_no_refund(order, amount_fen, self.clock.now(), balance_fen)
        if why is not None:
            return Refusal(why)
        late = self._fault("refund_pending", order, "refund")
        closed = self._fault("refund_closed", order, "refund")
        abnormal = self._fault("refund_abnormal", order, "refund")
        self.books.book(
            events.RefundOpened(
                key=order.key,
                number=number,
                refund_id=self.new_number("5030", 24),
                amount_fen=amount_fen,
                frozen_fen=min(amount_fen, order.frozen_fen),
                notify_url=notify_url,
                ends_at_s=self._ends_at_s(late.number if late else self._work_s if takes_s is None else takes_s),
                ends_as="closed" if closed else "abnormal" if abnormal else "done",
                terms=terms or {},
            )
        )
        return order.refunds[number]

    # -- splits -------------------------------------------------------------------------------------------------------

    def split(
        self,
        order: OrderBook,
        number: str,
        parts: Sequence[Part],
        *,
        is_last: bool,
        cap_permille: int = 1000,
        notify_url: str = "",
        terms: dict[str, str] | None = None,
    ) -> SplitBook | Refusal:
        """Pay receivers out of what is frozen; the same number again is the same split."""
        holder = self.books.order_of("split", order.key.institution, order.key.merchant, number)
        if holder is not None:
            split = holder.splits[number]
            is_same = holder.key == order.key and rules.receivers_of(split.opened.parts) == rules.receivers_of(parts)
            return split if is_same and split.opened.is_last == is_last else Refusal("different")
        place = (order.key.institution, order.key.merchant)
        is_known = all((*place, part.kind, part.account) in self.books.receivers for part in parts)
        why = rules.why_no_split(order, parts, cap_permille, is_known=is_known)
        if why is not None:
            return Refusal(why)
        late = self._fault("split_pending", order, "split" if parts else "unfreeze")
        self.books.book(
            events.SplitOpened(
                key=order.key,
                number=number,
                split_id=self.new_number("3008", 24),
                parts=self._fates(order, parts),
                is_last=is_last,
                notify_url=notify_url,
                ends_at_s=self._ends_at_s(late.number if late else self._work_s),
                terms=terms or {},
            )
        )
        return order.splits[number]

    def _fates(self, order: OrderBook, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts, with what becomes of each."""
        failing = self._fault("split_partly_failed", order, "split") if parts else None
        if failing is None:
            return tuple(parts)
        unlucky = min(failing.number, len(parts)) - 1
        fate = msgspec.structs.replace(parts[unlucky], ends_as="closed", reason="ACCOUNT_ABNORMAL")
        return tuple(fate if part is parts[unlucky] else part for part in parts)

    def take_back(
        self,
        order: OrderBook,
        number: str,
        split_number: str,
        account: str,
        amount_fen: int,
        *,
        is_returnable: bool = True,
        terms: dict[str, str] | None = None,
    ) -> ReturnBook | Refusal:
        """Fetch a receiver's part back into the order, at once; the same number again is the same return."""
        holder = self.books.order_of("return", order.key.institution, order.key.merchant, number)
        if holder is not None:
            taken = holder.returns[number].taken
            is_same = (taken.split_number, taken.account, taken.amount_fen) == (split_number, account, amount_fen)
            return holder.returns[number] if is_same and holder.key == order.key else Refusal("different")
        split = order.splits.get(split_number)
        if split is None:
            return Refusal("absent")
        if not is_returnable:
            return Refusal("not_returnable")
        if not 0 < amount_fen <= split.received_fen(account):
            return Refusal("too_much")
        if len(order.returns) >= rules.MAX_REFUNDS:
            return Refusal("too_many")
        is_failing = self._fault("return_failed", order, "take_back") is not None
        self.books.book(
            events.TakenBack(
                key=order.key,
                number=number,
                return_id=self.new_number("3009", 24),
                split_number=split_number,
                account=account,
                amount_fen=amount_fen,
                is_done=not is_failing,
                reason="ACCOUNT_ABNORMAL" if is_failing else "",
                terms=terms or {},
            )
        )
        return order.returns[number]

    def add_receiver(self, added: events.ReceiverAdded) -> Refusal | None:
        """The merchant may split to this account; adding it again is adding it."""
        if (added.institution, added.merchant, added.kind, added.account) in self.books.receivers:
            return None
        if len(self.books.receivers) >= MAX_RECEIVERS:
            return Refusal("full")
        self.books.book(added)
        return None

    def remove_receiver(self, removed: events.ReceiverRemoved) -> None:
        """It may not any more."""
        if (removed.institution, removed.merchant, removed.kind, removed.account) in self.books.receivers:
            self.books.book(removed)

    # -- transfers ----------------------------------------------------------------------------------------------------

    def transfer(
        self,
        key: OrderKey,
        to: str,
        amount_fen: int,
        *,
        has_to_agree: bool,
        notify_url: str = "",
        terms: dict[str, str] | None = None,
        takes_s: float | None = None,
    ) -> TransferBook | Refusal:
        """Send a person money of the merchant's own; the same number again is the same transfer."""
        transfer = self.books.transfers.get(key)
        if transfer is not None:
            is_same = (transfer.opened.to, transfer.opened.amount_fen) == (to, amount_fen)
            return transfer if is_same else Refusal("different")
        if len(self.books.transfers) >= MAX_TRANSFERS:
            return Refusal("full")
        if not 0 < amount_fen <= self.books.balance_fen(key.institution, key.merchant):
            return Refusal("not_enough")
        is_failing = self.faults.fires("transfer_failed", key.institution, "transfer", key.number) is not None
        self.books.book(
            events.TransferOpened(
                key=key,
                transfer_id=self.new_number("1330", 26),
                to=to,
                amount_fen=amount_fen,
                notify_url=notify_url,
                ends_at_s=None if has_to_agree else self._ends_at_s(self._work_s if takes_s is None else takes_s),
                ends_as="failed" if is_failing else "done",
                token=self.new_token() if has_to_agree else "",
                terms=terms or {},
            )
        )
        return self.books.transfers[key]

    def agree(self, transfer: TransferBook) -> bool:
        """The receiver says yes; False when there is nothing to agree to any more."""
        if transfer.standing != "waiting":
            return False
        ends_at_s = self._ends_at_s(self._work_s)
        self.books.book(events.TransferMoved(key=transfer.opened.key, standing="accepted", ends_at_s=ends_at_s))
        return True

    def cancel_transfer(self, transfer: TransferBook) -> Refusal | None:
        """Take it back while the receiver has not said yes."""
        if transfer.standing == "cancelled":
            return None
        if transfer.standing != "waiting":
            return Refusal("not_cancellable")
        self.books.book(events.TransferMoved(key=transfer.opened.key, standing="cancelled", reason="MERCHANT_CANCEL"))
        return None

    # -- contracts ----------------------------------------------------------------------------------------------------

    def make_contract(self, institution: str, contract_id: str, payer: str, balance_fen: int) -> ContractBook | Refusal:
        """A payer agrees to be debited."""
        contract = self.books.contracts.get((institution, contract_id))
        if contract is None:
            if len(self.books.contracts) >= MAX_CONTRACTS:
                return Refusal("full")
            self.books.book(
                events.ContractMade(
                    institution=institution, contract_id=contract_id, payer=payer, balance_fen=balance_fen
                )
            )
        return self.books.contracts[institution, contract_id]

    # -- what takes its time ------------------------------------------------------------------------------------------

    def work(self) -> int:
        """Finish what is due; how much that was."""
        return self._thaw() + self._finish()

    def _thaw(self) -> int:
        """What was frozen for too long is the merchant's without its asking; where it stayed on the payer's own
        account, it is the payer's."""
        freezings, now = self.books.freezings, self.clock.now()
        thawed = 0
        while freezings and now - freezings[0][0] >= FROZEN_AT_MOST:
            order = self.books.orders[freezings.popleft()[1]]
            if order.is_unfrozen:
                continue
            number = f"thawed-{order.charges[0].transaction_id}"
            if HELD_BY_PAYER in order.opened.terms:
                if order.frozen_fen > 0:
                    self.refund(order, number, order.frozen_fen, takes_s=0.0)
                    thawed += 1
                continue
            self.books.book(
                events.SplitOpened(
                    key=order.key,
                    number=number,
                    split_id=self.new_number("3008", 24),
                    parts=(),
                    is_last=True,
                    ends_at_s=self.clock.wall_s(),
                ),
                events.SplitEnded(key=order.key, number=number),
            )
            thawed += 1
        return thawed

    def _finish(self) -> int:
        if self._next_end_s is None or self.clock.wall_s() < self._next_end_s:
            return 0
        self._next_end_s = None
        done = 0
        for order, task in self.books.unfinished():
            if self._is_due(task.opened.ends_at_s):
                number = task.opened.number
                if isinstance(task, RefundBook):
                    ended = events.RefundEnded(key=order.key, number=number, standing=task.opened.ends_as)
                    self.books.book(ended)
                else:
                    self.books.book(events.SplitEnded(key=order.key, number=number))
                done += 1
        for transfer in self.books.transfers_under_way():
            if transfer.standing == "accepted" and transfer.ends_at_s is not None and self._is_due(transfer.ends_at_s):
                standing = transfer.opened.ends_as
                reason = "PAYEE_ACCOUNT_ABNORMAL" if standing == "failed" else ""
                self.books.book(events.TransferMoved(key=transfer.opened.key, standing=standing, reason=reason))
                done += 1
        return done

    def _is_due(self, ends_at_s: float) -> bool:
        if self.clock.wall_s() >= ends_at_s:
            return True
        self._next_end_s = ends_at_s if self._next_end_s is None else min(self._next_end_s, ends_at_s)
        return False

    def _fault(self, name: FaultName, order: OrderBook, operation: str) -> Fault | None:
        return self.faults.fires(name, order.opened.channel, operation, order.key.number)
