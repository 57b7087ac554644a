"""Whatever is asked of payments in whatever order, with whatever faults: no fen is lost, made or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments import ledger
from payments.ledger import Entry
from payments.money import Fen
from payments.port import PaymentsError
from tests.payments_desk import Desk, sqlite_desk

NAMES = ("a", "b")
_name = st.sampled_from(NAMES)

_ACTIONS = st.one_of(
    st.tuples(st.just("open"), _name),
    st.tuples(st.just("pay"), _name),
    st.tuples(st.just("pay_old"), _name),
    st.tuples(st.just("switch"), _name, st.sampled_from(("sandbox", "sandbox_backup"))),
    st.tuples(st.just("settle"), _name, st.integers(0, 1200)),
    st.tuples(st.just("release"), _name),
    st.tuples(st.just("refund"), _name, st.integers(1, 600), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from((1, 20, 400, 1000))),
    st.tuples(
        st.just("fault"),
        st.sampled_from((
            "declined", "refused", "unknown", "request_lost", "late", "lost", "doubled", "insufficient", "query_lost",
            "close_ignored", "pays_closed", "split_fails", "split_pending", "split_lost", "release_fails",
            "release_lost", "refund_fails",
        )),
    ),
)  # fmt: skip


@settings(
    max_examples=1000 if os.environ.get("SOAK") else 25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(_ACTIONS, min_size=3, max_size=14))
def test_no_fen_is_lost_made_or_doubled(actions: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), [("open", "a"), *actions]))


async def _play(folder: Path, actions: list[tuple[object, ...]]) -> None:
    async with sqlite_desk(folder) as desk:
        tokens: dict[str, list[str]] = {name: [] for name in NAMES}
        for action in actions:
            await _act(desk, tokens, action)
            for name in NAMES:
                view = await desk.payments.view(f"int_{name}")
                if view and view.credential and view.credential["token"] not in tokens[name]:
                    tokens[name].append(view.credential["token"])
        await desk.bank.clear_scripts()
        await desk.advance(2 * 3600, step_s=450)
        await _reconcile(desk)
        await desk.assert_books()
        for name in NAMES:
            await _assert_told_right(desk, name)


async def _reconcile(desk: Desk) -> None:
    """The next morning's bill tells of what a bank took for an order that it had called closed, and kept to itself."""
    await desk.advance(24 * 3600)
    while await desk.payments.upkeep.reconciler.work():
        await desk.settle_down()
    await desk.advance(120)
    assert await desk.payments.upkeep.reconciliation.open_items() == []


async def _act(desk: Desk, tokens: dict[str, list[str]], action: tuple[object, ...]) -> None:
    match action:
        case ("open", str(name)):
            if await desk.payments.view(f"int_{name}") is None:
                await desk.open(name)
        case ("pay" | "pay_old", str(name)) if tokens[name]:
            await desk.bank.pay(tokens[name][-1 if action[0] == "pay" else 0])
            await desk.settle_down()
        case ("switch", str(name), str(channel)):
            await _try(desk, desk.payments.switch_channel(f"int_{name}", channel))
        case ("settle", str(name), int(runner)):
            await _try(desk, desk.payments.submit(desk.settlement(name, runner)))
        case ("release", str(name)):
            await _try(desk, desk.release(name))
        case ("refund", str(name), int(amount), int(turn)):
            await _try(desk, desk.refund(name, amount, turn))
        case ("advance", int(seconds)):
            await desk.advance(seconds, step_s=max(1, seconds / 5))
        case ("fault", str(fault)):
            await desk.fault(fault)  # type: ignore[arg-type]
        case _:
            pass


async def _try(desk: Desk, doing: object) -> None:
    with contextlib.suppress(PaymentsError, ValueError):
        await doing  # type: ignore[misc]
    await desk.settle_down()


async def _assert_told_right(desk: Desk, name: str) -> None:
    view = await desk.payments.view(f"int_{name}")
    if view is None:
        return
    kinds = await desk.kinds(name)
    assert kinds.count("Paid") == (1 if view.state == "success" else 0)
    assert kinds.count("Settled") <= 1
    book = await desk.payments.book(f"ord_{name}")
    assert book.held_fen == book.captured_fen + book.released_fen + book.escrow_balance_fen
    if view.hold_state in ("captured", "released"):
        assert book.escrow_balance_fen == 0
    assert (view.captured_fen, view.released_fen, view.refunded_fen) == (
        book.captured_fen,
        book.released_fen,
        book.refunded_fen,
    )
    assert not any(attempt.state == "paid_duplicate" for attempt in view.attempts), "given back by now"


_ACCOUNTS = ("bank:x", "escrow:i", "runner:r", "platform", "student:s")


@given(
    st.lists(
        st.tuples(st.sampled_from(_ACCOUNTS), st.sampled_from(_ACCOUNTS), st.integers(1, 10**7)).filter(
            lambda entry: entry[0] != entry[1]
        )
    )
)
def test_entries_can_only_move_money(moves: list[tuple[str, str, int]]) -> None:
    entries = [
        Entry(debit=debit, credit=credit, amount_fen=Fen(fen), kind="k", ref="r", attempt_id="a")
        for debit, credit, fen in moves
    ]
    assert sum(ledger.changes(entries).values()) == 0
