"""Transactions: all or nothing, in order, bounded, repeatable; and reading that never waits for writing."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from dispatch.model.errors import NotFound, StaleVersion, Unavailable
from dispatch.model.order import OrderStatus
from dispatch.store import writer


async def count(books: Any, subject_id: str = "ord_1") -> int:
    return len(await books.store.read(books.here, lambda uow: uow.outbox.timeline(subject_id, 10_000)))


def adding(books: Any, version: int, error: Exception | None = None) -> Any:
    """A transaction that writes one event, and then fails if told so."""

    def add(uow: Any) -> int:
        uow.outbox.add(books.make_event("ord_1", version))
        if error is not None:
            raise error
        return version

    return add


async def test_an_exception_undoes_its_own_function_only(books: Any) -> None:
    class Bug(Exception):
        pass

    asked = [adding(books, n, Bug(str(n)) if n % 3 == 0 else None) for n in range(30)]
    outcomes = await asyncio.gather(*(books.store.run(books.here, fn) for fn in asked), return_exceptions=True)
    for n, outcome in enumerate(outcomes):
        if n % 3 == 0:
            assert isinstance(outcome, Bug) and str(outcome) == str(n)
        else:
            assert outcome == n
    kept = await books.store.read(books.here, lambda uow: uow.outbox.timeline("ord_1"))
    assert [event.version for event in kept] == [n for n in range(30) if n % 3]


async def test_many_racers_on_one_order_have_one_winner(books: Any) -> None:
    order = await books.order()
    task = await books.task(order)

    def take(runner_id: str) -> Any:
        def fn(uow: Any) -> str:
            seen = uow.orders.get(order.id)
            if seen.status is not OrderStatus.OPEN:
                raise StaleVersion
            uow.tasks.save(replace(task, version=2, runner_id=runner_id))
            uow.orders.save(replace(seen, version=seen.version + 1, status=OrderStatus.ASSIGNED, runner_id=runner_id))
            return runner_id

        return fn

    stores = [books.store, books.another_store(), books.another_store()]
    for store in stores[1:]:
        await store.start()
    racing = [stores[n % 3].run(books.here, take(f"acc_{n}")) for n in range(30)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    for store in stores[1:]:
        await store.stop()
    winners = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(winners) == 1 and all(isinstance(o, (str, StaleVersion)) for o in outcomes)
    assert (await books.store.read(books.here, lambda uow: uow.orders.get(order.id))).runner_id == winners[0]
    assert (await books.store.read(books.here, lambda uow: uow.tasks.get(task.id))).runner_id == winners[0]


async def test_counting_from_several_stores_loses_nothing(books: Any) -> None:
    order = await books.order()

    def add_one(uow: Any) -> None:
        seen = uow.orders.get(order.id)
        uow.orders.save(replace(seen, version=seen.version + 1, pin_tries=seen.pin_tries + 1))

    other = books.another_store()
    await other.start()
    # The version rule refuses nothing here: each transaction reads and writes alone, or is begun again.
    await asyncio.gather(*((books.store, other)[n % 2].run(books.here, add_one) for n in range(24)))
    await other.stop()
    stored = await books.store.read(books.here, lambda uow: uow.orders.get(order.id))
    assert (stored.version, stored.pin_tries) == (25, 24)


async def offered_at_once(books: Any, offers: list[Any]) -> list[Any]:
    """What becomes of offers that two processes make at the same time."""
    other = books.another_store()
    await other.start()
    outcomes = await asyncio.gather(
        *(
            (books.store, other)[n % 2].run(books.here, lambda uow, o=o: uow.offers.insert(o))
            for n, o in enumerate(offers)
        ),
        return_exceptions=True,
    )
    await other.stop()
    return outcomes


async def test_offers_of_one_task_at_once_leave_one(books: Any) -> None:
    task = await books.task(await books.order())
    outcomes = await offered_at_once(books, [books.make_offer(task, f"acc_{n}") for n in range(6)])
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [StaleVersion] * 5
    left = await books.store.read(books.here, lambda uow: uow.offers.pending())
    assert [offer.runner_id for offer in left] == [f"acc_{outcomes.index(None)}"]


async def test_a_runner_is_asked_about_several_tasks_at_once_and_about_each_once(books: Any) -> None:
    tasks = [await books.task(await books.order()) for _ in range(3)]
    outcomes = await offered_at_once(books, [books.make_offer(task, "acc_r") for task in tasks * 2])
    assert outcomes.count(None) == 3
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [StaleVersion] * 3
    asked = await books.store.read(books.here, lambda uow: uow.offers.pending_of_runner("acc_r"))
    assert sorted(offer.task_id for offer in asked) == sorted(task.id for task in tasks)


async def test_jobs_leased_at_once_go_to_one_holder_each(books: Any) -> None:
    for n in range(40):
        await books.store.run(books.here, lambda uow, n=n: uow.jobs.schedule("settle", f"ord_{n}", books.clock.now()))
    other, now = books.another_store(), books.clock.now()
    await other.start()
    takes = [
        (books.store, other)[n % 2].run_global(lambda unit, n=n: unit.jobs.lease_due(now, 15, 30, f"holder {n}"))
        for n in range(8)
    ]
    taken = [job.subject_id for jobs in await asyncio.gather(*takes) for job in jobs]
    taken += [job.subject_id for job in await other.run_global(lambda unit: unit.jobs.lease_due(now, 100, 30, "last"))]
    await other.stop()
    assert sorted(taken) == sorted(f"ord_{n}" for n in range(40))


async def test_a_lease_wanted_by_many_at_once_has_one_holder(books: Any) -> None:
    other = books.another_store()
    await other.start()
    fences = await asyncio.gather(
        *(
            (books.store, other)[n % 2].run_global(lambda unit, n=n: unit.leases.acquire("planner", f"h{n}", 10))
            for n in range(10)
        )
    )
    await other.stop()
    assert sorted(fence for fence in fences if fence is not None) == [1]


async def test_reading_sees_one_instant_and_does_not_wait_for_a_writer(books: Any) -> None:
    order = await books.order()
    writing, go_on = threading.Event(), threading.Event()

    def write_slowly(uow: Any) -> None:
        uow.orders.save(replace(order, version=2))
        writing.set()
        assert go_on.wait(10)

    slow = asyncio.create_task(books.store.run(books.here, write_slowly))
    await asyncio.to_thread(writing.wait, 10)
    assert (await books.store.read(books.here, lambda uow: uow.orders.get(order.id))).version == 1
    reading, read_on = threading.Event(), threading.Event()

    def read_twice(uow: Any) -> tuple[int, int]:
        first = uow.orders.get(order.id).version
        reading.set()
        assert read_on.wait(10)
        return first, uow.orders.get(order.id).version

    twice = asyncio.create_task(books.store.read(books.here, read_twice))
    await asyncio.to_thread(reading.wait, 10)
    go_on.set()
    await slow
    read_on.set()
    assert await twice == (1, 1)
    assert (await books.store.read(books.here, lambda uow: uow.orders.get(order.id))).version == 2


async def test_a_read_cannot_write(books: Any) -> None:
    with pytest.raises(Unavailable):
        await books.store.read(books.here, lambda uow: uow.jobs.cancel("settle", "ord_1"))
    with pytest.raises(Unavailable):
        await books.store.read_global(lambda unit: unit.leases.acquire("planner", "me", 10))


async def test_now_stands_still_within_a_transaction(books: Any) -> None:
    def fn(uow: Any) -> bool:
        before = uow.now
        books.clock.advance(5)
        return bool(uow.now == before)

    assert await books.store.run(books.here, fn)
    assert await books.store.read_global(lambda unit: unit.now) == books.clock.now()


async def test_a_transaction_that_nobody_waits_for_any_more_is_dropped_if_not_begun(books: Any) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        began.set()
        assert go_on.wait(10)

    # PostgreSQL has several writers; keep every one of them busy.
    holding = [asyncio.create_task(books.store.run(books.here, hold)) for _ in range(8)]
    await asyncio.to_thread(began.wait, 10)
    left = [asyncio.create_task(books.store.run(books.here, adding(books, n))) for n in range(3)]
    await asyncio.sleep(0)
    assert books.store.waiting >= 3
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    go_on.set()
    await asyncio.gather(*holding)
    await books.store.run(books.here, lambda uow: None)
    assert await count(books) == 0


async def test_a_transaction_that_has_begun_commits_though_nobody_waits(books: Any) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(uow: Any) -> None:
        began.set()
        assert go_on.wait(10)
        adding(books, 1)(uow)

    left = asyncio.create_task(books.store.run(books.here, slow))
    await asyncio.to_thread(began.wait, 10)
    left.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await left
    deadline = asyncio.get_running_loop().time() + 10
    while await count(books) == 0:
        assert asyncio.get_running_loop().time() < deadline


async def test_what_was_accepted_is_finished_on_stop_and_nothing_after(books: Any) -> None:
    store = books.another_store()
    with pytest.raises(Unavailable):
        await store.run(books.here, adding(books, 1))
    with pytest.raises(Unavailable):
        await store.read(books.here, lambda uow: None)
    await store.start()
    running = [asyncio.create_task(store.run(books.here, adding(books, n))) for n in range(20)]
    await asyncio.sleep(0)
    await store.stop()
    assert await asyncio.gather(*running) == list(range(20))
    assert await count(books) == 20
    with pytest.raises(Unavailable):
        await store.run(books.here, adding(books, 1))
    await store.stop()


async def test_too_many_waiting_are_told_to_come_back(books: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 5)
    monkeypatch.setattr("dispatch.store.store.MAX_WAITING", 5)
    go_on = threading.Event()

    def hold(_: Any) -> str:
        assert go_on.wait(10)
        return "done"

    for begin in (books.store.run, books.store.read):
        go_on.clear()
        asked = [asyncio.create_task(begin(books.here, hold)) for _ in range(20)]
        await asyncio.sleep(0)
        go_on.set()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {str, Unavailable}
        assert 4 <= outcomes.count("done") <= 8


async def test_a_global_unit_reaches_a_campus_in_the_same_transaction(books: Any) -> None:
    account = await books.member()

    def block(unit: Any) -> None:
        unit.accounts.save(replace(account, is_blocked=True))
        unit.at(books.here).audit.add("acc_o", "block", account.id, "why")
        raise NotFound("no")

    with pytest.raises(NotFound):
        await books.store.run_global(block)
    assert await books.store.read(books.here, lambda uow: uow.audit.page()) == []
    assert not (await books.store.read(books.here, lambda uow: uow.accounts.get(account.id))).is_blocked
