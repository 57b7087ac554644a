"""Offers, decisions, events, commands, inbox, jobs and leases in SQL: what moves an order along."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch.model.decision import Decision
from dispatch.model.errors import NotFound, StaleVersion
from dispatch.model.event import EventKind
from dispatch.model.job import Job
from dispatch.model.offer import OfferStatus
from dispatch.model.task import TaskStatus

# --- offers and decisions ---------------------------------------------------------------------------------------------


async def test_an_offer_is_answered_once(books: Any) -> None:
    task = await books.task(await books.order())
    offer = await books.offer(task, "acc_r", decision_id="dec_1")
    read, run = books.store.read, books.store.run
    assert await read(books.here, lambda uow: uow.offers.get(offer.id)) == offer
    assert await read(books.here, lambda uow: uow.offers.pending_of_runner("acc_r")) == [offer]
    assert await read(books.here, lambda uow: uow.offers.pending_of_task(task.id)) == offer
    accepted = replace(offer, status=OfferStatus.ACCEPTED)
    await run(books.here, lambda uow: uow.offers.save(accepted, OfferStatus.PENDING))
    with pytest.raises(StaleVersion):
        await run(
            books.here, lambda uow: uow.offers.save(replace(offer, status=OfferStatus.EXPIRED), OfferStatus.PENDING)
        )
    with pytest.raises(NotFound):
        await run(books.here, lambda uow: uow.offers.save(replace(offer, id="ofr_x"), OfferStatus.PENDING))
    with pytest.raises(NotFound):
        await read(books.here, lambda uow: uow.offers.get("ofr_x"))
    assert await read(books.here, lambda uow: uow.offers.get(offer.id)) == accepted
    assert await read(books.here, lambda uow: uow.offers.pending_of_runner("acc_r")) == []
    assert await read(books.here, lambda uow: uow.offers.pending_of_task(task.id)) is None


async def test_one_pending_offer_per_task_and_several_per_runner(books: Any) -> None:
    first, second = [await books.task(await books.order()) for _ in range(2)]
    offer = await books.offer(first, "acc_r")
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.offers.insert(books.make_offer(first, "acc_q")))
    sooner = await books.offer(second, "acc_r", expires_at=offer.expires_at - timedelta(seconds=1))
    assert await books.store.read(books.here, lambda uow: uow.offers.pending_of_runner("acc_r")) == [sooner, offer]
    declined = replace(offer, status=OfferStatus.DECLINED)
    await books.store.run(books.here, lambda uow: uow.offers.save(declined, OfferStatus.PENDING))
    await books.offer(first, "acc_q")


async def test_the_newest_planned_route_of_a_runner_replaces_the_one_before(books: Any) -> None:
    def plan(uow: Any) -> None:
        uow.planned_routes.save("acc_r", [("tsk_1", "pickup"), ("tsk_1", "dropoff")])
        uow.planned_routes.save("acc_r", [("tsk_2", "place")])
        uow.planned_routes.save("acc_q", [])

    await books.store.run(books.here, plan)
    asked = ["acc_r", "acc_q", "acc_none"]
    found = await books.store.read(books.here, lambda uow: uow.planned_routes.of(asked))
    assert found == {"acc_r": (("tsk_2", "place"),), "acc_q": ()}
    assert await books.store.read(books.there, lambda uow: uow.planned_routes.of(asked)) == {}


async def test_pending_offers_come_soonest_to_expire_first(books: Any) -> None:
    tasks = [await books.task(await books.order()) for _ in range(3)]
    now = books.clock.now()
    late = await books.offer(tasks[0], "acc_1", expires_at=now + timedelta(seconds=9))
    soon = await books.offer(tasks[1], "acc_2", expires_at=now + timedelta(seconds=3))
    await books.offer(tasks[2], "acc_3", status=OfferStatus.EXPIRED)
    assert await books.store.read(books.here, lambda uow: uow.offers.pending()) == [soon, late]


async def test_whom_a_takeable_task_was_offered_to(books: Any) -> None:
    waiting, asked, gone = [await books.task(await books.order()) for _ in range(3)]
    await books.offer(asked, "acc_1", status=OfferStatus.DECLINED)
    await books.offer(asked, "acc_2")
    await books.offer(gone, "acc_3", status=OfferStatus.EXPIRED)
    closed = replace(gone, status=TaskStatus.CANCELLED, version=2)
    await books.store.run(books.here, lambda uow: uow.tasks.save(closed))
    offered = await books.store.read(books.here, lambda uow: uow.offers.offered_runners())
    assert offered == {asked.id: frozenset({"acc_1", "acc_2"})}
    assert waiting.id not in offered


async def test_decisions_keep_their_candidates(books: Any) -> None:
    candidates = [{"runner_id": "acc_1", "cost_s": 12.25, "terms": {"walk_s": 7.0}}, {"excluded": "full"}]

    def decision(n: int) -> Decision:
        return Decision(
            books.new_id("dec"), books.here, "tsk_1", "ord_1", books.clock.now(), "optimizer", "acc_1",
            regret_s=1.5 * n, fence=n, candidates=candidates, note="注",
        )  # fmt: skip

    one, two = decision(1), replace(decision(2), runner_id=None, regret_s=None)
    for made in (one, two):
        await books.store.run(books.here, lambda uow, made=made: uow.decisions.insert(made))
    assert await books.store.read(books.here, lambda uow: uow.decisions.for_order("ord_1")) == [two, one]
    assert await books.store.read(books.here, lambda uow: uow.decisions.for_order("ord_1", limit=1)) == [two]


# --- outbox, commands, inbox ------------------------------------------------------------------------------------------


async def test_a_timeline_is_in_order_and_ends_with_the_newest(books: Any) -> None:
    events = [
        books.make_event("ord_1", 1, actor_id="acc_s", private={"runner": {"pay_fen": 3}}),
        books.make_event("ord_1", 2, kind=EventKind.TASK_ASSIGNED, student_id="acc_s", runner_id="acc_r"),
        books.make_event("ord_1", 2, former_runner_id="acc_q"),
        books.make_event("ord_1", 10),
    ]
    for event in (events[3], events[1], events[2], events[0], books.make_event("ord_2", 1)):
        await books.store.run(books.here, lambda uow, event=event: uow.outbox.add(event))
    assert await books.store.read(books.here, lambda uow: uow.outbox.timeline("ord_1")) == events
    assert await books.store.read(books.here, lambda uow: uow.outbox.timeline("ord_1", limit=2)) == events[2:]


async def test_the_relay_gets_each_subject_by_version_and_all_by_time(books: Any) -> None:
    first = books.make_event("ord_b", 1)
    books.clock.advance(1)
    other = books.make_event("ord_a", 1)
    # Another machine's clock is behind: the later version must not overtake, nor fall behind what came before it.
    behind = books.make_event("ord_b", 2, at=first.at - timedelta(seconds=5))
    books.clock.advance(1)
    last = books.make_event("acc_c", 0, books.there)
    again = books.make_event("acc_c", 0, books.there)
    for event in (last, behind, other, first, again):
        await books.store.run(event.campus_id, lambda uow, event=event: uow.outbox.add(event))
    unpublished = await books.store.read_global(lambda unit: unit.outbox.unpublished())
    assert unpublished == [first, behind, other, last, again]
    assert await books.store.read_global(lambda unit: unit.outbox.count_unpublished()) == 5


async def test_a_limited_relay_pass_never_skips_a_version(books: Any) -> None:
    for subject in ("ord_a", "ord_b", "ord_c"):
        for version in range(1, 8):
            await books.store.run(books.here, lambda uow, s=subject, v=version: uow.outbox.add(books.make_event(s, v)))
    published: dict[str, int] = {}
    while batch := await books.store.read_global(lambda unit: unit.outbox.unpublished(4)):
        for event in batch:
            assert event.version == published.get(event.subject_id, 0) + 1
            published[event.subject_id] = event.version
        done = [event.id for event in batch]
        assert await books.store.run_global(lambda unit, d=done: unit.outbox.mark_published(d)) == len(batch)
        assert await books.store.run_global(lambda unit, d=done: unit.outbox.mark_published(d)) == 0
    assert published == {"ord_a": 7, "ord_b": 7, "ord_c": 7}
    assert await books.store.run_global(lambda unit: unit.outbox.mark_published([])) == 0


async def test_events_of_a_failed_transaction_do_not_exist(books: Any) -> None:
    def fail(uow: Any) -> None:
        uow.outbox.add(books.make_event("ord_1"))
        raise NotFound("no")

    with pytest.raises(NotFound):
        await books.store.run(books.here, fail)
    assert await books.store.read_global(lambda unit: unit.outbox.unpublished()) == []


async def test_commands_are_sent_in_order_and_once(books: Any) -> None:
    for command_id in ("cmd_2", "cmd_1", "cmd_2"):
        body = command_id.encode()
        await books.store.run(
            books.here, lambda uow, c=command_id, b=body: uow.commands.add(c, "ord_1", "OpenIntent", b)
        )
    expected = [("cmd_2", "OpenIntent", b"cmd_2"), ("cmd_1", "OpenIntent", b"cmd_1")]
    assert await books.store.read_global(lambda unit: unit.commands.unsent()) == expected
    assert await books.store.read_global(lambda unit: unit.commands.unsent(1)) == expected[:1]
    assert await books.store.run_global(lambda unit: unit.commands.mark_sent(["cmd_2"])) == 1
    assert await books.store.run_global(lambda unit: unit.commands.mark_sent(["cmd_2"])) == 0
    assert await books.store.run_global(lambda unit: unit.commands.mark_sent([])) == 0
    assert await books.store.read_global(lambda unit: unit.commands.unsent()) == expected[1:]
    assert await books.store.read_global(lambda unit: unit.commands.count_unsent()) == 1


async def test_a_command_id_stands_for_one_body(books: Any) -> None:
    await books.store.run(books.here, lambda uow: uow.commands.add("cmd_1", "ord_1", "Settle", b"a"))
    for campus_id, body in ((books.here, b"b"), (books.there, b"a")):
        with pytest.raises(AssertionError):
            await books.store.run(campus_id, lambda uow, b=body: uow.commands.add("cmd_1", "ord_1", "Settle", b))


async def test_an_event_of_payments_is_applied_once_with_what_it_does(books: Any) -> None:
    def fail(uow: Any) -> None:
        assert uow.inbox.accept("evt_1")
        raise NotFound("no")

    with pytest.raises(NotFound):
        await books.store.run(books.here, fail)
    accepted = [await books.store.run(books.here, lambda uow: uow.inbox.accept("evt_1")) for _ in range(3)]
    assert accepted == [True, False, False]


# --- jobs and leases --------------------------------------------------------------------------------------------------


async def leased(books: Any, holder: str = "me", limit: int = 10) -> list[Job]:
    now = books.clock.now()
    jobs: list[Job] = await books.store.run_global(lambda unit: unit.jobs.lease_due(now, limit, 30, holder))
    return jobs


async def test_jobs_fall_due_in_order_and_are_held_by_one(books: Any) -> None:
    now = books.clock.now()
    for kind, seconds in (("settle", 5), ("expire_offer", 3), ("check_late", 60)):
        due_at = now + timedelta(seconds=seconds)
        await books.store.run(books.here, lambda uow, k=kind, d=due_at: uow.jobs.schedule(k, "ord_1", d, {"n": 1}))
    assert await leased(books) == []
    assert await books.store.read_global(lambda unit: unit.jobs.next_due_at()) == now + timedelta(seconds=3)
    books.clock.advance(10)
    one = await leased(books, limit=1)
    assert one == [Job("expire_offer", books.here, "ord_1", {"n": 1}, 1, 1, now + timedelta(seconds=3))]
    assert [job.kind for job in await leased(books, "other")] == ["settle"]
    assert await leased(books, "third") == []
    assert await books.store.run_global(lambda unit: unit.jobs.complete(one[0])) is True
    assert await books.store.run_global(lambda unit: unit.jobs.complete(one[0])) is False


async def test_a_holder_whose_lease_ran_out_completes_nothing(books: Any) -> None:
    await books.store.run(books.here, lambda uow: uow.jobs.schedule("settle", "ord_1", books.clock.now()))
    [old] = await leased(books)
    books.clock.advance(31)
    [new] = await leased(books, "other")
    assert new.fence > old.fence and new.tries == 2
    assert await books.store.run_global(lambda unit: unit.jobs.complete(old)) is False
    assert await books.store.run_global(lambda unit: unit.jobs.retry(old, books.clock.now())) is False
    assert await books.store.run_global(lambda unit: unit.jobs.complete(new)) is True
    assert await books.store.read_global(lambda unit: unit.jobs.next_due_at()) is None


async def test_a_retried_job_comes_back_later_with_its_tries(books: Any) -> None:
    await books.store.run(books.here, lambda uow: uow.jobs.schedule("settle", "ord_1", books.clock.now()))
    [job] = await leased(books)
    later = books.clock.now() + timedelta(seconds=5)
    assert await books.store.run_global(lambda unit: unit.jobs.retry(job, later)) is True
    assert await leased(books) == []
    books.clock.advance(5)
    [again] = await leased(books)
    assert (again.tries, again.due_at) == (2, later)


async def test_scheduling_anew_moves_the_job_and_ends_its_lease(books: Any) -> None:
    later = books.clock.now() + timedelta(seconds=60)
    await books.store.run(books.here, lambda uow: uow.jobs.schedule("settle", "ord_1", books.clock.now(), {"a": 1}))
    [old] = await leased(books)
    await books.store.run(books.here, lambda uow: uow.jobs.schedule("settle", "ord_1", later))
    assert await books.store.run_global(lambda unit: unit.jobs.complete(old)) is False
    assert await books.store.read(books.here, lambda uow: uow.jobs.due_at("settle", "ord_1")) == later
    books.clock.advance(60)
    [new] = await leased(books)
    assert (new.payload, new.tries, new.due_at) == ({}, 1, later)
    assert await books.store.run(books.here, lambda uow: uow.jobs.cancel("settle", "ord_1")) is True
    assert await books.store.run(books.here, lambda uow: uow.jobs.cancel("settle", "ord_1")) is False
    assert await books.store.read(books.here, lambda uow: uow.jobs.due_at("settle", "ord_1")) is None


async def test_a_lease_has_one_holder_and_a_growing_number(books: Any) -> None:
    async def acquire(holder: str) -> int | None:
        fence: int | None = await books.store.run_global(lambda unit: unit.leases.acquire("planner", holder, 10))
        return fence

    async def renew(holder: str, fence: int) -> bool:
        return bool(await books.store.run_global(lambda unit: unit.leases.renew("planner", holder, fence, 10)))

    assert await acquire("one") == 1
    assert await acquire("two") is None
    assert await renew("one", 1) and not await renew("two", 1) and not await renew("one", 2)
    books.clock.advance(9)
    assert await renew("one", 1)
    books.clock.advance(9)
    assert await acquire("two") is None
    assert await acquire("one") == 2, "a holder that forgot its number gets a new one"
    assert not await renew("one", 1)
    books.clock.advance(10)
    assert await renew("one", 2), "a lease that ended is kept while nobody else wants it"
    books.clock.advance(10)
    assert await acquire("two") == 3
    assert not await renew("one", 2)
    assert await books.store.run_global(lambda unit: unit.leases.release("planner", "one", 2)) is False
    assert await books.store.run_global(lambda unit: unit.leases.release("planner", "two", 3)) is True
    assert await acquire("one") == 4
