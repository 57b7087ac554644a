"""What the search takes for one step is what the shipping transaction commits: every plan, answer, proof and look at a
whole that a search ever came upon is laid into SQL and done there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.attempt import Attempt, AttemptState, attempt_id
from payments.books.booking import Booking
from payments.books.group_books import tend_group
from payments.explore.group import Group, GroupWorld, is_group_settled
from payments.explore.moves import Failover
from payments.explore.search import search
from payments.explore.world import (
    EXPIRES_AT,
    KINDS,
    MOMENTS,
    T0,
    Row,
    World,
    attempt_of,
    is_settled,
    row_of,
)
from payments.failover import Close, Phase, Query
from payments.money import Fen
from payments.outcomes import (
    CloseAnswer,
    Declined,
    Issued,
    NotIssued,
    OrderToCreate,
    QueryAnswer,
    Refused,
    Unknown,
)
from payments.port import HoldState
from payments.steps import Answer, Call, Create, Steps
from payments.store import tables
from payments.store.database import migrate
from payments.store.migrations import MIGRATIONS
from payments.store.rows import IntentRow
from payments.store.unit_of_work import SCHEMA, Store, UnitOfWork
from payments.terms import Terms

LEASE = timedelta(seconds=15)


class Searched(Failover):
    """A game that remembers which proofs were booked."""

    def __init__(self, channels: str) -> None:
        super().__init__(channels)
        self.books: dict[tuple[Any, ...], World] = {}

    def _book(self, world: World, index: int) -> World:
        booked = super()._book(world, index)
        self.books[world.rows, world.paid, world.phase, world.switch_to, world.moment, index] = booked
        return booked


def searched(channels: str, **limits: int) -> Searched:
    game = Searched(channels)
    found = search(
        World(**limits), game.moves, is_double=lambda _: False, is_broken=lambda *_: False, is_at_rest=is_settled
    )
    assert found.states > 100
    return game


class Shipped:
    """The shipping steps over one transaction, whose clock is moved by hand."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.at = T0
        self.numbers = count()
        self.steps = Steps(KINDS, lambda: self.at, self.new_id, lambda _: False, LEASE)

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self.numbers)}"

    @contextmanager
    def laid(self, moment: int) -> Iterator[UnitOfWork]:
        """A moment at which something is tried; nothing of it stays."""
        self.at = MOMENTS[moment]
        savepoint = self.connection.begin_nested()
        yield UnitOfWork(self.connection, Terms())
        savepoint.rollback()


def hold_of(paid: int | None, phase: Phase) -> HoldState:
    return "none" if paid is None else "releasing" if phase == "cancelled" else "held"


def number_in_sql(index: int, intent_id: str = "int_a") -> str:
    return attempt_id(intent_id, index + 1)


def lay_intent(uow: UnitOfWork, channels: str, rows: tuple[Row, ...], **fields: Any) -> IntentRow:
    """An intent with these attempts, as the shipping code would have left them; asking is allowed at once."""
    intent = IntentRow(
        **{
            "id": "int_a",
            "amount_fen": Fen(1),
            "channels": tuple(channels),
            "expires_at": EXPIRES_AT,
            "campus_id": "nu",
            "order_ref": "ord_a",
            "payer_ref": "student_a",
            "description": "errand",
            "created_at": T0,
        }
        | fields
    )
    uow.intents.add(intent, due_at=None)
    for index, row in enumerate(rows):
        name = number_in_sql(index, intent.id)
        uow.attempts.add(msgspec.structs.replace(attempt_of(row, index), id=name, intent_id=intent.id))
    return intent


def rows_in(uow: UnitOfWork, before: tuple[Row, ...], moment: int) -> tuple[tuple[Row, ...], list[Attempt]]:
    attempts = uow.attempts.of("int_a")
    born = [row.born for row in before] + [moment] * (len(attempts) - len(before))
    rows = [
        row_of(attempt, Row(attempt.channel, its_born, "")) for attempt, its_born in zip(attempts, born, strict=True)
    ]
    return tuple(rows), attempts


def call_in(call: Call | None, moment: int) -> tuple[Any, ...] | None:
    match call:
        case None:
            return None
        case Create(number=number):
            return "create", number - 1
        case Query(attempt):
            return "query", attempt.number - 1, moment
        case Close(attempt):
            return "close", attempt.number - 1


GAMES = [
    pytest.param(channels, limits, id=f"{channels} {limits}")
    for channels, limits in (
        ("vw", {"wishes": 1, "lies": 1}),
        ("qw", {"crashes": 1}),
        ("lw", {"wishes": 1}),
        ("dw", {"crashes": 1}),
        ("kw", {}),
        ("tp", {}),
    )
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('ships')}/payments.db")
    store.database.run_now(lambda connection: migrate(connection, MIGRATIONS, schema=SCHEMA))
    yield store
    store.close()


