"""The campus team looks at some withdrawals before they are paid: large ones, and those that risk points at."""

from __future__ import annotations

import hashlib

from payments.account import ReviewWithdrawal
from payments.account import WithdrawalView as Known
from payments.money import yuan
from payments.port import WithdrawalRefused

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import InvalidInput, NotFound, NotPermitted
from ..model.event import EventKind
from ..model.wallet_views import JudgeWithdrawal, WithdrawalRow, WithdrawalRows
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .instants import ms
from .money_alerts import close_alert
from .raise_alert import raise_alert
from .tell import tell_about_account
from .work_money import payments_refusals

#: The kind of alert that stands for a withdrawal that waits.
HELD = "withdrawal_held"


async def withdrawals(ctx: Context, who: Principal, *, limit: int = 50, only_held: bool = False) -> WithdrawalRows:
    """This campus's: those that wait for a review, the longest waiting first, then the newest."""
    who.require(Permission.MONEY_READ)
    found = await ctx.payments.withdrawals(campus_id=who.campus_id, state="held", limit=limit)
    if not only_held:
        newest = await ctx.payments.withdrawals(campus_id=who.campus_id, limit=limit)
        held = {each.withdrawal_id for each in found}
        found += [each for each in newest if each.withdrawal_id not in held]
    return WithdrawalRows(withdrawals=await _rows(ctx, who, found[:limit]))


async def review(ctx: Context, who: Principal, withdrawal_id: str, request: JudgeWithdrawal) -> WithdrawalRow:
    """Pay it, or refuse it. Nobody decides on their own money."""
    who.require(Permission.MONEY_MANAGE)
    reason = request.reason.strip()
    if not reason:
        raise InvalidInput("say why", field="reason")
    before = await _find(ctx, who, withdrawal_id)
    if before.account_ref == who.account_id:
        raise NotPermitted("somebody else has to look at one's own withdrawal")
    verdict = hashlib.sha256(f"{who.account_id}\n{request.is_approved}\n{reason}".encode()).hexdigest()[:16]
    command = ReviewWithdrawal(
        id=f"review:{withdrawal_id}:{verdict}",
        withdrawal_id=withdrawal_id,
        verdict="approve" if request.is_approved else "refuse",
        by=who.account_id,
        reason=reason,
    )
    try:
        with payments_refusals():
            await ctx.payments.submit(command)
    except InvalidInput as refused:
        raise _worded(refused) from None
    after = await _find(ctx, who, withdrawal_id)
    await ctx.store.run(who.campus_id, lambda uow: _write_down(uow, command, before, after))
    ctx.announce()
    (row,) = await _rows(ctx, who, [after])
    return row


def _worded(refused: InvalidInput) -> InvalidInput:
    """A limit that has been reached meanwhile stands against the approval: the amount is no input of a verdict."""
    limit = refused.__cause__
    if isinstance(limit, WithdrawalRefused):
        return InvalidInput(str(limit), field="is_approved", reason=limit.rule, limit=limit.limit)
    return refused


def _write_down(uow: UnitOfWork, command: ReviewWithdrawal, before: Known, after: Known) -> None:
    """Once, and at a repetition too: a server may have died after payments had heard the verdict."""
    if not uow.inbox.accept(command.id):
        return
    is_approved = command.verdict == "approve"
    action = "approve_withdrawal" if is_approved else "refuse_withdrawal"
    was = {"state": "held", "amount_fen": before.amount_fen} | (
        {"reason": before.reason} if before.state == "held" else {}
    )
    now = {"state": after.state, "account_id": after.account_ref}
    uow.audit.add(command.by, action, after.withdrawal_id, after.review_reason, was, now)
    close_alert(uow, HELD, after.withdrawal_id, command.by)
    if is_approved:
        tell_about_account(
            uow,
            EventKind.WITHDRAWAL_APPROVED,
            after.account_ref,
            actor_id=command.by,
            withdrawal_id=after.withdrawal_id,
            amount_fen=after.amount_fen,
        )


def alert_held(uow: UnitOfWork, withdrawal_id: str, amount_fen: int) -> None:
    """The campus team hears that one waits for it."""
    code = withdrawal_id[-6:]
    raise_alert(
        uow,
        HELD,
        withdrawal_id,
        f"提现 {code}（¥{yuan(amount_fen)}）等待审核",
        f"Withdrawal {code} of ¥{yuan(amount_fen)} waits for a review",
    )


async def _find(ctx: Context, who: Principal, withdrawal_id: str) -> Known:
    """Raises :class:`NotFound`, also for another campus's."""
    found = await ctx.payments.withdrawals(campus_id=who.campus_id, withdrawal_id=withdrawal_id, limit=1)
    if not found:
        raise NotFound("there is no such withdrawal here")
    return found[0]


async def _rows(ctx: Context, who: Principal, found: list[Known]) -> list[WithdrawalRow]:
    people = {each.account_ref for each in found} | {each.reviewed_by for each in found if each.reviewed_by}
    accounts = await ctx.store.read(who.campus_id, lambda uow: uow.accounts.many(people)) if people else {}
    names = {account_id: account.name for account_id, account in accounts.items()}
    return [
        WithdrawalRow(
            id=each.withdrawal_id,
            account_id=each.account_ref,
            account_name=names.get(each.account_ref, each.account_ref),
            amount_fen=each.amount_fen,
            paid_fen=each.paid_fen,
            state=each.state,
            reason=each.reason,
            is_automatic=each.is_automatic,
            is_own=each.account_ref == who.account_id,
            parts=each.parts,
            asked_at_ms=ms(each.requested_at),
            finished_at_ms=None if each.finished_at is None else ms(each.finished_at),
            reviewed_by_name=names.get(each.reviewed_by, each.reviewed_by),
            review_reason=each.review_reason,
        )
        for each in found
    ]
