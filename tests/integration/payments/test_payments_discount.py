"""A settlement's discount: the subsidies bear it although the hold would do, and what is not taken goes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from payments.channels.sandbox import shape
from payments.port import Subsidy
from tests.payments_desk import Desk, sqlite_desk

COUPON = Subsidy(party="campus", account_ref="nu", amount_fen=100, ref="coupon-1")


@pytest.fixture
async def desk(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    bank_url = ready_sql_url if ready_sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    async with Desk(ready_sql_url, bank_url) as desk:
        yield desk


async def settle(desk: Desk, discount_fen: int, runner: int, campus: int, platform: int) -> None:
    settlement = desk.settlement("a", runner, campus, platform)
    await desk.payments.submit(msgspec.structs.replace(settlement, discount_fen=discount_fen))
    await desk.settle_down()
    await desk.advance(10, step_s=5)


async def test_goods_that_cost_less_leave_the_payer_the_whole_discount(desk: Desk) -> None:
    await desk.open("a", 3_400, subsidies=(COUPON,))
    assert await desk.pay("a") == "paid"
    await settle(desk, 100, runner=1_900, campus=50, platform=50)
    view = await desk.view()
    assert (view.captured_fen, view.released_fen) == (1_900, 1_500)
    totals = await desk.payments.totals("nu")
    assert (totals.subsidies_fen, totals.captured_fen, totals.campus_fen) == (100, 1_900, 0)
    balances = await desk.payments.balances("run")
    assert balances.available_fen + balances.withdrawn_fen == 1_900
    await desk.assert_books()


@pytest.mark.parametrize(
    ("discount_fen", "borne_fen"),
    [(0, 0), (40, 40), (100, 100), (5_000, 100)],
)
async def test_a_discount_is_what_the_subsidies_have_for_it(tmp_path: Path, discount_fen: int, borne_fen: int) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open("a", 1_000, subsidies=(COUPON,))
        assert await desk.pay("a") == "paid"
        await settle(desk, discount_fen, runner=600, campus=200, platform=100)
        view = await desk.view()
        assert (view.captured_fen, view.released_fen) == (900 - borne_fen, 100 + borne_fen)
        assert (await desk.payments.totals("nu")).subsidies_fen == borne_fen
        await desk.assert_books()


async def test_a_split_group_is_discounted_as_one(tmp_path: Path) -> None:
    limited = msgspec.structs.replace(shape("sandbox"), limit_fen=1_000)
    async with sqlite_desk(tmp_path, [limited, shape("sandbox_backup")]) as desk:
        await desk.open("a", 2_500, channels=("sandbox",), subsidies=(COUPON,))
        for _ in range(3):
            assert await desk.pay("a") == "paid"
        await settle(desk, 100, runner=1_800, campus=100, platform=100)
        view = await desk.view()
        assert (view.captured_fen, view.released_fen) == (1_900, 600)
        await desk.assert_books()


async def test_a_discount_below_nothing_is_refused(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open("a", 1_000, subsidies=(COUPON,))
        assert await desk.pay("a") == "paid"
        with pytest.raises(ValueError, match="discount_fen"):
            await settle(desk, -1, runner=600, campus=200, platform=100)
