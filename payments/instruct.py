"""Instructions to the institution: how each kind is told, and what the answer makes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from payments import ledger
from payments.books import captures, refunds, withdrawals
from payments.books.booking import Booking
from payments.channels.base import Channel
from payments.outcomes import (
    WAITS_FOR_PAYEE,
    Capabilities,
    MoneyAnswer,
    Receiver,
    ReceiverOutcome,
    SplitAnswer,
)
from payments.store.rows import Instruction

_PART: Mapping[str, Literal["paid", "pending", "closed"]] = {"done": "paid", "pending": "pending", "failed": "closed"}


def is_to_person(order: Instruction, shape: Capabilities) -> bool:
    """Whether a person is paid by a transfer, so that it has to be known where to."""
    return order.kind == "transfer" or (order.kind == "withdraw" and shape.transfers_withdrawals)


async def tell_institution(
    channel: Channel, order: Instruction, payee: Mapping[str, str], later: Sequence[Receiver]
) -> SplitAnswer | MoneyAnswer:
    """Ask for it, or ask again: the same number moves money once. ``later``: who else a split leaves something for."""
    match order.kind:
        case "withdraw" if channel.shape.transfers_withdrawals:
            return await _split_and_transfer(channel, order, payee, later)
        case "split" | "withdraw":
            return await channel.split(order.attempt_id, order.id, order.receivers, later)
        case "refund":
            return await channel.refund(order.attempt_id, order.id, order.amount_fen)
        case "take_back":
            (receiver,) = order.receivers
            return await channel.take_back(order.attempt_id, order.id, order.undoes, receiver)
        case "transfer":
            (receiver,) = order.receivers
            return await channel.transfer(order.id, receiver.account_ref, payee, order.amount_fen)
        case _:
            return await channel.give_back(order.attempt_id, order.id, order.amount_fen)


async def _split_and_transfer(
    channel: Channel, order: Instruction, payee: Mapping[str, str], later: Sequence[Receiver]
) -> SplitAnswer:
    """First the part is the merchant's, then the person's; asked again, what was done is done already. Once a transfer
    waits for its payee, nothing but that transfer says what becomes of the part."""
    if not order.confirm_by:
        answer = await channel.split(order.attempt_id, order.id, order.receivers, later)
        if not answer.receivers or any(outcome.standing != "paid" for outcome in answer.receivers):
            return answer
    (receiver,) = order.receivers
    moved = await channel.transfer(order.id, receiver.account_ref, payee, order.amount_fen)
    if moved.standing == "no_answer":
        return SplitAnswer(reason=moved.reason)
    # Refused for certain, it is available again: the next withdrawal has its own number.
    outcome = ReceiverOutcome(
        party=receiver.party, account_ref=receiver.account_ref, standing=_PART[moved.standing], reason=moved.reason
    )
    return SplitAnswer(receivers=(outcome,), reason=moved.reason, confirm=moved.confirm)


def no_answer(order: Instruction) -> SplitAnswer | MoneyAnswer:
    """What is known when the institution says nothing in time."""
    if order.kind in ("split", "withdraw"):
        return SplitAnswer(reason="timeout")
    return MoneyAnswer(standing="no_answer", reason="timeout")


def book_answer(booking: Booking, order: Instruction, answer: SplitAnswer | MoneyAnswer) -> None:
    """What the institution's answer makes true of an instruction as it stands now."""
    order = _as_told(order, answer)
    match answer:
        case SplitAnswer(receivers=()):
            booking.try_later(order, answer.reason, is_failure=False)
        case SplitAnswer() if order.kind == "withdraw":
            withdrawals.reported(booking, order, answer)
        case SplitAnswer():
            captures.split_reported(booking, order, answer.receivers)
        case MoneyAnswer(standing="done"):
            _done(booking, order)
        case MoneyAnswer(standing="failed") if order.kind == "take_back":
            refunds.not_taken_back(booking, order, answer.reason)
        case MoneyAnswer(standing="failed") if order.kind == "refund":
            refunds.not_borne(booking, order, answer.reason)
        case MoneyAnswer(standing="failed", is_spent=True) if order.kind == "transfer":
            captures.transfer_again(booking, order, answer.reason)
        case MoneyAnswer():
            booking.try_later(order, answer.reason, is_failure=answer.standing == "failed")


def _as_told(order: Instruction, answer: SplitAnswer | MoneyAnswer) -> Instruction:
    """With what its payee needs to say yes, until the institution says that nobody has to any more."""
    if answer.reason == WAITS_FOR_PAYEE:
        payee = order.receivers[0].account_ref
        return msgspec.structs.replace(order, confirm=answer.confirm or order.confirm, confirm_by=payee)
    is_silence = not answer.receivers if isinstance(answer, SplitAnswer) else answer.standing == "no_answer"
    return order if is_silence or order.confirm is None else msgspec.structs.replace(order, confirm=None)


def _done(booking: Booking, order: Instruction) -> None:
    match order.kind:
        case "give_back" | "refund":
            refunds.paid_back(booking, order)
            return
        case "take_back":
            refunds.taken_back(booking, order)
            return
        case "release":
            booking.given_back(order)
        case "transfer":
            _transferred(booking, order)
        case _:
            booking.duplicate_back(order)
    booking.finish(order)


def _transferred(booking: Booking, order: Instruction) -> None:
    (receiver,) = order.receivers
    entries = ledger.transfer(
        channel=order.channel,
        account_ref=receiver.account_ref,
        attempt_id=order.attempt_id,
        number=order.id,
        amount_fen=order.amount_fen,
    )
    booking.uow.books.post(booking.uow.intents.require(order.intent_id), entries, booking.now)
