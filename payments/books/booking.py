"""What becomes true with money: the transactions that book a payment, its settlement and its release."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from payments import ledger
from payments.account import AccountEvent, RefundPart, RefundState
from payments.attempt import WITH_MONEY, Attempt, AttemptState, moved
from payments.books import group_books
from payments.escrow import hold_after, still_held_fen
from payments.money import Fen
from payments.outcomes import Receiver
from payments.port import (
    AnyEvent,
    IntentFailed,
    IntentReady,
    Paid,
    PayoutFailed,
    Released,
    ReleaseFailed,
    Settled,
    Suspicious,
)
from payments.settlement import number_of, retry_at
from payments.store.money_rows import RefundRow, Withdrawal
from payments.store.rows import Instruction, InstructionKind, IntentRow
from payments.store.unit_of_work import UnitOfWork

#: Tries without an answer until somebody is told.
SILENCES_BEFORE_ALARM = 3

#: A payee has a day to confirm a transfer, and the provider some time more to end it.
CONFIRMED_WITHIN = timedelta(hours=26)

NewId = Callable[[str], str]


def release_number(attempt_id: str) -> str:
    """The institution's number of giving back what is left of a hold; that happens once."""
    return number_of(attempt_id, "U", 1)


class Booking:
    """The books of one transaction at one instant. Repeating any of it changes nothing."""

    def __init__(self, uow: UnitOfWork, now: datetime, new_id: NewId) -> None:
        self.uow = uow
        self.now = now
        self.terms = uow.terms
        self.new_id = new_id

    # -- events ---------------------------------------------------------------------------------------------------

    def tell(self, kind: Callable[..., AnyEvent], intent: IntentRow, **fields: Any) -> None:
        """Put an event about the intent into the outbox; a part of a group speaks through its parent."""
        if intent.parent_intent_id is not None:
            group_books.child_tells(self, kind, intent, fields)
            return
        event = kind(
            seq=0,
            id=self.new_id("evt"),
            intent_id=intent.id,
            campus_id=intent.campus_id,
            order_ref=intent.order_ref,
            at=self.now,
            **fields,
        )
        self.uow.outbox.add(event)
        self.uow.timeline.event(event)

    def tell_account(self, kind: Callable[..., AccountEvent], withdrawal: Withdrawal, **fields: Any) -> None:
        """Put an event about a withdrawal into the outbox."""
        event = kind(
            seq=0,
            id=self.new_id("evt"),
            campus_id=withdrawal.campus_id,
            account_ref=withdrawal.account_ref,
            withdrawal_id=withdrawal.id,
            amount_fen=withdrawal.amount_fen,
            is_automatic=withdrawal.is_automatic,
            at=self.now,
            **fields,
        )
        self.uow.outbox.add_of_account(event)

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
        self.uow.deadlines.set("hold_expiring", intent.id, self.now + timedelta(seconds=self.terms.pay_within_s))
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
        number = f"{attempt.id}D1"
        part = RefundPart(path="duplicate", party="platform", account_ref="platform", amount_fen=attempt.amount_fen)
        self.add_refund(intent, attempt, number, (part,), "paying", "paid_twice")
        self.instruct(
            intent, attempt, number, "refund_duplicate", attempt.amount_fen, reason="paid_twice", subject=number
        )

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
        tries: int = 0,
        subject: str = "",
        undoes: str = "",
    ) -> None:
        """Tell the institution something, from the next pass of the driver on; ``tries``: of a number before it."""
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
                tries=tries,
                subject=subject,
                undoes=undoes,
            )
        )

    def next_number(self, attempt: Attempt, letter: str, *kinds: InstructionKind) -> tuple[str, int]:
        """The institution's next number of an attempt's instructions of these kinds, and how many it makes."""
        before = self.uow.instructions.of(attempt.intent_id)
        turn = 1 + sum(row.kind in kinds and row.attempt_id == attempt.id for row in before)
        return number_of(attempt.id, letter, turn), turn

    def add_refund(
        self,
        intent: IntentRow,
        attempt: Attempt,
        refund_id: str,
        parts: tuple[RefundPart, ...],
        state: RefundState,
        reason: str,
    ) -> RefundRow:
        """A refund begins, and with it the time that it may take."""
        refund = RefundRow(
            id=refund_id,
            intent_id=intent.id,
            attempt_id=attempt.id,
            channel=attempt.channel,
            campus_id=intent.campus_id,
            order_ref=intent.order_ref,
            amount_fen=Fen(sum(part.amount_fen for part in parts)),
            state=state,
            parts=parts,
            reason=reason,
            asked_at=self.now,
            due_by=self.now + timedelta(seconds=self.terms.refund_within_s),
        )
        self.uow.refunds.add(refund)
        self.uow.deadlines.set("refund_overdue", refund_id, refund.due_by)
        return refund

    def refund_done(self, refund: RefundRow) -> None:
        """All of a refund is with the payer."""
        self.uow.refunds.save(msgspec.structs.replace(refund, state="done", done_at=self.now))
        self.uow.deadlines.drop("refund_overdue", refund.id)

    def payer_of(self, intent: IntentRow) -> Attempt:
        """The attempt that paid the intent."""
        assert intent.paid_attempt is not None, "only a paid intent has money to move"
        return self.uow.attempts.require(intent.paid_attempt)

    def free_fen(self, intent: IntentRow) -> Fen:
        """What of the intent's hold is neither captured nor back with the payer nor on its way there by a refund."""
        held_fen = still_held_fen(intent.hold_state, intent.amount_fen, intent.captured_fen, intent.released_fen)
        return Fen(held_fen - self.uow.refunds.returning_fen(intent.id))

    def release(self, intent: IntentRow, reason: str) -> None:
        """Begin to give back all that is still held, not captured and not on its way back already."""
        if intent.part == 0:
            group_books.release_group(self, intent, reason)
            return
        rest_fen = self.free_fen(intent)
        happening = "captured_part" if intent.hold_state == "capturing" else "release"
        self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, happening))
        if rest_fen:
            attempt = self.payer_of(intent)
            self.instruct(intent, attempt, release_number(attempt.id), "release", rest_fen, reason=reason)

    def given_back(self, order: Instruction) -> None:
        """This instruction's part of the hold is with the payer again."""
        intent = self.uow.intents.require(order.intent_id)
        entries = ledger.release(
            channel=order.channel,
            payer_ref=intent.payer_ref,
            intent_id=intent.id,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=order.amount_fen,
        )
        self.uow.books.post(intent, entries, self.now)
        released_fen = Fen(intent.released_fen + order.amount_fen)
        self.uow.intents.change(intent.id, released_fen=released_fen)
        if order.kind == "release" and not intent.is_settling:
            self.tell(Released, intent, amount_fen=order.amount_fen)
        if intent.captured_fen + released_fen < intent.amount_fen:
            return
        happening = "rest_back" if intent.captured_fen else "all_back"
        self.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, happening))
        if intent.is_settling:
            self.tell(Settled, intent, captured_fen=intent.captured_fen, released_fen=released_fen)
        elif intent.hold_state != "held" and self.uow.instructions.get(release_number(order.attempt_id)) is None:
            # Its release was asked for while refunds were taking all of it back.
            self.tell(Released, intent, amount_fen=Fen(0))

    def all_was_back(self, intent: IntentRow) -> None:
        """Its release is asked for when nothing is left to release; told once."""
        if intent.phase != "cancelled":
            self.uow.intents.change(intent.id, phase="cancelled")
            self.tell(Released, intent, amount_fen=Fen(0))

    def duplicate_back(self, order: Instruction) -> None:
        """A second payment is with the payer again."""
        intent = self.uow.intents.require(order.intent_id)
        entries = ledger.duplicate_back(
            channel=order.channel, attempt_id=order.attempt_id, number=order.id, amount_fen=order.amount_fen
        )
        self.uow.books.post(intent, entries, self.now)
        attempt = self.uow.attempts.require(order.attempt_id)
        after = moved(attempt, "refunded", self.now)
        assert after is not None, "only a duplicate is given back as one"
        self.uow.attempts.save(after, AttemptState.PAID_DUPLICATE)
        self.refund_done(self.uow.refunds.require(order.subject))

    def finish(self, order: Instruction) -> None:
        """Nothing is left to do with this instruction."""
        self.uow.instructions.save(msgspec.structs.replace(order, is_done=True, tries=order.tries + 1, due_at=None))

    def try_later(self, order: Instruction, reason: str, *, is_failure: bool) -> None:
        """Not done yet: the same number again later. A failure, or a silence that lasts, is told once."""
        tries = order.tries + 1
        # Whoever is to be paid may take their time to say yes; what nobody confirmed the provider ends by itself.
        is_patient = bool(order.confirm_by) and self.now - order.created_at < CONFIRMED_WITHIN
        is_failure = is_failure or (tries >= SILENCES_BEFORE_ALARM and not is_patient)
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

    def _alarm(self, intent: IntentRow, order: Instruction, reason: str) -> None:
        match order.kind:
            case "split" | "withdraw" | "transfer":
                for receiver in order.receivers:
                    self.tell(
                        PayoutFailed, intent, party=receiver.party, account_ref=receiver.account_ref, reason=reason
                    )
            case "release":
                self.tell(ReleaseFailed, intent, reason=reason)
            case _:
                self.tell(Suspicious, intent, reason=f"{order.kind}_failed: {reason}")
