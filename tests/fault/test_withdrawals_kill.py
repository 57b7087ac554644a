"""The server is killed in the midst of a withdrawal: there is one, paid once, and its runner hears of it once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from dispatch.access.principal import Principal
from dispatch.flow import confirm_order, go_on_duty, withdraw
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.model.requests import ConfirmOrder
from dispatch.model.wallet_views import AskWithdrawal
from tests.flow_world import DAY_S, World, open_world
from tests.withdrawals_child import Told

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def urls(sql_url: str, tmp_path: Path, redis_url: str) -> list[str]:
    names = [sql_url] * 2
    if sql_url.startswith("sqlite"):
        names = [f"sqlite:///{tmp_path}/{name}.db" for name in ("payments", "bank")]
    return [sql_url, *names, redis_url]


@pytest.fixture
async def world(urls: list[str]) -> AsyncIterator[World]:
    async with open_world(*urls) as opened:
        yield opened


async def kill(world: World, urls: list[str], dies: str, runner: Principal, fen: int) -> None:
    """Let a process of its own begin, and die there."""
    told = Told(
        urls=urls, dies=dies, campus_id=runner.campus_id, account_id=runner.account_id, fen=fen,
        at_s=world.clock.now().timestamp(),
    )  # fmt: skip
    command = [sys.executable, "-m", "tests.withdrawals_child", msgspec.json.encode(told).decode()]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, timeout=100, check=False)
    assert done.returncode == -9, done.stderr.decode()[-3000:]


async def earned(world: World, runner: Principal) -> int:
    student = await world.student()
    order_id = await world.delivered(student, runner)
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S)
    return (await go_on_duty.wallet(world.ctx, runner)).available_fen


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_anywhere_it_is_one_withdrawal_told_once(world: World, urls: list[str]) -> None:
    runner = await world.runner()
    fen = await earned(world, runner)
    await kill(world, urls, "asked", runner, fen)
    assert (await withdraw.own_withdrawals(world.ctx, runner)).withdrawals == []
    world.advance(5)
    await kill(world, urls, "submitted", runner, fen)
    world.advance(5)
    asked = await withdraw.ask_withdrawal(world.ctx, runner, AskWithdrawal(amount_fen=fen), "w1")
    assert [one.id for one in (await withdraw.own_withdrawals(world.ctx, runner)).withdrawals] == [asked.id]
    while await world.payments.work():
        continue
    await kill(world, urls, "applied", runner, fen)
    (event,) = await world.payments.account_events()
    assert event.withdrawal_id == asked.id, "still on offer: its acknowledgement never came"
    assert await apply_withdrawals(world.ctx) == 1
    assert await world.payments.account_events() == []
    await world.publish()
    heard = await world.heard(f"runner:{runner.account_id}")
    assert [event.kind for event in heard if event.kind.startswith("withdrawal_")] == ["withdrawal_paid"]
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.available_fen, wallet.withdrawn_fen) == (0, fen)
    assert await world.payments.check() == []
