"""Where a runner is paid: what ways to pay have to be told of them, where their part does not stay with the team."""

from __future__ import annotations

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import WrongState
from ..model.wallet_views import PayoutAccount, PayoutChannel, SetPayoutAccount
from .context import Context
from .work_money import payments_refusals

#: The account of an app of Alipay's, and the openid that a payer or a runner was known by.
ALIPAY = "alipay_user_id"
_ALSO = {"openid": "payout_openid"}


async def payout_account(ctx: Context, who: Principal) -> PayoutAccount:
    """Which ways to pay have to know the runner, and which do."""
    who.require(Permission.TASKS_CARRY)
    paying = [channel for channel in ctx.payments.channels() if channel.pays_to]
    told = set(await ctx.payments.entrusted(who.account_id)) if paying else set()
    return PayoutAccount(
        channels=[
            PayoutChannel(
                code=channel.code,
                name_zh=channel.name_zh,
                name_en=channel.name_en,
                lacks=[need for need in channel.pays_to if not {need, _ALSO.get(need, need)} & told],
                binding=channel.binding,
            )
            for channel in paying
        ]
    )


async def set_payout_account(ctx: Context, who: Principal, request: SetPayoutAccount) -> PayoutAccount:
    """Have one's part paid there from now on; another account than before needs a code. Payments keep it sealed."""
    who.require(Permission.TASKS_CARRY)
    if not any(ALIPAY in channel.pays_to for channel in ctx.payments.channels()):
        raise WrongState("no way to pay asks for that here", code="not_offered")
    with payments_refusals():
        await ctx.payments.entrust(who.account_id, {ALIPAY: request.alipay_user_id}, request.code_id or "")
    # That it was told, and never what.
    await ctx.store.run(
        who.campus_id, lambda uow: uow.audit.add(who.account_id, "set_payout_account", who.account_id, "", {}, {})
    )
    return await payout_account(ctx, who)
