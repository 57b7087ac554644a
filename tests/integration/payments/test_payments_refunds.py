"""Refunds by every path, through a bank that says no or nothing, each with its deadline never more than was paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from payments.account import RefundPart
from payments.channels.sandbox import shape
from payments.money import Fen
from payments.port import CommandRefused, Refund, Refunded, RefundOverdue, Released, Settled
from payments.terms import DAY_S
from tests.payments_desk import Desk, sqlite_desk

AGAIN = Refund(id="other", intent_id="int_a", refund_id="refund-a-1", amount_fen=5, reason="")


@pytest.fixture
async def desk(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    bank_url = ready_sql_url if ready_sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    async with Desk(ready_sql_url, bank_url) as desk:
        yield desk


async def parts(desk: Desk, name: str = "a") -> list[tuple[str, str, int]]:
    (refund, *_) = await desk.payments.refunds(order_ref=f"ord_{name}")
    return [(part.path, part.party, part.amount_fen) for part in refund.parts]


async def test_before_it_is_divided_a_refund_comes_out_of_the_hold(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.refund("a", 300)
    view = await desk.view()
    assert (view.hold_state, view.released_fen, view.refunded_fen) == ("held", 300, 0)
    refunded = (await desk.told())[-1]
    assert isinstance(refunded, Refunded)
    assert (refunded.refund_id, refunded.amount_fen, refunded.is_from_hold) == ("refund-a-1", 300, True)
    assert await parts(desk) == [("held", "platform", 300)]
    with pytest.raises(ValueError, match="out of a hold of 1000"):
        await desk.settle("a", runner=1001, campus=0, platform=0)
    await desk.settle("a", runner=500, campus=50, platform=100)
    settled = (await desk.told())[-1]
    assert isinstance(settled, Settled)
    assert (settled.captured_fen, settled.released_fen) == (650, 350)
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.captured_fen, book.released_fen, book.escrow_balance_fen) == (1000, 650, 350, 0)
    await desk.assert_books()


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_settlement_divides_what_refunds_have_left_in_proportion(desk: Desk, is_slow: bool) -> None:
    """As everybody would have given back afterwards: 100 of 800, 50 and 150 are 80, 5 and 15."""
    if is_slow:
        await desk.fault("release_fails", count=2)
    await desk.open_and_pay()
    await desk.refund("a", 100)
    await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.advance(60, step_s=5)
    refunded, settled = [event for event in await desk.told() if isinstance(event, Refunded | Settled)]
    assert isinstance(refunded, Refunded) and isinstance(settled, Settled), "in this order"
    assert (settled.captured_fen, settled.released_fen) == (900, 100)
    assert [(await desk.payments.balances(who)).available_fen for who in ("run", "nu", "platform")] == [720, 45, 135]
    assert (await desk.view()).hold_state == "captured"
    await desk.assert_books()


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_hold_that_was_refunded_whole_is_settled_at_zero(desk: Desk, is_slow: bool) -> None:
    if is_slow:
        await desk.fault("release_fails", count=2)
    await desk.open_and_pay()
    await desk.refund("a", 1000)
    for _ in range(2):
        await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.advance(60, step_s=5)
    (settled,) = [event for event in await desk.told() if isinstance(event, Settled)]
    assert (settled.captured_fen, settled.released_fen) == (0, 1000)
    assert (await desk.view()).hold_state == "released"
    with pytest.raises(CommandRefused, match="settled"):
        await desk.release()
    await desk.assert_books()


async def test_all_of_a_hold_may_be_refunded_by_parts_and_is_released_then(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.refund("a", 400, turn=1)
    await desk.refund("a", 600, turn=2)
    assert (await desk.view()).hold_state == "released"
    with pytest.raises(CommandRefused):
        await desk.refund("a", 1, turn=3)
    await desk.release()
    await desk.release()
    released = [event for event in await desk.told() if isinstance(event, Released)]
    assert [event.amount_fen for event in released] == [0]
    await desk.assert_books()


async def test_a_settlement_and_a_release_wait_for_a_refund_that_is_on_its_way(desk: Desk) -> None:
    await desk.fault("release_fails", count=2)
    for name in "ab":
        await desk.open_and_pay(name)
        await desk.refund(name, 1000 if name == "b" else 300)
    await desk.settle("a", runner=600, campus=50, platform=50)
    await desk.release("b")
    assert [(await desk.view(name)).hold_state for name in "ab"] == ["releasing", "releasing"]
    assert "Settled" not in await desk.kinds("a")
    await desk.advance(60, step_s=5)
    assert [(await desk.view(name)).hold_state for name in "ab"] == ["captured", "released"]
    assert (await desk.kinds("a"))[-2:] == ["Refunded", "Settled"]
    assert (await desk.kinds("b"))[-2:] == ["Refunded", "Released"]
    await desk.assert_books()


async def test_afterwards_everybody_gives_back_its_part(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.refund("a", 100)
    assert await parts(desk) == [("take_back", "campus", 5), ("take_back", "platform", 15), ("dues", "runner", 80)]
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawn_fen) == (720, 0)
    assert (await desk.payments.balances("nu")).available_fen == 45
    assert (await desk.payments.statement("run"))[0].amount_fen == -80
    view = await desk.view()
    assert (view.hold_state, view.captured_fen, view.refunded_fen) == ("captured", 1000, 100)
    (book,) = await desk.bank.books("sandbox")
    assert (book.frozen_fen, book.split_fen, book.returned_fen, book.refunded_fen) == (720, 180, 100, 0)
    await desk.assert_books()
    await desk.refund("a", 900, turn=2)
    assert await parts(desk) == [("take_back", "campus", 45), ("take_back", "platform", 135), ("dues", "runner", 720)]
    assert (await desk.payments.balances("run")).available_fen == 0
    with pytest.raises(CommandRefused, match="0 fen left"):
        await desk.refund("a", 1, turn=3)
    assert (await desk.kinds())[-2:] == ["Refunded", "Refunded"]
    totals = await desk.payments.totals("nu")
    assert (totals.refunded_fen, totals.runner_fen, totals.campus_fen, totals.platform_fen) == (1000, 0, 0, 0)
    await desk.assert_books()


async def test_what_a_person_has_the_platform_bears(desk: Desk) -> None:
    await desk.open_and_pay()
    await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.withdraw("w1", 750)
    await desk.refund("a", 1000)
    assert await parts(desk) == [
        ("take_back", "campus", 50),
        ("take_back", "platform", 150),
        ("dues", "runner", 50),
        ("borne", "runner", 750),
    ]
    assert (await desk.payments.balances("platform")).available_fen == -750
    (book,) = await desk.bank.books("sandbox")
    assert (book.frozen_fen, book.split_fen, book.returned_fen, book.refunded_fen) == (0, 750, 250, 750)
    assert (await desk.view()).refunded_fen == 1000
    assert (await desk.kinds()).count("Refunded") == 1
    await desk.assert_books()


async def test_where_nothing_can_be_taken_back_the_platform_bears_it(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("sandbox", takes_back_from=()), shape("sandbox_backup")]) as desk:
        await desk.open_and_pay()
        await desk.settle("a", runner=800, campus=50, platform=150)
        await desk.refund("a", 100)
        assert await parts(desk) == [("borne", "campus", 5), ("borne", "platform", 15), ("dues", "runner", 80)]
        assert (await desk.payments.balances("nu")).available_fen == 50
        await desk.assert_books()


async def test_a_receiver_that_keeps_saying_no_is_left_alone(desk: Desk) -> None:
    await desk.fault("take_back_fails", "a", count=3, value="campus")
    await desk.fault("take_back_lost", "a")
    await desk.open_and_pay()
    await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.refund("a", 100)
    assert [refund.state for refund in await desk.payments.refunds(is_open=True)] == ["taking_back"]
    await desk.advance(120, step_s=5)
    assert await parts(desk) == [("borne", "campus", 5), ("take_back", "platform", 15), ("dues", "runner", 80)]
    assert await desk.payments.refunds(is_open=True, campus_id="nu") == []
    assert (await desk.payments.balances("nu")).available_fen == 50
    await desk.assert_books()


async def test_a_withdrawal_that_fails_during_a_refund_pays_for_it_after_all(desk: Desk) -> None:
    """The runner's part is being withdrawn, so the platform is to bear it; the bank has nothing split to refund from,
    and then the withdrawal fails."""
    await desk.open_and_pay()
    await desk.settle("a", runner=1000, campus=0, platform=0)
    await desk.fault("split_pending", "a", value="runner")
    await desk.withdraw("w1", 1000)
    await desk.refund("a", 400)
    assert await parts(desk) == [("borne", "runner", 400)]
    (move,) = await desk.bank._run(lambda books: books._sql.rows("SELECT id FROM moves WHERE state = 'pending'"))
    closing = "UPDATE moves SET state = 'closed', reason = 'account_closed' WHERE id = :id"
    await desk.bank._run(lambda books: books._sql.do(closing, id=move["id"]))
    await desk.advance(60, step_s=5)
    assert await parts(desk) == [("dues", "runner", 400)]
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen, balances.withdrawn_fen) == (600, 0, 0)
    assert (await desk.view()).refunded_fen == 400
    await desk.assert_books()


async def test_a_refund_that_takes_too_long_is_told_once_and_goes_on(desk: Desk) -> None:
    await desk.fault("refund_fails", "a", count=200)
    await desk.open_and_pay()
    await desk.settle("a", runner=1000, campus=0, platform=0)
    await desk.withdraw("w1", 1000)
    await desk.refund("a", 100)
    await desk.advance(2 * DAY_S, step_s=6 * 3600)
    overdue = [event for event in await desk.told() if isinstance(event, RefundOverdue)]
    assert [(event.refund_id, event.amount_fen) for event in overdue] == [("refund-a-1", 100)]
    (refund,) = await desk.payments.refunds(order_ref="ord_a")
    assert (refund.state, refund.is_overdue, refund.done_at) == ("paying", True, None)
    await desk.bank.clear_scripts()
    await desk.advance(3600)
    (refund,) = await desk.payments.refunds(is_open=False)
    assert refund.state == "done" and refund.done_at is not None
    assert refund.parts == (RefundPart(path="borne", party="runner", account_ref="run", amount_fen=Fen(100)),)
    await desk.assert_books()


async def test_a_duplicate_is_a_refund_that_people_can_follow(desk: Desk) -> None:
    await desk.open()
    old = await desk.token()
    await desk.fault("close_ignored", "a", count=5)
    await desk.fault("pays_closed", "a")
    await desk.payments.switch_channel("int_a", "sandbox_backup")
    await desk.settle_down()
    await desk.bank.clear_scripts()
    await desk.advance(60, step_s=5)
    await desk.pay()
    await desk.fault("pays_closed", "a")
    assert await desk.bank.pay(old) == "paid"
    await desk.settle_down()
    assert await parts(desk) == [("duplicate", "platform", 1000)]
    (refund,) = await desk.payments.refunds(order_ref="ord_a")
    assert refund.state == "done"
    await desk.assert_books()


async def test_refunds_are_refused_where_there_is_nothing(desk: Desk) -> None:
    await desk.open()
    with pytest.raises(CommandRefused, match="0 fen left"):
        await desk.refund("a", 1)
    await desk.pay()
    await desk.refund("a", 100)
    with pytest.raises(CommandRefused, match="exists already"):
        await desk.payments.submit(AGAIN)
    for turn in range(2, 49):
        await desk.refund("a", 1, turn=turn)
    with pytest.raises(CommandRefused, match="as often as the institution allows"):
        await desk.refund("a", 1, turn=49)
    await desk.release()
    assert (await desk.view()).hold_state == "released"
    await desk.assert_books()
