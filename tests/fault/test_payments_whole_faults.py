"""Callbacks and money out on every kind of channel, through payments as they ship, while the simulated provider does
what goes wrong in real life: each order is paid once, divided once and given back once."""

from __future__ import annotations

from pathlib import Path

import pytest

from payments.account import Withdraw, Withdrawn
from payments.port import Paid, PayoutFailed, Released, ReleaseFailed, Settled, Suspicious
from tests.payments_town import CAMPUS, PLATFORM, RUNNER, RUNNERS, Town, town

KINDS = ("wechat_native", "edupay", "alipay_qr", "alipay_freeze", "unionpay_app", "campus_card")
DEBITS = ("edupay", "campus_card")
CREATED = {"wechat_native": "create", "alipay_qr": "open", "alipay_freeze": "open", "unionpay_app": "create"}
SPLITTING = ("wechat_native", "edupay", "alipay_qr", "alipay_freeze")

#: What goes wrong with a callback; and whether the first that comes is one that must not be believed.
CALLBACKS = {
    "notice_lost count=2": False,
    "notice_doubled count=1": False,
    "notice_late s=100 count=1": False,
    "bad_signature op=notify count=1": True,
    "notice_probe count=1": True,
}


async def heard(one: Town, intent: str) -> None:
    """The provider is content: its callback was accepted at last."""
    book = await one.book(intent)
    notices = one.house.books.notices_of(book.key)
    await one.until(lambda: notices and all(each.is_heard for each in notices), "a callback that is heard", step_s=0.0)


async def begun(one: Town, code: str) -> tuple[str, str]:
    """An order, and where it is paid; a debit is paid by being opened."""
    intent = await one.open(code)
    return intent, "" if code in DEBITS else await one.till(intent)


async def once(one: Town, intent: str) -> None:
    """It was paid once, here and there."""
    book = await one.book(intent)
    assert (len(book.charges), one.kinds(intent).count("Paid"), (await one.view(intent)).state) == (1, 1, "success")


