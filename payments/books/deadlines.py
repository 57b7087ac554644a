"""What time alone makes true: parts that have to be paid now, holds that run out, refunds that take too long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from payments import ledger
from payments.books import withdrawals
from payments.books.booking import Booking, NewId
from payments.money import Fen
from payments.port import HoldExpiring, RefundOverdue
from payments.store.unit_of_work import Store, UnitOfWork

#: How much one pass takes on.
BATCH = 100


async def keep_deadlines(store: Store, now: Callable[[], datetime], new_id: NewId) -> int:
    """One pass over everything whose time has come; how much was done. Safe from several processes at once: what is
    told or paid is not due any more in the same transaction."""
    at = now()
    if not await store.read(lambda uow: bool(uow.deadlines.due(at, 1)) or uow.dues.is_any_to_pay(at)):
        return 0

    def keep(uow: UnitOfWork) -> int:
        booking = Booking(uow, at, new_id)
        come = uow.deadlines.due(at, BATCH)
        for kind, subject, due_at in come:
            _tell(booking, kind, subject, due_at)
        return len(come) + withdrawals.pay_what_is_due(booking, BATCH)

    return await store.run(keep)


def _tell(booking: Booking, kind: str, subject: str, due_at: datetime) -> None:
    booking.uow.deadlines.drop(kind, subject)
    if kind == "hold_expiring":
        _hold_expiring(booking, subject, due_at)
    else:
        _refund_overdue(booking, subject)


def _hold_expiring(booking: Booking, intent_id: str, due_at: datetime) -> None:
    intent = booking.uow.intents.require(intent_id)
    escrow_fen = booking.uow.books.balance_fen(ledger.escrow(intent_id))
    held_fen = Fen(escrow_fen + booking.uow.dues.left_of_intent_fen(intent_id))
    if held_fen:
        lives_on = timedelta(seconds=booking.terms.hold_lives_s - booking.terms.pay_within_s)
        booking.tell(HoldExpiring, intent, held_fen=held_fen, expires_at=due_at + lives_on, is_settled=escrow_fen == 0)


def _refund_overdue(booking: Booking, refund_id: str) -> None:
    refund = booking.uow.refunds.require(refund_id)
    booking.uow.refunds.save(msgspec.structs.replace(refund, is_overdue=True))
    intent = booking.uow.intents.require(refund.intent_id)
    booking.tell(RefundOverdue, intent, refund_id=refund.id, amount_fen=refund.amount_fen)
