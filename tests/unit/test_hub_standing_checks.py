"""Asking the books about connections: in batches, again while they are away, and nobody waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dispatch.hub.codes import CloseCode
from dispatch.hub.connection import Connection
from dispatch.wire.standing_checks import BATCH, StandingChecks
from tests.hub_table import Table

Eventually = Callable[..., Awaitable[object]]


class Desk:
    """Books that may be away."""

    def __init__(self) -> None:
        self.are_away = False
        self.table = Table()
        self.asked: list[int] = []
        self.answered: list[str] = []
        self.gone_on: list[str] = []
        self.checks = StandingChecks(self.ask, self.answer, self.is_heard)

    async def ask(self, whos: Any) -> Any:
        self.asked.append(len(whos))
        if self.are_away:
            raise OSError
        return list(whos)

    def answer(self, connection: Connection, principal: Any, answer: Any) -> None:
        if connection.account_id == "acc_13":
            raise ZeroDivisionError
        self.answered.append(connection.account_id)

    async def is_heard(self, campus_id: str) -> None:
        return

    def wait(self, number: int) -> Connection:
        """A connection that is asked about, and what is to go on after it."""
        speaker, _ = self.table.client(f"acc_{number}/student")
        self.checks.add(speaker)
        self.checks.then(speaker, lambda: self.gone_on.append(speaker.account_id))
        return speaker


async def test_many_are_asked_about_together_and_a_bug_costs_one() -> None:
    desk = Desk()
    speakers = [desk.wait(number) for number in range(2 * BATCH + 5)]
    await desk.checks.done(speakers[-1])
    assert desk.asked == [BATCH, BATCH, 5]
    assert desk.gone_on == [speaker.account_id for speaker in speakers]
    assert len(desk.answered) == len(speakers) - 1
    desk.checks.then(speakers[0], lambda: desk.gone_on.append("again"))
    assert desk.gone_on[-1] == "again", "nothing is asked about them, so they go on at once"
    await desk.checks.stop()


async def test_while_the_books_are_away_everybody_goes_on_and_is_asked_about_later(eventually: Eventually) -> None:
    desk = Desk()
    desk.are_away = True
    speakers = [desk.wait(number) for number in range(BATCH + 50)]
    speakers[3].close(CloseCode.NORMAL)
    await eventually(lambda: len(desk.gone_on) == len(speakers))
    assert desk.asked == [BATCH - 1], "those behind would only find the same"
    desk.are_away = False
    await eventually(lambda: len(desk.answered) == len(speakers) - 2, timeout_s=10)
    assert "acc_3" not in desk.answered
    await desk.checks.stop()


async def test_one_that_is_asked_about_again_waits_for_the_second_answer() -> None:
    desk = Desk()
    speaker = desk.wait(1)
    await asyncio.sleep(0)  # the first question is on its way
    desk.checks.add(speaker)
    await desk.checks.done(speaker)
    assert desk.gone_on == ["acc_1"] and len(desk.answered) in (1, 2)
    await desk.checks.stop()
