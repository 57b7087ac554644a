"""Plans, pauses, zones, pins and escalations in SQL, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from dispatch.model.account import Role, RunnerStatus
from dispatch.model.campus import AssignMode
from dispatch.model.errors import StaleVersion
from dispatch.model.escalation import Escalation
from dispatch.model.geofence import CampusFence, CircleShape
from dispatch.model.pin import Pin, PinKind
from dispatch.model.shift import Entry, RunnerPause, RunnerPlan, Timetable
from dispatch.model.zone import Zone
from dispatch.store import migrate
from dispatch.store.engine import parse_url, writer_engine
from dispatch.store.migrations import LATEST

WEEK = Timetable(
    date(2026, 9, 7),
    (Entry(kind="class", weekday=1, from_min=480, to_min=575, first_day=date(2026, 9, 7), weeks=(1, 3), label="数学"),),
)


async def runner(books: Any, **more: Any) -> str:
    account = await books.member(None, Role.RUNNER, status=RunnerStatus.APPROVED, **{"on_duty": True, **more})
    return str(account.id)


def plan_of(books: Any, runner_id: str, **changes: Any) -> RunnerPlan:
    return replace(RunnerPlan(runner_id, books.here, 1, WEEK, ("fen_1",), books.clock.now()), **changes)


async def test_a_plan_is_stored_as_it_is_and_its_version_decides(books: Any) -> None:
    who = await runner(books)
    empty = await books.store.read(books.here, lambda uow: uow.runner_plans.get(who))
    assert (empty.version, empty.timetable, empty.zones) == (0, Timetable(), None)
    first = plan_of(books, who)
    await books.store.run(books.here, lambda uow: uow.runner_plans.save(first))
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.get(who)) == first
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.runner_plans.save(first))
    second = plan_of(books, who, version=2, zones=None, timetable=Timetable())
    await books.store.run(books.here, lambda uow: uow.runner_plans.save(second))
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.get(who)) == second
    with pytest.raises(StaleVersion):
        await books.store.run(books.here, lambda uow: uow.runner_plans.save(replace(second, version=4)))


async def test_plans_and_pauses_of_those_on_duty_are_read_at_once(books: Any) -> None:
    here, away = await runner(books), await runner(books, on_duty=False)
    await runner(books)
    now = books.clock.now()

    def fill(uow: Any) -> None:
        for who in (here, away):
            uow.runner_plans.save(plan_of(books, who))
            uow.runner_plans.save_pause(RunnerPause(who, books.here, break_until=now + timedelta(minutes=9)))

    await books.store.run(books.here, fill)
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.on_duty()) == {here: plan_of(books, here)}
    assert (await books.store.read(books.here, lambda uow: uow.runner_plans.pauses())).keys() == {here}
    assert await books.store.read(books.there, lambda uow: uow.runner_plans.on_duty()) == {}
    books.clock.advance(540)
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.pauses()) == {}, "over"
    cool = RunnerPause(here, books.here, None, books.clock.now() + timedelta(seconds=1), 3, books.clock.now())
    await books.store.run(books.here, lambda uow: uow.runner_plans.save_pause(cool))
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.pauses()) == {here: cool}
    assert await books.store.read(books.here, lambda uow: uow.runner_plans.pause("acc_x")) == RunnerPause(
        "acc_x", books.here
    )


async def test_zones_go_with_their_geofences(books: Any) -> None:
    now = books.clock.now()
    fence = CampusFence(
        books.new_id("fen"), books.here, "北区", None, CircleShape(30.5, 114.4, 60), None, 1, True, now, now, "acc_o"
    )
    zone = Zone(fence.id, books.here, AssignMode.GRAB, ("acc_a",))

    def draw(uow: Any) -> None:
        uow.geofences.insert(fence)
        uow.zones.save(zone)

    await books.store.run(books.here, draw)
    assert await books.store.read(books.here, lambda uow: uow.zones.all()) == [zone]
    assert await books.store.read(books.there, lambda uow: uow.zones.all()) == []
    other = replace(zone, mode=AssignMode.DISPATCH, runner_ids=None)
    await books.store.run(books.here, lambda uow: uow.zones.save(other))
    assert await books.store.read(books.here, lambda uow: uow.zones.all()) == [other]
    gone = replace(fence, version=2, is_active=False)
    await books.store.run(books.here, lambda uow: uow.geofences.save(gone))
    assert await books.store.read(books.here, lambda uow: uow.zones.all()) == []
    assert await books.store.run(books.here, lambda uow: uow.zones.remove(fence.id)) is True
    assert await books.store.run(books.here, lambda uow: uow.zones.remove(fence.id)) is False


async def test_pins_and_escalations_of_what_waits(books: Any) -> None:
    waiting, taken = [await books.task(await books.order()) for _ in range(2)]
    now = books.clock.now()

    def fill(uow: Any) -> None:
        for task in (waiting, taken):
            uow.pins.save(Pin(books.here, task.order_id, PinKind.WISH, "acc_r", now, "acc_s"))
            uow.escalations.save(Escalation(books.here, task.order_id, now, 1))
        uow.tasks.save(replace(taken, status="assigned", version=taken.version + 1, runner_id="acc_r"))

    await books.store.run(books.here, fill)
    pins = await books.store.read(books.here, lambda uow: uow.pins.of_waiting())
    climbed = await books.store.read(books.here, lambda uow: uow.escalations.of_waiting())
    assert pins.keys() == climbed.keys() == {waiting.order_id}
    assert await books.store.read(books.here, lambda uow: uow.escalations.last_call()) is None
    held = Pin(books.here, waiting.order_id, PinKind.HOLD, "acc_q", now, "acc_o", now + timedelta(minutes=5))
    called = Escalation(books.here, waiting.order_id, now, 3, 1, now)

    def change(uow: Any) -> None:
        uow.pins.save(held)
        uow.escalations.save(called)

    await books.store.run(books.here, change)
    assert await books.store.read(books.here, lambda uow: uow.pins.get(waiting.order_id)) == held
    assert await books.store.read(books.here, lambda uow: uow.escalations.get(waiting.order_id)) == called
    assert await books.store.read(books.here, lambda uow: uow.escalations.last_call()) == now
    assert await books.store.read(books.there, lambda uow: uow.pins.get(waiting.order_id)) is None
    assert await books.store.run(books.here, lambda uow: uow.pins.remove(waiting.order_id)) is True
    await books.store.run(books.here, lambda uow: uow.escalations.remove(waiting.order_id))
    assert await books.store.read(books.here, lambda uow: uow.escalations.get(waiting.order_id)) is None


async def test_old_pins_and_escalations_are_forgotten(books: Any) -> None:
    task = await books.task(await books.order())
    now = books.clock.now()

    def fill(uow: Any) -> None:
        uow.pins.save(Pin(books.here, task.order_id, PinKind.WISH, "acc_r", now, "acc_s"))
        uow.escalations.save(Escalation(books.here, task.order_id, now))

    await books.store.run(books.here, fill)
    books.clock.advance(6 * 86_400)
    assert (await books.store.run_global(lambda unit: unit.retention()))["pins"] == 0
    books.clock.advance(86_400)
    counts = await books.store.run_global(lambda unit: unit.retention())
    assert (counts["pins"], counts["escalations"]) == (1, 1)


def test_orders_that_wait_when_the_ladder_comes_are_looked_at(sql_url: str, books_now: Any) -> None:
    engine = writer_engine(parse_url(sql_url), busy_ms=10_000)
    try:
        migrate.migrate(engine, books_now, target=5)
        with engine.begin() as connection:
            for name, status in (("1", "open"), ("2", "offered"), ("3", "assigned")):
                connection.execute(text(
                    "INSERT INTO orders (id, campus_id, code, student_id, type_code, status, version, quote,"
                    " service_fen, goods_cap_fen, stops, description, weight_g, placed_at, promised_at, held_fen,"
                    " captured_fen, released_fen, refunded_fen, pin, pin_tries, rating_text) VALUES (:order, 'cmp_1',"
                    " '', 'acc_1', 'parcel', 'open', 3, '{}', 300, 0, '[]', '', 100, 1, 2, 300, 0, 0, 0, '1', 0, '')"
                ), {"order": f"ord_{name}"})  # fmt: skip
                connection.execute(text(
                    "INSERT INTO tasks (id, campus_id, order_id, status, version, opened_at, fence)"
                    " VALUES (:task, 'cmp_1', :order, :status, 1, 7, 0)"
                ), {"task": f"tsk_{name}", "order": f"ord_{name}", "status": status})  # fmt: skip
        assert migrate.migrate(engine, books_now) == list(range(6, LATEST + 1))
        with engine.connect() as connection:
            jobs = connection.execute(text("SELECT kind, subject_id, due_at FROM jobs ORDER BY subject_id")).all()
        assert [tuple(job) for job in jobs] == [("escalate", "ord_1", 7), ("escalate", "ord_2", 7)]
    finally:
        engine.dispose()
