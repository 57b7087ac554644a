"""Credit in SQL: lines are added, one after the other and once each; the score moves with them and never apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from dispatch.model.account import Role, RunnerStatus
from dispatch.model.credit import AppealStatus, CreditAppeal, CreditEntry, CreditReason
from dispatch.model.errors import NotFound, StaleVersion
from dispatch.model.offer import OfferStatus

R = CreditReason


@pytest.fixture
async def runner(books: Any) -> Any:
    return await books.member(None, Role.RUNNER, status=RunnerStatus.APPROVED, on_duty=True)


def line(books: Any, account_id: str, number: int, delta: int, balance: int, **changes: Any) -> CreditEntry:
    entry = CreditEntry(
        books.new_id("crd"), books.here, account_id, number, books.clock.now(), delta, balance, R.ON_TIME,
        f"ord_{number}", "v1", facts={"minutes": 3},
    )  # fmt: skip
    return replace(entry, **changes)


async def add(books: Any, entry: CreditEntry) -> CreditEntry:
    await books.store.run(entry.campus_id, lambda uow: uow.credit.append(entry))
    return entry


async def test_lines_are_kept_as_they_are_and_move_the_score(books: Any, runner: Any) -> None:
    first = await add(books, line(books, runner.id, 1, 80, 80, reason=R.OPENING))
    second = await add(
        books, line(books, runner.id, 2, -3, 77, reason=R.LATE, order_id="ord_2", note="迟", actor_id="a")
    )
    member = await books.store.read(books.here, lambda uow: uow.memberships.get(runner.id))
    assert (member.credit, member.credit_lines) == (77, 2)
    assert await books.store.read(books.here, lambda uow: uow.credit.page(runner.id)) == [second, first]
    assert await books.store.read(books.here, lambda uow: uow.credit.page(runner.id, before=2)) == [first]
    assert await books.store.read(books.here, lambda uow: uow.credit.last(runner.id)) == second
    assert await books.store.read(books.here, lambda uow: uow.credit.get(first.id)) == first
    assert await books.store.read(books.here, lambda uow: uow.credit.find(runner.id, R.LATE, "ord_2")) == second
    assert await books.store.read(books.here, lambda uow: uow.credit.find(runner.id, R.LOST, "ord_2")) is None
    with pytest.raises(NotFound):
        await books.store.read(books.here, lambda uow: uow.credit.get("crd_x"))


async def test_a_number_is_written_once_and_none_is_left_out(books: Any, runner: Any) -> None:
    await add(books, line(books, runner.id, 1, 80, 80))
    for number in (1, 3):
        with pytest.raises(StaleVersion):
            await add(books, line(books, runner.id, number, 1, 81, subject_id="ord_other"))
    member = await books.store.read(books.here, lambda uow: uow.memberships.get(runner.id))
    assert (member.credit, member.credit_lines) == (80, 1)


async def test_one_thing_moves_the_score_once(books: Any, runner: Any) -> None:
    await add(books, line(books, runner.id, 1, 80, 80, subject_id="ord_1"))
    with pytest.raises(Exception) as failed:
        await add(books, line(books, runner.id, 2, 1, 81, subject_id="ord_1"))
    assert isinstance(failed.value.__cause__ or failed.value, IntegrityError)
    member = await books.store.read(books.here, lambda uow: uow.memberships.get(runner.id))
    assert (member.credit, member.credit_lines) == (80, 1), "the score did not move without its line"


async def test_the_database_itself_refuses_a_score_out_of_bounds(books: Any, runner: Any) -> None:
    for balance in (-1, 101):
        with pytest.raises(Exception) as failed:
            await add(books, line(books, runner.id, 1, balance, balance))
        assert isinstance(failed.value.__cause__ or failed.value, IntegrityError)


async def test_many_at_once_lose_no_line(books: Any, runner: Any) -> None:
    """Each reads the score and writes the next line; two stores are two processes."""
    await add(books, line(books, runner.id, 1, 40, 40, reason=R.OPENING, subject_id="x"))
    other = books.another_store()
    await other.start()

    def one_more(subject: str) -> Any:
        def write(uow: Any) -> None:
            member = uow.memberships.get(runner.id)
            uow.credit.append(line(books, runner.id, member.credit_lines + 1, 1, member.credit + 1, subject_id=subject))

        return write

    stores = [books.store, other]
    await asyncio.gather(*(stores[n % 2].run(books.here, one_more(f"ord_{n}")) for n in range(24)))
    await other.stop()
    member = await books.store.read(books.here, lambda uow: uow.memberships.get(runner.id))
    lines = await books.store.read(books.here, lambda uow: uow.credit.page(runner.id, limit=100))
    assert (member.credit, member.credit_lines, len(lines)) == (64, 25, 25)
    assert sum(entry.delta for entry in lines) == 64 and [entry.balance for entry in lines] == list(range(64, 39, -1))
    assert await books.store.read_global(lambda unit: unit.checks.violations()) == {}


async def test_a_score_that_is_not_its_lines_is_found(books: Any, runner: Any) -> None:
    await add(books, line(books, runner.id, 1, 80, 80))
    assert await books.store.read_global(lambda unit: unit.checks.violations()) == {}
    tampered = text("UPDATE memberships SET credit = 99 WHERE account_id = :id")
    await books.store.run_global(lambda unit: unit._scope.connection.execute(tampered, {"id": runner.id}))
    found = await books.store.read_global(lambda unit: unit.checks.violations())
    assert found == {"credit_is_not_the_sum_of_its_lines": [runner.id]}


async def test_sums_of_a_day_and_lines_taken_back(books: Any, runner: Any) -> None:
    first = await add(books, line(books, runner.id, 1, 1, 81))
    books.clock.advance(60)
    noon = books.clock.now()
    second = await add(books, line(books, runner.id, 2, 1, 82))
    await add(books, line(books, runner.id, 3, -1, 81, reason=R.REVERSED, subject_id=first.id))

    def moved(reason: CreditReason, since: Any) -> Any:
        return books.store.read(books.here, lambda uow: uow.credit.moved_since(runner.id, reason, since))

    assert await moved(R.ON_TIME, noon - timedelta(hours=1)) == 2
    assert await moved(R.ON_TIME, noon) == 1 and await moved(R.LATE, noon) == 0
    gone = await books.store.read(books.here, lambda uow: uow.credit.reversed_among([first, second]))
    assert gone == {first.id}
    assert await books.store.read(books.here, lambda uow: uow.credit.reversed_among([])) == frozenset()


async def test_one_appeal_a_line_decided_once(books: Any, runner: Any) -> None:
    entry = await add(books, line(books, runner.id, 1, 80, 80))
    appeal = CreditAppeal(books.new_id("apl"), books.here, runner.id, entry.id, books.clock.now(), "下雨")

    def insert(one: CreditAppeal) -> Any:
        return books.store.run(books.here, lambda uow: uow.credit_appeals.insert(one))

    assert await insert(appeal) and not await insert(replace(appeal, id="apl_2"))
    assert await books.store.read(books.here, lambda uow: uow.credit_appeals.get(appeal.id)) == appeal
    assert await books.store.read(books.here, lambda uow: uow.credit_appeals.count_open(runner.id)) == 1
    decided = replace(
        appeal, status=AppealStatus.REFUSED, decided_at=books.clock.now(), decided_by="acc_o", answer="没下"
    )
    await books.store.run(books.here, lambda uow: uow.credit_appeals.decide(decided))
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.credit_appeals.decide(decided))
    with pytest.raises(NotFound):
        await books.store.run(books.here, lambda uow: uow.credit_appeals.decide(replace(decided, id="apl_x")))
    with pytest.raises(NotFound):
        await books.store.read(books.here, lambda uow: uow.credit_appeals.get("apl_x"))
    found = await books.store.read(books.here, lambda uow: uow.credit_appeals.of_entries([entry.id, "crd_x"]))
    assert found == {entry.id: decided}
    assert await books.store.read(books.here, lambda uow: uow.credit_appeals.count_open(runner.id)) == 0


async def test_how_runners_answered_lately(books: Any, runner: Any) -> None:
    quiet = await books.member(None, Role.RUNNER, status=RunnerStatus.APPROVED, on_duty=True)
    off = await books.member(None, Role.RUNNER, status=RunnerStatus.APPROVED)
    statuses = [OfferStatus.ACCEPTED] * 4 + [OfferStatus.DECLINED, OfferStatus.EXPIRED, OfferStatus.WITHDRAWN]
    start = books.clock.now()
    for account in (runner, off):
        for status in statuses:
            books.clock.advance(1)
            await books.offer(await books.task(await books.order()), account.id, status=status)

    def ask(name: str, *args: Any) -> Any:
        return books.store.read(books.here, lambda uow: getattr(uow.offers, name)(*args))

    assert await ask("answers") == {runner.id: (4, 6), quiet.id: (0, 0)}
    assert await ask("answers", 3) == {runner.id: (1, 3), quiet.id: (0, 0)}
    assert await ask("answers_of", runner.id) == (4, 6) and await ask("answers_of", runner.id, 3) == (1, 3)
    assert await ask("answers_of", quiet.id) == (0, 0)
    assert await ask("count_of_runner", runner.id, OfferStatus.ACCEPTED, start) == 4
    assert await ask("count_of_runner", runner.id, OfferStatus.EXPIRED, start + timedelta(seconds=6)) == 1
    assert await ask("count_of_runner", runner.id, OfferStatus.EXPIRED, books.clock.now()) == 0
