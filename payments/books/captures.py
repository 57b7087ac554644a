"""A settlement: the hold divided, campus and platform paid at once, a runner's part kept until it is withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from payments import group, ledger
from payments.books.booking import Booking
from payments.escrow import hold_after
from payments.money import Fen
from payments.outcomes import Capabilities, Receiver, ReceiverOutcome
from payments.port import CommandRefused, PayoutFailed, Settle, Settled, SubsidyOwed, Suspicious
from payments.settlement import (
    MOST_SPLITS,
    again_at,
    captured_fen,
    number_of,
    receivers_of,
    retry_at,
    sort_outcomes,
    split_number,
    within,
)
from payments.store.money_rows import Due
from payments.store.rows import Instruction, IntentRow
from payments.store.unit_of_work import UnitOfWork
from payments.subsidies import Added, Division, Owed, cash_fen, divide

#: Numbers that one attempt's transfers may use up.
MOST_TRANSFERS = 100


def settle(booking: Booking, intent: IntentRow, command: Settle, shapes: Mapping[str, Capabilities]) -> None:
    """Divide the hold as the command says, as far as refunds have left it. CommandRefused: it is not held. ValueError:
    more than was ever in it."""
    uow = booking.uow
    holds = uow.intents.children(intent.id) if intent.part == 0 else [intent]
    refunded_fen = sum(uow.refunds.from_hold_fen(each.id) for each in holds)
    if intent.hold_state == "released" and refunded_fen == intent.amount_fen:
        _nothing_left(booking, intent)
        return
    if intent.hold_state != "held":
        raise CommandRefused(f"intent {intent.id} cannot be settled: its hold is {intent.hold_state}")
    free = [booking.free_fen(each) for each in holds]
    added = [
        Added(part=row.part, party=row.party, account_ref=row.account_ref, amount_fen=row.amount_fen, ref=row.ref)
        for row in uow.subsidies.of(intent.id)
    ]
    worth_fen = Fen(sum(free) + sum(each.amount_fen for each in added))
    receivers = receivers_of(command.shares, Fen(worth_fen + refunded_fen))
    receivers = within(receivers, worth_fen if any(free) else Fen(0))
    division = divide(receivers, cash_fen(receivers, Fen(sum(free)), added, command.discount_fen), added)
    for row in added:
        uow.subsidies.use(intent.id, row.part, division.used_fen(row.part))
    _book_subsidies(booking, holds[0], division, shapes)
    if intent.part != 0:
        _divide_hold(booking, intent, division.cash, shapes)
        return
    happening = "capture" if division.cash else "release"
    uow.intents.change(intent.id, is_settling=True, hold_state=hold_after(intent.hold_state, happening))
    by_hold = group.divide_shares(division.cash, free) if division.cash else [()] * len(holds)
    for each, cash in zip(holds, by_hold, strict=True):
        if each.hold_state == "held":
            _divide_hold(booking, each, cash, shapes)
    uow.intents.wake(intent.id, booking.now)


def _nothing_left(booking: Booking, intent: IntentRow) -> None:
    """Refunds have given all of it back before: whoever has it settled hears so, once."""
    if not intent.is_settling:
        booking.uow.intents.change(intent.id, is_settling=True)
        booking.tell(Settled, intent, captured_fen=Fen(0), released_fen=intent.amount_fen)


def _divide_hold(
    booking: Booking, intent: IntentRow, cash: Sequence[Receiver], shapes: Mapping[str, Capabilities]
) -> None:
    """Pay the receivers out of one hold, those at once whose part is not kept for a withdrawal; the rest goes back."""
    uow = booking.uow
    uow.intents.change(intent.id, is_settling=True)
    if not cash:
        booking.release(uow.intents.require(intent.id), "settled_at_zero")
        return
    uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, "capture"))
    attempt = booking.payer_of(intent)
    shape = shapes[attempt.channel]
    is_kept = booking.terms.payout == "on_withdrawal" and shape.can_split and shape.keeps_parts
    kept = [receiver for receiver in cash if is_kept and receiver.party == "runner"]
    told = tuple(receiver for receiver in cash if receiver not in kept)
    for receiver in kept:
        _keep(booking, intent, receiver)
    uow.intents.change(intent.id, captured_fen=captured_fen(kept))
    if told:
        booking.instruct(intent, attempt, split_number(attempt.id, 1), "split", captured_fen(told), receivers=told)
    else:
        _captured(booking, uow.intents.require(intent.id))


def _book_subsidies(
    booking: Booking, intent: IntentRow, division: Division, shapes: Mapping[str, Capabilities]
) -> None:
    attempt = booking.payer_of(intent)
    for borne in division.borne:
        entries = ledger.subsidy_borne(
            party=borne.payer.party,
            account_ref=borne.payer.account_ref,
            intent_id=intent.id,
            attempt_id=attempt.id,
            number=number_of(attempt.id, "K", borne.part),
            amount_fen=borne.payer.amount_fen,
        )
        booking.uow.books.post(intent, entries, booking.now)
    for turn, owed in enumerate(division.owed, 1):
        _book_owed(booking, intent, owed, number_of(attempt.id, "T", turn), shapes[attempt.channel])


def transfer_again(booking: Booking, order: Instruction, reason: str) -> None:
    """Its number was used up by a transfer that failed: the next one has another, after the usual pause. After so many
    it stays with the people who were told that it fails."""
    booking.try_later(order, reason, is_failure=True)
    attempt = booking.uow.attempts.require(order.attempt_id)
    number, turn = booking.next_number(attempt, "V", "transfer")
    if turn > MOST_TRANSFERS:
        return
    told = booking.uow.instructions.get(order.id)
    assert told is not None, "instructions are never removed"
    booking.uow.instructions.save(msgspec.structs.replace(told, is_done=True, due_at=None))
    booking.instruct(
        booking.uow.intents.require(order.intent_id),
        attempt,
        number,
        "transfer",
        order.amount_fen,
        receivers=order.receivers,
        reason=order.reason,
        due_at=told.due_at,
        is_reported=True,
        tries=told.tries,
    )


def _book_owed(booking: Booking, intent: IntentRow, owed: Owed, number: str, shape: Capabilities) -> None:
    attempt, receiver = booking.payer_of(intent), owed.receiver
    entries = ledger.subsidy_owed(
        payer=ledger.receiver(owed.party, owed.account_ref),
        creditor=ledger.receiver(receiver.party, receiver.account_ref),
        intent_id=intent.id,
        attempt_id=attempt.id,
        number=number,
        amount_fen=receiver.amount_fen,
    )
    booking.uow.books.post(intent, entries, booking.now)
    if receiver.party == "runner" and shape.can_transfer:
        fen, reason = receiver.amount_fen, owed.ref
        booking.instruct(intent, attempt, number, "transfer", fen, receivers=(receiver,), reason=reason)
        return
    booking.tell(
        SubsidyOwed,
        intent,
        party=owed.party,
        account_ref=owed.account_ref,
        receiver_ref=receiver.account_ref,
        amount_fen=receiver.amount_fen,
        ref=owed.ref,
    )


def _keep(booking: Booking, intent: IntentRow, receiver: Receiver) -> None:
    """The runner's part is theirs from now on; the institution holds it until it is withdrawn."""
    attempt = booking.payer_of(intent)
    entries = ledger.capture(
        party=receiver.party,
        account_ref=receiver.account_ref,
        intent_id=intent.id,
        attempt_id=attempt.id,
        number=f"{attempt.id}K",
        amount_fen=receiver.amount_fen,
    )
    booking.uow.books.post(intent, entries, booking.now)
    # The attempt has not changed since it was paid.
    pay_by = attempt.changed_at + timedelta(seconds=booking.terms.pay_within_s)
    booking.uow.dues.add(
        Due(
            attempt_id=attempt.id,
            account_ref=receiver.account_ref,
            intent_id=intent.id,
            campus_id=intent.campus_id,
            channel=attempt.channel,
            amount_fen=receiver.amount_fen,
            left_fen=receiver.amount_fen,
            due_since=booking.now,
            pay_by=pay_by,
            auto_at=pay_by,
        )
    )


