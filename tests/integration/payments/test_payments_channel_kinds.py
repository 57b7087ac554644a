"""Channels of other kinds: money taken at once, codes signed without the bank, orders that cannot be closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from payments.channels.sandbox import shape
from tests.payments_desk import sqlite_desk


async def test_a_direct_debit_takes_the_money_at_once(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"))
        assert await desk.states() == ["card:paid"]
        assert await desk.kinds() == ["Paid"]
        await desk.assert_books()


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("declined", ["card:declined", "sandbox:issued"]),
        ("insufficient", ["card:declined", "sandbox:issued"]),
        ("refused", ["card:refused"]),
    ],
)
async def test_a_direct_debit_that_certainly_took_nothing(tmp_path: Path, fault: str, states: list[str]) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"), description=f"[sandbox:{fault}]")
        assert await desk.states() == states


async def test_a_direct_debit_without_an_answer_is_held_and_asked_about(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.fault("lost")
        await desk.open(channels=("card", "sandbox"), description="[sandbox:unknown]")
        assert await desk.states() == ["card:unknown"]
        assert (await desk.view()).state == "processing"
        await desk.advance(2, step_s=1)
        assert await desk.states() == ["card:paid"]
        await desk.assert_books()


async def test_a_direct_debit_that_never_arrived_is_dead_after_its_margin(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("card", "debit"), shape("sandbox")]) as desk:
        await desk.open(channels=("card", "sandbox"), description="[sandbox:request_lost]")
        assert await desk.states() == ["card:unknown"]
        await desk.advance(20, step_s=1)
        assert await desk.states() == ["card:closed", "sandbox:issued"]


async def test_a_locally_signed_code_comes_to_life_when_it_is_opened(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("code", "local", can_close=False), shape("sandbox")]) as desk:
        await desk.open(channels=("code", "sandbox"), for_s=120)
        token = await desk.token()
        await desk.payments.switch_channel("int_a", "sandbox")
        await desk.advance(30, step_s=1)
        assert await desk.states() == ["code:closing"], "no such order proves nothing before the code has expired"
        page = await desk.bank.page(token)
        assert page is not None
        assert (page.state, page.amount_fen, page.channel) == ("open", 1000, "code")
        assert await desk.bank.pay(token) == "paid"
        await desk.settle_down()
        assert await desk.states() == ["code:paid"]
        await desk.open("b", channels=("code",), for_s=120)
        await desk.advance(200, step_s=10)
        assert await desk.states("b") == ["code:closed"]
        assert (await desk.view("b")).state == "failed"
        await desk.assert_books()


async def test_a_channel_without_closing_waits_for_the_expiry(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("union", can_close=False), shape("sandbox")]) as desk:
        await desk.open(channels=("union", "sandbox"), for_s=600)
        await desk.payments.switch_channel("int_a", "sandbox")
        await desk.advance(60, step_s=5)
        assert await desk.states() == ["union:closing"]
        await desk.release()
        await desk.advance(900, step_s=30)
        assert await desk.states() == ["union:closed"]
        assert await desk.kinds() == ["IntentReady", "Released"]
