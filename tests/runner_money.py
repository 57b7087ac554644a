"""What a runner's money needs in a test: earning it, asking for it, and what the runner hears of it."""

from __future__ import annotations

from typing import Any

from dispatch.access.principal import Principal
from dispatch.flow import confirm_order, go_on_duty, withdraw
from dispatch.model.requests import ConfirmOrder
from dispatch.model.wallet_views import AskWithdrawal, WithdrawalView
from payments.terms import Terms
from tests.flow_world import DAY_S, World


async def earned(world: World, runner: Principal, count: int = 1) -> int:
    """What so many settled errands left the runner."""
    student = await world.student()
    for _ in range(count):
        order_id = await world.delivered(student, runner)
        await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    await world.pass_time(DAY_S)
    return (await go_on_duty.wallet(world.ctx, runner)).available_fen


def terms(world: World, **changes: Any) -> None:
    world.payments._store.terms = Terms(**changes)


async def ask(world: World, runner: Principal, fen: int, key: str = "w1", **more: Any) -> WithdrawalView:
    return await withdraw.ask_withdrawal(world.ctx, runner, AskWithdrawal(amount_fen=fen, **more), key)


async def news(world: World, runner: Principal) -> list[tuple[str, int, int]]:
    """What the runner's own topic was told of withdrawals."""
    await world.publish()
    heard = await world.heard(f"runner:{runner.account_id}")
    return [
        (event.kind.removeprefix("withdrawal_"), event.data["amount_fen"], event.data.get("paid_fen", 0))
        for event in heard
        if event.kind.startswith("withdrawal_")
    ]