# -- callbacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", KINDS)
async def test_a_callback_that_is_lost_doubled_late_or_not_proved_pays_an_order_once(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        for fault, is_refused in CALLBACKS.items():
            one.calls.clear()
            one.wrong(fault)
            intent, till = await begun(one, code)
            assert not till or await one.pay(till) == "paid"
            await one.event(intent, Paid, step_s=0.0)
            await heard(one, intent)
            await once(one, intent)
            assert [is_accepted for _, is_accepted in (one.calls[0], one.calls[-1])] == [not is_refused, True], fault
            one.house.faults.remove()
        first, till = await begun(one, code)
        one.wrong(f"notice_reordered op=notify order={(await one.view(first)).attempts[0].attempt_id} count=1")
        assert not till or await one.pay(till) == "paid"
        second = await one.paid(code)
        for intent in (first, second):
            await one.event(intent, Paid)
            await heard(one, intent)
            await once(one, intent)
        assert await one.differences() == []


@pytest.mark.parametrize("code", ["wechat_native", "edupay", "campus_card", "unionpay_app"])
async def test_a_callback_that_comes_before_the_answer_is_booked(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        one.wrong(f"notice_before_reply op={'debit' if code in DEBITS else 'create'} count=1")
        intent = await one.open(code)
        await one.event(intent, Paid, step_s=0.0)
        await heard(one, intent)
        await once(one, intent)
        assert await one.states(intent) == [f"{code}:paid"]
        assert await one.differences() == []


@pytest.mark.parametrize("code", KINDS)
async def test_another_amount_is_never_a_success(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        one.wrong("wrong_amount value=-100 count=1")
        intent, till = await begun(one, code)
        assert not till or await one.pay(till) == "paid"
        assert (await one.event(intent, Suspicious)).reason == "amount_mismatch"
        view = await one.view(intent)
        assert (view.state, view.hold_state, one.kinds(intent).count("Paid")) == ("suspicious", "none", 0)
        assert (await one.book(intent)).paid_fen == 900


async def test_a_new_certificate_is_believed_and_a_wrong_clock_is_not(tmp_path: Path) -> None:
    async with town(tmp_path, "wechat_native", "unionpay_app") as one:
        for code in ("wechat_native", "unionpay_app"):
            one.house.by_channel[code.partition("_")[0]].rotate()
            one.wrong("clock_skewed op=query count=1 s=900", "clock_skewed op=notify count=1 s=-900")
            intent = await one.paid(code)
            await heard(one, intent)
            await once(one, intent)
            await one.release(intent)
            await one.event(intent, Released)
        assert await one.differences() == []


async def test_a_certificate_that_is_not_known_yet_is_not_believed_and_the_order_goes_elsewhere(tmp_path: Path) -> None:
    its = {"wechat_public_key": "", "wechat_public_key_id": ""}
    signing = {"wechat": {"sign_with": "certificate"}}
    async with town(tmp_path, "wechat_native", "campus_card", options=signing, **its) as one:
        known = await one.paid("wechat_native", "campus_card")
        await once(one, known)
        # They are fetched at most once a minute, and a minute ago there was another one.
        one.house.by_channel["wechat"].rotate()
        intent = await one.open("wechat_native", "campus_card")
        await one.event(intent, Paid)
        assert await one.states(intent) == ["wechat_native:abandoned", "campus_card:paid"]
        assert await one.differences() == []


# -- money out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", KINDS)
async def test_money_goes_back_once_whatever_is_answered(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        for faults in (
            ["drop_after op=refund count=2", "error_after op=refund count=1", "error op=refund_query count=1"],
            ["error op=refund status=503 count=2", "bad_signature op=refund count=1", "error op=query count=1"],
            ["refund_pending s=400 count=1"],
        ):
            intent = await one.paid(code)
            one.wrong(*faults)
            await one.release(intent)
            if faults[0].startswith("refund_pending"):
                await one.work()
                assert "Released" not in one.kinds(intent), "it is under way, and that is not done"
            assert (await one.event(intent, Released)).amount_fen == 1000
            book = await one.book(intent)
            assert (book.refunded_fen, len(book.refunds)) == (1000, 1), faults
            one.house.faults.remove()
        assert await one.differences() == []


@pytest.mark.parametrize("fault", ["refund_closed", "refund_abnormal"])
async def test_money_that_cannot_go_back_is_told_and_not_booked(tmp_path: Path, fault: str) -> None:
    async with town(tmp_path, "wechat_native", "alipay_qr", "campus_card") as one:
        for code in ("wechat_native", "alipay_qr", "campus_card"):
            intent = await one.paid(code)
            one.wrong(f"{fault} count=1")
            await one.release(intent)
            await one.event(intent, ReleaseFailed)
            assert (await one.book(intent)).refunded_fen == 0
            assert (await one.view(intent)).released_fen == 0


@pytest.mark.parametrize("code", SPLITTING)
async def test_a_split_that_failed_in_part_is_tried_again_for_that_part_alone(tmp_path: Path, code: str) -> None:
    async with town(tmp_path, code) as one:
        intent = await one.paid(code)
        one.wrong("split_partly_failed value=1 count=1", "drop_after op=split count=2", "error op=split_query count=1")
        await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
        settled = await one.event(intent, Settled, step_s=20)
        assert (settled.captured_fen, settled.released_fen) == (850, 150)
        assert isinstance(await one.event(intent, PayoutFailed), PayoutFailed)
        book = await one.book(intent)
        trades = [o for k, o in one.house.books.orders.items() if k.number == f"{book.key.number}P"] or [book]
        sums: dict[str, int] = {}
        for part in (p for trade in trades for s in trade.splits.values() for p in s.opened.parts):
            if part.ends_as == "done":
                sums[part.account] = sums.get(part.account, 0) + part.amount_fen
        assert sorted(sums.values()) == [100, 150], "each receiver has its part once"
        assert (sum(trade.split_fen for trade in trades), book.refunded_fen) == (250, 150)
        assert await one.differences() == []


@pytest.mark.parametrize("code", ["wechat_native", "alipay_qr"])
async def test_a_runners_withdrawal_does_not_let_go_of_a_part_that_is_tried_again(tmp_path: Path, code: str) -> None:
    """What stays with the merchant is had by letting go of the hold; nobody could be paid out of it any more then."""
    async with town(tmp_path, code) as one:
        intent = await one.paid(code)
        one.wrong("split_partly_failed value=1 count=1")
        await one.settle(intent, RUNNERS, CAMPUS, PLATFORM)
        await one.event(intent, PayoutFailed)
        asked = Withdraw(id="w1", campus_id="campus", account_ref=RUNNER, amount_fen=600, requested_at=one.now())
        await one.payments.submit(asked)
        await one.work()
        book = await one.book(intent)
        assert not book.is_unfrozen and not await one.payments.account_events()
        await one.event(intent, Settled, step_s=20)
        (told,) = await one.until(one.payments.account_events, "the withdrawal", step_s=20)
        assert isinstance(told, Withdrawn)
        assert (book.split_fen, book.frozen_fen) == (250, 0)
        assert await one.differences() == []
