"""A whole day at the desk that may be killed after any commit and started again, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from payments.port import OpenIntent
from payments.store.database import Database
from tests.payments_desk import START, Desk

#: name → (description with the bank's faults, what is done once it is paid)
ORDERS = {
    "a": ("plain", "settle"),
    "b": ("[sandbox:release_fails]", "release"),
    "c": ("nobody pays", "release"),
    "d": ("[sandbox:declined][sandbox:split_fails=campus]", "settle_and_refund"),
}


def die_after(commits: int) -> Callable[[], int]:
    """Let this process kill itself right after that many commits, payments' and the bank's counted together; asks how
    many there were so far."""
    run_now: Callable[..., Any] = Database.run_now
    done = 0

    def counted(self: Database, fn: Callable[..., Any]) -> Any:
        nonlocal done
        result = run_now(self, fn)
        done += 1
        if done == commits:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Database.run_now = counted  # type: ignore[method-assign]
    return lambda: done


async def play(desk: Desk) -> None:
    """Everything has a deterministic id, so playing it again goes on where it stopped."""
    for name, (description, _) in ORDERS.items():
        await desk.payments.submit(_open(name, description))
    await desk.advance(5)
    for name, (description, _) in ORDERS.items():
        view = await desk.view(name)
        if description != "nobody pays" and view.state != "success":
            await desk.pay(name)
    for name, (_, then) in ORDERS.items():
        if then == "release":
            await desk.release(name)
        else:
            await desk.settle(name, runner=600, campus=100, platform=200)
    await desk.advance(120, step_s=10)
    # Out of both orders, of the second in part; the bank's answer to one of them is lost.
    await desk.fault("split_lost", "a")
    await desk.withdraw("w1", 700)
    await desk.refund("d", 250)
    await desk.advance(120, step_s=10)


def _open(name: str, description: str) -> OpenIntent:
    return OpenIntent(
        id=f"open:{name}",
        intent_id=f"int_{name}",
        campus_id="nu",
        order_ref=f"ord_{name}",
        payer_ref=f"student_{name}",
        amount_fen=1000,
        description=description,
        channels=("sandbox", "sandbox_backup"),
        expires_at=START + timedelta(hours=1),
    )


async def main(url: str, bank_url: str, offset_s: float, commits: int, told: Path) -> None:
    count = die_after(commits)
    desk = Desk(url, bank_url)
    desk.at += timedelta(seconds=offset_s)
    async with desk:
        await play(desk)
        report = {
            "commits": count(),
            "differences": [difference.what for difference in await desk.payments.check()],
            "holds": {name: (await desk.view(name)).hold_state for name in ORDERS},
            "kinds": {name: await desk.kinds(name) for name in ORDERS},
            "runner": await desk.payments.balances("run"),
            "withdrawals": await desk.payments.withdrawals(),
            "refunds": await desk.payments.refunds(),
            "books": {name: await desk.payments.book(f"ord_{name}") for name in ORDERS},
        }
    told.write_bytes(msgspec.json.encode(report))


def play_alone(url: str, bank_url: str, offset_s: float, commits: int, told: Path) -> None:
    """All of it, ``offset_s`` business seconds after the start, until the end or until it dies after so many commits
    (0: never). What it found, or why it could not, is written to the file."""
    try:
        asyncio.run(main(url, bank_url, offset_s, commits, told))
    except Exception:
        told.write_text(traceback.format_exc())
        raise
