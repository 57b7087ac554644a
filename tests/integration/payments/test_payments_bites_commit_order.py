"""Whatever an institution is told is on disk before it hears of it, and a payer holds nothing that is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from payments.attempt import AttemptState
from payments.channels.sandbox import shape
from payments.store.unit_of_work import Store
from tests.payments_desk import Desk

SHAPES = (shape("sandbox"), shape("card", "debit"), shape("page", "local"))


@pytest.fixture
def told(sql_url: str) -> Desk:
    """A desk on either database; the bank keeps its own books beside ours."""
    return Desk(sql_url, sql_url if sql_url.startswith("postgresql") else f"{sql_url}.bank", SHAPES)


def spied(desk: Desk, code: str, operation: str, look: Callable[[str], Awaitable[object]], into: list[object]) -> None:
    """Before this channel's operation does its work, note what somebody else would find in the database."""
    channel = desk.channel(code)
    work: Callable[..., Awaitable[Any]] = getattr(channel, operation)

    async def first_looked(*given: Any, **named: Any) -> Any:
        into.append(await look(code))
        return await work(*given, **named)

    setattr(channel, operation, first_looked)


async def test_what_is_told_was_committed_before(told: Desk, sql_url: str) -> None:
    other = Store(sql_url)
    seen: list[object] = []

    async def attempts(code: str) -> object:
        return await other.read(lambda uow: [(one.channel, one.state) for one in uow.attempts.of(f"int_{code}")])

    async def instructions(code: str) -> object:
        return await other.read(lambda uow: [(one.kind, one.is_done) for one in uow.instructions.of(f"int_{code}")])

    async with told as desk:
        for code, operation in (("sandbox", "create_credential"), ("card", "debit"), ("page", "create_credential")):
            spied(desk, code, operation, attempts, seen)
            await desk.open(code, channels=(code,))
            assert seen == [[(code, AttemptState.CREATING)]], "the row, and nothing after it"
            seen.clear()
        for code in ("sandbox", "page"):
            assert (await desk.view(code)).credential is not None
            assert await attempts(code) == [(code, AttemptState.ISSUED)], "what the payer holds is on disk"
        spied(desk, "sandbox", "close", attempts, seen)
        spied(desk, "card", "split", instructions, seen)
        spied(desk, "card", "give_back", instructions, seen)
        await desk.release("sandbox")
        await desk.settle("card", runner=100, campus=100)
        split, rest = [("split", False)], [("split", True), ("release", False)]
        assert seen == [[("sandbox", AttemptState.CLOSING)], split, rest]
    other.close()
