"""What each command does, in the one transaction that also remembers it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

import msgspec

from payments import group_books
from payments.booking import Booking
from payments.money import MAX_INTENT_FEN, Fen, is_amount
from payments.outcomes import Capabilities
from payments.port import AnyCommand, CommandRefused, OpenIntent, Refund, Release, Settle, UnknownIntent
from payments.settlement import receivers_of
from payments.store.rows import IntentRow

_LONGEST_TEXT = 256
_INSTITUTION_NUMBER = re.compile(r"[0-9A-Za-z_\-]{6,32}")
_encoder = msgspec.json.Encoder(order="deterministic")


def body_hash(command: AnyCommand) -> str:
    """The same for two commands that say the same."""
    return hashlib.sha256(_encoder.encode(command)).hexdigest()


def check(command: AnyCommand, channels: Collection[str]) -> None:
    """Raise ValueError, naming the field, for a command that can never be right."""
    _check_text("id", command.id)
    _check_text("intent_id", command.intent_id)
    match command:
        case OpenIntent():
            _check_open(command, channels)
        case Settle(shares=shares, at=at):
            receivers_of(shares, MAX_INTENT_FEN)
            if at.tzinfo is None:
                raise ValueError("at: needs a time zone")
        case Refund(refund_id=refund_id, amount_fen=amount_fen):
            if not _INSTITUTION_NUMBER.fullmatch(refund_id):
                raise ValueError("refund_id: 6 to 32 letters, digits, - or _")
            if not is_amount(amount_fen):
                raise ValueError("amount_fen: not a positive amount within the bound")


def _check_open(command: OpenIntent, channels: Collection[str]) -> None:
    for name in ("campus_id", "order_ref", "payer_ref"):
        _check_text(name, getattr(command, name))
    if not is_amount(command.amount_fen):
        raise ValueError("amount_fen: not a positive amount within the bound")
    if len(command.description) > _LONGEST_TEXT:
        raise ValueError("description: too long")
    if not command.channels or len(set(command.channels)) != len(command.channels):
        raise ValueError("channels: at least one, each once")
    unknown = [channel for channel in command.channels if channel not in channels]
    if unknown:
        raise ValueError(f"channels: no such channel {unknown[0]!r}")
    if command.expires_at.tzinfo is None:
        raise ValueError("expires_at: needs a time zone")


def _check_text(name: str, text: str) -> None:
    if not 0 < len(text) <= _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"{name}: 1 to {_LONGEST_TEXT} printable characters")


def apply(booking: Booking, command: AnyCommand, shapes: Mapping[str, Capabilities]) -> None:
    """Do it, unless this command was done before. Raises before anything is stored."""
    if not booking.uow.inbox.is_new_command(command.id, body_hash(command), booking.now):
        return
    match command:
        case OpenIntent():
            _open(booking, command, shapes)
        case Settle():
            _settle(booking, command)
        case Release():
            _release(booking, command)
        case Refund():
            _refund(booking, command)


def _intent(booking: Booking, command: AnyCommand) -> IntentRow:
    intent = booking.uow.intents.get(command.intent_id)
    if intent is None:
        raise UnknownIntent(command.intent_id)
    return intent


def _open(booking: Booking, command: OpenIntent, shapes: Mapping[str, Capabilities]) -> None:
    if booking.uow.intents.get(command.intent_id) is not None:
        raise CommandRefused(f"intent {command.intent_id} exists already")
    intent = IntentRow(
        id=command.intent_id,
        campus_id=command.campus_id,
        order_ref=command.order_ref,
        payer_ref=command.payer_ref,
        amount_fen=Fen(command.amount_fen),
        description=command.description,
        channels=command.channels,
        expires_at=command.expires_at,
        created_at=booking.now,
    )
    if not group_books.open_group(booking, intent, shapes):
        booking.uow.intents.add(intent, due_at=booking.now)


def _settle(booking: Booking, command: Settle) -> None:
    intent = _intent(booking, command)
    if intent.hold_state != "held":
        raise CommandRefused(f"intent {intent.id} cannot be settled: its hold is {intent.hold_state}")
    booking.settle(intent, receivers_of(command.shares, intent.amount_fen))


def _release(booking: Booking, command: Release) -> None:
    intent = _intent(booking, command)
    match intent.hold_state:
        case "none":
            if intent.phase in ("open", "failed"):
                booking.uow.intents.change(intent.id, phase="cancelling", reason=command.reason)
                booking.uow.intents.wake(intent.id, booking.now)
        case "held":
            booking.release(intent, command.reason)
        case _:
            # Twice the same wish is granted once; a wish that comes after the settlement cannot be.
            if intent.is_settling:
                raise CommandRefused(f"intent {intent.id} is being settled")


def _refund(booking: Booking, command: Refund) -> None:
    intent = _intent(booking, command)
    asked_fen = group_books.refunds_asked_fen(booking.uow, intent)
    if command.amount_fen > intent.captured_fen - asked_fen:
        raise CommandRefused(f"intent {intent.id} has {intent.captured_fen - asked_fen} fen left to refund")
    if booking.uow.instructions.get(command.refund_id) is not None:
        raise CommandRefused(f"refund {command.refund_id} exists already")
    refunds = [(intent, command.refund_id, Fen(command.amount_fen))]
    if intent.part == 0:
        refunds = group_books.refund_parts(booking.uow, intent, command.refund_id, Fen(command.amount_fen))
    for of, number, amount_fen in refunds:
        booking.instruct(of, booking.payer_of(of), number, "refund", amount_fen, reason=command.reason)
