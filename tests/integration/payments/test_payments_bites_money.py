"""Limits of money are kept to the fen."""

from __future__ import annotations

from pathlib import Path

import pytest

from payments.account import WithdrawalHeld, Withdrawn
from payments.money import Fen
from payments.port import CommandRefused
from payments.terms import Terms
from tests.payments_desk import sqlite_desk


@pytest.mark.parametrize(("amount_fen", "end"), [(500, Withdrawn), (501, WithdrawalHeld)])
async def test_above_the_threshold_is_a_fen_more(tmp_path: Path, amount_fen: int, end: type) -> None:
    async with sqlite_desk(tmp_path, terms=Terms(review_above_fen=Fen(500))) as desk:
        await desk.open_and_pay()
        await desk.settle("a", runner=800)
        await desk.withdraw("w1", amount_fen)
        assert [type(event) for event in await desk.payments.account_events()] == [end]


async def test_all_that_is_left_may_be_given_back_and_not_a_fen_more(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open_and_pay()
        await desk.settle("a", runner=800, campus=50, platform=100)
        with pytest.raises(CommandRefused):
            await desk.refund("a", 951)
        await desk.refund("a", 900, turn=2)
        with pytest.raises(CommandRefused):
            await desk.refund("a", 51, turn=3)
        await desk.refund("a", 50, turn=4)
        book = await desk.payments.book("ord_a")
        assert (book.captured_fen, book.released_fen, book.refunded_fen, book.escrow_balance_fen) == (950, 50, 950, 0)
        await desk.assert_books()


async def test_all_that_is_earned_may_be_withdrawn_and_not_a_fen_more(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open_and_pay()
        await desk.settle("a", runner=800)
        with pytest.raises(CommandRefused):
            await desk.withdraw("w1", 801)
        await desk.withdraw("w2", 800)
        assert (await desk.payments.balances("run")).withdrawn_fen == 800
        await desk.assert_books()
