"""The sandbox bank's books: what one of its transactions does with orders, money, notices and scripted faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args

import msgspec

from payments.channels.sandbox_bill import bill_of
from payments.money import Fen
from payments.outcomes import (
    BillAnswer,
    InstitutionBook,
    MoneyAnswer,
    NoBill,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    ReceiverOutcome,
)
from payments.store.database import Sql
from payments.store.instant import to_us

Fault = Literal[
    "slow",  # the credential's reply takes so many real seconds
    "declined",  # no order is taken; another channel may be tried
    "refused",  # no order is taken; a verdict about the order
    "request_lost",  # the order (or the debit) never arrives at the bank
    "unknown",  # an order is taken (a debit: the money too), and the reply never arrives
    "late",  # the notice of payment comes after so many business seconds
    "lost",  # the notice of payment never comes
    "doubled",  # the notice of payment comes twice
    "wrong_amount",  # notice and query name another amount than was ordered
    "insufficient",  # the payer's balance does not suffice
    "pays_closed",  # money is taken on an order that was called closed
    "query_lost",  # a query gets no answer
    "close_ignored",  # a close is answered and has no effect
    "split_fails",  # a receiver is closed; the value may name the party
    "split_pending",  # a split stays pending for one more question
    "split_lost",  # a split is done, and the reply never arrives
    "release_fails",  # frozen money is not given back
    "release_lost",  # it is, and the reply never arrives
    "refund_fails",  # split money is not given back
    "take_back_fails",  # a receiver's part is not taken back; the value may name the party
    "take_back_lost",  # it is, and the reply never arrives
    "transfer_fails",  # a person is not paid
    "transfer_lost",  # they are, and the reply never arrives
    "bill_late",  # the bill of a day is not there yet when it is asked for; for the order "*"
]
FAULTS: tuple[str, ...] = get_args(Fault)

#: What "slow" and "late" mean without a value.
SLOW_S = 2.0
LATE_S = 180.0

#: Business seconds between the sendings of a notice that is not heard.
RESEND_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)

#: A description may carry the faults of its order: "[sandbox:slow]", "[sandbox:late=60]", "[sandbox:release_fails*2]".
_MARKER = re.compile(r"\[sandbox:([a-z_]+)(?:=([0-9a-z_.]+))?(?:\*([0-9]{1,3}))?\]")

Row = dict[str, Any]


class OrderNotTaken(Exception):
    """The bank took no such order. ``is_verdict``: it judged the order itself."""

    def __init__(self, reason: str, *, is_verdict: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_verdict = is_verdict


class Books:
    """One transaction of the bank."""

    def __init__(self, sql: Sql, now: datetime, new_token: Callable[[], str]) -> None:
        self._sql = sql
        self._now = now
        self._new_token = new_token

    # -- faults -----------------------------------------------------------------------------------------------------

    def add_script(
        self, order_ref: str, channel: str, fault: str, count: int, value: str, origin: str = "operator"
    ) -> None:
        self._sql.do(
            "INSERT INTO scripts (order_ref, channel, fault, remaining, value, origin)"
            " VALUES (:order_ref, :channel, :fault, :count, :value, :origin)",
            order_ref=order_ref,
            channel=channel,
            fault=fault,
            count=count,
            value=value,
            origin=origin,
        )

    def take(self, fault: Fault, order_ref: str, channel: str, *values: str) -> str | None:
        """Use up one of the order's faults of this kind: its value, or None when there is none. With ``values``, only
        a fault whose value is one of them (or empty)."""
        rows = self._sql.rows(
            "SELECT id, value FROM scripts WHERE remaining > 0 AND fault = :fault"
            " AND order_ref IN (:order_ref, '*') AND channel IN (:channel, '*') ORDER BY id",
            fault=fault,
            order_ref=order_ref,
            channel=channel,
        )
        for row in rows:
            if not values or row["value"] in ("", *values):
                self._sql.do("UPDATE scripts SET remaining = remaining - 1 WHERE id = :id", id=row["id"])
                return str(row["value"])
        return None

    def _read_markers(self, order: OrderToCreate) -> None:
        known = self._sql.one(
            "SELECT id FROM scripts WHERE origin = 'marker' AND order_ref = :ref LIMIT 1", ref=order.order_ref
        )
        if known is not None:
            return
        for fault, value, count in _MARKER.findall(order.description):
            if fault in FAULTS:
                self.add_script(order.order_ref, "*", fault, int(count or 1), value, origin="marker")

    # -- orders -----------------------------------------------------------------------------------------------------

    def order(self, out_no: str) -> Row | None:
        return self._sql.one("SELECT * FROM orders WHERE out_no = :out_no", out_no=out_no)

    def order_of_token(self, token: str) -> Row | None:
        return self._sql.one("SELECT * FROM orders WHERE token = :token", token=token)

    def state(self, order: Row) -> Literal["open", "paid", "closed"]:
        """How the order stands now; an open one closes by itself when it expires."""
        if order["state"] == "open" and to_us(self._now) >= order["expires_at"]:
            return "closed"
        state: Literal["open", "paid", "closed"] = order["state"]
        return state

    def create(self, channel: str, order: OrderToCreate, token: str | None = None) -> Row:
        """Take an order. The same number again is the same order; OrderNotTaken as scripted."""
        known = self.order(order.attempt_id)
        if known is not None:
            return known
        self._read_markers(order)
        self._sql.do(
            "INSERT INTO orders (out_no, channel, token, order_ref, payer_ref, description, amount_fen, state,"
            " expires_at, transaction_id) VALUES (:out_no, :channel, :token, :order_ref, :payer_ref, :description,"
            " :amount_fen, 'open', :expires_at, '')",
            out_no=order.attempt_id,
            channel=channel,
            token=token or self._new_token(),
            order_ref=order.order_ref,
            payer_ref=order.payer_ref,
            description=order.description,
            amount_fen=order.amount_fen,
            expires_at=to_us(order.expires_at),
        )
        created = self.order(order.attempt_id)
        assert created is not None, "just inserted"
        return created

    def refusal(self, channel: str, order: OrderToCreate) -> OrderNotTaken | None:
        """Whether the script wants this order turned away."""
        self._read_markers(order)
        for fault in ("declined", "refused"):
            if self.take(fault, order.order_ref, channel) is not None:
                return OrderNotTaken(fault, is_verdict=fault == "refused")
        return None

    def close(self, order: Row) -> None:
        self._sql.do("UPDATE orders SET state = 'closed' WHERE out_no = :no AND state = 'open'", no=order["out_no"])

    def standing(self, out_no: str) -> QueryAnswer:
        """The bank's word on how the order stands."""
        order = self.order(out_no)
        if order is None:
            return QueryAnswer(standing="absent")
        match self.state(order):
            case "open":
                return QueryAnswer(standing="unpaid")
            case "closed":
                return QueryAnswer(standing="closed")
            case "paid":
                paid_fen = self._told_fen(order)
                return QueryAnswer(standing="paid", amount_fen=paid_fen, transaction_id=order["transaction_id"])

    def _told_fen(self, order: Row) -> Fen:
        is_wrong = self.take("wrong_amount", order["order_ref"], order["channel"]) is not None
        return Fen(order["paid_fen"] - 1 if is_wrong else order["paid_fen"])

    # -- money ------------------------------------------------------------------------------------------------------

    def take_money(self, order: Row) -> None:
        """The payer's money is here and frozen, and the merchant will be told."""
        transaction_id = f"SB{order['out_no']}"
        self._sql.do(
            "UPDATE orders SET state = 'paid', paid_fen = amount_fen, frozen_fen = amount_fen, transaction_id = :txn,"
            " paid_at = :at WHERE out_no = :no",
            txn=transaction_id,
            at=to_us(self._now),
            no=order["out_no"],
        )
        ref, channel = order["order_ref"], order["channel"]
        if self.take("lost", ref, channel) is not None:
            return
        late = self.take("late", ref, channel)
        delay_s = 0.0 if late is None else float(late or LATE_S)
        body = {
            "id": f"N{order['out_no']}",
            "event": "paid",
            "out_no": order["out_no"],
            "amount_fen": self._told_fen(order | {"paid_fen": order["amount_fen"]}),
            "transaction_id": transaction_id,
        }
        self._sql.do(
            "INSERT INTO notices (id, channel, body, copies, tries, due_at)"
            " VALUES (:id, :channel, :body, :copies, 0, :due_at)",
            id=body["id"],
            channel=channel,
            body=msgspec.json.encode(body).decode(),
            copies=1 if self.take("doubled", ref, channel) is None else 2,
            due_at=to_us(self._now + timedelta(seconds=delay_s)),
        )

    def moves(self, number: str) -> list[Row]:
        return self._sql.rows("SELECT * FROM moves WHERE number = :number ORDER BY id", number=number)

    def _move(self, order: Row, number: str, kind: str, receiver: Receiver, state: str, reason: str = "") -> None:
        self._sql.do(
            "INSERT INTO moves (out_no, number, kind, party, account_ref, amount_fen, state, reason, at)"
            " VALUES (:out_no, :number, :kind, :party, :account_ref, :amount_fen, :state, :reason, :at)",
            out_no=order["out_no"],
            number=number,
            kind=kind,
            party=receiver.party,
            account_ref=receiver.account_ref,
            amount_fen=receiver.amount_fen,
            state=state,
            reason=reason,
            at=to_us(self._now),
        )

    def split(self, order: Row, number: str, receivers: Sequence[Receiver]) -> tuple[ReceiverOutcome, ...] | str:
        """Pay the receivers out of the frozen money; asked again it goes on, paying nothing twice. A text: why not."""
        ref, channel = order["order_ref"], order["channel"]
        known = self.moves(number)
        if not known:
            if sum(receiver.amount_fen for receiver in receivers) > order["frozen_fen"]:
                return "not_enough_frozen"
            for receiver in receivers:
                if self.take("split_fails", ref, channel, receiver.party, receiver.account_ref) is not None:
                    self._move(order, number, "split", receiver, "closed", "receiver_account_abnormal")
                elif self.take("split_pending", ref, channel, receiver.party, receiver.account_ref) is not None:
                    self._move(order, number, "split", receiver, "pending")
                else:
                    self._move(order, number, "split", receiver, "paid")
                    self._shift(order, "frozen_fen", "split_fen", receiver.amount_fen)
        for move in known:
            if move["state"] == "pending":
                self._sql.do(
                    "UPDATE moves SET state = 'paid', at = :at WHERE id = :id", id=move["id"], at=to_us(self._now)
                )
                self._shift(order, "frozen_fen", "split_fen", move["amount_fen"])
        return tuple(
            ReceiverOutcome(party=m["party"], account_ref=m["account_ref"], standing=m["state"], reason=m["reason"])
            for m in self.moves(number)
        )

    def give_back(self, order: Row, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Frozen money to the payer."""
        if self.moves(number):
            return MoneyAnswer(standing="done")
        if self.take("release_fails", order["order_ref"], order["channel"]) is not None:
            return MoneyAnswer(standing="failed", reason="payer_account_abnormal")
        if amount_fen > order["frozen_fen"]:
            return MoneyAnswer(standing="failed", reason="not_enough_frozen")
        self._move(order, number, "return", self._payer(order, amount_fen), "paid")
        self._shift(order, "frozen_fen", "returned_fen", amount_fen)
        return MoneyAnswer(standing="done")

    def refund(self, order: Row, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Split money to the payer, at the merchant's expense."""
        if self.moves(number):
            return MoneyAnswer(standing="done")
        if self.take("refund_fails", order["order_ref"], order["channel"]) is not None:
            return MoneyAnswer(standing="failed", reason="payer_account_abnormal")
        if amount_fen > order["split_fen"] - order["refunded_fen"]:
            return MoneyAnswer(standing="failed", reason="not_enough_split")
        self._move(order, number, "refund", self._payer(order, amount_fen), "paid")
        self._sql.do(
            "UPDATE orders SET refunded_fen = refunded_fen + :fen WHERE out_no = :no",
            fen=amount_fen,
            no=order["out_no"],
        )
        return MoneyAnswer(standing="done")

    def take_back(self, order: Row, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        """A receiver's part of a split, frozen again; never a person's."""
        if self.moves(number):
            return MoneyAnswer(standing="done")
        faulty = self.take(
            "take_back_fails", order["order_ref"], order["channel"], receiver.party, receiver.account_ref
        )
        if faulty is not None:
            return MoneyAnswer(standing="failed", reason="receiver_balance_insufficient")
        got_fen = sum(
            move["amount_fen"]
            for move in self.moves(split_number)
            if move["state"] == "paid"
            and (move["party"], move["account_ref"]) == (receiver.party, receiver.account_ref)
        )
        if receiver.party == "runner" or receiver.amount_fen > got_fen:
            return MoneyAnswer(standing="failed", reason="not_to_be_taken_back")
        self._move(order, number, "take_back", receiver, "paid")
        self._shift(order, "split_fen", "frozen_fen", receiver.amount_fen)
        return MoneyAnswer(standing="done")

    def transfer(self, channel: str, number: str, account_ref: str, amount_fen: Fen) -> MoneyAnswer:
        """The merchant's own money to a person."""
        if number in self.transfers(channel):
            return MoneyAnswer(standing="done")
        if self.take("transfer_fails", account_ref, channel) is not None:
            return MoneyAnswer(standing="failed", reason="account_abnormal")
        self._sql.do(
            "INSERT INTO transfers (number, channel, account_ref, amount_fen, at)"
            " VALUES (:number, :channel, :account_ref, :fen, :at)",
            number=number,
            channel=channel,
            account_ref=account_ref,
            fen=amount_fen,
            at=to_us(self._now),
        )
        return MoneyAnswer(standing="done")

    def transfers(self, channel: str) -> dict[str, Fen]:
        """Every transfer that a channel's merchant made: number → amount."""
        rows = self._sql.rows("SELECT number, amount_fen FROM transfers WHERE channel = :channel", channel=channel)
        return {row["number"]: Fen(row["amount_fen"]) for row in rows}

    @staticmethod
    def _payer(order: Row, amount_fen: Fen) -> Receiver:
        # A payer is no party of a split; the row only has to say who got it.
        return Receiver(party="platform", account_ref=order["payer_ref"], amount_fen=amount_fen)

    def _shift(self, order: Row, source: str, target: str, amount_fen: Fen) -> None:
        assert {source, target} <= {"frozen_fen", "split_fen", "returned_fen"}, "columns are never a caller's text"
        self._sql.do(
            f"UPDATE orders SET {source} = {source} - :fen, {target} = {target} + :fen WHERE out_no = :no",  # noqa: S608
            fen=amount_fen,
            no=order["out_no"],
        )

    def bill(self, channel: str, day: date) -> BillAnswer:
        """A channel's bill of one day."""
        if self.take("bill_late", "*", channel) is not None:
            return NoBill(reason="late")
        return bill_of(self._sql, channel, day, self._now)

    def of_channel(self, channel: str) -> list[InstitutionBook]:
        """Every order of a channel that money came in by."""
        rows = self._sql.rows(
            "SELECT out_no AS attempt_id, paid_fen, split_fen, returned_fen, refunded_fen, frozen_fen FROM orders"
            " WHERE channel = :channel AND paid_fen > 0 ORDER BY out_no",
            channel=channel,
        )
        return [msgspec.convert(row, InstitutionBook) for row in rows]

    # -- notices ----------------------------------------------------------------------------------------------------

    def due_notices(self, limit: int = 50) -> list[Row]:
        return self._sql.rows(
            "SELECT * FROM notices WHERE due_at <= :now ORDER BY due_at LIMIT :limit", now=to_us(self._now), limit=limit
        )

    def book_next_sending(self, notice: Row) -> bool:
        """Put the notice off to its next sending; False when somebody else has just done so, and sends it."""
        is_last = notice["tries"] >= len(RESEND_S)
        next_at = None if is_last else to_us(self._now + timedelta(seconds=RESEND_S[notice["tries"]]))
        changed = self._sql.do(
            "UPDATE notices SET due_at = :next_at, tries = tries + 1 WHERE id = :id AND due_at = :was",
            next_at=next_at,
            id=notice["id"],
            was=notice["due_at"],
        )
        return changed == 1

    def heard(self, notice: Row) -> None:
        self._sql.do("UPDATE notices SET due_at = NULL WHERE id = :id", id=notice["id"])
