"""Refunds: which path the money of each receiver takes back to the payer, step by step, and what is booked when.

Before an order is divided a refund is a part of its hold given back. Afterwards every receiver gives back its part of
it: a runner's comes out of what is not withdrawn yet, a merchant's is taken back where the channel can; what persons
already have, and what cannot be taken back, the platform bears.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from payments import group, ledger
from payments.account import RefundPart, RefundPath, RefundState
from payments.books import group_books
from payments.books.booking import Booking
from payments.money import Fen, Party
from payments.outcomes import Capabilities, Receiver
from payments.port import CommandRefused, Refund, Refunded
from payments.settlement import MOST_REFUNDS, by_weight
from payments.store.money_rows import RefundRow
from payments.store.rows import Instruction, IntentRow

#: A receiver that has said no this often is not asked again: the platform bears its part.
TAKE_BACKS = 3


def ask(booking: Booking, intent: IntentRow, command: Refund, shapes: Mapping[str, Capabilities]) -> None:
    """Begin a refund. CommandRefused: more than is left of what was paid, or nothing can be given back now."""
    is_group = intent.part == 0
    holds = booking.uow.intents.children(intent.id) if is_group else [intent]
    left = [_left_fen(booking, each, is_from_hold=intent.hold_state == "held") for each in holds]
    if command.amount_fen > sum(left):
        raise CommandRefused(f"intent {intent.id} has {sum(left)} fen left to refund")
    for each, fen in zip(holds, group.divide_refund(Fen(command.amount_fen), left), strict=True):
        if fen:
            refund_id = group_books.part_number(command.refund_id, each.id) if is_group else command.refund_id
            _begin(booking, each, refund_id, fen, command.reason, shapes)


def _left_fen(booking: Booking, intent: IntentRow, *, is_from_hold: bool) -> Fen:
    """What may still be refunded: of the hold while it is not divided, afterwards of what was captured."""
    if is_from_hold:
        return booking.free_fen(intent) if intent.hold_state == "held" else Fen(0)
    asked_fen = sum(
        refund.amount_fen - refund.of_path("held", "duplicate") for refund in booking.uow.refunds.of(intent.id)
    )
    return Fen(intent.captured_fen - asked_fen)


def _begin(
    booking: Booking,
    intent: IntentRow,
    refund_id: str,
    amount_fen: Fen,
    reason: str,
    shapes: Mapping[str, Capabilities],
) -> None:
    if booking.uow.refunds.get(refund_id) is not None:
        raise CommandRefused(f"refund {refund_id} exists already")
    attempt = booking.payer_of(intent)
    # A refund may be two at the institution, and the rest of a hold must always be able to go back.
    if booking.next_number(attempt, "R", "give_back", "refund", "release")[1] > MOST_REFUNDS - 2:
        raise CommandRefused(f"intent {intent.id} was refunded as often as the institution allows")
    if intent.hold_state == "held":
        parts = [_payers_own(intent, amount_fen)]
    else:
        parts = _divided(booking, intent, amount_fen, shapes[attempt.channel])
    is_first_taken = any(part.path == "take_back" for part in parts)
    state: RefundState = "taking_back" if is_first_taken else "paying"
    refund = booking.add_refund(intent, attempt, refund_id, tuple(parts), state, reason)
    for index, part in enumerate(parts):
        if part.path == "dues":
            _reserve(booking, refund, part, index)
        elif part.path == "take_back":
            _take_back(booking, refund, part)
    if not is_first_taken:
        _pay(booking, refund)


def _payers_own(intent: IntentRow, amount_fen: Fen) -> RefundPart:
    # While it is held it is nobody's but the payer's; a part has to name one, and the platform keeps the hold.
    return RefundPart(path="held", party="platform", account_ref=intent.payer_ref, amount_fen=amount_fen)


def _divided(booking: Booking, intent: IntentRow, amount_fen: Fen, shape: Capabilities) -> list[RefundPart]:
    """Each receiver's part of a refund, by what it got of this order and has not given back already."""
    got = booking.uow.books.captured_by(intent.id)
    for refund in booking.uow.refunds.of(intent.id):
        for part in refund.parts:
            account = (part.party, part.account_ref)
            if part.path not in ("held", "duplicate") and account in got:
                got[account] -= part.amount_fen
    accounts = sorted(account for account, fen in got.items() if fen > 0)
    parts: list[RefundPart] = []
    for account, fen in zip(accounts, by_weight(amount_fen, [got[account] for account in accounts]), strict=True):
        if fen:
            parts += _paths(booking, intent, account, Fen(fen), shape)
    return parts


