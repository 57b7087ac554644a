"""Split groups in the books: what a part's events mean for the whole, and what the whole tells its parts to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from payments import group
from payments.attempt import AttemptState
from payments.escrow import hold_after
from payments.group import (
    Dissolve,
    FailParent,
    FinishParent,
    Parent,
    Part,
    PayParent,
    ReopenParent,
    Start,
    WaitForParts,
)
from payments.money import Fen
from payments.outcomes import Capabilities
from payments.port import (
    AnyEvent,
    HoldExpiring,
    IntentFailed,
    IntentReady,
    Paid,
    PayoutFailed,
    Refunded,
    RefundOverdue,
    Released,
    ReleaseFailed,
    Settled,
    SubsidyOwed,
    Suspicious,
)
from payments.store.rows import IntentRow
from payments.timeline import Row, RowKind

if TYPE_CHECKING:
    from payments.books.booking import Booking
    from payments.store.unit_of_work import UnitOfWork

#: More steps than any group can need in one transaction.
MOST_STEPS = 8
#: What the payer's side hears of a part as if it were the whole.
_PASSED_ON: tuple[Callable[..., AnyEvent], ...] = (
    PayoutFailed,
    ReleaseFailed,
    Suspicious,
    Refunded,
    RefundOverdue,
    HoldExpiring,
    SubsidyOwed,
)


def open_group(booking: Booking, intent: IntentRow, shapes: Mapping[str, Capabilities]) -> bool:
    """Add the intent as a group when its amount is over its first channel's limit; False when it is within it."""
    limit_fen = shapes[intent.channels[0]].limit_fen
    if limit_fen is None or intent.amount_fen <= limit_fen:
        return False
    amounts = group.parts_of(intent.amount_fen, limit_fen)
    parent = msgspec.structs.replace(intent, part=0)
    booking.uow.intents.add(parent, due_at=booking.now)
    for number, amount_fen in enumerate(amounts, start=1):
        child = msgspec.structs.replace(
            intent, id=f"{intent.id}P{number}", amount_fen=amount_fen, parent_intent_id=intent.id, part=number
        )
        booking.uow.intents.add(child, due_at=None)
    return True


def parts(uow: UnitOfWork, children: Sequence[IntentRow]) -> list[Part]:
    """The children as the decisions see them."""
    found: list[Part] = []
    for child in children:
        attempts = uow.attempts.of(child)
        assert child.part is not None, "a child has a number"
        found.append(
            Part(
                number=child.part,
                amount_fen=child.amount_fen,
                phase=child.phase,
                hold=child.hold_state,
                is_paid=child.paid_attempt is not None,
                is_started=bool(attempts),
                is_refused=child.paid_attempt is None
                and any(attempt.state is AttemptState.REFUSED for attempt in attempts),
                is_busy=any(attempt.is_live and attempt.state is not AttemptState.ISSUED for attempt in attempts),
                is_suspicious=child.is_suspicious and child.paid_attempt is None,
                reason=child.reason,
            )
        )
    return found


def parent_of(intent: IntentRow) -> Parent:
    """The parent as the decisions see it."""
    return Parent(phase=intent.phase, is_paid=intent.paid_attempt is not None, expires_at=intent.expires_at)


def current_child(children: Sequence[IntentRow]) -> IntentRow:
    """The part that is to be paid now; the last one when all are."""
    return next((child for child in children if child.paid_attempt is None), children[-1])


# -- from the parts to the whole ------------------------------------------------------------------------------------


def child_tells(booking: Booking, kind: Callable[..., AnyEvent], child: IntentRow, fields: Mapping[str, Any]) -> None:
    """A part's event: passed on as the whole's where the outside has to act on it; else the whole looks at itself."""
    uow = booking.uow
    assert child.parent_intent_id is not None, "a child has a parent"
    parent = uow.intents.require(child.parent_intent_id)
    if kind is IntentReady:
        booking.tell(kind, parent, **fields, part=child.part, parts=len(uow.intents.children(parent.id)))
        return
    if kind is Refunded and not fields["is_from_hold"]:
        uow.intents.change(parent.id, refunded_fen=Fen(parent.refunded_fen + fields["amount_fen"]))
    if kind in _PASSED_ON:
        booking.tell(kind, parent, **fields)
        uow.intents.wake(parent.id, booking.now)
        return
    code = "part_paid" if kind is Paid else "part_failed" if kind is IntentFailed else "part_back"
    _note(booking, child, "decision", code, {"part": child.part, "amount_fen": child.amount_fen})
    uow.intents.wake(parent.id, booking.now)


