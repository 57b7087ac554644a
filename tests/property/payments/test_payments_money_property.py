"""Settlements, withdrawals, reviews and refunds in whatever order, with faults and crashes: the books always balance,
nobody is paid twice, nothing is lost, and every due is paid by its day."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.account import ReviewWithdrawal
from payments.channels.sandbox import shape
from payments.money import Fen, Party
from payments.outcomes import Receiver
from payments.port import PaymentsError, Settle, Share, Subsidy
from payments.settlement import by_weight
from payments.subsidies import Added, divide
from payments.terms import DAY_S, Terms
from tests.payments_desk import START, Desk

SOAK = bool(os.environ.get("SOAK"))
NAMES = ("a", "b", "c")
RUNNERS = ("run", "ran")
TERMS = Terms(review_above_fen=Fen(700), most_withdrawals_per_day=50, most_withdrawn_per_day_fen=Fen(10**6))
FAULTS = (
    "split_fails", "split_pending", "split_lost", "release_fails", "release_lost", "refund_fails", "take_back_fails",
    "take_back_lost", "transfer_fails", "transfer_lost",
)  # fmt: skip

_name, _runner = st.sampled_from(NAMES), st.sampled_from(RUNNERS)
_ACTIONS = st.one_of(
    st.tuples(st.just("settle"), _name, st.integers(0, 700), st.integers(0, 200), st.integers(0, 100)),
    st.tuples(st.just("withdraw"), _runner, st.integers(50, 1200), st.sampled_from(("", "", "new_device"))),
    st.tuples(st.just("withdraw_all"), _runner, st.sampled_from(("", *FAULTS[:3]))),
    st.tuples(st.just("review"), st.sampled_from(("approve", "refuse"))),
    st.tuples(st.just("refund"), _name, st.integers(1, 1000), st.sampled_from(("", *FAULTS[3:8]))),
    st.tuples(st.just("release"), _name),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS), st.integers(1, 4)),
    st.tuples(st.just("crash"), st.integers(1, 40)),
    st.tuples(st.just("advance"), st.sampled_from((3.0, 60.0, 3600.0, 13 * DAY_S))),
)
#: A refund out of a hold that is not back yet, and what wants the same money next.
_ON_ITS_WAY = st.tuples(
    st.tuples(
        st.just("refund"), st.just("c"), st.integers(200, 900), st.sampled_from(("release_fails", "release_lost"))
    ),
    st.sampled_from((("settle", "c", 500, 200, 100), ("release", "c"), ("refund", "c", 800, ""))),
)
_PLAYS = st.tuples(
    st.integers(0, 600),
    st.sampled_from(("campus", "platform")),
    st.sampled_from(((),)) | _ON_ITS_WAY,
    st.lists(_ACTIONS, min_size=4, max_size=12),
)
Play = tuple[int, str, tuple[tuple[object, ...], ...], list[tuple[object, ...]]]
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=400 if SOAK else 14, deadline=None, suppress_health_check=_SLOW)
@given(_PLAYS)
def test_every_fen_reaches_somebody_once(play: Play) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(f"sqlite:///{folder}/p.db", f"sqlite:///{folder}/b.db", *play))


@settings(max_examples=40 if SOAK else 3, deadline=None, suppress_health_check=_SLOW)
@given(_PLAYS)
def test_every_fen_reaches_somebody_once_on_postgresql(postgres_url: str, play: Play) -> None:
    import psycopg

    plain = postgres_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS payments, sandbox_bank CASCADE")
    asyncio.run(_play(postgres_url, postgres_url, *play))


async def _play(
    url: str,
    bank_url: str,
    coupon_fen: int,
    payer: str,
    on_its_way: tuple[tuple[object, ...], ...],
    actions: list[tuple[object, ...]],
) -> None:
    shapes = (shape("sandbox", can_transfer=coupon_fen % 2 == 0), shape("sandbox_backup"))
    async with Desk(url, bank_url, shapes, TERMS) as desk:
        party: Party = "campus" if payer == "campus" else "platform"
        account = "nu" if payer == "campus" else "platform"
        for name in NAMES:
            fen = coupon_fen if name == "a" else 0
            subsidies = (Subsidy(party=party, account_ref=account, amount_fen=fen, ref="c"),) if fen else ()
            await desk.open(name, 1000, subsidies=subsidies)
            assert await desk.pay(name) == "paid"
        # Two orders are settled to begin with, or most of what follows would find nothing to do.
        begun: list[tuple[object, ...]] = [("settle", name, 500 + coupon_fen, 200, 100) for name in NAMES[:2]]
        for number, action in enumerate([*begun, *on_its_way, *actions]):
            await _act(desk, number, action)
            await _assert_nothing_is_made_up(desk)
        await desk.bank.clear_scripts()
        await desk.advance(7200, step_s=450)
        await desk.assert_books()
        await desk.advance(27 * DAY_S, step_s=DAY_S / 2)
        await desk.assert_books()
        await _assert_paid(desk)


async def _act(desk: Desk, number: int, action: tuple[object, ...]) -> None:
    with contextlib.suppress(PaymentsError, ValueError):
        match action:
            case ("settle", str(name), int(first), int(second), int(platform)):
                shares = (
                    Share(party="runner", account_ref=RUNNERS[0], amount_fen=first),
                    Share(party="runner", account_ref=RUNNERS[1], amount_fen=second),
                    Share(party="campus", account_ref="nu", amount_fen=platform // 2),
                    Share(party="platform", account_ref="platform", amount_fen=platform),
                )
                await desk.payments.submit(Settle(id=f"s{number}", intent_id=f"int_{name}", shares=shares, at=START))
            case ("withdraw", str(runner), int(fen), str(risk)):
                await desk.withdraw(f"w{number}", fen, runner, risk=risk, is_worked=False)
            case ("withdraw_all", str(runner), str(fault)):
                if fault:
                    await desk.fault(fault)  # type: ignore[arg-type]
                fen = (await desk.payments.balances(runner)).available_fen
                await desk.withdraw(f"w{number}", fen, runner, is_worked=False)
            case ("review", str(verdict)):
                for held in await desk.payments.withdrawals(state="held", limit=1):
                    command = ReviewWithdrawal(
                        id=f"r{number}",
                        withdrawal_id=held.withdrawal_id,
                        verdict="approve" if verdict == "approve" else "refuse",
                        by="op",
                        reason="r",
                    )
                    await desk.payments.submit(command)
            case ("refund", str(name), int(fen), str(fault)):
                if fault:
                    await desk.fault(fault)  # type: ignore[arg-type]
                await desk.refund(name, fen, turn=number)
            case ("release", str(name)):
                await desk.release(name)
            case ("fault", str(fault), int(count)):
                await desk.fault(fault, count=count)  # type: ignore[arg-type]
            case ("crash", int(turns)):
                await _crash(desk, turns)
                return
            case ("advance", float(seconds)):
                await desk.advance(seconds, step_s=max(3.0, seconds / 4))
    await desk.settle_down()


async def _crash(desk: Desk, turns: int) -> None:
    """Give up in the middle of a pass: what is under way is never heard of again, and its leases have to run out."""
    working = asyncio.create_task(desk.payments.work())
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await desk.payments._driver.stop()
    await desk.advance(16)


async def _assert_nothing_is_made_up(desk: Desk) -> None:
    for runner in RUNNERS:
        balances = await desk.payments.balances(runner)
        assert min(balances.available_fen, balances.withdrawing_fen, balances.pending_fen) >= 0


async def _assert_paid(desk: Desk) -> None:
    """Every runner has what it was captured for and did not give back; the bank says that it paid exactly that."""
    paid = await desk.bank._run(
        lambda books: books._sql.rows(
            "SELECT account_ref, SUM(amount_fen) AS fen FROM moves"
            " WHERE kind = 'split' AND party = 'runner' AND state = 'paid' GROUP BY account_ref"
        )
    )
    split = {row["account_ref"]: int(row["fen"]) for row in paid}
    transferred = await desk.bank._run(
        lambda books: books._sql.rows("SELECT account_ref, SUM(amount_fen) AS fen FROM transfers GROUP BY account_ref")
    )
    for row in transferred:
        split[row["account_ref"]] = split.get(row["account_ref"], 0) + int(row["fen"])
    for runner in RUNNERS:
        balances = await desk.payments.balances(runner)
        assert (balances.available_fen, balances.withdrawing_fen) == (0, 0), "every due is paid by its day"
        assert split.get(runner, 0) == balances.withdrawn_fen
    assert await desk.payments.refunds(is_open=True) == []
    for name in NAMES:
        view = await desk.view(name)
        book = await desk.payments.book(f"ord_{name}")
        assert book.held_fen == 1000 == book.captured_fen + book.released_fen + book.escrow_balance_fen
        assert (view.captured_fen, view.released_fen, view.refunded_fen) == (
            book.captured_fen,
            book.released_fen,
            book.refunded_fen,
        )
        if view.hold_state in ("captured", "released"):
            assert book.escrow_balance_fen == 0
        kinds = await desk.kinds(name)
        assert kinds.count("Settled") + kinds.count("Released") <= 1
        assert kinds.count("RefundOverdue") <= len(await desk.payments.refunds(order_ref=f"ord_{name}"))
    held = {view.withdrawal_id for view in await desk.payments.withdrawals(state="held")}
    ended = [
        event.withdrawal_id
        for event in await desk.payments.account_events(1000)
        if type(event).__name__ != "WithdrawalHeld"
    ]
    every = {view.withdrawal_id for view in await desk.payments.withdrawals(limit=500)}
    assert sorted(ended) == sorted(every - held), "each withdrawal ends once"


# -- the arithmetic -------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_parts_by_weight_add_up_and_none_is_more_than_its_weight(fen: int, weights: list[int]) -> None:
    if not 0 < fen <= sum(weights):
        return
    parts = by_weight(Fen(fen), weights)
    assert sum(parts) == fen
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))


_ACCOUNTS = (("runner", "r"), ("runner", "s"), ("campus", "nu"), ("platform", "platform"))


@given(
    st.lists(st.integers(0, 500), min_size=4, max_size=4),
    st.integers(0, 2000),
    st.lists(st.tuples(st.sampled_from(_ACCOUNTS[2:]), st.integers(1, 900)), max_size=3),
)
def test_a_division_gives_everybody_what_it_is_due(
    due: list[int], cash_fen: int, added: list[tuple[tuple[str, str], int]]
) -> None:
    receivers = [
        Receiver(party=party, account_ref=ref, amount_fen=Fen(fen))  # type: ignore[arg-type]
        for (party, ref), fen in zip(_ACCOUNTS, due, strict=True)
        if fen
    ]
    subsidies = [
        Added(part=part, party=party, account_ref=ref, amount_fen=Fen(fen), ref="c")  # type: ignore[arg-type]
        for part, ((party, ref), fen) in enumerate(added, 1)
    ]
    if sum(due) > cash_fen + sum(fen for _, fen in added):
        return
    division = divide(receivers, Fen(cash_fen), subsidies)
    assert sum(receiver.amount_fen for receiver in division.cash) == min(cash_fen, sum(due))
    for receiver in receivers:
        account = (receiver.party, receiver.account_ref)
        cash = sum(each.amount_fen for each in division.cash if (each.party, each.account_ref) == account)
        borne = sum(b.payer.amount_fen for b in division.borne if (b.payer.party, b.payer.account_ref) == account)
        owed = sum(
            o.receiver.amount_fen for o in division.owed if (o.receiver.party, o.receiver.account_ref) == account
        )
        assert cash + borne + owed == receiver.amount_fen
    for each in subsidies:
        assert division.used_fen(each.part) <= each.amount_fen
    assert not any(
        (owed.party, owed.account_ref) == (owed.receiver.party, owed.receiver.account_ref) for owed in division.owed
    )


def test_more_than_is_there_is_not_divided() -> None:
    receiver = Receiver(party="runner", account_ref="r", amount_fen=Fen(5))
    with pytest.raises(AssertionError, match="more is divided"):
        divide([receiver], Fen(4), [])