def _paths(
    booking: Booking, intent: IntentRow, account: tuple[Party, str], amount_fen: Fen, shape: Capabilities
) -> list[RefundPart]:
    party, account_ref = account

    def part(path: RefundPath, fen: int) -> RefundPart:
        return RefundPart(path=path, party=party, account_ref=account_ref, amount_fen=Fen(fen))

    if party != "runner":
        return [part("take_back" if party in shape.takes_back_from else "borne", amount_fen)]
    due = booking.uow.dues.get(booking.payer_of(intent).id, account_ref)
    left_fen = min(amount_fen, due.left_fen) if due is not None else 0
    parts = [part("dues", left_fen)] if left_fen else []
    return [*parts, part("borne", amount_fen - left_fen)] if left_fen < amount_fen else parts


def _reserve(booking: Booking, refund: RefundRow, part: RefundPart, index: int) -> None:
    """A runner's part stops being available at once."""
    due = booking.uow.dues.get(refund.attempt_id, part.account_ref)
    assert due is not None, "there is a due where a part is taken out of it"
    booking.uow.dues.take(due, part.amount_fen)
    entries = ledger.refund_due(
        account_ref=part.account_ref,
        intent_id=refund.intent_id,
        attempt_id=refund.attempt_id,
        ref=f"{refund.id}:{index}",
        amount_fen=part.amount_fen,
    )
    booking.uow.books.post(booking.uow.intents.require(refund.intent_id), entries, booking.now)


def _take_back(booking: Booking, refund: RefundRow, part: RefundPart) -> None:
    attempt = booking.uow.attempts.require(refund.attempt_id)
    number, _ = booking.next_number(attempt, "B", "take_back")
    receiver = Receiver(party=part.party, account_ref=part.account_ref, amount_fen=part.amount_fen)
    booking.instruct(
        booking.uow.intents.require(refund.intent_id),
        attempt,
        number,
        "take_back",
        part.amount_fen,
        receivers=(receiver,),
        reason=refund.reason,
        subject=refund.id,
        undoes=booking.uow.books.split_of(attempt.id, ledger.receiver(part.party, part.account_ref)),
    )


def _pay(booking: Booking, refund: RefundRow) -> None:
    """Everything that is taken back is in the hold again: now the payer gets it, and what the platform bears."""
    _give_back(booking, refund, refund.of_path("held", "dues", "take_back"))
    _refund(booking, refund, refund.of_path("borne"))


def _give_back(booking: Booking, refund: RefundRow, amount_fen: Fen) -> None:
    if not amount_fen:
        return
    attempt = booking.uow.attempts.require(refund.attempt_id)
    number, _ = booking.next_number(attempt, "G", "give_back")
    intent = booking.uow.intents.require(refund.intent_id)
    booking.instruct(intent, attempt, number, "give_back", amount_fen, reason=refund.reason, subject=refund.id)


def _refund(booking: Booking, refund: RefundRow, amount_fen: Fen) -> None:
    if not amount_fen:
        return
    attempt = booking.uow.attempts.require(refund.attempt_id)
    number, _ = booking.next_number(attempt, "R", "refund")
    intent = booking.uow.intents.require(refund.intent_id)
    booking.instruct(intent, attempt, number, "refund", amount_fen, reason=refund.reason, subject=refund.id)


# -- answers ------------------------------------------------------------------------------------------------------


def taken_back(booking: Booking, order: Instruction) -> None:
    """A receiver's part is in the hold again."""
    (receiver,) = order.receivers
    entries = ledger.take_back(
        party=receiver.party,
        account_ref=receiver.account_ref,
        intent_id=order.intent_id,
        attempt_id=order.attempt_id,
        number=order.id,
        amount_fen=order.amount_fen,
    )
    booking.uow.books.post(booking.uow.intents.require(order.intent_id), entries, booking.now)
    booking.finish(order)
    _go_on(booking, booking.uow.refunds.require(order.subject))


