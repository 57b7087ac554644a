"""Money out through a bank that misbehaves: releases, splits and refunds that fail, or whose answer never comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from payments import driver
from payments.channels.sandbox import SandboxChannel, shape
from payments.money import Fen
from payments.outcomes import (
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    MoneyAnswer,
    OrderToCreate,
    QueryAnswer,
    Receiver,
    SplitAnswer,
)
from payments.port import PayoutFailed
from tests.payments_desk import SECRET, Desk, sqlite_desk


async def test_a_release_that_fails_is_told_once_and_tried_again(desk: Desk) -> None:
    await desk.fault("release_fails", "a", count=2)
    await desk.open_and_pay()
    await desk.release()
    assert (await desk.view()).hold_state == "release_failed"
    await desk.advance(120, step_s=5)
    assert (await desk.view()).hold_state == "released"
    assert await desk.kinds() == ["IntentReady", "Paid", "ReleaseFailed", "Released"]
    await desk.assert_books()


async def test_a_release_whose_reply_is_lost_happens_once(desk: Desk) -> None:
    await desk.fault("release_lost", "a")
    await desk.open_and_pay()
    await desk.release()
    assert (await desk.view()).hold_state == "releasing"
    await desk.advance(10, step_s=5)
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()


async def test_a_closed_receiver_is_told_and_paid_under_another_number(desk: Desk) -> None:
    await desk.fault("split_fails", "a", count=2, value="campus")
    await desk.open_and_pay()
    await desk.settle("a", runner=50, campus=700, platform=150)
    view = await desk.view()
    assert (view.hold_state, view.captured_fen) == ("capturing", 200)
    assert (await desk.payments.balances("nu")).pending_fen == 700
    failed = (await desk.told())[-1]
    assert isinstance(failed, PayoutFailed)
    assert (failed.party, failed.account_ref, failed.reason) == ("campus", "nu", "receiver_account_abnormal")
    await desk.advance(60, step_s=5)
    assert await desk.kinds() == ["IntentReady", "Paid", "PayoutFailed", "Settled"]
    assert (await desk.payments.balances("nu")).available_fen == 700
    await desk.assert_books()


async def test_a_pending_receiver_is_asked_about_under_the_same_number(desk: Desk) -> None:
    await desk.fault("split_pending", "a", value="platform")
    await desk.fault("split_fails", "a", value="campus")
    await desk.open_and_pay()
    await desk.settle("a", runner=150, campus=50, platform=700)
    assert (await desk.view()).captured_fen == 150
    await desk.advance(60, step_s=5)
    assert (await desk.view()).captured_fen == 900
    await desk.assert_books()


async def test_a_split_whose_reply_is_lost_happens_once(desk: Desk) -> None:
    await desk.fault("split_lost", "a")
    await desk.open_and_pay()
    await desk.settle()
    assert (await desk.view()).captured_fen == 800
    await desk.advance(10, step_s=5)
    assert (await desk.view()).captured_fen == 1000
    await desk.assert_books()


async def test_a_refund_that_fails_is_tried_again(desk: Desk) -> None:
    await desk.fault("refund_fails", "a")
    await desk.open_and_pay()
    await desk.settle("a", runner=1000, campus=0, platform=0)
    await desk.withdraw("w1", 1000)
    await desk.refund("a", 100)
    assert (await desk.view()).refunded_fen == 0
    await desk.advance(10, step_s=5)
    assert (await desk.view()).refunded_fen == 100
    await desk.assert_books()


class MuteChannel(SandboxChannel):
    """A way to pay whose line is open and dead: no call ever ends."""

    is_mute = True
    is_close_mute = False

    async def _wait(self) -> None:
        if self.is_mute:
            await asyncio.Event().wait()

    async def create_credential(self, order: OrderToCreate) -> CreateAnswer:
        await self._wait()
        return await super().create_credential(order)

    async def debit(self, order: OrderToCreate) -> DebitAnswer:
        await self._wait()
        return await super().debit(order)

    async def query(self, attempt_id: str) -> QueryAnswer:
        await self._wait()
        return await super().query(attempt_id)

    async def close(self, attempt_id: str) -> CloseAnswer:
        if self.is_close_mute:
            await asyncio.Event().wait()
        return await super().close(attempt_id)

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        await self._wait()
        return await super().split(attempt_id, number, receivers, later)

    async def give_back(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        await self._wait()
        return await super().give_back(attempt_id, number, amount_fen)

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        await self._wait()
        return await super().refund(attempt_id, number, amount_fen)


@pytest.fixture
async def mute_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Desk, MuteChannel]]:
    monkeypatch.setattr(driver, "CALL_S", 0.4)
    async with sqlite_desk(tmp_path, [shape("sandbox"), shape("card", "debit")]) as desk:
        mute = MuteChannel(desk.bank, SECRET)
        desk.payments._channels["sandbox"] = mute
        yield desk, mute


async def test_calls_that_never_end(mute_desk: tuple[Desk, MuteChannel]) -> None:
    desk, mute = mute_desk
    await desk.open("gone", channels=("sandbox",))
    assert await desk.states("gone") == ["sandbox:abandoned"]
    card = MuteChannel(desk.bank, SECRET, shape("card", "debit"))
    desk.payments._channels["card"] = card
    await desk.open("card", channels=("card",))
    assert await desk.states("card") == ["card:unknown"]
    mute.is_mute = False
    await desk.open("a", channels=("sandbox",))
    mute.is_close_mute = True
    await desk.release("a")
    assert await desk.states("a") == ["sandbox:closing"], "the close was not answered"
    mute.is_close_mute = False
    await desk.advance(30, step_s=5)
    assert await desk.states("a") == ["sandbox:closed"]


async def test_money_out_that_is_not_answered_is_told_once_and_goes_on(mute_desk: tuple[Desk, MuteChannel]) -> None:
    desk, mute = mute_desk
    mute.is_mute = False
    for name in "abc":
        await desk.open(name, channels=("sandbox",))
        await desk.pay(name)
    await desk.settle("c", runner=1000, campus=0, platform=0)
    await desk.withdraw("w1", 1000)
    mute.is_mute = True
    await desk.settle("a", runner=600, campus=100, platform=100)
    await desk.release("b")
    await desk.refund("c", 100)
    await desk.advance(100, step_s=5)
    assert await desk.kinds("a") == ["IntentReady", "Paid", "PayoutFailed", "PayoutFailed"]
    assert await desk.kinds("b") == ["IntentReady", "Paid", "ReleaseFailed"]
    assert await desk.kinds("c") == ["IntentReady", "Paid", "Settled", "Suspicious"]
    mute.is_mute = False
    await desk.advance(3600, step_s=300)
    assert (await desk.kinds("a"))[-1] == "Settled"
    assert (await desk.kinds("b"))[-1] == "Released"
    assert (await desk.kinds("c"))[-1] == "Refunded"
    await desk.assert_books()
