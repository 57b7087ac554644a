"""A server's part in a withdrawal, in a process that kills itself at one point of it: ``python -m`` this, with JSON."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from typing import Any

import msgspec

from dispatch.access.principal import Principal
from dispatch.flow.apply_withdrawals import apply_withdrawals
from dispatch.flow.withdraw import ask_withdrawal
from dispatch.model.account import Role
from dispatch.model.wallet_views import AskWithdrawal
from tests.flow_world import World, open_world


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """``dies``: asked (kept, payments have not heard), submitted (they have, the runner is not answered), applied (the
    runner's news are written, payments do not know it)."""

    urls: list[str]
    dies: str
    campus_id: str
    account_id: str
    fen: int
    at_s: float


async def _die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


async def _play(world: World, told: Told) -> None:
    world.clock.advance(told.at_s - world.clock.now().timestamp())
    payments: Any = world.payments
    if told.dies == "applied":
        payments.acknowledge = _die
        await apply_withdrawals(world.ctx)
    else:
        setattr(payments, "submit" if told.dies == "asked" else "withdrawals", _die)
        until = world.clock.now() + timedelta(days=1)
        who = Principal(told.account_id, told.campus_id, frozenset({Role.RUNNER}), "ses_child", until)
        await ask_withdrawal(world.ctx, who, AskWithdrawal(amount_fen=told.fen), "w1")


async def _main() -> None:
    told = msgspec.json.decode(sys.argv[1], type=Told)
    async with open_world(*told.urls) as world:
        await _play(world, told)


if __name__ == "__main__":
    asyncio.run(_main())
