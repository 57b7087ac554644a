"""A transfer that its runner has to say yes to: who is shown with what, what survives a restart, what ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from payments.account import (
    AccountEvent,
    ConfirmationView,
    Withdraw,
    WithdrawalFailed,
    WithdrawalToConfirm,
    Withdrawn,
)
from payments.channels.wechat_transfers import TRANSFERS
from payments.money import Fen
from payments.outcomes import WAITS_FOR_PAYEE, MoneyAnswer
from payments.port import PayoutFailed, Settled, Share
from tests import wechat_counter as wx
from tests.payments_town import RUNNER, Town, town

TO = {"openid": "oRunner"}
BY_TRANSFER = {"wechat_runner_payout": "transfer", "wechat_transfer_scene_id": "1005"}
OPTIONS = {"wechat": {"split_permille": "1000"}}
HOUR_S = 3600


async def ask(it: Town, name: str, fen: int) -> None:
    """A runner asks for what an errand left them."""
    intent = await it.paid("wechat_native")
    await it.settle(intent, Share(party="runner", account_ref=RUNNER, amount_fen=fen))
    await it.event(intent, Settled)
    wish = Withdraw(id=name, campus_id="campus", account_ref=RUNNER, amount_fen=fen, requested_at=it.now())
    await it.payments.submit(wish)


async def waiting(it: Town) -> list[ConfirmationView]:
    return await it.payments.confirmations(RUNNER)


async def ended(it: Town) -> Any:
    """What was told of the withdrawal at last; before, and once, that it waits for its runner."""

    async def both() -> list[AccountEvent]:
        events = await it.payments.account_events()
        return events if len(events) > 1 else []

    asked, event = await it.until(both, "the end of the withdrawal")
    assert isinstance(asked, WithdrawalToConfirm) and asked.account_ref == RUNNER
    await it.payments.acknowledge([asked.id, event.id])
    return event


async def test_a_withdrawal_waits_for_its_runner_and_is_shown_to_nobody_else(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **BY_TRANSFER) as it:
        await ask(it, "w1", 600)
        assert await waiting(it) == []
        (shown,) = await it.until(lambda: waiting(it), "the question")
        assert (shown.withdrawal_id, shown.channel, shown.amount_fen) == ("w1", "wechat_native", 600)
        invoke = shown.credential["invoke"]
        assert shown.credential["kind"] == "wechat_transfer" and set(invoke) == {"mchId", "appId", "package"}
        assert await it.payments.confirmations("somebody_else") == []
        told = [await it.payments.withdrawals(), await it.payments.account_events(), repr(shown)]
        (intent,) = {each.intent_id for each in it.seen}
        told.append(timeline := await it.payments.timeline(f"ord_{intent}"))
        assert any(each.code == "withdraw" for each in timeline)
        assert invoke["package"] not in msgspec.json.encode(told).decode()

        # What was remembered beside the books is gone with a restart: it is asked for again, under the same number.
        it.payments._channels["wechat_native"]._transfers._packages.clear()  # type: ignore[attr-defined]
        it.advance(hours=1)
        await it.work()
        assert await waiting(it) == [shown] and len(it.house.books.transfers) == 1

        (transfer,) = it.house.books.transfers.values()
        assert it.house.books.transfer_of_token(invoke["package"]) is transfer
        it.house.desk.agree(transfer)
        assert isinstance(await ended(it), Withdrawn)
        assert await waiting(it) == []
        assert await it.payments.check() == []


async def test_who_takes_their_time_sets_no_alarm_off_and_who_never_says_yes_has_it_again(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **BY_TRANSFER) as it:
        await ask(it, "w1", 600)
        await it.until(lambda: waiting(it), "the question")
        for _ in range(20):
            it.advance(hours=1)
            await it.work()
        assert len(await waiting(it)) == 1
        assert not [each for each in it.seen if isinstance(each, PayoutFailed)]
        (transfer,) = it.house.books.transfers.values()
        it.house.desk.cancel_transfer(transfer)
        end = await ended(it)
        assert isinstance(end, WithdrawalFailed) and end.paid_fen == 0
        assert await waiting(it) == []
        assert (await it.payments.balances(RUNNER)).available_fen == 600
        assert await it.payments.check() == []


async def test_a_question_outlives_restarts_refusals_and_a_forgotten_account(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **BY_TRANSFER) as it:
        await ask(it, "w1", 600)
        shown = await it.until(lambda: waiting(it), "the question")
        it.payments._channels["wechat_native"]._transfers._packages.clear()  # type: ignore[attr-defined]
        # Neither what is said to a repetition, nor that the split cannot be asked about, takes the part out of the way.
        it.wrong("refuse op=transfer", "refuse op=unfreeze", "error op=split_query")
        for _ in range(5):
            it.advance(hours=1)
            await it.work()
        assert await waiting(it) == shown
        await it.payments.forget(RUNNER)
        it.advance(hours=1)
        await it.work()
        assert await waiting(it) == shown
        assert [type(each) for each in await it.payments.account_events()] == [WithdrawalToConfirm]
        assert (await it.payments.balances(RUNNER)).available_fen == 0
        (transfer,) = it.house.books.transfers.values()
        it.house.desk.agree(transfer)
        assert isinstance(await ended(it), Withdrawn)
        assert await it.payments.check() == []


async def test_a_provider_that_is_silent_for_longer_than_people_may_take_sets_the_alarm_off(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", options=OPTIONS, **BY_TRANSFER) as it:
        await ask(it, "w1", 600)
        await it.until(lambda: waiting(it), "the question")
        it.wrong("error op=transfer_query")
        for _ in range(30):
            it.advance(hours=1)
            await it.work()
        assert len([each for each in it.seen if isinstance(each, PayoutFailed)]) == 1
        assert len(await waiting(it)) == 1


@pytest.mark.parametrize("refusal", [(400, {"code": "ALREADY_EXISTS"}), (403, {"code": "NOT_ENOUGH"}), (500, {})])
async def test_what_is_said_to_a_repetition_ends_no_transfer(
    counter: wx.Counter, refusal: tuple[int, dict[str, str]]
) -> None:
    known = {"out_bill_no": "T1", "state": "WAIT_USER_CONFIRM"}
    counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", known)
    counter.says("POST", TRANSFERS, refusal[1], refusal[0])
    waits = MoneyAnswer(standing="pending", reason=WAITS_FOR_PAYEE)
    async with wx.channel_to(counter, runner_payout="transfer", transfer_scene_id="1005") as channel:
        assert await channel.transfer("T1", "r", TO, Fen(100)) == waits
        counter.says("POST", TRANSFERS, known | {"package_info": "again="})
        again = await channel.transfer("T1", "r", TO, Fen(100))
        assert again.confirm is not None and again.confirm["invoke"]["package"] == "again="
        asked = counter.paths().count(f"POST {TRANSFERS}")
        assert await channel.transfer("T1", "r", TO, Fen(100)) == again
        assert counter.paths().count(f"POST {TRANSFERS}") == asked, "known, it is not asked for"
        counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", known | {"state": "TRANSFERING"})
        assert (await channel.transfer("T1", "r", TO, Fen(100))).confirm is None


async def test_a_first_order_that_was_not_heard_of_is_not_failed_by_the_second(counter: wx.Counter) -> None:
    """The question may come too early to know the number that the order is refused for."""
    counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", {"code": "NOT_FOUND"}, 404)
    async with wx.channel_to(counter, runner_payout="transfer", transfer_scene_id="1005") as channel:
        counter.says("POST", TRANSFERS, {"code": "ALREADY_EXISTS"}, 400)
        assert (await channel.transfer("T1", "r", TO, Fen(100))).standing == "no_answer"
        asked: list[int] = []

        def by_then(_: wx.Asked) -> tuple[int, dict[str, str]]:
            asked.append(1)
            return (404, {"code": "NOT_FOUND"}) if len(asked) == 1 else (200, {"state": "WAIT_USER_CONFIRM"})

        counter.says("GET", f"{TRANSFERS}/out-bill-no/T1", script=by_then)
        counter.says("POST", TRANSFERS, {"code": "INVALID_REQUEST"}, 400)
        assert (await channel.transfer("T1", "r", TO, Fen(100))).reason == WAITS_FOR_PAYEE
        # An account of its own for payouts comes first.
        counter.says("GET", f"{TRANSFERS}/out-bill-no/T2", {"code": "NOT_FOUND"}, 404)
        await channel.transfer("T2", "r", {"openid": "oPayer", "payout_openid": "oPayee"}, Fen(100))
        ordered = [each.json for each in counter.asked if each.path == TRANSFERS]
        assert ordered[-1]["openid"] == "oPayee"