def ship(store: Store, do: Callable[[Shipped], None]) -> None:
    store.database.run_now(lambda connection: do(Shipped(connection)))


@pytest.mark.parametrize(("channels", "limits"), GAMES)
def test_what_is_searched_is_what_is_committed(store: Store, channels: str, limits: dict[str, int]) -> None:
    game = searched(channels, **limits)
    assert min(len(game._plans), len(game._answers), len(game.books)) > 20

    def do(shipped: Shipped) -> None:
        for key, planned in game._plans.items():
            _plan(shipped, channels, key, planned)
        for answer_key, after in game._answers.items():
            _answer(shipped, answer_key, after)
        for book_key, world in game.books.items():
            _book(shipped, channels, book_key, world)

    ship(store, do)


def _plan(shipped: Shipped, channels: str, key: tuple[Any, ...], planned: tuple[Any, ...]) -> None:
    rows, paid, phase, switch_to, moment = key
    with shipped.laid(moment) as uow:
        paid_by = None if paid is None else number_in_sql(paid)
        facts = {"phase": phase, "switch_to": switch_to, "paid_attempt": paid_by, "hold_state": hold_of(paid, phase)}
        lay_intent(uow, channels, rows, **facts)
        until = shipped.at + LEASE
        uow.intents.change("int_a", lease_until=until)
        done = shipped.steps.plan("int_a", until, uow)
        if done is None:
            _allow_asking(uow)
            uow.intents.change("int_a", lease_until=until)
            done = shipped.steps.plan("int_a", until, uow)
        after, attempts = rows_in(uow, rows, moment)
        intent = uow.intents.require("int_a")
        call = call_in(done.call if done else None, moment)
        if len(attempts) > len(channels):
            # The search ends where every channel had its turn; what ships goes on when somebody wishes it to.
            after, call, intent = after[: len(channels)], None, msgspec.structs.replace(intent, switch_to=switch_to)
        assert (after, intent.phase, intent.switch_to, call) == planned, key
        assert intent.paid_attempt == paid_by
        for index, row in enumerate(after):
            told, kept = attempts[index], attempt_of(row, index)
            assert (told.expires_at, told.dead_after) == (kept.expires_at, kept.dead_after), key
        # Whoever calls somebody has it on disk that they do, and nobody else takes the intent meanwhile.
        assert uow.intents.is_held("int_a", until) is (done is not None)


def _allow_asking(uow: UnitOfWork) -> None:
    """The search asks when it likes, since a rung of the ladder only delays: no attempt has to wait for its turn."""
    for attempt in uow.attempts.of("int_a"):
        uow.attempts.save(msgspec.structs.replace(attempt, ask_at=attempt.created_at), attempt.state)


ANSWERS: dict[str, Answer] = {
    "issued": Issued({}),
    "not_issued": NotIssued("timeout"),
    "declined": Declined("balance"),
    "unanswered": Unknown("timeout"),
}


def _answered(attempt: Attempt, how: str) -> tuple[Call, Answer]:
    match how:
        case "issued" | "not_issued" | "declined" | "unanswered" | "refused":
            order = OrderToCreate(
                attempt_id=attempt.id,
                amount_fen=attempt.amount_fen,
                description="errand",
                order_ref="ord_a",
                payer_ref="student_a",
                expires_at=attempt.expires_at,
            )
            is_debit = KINDS[attempt.channel].is_direct_debit
            judged: Answer = Declined("rule", may_switch=False) if is_debit else Refused("rule")
            return Create(attempt.channel, attempt.number, attempt, order), ANSWERS.get(how, judged)
        case "close":
            asked: CloseAnswer = "asked"
            return Close(attempt), asked
        case _:
            return Query(attempt), QueryAnswer(standing=how)  # type: ignore[arg-type]


def _answer(shipped: Shipped, key: tuple[Any, ...], expected: Row | None) -> None:
    row, how, asked, moment = key
    with shipped.laid(moment) as uow:
        lay_intent(uow, row.channel, (row,))
        (attempt,) = uow.attempts.of("int_a")
        call, answer = _answered(attempt, how)
        shipped.steps.apply(call, answer, MOMENTS[asked], uow)
        (after,), (told,) = rows_in(uow, (row,), moment)
        assert after == (row if expected is None else expected), key
        # What a payer may be told is what is on disk.
        assert (told.credential is not None) is (after.state == AttemptState.ISSUED and how == "issued"), key
        assert len(uow.outbox.waiting(10)) == (how == "issued" and expected is not None), key


