"""Callbacks whose word is not enough: those of a channel that is asked before anything is booked, of another channel's
order, and those that cannot be booked in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from payments import callbacks
from payments.channels.sandbox import shape
from payments.money import Fen
from payments.outcomes import PaidNotice, QueryAnswer
from tests.payments_desk import Desk, sqlite_desk

ASKED = msgspec.structs.replace(shape("sandbox"), confirms_by_query=True)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with sqlite_desk(tmp_path, (ASKED, shape("sandbox_backup"))) as desk:
        await desk.open()
        yield desk


async def noticed(desk: Desk, amount_fen: int = 1000, notice_id: str = "p", channel: str = "sandbox") -> int:
    """A provider's word that the order is paid; what it hears."""
    (attempt,) = (await desk.view()).attempts
    notice = PaidNotice(
        notice_id=notice_id, attempt_id=attempt.attempt_id, amount_fen=Fen(amount_fen), transaction_id="t"
    )
    desk.channel(channel).read_callback = lambda headers, body: notice  # type: ignore[method-assign]
    return (await desk.payments.callback(channel, {}, b"")).status


async def outcomes(desk: Desk) -> dict[str, int]:
    await desk.payments._callbacks.write_down()
    tallies = await desk.payments.callback_tallies(desk.at - timedelta(hours=1))
    return {tally.outcome: tally.count for tally in tallies}


def answering(desk: Desk, answer: QueryAnswer) -> None:
    async def query(attempt_id: str) -> QueryAnswer:
        return answer

    desk.channel().query = query  # type: ignore[method-assign]


@pytest.mark.parametrize("standing", ["unpaid", "absent", "closed", "no_answer"])
async def test_a_word_that_a_query_does_not_bear_out_books_nothing(desk: Desk, standing: str) -> None:
    answering(desk, QueryAnswer(standing=standing))  # type: ignore[arg-type]
    assert await noticed(desk) == 400, "it shall come again"
    assert (await desk.view()).state == "pending"
    assert await outcomes(desk) == {"unconfirmed": 1}
    answering(desk, QueryAnswer(standing="paid", amount_fen=Fen(1000), transaction_id="asked"))
    assert await noticed(desk, amount_fen=1) == 200, (
        "the same message, now borne out; what it says itself counts nothing"
    )
    view = await desk.view()
    assert (view.state, view.hold_state) == ("success", "held")
    assert await outcomes(desk) == {"unconfirmed": 1, "accepted": 1}


async def test_another_amount_in_the_query_is_never_success(desk: Desk) -> None:
    answering(desk, QueryAnswer(standing="paid", amount_fen=Fen(999), transaction_id="asked"))
    assert await noticed(desk) == 200
    assert (await desk.view()).state == "suspicious"


async def test_nobody_speaks_for_another_channels_order(desk: Desk) -> None:
    assert await noticed(desk, channel="sandbox_backup") == 400
    assert (await desk.view()).state == "pending"
    assert await outcomes(desk) == {"unknown": 1}


async def test_what_cannot_be_booked_in_time_is_to_come_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "REPLY_S", 0.05)

    async def query(attempt_id: str) -> QueryAnswer:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    desk.channel().query = query  # type: ignore[method-assign]
    assert await noticed(desk) == 400
    assert await outcomes(desk) == {"late": 1}
    monkeypatch.undo()
    answering(desk, QueryAnswer(standing="paid", amount_fen=Fen(1000), transaction_id="asked"))
    assert await noticed(desk) == 200
    assert (await desk.view()).state == "success"
