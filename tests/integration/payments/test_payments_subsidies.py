"""Coupons and vouchers: entries with a payer, out of its own share first, owed and transferred beyond that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from payments import instruct
from payments.books.booking import Booking
from payments.channels.sandbox import shape
from payments.money import Party
from payments.outcomes import WAITS_FOR_PAYEE, MoneyAnswer
from payments.port import OpenIntent, Settle, Share, Subsidy, SubsidyOwed
from payments.store.rows import Instruction
from payments.store.unit_of_work import UnitOfWork
from tests.payments_desk import START, Desk, sqlite_desk


@pytest.fixture
async def desk(ready_sql_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    bank_url = ready_sql_url if ready_sql_url.startswith("postgres") else f"sqlite:///{tmp_path}/bank.db"
    async with Desk(ready_sql_url, bank_url) as desk:
        yield desk


def coupon(amount_fen: int, party: Party = "platform", ref: str = "coupon-1") -> Subsidy:
    return Subsidy(party=party, account_ref="platform" if party == "platform" else "nu", amount_fen=amount_fen, ref=ref)


async def open_and_pay(desk: Desk, amount_fen: int, *subsidies: Subsidy, name: str = "a") -> None:
    await desk.open(name, amount_fen, subsidies=subsidies)
    assert await desk.pay(name) == "paid"


async def test_the_payer_of_a_coupon_leaves_its_own_share(desk: Desk) -> None:
    await open_and_pay(desk, 950, coupon(50))
    await desk.settle("a", runner=800, campus=50, platform=150)
    book = await desk.payments.book("ord_a")
    assert (book.held_fen, book.captured_fen, book.released_fen, book.escrow_balance_fen) == (950, 950, 0, 0)
    view = await desk.view()
    assert (view.hold_state, view.captured_fen) == ("captured", 950)
    assert (await desk.payments.balances("run")).available_fen == 800
    assert (await desk.payments.balances("platform")).available_fen == 100
    totals = await desk.payments.totals("nu")
    assert (totals.captured_fen, totals.subsidies_fen, totals.platform_fen) == (950, 50, 100)
    await desk.assert_books()


async def test_what_is_beyond_its_share_is_owed_and_transferred(desk: Desk) -> None:
    await desk.fault("transfer_lost")
    await open_and_pay(desk, 600, coupon(400))
    await desk.settle("a", runner=800, campus=50, platform=150)
    balances = await desk.payments.balances("run")
    assert (balances.pending_fen, balances.available_fen, balances.withdrawn_fen) == (250, 550, 0)
    await desk.advance(10, step_s=5)
    balances = await desk.payments.balances("run")
    assert (balances.pending_fen, balances.available_fen, balances.withdrawn_fen) == (0, 550, 250)
    assert await desk.bank.transfers("sandbox") != {}
    await desk.assert_books()
    await desk.withdraw("w1", 550)
    assert (await desk.payments.balances("run")).withdrawn_fen == 800
    await desk.refund("a", 600)
    view = await desk.view()
    assert view.refunded_fen == 600, "the payer gets back what it paid and no more"
    await desk.assert_books()


async def test_what_is_owed_is_confirmed_and_asked_for_under_a_new_number_when_it_was_not(desk: Desk) -> None:
    await desk.fault("transfer_fails")
    await open_and_pay(desk, 600, coupon(400))
    await desk.settle("a", runner=800, campus=50, platform=150)

    def say(answer: MoneyAnswer) -> Callable[[UnitOfWork], Instruction]:
        def book(uow: UnitOfWork) -> Instruction:
            (order,) = uow.instructions.unfinished("transfer")
            instruct.book_answer(Booking(uow, desk.at, desk.payments._new_id), order, answer)
            return order

        return book

    run, question = desk.payments._store.run, {"kind": "wechat_transfer", "invoke": {"package": "p"}}
    first = await run(say(MoneyAnswer(standing="pending", reason=WAITS_FOR_PAYEE, confirm=question)))
    (shown,) = await desk.payments.confirmations("run")
    assert (shown.number, shown.withdrawal_id, shown.amount_fen, shown.credential) == (first.id, "", 250, question)
    await run(say(MoneyAnswer(standing="no_answer")))
    assert await desk.payments.confirmations("run") == [shown], "silence takes nothing back"
    await run(say(MoneyAnswer(standing="failed", reason="cancelled", is_spent=True)))
    assert await desk.payments.confirmations("run") == []
    (again,) = await run(lambda uow: uow.instructions.unfinished("transfer"))
    assert again.id != first.id and again.amount_fen == 250 and again.due_at is not None and again.due_at > desk.at
    assert await desk.bank.transfers("sandbox") == {}
    await desk.advance(3600, step_s=300)
    assert await desk.bank.transfers("sandbox") == {again.id: 250}
    assert (await desk.payments.balances("run")).withdrawn_fen == 250
    await desk.assert_books()


async def test_numbers_are_not_used_up_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.books.captures.MOST_TRANSFERS", 2)
    await desk.fault("transfer_fails", count=1000)
    await open_and_pay(desk, 600, coupon(400))
    await desk.settle("a", runner=800, campus=50, platform=150)
    numbers = []
    for _ in range(4):

        def spend(uow: UnitOfWork) -> str:
            (order,) = uow.instructions.unfinished("transfer")
            spent = MoneyAnswer(standing="failed", reason="cancelled", is_spent=True)
            instruct.book_answer(Booking(uow, desk.at, desk.payments._new_id), order, spent)
            return order.id

        numbers.append(await desk.payments._store.run(spend))
    assert len(set(numbers)) == 2 and len(set(numbers[1:])) == 1
    assert (await desk.payments.balances("run")).pending_fen == 250, "it is owed all the same"


async def test_where_nothing_can_be_transferred_somebody_is_told(tmp_path: Path) -> None:
    async with sqlite_desk(tmp_path, [shape("sandbox", can_transfer=False), shape("sandbox_backup")]) as desk:
        await open_and_pay(desk, 700, coupon(300, "campus"))
        await desk.settle("a", runner=800, campus=50, platform=150)
        (owed,) = [event for event in await desk.told() if isinstance(event, SubsidyOwed)]
        assert (owed.party, owed.account_ref, owed.receiver_ref, owed.amount_fen, owed.ref) == (
            "campus",
            "nu",
            "run",
            250,
            "coupon-1",
        )
        assert (await desk.kinds())[-1] == "Settled"
        assert (await desk.payments.balances("run")).pending_fen == 250
        await desk.assert_books()


async def test_the_payers_money_goes_first(desk: Desk) -> None:
    """An order that turned out cheaper: only what is missing is taken of a coupon, and nothing is given away."""
    await open_and_pay(desk, 900, coupon(100))
    await desk.settle("a", runner=800, campus=50, platform=100)
    assert (await desk.payments.balances("platform")).available_fen == 50
    assert (await desk.view()).released_fen == 0
    await open_and_pay(desk, 900, coupon(100), name="b")
    await desk.settle("b", runner=300, campus=0, platform=0)
    assert (await desk.view("b")).released_fen == 600
    await open_and_pay(desk, 900, coupon(100), name="c")
    await desk.release("c")
    assert (await desk.view("c")).hold_state == "released"
    assert (await desk.payments.totals("nu")).subsidies_fen == 50
    await desk.assert_books()


async def test_several_payers_in_turn(desk: Desk) -> None:
    await open_and_pay(desk, 500, coupon(100, "campus", "c1"), coupon(400, "platform", "c2"))
    await desk.settle("a", runner=700, campus=150, platform=150)
    await desk.advance(10, step_s=5)
    assert (await desk.payments.balances("nu")).available_fen == 50
    assert (await desk.payments.balances("platform")).available_fen == 0
    assert (await desk.payments.balances("run")).available_fen == 450
    assert (await desk.payments.balances("run")).withdrawn_fen == 250
    await desk.assert_books()


@pytest.mark.parametrize(("refunded_fen", "division"), [(100, (720, 45, 0)), (800, (0, 0, 0))])
async def test_a_subsidy_stays_where_a_part_was_refunded_and_is_not_used_for_nothing(
    desk: Desk, refunded_fen: int, division: tuple[int, int, int]
) -> None:
    await open_and_pay(desk, 800, coupon(200))
    await desk.refund("a", refunded_fen)
    await desk.settle("a", runner=800, campus=50, platform=150)
    await desk.advance(10, step_s=5)
    balances = [await desk.payments.balances(name) for name in ("run", "nu", "platform")]
    assert tuple(each.available_fen + each.withdrawn_fen for each in balances) == division
    assert (await desk.payments.totals("nu")).subsidies_fen == (200 if refunded_fen < 800 else 0)
    await desk.assert_books()


async def test_shares_may_not_be_more_than_order_and_subsidies(desk: Desk) -> None:
    await open_and_pay(desk, 900, coupon(50))
    with pytest.raises(ValueError, match="out of a hold of 950"):
        await desk.settle("a", runner=951, campus=0, platform=0)


async def test_a_split_group_is_subsidised_as_one(tmp_path: Path) -> None:
    limited = msgspec.structs.replace(shape("sandbox"), limit_fen=1000)
    async with sqlite_desk(tmp_path, [limited, shape("sandbox_backup")]) as desk:
        await desk.open("a", 2500, channels=("sandbox",), subsidies=(coupon(500),))
        for _ in range(3):
            assert await desk.pay("a") == "paid"
        await desk.settle("a", runner=2500, campus=100, platform=400)
        view = await desk.view()
        assert (view.hold_state, view.captured_fen) == ("captured", 2500)
        await desk.advance(10, step_s=5)
        assert (await desk.payments.balances("run")).available_fen == 2400
        assert (await desk.payments.balances("run")).withdrawn_fen == 100
        await desk.withdraw("w1", 2400)
        assert (await desk.payments.balances("run")).withdrawn_fen == 2500
        await desk.refund("a", 1200)
        await desk.advance(10, step_s=5)
        assert (await desk.view()).refunded_fen == 1200
        await desk.assert_books()


async def test_a_split_group_is_refunded_out_of_its_holds(tmp_path: Path) -> None:
    limited = msgspec.structs.replace(shape("sandbox"), limit_fen=1000)
    async with sqlite_desk(tmp_path, [limited, shape("sandbox_backup")]) as desk:
        for name in "ab":
            await desk.open(name, 2000, channels=("sandbox",))
            for _ in range(2):
                assert await desk.pay(name) == "paid"
            await desk.refund(name, 1500)
        shares = (Share(party="runner", account_ref="run", amount_fen=400),)
        await desk.payments.submit(Settle(id="settle:a", intent_id="int_a", shares=shares, at=START))
        await desk.release("b")
        await desk.advance(10, step_s=5)
        assert (await desk.view("a")).captured_fen == 400
        assert (await desk.view("a")).released_fen == 1600
        assert (await desk.kinds("a"))[-1] == "Settled"
        released = (await desk.told("b"))[-1]
        assert (type(released).__name__, getattr(released, "amount_fen", None)) == ("Released", 500)
        await desk.assert_books()


@pytest.mark.parametrize(
    "subsidies",
    [
        (coupon(0),),
        (coupon(-1),),
        (coupon(10**7),),
        (coupon(10, "runner"),),
        (Subsidy(party="platform", account_ref="nu", amount_fen=5, ref="r"),),
        (Subsidy(party="campus", account_ref="platform", amount_fen=5, ref="r"),),
        (Subsidy(party="campus", account_ref="nu", amount_fen=5, ref=""),),
        (coupon(1),) * 9,
    ],
)
async def test_malformed_subsidies_are_named(tmp_path: Path, subsidies: tuple[Subsidy, ...]) -> None:
    async with sqlite_desk(tmp_path) as desk:
        with pytest.raises(ValueError, match="subsidies"):
            await desk.open(subsidies=subsidies)


def test_a_command_without_subsidies_says_what_it_always_said() -> None:
    command = OpenIntent(
        id="c",
        intent_id="int_x",
        campus_id="nu",
        order_ref="o",
        payer_ref="p",
        amount_fen=1,
        description="",
        channels=("sandbox",),
        expires_at=START,
    )
    assert b"subsidies" not in msgspec.json.encode(command)
    assert list(msgspec.to_builtins(command)) == ["type", "id", "intent_id", *list(msgspec.to_builtins(command))[3:]]
