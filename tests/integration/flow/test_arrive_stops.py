"""Coming to a stop: a device's readings through a real socket, the books, and who hears of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, deliver_task, follow_topic, go_on_duty, read_orders, reassign_task
from dispatch.flow.sign_in import ask_standings, open_session, socket_token
from dispatch.flow.watch_console import console
from dispatch.flow.watch_stops import StopRhythm, StopWatch
from dispatch.model.errors import NotFound, Unavailable
from dispatch.model.requests import Deliver, PickUp, Reassign, StopRequest, Tap
from dispatch.model.stop import StopRole
from dispatch.wire.watches import Watches
from geo.fix import Fix
from geo.point import LocalPlane
from tests.flow_world import World, run
from tests.hub_world import OPTIONS, Client, Eventually, Server, dial, follow, now_ms
from tests.stop_walk import QUICK, SEEN, settled, walk_of


async def seen_by(world: World, who: Principal, order_id: str) -> Any:
    return await read_orders.order(world.ctx, who, order_id)


async def test_whoever_stays_at_a_stop_is_asked_and_nothing_moves_by_itself(world: World) -> None:
    async with walk_of(world) as walk:
        before = await world.order(walk.order_id)
        await walk.see("pickup", 59)
        near = (await seen_by(world, walk.student, walk.order_id)).near
        assert (near.role, near.state, near.is_confirmed) == ("pickup", "near", False)
        assert await walk.told() == [], "nobody is told that somebody is near a shop"
        await walk.see("pickup", 30)
        await walk.see("pickup", 10)
        assert await walk.told() == ["runner_at_stop"]
        await walk.see("pickup", 0)
        assert await walk.told() == ["runner_at_stop"]
        now = await world.order(walk.order_id)
        assert (now.version, now.status) == (before.version, before.status)
        assert (await world.task(walk.order_id)).status == "assigned"
        for who in (walk.student, walk.runner, await world.operator()):
            near = (await seen_by(world, who, walk.order_id)).near
            assert (near.role, near.state, near.is_confirmed) == ("pickup", "there", False)
        state = await go_on_duty.state(world.ctx, walk.runner)
        assert state.orders[0].near.state == "there", "the page asks also after it was loaded again"
        await deliver_task.arrived(world.ctx, walk.runner, walk.order_id, Tap())
        assert (await seen_by(world, walk.student, walk.order_id)).near.is_confirmed
        assert await walk.told() == ["runner_at_stop"]


async def test_the_student_is_told_once_that_the_runner_is_arriving(world: World) -> None:
    async with walk_of(world) as walk:
        await walk.see("dropoff", 30)
        assert await walk.told() == [] and await walk.visits() == [], "what is not carried yet arrives nowhere"
        await deliver_task.picked_up(world.ctx, walk.runner, walk.order_id, PickUp())
        await walk.publish()
        await walk.see("dropoff", 200)
        await walk.see("dropoff", 55)
        assert await walk.told() == ["runner_arriving"]
        await walk.see("dropoff", 300)
        await walk.see("dropoff", 50)
        await walk.stay("dropoff", 5)
        assert await walk.told() == ["runner_arriving", "runner_at_stop"]
        event = next(one for one in await world.events(walk.order_id) if one.kind == "runner_arriving")
        assert event.payload["stop_role"] == "dropoff" and not event.payload.keys() & {"lat", "lon", "position"}
        # Another worker, which knows nothing of what was told.
        other = StopWatch(world.ctx, QUICK)
        await other.start()
        walk.watch, first = other, walk.watch
        await walk.stay("dropoff", 5)
        await other.stop()
        walk.watch = first
        assert await walk.told() == ["runner_arriving", "runner_at_stop"]


async def test_only_the_order_s_parties_hear_of_it(world: World) -> None:
    stranger, other = await world.student(), await world.runner()
    async with walk_of(world) as walk:
        theirs = await world.assigned(stranger, other)
        await deliver_task.picked_up(world.ctx, walk.runner, walk.order_id, PickUp())
        await walk.publish()
        await walk.stay("dropoff", 5)
        await world.publish()
        assert set(SEEN) <= {event.kind for event in await world.heard(f"order:{walk.order_id}")}
        assert "runner_at_stop" in {event.kind for event in await world.heard(f"runner:{walk.runner.account_id}")}
        for topic in (f"order:{theirs}", f"runner:{other.account_id}", f"hall:{world.campus_id}"):
            assert not {event.kind for event in await world.heard(topic)} & set(SEEN), topic
        console_heard = [event for event in await world.heard(f"console:{world.campus_id}") if event.kind in SEEN]
        assert console_heard and console_heard[-1].data["order"]["near"]["state"] == "there"
        (refusal,) = await follow_topic.may_follow_many(world.ctx, [(stranger, f"order:{walk.order_id}")])
        assert isinstance(refusal, NotFound)
        with pytest.raises(NotFound):
            await read_orders.order(world.ctx, stranger, walk.order_id)


async def test_the_seconds_at_counter_and_door_are_kept(world: World) -> None:
    async with walk_of(world) as walk:
        await walk.see("pickup", 20)
        await walk.see("pickup", 5, 60)
        world.advance(100)
        await deliver_task.picked_up(world.ctx, walk.runner, walk.order_id, PickUp())
        (pickup,) = await walk.visits("pickup")
        assert pickup.service_s == 160 and pickup.place_id == world.places()[0]
        await walk.publish()
        await walk.stay("dropoff", 5)
        arrived = world.clock.now()
        await walk.see("dropoff", 400, 45)
        (door,) = await walk.visits("dropoff")
        assert door.left_at is not None and not door.is_there
        view = await seen_by(world, walk.student, walk.order_id)
        assert view.near is None, "who has left is not at the door"
        world.advance(600)
        pin = (await world.order(walk.order_id)).pin
        await deliver_task.delivered(world.ctx, walk.runner, walk.order_id, Deliver(pin=pin))
        (door,) = await walk.visits("dropoff")
        assert door.service_s == (door.left_at - door.arrived_at).total_seconds(), "a late tap is no long stay"
        assert arrived < door.left_at
        payloads = {str(event.kind): event.payload for event in await world.events(walk.order_id)}
        assert payloads["order_picked_up"]["service_s"] == 160
        assert payloads["order_delivered"]["service_s"] == round(door.service_s)
        served = await world.read(lambda uow: uow.stop_visits.served(pickup.begun_at))
        assert [visit.role for visit in served] == ["dropoff", "pickup"]
        assert await world.read(lambda uow: uow.stop_visits.served(world.clock.now())) == [door]


async def test_a_tap_without_a_position_is_found_on_the_track_and_a_far_one_is_marked(world: World) -> None:
    async with walk_of(world) as walk:
        pickup = await walk.stop("pickup")
        await world.stand(walk.runner, LocalPlane(pickup).point(30, 0))
        world.advance(10)
        await deliver_task.arrived(world.ctx, walk.runner, walk.order_id, Tap())
        world.advance(3600)
        far = LocalPlane(pickup).point(0, 900)
        await deliver_task.picked_up(
            world.ctx, walk.runner, walk.order_id, PickUp(lat=far.lat, lon=far.lon, accuracy_m=60)
        )
        pin = (await world.order(walk.order_id)).pin
        door = LocalPlane(await walk.stop("dropoff")).point(400, 0)
        tap = Deliver(pin=pin, lat=door.lat, lon=door.lon, accuracy_m=200)
        await deliver_task.delivered(world.ctx, walk.runner, walk.order_id, tap)
        told = {str(event.kind): event.payload for event in await world.events(walk.order_id)}
        where = ("distance_from_stop_m", "accuracy_m", "is_far_from_stop", "located_by")
        assert [told["runner_arrived"].get(name) for name in where] == [30, None, None, "track"]
        assert [told["order_picked_up"].get(name) for name in where] == [900, 60, True, "tap"]
        assert [told["order_delivered"].get(name) for name in where] == [400, 200, None, "tap"], "not beyond doubt"
        assert (await world.order(walk.order_id)).status == "delivered", "a far tap is not refused"


async def test_nobody_knows_where_a_tap_was_made_long_after_the_last_reading(home: World) -> None:
    async with walk_of(home) as walk:
        home.advance(3600)
        await deliver_task.arrived(home.ctx, walk.runner, walk.order_id, Tap())
        told = {str(event.kind): event.payload for event in await home.events(walk.order_id)}
        assert "distance_from_stop_m" not in told["runner_arrived"]


async def test_who_has_lost_the_errand_comes_nowhere_with_it(world: World) -> None:
    operator, other = await world.operator(), await world.runner()
    async with walk_of(world) as walk:
        await walk.see("pickup", 300)
        order = await world.order(walk.order_id)
        wish = Reassign(runner_id=other.account_id, version=order.version, reason="accident")
        await reassign_task.reassign(world.ctx, operator, walk.order_id, wish)
        # The worker has not heard of it yet: what it sees counts for nothing.
        await walk.stay("pickup", 5)
        assert await walk.told() == [] and await walk.visits() == []
        await walk.publish()
        await walk.stay("pickup", 5)
        assert await walk.visits() == []
        await walk.see("pickup", 5, who=other)
        await walk.see("pickup", 5, who=other)
        (visit,) = await walk.visits()
        assert visit.runner_id == other.account_id and await walk.told() == ["runner_at_stop"]


async def test_a_device_that_cannot_make_up_its_mind_is_not_told_on_for_ever(home: World) -> None:
    async with walk_of(home) as walk:
        for _ in range(8):
            await walk.stay("pickup", 5)
            await walk.see("pickup", 300)
        assert await walk.told() == ["runner_at_stop"] * 5
        (visit,) = await walk.visits()
        assert visit.times == 8


async def test_queueing_has_one_place_and_helping_none(home: World) -> None:
    place = home.places()[0]
    async with walk_of(home, type_code="queue", wait_min=10, stops=[StopRequest(place_id=place)]) as walk:
        helping = await home.assigned(walk.student, walk.runner, type_code="help", wait_min=10, stops=[])
        await walk.stay("place", 5)
        assert await walk.told() == ["runner_at_stop"]
        for order_id in (walk.order_id, helping):
            await deliver_task.arrived(home.ctx, walk.runner, order_id, Tap())
            pin = (await home.order(order_id)).pin
            await deliver_task.delivered(home.ctx, walk.runner, order_id, Deliver(pin=pin))
        (visit,) = await walk.visits()
        assert visit.role is StopRole.PLACE and visit.service_s is not None and visit.service_s > 0


async def test_a_grabbed_order_is_seen_as_soon_as_the_relay_has_told(home: World) -> None:
    async with walk_of(home) as walk:
        await walk.see("pickup", 400)
        walk.order_id = await home.paid(walk.student)
        await answer_offer.grab(home.ctx, walk.runner, walk.order_id)
        await walk.publish()
        await walk.stay("pickup", 5)
        assert "runner_at_stop" in await walk.told()


async def test_without_its_database_a_worker_waits_and_then_says_it(home: World, monkeypatch: Any) -> None:
    async with walk_of(home) as walk:
        whole = home.ctx.store.read

        async def away(*args: Any) -> Any:
            raise Unavailable()

        monkeypatch.setattr(home.ctx.store, "read", away)
        walk_stop = LocalPlane(home.map.place(home.places()[0]).point)
        for after_s in (15.0, 15.0):
            home.advance(after_s)
            at_ms = round(home.clock.now().timestamp() * 1000)
            fix = Fix(*walk_stop.point(5, 0), at_ms, 5.0, received_at_ms=at_ms)
            walk.watch.observe(home.campus_id, [(walk.runner.account_id, fix)])
        deadline = asyncio.get_running_loop().time() + 10
        while not walk.watch.failures:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        monkeypatch.setattr(home.ctx.store, "read", whole)
        await walk.stay("pickup", 5)
        assert await walk.told() == ["runner_at_stop"]


async def test_more_than_may_wait_is_said_again_by_the_next_reading(home: World) -> None:
    async with walk_of(home) as walk:
        await walk.watch.stop()
        walk.watch = StopWatch(home.ctx, StopRhythm(write_every_s=0.02, capacity=0))
        await walk.watch.start()
        await walk.stay("pickup", 5)
        assert walk.watch.metrics()["stop_overflow_total"] > 0 and await walk.told() == []
        walk.watch._rhythm = QUICK
        await walk.stay("pickup", 5)
        assert await walk.told() == ["runner_at_stop"]
        assert walk.watch.metrics()["stops_watched"] == 1
        walk.watch.forget(home.campus_id, walk.runner.account_id)
        walk.watch.forget("cmp_of_nobody", walk.runner.account_id)
        assert walk.watch.metrics()["stops_watched"] == 0


# --- over real sockets ------------------------------------------------------------------------------------------------


class Books:
    """What a hub asks of the house, answered by the use cases."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def ask_standings(self, whos: Any) -> Any:
        return await ask_standings(self.world.ctx, whos)

    async def may_follow(self, asked: Any) -> Any:
        return await follow_topic.may_follow_many(self.world.ctx, asked)

    async def read_topics(self, asked: Any) -> Any:
        return await follow_topic.read_topics(self.world.ctx, asked)


