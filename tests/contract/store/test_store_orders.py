"""Orders and tasks in SQL: exact round trips, versions, searches, sums."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from dispatch.model.errors import NotFound, StaleVersion
from dispatch.model.money import Fen
from dispatch.model.order import OrderStatus
from dispatch.model.stop import Stop, StopRole
from dispatch.model.task import TaskStatus
from dispatch.store.tasks import planner_lease

S = OrderStatus


async def test_an_order_comes_back_exactly_as_it_was(books: Any) -> None:
    full = books.make_order(
        status=S.SETTLED, version=7, merchant_id="mer_1", runner_id="acc_r", pickup_after=books.clock.now(),
        paid_at=books.clock.now(), assigned_at=books.clock.now(), picked_up_at=books.clock.now(),
        delivered_at=books.clock.now(), confirmed_at=books.clock.now(), cancelled_at=books.clock.now(),
        cancel_reason="别的", goods_actual_fen=Fen(1_234), held_fen=Fen(2_250), captured_fen=Fen(1_484),
        released_fen=Fen(766), refunded_fen=Fen(0), pin_tries=2, rating=5, rating_text="很快 👍",
        goods_runner_id="acc_b",
    )  # fmt: skip
    bare = books.make_order(stops=(), description="")
    for order in (full, bare):
        await books.store.run(books.here, lambda uow, order=order: uow.orders.insert(order))
        assert await books.store.read(books.here, lambda uow, order=order: uow.orders.get(order.id)) == order
    many = await books.store.read(books.here, lambda uow: uow.orders.many([full.id, bare.id, "ord_none"]))
    assert many == {full.id: full, bare.id: bare}


async def test_the_personal_part_of_a_stop_is_not_readable_in_the_table(books: Any) -> None:
    order = await books.order()

    def raw(unit: Any) -> str:
        return str(unit._scope.connection.exec_driver_sql("SELECT * FROM orders").all())

    row = await books.store.read_global(raw)
    assert order.description in row
    for secret in ("302室", "李雷", "13900001111"):
        assert secret not in row


async def test_a_change_counts_only_from_the_version_it_was_made_from(books: Any) -> None:
    order = await books.order()
    newer = replace(order, version=2, status=S.ASSIGNED, runner_id="acc_r")
    await books.store.run(books.here, lambda uow: uow.orders.save(newer))
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.orders.save(newer))
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.orders.save(replace(newer, version=9)))
    with pytest.raises(NotFound):
        await books.store.run(books.here, lambda uow: uow.orders.save(replace(newer, id="ord_x", version=3)))
    assert await books.store.read(books.here, lambda uow: uow.orders.get(order.id)) == newer
    assert await books.store.read(books.here, lambda uow: uow.orders.find("ord_x")) is None


async def test_orders_that_are_known_in_their_present_version_are_not_read_again(books: Any) -> None:
    same, moved, new = [await books.order() for _ in range(3)]
    stale = replace(moved, version=moved.version + 1)
    known = {same.id: same, moved.id: stale, "ord_gone": replace(same, id="ord_gone")}
    asked = [same.id, moved.id, new.id, "ord_gone"]
    found = await books.store.read(books.here, lambda uow: uow.orders.renewed(asked, known))
    assert found == {same.id: same, moved.id: moved, new.id: new} and found[same.id] is same
    again = await books.store.read(books.here, lambda uow: uow.orders.renewed(asked, found))
    assert again == found and all(again[order_id] is found[order_id] for order_id in found)
    assert await books.store.read(books.there, lambda uow: uow.orders.renewed(asked, found)) == {}


async def test_pages_are_newest_first_and_continue_where_they_ended(books: Any) -> None:
    orders = [await books.order(student_id="acc_s" if n % 2 else "acc_t") for n in range(7)]
    first = await books.store.read(books.here, lambda uow: uow.orders.page(limit=3))
    rest = await books.store.read(books.here, lambda uow: uow.orders.page(limit=10, before=first[-1].id))
    assert first + rest == orders[::-1]
    of_student = await books.store.read(books.here, lambda uow: uow.orders.page(student_id="acc_s"))
    assert of_student == orders[1::2][::-1]


async def test_pages_filter_by_runner_and_status(books: Any) -> None:
    await books.order()
    mine = await books.order(status=S.CARRYING, runner_id="acc_r")
    done = await books.order(status=S.DELIVERED, runner_id="acc_r", delivered_at=books.clock.now())
    read = books.store.read
    assert await read(books.here, lambda uow: uow.orders.page(runner_id="acc_r")) == [done, mine]
    assert await read(books.here, lambda uow: uow.orders.page(statuses=[S.CARRYING, S.ASSIGNED])) == [mine]
    assert await read(books.here, lambda uow: uow.orders.page(statuses=[])) == []
    assert await read(books.here, lambda uow: uow.orders.unsettled_of_runner("acc_r")) == [done]


async def test_a_search_finds_by_id_code_phone_and_words(books: Any) -> None:
    student = await books.member(phone="13811112222")
    order = await books.order(student_id=student.id, description="买100%纯牛奶_两盒, Milk")
    other = await books.order(description="别的东西")

    async def found(q: str) -> list[Any]:
        return list(await books.store.read(books.here, lambda uow: uow.orders.page(q=q)))

    for q in (order.id, order.id[-6:], order.id[-6:].lower(), "13811112222", "牛奶", "milk", "100%", "_两", " 牛奶 "):
        assert await found(q) == [order], q
    for q in ("1381111", "%别", "10_%"):
        assert await found(q) == [], q
    assert await found("  ") == [other, order]


async def test_a_phone_is_not_found_through_another_campus(books: Any) -> None:
    student = await books.member(books.there, phone="13811112222")
    await books.order(student_id=student.id)
    assert await books.store.read(books.here, lambda uow: uow.orders.page(q="13811112222")) == []


async def test_active_orders_are_those_that_run_and_those_just_delivered(books: Any) -> None:
    now = books.clock.now()
    await books.order(status=S.AWAITING_PAYMENT)
    running = [await books.order(status=status) for status in (S.OPEN, S.ASSIGNED, S.CARRYING)]
    just = await books.order(status=S.DELIVERED, delivered_at=now - timedelta(minutes=59))
    await books.order(status=S.DELIVERED, delivered_at=now - timedelta(minutes=60))
    await books.order(status=S.CLOSED, delivered_at=now)
    assert await books.store.read(books.here, lambda uow: uow.orders.active()) == [*running, just]


async def test_kpis_count_today_and_yesterday_up_to_the_same_hour(books: Any) -> None:
    now = books.clock.now()
    day_start = now - timedelta(hours=3)
    late = now - timedelta(seconds=1)
    await books.order(status=S.OPEN, student_id="acc_a", paid_at=now, held_fen=Fen(1_000))
    await books.order(status=S.CARRYING, student_id="acc_a", promised_at=late, paid_at=now, held_fen=Fen(500),
                      released_fen=Fen(200))  # fmt: skip
    await books.order(status=S.AWAITING_PAYMENT, student_id="acc_b")
    for hours_ago in (1, 2, 25, 26, 22, 40):
        at = now - timedelta(hours=hours_ago)
        await books.order(
            status=S.SETTLED, delivered_at=at, placed_at=at, student_id="acc_c", paid_at=at, held_fen=Fen(1)
        )
    kpis = await books.store.read(books.here, lambda uow: uow.orders.kpis(day_start, now))
    assert kpis == {
        "active": 2, "unassigned": 1, "late": 1, "done_today": 2, "done_yesterday": 2, "turnover_today_fen": 1_302,
        "students_today": 3, "placed_today": 5,
    }  # fmt: skip
    empty = await books.store.read(books.there, lambda uow: uow.orders.kpis(day_start, now))
    assert set(empty.values()) == {0}


async def test_a_runners_day_and_stars(books: Any) -> None:
    now = books.clock.now()
    for minutes, stars in ((-5, 5), (0, 4), (5, None)):
        await books.order(runner_id="acc_r", status=S.DELIVERED, delivered_at=now + timedelta(minutes=minutes),
                          promised_at=now, rating=stars)  # fmt: skip
    await books.order(runner_id="acc_r", status=S.CONFIRMED, delivered_at=now - timedelta(days=1), promised_at=now)
    day = await books.store.read(books.here, lambda uow: uow.statistics.runner_day("acc_r", now - timedelta(hours=1)))
    assert day == (3, 750, 2, 1)
    assert await books.store.read(books.here, lambda uow: uow.statistics.runner_day("acc_q", now)) == (0, 0, 0, 0)
    assert await books.store.read(books.here, lambda uow: uow.statistics.stars(["acc_r", "acc_q"])) == {"acc_r": 4.5}


async def test_a_task_comes_back_and_its_versions_guard_it(books: Any) -> None:
    order = await books.order()
    task = await books.task(order, decision_id="dec_1", offer_id="ofr_1", fence=3)
    read, run = books.store.read, books.store.run
    assert await read(books.here, lambda uow: uow.tasks.get(task.id)) == task
    assert await read(books.here, lambda uow: uow.tasks.by_order(order.id)) == task
    assert await read(books.here, lambda uow: uow.tasks.by_orders([order.id, "ord_x"])) == {order.id: task}
    assert await read(books.here, lambda uow: uow.tasks.by_order("ord_x")) is None
    taken = replace(task, status=TaskStatus.ASSIGNED, runner_id="acc_r", version=2)
    await run(books.here, lambda uow: uow.tasks.save(taken))
    with pytest.raises(StaleVersion):
        await run(books.here, lambda uow: uow.tasks.save(replace(taken, runner_id="acc_q")))
    with pytest.raises(NotFound):
        await run(books.here, lambda uow: uow.tasks.save(replace(taken, id="tsk_x", version=3)))
    with pytest.raises(NotFound):
        await read(books.here, lambda uow: uow.tasks.get("tsk_x"))
    assert await read(books.here, lambda uow: uow.tasks.held()) == [taken]
    assert await read(books.here, lambda uow: uow.tasks.held_by("acc_r")) == [taken]
    assert await read(books.here, lambda uow: uow.tasks.held_by("acc_q")) == []


async def test_takeable_tasks_come_longest_waiting_first(books: Any) -> None:
    books.clock.advance(10)
    late = await books.task(await books.order())
    early = await books.task(await books.order(), opened_at=late.opened_at - timedelta(seconds=5))
    offered = await books.task(await books.order(), status=TaskStatus.OFFERED)
    await books.task(await books.order(), status=TaskStatus.DONE)
    assert await books.store.read(books.here, lambda uow: uow.tasks.takeable()) == [early, late, offered]


async def test_a_planner_that_lost_its_lease_assigns_nothing(books: Any) -> None:
    task = await books.task(await books.order())
    name = planner_lease(books.here)
    fence = await books.store.run_global(lambda unit: unit.leases.acquire(name, "one", 10))
    offered = replace(task, status=TaskStatus.OFFERED, version=2, fence=fence)
    await books.store.run(books.here, lambda uow: uow.tasks.save(offered, fence=fence))
    books.clock.advance(11)
    newer = await books.store.run_global(lambda unit: unit.leases.acquire(name, "two", 10))
    assert newer > fence
    again = replace(offered, version=3)
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.tasks.save(again, fence=fence))
    await books.store.run(books.here, lambda uow: uow.tasks.save(again, fence=newer))
    await books.store.run(books.here, lambda uow: uow.tasks.save(replace(again, version=4)))


async def test_stops_and_quotes_of_earlier_versions_are_still_read(books: Any) -> None:
    order = await books.order()
    older = {"stops": '[{"role": "place", "lat": 1.5, "lon": 2.5, "label": "x", "gate": null}]', "stops_sealed": None}

    def write(unit: Any) -> None:
        change = "UPDATE orders SET stops = :stops, stops_sealed = :stops_sealed"
        unit._scope.connection.execute(text(change), older)

    await books.store.run_global(write)
    read = await books.store.read(books.here, lambda uow: uow.orders.get(order.id))
    assert read.stops == (Stop(StopRole.PLACE, 1.5, 2.5, "x"),) and read.quote.split is None
