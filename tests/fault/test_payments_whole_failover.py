"""Failover between real channels, through payments as they ship: each before its simulated provider, which is stalled,
unreachable, or says what is not so, by the simulator's own faults. Whatever happens, a student is charged once."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from payments.port import IntentFailed, IntentReady, Paid, Released, SwitchRefused
from tests.payments_town import Town, town
from tests.simulator_house import admin

#: What the payers of these channels get to see, a debit none of it.
DEBITS = ("edupay", "campus_card")


async def kept_fen(one: Town, intent: str) -> int:
    """What the provider took of the student for an intent, over all attempts, and did not give back."""
    attempts = (await one.view(intent)).attempts
    books = [book for each in attempts for book in one.books(each.channel, each.attempt_id)]
    assert all(len(book.charges) <= 1 for book in books)
    return sum(book.paid_fen - book.refunded_fen for book in books)


async def paid_on(one: Town, intent: str, channel: str) -> None:
    """The student pays what they hold, and it is that channel's."""
    if channel not in DEBITS:
        assert await one.pay(await one.till(intent)) == "paid"
    assert (await one.event(intent, Paid)).channel == channel


# -- before anything is delivered ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backup", ["alipay_qr", "unionpay_wap", "campus_card"])
async def test_a_stalled_channel_is_left_and_its_late_order_can_never_be_paid(tmp_path: Path, backup: str) -> None:
    async with town(tmp_path, "wechat_native", backup) as one:
        one.wrong("delay_after op=create channel=wechat ms=6000")
        began_s = time.monotonic()
        intent = await one.open("wechat_native", backup)
        await one.event(intent, Paid if backup in DEBITS else IntentReady, step_s=0.0)
        assert time.monotonic() - began_s < 4.0, "2 s from the tap, on a machine that may be busy"
        dropped, used = (await one.view(intent)).attempts
        assert (dropped.channel, dropped.state, dropped.reason) == ("wechat_native", "abandoned", "timeout")
        assert used.channel == backup
        credentials = [each.credential for each in one.seen if isinstance(each, IntentReady)]
        assert all(each["kind"] != "wechat_native" for each in credentials), "what came late was never delivered"
        await paid_on(one, intent, backup)
        (late,) = one.books("wechat_native", dropped.attempt_id)
        assert late.standing(one.now()) == "open", "the order is there, and nobody holds its code"
        one.house.faults.remove()
        await one.until(lambda: late.is_closed, "that it is closed", step_s=20)
        assert late.opened_at + timedelta(minutes=5) <= one.now(), "not before it was certainly there"
        await one.until(lambda: one.states(intent), "its end", step_s=20)
        assert await one.states(intent) == ["wechat_native:closed", f"{backup}:paid"]
        assert await kept_fen(one, intent) == 1000
        assert await one.differences() == []


@pytest.mark.parametrize("code", ["wechat_jsapi", "edupay", "campus_card"])
async def test_a_domain_that_cannot_be_reached_is_replaced_by_the_other_with_the_same_number(
    tmp_path: Path, code: str
) -> None:
    async with town(tmp_path, code) as one:
        status, _ = await admin(one.house, "/admin/ports", "POST", {"port": "main", "is_open": False})
        assert status == 200
        intent = await one.open(code)
        assert len((await one.view(intent)).attempts) == 1, "no other channel was needed"
        if code not in DEBITS:
            credential = (await one.view(intent)).credential
            assert credential is not None
            await one.house.open_port("main")  # The student's page is served there.
            assert await one.pay(await one.till_of(credential)) == "paid"
        await one.event(intent, Paid)
        (attempt,) = (await one.view(intent)).attempts
        called = [each for each in one.house.door.exchanges if each.operation in ("create", "debit")]
        assert [(each.number, each.is_backup) for each in called] == [(attempt.attempt_id, True)]
        assert await kept_fen(one, intent) == 1000


async def test_whatever_is_not_a_credential_is_left_for_the_next_channel(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "alipay_qr", "campus_card") as one:
        for fault in ("error status=503", "error_after status=500", "drop_before count=2", "bad_signature"):
            one.wrong(f"{fault} op=create channel=wechat", f"{fault} op=create channel=alipay")
            intent = await one.open("wechat_native", "alipay_qr", "campus_card")
            await one.event(intent, Paid)
            assert await one.states(intent) == ["wechat_native:abandoned", "alipay_qr:abandoned", "campus_card:paid"]
            assert await kept_fen(one, intent) == 1000
            one.house.faults.remove()


async def test_a_verdict_on_the_order_goes_to_no_other_channel(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "campus_card") as one:
        one.wrong("refuse op=create channel=wechat code=RULE_LIMIT")
        intent = await one.open("wechat_native", "campus_card")
        assert (await one.event(intent, IntentFailed)).reason.lower().startswith("rule_limit")
        assert await one.states(intent) == ["wechat_native:refused"]
        assert await kept_fen(one, intent) == 0
        with pytest.raises(SwitchRefused):
            await one.payments.switch_channel(intent, "campus_card")


# -- once it is delivered ------------------------------------------------------------------------------------------


async def test_paid_between_the_question_and_the_close_is_paid_and_nothing_is_switched(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "alipay_page", "campus_card") as one:
        for code in ("wechat_native", "alipay_page"):
            intent = await one.open(code, "campus_card")
            till = await one.till(intent)
            one.wrong(f"pay_before_close op=close order={(await one.view(intent)).attempts[0].attempt_id}")
            one.wrong("notice_late s=99999")
            await one.payments.switch_channel(intent, "campus_card")
            assert (await one.event(intent, Paid)).channel == code
            assert await one.states(intent) == [f"{code}:paid"]
            assert await one.pay(till) == "already_paid"
            assert await kept_fen(one, intent) == 1000


