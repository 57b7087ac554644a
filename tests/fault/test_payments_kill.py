"""Payments killed after any commit, and driven by several processes at once: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import payments_scenario
from tests.payments_desk import Desk, sqlite_desk

SOAK = bool(os.environ.get("SOAK"))
PATIENCE_S = 100.0

Eventually = Callable[..., Awaitable[object]]


#: Forks of a process that has everything imported: starting Python would take longer than what is played.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.payments_scenario"])


def _play(url: str, bank_url: str, offset_s: float, commits: int, folder: Path) -> tuple[int | None, bytes]:
    """Its exit code and what it said."""
    told = folder / "report.json"
    told.unlink(missing_ok=True)
    process = _FORKS.Process(target=payments_scenario.play_alone, args=(url, bank_url, offset_s, commits, told))
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode is not None, "it never ends"
    return process.exitcode, told.read_bytes() if told.exists() else b""


def _assert_all_well(report: dict[str, Any]) -> None:
    assert report["differences"] == []
    assert report["holds"] == {"a": "captured", "b": "released", "c": "none", "d": "captured"}
    once = {
        "a": {"Paid": 1, "Settled": 1, "Released": 0},
        "b": {"Paid": 1, "Settled": 0, "Released": 1},
        "c": {"Paid": 0, "Settled": 0, "Released": 1},
        "d": {"Paid": 1, "Settled": 1, "Refunded": 1},
    }
    for name, counts in once.items():
        assert {kind: report["kinds"][name].count(kind) for kind in counts} == counts, name
    for name, book in report["books"].items():
        assert book["escrow_balance_fen"] == 0, name
        assert book["held_fen"] == book["captured_fen"] + book["released_fen"], name
    assert report["books"]["d"]["refunded_fen"] == 250
    assert [(withdrawal["state"], withdrawal["paid_fen"]) for withdrawal in report["withdrawals"]] == [("done", 700)]
    assert [refund["state"] for refund in report["refunds"]] == ["done"]
    runner = report["runner"]
    # Of 1200 fen 700 are withdrawn; what d's runner part of the refund still found there is given back.
    assert (runner["withdrawn_fen"], runner["withdrawing_fen"]) == (700, 0)
    assert runner["available_fen"] in (333, 500)


def _report(played: tuple[int | None, bytes]) -> dict[str, Any]:
    assert played[0] == 0, played[1].decode()[-3000:]
    report: dict[str, Any] = msgspec.json.decode(played[1])
    return report


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_after_any_commit_it_goes_on(tmp_path: Path) -> None:
    undisturbed = _report(_play(f"sqlite:///{tmp_path}/p.db", f"sqlite:///{tmp_path}/b.db", 0, 0, tmp_path))
    _assert_all_well(undisturbed)
    total = undisturbed["commits"]
    assert total > 40, "the day is long enough to be worth killing"
    step = 1 if SOAK else 11
    for commits in range(1, total + 1, step):
        folder = tmp_path / f"killed{commits}"
        folder.mkdir()
        urls = f"sqlite:///{folder}/p.db", f"sqlite:///{folder}/b.db"
        # Commits that meet are made as one, so that the last ones of a day need not come.
        code, said = _play(*urls, 0, commits, folder)
        assert code in ((-signal.SIGKILL,) if commits < total * 0.8 else (-signal.SIGKILL, 0)), said
        # Every lease that the dead process held has run out by then.
        _assert_all_well(_report(_play(*urls, 300, 0, folder)))


def test_killed_again_and_again(postgres_url: str, tmp_path: Path) -> None:
    for turn, commits in enumerate((9, 14, 5, 21, 17, 30)):
        _play(postgres_url, postgres_url, 60.0 * turn, commits, tmp_path)
    _assert_all_well(_report(_play(postgres_url, postgres_url, 600.0, 0, tmp_path)))


async def test_two_processes_drive_at_once(sql_url: str, tmp_path: Path) -> None:
    bank_url = sql_url if sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    count = 60 if SOAK else 12
    async with Desk(sql_url, bank_url) as desk, Desk(sql_url, bank_url) as other:
        names = [f"n{index}" for index in range(count)]
        for name in names:
            await desk.open(name, description="[sandbox:unknown]" if name.endswith("3") else "", is_worked=False)
        await _both(desk, other)
        for name in names:
            assert await other.bank.pay(await other.token(name)) == "paid"
        await _both(desk, other)
        for index, name in enumerate(names):
            if index % 2:
                await desk.payments.submit(desk.settlement(name, 700, 100, 100))
            else:
                await desk.release(name)
        await _both(desk, other)
        for index, name in enumerate(names):
            kinds = await desk.kinds(name)
            assert kinds == ["IntentReady", "Paid", "Settled" if index % 2 else "Released"]
        await desk.assert_books()


async def _both(*desks: Desk) -> None:
    await asyncio.gather(*(desk.settle_down() for desk in desks))


async def test_who_stalls_beyond_the_lease_is_discarded(tmp_path: Path, eventually: Eventually) -> None:
    async with sqlite_desk(tmp_path) as desk, sqlite_desk(tmp_path) as other:
        await desk.open(description="[sandbox:slow=0.4]", is_worked=False)
        stalled = asyncio.create_task(desk.payments.work())
        await eventually(lambda: _is_in(other, ["sandbox:creating"]))
        other.at += timedelta(seconds=60)
        await other.settle_down()
        assert await other.states() == ["sandbox:abandoned", "sandbox:issued"]
        await stalled
        assert await other.states() == ["sandbox:abandoned", "sandbox:issued"]
        assert await other.kinds() == ["IntentReady"]
        assert await other.pay() == "paid"
        await other.assert_books()


async def test_paid_before_the_credential_was_stored(tmp_path: Path, eventually: Eventually) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await desk.open(description="[sandbox:slow=0.4]", is_worked=False)
        working = asyncio.create_task(desk.payments.work())
        await eventually(lambda: _is_in(desk, ["sandbox:creating"]))
        attempt_id = (await desk.view()).attempts[0].attempt_id
        order = await eventually(lambda: desk.bank._read(lambda books: books.order(attempt_id)))
        assert isinstance(order, dict)
        assert await desk.bank.pay(order["token"]) == "paid"
        await working
        await desk.settle_down()
        assert await desk.states() == ["sandbox:paid"]
        assert await desk.kinds() == ["Paid"]
        await desk.assert_books()


async def _is_in(desk: Desk, states: list[str]) -> bool:
    return await desk.states() == states
