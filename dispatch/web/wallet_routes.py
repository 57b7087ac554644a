"""The URLs of runners' money: their wallet and withdrawals, and the campus team's reviews of these."""

from __future__ import annotations

from ..access.permissions import Permission as P
from ..flow import go_on_duty, payout_account, review_withdrawals, withdraw
from ..model import wallet_views as wv
from . import queries as qs
from .route import Call, Route


async def _ask(call: Call) -> wv.WithdrawalView:
    assert call.key is not None, "the edge asks for the key"
    return await withdraw.ask_withdrawal(call.ctx, call.me, call.body, call.key)


async def _withdrawals(call: Call) -> wv.WithdrawalRows:
    q = call.query
    return await review_withdrawals.withdrawals(call.ctx, call.me, limit=q.limit, only_held=q.only_held)


WALLET_ROUTES: tuple[Route, ...] = (
    Route("GET", "/runner/wallet", P.TASKS_CARRY, lambda c: go_on_duty.wallet(c.ctx, c.me), wv.WalletView,
          "Earned, pending, available and paid out"),
    Route("GET", "/runner/withdrawals", P.TASKS_CARRY,
          lambda c: withdraw.own_withdrawals(c.ctx, c.me, limit=c.query.limit), wv.Withdrawals,
          "One's own withdrawals, newest first", query=qs.Few),
    Route("POST", "/runner/withdrawals", P.TASKS_CARRY, _ask, wv.WithdrawalView,
          "Have what is available paid out; held for a review above the campus's threshold", request=wv.AskWithdrawal,
          status=202, key="flow"),
    Route("GET", "/runner/payout-account", P.TASKS_CARRY, lambda c: payout_account.payout_account(c.ctx, c.me),
          wv.PayoutAccount, "Which ways to pay have to know a runner, and which do"),
    Route("PUT", "/runner/payout-account", P.TASKS_CARRY,
          lambda c: payout_account.set_payout_account(c.ctx, c.me, c.body), wv.PayoutAccount,
          "Where one's part is paid to; another account than before needs a one-time code; audited",
          request=wv.SetPayoutAccount),
)  # fmt: skip

WITHDRAWAL_ROUTES: tuple[Route, ...] = (
    Route("GET", "/money/withdrawals", P.MONEY_READ, _withdrawals, wv.WithdrawalRows,
          "Runners' withdrawals: those that wait for a review, then the newest", query=qs.ListWithdrawals),
    Route("POST", "/money/withdrawals/{id}/review", P.MONEY_MANAGE,
          lambda c: review_withdrawals.review(c.ctx, c.me, c.id, c.body), wv.WithdrawalRow,
          "Pay a withdrawal that is held, or refuse it, and why; never one's own; audited",
          request=wv.JudgeWithdrawal, key="optional"),
)  # fmt: skip