async def test_a_close_without_effect_holds_the_switch_until_it_has_one(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "alipay_page", "campus_card") as one:
        for code in ("wechat_native", "alipay_page"):
            intent = await one.open(code, "campus_card")
            await one.till(intent)
            one.wrong("no_effect op=close count=2")
            await one.payments.switch_channel(intent, "campus_card")
            await one.work()
            assert await one.states(intent) == [f"{code}:closing"], "204 is no proof"
            await one.event(intent, Paid)
            assert await one.states(intent) == [f"{code}:closed", "campus_card:paid"]
            assert await kept_fen(one, intent) == 1000


@pytest.mark.parametrize("is_paid", [True, False])
async def test_a_code_that_does_not_exist_there_may_still_be_paid(tmp_path: Path, is_paid: bool) -> None:
    async with town(tmp_path, "alipay_qr", "campus_card", alipay_life_s="120") as one:
        intent = await one.open("alipay_qr", "campus_card")
        credential = (await one.view(intent)).credential
        assert credential is not None
        await one.payments.switch_channel(intent, "campus_card")
        for _ in range(20):
            await one.work()
            one.advance(seconds=4)
        assert await one.states(intent) == ["alipay_qr:closing"], "not existing is no proof while it can be scanned"
        if is_paid:
            assert await one.pay(await one.till_of(credential)) == "paid"
        await one.event(intent, Paid, step_s=10)
        expected = ["alipay_qr:paid"] if is_paid else ["alipay_qr:closed", "campus_card:paid"]
        assert await one.states(intent) == expected
        assert await kept_fen(one, intent) == 1000


async def test_what_cannot_be_closed_is_waited_for(tmp_path: Path) -> None:
    async with town(
        tmp_path, "unionpay_wap", "campus_card", unionpay_life_s="60", unionpay_expiry_margin_s="60"
    ) as one:
        intent = await one.open("unionpay_wap", "campus_card")
        till = await one.till(intent)
        await one.payments.switch_channel(intent, "campus_card")
        one.advance(seconds=50)
        await one.work()
        assert await one.states(intent) == ["unionpay_wap:closing"]
        paid = await one.event(intent, Paid, step_s=10)
        assert (paid.channel, await one.states(intent)) == ("campus_card", ["unionpay_wap:closed", "campus_card:paid"])
        assert await one.pay(till) == "closed"
        assert await kept_fen(one, intent) == 1000


async def test_a_debit_without_an_answer_is_found_paid_or_reversed_before_another_channel(tmp_path: Path) -> None:
    async with town(tmp_path, "campus_card", "edupay", "wechat_native") as one:
        one.wrong("drop_after op=debit channel=campus_card count=2", "notice_late s=99999")
        intent = await one.open("campus_card", "wechat_native")
        assert (await one.view(intent)).state == "processing", "that nobody answers is no failure"
        assert (await one.event(intent, Paid)).channel == "campus_card"
        one.wrong("drop_after op=debit channel=edupay count=2")
        intent = await one.open("edupay", "wechat_native")
        assert (await one.event(intent, Paid)).channel == "edupay"
        # It never arrived there: asked about, reversed, asked about again, and only then another way.
        one.wrong("drop_before op=debit channel=campus_card count=2")
        intent = await one.open("campus_card", "wechat_native")
        assert await one.states(intent) == ["campus_card:unknown"]
        await one.event(intent, IntentReady, step_s=5)
        assert await one.states(intent) == ["campus_card:closed", "wechat_native:issued"]
        reversed_, issued = (await one.view(intent)).attempts
        assert 32 <= (issued.created_at - reversed_.created_at).total_seconds() < 60, "asked six times, then reversed"
        assert await kept_fen(one, intent) == 0


async def test_closed_is_not_closed_and_the_second_payment_goes_back_under_one_number(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "alipay_page") as one:
        intent = await one.open("wechat_native", "alipay_page")
        first = await one.till(intent)
        one.wrong("pays_closed op=pay channel=wechat")
        await one.payments.switch_channel(intent, "alipay_page")
        await one.until(lambda: one.kinds(intent).count("IntentReady") == 2, "the second credential")
        second = await one.till(intent)
        assert [await one.pay(till) for till in (second, first)] == ["paid", "paid"]
        await one.event(intent, Paid)

        async def is_back() -> bool:
            return "wechat_native:refunded" in await one.states(intent)

        await one.until(is_back, "the duplicate's refund")
        assert await one.states(intent) == ["wechat_native:refunded", "alipay_page:paid"]
        assert await kept_fen(one, intent) == 1000
        (number,) = one.books("wechat_native", (await one.view(intent)).attempts[0].attempt_id)[0].refunds
        assert number.endswith("A01D1")
        assert await one.differences() == []


async def test_paid_after_it_was_cancelled_goes_back(tmp_path: Path) -> None:
    async with town(tmp_path, "alipay_qr") as one:
        intent = await one.open("alipay_qr")
        credential = (await one.view(intent)).credential
        assert credential is not None
        await one.release(intent)
        await one.work()
        assert await one.pay(await one.till_of(credential)) == "paid"
        assert (await one.event(intent, Released)).amount_fen == 1000
        assert await kept_fen(one, intent) == 0
