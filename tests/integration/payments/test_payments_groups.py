"""An amount over a channel's limit: several payments that are one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from payments.channels import sandbox_signing as signing
from payments.channels.sandbox import shape
from payments.money import Fen
from payments.port import (
    CallbackReply,
    IntentReady,
    OpenIntent,
    Paid,
    Refund,
    Refunded,
    Released,
    Settled,
    SwitchRefused,
)
from tests.payments_desk import SECRET, START, Desk, sqlite_desk

LIMIT = Fen(1000)
SHAPES = (
    msgspec.structs.replace(shape("sandbox"), limit_fen=LIMIT),
    shape("sandbox_backup"),
    msgspec.structs.replace(shape("small"), limit_fen=Fen(100)),
)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with sqlite_desk(tmp_path, SHAPES) as desk:
        yield desk


@pytest.fixture
async def any_desk(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    bank_url = ready_sql_url if ready_sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    async with Desk(ready_sql_url, bank_url, SHAPES) as desk:
        yield desk


async def test_the_parts_are_paid_one_by_one_and_held_as_one(desk: Desk) -> None:
    await desk.open("a", 2500)
    view = await desk.view()
    assert (view.state, view.part, view.parts, view.hold_state) == ("pending", 1, 3, "none")
    for number in (1, 2, 3):
        assert (await desk.view()).part == number
        assert await desk.pay() == "paid"
        assert (await desk.view()).state == ("processing" if number < 3 else "success")
    view = await desk.view()
    assert (view.hold_state, view.credential, view.amount_fen) == ("held", None, 2500)
    told = await desk.told()
    ready = [event for event in told if isinstance(event, IntentReady)]
    assert [(event.part, event.parts) for event in ready] == [(1, 3), (2, 3), (3, 3)]
    assert len({event.credential["token"] for event in ready}) == 3
    (paid,) = [event for event in told if isinstance(event, Paid)]
    assert (paid.amount_fen, paid.order_ref) == (2500, "ord_a")
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.escrow_balance_fen) == (2500, 2500)
    await desk.assert_books()


async def test_an_amount_within_the_limit_is_one_payment(desk: Desk) -> None:
    await desk.open("a", LIMIT)
    view = await desk.view()
    assert (view.part, view.parts, view.channel) == (1, 1, "sandbox")


async def pay_all(desk: Desk, amount_fen: int = 2500) -> None:
    await desk.open("a", amount_fen)
    while (await desk.view()).state != "success":
        assert await desk.pay() == "paid"


async def test_a_settlement_is_divided_to_the_fen(any_desk: Desk) -> None:
    desk = any_desk
    await pay_all(desk)
    await desk.settle("a", runner=1999, campus=101, platform=333)
    view = await desk.view()
    assert (view.hold_state, view.captured_fen, view.released_fen) == ("captured", 2433, 67)
    (settled,) = [event for event in await desk.told() if isinstance(event, Settled)]
    assert (settled.captured_fen, settled.released_fen) == (2433, 67)
    balances = [(await desk.payments.balances(name)).available_fen for name in ("run", "nu", "platform")]
    assert balances == [1999, 101, 333]
    await desk.assert_books()

    await desk.payments.submit(
        Refund(id="refund:a", intent_id="int_a", refund_id="refund-a", amount_fen=1200, reason="complaint")
    )
    await desk.settle_down()
    refunds = [event for event in await desk.told() if isinstance(event, Refunded)]
    assert sum(event.amount_fen for event in refunds) == 1200
    assert len(refunds) == 2
    assert (await desk.view()).refunded_fen == 1200
    await desk.assert_books()


@pytest.mark.parametrize(
    ("refunded_fen", "parts"), [(300, (1760, 88, 352)), (1200, (1040, 52, 208)), (2500, (0, 0, 0))]
)
@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_settlement_divides_what_refunds_have_left(
    desk: Desk, refunded_fen: int, parts: tuple[int, int, int], is_slow: bool
) -> None:
    """A part of one, more than one, and all of them; on the way back still, or there."""
    await pay_all(desk)
    if is_slow:
        await desk.fault("release_fails", count=4)
    await desk.refund("a", refunded_fen)
    await desk.settle("a", runner=2000, campus=100, platform=400)
    await desk.advance(120, step_s=5)
    (settled,) = [event for event in await desk.told() if isinstance(event, Settled)]
    assert (settled.captured_fen, settled.released_fen) == (2500 - refunded_fen, refunded_fen)
    balances = [(await desk.payments.balances(name)).available_fen for name in ("run", "nu", "platform")]
    assert tuple(balances) == parts
    assert [event for event in await desk.told() if isinstance(event, Released)] == []
    await desk.assert_books()


async def test_a_notice_that_comes_many_times_at_once_pays_its_part_once(any_desk: Desk) -> None:
    desk = any_desk

    async def often(channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
        signed = [signing.headers(SECRET, body, time.time(), f"n{number}") for number in range(6)]
        calls = [desk.payments.callback(channel, each, body) for each in signed]
        replies = await asyncio.gather(*calls)
        assert {reply.status for reply in replies} == {200}
        return replies[0]

    desk.bank.notify = often
    await pay_all(desk)
    heard = Counter((row.code, row.subject) for row in await desk.payments.timeline("ord_a") if row.kind == "callback")
    assert sorted(count for (code, _), count in heard.items() if code == "paid_notice") == [1, 1, 1]
    assert sorted(count for (code, _), count in heard.items() if code == "repeated_notice") == [5, 5, 5]
    assert (await desk.kinds()).count("Paid") == 1
    await desk.assert_books()


async def test_a_settlement_of_nothing_gives_every_part_back(desk: Desk) -> None:
    await pay_all(desk)
    await desk.settle("a", runner=0, campus=0, platform=0)
    assert (await desk.view()).hold_state == "released"
    (settled,) = [event for event in await desk.told() if isinstance(event, Settled)]
    assert (settled.captured_fen, settled.released_fen) == (0, 2500)
    await desk.assert_books()


async def test_a_release_gives_every_part_back(desk: Desk) -> None:
    await pay_all(desk)
    await desk.release()
    view = await desk.view()
    assert (view.hold_state, view.released_fen) == ("released", 2500)
    (released,) = [event for event in await desk.told() if isinstance(event, Released)]
    assert released.amount_fen == 2500
    await desk.assert_books()


async def test_when_one_part_is_not_paid_in_time_the_paid_ones_go_back(desk: Desk) -> None:
    await desk.open("a", 2500)
    await desk.pay()
    token = await desk.token()
    await desk.advance(1000, step_s=100)
    view = await desk.view()
    assert (view.state, view.hold_state, view.reason) == ("failed", "none", "part_unpaid")
    assert (await desk.kinds()).count("IntentFailed") == 1
    assert "Paid" not in await desk.kinds()
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.released_fen, book.escrow_balance_fen) == (834, 834, 0)
    assert await desk.bank.pay(token) == "closed"
    await desk.assert_books()
    rows = await desk.payments.timeline("ord_a")
    assert {"part_paid", "group_timer", "part_back"} <= {row.code for row in rows}


async def test_a_part_that_is_paid_after_the_timer_goes_back_too(desk: Desk) -> None:
    await desk.open("a", 1500)
    await desk.pay()
    await desk.fault("pays_closed")
    token = await desk.token()
    await desk.advance(1000, step_s=100)
    assert await desk.bank.pay(token) == "paid"
    await desk.advance(2000, step_s=100)
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.released_fen, book.escrow_balance_fen) == (1500, 1500, 0)
    assert (await desk.view()).state == "failed"
    await desk.assert_books()


async def test_cancelling_halfway_gives_the_paid_part_back(desk: Desk) -> None:
    await desk.open("a", 1500)
    await desk.pay()
    await desk.release()
    assert (await desk.view()).state == "failed"
    (released,) = [event for event in await desk.told() if isinstance(event, Released)]
    assert released.amount_fen == 0, "the whole was never held"
    assert (await desk.payments.book("ord_a")).escrow_balance_fen == 0
    await desk.assert_books()


async def test_the_current_part_is_switched(desk: Desk) -> None:
    await desk.open("a", 1500)
    await desk.pay()
    with pytest.raises(SwitchRefused, match="takes no order of 750 fen"):
        await desk.payments.switch_channel("int_a", "small")
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    assert (await desk.states())[-2:] == ["sandbox:closed", "sandbox_backup:issued"]
    await desk.pay()
    assert (await desk.view()).state == "success"
    await desk.assert_books()


async def test_a_part_that_failed_is_tried_again_on_another_channel(desk: Desk) -> None:
    await desk.open("a", 1500, channels=("sandbox",))
    await desk.pay()
    await desk.open("b", 1500, channels=("sandbox",), is_worked=False)
    await desk.fault("declined", "b")
    await desk.settle_down()
    assert ((await desk.view("b")).state, (await desk.view("b")).reason) == ("failed", "declined")
    await desk.payments.switch_channel("int_b", "sandbox_backup")
    await desk.settle_down()
    assert (await desk.view("b")).state == "pending"
    await desk.pay("b")
    await desk.pay("b")
    assert (await desk.view("b")).state == "success"
    await desk.assert_books()


async def test_a_verdict_on_one_part_ends_the_whole(desk: Desk) -> None:
    await desk.open("a", 1500)
    await desk.fault("refused", "a")
    await desk.pay()
    view = await desk.view()
    assert view.state == "failed"
    assert (await desk.payments.book("ord_a")).escrow_balance_fen == 0
    assert "Paid" not in await desk.kinds()
    with pytest.raises(SwitchRefused):
        await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.assert_books()


async def test_an_amount_that_would_take_too_many_parts_is_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="would take 21 payments"):
        await desk.payments.submit(
            OpenIntent(
                id="open:a",
                intent_id="int_a",
                campus_id="nu",
                order_ref="ord_a",
                payer_ref="student_a",
                amount_fen=20_500,
                description="errand",
                channels=("sandbox",),
                expires_at=START,
            )
        )
    assert await desk.payments.view("int_a") is None