def still_to_split(uow: UnitOfWork, order: Instruction) -> tuple[Receiver, ...]:
    """Who is still to be paid out of the same hold after this split: parts that wait for their withdrawal, and those of
    other splits that are under way."""
    if order.kind not in ("split", "withdraw"):
        return ()
    waiting = [
        Receiver(party="runner", account_ref=due.account_ref, amount_fen=due.left_fen)
        for due in uow.dues.left_of_attempt(order.attempt_id)
    ]
    for other in uow.instructions.of(order.intent_id):
        is_under_way = other.kind in ("split", "withdraw") and not other.is_done and other.id != order.id
        if is_under_way and other.attempt_id == order.attempt_id:
            left = (
                each for each in other.receivers if ledger.receiver(each.party, each.account_ref) not in other.finished
            )
            waiting += left
    return tuple(waiting)


def split_reported(booking: Booking, order: Instruction, outcomes: tuple[ReceiverOutcome, ...]) -> None:
    """The institution said how the parts of a split stand: book the paid ones, try the closed ones anew under the
    next number, ask again about the rest."""
    uow = booking.uow
    intent = uow.intents.require(order.intent_id)
    unbooked = [each for each in order.receivers if ledger.receiver(each.party, each.account_ref) not in order.finished]
    paid, still_open, closed = sort_outcomes(unbooked, outcomes)
    for receiver in paid:
        _book_paid(booking, intent, order, receiver)
    uow.intents.change(intent.id, captured_fen=Fen(intent.captured_fen + captured_fen(paid)))
    is_stuck = bool(closed) and not _split_again(booking, intent, order, closed)
    # Parts that cannot be tried any more stay open, or they would go back to the payer with the rest of the hold.
    finished = [*paid, *(() if is_stuck else (receiver for receiver, _ in closed))]
    is_done = not still_open and not is_stuck
    uow.instructions.save(
        msgspec.structs.replace(
            order,
            finished=(*order.finished, *(ledger.receiver(each.party, each.account_ref) for each in finished)),
            is_done=is_done,
            tries=order.tries + 1,
            due_at=None if is_done or not still_open else retry_at(order.tries + 1, booking.now),
        )
    )
    if all(row.is_done for row in uow.instructions.of(intent.id) if row.kind == "split"):
        _captured(booking, uow.intents.require(intent.id))


