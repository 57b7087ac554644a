"""What each command does, in the one transaction that also remembers it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

import msgspec

from payments.account import AccountCommand, ReviewWithdrawal, Withdraw
from payments.books import captures, group_books, refunds, withdrawals
from payments.books.booking import Booking, release_number
from payments.money import MAX_INTENT_FEN, Fen, is_amount
from payments.outcomes import Capabilities
from payments.port import AnyCommand, CommandRefused, OpenIntent, Refund, Release, Settle, Subsidy, UnknownIntent
from payments.settlement import receivers_of
from payments.store.money_rows import SubsidyRow
from payments.store.rows import IntentRow

_LONGEST_TEXT = 256
_LONGEST_PROOF = 4096
#: Coupons and vouchers of one order.
_MOST_SUBSIDIES = 8
_INSTITUTION_NUMBER = re.compile(r"[0-9A-Za-z_\-]{6,32}")
_encoder = msgspec.json.Encoder(order="deterministic")


def body_hash(command: AnyCommand | AccountCommand) -> str:
    """The same for two commands that say the same."""
    return hashlib.sha256(_encoder.encode(command)).hexdigest()


def check(command: AnyCommand | AccountCommand, channels: Collection[str]) -> None:
    """Raise ValueError, naming the field, for a command that can never be right."""
    _check_text("id", command.id)
    match command:
        case Withdraw() | ReviewWithdrawal():
            _check_of_account(command)
        case _:
            _check_text("intent_id", command.intent_id)
            _check_of_intent(command, channels)


def _check_of_account(command: AccountCommand) -> None:
    match command:
        case Withdraw(amount_fen=amount_fen, requested_at=requested_at, risk=risk):
            _check_text("campus_id", command.campus_id)
            _check_text("account_ref", command.account_ref)
            if not is_amount(amount_fen):
                raise ValueError("amount_fen: not a positive amount within the bound")
            if requested_at.tzinfo is None:
                raise ValueError("requested_at: needs a time zone")
            if risk:
                _check_text("risk", risk)
        case ReviewWithdrawal():
            for name in ("withdrawal_id", "by", "reason"):
                _check_text(name, getattr(command, name))
            if command.verdict not in ("approve", "refuse"):
                raise ValueError("verdict: approve or refuse")


def _check_of_intent(command: AnyCommand, channels: Collection[str]) -> None:
    match command:
        case OpenIntent():
            _check_open(command, channels)
        case Settle(shares=shares, at=at, discount_fen=discount_fen):
            receivers_of(shares, MAX_INTENT_FEN)
            if discount_fen and not is_amount(discount_fen):
                raise ValueError("discount_fen: not an amount within the bound")
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
    for name in ("device_id", "ip", "challenge_token", "client_ip"):
        said = getattr(command, name)
        if said is not None and not 0 < len(said) <= _LONGEST_PROOF:
            raise ValueError(f"{name}: 1 to {_LONGEST_PROOF} characters")
    if len(command.subsidies) > _MOST_SUBSIDIES:
        raise ValueError(f"subsidies: {_MOST_SUBSIDIES} at most")
    for subsidy in command.subsidies:
        _check_subsidy(subsidy)
    if not is_amount(command.amount_fen + sum(subsidy.amount_fen for subsidy in command.subsidies)):
        raise ValueError("subsidies: with the amount above the bound")


def _check_subsidy(subsidy: Subsidy) -> None:
    if subsidy.party not in ("campus", "platform"):
        raise ValueError("subsidies: only campus or platform can be the payer")
    if (subsidy.party == "platform") != (subsidy.account_ref == "platform"):
        raise ValueError("subsidies: account_ref is the campus's, or platform for the platform")
    _check_text("subsidies: account_ref", subsidy.account_ref)
    _check_text("subsidies: ref", subsidy.ref)
    if not is_amount(subsidy.amount_fen):
        raise ValueError("subsidies: amount_fen is not a positive amount within the bound")


def _check_text(name: str, text: str) -> None:
    if not 0 < len(text) <= _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"{name}: 1 to {_LONGEST_TEXT} printable characters")


def apply(booking: Booking, command: AnyCommand | AccountCommand, shapes: Mapping[str, Capabilities]) -> None:
    """Do it, unless this command was done before. Raises before anything is stored."""
    if not booking.uow.inbox.is_new_command(command.id, body_hash(command), booking.now):
        return
    match command:
        case OpenIntent():
            _open(booking, command, shapes)
        case Settle():
            captures.settle(booking, _intent(booking, command), command, shapes)
        case Release():
            _release(booking, command)
        case Refund():
            refunds.ask(booking, _intent(booking, command), command, shapes)
        case Withdraw():
            withdrawals.ask(booking, command)
        case ReviewWithdrawal():
            withdrawals.review(booking, command)


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
    for part, subsidy in enumerate(command.subsidies, 1):
        booking.uow.subsidies.add(
            SubsidyRow(
                intent_id=intent.id,
                part=part,
                party=subsidy.party,
                account_ref=subsidy.account_ref,
                amount_fen=Fen(subsidy.amount_fen),
                ref=subsidy.ref,
            )
        )


def _release(booking: Booking, command: Release) -> None:
    intent = _intent(booking, command)
    match intent.hold_state:
        case "none":
            if intent.phase in ("open", "failed"):
                booking.uow.intents.change(intent.id, phase="cancelling", reason=command.reason)
                booking.uow.intents.wake(intent.id, booking.now)
        case "held":
            booking.release(intent, command.reason)
        case "released" if not intent.is_settling and _was_refunded(booking, intent):
            # Refunds have given all of it back before; who asks for its release waits for the word.
            booking.all_was_back(intent)
        case _:
            # Twice the same wish is granted once; a wish that comes after the settlement cannot be.
            if intent.is_settling:
                raise CommandRefused(f"intent {intent.id} is being settled")


def _was_refunded(booking: Booking, intent: IntentRow) -> bool:
    return booking.uow.instructions.get(release_number(booking.payer_of(intent).id)) is None