def not_taken_back(booking: Booking, order: Instruction, reason: str) -> None:
    """A receiver said no. Asked often enough, the platform bears its part: the payer does not wait for it."""
    if order.tries + 1 < TAKE_BACKS:
        booking.try_later(order, reason, is_failure=False)
        return
    (receiver,) = order.receivers
    refund = booking.uow.refunds.require(order.subject)
    changed = (receiver.party, receiver.account_ref)
    parts = tuple(
        msgspec.structs.replace(part, path="borne") if (part.party, part.account_ref) == changed else part
        for part in refund.parts
    )
    refund = msgspec.structs.replace(refund, parts=parts)
    booking.uow.refunds.save(refund)
    booking.finish(msgspec.structs.replace(order, reason=reason))
    _go_on(booking, refund)


def _go_on(booking: Booking, refund: RefundRow) -> None:
    if all(row.is_done for row in booking.uow.instructions.of_subject(refund.id)):
        refund = msgspec.structs.replace(refund, state="paying")
        booking.uow.refunds.save(refund)
        _pay(booking, refund)


def paid_back(booking: Booking, order: Instruction) -> None:
    """A part of a refund is with the payer; the last one ends it."""
    refund = booking.uow.refunds.require(order.subject)
    is_from_hold = bool(refund.of_path("held"))
    booking.finish(order)
    if not is_from_hold:
        _book_captured_back(booking, order)
    if all(row.is_done for row in booking.uow.instructions.of_subject(refund.id)):
        booking.refund_done(refund)
        intent = booking.uow.intents.require(order.intent_id)
        booking.tell(Refunded, intent, refund_id=refund.id, amount_fen=refund.amount_fen, is_from_hold=is_from_hold)
    if is_from_hold:
        # Told last: a settlement that waited for it names it among what was released.
        booking.given_back(order)


def _book_captured_back(booking: Booking, order: Instruction) -> None:
    intent = booking.uow.intents.require(order.intent_id)
    if order.kind == "refund":
        entries = ledger.refund(
            channel=order.channel,
            payer_ref=intent.payer_ref,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=order.amount_fen,
        )
    else:
        entries = ledger.give_back(
            channel=order.channel,
            payer_ref=intent.payer_ref,
            intent_id=intent.id,
            attempt_id=order.attempt_id,
            number=order.id,
            amount_fen=order.amount_fen,
        )
    booking.uow.books.post(intent, entries, booking.now)
    booking.uow.intents.change(intent.id, refunded_fen=Fen(intent.refunded_fen + order.amount_fen))


def not_borne(booking: Booking, order: Instruction, reason: str) -> None:
    """The institution would not refund what was split. When a runner's part came back meanwhile (a withdrawal that
    failed), it comes out of that: the number is given up, and new ones say what is left."""
    refund = booking.uow.refunds.require(order.subject)
    parts: list[RefundPart] = []
    found_fen = 0
    for part in refund.parts:
        due = booking.uow.dues.get(refund.attempt_id, part.account_ref) if part.party == "runner" else None
        fen = min(part.amount_fen, due.left_fen) if due is not None and part.path == "borne" else 0
        if fen:
            found_fen += fen
            found = msgspec.structs.replace(part, path="dues", amount_fen=Fen(fen))
            _reserve(booking, refund, found, len(refund.parts) + len(parts))
            parts.append(found)
        if fen < part.amount_fen:
            parts.append(msgspec.structs.replace(part, amount_fen=Fen(part.amount_fen - fen)))
    if not found_fen:
        booking.try_later(order, reason, is_failure=True)
        return
    refund = msgspec.structs.replace(refund, parts=tuple(parts))
    booking.uow.refunds.save(refund)
    booking.finish(msgspec.structs.replace(order, reason=reason))
    _give_back(booking, refund, Fen(found_fen))
    _refund(booking, refund, Fen(order.amount_fen - found_fen))