def _book(shipped: Shipped, channels: str, key: tuple[Any, ...], expected: World) -> None:
    rows, paid, phase, switch_to, moment, index = key
    with shipped.laid(moment) as uow:
        paid_by = None if paid is None else number_in_sql(paid)
        facts = {"phase": phase, "switch_to": switch_to, "paid_attempt": paid_by, "hold_state": hold_of(paid, phase)}
        lay_intent(uow, channels, rows, **facts)
        attempt = uow.attempts.require(number_in_sql(index))
        proof = QueryAnswer(standing="paid", amount_fen=Fen(1), transaction_id="t1")
        for _ in range(2):  # A proof comes as often as it likes.
            shipped.steps.apply(Query(attempt), proof, shipped.at, uow)
        after, _ = rows_in(uow, rows, moment)
        intent = uow.intents.require("int_a")
        assert after == expected.rows, key
        assert intent.paid_attempt == (None if expected.paid is None else number_in_sql(expected.paid)), key
        assert (intent.phase, intent.switch_to) == (expected.phase, expected.switch_to), key
        # The search gives back a second payment, and one of a cancelled intent: both are on their way from here on.
        goes_back = [(order.kind, order.id) for order in uow.instructions.of("int_a")]
        is_new = rows[index].state not in ("paid", "paid_duplicate", "refunded")
        is_second, is_unwanted = is_new and paid is not None, is_new and paid is None and expected.phase == "cancelled"
        # Whoever books it, even out of a restored backup, uses the same number for it.
        second, unwanted = ("refund_duplicate", f"{attempt.id}D1"), ("release", f"{attempt.id}U1")
        assert goes_back == ([second] if is_second else [unwanted] if is_unwanted else []), key


class Part(NamedTuple):
    """A part as the search looks at it."""

    rows: tuple[Row, ...]
    paid: int | None
    phase: Phase
    hold: HoldState


@pytest.mark.parametrize(
    ("channels", "limits"),
    [("l", {"wishes": 1}), ("d", {})],
    ids=str,
)
def test_a_group_is_searched_as_it_is_committed(store: Store, channels: str, limits: dict[str, int]) -> None:
    game = Group(channels)
    start = GroupWorld(parts=(World(), World()), **limits)
    search(start, game.moves, is_double=lambda _: False, is_broken=lambda *_: False, is_at_rest=is_group_settled)
    assert len(game._tended) > 50

    def do(shipped: Shipped) -> None:
        for key, tended in game._tended.items():
            _tend(shipped, channels, key, tended)

    ship(store, do)


def _tend(shipped: Shipped, channels: str, key: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    phase, is_paid, started, moment, *looks = key
    parts = [Part(*look) for look in looks]
    with shipped.laid(moment) as uow:
        ids = [f"int_aP{number}" for number in range(1, len(parts) + 1)]
        last = parts[-1].paid
        payer = number_in_sql(last, ids[-1]) if is_paid and last is not None else None
        whole = {"part": 0, "amount_fen": Fen(len(parts)), "paid_attempt": payer}
        lay_intent(uow, channels, (), phase=phase, hold_state="held" if is_paid else "none", **whole)
        for number, part in enumerate(parts, 1):
            name = ids[number - 1]
            lay_intent(
                uow,
                channels,
                part.rows,
                id=name,
                part=number,
                parent_intent_id="int_a",
                phase=part.phase,
                paid_attempt=None if part.paid is None else number_in_sql(part.paid, name),
                hold_state=part.hold,
                released_fen=Fen(int(part.hold == "released")),
            )
        tend_group(Booking(uow, shipped.at, shipped.new_id), uow.intents.require("int_a"))
        parent = uow.intents.require("int_a")
        children = uow.intents.children("int_a")
        is_paid_now = parent.paid_attempt is not None
        after_phase, after_paid, after_started, *phases = expected
        assert (parent.phase, is_paid_now) == (after_phase, after_paid), key
        assert [child.phase for child in children] == phases, key
        is_due = tables.intents.c.due_at <= shipped.at
        due = shipped.connection.execute(sa.select(tables.intents.c.id).where(is_due)).scalars().all()
        woken = [number for number, name in enumerate(ids, 1) if name in due]
        if after_started > started:
            assert woken == [after_started], key
        for number, (part, child) in enumerate(zip(parts, children, strict=True), 1):
            if child.phase != part.phase:
                assert number in woken, "a part that ends is looked at"
            is_back = part.hold == "held" and child.phase == "cancelled"
            assert [order.kind for order in uow.instructions.of(child.id)] == (["release"] if is_back else []), key
