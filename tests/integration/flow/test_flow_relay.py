"""The relay: what was committed is published once per topic, in order, and each audience reads its own part only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy.engine import Engine

from dispatch.flow import cancel_order, go_on_duty, reassign_task, watch_console
from dispatch.flow.publish_events import BATCH, publish_events
from dispatch.flow.tell import tell, tell_about_account
from dispatch.live.resume_streams import Published
from dispatch.model.campus import AssignMode
from dispatch.model.errors import Unavailable
from dispatch.model.event import EventKind
from dispatch.model.requests import CancelOrder, Reassign, SetDuty
from dispatch.store.unit_of_work import UnitOfWork
from tests.flow_world import World, run, touch


class DiesBeforeMarking:
    """Streams whose caller is killed right after everything was published, as often as asked."""

    def __init__(self, world: World, times: int = 1) -> None:
        self._streams = world.streams
        self.times = times

    async def publish_many(self, campus_id: str, events: list[Published]) -> Any:
        answer = await self._streams.publish_many(campus_id, events)
        if self.times:
            self.times -= 1
            raise ConnectionError("killed between publishing and marking")
        return answer


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    sql_event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sql_event.remove(Engine, "before_cursor_execute", note)


class PartlyAway:
    """Streams of a cluster one of whose servers is away, and with it one campus."""

    def __init__(self, world: World, campus_id: str) -> None:
        self._streams = world.streams
        self.campus_id = campus_id

    async def publish_many(self, campus_id: str, events: list[Published]) -> Any:
        if campus_id == self.campus_id:
            raise ConnectionError("nobody there")
        return await self._streams.publish_many(campus_id, events)


def _topics(world: World, order_id: str, *runners: Any) -> list[str]:
    return [
        f"order:{order_id}", f"console:{world.campus_id}", f"hall:{world.campus_id}",
        *(f"runner:{runner.account_id}" for runner in runners),
    ]  # fmt: skip


async def test_a_kill_before_marking_publishes_again_and_nothing_is_doubled(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.delivered(student, runner)
    with pytest.raises(ConnectionError):
        await publish_events(world.ctx, DiesBeforeMarking(world))
    topics = _topics(world, order_id, runner)
    first = {topic: await world.heard(topic) for topic in topics}
    assert await world.publish() > 0, "nothing was marked, so all of it goes out again"
    assert {topic: await world.heard(topic) for topic in topics} == first
    assert await world.publish() == 0
    for topic in topics:
        heard = await world.heard(topic)
        assert [event.offset for event in heard] == list(range(1, len(heard) + 1))
        assert len({event.id for event in heard}) == len(heard)


async def test_a_campus_that_is_away_holds_up_no_other(home: World) -> None:
    here, there = home.campus_id, home.other_campus_id

    def many(uow: UnitOfWork) -> None:
        for number in range(BATCH + 1):
            tell_about_account(uow, EventKind.ACCESS_CHANGED, f"acc_{number}", actor_id=None)

    for campus_id in (here, there):
        await home.ctx.store.run(campus_id, many)
    away = PartlyAway(home, there)
    assert await publish_events(home.ctx, away) == BATCH + 1
    assert len(await home.heard(f"console:{here}")) == BATCH + 1
    assert await home.heard(f"console:{there}", there) == []
    with pytest.raises(ConnectionError):
        await publish_events(home.ctx, away)
    await home.publish()
    assert len(await home.heard(f"console:{there}", there)) == BATCH + 1


async def test_two_relays_at_once_publish_once_and_in_order(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    orders = [await world.delivered(student, runner) for _ in range(3)]
    await asyncio.gather(*(publish_events(world.ctx, world.streams) for _ in range(4)))
    await world.publish()
    for order_id in orders:
        heard = await world.heard(f"order:{order_id}")
        assert [event.kind for event in heard] == [
            "order_placed", "payment_ready", "order_paid", "task_assigned", "order_picked_up", "order_delivered",
        ]  # fmt: skip
        assert [event.version for event in heard] == sorted(event.version for event in heard)
    console = await world.heard(f"console:{world.campus_id}")
    assert len({event.id for event in console}) == len(console)


async def test_a_store_that_does_not_answer_loses_nothing(home: World) -> None:
    student = await home.student()
    await home.place(student)
    store = home.ctx.store
    await store.stop()
    with pytest.raises(Unavailable):
        await publish_events(home.ctx, home.streams)
    await store.start()
    assert await home.publish() > 0


async def test_nobody_reads_anothers_part(home: World) -> None:
    student, runner = await home.student(name="李雷"), await home.runner()
    order_id = await home.paid(student)
    offer = await home.offered(order_id)
    await home.publish()
    (told,) = [one for one in await home.heard(f"runner:{runner.account_id}") if one.kind == "task_offered"]
    assert told.data["offer"]["id"] == offer.id and told.data["offer"]["stops"][1]["detail"] == ""
    (item,) = [one for one in await home.heard(f"hall:{home.campus_id}") if one.kind == "order_paid"]
    assert item.data["item"]["order_id"] == order_id and "order" not in item.data
    await home.assign(runner, order_id)
    await home.publish()
    pin = (await home.order(order_id)).pin
    topics = _topics(home, order_id, runner)
    heard = {topic: await home.heard(topic) for topic in topics}
    assigned = next(one for one in heard[topics[0]] if one.kind == "task_assigned")
    assert assigned.data["runner"]["id"] == runner.account_id and assigned.watch == runner.account_id
    assert [one.kind for one in heard[topics[0]]] == ["order_placed", "payment_ready", "order_paid", "task_assigned"]
    for topic, events in heard.items():
        text = str([one.data for one in events])
        for secret in ("李雷", "13900001234", "'501'", f"'{pin}'"):
            assert secret not in text, (topic, secret)
        assert ("order" in events[-1].data) == topic.startswith("console:")
    console = next(one for one in heard[topics[1]] if one.kind == "task_assigned")
    assert console.data["order"]["status"] == "assigned"


async def test_a_late_relay_tells_the_newest_truth_and_no_card_of_a_former_runner(home: World) -> None:
    student, operator, first = await home.student(), await home.operator(), await home.runner()
    order_id = await home.assigned(student, first)
    version = (await home.order(order_id)).version
    await reassign_task.reassign(
        home.ctx, operator, order_id, Reassign(runner_id=None, version=version, reason="other")
    )
    await home.publish()
    heard = await home.heard(f"order:{order_id}")
    assigned = next(one for one in heard if one.kind == "task_assigned")
    assert "runner" not in assigned.data
    assert heard[-1].kind == "task_reopened" and heard[-1].watch == ""
    console = await home.heard(f"console:{home.campus_id}")
    assert all(one.data["order"]["status"] == "open" for one in console if "order" in one.data)
    assert console[-1].data["order"]["undo_until_ms"] is not None


async def test_the_hall_learns_that_an_order_is_gone_and_nothing_else(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    taken, unpaid = await home.assigned(student, runner), (await home.place(student)).id
    for order_id in (taken, unpaid):
        version = (await home.order(order_id)).version
        wish = CancelOrder(reason="my mother is ill", version=version)
        await cancel_order.cancel(home.ctx, student, order_id, wish)
    await home.publish()
    heard = await home.heard(f"hall:{home.campus_id}")
    assert [one.kind for one in heard] == ["order_paid", "task_assigned", "order_cancelled"]
    for gone in heard[1:]:
        assert gone.data == {"order_id": taken, "version": gone.version, "status": gone.data["status"]}


async def test_the_end_of_an_order_ends_its_topic(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)
    version = (await home.order(order_id)).version
    await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="x", version=version))
    await home.work()
    await home.publish()
    heard = await home.heard(f"order:{order_id}")
    assert [(one.kind, one.close) for one in heard[-2:]] == [("order_cancelled", None), ("order_closed", "order_ended")]


async def test_accounts_and_other_campuses_have_topics_of_their_own(home: World) -> None:
    runner = await home.runner()
    foreign = await home.runner(campus_id=home.other_campus_id)
    await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=False))
    await home.publish()
    own = await home.heard(f"runner:{runner.account_id}")
    assert [one.kind for one in own] == ["runner_on_duty", "runner_off_duty"]
    there = await home.heard(f"console:{home.other_campus_id}", home.other_campus_id)
    assert [one.data["account_id"] for one in there] == [foreign.account_id]
    here = await home.heard(f"console:{home.campus_id}")
    assert foreign.account_id not in str([one.data for one in here])


async def test_where_orders_are_given_out_the_hall_shows_none(home: World) -> None:
    student = await home.student()
    await home.settings(mode=AssignMode.DISPATCH)
    await home.paid(student)
    await home.publish()
    assert all("item" not in one.data for one in await home.heard(f"hall:{home.campus_id}"))


async def test_more_events_than_one_batch_keep_their_order(home: World) -> None:
    student = await home.student()
    order_id = await home.paid(student)

    def late(uow: UnitOfWork) -> None:
        for _ in range(BATCH):
            touch(order_id)(uow)
            tell(uow, EventKind.ORDER_RATED, uow.orders.get(order_id))

    await run(home, late)
    assert await publish_events(home.ctx, home.streams) == BATCH
    await home.publish()
    versions = [one.version for one in await home.heard(f"console:{home.campus_id}")]
    assert versions == sorted(versions) and len(versions) == BATCH + 3


async def test_many_orders_cost_as_many_questions_as_few(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    counts = []
    await home.tick()
    for more in (2, 10):
        for _ in range(more):
            await home.paid(student)
        with counted_statements() as seen:
            await watch_console.console(home.ctx, operator)
        console = len(seen)
        with counted_statements() as seen:
            assert await home.publish() == 3 * more
        relay = len(seen)
        with counted_statements() as seen:
            await home.tick()
        counts.append((console, relay, len(seen)))
    assert counts[0][0] == counts[1][0] < 26
    assert counts[0][1] == counts[1][1] < 30
    assert counts[0][2] == counts[1][2] < 24
