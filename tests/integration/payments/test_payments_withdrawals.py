"""Withdrawals through the whole body: asked for, reviewed, limited, failed, and paid when their time has come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from payments.account import ReviewWithdrawal, Withdraw, WithdrawalEvent, WithdrawalFailed, WithdrawalHeld, Withdrawn
from payments.channels.sandbox import shape
from payments.money import Fen
from payments.port import (
    CommandRefused,
    HoldExpiring,
    PayoutFailed,
    Suspicious,
    UnknownWithdrawal,
    WithdrawalRefused,
)
from payments.terms import DAY_S, Terms
from tests.payments_desk import START, Desk, sqlite_desk


@pytest.fixture
async def desk(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    bank_url = ready_sql_url if ready_sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    async with Desk(ready_sql_url, bank_url) as desk:
        yield desk


async def earn(desk: Desk, *names: str, runner: int = 800) -> None:
    for name in names:
        await desk.open_and_pay(name)
        await desk.settle(name, runner=runner, campus=50, platform=150)
        desk.at += timedelta(minutes=1)


async def told(desk: Desk) -> list[WithdrawalEvent]:
    return list(await desk.payments.account_events(1000))


async def test_a_runners_part_is_available_at_settlement_and_stays_with_the_institution(desk: Desk) -> None:
    await earn(desk, "a", "b")
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen, balances.withdrawn_fen) == (1600, 0, 0)
    assert balances.earliest_pay_by is not None
    assert balances.earliest_pay_by - START < timedelta(days=25, minutes=1)
    (book, _) = await desk.bank.books("sandbox")
    assert (book.split_fen, book.frozen_fen) == (200, 800)
    assert (await desk.payments.book("ord_a")).escrow_balance_fen == 0
    await desk.assert_books()


async def test_a_withdrawal_takes_the_oldest_first_and_divides_the_last(desk: Desk) -> None:
    await earn(desk, "a", "b", "c")
    await desk.withdraw("w1", 1000, is_worked=False)
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen, balances.withdrawn_fen) == (1400, 1000, 0)
    await desk.settle_down()
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen, balances.withdrawn_fen) == (1400, 0, 1000)
    split = {book.attempt_id: book.split_fen for book in await desk.bank.books("sandbox")}
    assert sorted(split.values()) == [200, 400, 1000]
    (event,) = await told(desk)
    assert isinstance(event, Withdrawn)
    assert (event.withdrawal_id, event.account_ref, event.campus_id, event.amount_fen) == ("w1", "run", "nu", 1000)
    await desk.payments.acknowledge([event.id])
    assert await told(desk) == []
    (view,) = await desk.payments.withdrawals(account_ref="run")
    assert (view.state, view.paid_fen, view.parts, view.is_automatic) == ("done", 1000, 2, False)
    lines = await desk.payments.statement("run")
    assert [(line.kind, line.amount_fen, line.order_ref) for line in lines[:2]] in (
        [("withdraw", -200, "ord_b"), ("withdraw", -800, "ord_a")],
        [("withdraw", -800, "ord_a"), ("withdraw", -200, "ord_b")],
    )
    await desk.assert_books()
    await desk.withdraw("w2", 1400)
    assert (await desk.payments.balances("run")).available_fen == 0
    assert (await desk.payments.balances("run")).earliest_pay_by is None
    await desk.assert_books()


async def test_the_same_withdrawal_is_made_once(desk: Desk) -> None:
    await earn(desk, "a")
    for _ in range(3):
        await desk.withdraw("w1", 300)
    assert (await desk.payments.balances("run")).withdrawn_fen == 300
    with pytest.raises(ValueError, match="another body"):
        await desk.withdraw("w1", 301)
    assert len(await told(desk)) == 1


@pytest.mark.parametrize(
    ("amount", "field", "limit"), [(99, "amount_fen", 100), (801, "amount_fen", 800), (2**20, "amount_fen", 800)]
)
async def test_limits_are_named(tmp_path: Path, amount: int, field: str, limit: int) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await earn(desk, "a")
        with pytest.raises(WithdrawalRefused) as refused:
            await desk.withdraw("w1", amount)
        assert (refused.value.field, refused.value.limit) == (field, limit)
        assert await desk.payments.withdrawals() == []


async def test_what_is_less_than_the_least_may_be_withdrawn_when_it_is_all(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await earn(desk, "a", runner=60)
        await desk.withdraw("w1", 60)
        assert (await desk.payments.balances("run")).withdrawn_fen == 60


async def test_one_withdrawal_at_a_time_and_so_many_a_day(tmp_path: Path) -> None:
    terms = Terms(most_withdrawals_per_day=2, most_withdrawn_per_day_fen=Fen(500))
    async with sqlite_desk(tmp_path, terms=terms) as desk:
        await earn(desk, "a")
        await desk.withdraw("w1", 200, is_worked=False)
        with pytest.raises(WithdrawalRefused, match="account_ref: open withdrawals at once, at most 1"):
            await desk.withdraw("w2", 200)
        await desk.settle_down()
        with pytest.raises(WithdrawalRefused, match="24 hours allow, in fen 300"):
            await desk.withdraw("w2", 301)
        await desk.withdraw("w2", 300)
        with pytest.raises(WithdrawalRefused, match="account_ref: withdrawals in 24 hours, at most 2"):
            await desk.withdraw("w3", 100)
        await desk.advance(DAY_S + 1)
        await desk.withdraw("w3", 300)
        assert (await desk.payments.balances("run")).available_fen == 0


async def test_a_review_comes_above_a_threshold_or_when_a_rule_asks_for_it(desk: Desk) -> None:
    desk.payments._store.terms = Terms(review_above_fen=Fen(500))
    await earn(desk, "a")
    await desk.withdraw("w1", 600)
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen) == (200, 600)
    await review(desk, "w1", "refuse")
    assert (await desk.payments.balances("run")).available_fen == 800
    await desk.withdraw("w2", 100, risk="new_device")
    await review(desk, "w2", "approve")
    await desk.withdraw("w3", 700)
    await review(desk, "w3", "approve")
    held = [event for event in await told(desk) if isinstance(event, WithdrawalHeld)]
    assert [event.reason for event in held] == ["over_threshold", "new_device", "over_threshold"]
    assert [type(event) for event in await told(desk)] == [
        WithdrawalHeld,
        WithdrawalFailed,
        WithdrawalHeld,
        Withdrawn,
        WithdrawalHeld,
        Withdrawn,
    ]
    states = {view.withdrawal_id: view.state for view in await desk.payments.withdrawals(campus_id="nu")}
    assert states == {"w1": "refused", "w2": "done", "w3": "done"}
    (view,) = await desk.payments.withdrawals(state="refused", limit=1)
    assert (view.reviewed_by, view.review_reason) == ("op", "because")
    with pytest.raises(CommandRefused, match="nothing to review"):
        await review(desk, "w1", "approve", turn=2)
    with pytest.raises(UnknownWithdrawal):
        await review(desk, "w9", "approve")
    await desk.assert_books()


async def review(desk: Desk, withdrawal_id: str, verdict: str, turn: int = 1) -> None:
    command = ReviewWithdrawal(
        id=f"review:{withdrawal_id}:{turn}",
        withdrawal_id=withdrawal_id,
        verdict="approve" if verdict == "approve" else "refuse",
        by="op",
        reason="because",
    )
    await desk.payments.submit(command)
    await desk.settle_down()


async def test_what_went_another_way_meanwhile_is_not_paid_after_a_review(desk: Desk) -> None:
    await earn(desk, "a")
    await desk.withdraw("w1", 800, risk="new_device")
    await desk.refund("a", 500)
    await review(desk, "w1", "approve")
    (event,) = [event for event in await told(desk) if isinstance(event, WithdrawalFailed)]
    assert (event.amount_fen, event.paid_fen) == (800, 400)
    await earn(desk, "b")
    await desk.withdraw("w2", 800, risk="new_device")
    await desk.refund("b", 1000)
    await review(desk, "w2", "approve")
    assert (await desk.payments.withdrawals(account_ref="run", limit=1))[0].reason == "nothing_available"
    await desk.assert_books()


async def test_a_closed_account_gets_it_back_into_what_is_available(desk: Desk) -> None:
    await earn(desk, "a", "b")
    await desk.fault("split_fails", "b", value="runner")
    await desk.withdraw("w1", 1600)
    (event,) = await told(desk)
    assert isinstance(event, WithdrawalFailed)
    assert (event.paid_fen, event.amount_fen, event.reason) == (800, 1600, "receiver_account_abnormal")
    assert isinstance((await desk.told("b"))[-1], PayoutFailed)
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawing_fen, balances.withdrawn_fen) == (800, 0, 800)
    await desk.withdraw("w2", 800)
    assert (await desk.payments.balances("run")).withdrawn_fen == 1600
    await desk.assert_books()


async def test_a_pending_part_is_asked_about_and_a_lost_reply_pays_once(desk: Desk) -> None:
    await earn(desk, "a", "b")
    await desk.fault("split_pending", "a", value="runner")
    await desk.fault("split_lost", "b")
    await desk.withdraw("w1", 1600)
    assert (await desk.payments.balances("run")).withdrawing_fen == 1600
    await desk.advance(60, step_s=5)
    assert (await desk.payments.balances("run")).withdrawn_fen == 1600
    assert [type(event) for event in await told(desk)] == [Withdrawn]
    await desk.assert_books()


async def test_on_day_25_what_is_left_is_paid_and_every_hold_is_told_of(desk: Desk) -> None:
    await earn(desk, "a", "b")
    await desk.open_and_pay("unsettled")
    await desk.open_and_pay("gone")
    await desk.release("gone")
    await desk.withdraw("w1", 300)
    await desk.advance(25 * DAY_S - 3600)
    assert (await desk.payments.balances("run")).available_fen == 1300
    await desk.advance(7200)
    balances = await desk.payments.balances("run")
    assert (balances.available_fen, balances.withdrawn_fen) == (0, 1600)
    *_, last = await told(desk)
    assert isinstance(last, Withdrawn) and last.is_automatic
    for name, fen, is_settled in (("a", 500, True), ("unsettled", 1000, False)):
        (expiring,) = [event for event in await desk.told(name) if isinstance(event, HoldExpiring)]
        assert (expiring.held_fen, expiring.is_settled) == (fen, is_settled)
        assert timedelta(days=29, hours=23) < expiring.expires_at - START < timedelta(days=30, hours=1)
    assert "HoldExpiring" not in await desk.kinds("gone")
    await desk.advance(10 * DAY_S, step_s=DAY_S)
    assert (await desk.kinds("a")).count("HoldExpiring") == 1
    await desk.assert_books()


async def test_an_account_that_stays_closed_is_tried_twice_a_day(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path) as desk:
        await earn(desk, "a")
        await desk.fault("split_fails", "a", count=5, value="runner")
        await desk.advance(25 * DAY_S)
        await desk.advance(DAY_S, step_s=3600)
        assert (await desk.payments.balances("run")).available_fen == 800
        assert len(await desk.payments.withdrawals()) == 3
        await desk.advance(2 * DAY_S, step_s=3600)
        assert (await desk.payments.balances("run")).withdrawn_fen == 800
        await desk.assert_books()


async def test_the_splits_of_an_order_come_to_an_end(tmp_path: Path) -> None:
    terms = Terms(least_withdrawal_fen=Fen(1), most_withdrawals_per_day=1000, pay_again_s=60.0)
    async with sqlite_desk(tmp_path, terms=terms) as desk:
        await earn(desk, "a")
        for turn in range(39):
            await desk.withdraw(f"w{turn}", 1)
        with pytest.raises(WithdrawalRefused, match="amount_fen: not less for this order, in fen 761"):
            await desk.withdraw("w40", 1)
        await desk.fault("split_fails", "a", count=100, value="runner")
        for turn in range(10):
            await desk.withdraw(f"x{turn}", 761)
        with pytest.raises(WithdrawalRefused, match="amount_fen: at most at once, in fen 0"):
            await desk.withdraw("y", 761)
        await desk.advance(26 * DAY_S)
        assert [event.reason for event in await desk.told() if isinstance(event, Suspicious)] == ["no_splits_left"]
        await desk.advance(DAY_S, step_s=3600)
        assert (await desk.kinds()).count("Suspicious") == 1
        assert (await desk.payments.balances("run")).available_fen == 761
        await desk.assert_books()


async def test_who_pays_at_once_leaves_nothing_to_withdraw(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, terms=Terms(payout="at_once")) as desk:
        await desk.fault("split_fails", "a", value="runner")
        await earn(desk, "a")
        assert (await desk.payments.balances("run")).pending_fen == 800
        await desk.advance(60, step_s=5)
        balances = await desk.payments.balances("run")
        assert (balances.pending_fen, balances.available_fen, balances.withdrawn_fen) == (0, 0, 800)
        with pytest.raises(WithdrawalRefused, match="at most what is available, in fen 0"):
            await desk.withdraw("w1", 100)
        await desk.assert_books()


async def test_where_withdrawals_are_transferred_the_split_comes_first(tmp_path: Path) -> None:
    by_transfer = msgspec.structs.replace(shape("sandbox"), transfers_withdrawals=True)
    async with sqlite_desk(tmp_path, [by_transfer]) as desk:
        await desk.open("a", channels=("sandbox",))
        await desk.pay("a")
        await desk.settle("a", runner=800, campus=50, platform=150)
        await desk.fault("transfer_lost", count=2)
        await desk.withdraw("w1", 300)
        assert (await desk.payments.balances("run")).withdrawing_fen == 300
        await desk.advance(60, step_s=5)
        assert (await desk.payments.balances("run")).withdrawn_fen == 300
        assert list((await desk.bank.transfers("sandbox")).values()) == [300]
        await desk.assert_books()
        await desk.fault("split_pending", "a")
        await desk.withdraw("w2", 100)
        assert len(await desk.bank.transfers("sandbox")) == 1, "nothing is transferred before it is the merchant's"
        await desk.fault("transfer_fails")
        await desk.advance(10, step_s=5)
        assert (await desk.payments.balances("run")).available_fen == 500


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"account_ref": ""}, "account_ref"),
        ({"campus_id": "\n"}, "campus_id"),
        ({"amount_fen": 0}, "amount_fen"),
        ({"requested_at": datetime(2026, 3, 2)}, "requested_at"),  # noqa: DTZ001
        ({"risk": "x" * 300}, "risk"),
    ],
)
async def test_malformed_withdrawals_are_named(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    command = Withdraw(id="w", campus_id="nu", account_ref="run", amount_fen=100, requested_at=START)
    async with sqlite_desk(tmp_path) as desk:
        with pytest.raises(ValueError, match=field):
            await desk.payments.submit(msgspec.structs.replace(command, **changes))
        for name in ("withdrawal_id", "by", "reason"):
            said = {"withdrawal_id": "w", "by": "op", "reason": "r", name: ""}
            with pytest.raises(ValueError, match=name):
                await desk.payments.submit(ReviewWithdrawal(id="r", verdict="approve", **said))
        with pytest.raises(ValueError, match="verdict"):
            await desk.payments.submit(
                ReviewWithdrawal(id="r", withdrawal_id="w", verdict="perhaps", by="op", reason="r")  # type: ignore[arg-type]
            )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("least_withdrawal_fen", 0),
        ("most_withdrawn_per_day_fen", 0),
        ("most_withdrawals_per_day", 0),
        ("review_above_fen", -1),
        ("pay_within_s", 40 * DAY_S),
        ("pay_again_s", 0),
        ("refund_within_s", -1),
    ],
)
def test_terms_that_cannot_be_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Terms(**{name: value})  # type: ignore[arg-type]