def _book_paid(booking: Booking, intent: IntentRow, order: Instruction, receiver: Receiver) -> None:
    entries = ledger.capture(
        party=receiver.party,
        account_ref=receiver.account_ref,
        intent_id=intent.id,
        attempt_id=order.attempt_id,
        number=order.id,
        amount_fen=receiver.amount_fen,
    )
    if receiver.party == "runner":
        entries += ledger.withdraw(
            channel=order.channel,
            account_ref=receiver.account_ref,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=receiver.amount_fen,
        )
    booking.uow.books.post(intent, entries, booking.now)


def _split_again(booking: Booking, intent: IntentRow, order: Instruction, closed: list[tuple[Receiver, str]]) -> bool:
    """Try closed parts under the next number; False when the institution would take no further split."""
    for receiver, reason in closed:
        if not order.is_reported:
            booking.tell(PayoutFailed, intent, party=receiver.party, account_ref=receiver.account_ref, reason=reason)
    attempt = booking.payer_of(intent)
    number, turn = booking.next_number(attempt, "S", "split", "withdraw")
    if turn > MOST_SPLITS:
        booking.tell(Suspicious, intent, reason="no_splits_left")
        return False
    receivers = tuple(receiver for receiver, _ in closed)
    booking.instruct(
        intent,
        attempt,
        number,
        "split",
        captured_fen(receivers),
        receivers=receivers,
        due_at=again_at(turn - 1, booking.now),
        is_reported=True,
    )
    return True


def _captured(booking: Booking, intent: IntentRow) -> None:
    if intent.captured_fen + intent.released_fen < intent.amount_fen:
        booking.release(intent, "rest")
        return
    booking.uow.intents.change(intent.id, hold_state=hold_after(intent.hold_state, "captured_all"))
    booking.tell(Settled, intent, captured_fen=intent.captured_fen, released_fen=intent.released_fen)
