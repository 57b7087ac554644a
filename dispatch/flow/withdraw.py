"""A runner has what is available paid out: asked for once per key, however often the request comes."""

from __future__ import annotations

import hashlib

import msgspec

from payments.account import Withdraw
from payments.account import WithdrawalView as Known
from payments.port import WithdrawalRefused

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.errors import InvalidInput, KeyReused, NotPermitted, Refusal, WrongState
from ..model.wallet_views import AskWithdrawal, TransferToConfirm, Withdrawals, WithdrawalView
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .instants import ms
from .work_money import payments_refusals

#: What holds a withdrawal for a review besides its amount: risk has objected to something of this account's, and
#: nobody has decided on it yet.
OPEN_CASE = "open_risk_case"
OVER_THRESHOLD = "over_threshold"
_decoder = msgspec.json.Decoder(Withdraw)


async def ask_withdrawal(ctx: Context, who: Principal, request: AskWithdrawal, key: str) -> WithdrawalView:
    """Begin a withdrawal. What was asked is kept under its key before payments hear of it, so that the same request
    says the same to them: a lost answer, or a server that died in between, makes no second withdrawal."""
    who.require(Permission.TASKS_CARRY)
    digest = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
    risk = await _risk(ctx, who)

    def keep(uow: UnitOfWork) -> bytes:
        kept = uow.idempotency.stored(who.account_id, key, digest)
        if kept is not None:
            return kept
        if uow.accounts.get(who.account_id).is_blocked:
            raise NotPermitted("this account is blocked")
        command = Withdraw(
            id=ids.hashed_id(ids.WITHDRAWAL, who.account_id, key),
            campus_id=who.campus_id,
            account_ref=who.account_id,
            amount_fen=request.amount_fen,
            requested_at=uow.now,
            risk=risk,
            code_id=request.code_id or "",
        )
        body = msgspec.json.encode(command)
        uow.idempotency.store(who.account_id, key, digest, body)
        return body

    command = _decoder.decode(await ctx.store.run(who.campus_id, keep))
    try:
        with payments_refusals():
            await ctx.payments.submit(command)
    except InvalidInput as refused:
        raise _worded(refused) from None
    ctx.announce()
    (found,) = await ctx.payments.withdrawals(withdrawal_id=command.id, limit=1)
    return withdrawal_view(found)


async def _risk(ctx: Context, who: Principal) -> str:
    """The rule that wants a person to look first; "" when none does."""
    cases = await ctx.payments.risk_cases(who.campus_id, 1, None, only_open=True, account=who.account_id)
    return OPEN_CASE if cases else ""


def _worded(refused: InvalidInput) -> Refusal:
    """A limit of payments by its name; what is no input of this request is no field of it either."""
    limit = refused.__cause__
    if not isinstance(limit, WithdrawalRefused):
        # An old key, used anew after its answer was forgotten: payments do not forget.
        return refused if refused.field else KeyReused(field="Idempotency-Key")
    if limit.field == "amount_fen":
        return InvalidInput(str(limit), field="amount_fen", reason=limit.rule, limit=limit.limit)
    return WrongState(str(limit), reason=limit.rule, limit=limit.limit)


async def own_withdrawals(ctx: Context, who: Principal, *, limit: int = 50) -> Withdrawals:
    """The runner's withdrawals, newest first."""
    who.require(Permission.TASKS_CARRY)
    found = await ctx.payments.withdrawals(account_ref=who.account_id, limit=limit)
    return Withdrawals(withdrawals=[withdrawal_view(each) for each in found])


async def to_confirm(ctx: Context, who: Principal) -> list[TransferToConfirm]:
    """What waits until this runner, and nobody else, says yes to it."""
    who.require(Permission.TASKS_CARRY)
    return [
        TransferToConfirm(
            id=each.number,
            withdrawal_id=each.withdrawal_id,
            amount_fen=each.amount_fen,
            kind=str(each.credential.get("kind", "")),
            invoke=dict(each.credential.get("invoke", {})),
        )
        for each in await ctx.payments.confirmations(who.account_id)
    ]


def withdrawal_view(known: Known) -> WithdrawalView:
    """As its runner sees it: which rule of risk it was is the campus team's business."""
    is_ruled = known.state == "held" and known.reason != OVER_THRESHOLD
    return WithdrawalView(
        id=known.withdrawal_id,
        amount_fen=known.amount_fen,
        paid_fen=known.paid_fen,
        state=known.state,
        reason="review" if is_ruled else known.reason,
        said=known.review_reason if known.state == "refused" else "",
        is_automatic=known.is_automatic,
        asked_at_ms=ms(known.requested_at),
        finished_at_ms=None if known.finished_at is None else ms(known.finished_at),
    )