def _note(booking: Booking, intent: IntentRow, kind: RowKind, code: str, facts: dict[str, Any]) -> None:
    booking.uow.timeline.add(Row(at=booking.now, intent_id=intent.id, subject="", kind=kind, code=code, facts=facts))


def tend_group(booking: Booking, parent: IntentRow) -> datetime | None:
    """Everything that the whole has to do now; when it has to look again."""
    uow = booking.uow
    for _ in range(MOST_STEPS):
        parent = uow.intents.require(parent.id)
        children = uow.intents.children(parent.id)
        _finish_money(booking, parent, children)
        if parent.is_stopped and parent.phase in ("open", "failed") and booking.now < parent.expires_at:
            return parent.expires_at
        step = group.decide(parent_of(parent), parts(uow, children), booking.now)
        match step:
            case WaitForParts(until):
                return until
            case Start(number):
                uow.intents.wake(children[number - 1].id, booking.now)
                return parent.expires_at
            case PayParent():
                _pay(booking, parent, children)
            case FailParent(reason):
                uow.intents.change(parent.id, phase="failed", reason=reason, switch_to=None)
                booking.tell(IntentFailed, parent, reason=reason)
            case ReopenParent():
                uow.intents.change(parent.id, phase="open", reason="")
            case Dissolve(numbers, reason):
                _note(booking, parent, "decision", "group_timer", {"parts": list(numbers), "reason": reason})
                for number in numbers:
                    _end(booking, children[number - 1], reason)
            case FinishParent():
                uow.intents.change(parent.id, phase="cancelled")
                booking.tell(Released, parent, amount_fen=Fen(0))
            case _:
                assert_never(step)
    raise AssertionError("a group settles down within a few steps")


def _end(booking: Booking, child: IntentRow, reason: str) -> None:
    if child.hold_state == "held":
        booking.release(child, reason)
    booking.uow.intents.change(child.id, phase="cancelling" if child.paid_attempt is None else "cancelled")
    booking.uow.intents.wake(child.id, booking.now)


def _pay(booking: Booking, parent: IntentRow, children: Sequence[IntentRow]) -> None:
    last = booking.payer_of(children[-1])
    if not booking.uow.intents.claim_paid(parent.id, last.id):
        return
    if parent.phase == "failed":
        booking.tell(Suspicious, parent, reason="paid_after_failure")
    booking.uow.intents.change(
        parent.id, hold_state=hold_after(parent.hold_state, "paid"), phase="open", reason="", switch_to=None
    )
    booking.tell(Paid, parent, amount_fen=parent.amount_fen, channel=last.channel, attempt_id=last.id)


def _finish_money(booking: Booking, parent: IntentRow, children: Sequence[IntentRow]) -> None:
    """The whole is settled, or back, when every part is."""
    is_under_way = parent.hold_state in ("capturing", "releasing", "release_failed", "held")
    if not is_under_way or any(child.hold_state not in ("captured", "released") for child in children):
        return
    captured_fen = Fen(sum(child.captured_fen for child in children))
    released_fen = Fen(sum(child.released_fen for child in children))
    happening = "captured_all" if parent.hold_state == "capturing" else "all_back"
    hold_state = hold_after(parent.hold_state, happening)
    booking.uow.intents.change(parent.id, hold_state=hold_state, captured_fen=captured_fen, released_fen=released_fen)
    if parent.is_settling:
        booking.tell(Settled, parent, captured_fen=captured_fen, released_fen=released_fen)
    elif parent.hold_state != "held":
        refunded_fen = sum(booking.uow.refunds.from_hold_fen(child.id) for child in children)
        booking.tell(Released, parent, amount_fen=Fen(released_fen - refunded_fen))


# -- from the whole to the parts ------------------------------------------------------------------------------------


def release_group(booking: Booking, parent: IntentRow, reason: str) -> None:
    """Every part goes back."""
    booking.uow.intents.change(parent.id, hold_state=hold_after(parent.hold_state, "release"), reason=reason)
    for child in booking.uow.intents.children(parent.id):
        if child.hold_state == "held":
            booking.release(child, reason)
    booking.uow.intents.wake(parent.id, booking.now)


def part_number(refund_id: str, child_id: str) -> str:
    """The institution's number of one part of a refund: made of both names, so a repetition is the same refund."""
    return "R" + hashlib.sha256(f"{refund_id}|{child_id}".encode()).hexdigest()[:31]
