"""Where a runner is paid, and the codes that one's own money needs: what is told is sealed, and changed by a code."""

from __future__ import annotations

import msgspec
import pytest

from dispatch.access.principal import Principal
from dispatch.flow import confirm_order, go_on_duty, money_codes, payout_account, withdraw
from dispatch.model.errors import CodeNeeded, InvalidInput, NotPermitted, WrongState
from dispatch.model.money_views import AskMoneyCode, ConfirmMoneyCode
from dispatch.model.requests import ConfirmOrder
from dispatch.model.wallet_views import AskWithdrawal, SetPayoutAccount
from payments.guards.guarded import Guards
from payments.guards.risk import RuleBook
from payments.guards.second_factor_act import Act, Thresholds
from payments.guards.vault import Vault
from tests.flow_world import DAY_S, World

FIRST, SECOND = "2088000000000001", "2088000000000002"


def guard(world: World, **thresholds: int) -> list[str]:
    """Vault and codes as the shipped server joins them; the codes that were sent."""
    sent: list[str] = []

    async def send(act: Act, code: str) -> None:
        sent.append(code)

    vault = Vault({"k1": b"v" * 32}, "k1", b"l" * 32)
    rules, limits = RuleBook(default=()), Thresholds(**thresholds)
    world.payments.guard(Guards(vault=vault, salt_key=b"s" * 32, rules=rules, thresholds=limits, send_code=send))
    return sent


def pay_to_persons(world: World) -> None:
    """As a channel does whose contract pays runners themselves."""
    channel = world.payments._channels["sandbox"]
    channel._shape = msgspec.structs.replace(channel.shape, pays_to=("alipay_user_id",))  # type: ignore[attr-defined]


async def code(world: World, who: Principal, sent: list[str], kind: str, amount_fen: int = 0) -> str:
    """The id of a code that was asked for, sent and given back."""
    act = {"kind": kind, "amount_fen": amount_fen}
    asked = await money_codes.ask_code(world.ctx, who, msgspec.convert(act, AskMoneyCode))
    given = msgspec.convert(act | {"code": sent[-1]}, ConfirmMoneyCode)
    await money_codes.confirm_code(world.ctx, who, asked.code_id, given)
    return asked.code_id


async def test_an_account_is_told_once_changed_by_a_code_and_never_shown(world: World) -> None:
    sent = guard(world)
    pay_to_persons(world)
    runner, student = await world.runner(), await world.student()
    (channel,) = (await payout_account.payout_account(world.ctx, runner)).channels
    assert (channel.code, channel.lacks) == ("sandbox", ["alipay_user_id"])
    assert (await go_on_duty.wallet(world.ctx, runner)).payout == [channel]
    first = SetPayoutAccount(alipay_user_id=FIRST)
    for _ in range(2):
        (channel,) = (await payout_account.set_payout_account(world.ctx, runner, first)).channels
    assert channel.lacks == [] and "2088" not in repr(first)
    assert await world.payments.reveal(runner.account_id, ("alipay_user_id",)) == {"alipay_user_id": FIRST}

    world.advance(1)
    with pytest.raises(CodeNeeded):
        await payout_account.set_payout_account(world.ctx, runner, SetPayoutAccount(alipay_user_id=SECOND))
    confirmed = await code(world, runner, sent, "change_payout_account")
    changed = SetPayoutAccount(alipay_user_id=SECOND, code_id=confirmed)
    await payout_account.set_payout_account(world.ctx, runner, changed)
    assert await world.payments.reveal(runner.account_id, ("alipay_user_id",)) == {"alipay_user_id": SECOND}
    back = SetPayoutAccount(alipay_user_id=FIRST, code_id=confirmed)
    with pytest.raises(CodeNeeded):
        await payout_account.set_payout_account(world.ctx, runner, back)

    entries = await world.audit("set_payout_account")
    assert len(entries) == 3 and not any("2088" in repr(entry) for entry in entries)
    with pytest.raises(NotPermitted):
        await payout_account.set_payout_account(world.ctx, student, first)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"alipay_user_id": "13800000000"}, SetPayoutAccount)


async def test_where_the_runners_part_stays_with_the_team_nothing_is_asked(home: World) -> None:
    guard(home)
    runner = await home.runner()
    assert (await payout_account.payout_account(home.ctx, runner)).channels == []
    with pytest.raises(WrongState) as refused:
        await payout_account.set_payout_account(home.ctx, runner, SetPayoutAccount(alipay_user_id=FIRST))
    assert refused.value.detail == {"code": "not_offered"}


async def test_a_large_withdrawal_needs_a_code_of_its_runner_for_this_very_amount(world: World) -> None:
    sent = guard(world, withdraw_from_fen=200)
    runner, other, student = await world.runner(), await world.runner(), await world.student()
    order_id = await world.delivered(student, runner)
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S)
    have = (await go_on_duty.wallet(world.ctx, runner)).available_fen
    assert have > 300

    async def ask(fen: int, key: str, code_id: str | None = None) -> str:
        request = AskWithdrawal(amount_fen=fen, code_id=code_id)
        return (await withdraw.ask_withdrawal(world.ctx, runner, request, key)).state

    with pytest.raises(CodeNeeded):
        await ask(have, "a")
    confirmed = await code(world, runner, sent, "withdraw", have)
    theirs = await code(world, other, sent, "withdraw", have)
    asked = await money_codes.ask_code(world.ctx, runner, AskMoneyCode(kind="withdraw", amount_fen=have))
    wrong = "000000" if sent[-1] != "000000" else "111111"
    given = ConfirmMoneyCode(kind="withdraw", amount_fen=have, code=wrong)
    with pytest.raises(InvalidInput) as refused:
        await money_codes.confirm_code(world.ctx, runner, asked.code_id, given)
    assert refused.value.field == "code"
    for fen, code_id in ((have - 1, confirmed), (have, theirs), (have, asked.code_id), (have, "code_x")):
        with pytest.raises(CodeNeeded):
            await ask(fen, f"{fen}-{code_id}", code_id)
    assert (await withdraw.own_withdrawals(world.ctx, runner)).withdrawals == []
    for _ in range(2):
        assert await ask(have, "b", confirmed) == "under_way"
    await world.work()
    assert (await go_on_duty.wallet(world.ctx, runner)).withdrawn_fen == have
    with pytest.raises(CodeNeeded):
        await ask(have, "c", confirmed)
