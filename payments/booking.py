"""What becomes true with money: the transactions that book a payment, a split, a release or a refund."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from payments import group_books, ledger
from payments.attempt import WITH_MONEY, Attempt, AttemptState, moved
from payments.escrow import hold_after, still_held_fen
from payments.money import Fen
from payments.outcomes import Receiver, ReceiverOutcome
from payments.port import (
    AnyEvent,
    IntentFailed,
    IntentReady,
    Paid,
    PayoutFailed,
    Refunded,
    Released,
    ReleaseFailed,
    Settled,
    Suspicious,
)
from payments.settlement import retry_at, sort_outcomes, split_number
from payments.store.rows import Instruction, InstructionKind, IntentRow
from payments.store.unit_of_work import UnitOfWork

#: Tries without an answer until somebody is told.
SILENCES_BEFORE_ALARM = 3

NewId = Callable[[str], str]


class Booking:
    """The books of one transaction at one instant. Repeating any of it changes nothing."""

    def __init__(self, uow: UnitOfWork, now: datetime, new_id: NewId) -> None:
        self.uow = uow
        self.now = now
        self._new_id = new_id

    # -- events ---------------------------------------------------------------------------------------------------

    def tell(self, kind: Callable[..., AnyEvent], intent: IntentRow, **fields: Any) -> None:
        """Put an event about the intent into the outbox; a part of a group speaks through its parent."""
        if intent.parent_intent_id is not None:
            group_books.child_tells(self, kind, intent, fields)
            return
        event = kind(
            seq=0,
            id=self._new_id("evt"),
            intent_id=intent.id,
            campus_id=intent.campus_id,
            order_ref=intent.order_ref,
            at=self.now,
            **fields,
        )
        self.uow.outbox.add(event)
        self.uow.timeline.event(event)

    def issued(self, intent: IntentRow, attempt: Attempt) -> None:
        """The credential is committed, so it may be delivered."""
        self.tell(IntentReady, intent, channel=attempt.channel, credential=attempt.credential or {})

    def fail(self, intent: IntentRow, reason: str) -> None:
        self.uow.intents.change(intent.id, phase="failed", reason=reason, switch_to=None)
        self.tell(IntentFailed, intent, reason=reason)

    def finish_cancel(self, intent: IntentRow) -> None:
        """A cancelled intent without a payment is over."""
        self.uow.intents.change(intent.id, phase="cancelled", switch_to=None)
        self.tell(Released, intent, amount_fen=Fen(0))

    def suspect(self, intent: IntentRow, reason: str) -> None:
        """People must look; the machine makes no new attempt."""
        if not intent.is_suspicious or intent.reason != reason:
            self.uow.intents.change(intent.id, is_suspicious=True, reason=reason)
            self.tell(Suspicious, intent, reason=reason)

    # -- money in -------------------------------------------------------------------------------------------------

    def paid(self, attempt: Attempt, amount_fen: Fen, transaction_id: str) -> Literal["booked", "mismatch"]:
        """A proof of payment, from wherever and in whatever state: the first one pays the intent, any other one is
        given back."""
        if attempt.state in WITH_MONEY:
            return "booked"
        intent = self.uow.intents.require(attempt.intent_id)
        if amount_fen != attempt.amount_fen:
            self.suspect(intent, "amount_mismatch")
            return "mismatch"
        is_first = self.uow.intents.claim_paid(intent.id, attempt.id)
        after = moved(attempt, "paid" if is_first else "paid_again", self.now, transaction_id=transaction_id)
        assert after is not None, "proof of payment is accepted in every state"
        self.uow.attempts.save(after, attempt.state)
        if is_first:
            self._hold(intent, after)
        else:
            self._give_duplicate_back(intent, after)
        self.uow.intents.wake(intent.id, self.now)
        return "booked"

    def _hold(self, intent: IntentRow, attempt: Attempt) -> None:
        hold = ledger.hold(
            channel=attempt.channel,
            payer_ref=intent.payer_ref,
            intent_id=intent.id,
            attempt_id=attempt.id,
            amount_fen=intent.amount_fen,
        )
        self.uow.books.post(intent, hold, self.now)
        self.uow.intents.change(
            intent.id, hold_state=hold_after(intent.hold_state, "paid"), is_suspicious=False, switch_to=None
        )
        self.tell(Paid, intent, amount_fen=intent.amount_fen, channel=attempt.channel, attempt_id=attempt.id)
        if intent.phase in ("cancelling", "cancelled"):
            self.uow.intents.change(intent.id, phase="cancelled")
            self.release(self.uow.intents.require(intent.id), "paid_too_late")
        elif intent.phase == "failed":
            # Whoever heard of the failure and has given up sends a Release, before or after this.
            self.tell(Suspicious, intent, reason="paid_after_failure")
            self.uow.intents.change(intent.id, phase="open", reason="")

    def _give_duplicate_back(self, intent: IntentRow, attempt: Attempt) -> None:
        entries = ledger.duplicate(channel=attempt.channel, attempt_id=attempt.id, amount_fen=attempt.amount_fen)
        self.uow.books.post(intent, entries, self.now)
        self.instruct(intent, attempt, f"{attempt.id}D1", "refund_duplicate", attempt.amount_fen, reason="paid_twice")

    def _alarm(self, intent: IntentRow, order: Instruction, reason: str) -> None:
        match order.kind:
            case "split":
                for receiver in order.receivers:
                    self.tell(
                        PayoutFailed, intent, party=receiver.party, account_ref=receiver.account_ref, reason=reason
                    )
            case "release":
                self.tell(ReleaseFailed, intent, reason=reason)
            case _:
                self.tell(Suspicious, intent, reason=f"{order.kind}_failed: {reason}")

    # -- money out ------------------------------------------------------------------------------------------------

    def instruct(
        self,
        intent: IntentRow,
        attempt: Attempt,
        number: str,
        kind: InstructionKind,
        amount_fen: Fen,
        *,
        receivers: tuple[Receiver, ...] = (),
        reason: str = "",
        due_at: datetime | None = None,
        is_reported: bool = False,
    ) -> None:
        """Tell the institution something, from the next pass of the driver on."""
        self.uow.instructions.add(
            Instruction(
                id=number,
                intent_id=intent.id,
                attempt_id=attempt.id,
                channel=attempt.channel,
                kind=kind,
                amount_fen=amount_fen,
                created_at=self.now,
                due_at=due_at or self.now,
                receivers=receivers,
                reason=reason,
                is_reported=is_reported,
            )
        )

    def settle(self, intent: IntentRow, receivers: tuple[Receiver, ...]) -> None:
        """Begin to pay the receivers; without any, everything goes back."""
        if intent.part == 0:
            group_books.settle_group(self, intent, receivers)
            return
        self.uow.intents.change(intent.id, is_settling=True)
        if not receivers:
            self.release(intent, "settled_at_zero")
            return
        self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, "capture"))
        attempt = self.payer_of(intent)
        amount_fen = Fen(sum(receiver.amount_fen for receiver in receivers))
        self.instruct(intent, attempt, split_number(attempt.id, 1), "split", amount_fen, receivers=receivers)

    def release(self, intent: IntentRow, reason: str) -> None:
        """Begin to give back all that is still held and not captured."""
        if intent.part == 0:
            group_books.release_group(self, intent, reason)
            return
        attempt = self.payer_of(intent)
        rest_fen = still_held_fen(intent.hold_state, intent.amount_fen, intent.captured_fen, intent.released_fen)
        happening = "captured_part" if intent.hold_state == "capturing" else "release"
        self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, happening))
        self.instruct(intent, attempt, f"{attempt.id}U1", "release", rest_fen, reason=reason)

    def payer_of(self, intent: IntentRow) -> Attempt:
        """The attempt that paid the intent."""
        assert intent.paid_attempt is not None, "only a paid intent has money to move"
        return self.uow.attempts.require(intent.paid_attempt)

    def split_reported(self, order: Instruction, outcomes: tuple[ReceiverOutcome, ...]) -> None:
        """The institution said how the parts of a split stand: book the paid ones, try the closed ones anew under the
        next number, ask again about the rest."""
        intent = self.uow.intents.require(order.intent_id)
        unbooked = [
            receiver
            for receiver in order.receivers
            if ledger.receiver(receiver.party, receiver.account_ref) not in order.finished
        ]
        paid, still_open, closed = sort_outcomes(unbooked, outcomes)
        for receiver in paid:
            entries = ledger.capture(
                party=receiver.party,
                account_ref=receiver.account_ref,
                intent_id=intent.id,
                attempt_id=order.attempt_id,
                number=order.id,
                amount_fen=receiver.amount_fen,
            )
            self.uow.books.post(intent, entries, self.now)
        captured_fen = Fen(intent.captured_fen + sum(receiver.amount_fen for receiver in paid))
        self.uow.intents.change(intent.id, captured_fen=captured_fen)
        if closed:
            self._split_again(intent, order, closed)
        finished = [ledger.receiver(r.party, r.account_ref) for r in (*paid, *(receiver for receiver, _ in closed))]
        is_done = not still_open
        self.uow.instructions.save(
            msgspec.structs.replace(
                order,
                finished=(*order.finished, *finished),
                is_done=is_done,
                tries=order.tries + 1,
                due_at=None if is_done else retry_at(order.tries + 1, self.now),
            )
        )
        if all(row.is_done for row in self.uow.instructions.of(intent.id) if row.kind == "split"):
            self._captured(self.uow.intents.require(intent.id))

    def _split_again(self, intent: IntentRow, order: Instruction, closed: list[tuple[Receiver, str]]) -> None:
        for receiver, reason in closed:
            if not order.is_reported:
                self.tell(PayoutFailed, intent, party=receiver.party, account_ref=receiver.account_ref, reason=reason)
        turn = 1 + sum(row.kind == "split" for row in self.uow.instructions.of(intent.id))
        receivers = tuple(receiver for receiver, _ in closed)
        self.instruct(
            intent,
            self.payer_of(intent),
            split_number(order.attempt_id, turn),
            "split",
            Fen(sum(receiver.amount_fen for receiver in receivers)),
            receivers=receivers,
            due_at=retry_at(turn - 1, self.now),
            is_reported=True,
        )

    def _captured(self, intent: IntentRow) -> None:
        if intent.captured_fen < intent.amount_fen:
            self.release(intent, "rest")
            return
        self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, "captured_all"))
        self.tell(Settled, intent, captured_fen=intent.captured_fen, released_fen=intent.released_fen)

    def money_back(self, order: Instruction) -> None:
        """The institution confirmed that this instruction's money is with the payer again."""
        intent = self.uow.intents.require(order.intent_id)
        match order.kind:
            case "release":
                self._released(intent, order)
            case "refund":
                self._refunded(intent, order)
            case _:
                self._duplicate_back(intent, order)
        self.uow.instructions.save(msgspec.structs.replace(order, is_done=True, tries=order.tries + 1, due_at=None))

    def _released(self, intent: IntentRow, order: Instruction) -> None:
        entries = ledger.release(
            channel=order.channel,
            payer_ref=intent.payer_ref,
            intent_id=intent.id,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=order.amount_fen,
        )
        self.uow.books.post(intent, entries, self.now)
        happening = "rest_back" if intent.captured_fen else "all_back"
        released_fen = Fen(intent.released_fen + order.amount_fen)
        hold_state = hold_after(intent.hold_state, happening)
        self.uow.intents.change(intent.id, released_fen=released_fen, hold_state=hold_state)
        if intent.is_settling:
            self.tell(Settled, intent, captured_fen=intent.captured_fen, released_fen=released_fen)
        else:
            self.tell(Released, intent, amount_fen=released_fen)

    def _refunded(self, intent: IntentRow, order: Instruction) -> None:
        entries = ledger.refund(
            channel=order.channel,
            payer_ref=intent.payer_ref,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=order.amount_fen,
        )
        self.uow.books.post(intent, entries, self.now)
        self.uow.intents.change(intent.id, refunded_fen=Fen(intent.refunded_fen + order.amount_fen))
        self.tell(Refunded, intent, refund_id=order.id, amount_fen=order.amount_fen)

    def _duplicate_back(self, intent: IntentRow, order: Instruction) -> None:
        entries = ledger.duplicate_back(
            channel=order.channel, attempt_id=order.attempt_id, number=order.id, amount_fen=order.amount_fen
        )
        self.uow.books.post(intent, entries, self.now)
        attempt = self.uow.attempts.require(order.attempt_id)
        after = moved(attempt, "refunded", self.now)
        assert after is not None, "only a duplicate is given back as one"
        self.uow.attempts.save(after, AttemptState.PAID_DUPLICATE)

    def try_later(self, order: Instruction, reason: str, *, is_failure: bool) -> None:
        """Not done yet: the same number again later. A failure, or a silence that lasts, is told once."""
        tries = order.tries + 1
        is_failure = is_failure or tries >= SILENCES_BEFORE_ALARM
        if is_failure:
            intent = self.uow.intents.require(order.intent_id)
            if order.kind == "release":
                self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, "failed"))
            if not order.is_reported:
                self._alarm(intent, order, reason)
        self.uow.instructions.save(
            msgspec.structs.replace(
                order,
                tries=tries,
                reason=reason or order.reason,
                is_reported=order.is_reported or is_failure,
                due_at=retry_at(tries, self.now),
            )
        )
