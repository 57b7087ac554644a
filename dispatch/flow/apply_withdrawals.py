"""What payments reports of withdrawals: the runner hears of it, once, and the campus team of what waits for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from payments.account import AccountEvent, WithdrawalFailed, WithdrawalHeld, WithdrawalToConfirm, Withdrawn

from ..model.event import EventKind
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .money_alerts import close_alert
from .review_withdrawals import HELD, alert_held
from .tell import tell_about_account

BATCH = 100
log = logging.getLogger(__name__)


async def apply_withdrawals(ctx: Context) -> int:
    """Apply what is waiting; how many events were. Killed anywhere, the rest is offered again and skipped if known.

    An event that cannot be applied stops its account's later ones, nobody else's, and stays on offer.
    """
    applied: list[str] = []
    stopped: set[str] = set()
    problem: Exception | None = None
    for event in await ctx.payments.account_events(BATCH):
        if event.account_ref in stopped:
            continue
        try:
            await ctx.store.run(event.campus_id, _applying(event))
        except Exception as error:
            log.exception("an event of a withdrawal could not be applied", extra={"fields": {"event": event.id}})
            stopped.add(event.account_ref)
            problem = error
        else:
            applied.append(event.id)
    if applied:
        await ctx.payments.acknowledge(applied)
        ctx.announce()
    elif problem is not None:
        raise problem
    return len(applied)


def _applying(event: AccountEvent) -> Callable[[UnitOfWork], None]:
    def apply(uow: UnitOfWork) -> None:
        if uow.inbox.accept(event.id):
            _apply(uow, event)

    return apply


def _apply(uow: UnitOfWork, event: AccountEvent) -> None:
    match event:
        case WithdrawalHeld():
            kind, paid_fen, reason = EventKind.WITHDRAWAL_HELD, 0, ""
            alert_held(uow, event.withdrawal_id, event.amount_fen)
        case WithdrawalToConfirm():
            kind, paid_fen, reason = EventKind.WITHDRAWAL_TO_CONFIRM, 0, ""
        case Withdrawn():
            kind, paid_fen, reason = EventKind.WITHDRAWAL_PAID, int(event.amount_fen), ""
            # Approved before this house had heard that it was held.
            close_alert(uow, HELD, event.withdrawal_id)
        case WithdrawalFailed():
            kind, paid_fen, reason = EventKind.WITHDRAWAL_FAILED, int(event.paid_fen), event.reason
            close_alert(uow, HELD, event.withdrawal_id)
    tell_about_account(
        uow,
        kind,
        event.account_ref,
        actor_id=None,
        withdrawal_id=event.withdrawal_id,
        amount_fen=event.amount_fen,
        paid_fen=paid_fen,
        reason=reason,
        is_automatic=event.is_automatic,
    )
