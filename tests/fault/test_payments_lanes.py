"""A provider that takes every question and never answers: whoever wants to pay, be paid back, or asks another provider
is not held up by it, and nothing of it remains."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payments import driver, lanes
from tests.payments_desk import Desk, sqlite_desk

#: More than a driver has room for at once; ``SOAK=1`` plays it with a thousand.
MANY = 1000 if os.environ.get("SOAK") else 140
GOOD = 1000 if os.environ.get("SOAK") else 40


class Silence:
    """What a provider is asked and does not answer."""

    def __init__(self) -> None:
        self.waiting = 0
        self.given_up = 0

    async def never(self, *_: Any) -> None:
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1
            self.given_up += 1


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up within a test, however slow the machine is."""
    monkeypatch.setattr(driver, "CALL_S", 600.0)
    monkeypatch.setattr(driver, "CREATE_S", 600.0)


async def _open_many(desk: Desk, name: str, count: int, *channels: str) -> None:
    opening = (desk.open(f"{name}{n}", channels=channels, is_worked=False) for n in range(count))
    await asyncio.gather(*opening)


def _ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{folder}/payments.db?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def _states(folder: Path, name: str) -> Counter[str]:
    """The attempts of all payments whose name begins like this."""
    rows = _ask(
        folder, f"SELECT channel || ':' || state FROM attempts WHERE intent_id LIKE 'int\\_{name}%' ESCAPE '\\'"
    )
    return Counter(state for (state,) in rows)


async def _settle(desk: Desk) -> None:
    async with asyncio.timeout(100):
        while await desk.payments.work():
            pass


async def _work_until(desk: Desk, is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await desk.payments.work()


def _held(folder: Path) -> int:
    """How many payments are somebody's at this moment."""
    ((count,),) = _ask(folder, "SELECT COUNT(*) FROM intents WHERE lease_until IS NOT NULL")
    return int(count)


@pytest.mark.usefixtures("patience")
async def test_questions_that_are_never_answered_hold_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await _open_many(desk, "hang", MANY, "sandbox")
        await _open_many(desk, "other", 5, "sandbox_backup")
        await _settle(desk)
        assert _states(tmp_path, "hang") == {"sandbox:issued": MANY}
        assert await desk.bank.pay(await desk.token("other0")) == "paid"

        silence = Silence()
        monkeypatch.setattr(desk.channel("sandbox"), "query", silence.never)
        desk.at += timedelta(seconds=20)
        # All of the first are due to be asked about; more of them than a driver has room for.
        await _work_until(desk, lambda: silence.waiting >= lanes.MOST_ASKED)
        await desk.payments.submit(desk.settlement("other0", 700, 100, 200))
        await desk.payments.switch_channel("int_other1", "sandbox")
        await _open_many(desk, "good", GOOD, "sandbox", "sandbox_backup")
        await _work_until(desk, lambda: _states(tmp_path, "good") == {"sandbox:issued": GOOD})
        # The other provider is asked and told, too.
        await _work_until(
            desk, lambda: _states(tmp_path, "other1") == {"sandbox_backup:closed": 1, "sandbox:issued": 1}
        )
        await _work_until(desk, lambda: _ask(tmp_path, "SELECT id FROM instructions WHERE NOT is_done") == [])
        assert len(_ask(tmp_path, "SELECT id FROM instructions WHERE is_done")) == 1

        assert silence.given_up == 0
        assert lanes.MOST_ASKED <= silence.waiting <= lanes.MOST_ASKED + lanes.BATCH["asked"]
    assert silence.waiting == 0, "stopping gives up what hangs"


async def test_calls_that_never_come_back_leave_everything_to_as_many_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CREATE_S", 0.05)
    monkeypatch.setattr(driver, "CALL_S", 0.05)
    async with sqlite_desk(tmp_path) as desk:
        before, channel, silence = len(asyncio.all_tasks()), desk.channel("sandbox"), Silence()
        with monkeypatch.context() as silent:
            silent.setattr(channel, "create_credential", silence.never)
            silent.setattr(channel, "query", silence.never)
            await _open_many(desk, "gone", GOOD, "sandbox")
            await _settle(desk)
            assert _states(tmp_path, "gone") == {"sandbox:abandoned": GOOD}
            # They are asked about, again without an answer.
            desk.at += timedelta(seconds=301)
            await _settle(desk)
        assert (silence.waiting, silence.given_up >= 2 * GOOD) == (0, True)
        assert (_held(tmp_path), len(asyncio.all_tasks())) == (0, before)

        # Its breaker is open by now; the only way to pay is tried all the same, and it works.
        monkeypatch.setattr(driver, "CREATE_S", 600.0)
        monkeypatch.setattr(driver, "CALL_S", 600.0)
        await _open_many(desk, "good", GOOD, "sandbox")
        await _settle(desk)
        assert _states(tmp_path, "good") == {"sandbox:issued": GOOD}
        desk.at += timedelta(seconds=1500)
        await _settle(desk)
        assert _states(tmp_path, "gone") == {"sandbox:closed": GOOD}
        assert (_held(tmp_path), len(asyncio.all_tasks())) == (0, before)
        await desk.assert_books()