async def token(world: World, who: Principal) -> str:
    view = await open_session(world.ctx, who.account_id, world.campus_id, None)
    return (await socket_token(world.ctx, world.ctx.tokens.access(view.access_token))).token


async def test_a_reading_from_a_socket_reaches_the_student_s_socket_as_news(
    world: World, redis_url: str, eventually: Eventually
) -> None:
    stranger = await world.student()
    async with walk_of(world) as walk:
        await deliver_task.picked_up(world.ctx, walk.runner, walk.order_id, PickUp())
        await world.publish()
        server = Server(
            redis_url, Books(world), OPTIONS, verify_token=world.ctx.tokens.socket, fences=Watches(walk.watch)
        )
        await server.start()
        try:
            async with (
                dial(server, token=await token(world, walk.runner)) as device,
                dial(server, token=await token(world, walk.student)) as student,
                dial(server, token=await token(world, stranger)) as other,
            ):
                topic = f"order:{walk.order_id}"
                await follow(student, topic)
                await other.send(t="follow", re=7, topic=topic)
                assert (await other.until("error", re=7))["code"] == "not_found"
                door = LocalPlane(await walk.stop("dropoff")).point(10, 0)
                for seconds_ago in (30, 15, 0):
                    at_ms = now_ms(server) - 1000 * seconds_ago
                    await device.send(t="fix", at=at_ms, lat=door.lat, lon=door.lon, acc=5)
                    await eventually(partial(_is_flushed, world, walk.runner, at_ms))
                    await settled(walk.watch)
                assert await walk.told() == list(SEEN)
                await world.publish()
                assert (await heard(student, "runner_arriving"))["order_id"] == walk.order_id
                assert (await heard(student, "runner_at_stop"))["stop_role"] == "dropoff"
                await other.send(t="ping", re=8)
                while (frame := await other.receive())["t"] != "pong":
                    assert frame["t"] != "event", "a student of another order hears nothing"
        finally:
            await server.stop()


async def heard(client: Client, kind: str) -> Any:
    """What the next event of that kind says."""
    while True:
        frame = await client.until("event")
        if frame["kind"] == kind:
            return frame["data"]


async def _is_flushed(world: World, runner: Principal, at_ms: int) -> bool:
    """Whether the flush that told the watch of this reading is over: what it writes comes after."""
    found = await world.ctx.presence.get(world.campus_id, [runner.account_id])
    return any(fix.fixed_at_ms == at_ms for fix in found.values())


async def test_the_console_shows_who_is_at_a_door(home: World) -> None:
    operator = await home.operator()
    async with walk_of(home) as walk:
        await walk.stay("pickup", 5)
        shown = await console(home.ctx, operator)
        assert shown.orders[0].near is not None and shown.orders[0].near.role == "pickup"


async def test_visits_are_forgotten_after_their_time(world: World) -> None:
    async with walk_of(world) as walk:
        await walk.stay("pickup", 5)
        await run(world, lambda uow: uow.delays.tell(uow.orders.get(walk.order_id), uow.now))
        world.advance(91 * 86_400)
        counts = await world.ctx.store.run_global(lambda unit: unit.retention())
        assert counts["stop_visits"] == 1 and counts["delays"] == 1
        assert await walk.visits() == []
