"""Looking after orders under way: alarms told once, delays told to both sides, by the books of both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import answer_offer, deliver_task, describe_campus, go_on_duty, read_orders, reassign_task
from dispatch.flow.look_after_orders import LOOK_EVERY_S, Lookout
from dispatch.flow.watch_console import acknowledge, console
from dispatch.jobs.background import Background
from dispatch.model.alarm import AlarmRules
from dispatch.model.errors import NotPermitted
from dispatch.model.requests import Deliver, EditAlarms, EditCampus, PickUp, Reassign
from dispatch.model.stop import StopRole
from geo.point import LocalPlane, Point
from tests.flow_world import World

MOVEMENT = ("late_departure", "off_course", "stopped", "runner_silent")


class Watched:
    """One errand in hand, and a process that looks after it."""

    def __init__(self, world: World, student: Principal, runner: Principal, order_id: str) -> None:
        self.world, self.student, self.runner, self.order_id = world, student, runner, order_id
        self.lookout = Lookout(world.ctx)

    @classmethod
    async def of(cls, world: World, *, is_carried: bool = False) -> Watched:
        student, runner = await world.student(), await world.runner()
        make = world.carrying if is_carried else world.assigned
        return cls(world, student, runner, await make(student, runner))

    async def place(self, role: StopRole, east_m: float) -> Point:
        stops = (await self.world.order(self.order_id)).stops
        stop = next(stop for stop in stops if stop.role is role)
        return LocalPlane(Point(stop.lat, stop.lon)).point(east_m, 0)

    async def look(self, at: Point | None, seconds: float = LOOK_EVERY_S, times: int = 1) -> None:
        """So many looks, with the runner standing there (None: silent)."""
        for _ in range(times):
            self.world.advance(seconds)
            if at is not None:
                await self.world.stand(self.runner, at)
            await self.lookout.look()

    async def alerts(self) -> list[str]:
        return [kind for kind in await self.world.alerts() if kind in MOVEMENT]

    async def delays(self) -> list[dict[str, Any]]:
        return [dict(one.payload) for one in await self.world.events(self.order_id) if one.kind == "order_late"]

    async def view(self, who: Principal) -> Any:
        return await read_orders.order(self.world.ctx, who, self.order_id)


async def test_who_does_not_set_out_is_shown_to_the_campus_team_once(world: World) -> None:
    operator = await world.operator()
    watched = await Watched.of(world)
    far = await watched.place(StopRole.PICKUP, 600)
    await watched.look(far, 100, times=3)
    assert await watched.alerts() == []
    await watched.look(far, 100, times=4)
    assert await watched.alerts() == ["late_departure"]
    watched.lookout = Lookout(world.ctx)
    await watched.look(far, 100, times=2)
    assert await watched.alerts() == ["late_departure"], "another process does not say it again"
    assert (await world.kinds(watched.order_id)).count("alert_raised") == 1, "nor is it published again"
    (alert,) = [one for one in (await console(world.ctx, operator)).alerts if one.kind in MOVEMENT]
    assert alert.order_id == watched.order_id and watched.order_id[-6:] in alert.text_en
    await acknowledge(world.ctx, operator, alert.id)
    await watched.look(far, 100, times=2)
    assert await watched.alerts() == [], "who has seen it is not told again"


async def test_an_alarm_is_the_campus_team_s_business_alone(world: World) -> None:
    watched = await Watched.of(world)
    await watched.look(await watched.place(StopRole.PICKUP, 600), 100, times=5)
    await world.publish()
    heard = [event for event in await world.heard(f"console:{world.campus_id}") if event.kind == "alert_raised"]
    assert [event.data["alert"]["kind"] for event in heard] == ["late_departure"]
    assert heard[0].data["order_id"] == watched.order_id and not heard[0].data["alert"]["is_acknowledged"]
    for topic in (f"order:{watched.order_id}", f"runner:{watched.runner.account_id}", f"hall:{world.campus_id}"):
        assert "alert_raised" not in {event.kind for event in await world.heard(topic)}, topic
    for who in (watched.student, watched.runner):
        told = await read_orders.timeline(world.ctx, who, watched.order_id)
        assert "alert_raised" not in {event.kind for event in told.events}
    whole = await read_orders.timeline(world.ctx, await world.operator(), watched.order_id)
    assert "alert_raised" in {event.kind for event in whole.events}


async def test_who_stands_with_something_in_hand(world: World) -> None:
    watched = await Watched.of(world, is_carried=True)
    there = await watched.place(StopRole.DROPOFF, 300)
    await watched.look(there, 100, times=6)
    assert await watched.alerts() == []
    # A process that has just begun finds on the track how long they have stood.
    watched.lookout = Lookout(world.ctx)
    await watched.look(there, 150)
    assert await watched.alerts() == ["stopped"]


async def test_who_goes_astray_and_whose_phone_is_silent(world: World) -> None:
    watched = await Watched.of(world)
    await watched.look(await watched.place(StopRole.PICKUP, 300))
    await watched.look(await watched.place(StopRole.PICKUP, 900), 60)
    assert await watched.alerts() == ["off_course"]
    await watched.look(None, 100)
    await world.ctx.presence.remove(world.campus_id, [watched.runner.account_id])
    await watched.look(None, 100)
    assert sorted(await watched.alerts()) == ["off_course", "runner_silent"]


async def test_the_campus_team_says_when_it_is_alarmed(home: World) -> None:
    operator = await home.operator()
    watched = await Watched.of(home)
    version = (await home.ctx.grounds.get(home.campus_id)).campus.version
    wish = EditCampus(version=version, alarms=EditAlarms(late_departure_s=30))
    for who in (watched.student, watched.runner):
        with pytest.raises(NotPermitted):
            await describe_campus.edit_settings(home.ctx, who, wish)
    await describe_campus.edit_settings(home.ctx, operator, wish)
    home.advance(3)
    await watched.look(await watched.place(StopRole.PICKUP, 600), 20, times=3)
    assert await watched.alerts() == ["late_departure"]
    assert (await home.ctx.grounds.get(home.campus_id)).campus.settings.alarms == AlarmRules(late_departure_s=30)
    (entry,) = await home.audit("edit_campus")
    assert entry.after["alarms"]["late_departure_s"] == 30 and entry.before["alarms"]["late_departure_s"] == 300


async def test_the_next_runner_is_looked_at_anew(home: World) -> None:
    operator, other = await home.operator(), await home.runner()
    watched = await Watched.of(home)
    far = await watched.place(StopRole.PICKUP, 600)
    await watched.look(far, 100, times=5)
    version = (await home.order(watched.order_id)).version
    wish = Reassign(runner_id=other.account_id, version=version, reason="runner_unreachable")
    await reassign_task.reassign(home.ctx, operator, watched.order_id, wish)
    watched.runner = other
    await watched.look(far, 100, times=3)
    assert await watched.alerts() == ["late_departure"]
    await watched.look(far, 100, times=3)
    assert await watched.alerts() == ["late_departure"] * 2, "told once of each who has it"


async def test_a_delay_that_is_foreseen_is_told_to_both_sides_before_it_comes(world: World) -> None:
    stranger = await world.student()
    watched = await Watched.of(world)
    promised = (await world.order(watched.order_id)).promised_at
    far = await watched.place(StopRole.PICKUP, 900)
    world.clock.advance((promised - world.clock.now()).total_seconds() - 240)
    await watched.look(far)
    assert await watched.delays() == [], "one look is no reason"
    await watched.look(far)
    (told,) = await watched.delays()
    assert told["is_predicted"] and told["expected_ms"] > told["promised_ms"] == round(promised.timestamp() * 1000)
    for who in (watched.student, watched.runner, await world.operator()):
        assert (await watched.view(who)).delay.expected_ms == told["expected_ms"]
        assert (await watched.view(who)).promised_at_ms == told["promised_ms"]
    state = await go_on_duty.state(world.ctx, watched.runner)
    assert state.orders[0].delay is not None
    assert (await world.order(watched.order_id)).promised_at == promised, "the promise stays as it was given"
    await watched.look(far)
    assert len(await watched.delays()) == 1
    await world.pass_time(300)  # past the promise, of which they know already
    assert len(await watched.delays()) == 1 and "order_late" in await world.alerts()
    await watched.look(far, 240)
    first, second = await watched.delays()
    assert second["expected_ms"] - first["expected_ms"] > 300_000, "told again, for it has moved"
    assert not second["is_predicted"]
    await world.publish()
    for topic in (f"order:{watched.order_id}", f"runner:{watched.runner.account_id}"):
        assert [event.kind for event in await world.heard(topic)].count("order_late") == 2, topic
    mine = await world.assigned(stranger, await world.runner())
    await world.publish()
    assert "order_late" not in {event.kind for event in await world.heard(f"order:{mine}")}


async def test_a_promise_that_breaks_unforeseen_is_told_when_it_breaks(world: World) -> None:
    watched = await Watched.of(world)
    promised = (await world.order(watched.order_id)).promised_at
    await world.pass_time((promised - world.clock.now()).total_seconds())
    assert len(await watched.delays()) == 1
    delay = (await watched.view(watched.student)).delay
    assert delay.expected_ms >= round(promised.timestamp() * 1000)


async def test_an_order_that_nobody_has_is_late_as_soon_as_nobody_could_make_it(world: World) -> None:
    student = await world.student()
    order_id = await world.paid(student)
    order = await world.order(order_id)
    lookout = Lookout(world.ctx)
    left_s = (order.promised_at - world.clock.now()).total_seconds()
    world.advance(left_s - order.quote.duration_s + 30)
    for _ in range(2):
        await lookout.look()
    assert "order_late" not in await world.kinds(order_id)
    world.advance(40)
    for _ in range(2):
        await lookout.look()
    assert (await world.kinds(order_id)).count("order_late") == 1
    view = await read_orders.order(world.ctx, student, order_id)
    assert view.delay is not None and view.eta is None
    runner = await world.runner()
    await answer_offer.grab(world.ctx, runner, order_id)
    assert (await read_orders.order(world.ctx, runner, order_id)).delay is not None, "who takes it sees it, too"


async def test_what_is_over_is_neither_late_nor_lost(world: World) -> None:
    watched = await Watched.of(world, is_carried=True)
    there = await watched.place(StopRole.DROPOFF, 300)
    await watched.look(there, 100, times=5)
    pin = (await world.order(watched.order_id)).pin
    await deliver_task.delivered(world.ctx, watched.runner, watched.order_id, Deliver(pin=pin))
    await watched.look(there, 600, times=3)
    assert await watched.alerts() == [] and await watched.delays() == []
    assert (await watched.view(watched.student)).delay is None
    (memory,) = [one for campus, one in watched.lookout._memories.items() if campus == world.campus_id]
    assert not memory.trails and not memory.raised and not memory.doubted


async def test_what_happened_between_look_and_word_counts(home: World, monkeypatch: Any) -> None:
    """The order is delivered after the look has read the books."""
    watched = await Watched.of(home, is_carried=True)
    there = await watched.place(StopRole.DROPOFF, 300)
    await watched.look(there, 100, times=6)
    pin = (await home.order(watched.order_id)).pin
    presence_get = home.ctx.presence.get

    async def get(*args: Any) -> Any:
        monkeypatch.undo()
        await deliver_task.delivered(home.ctx, watched.runner, watched.order_id, Deliver(pin=pin))
        return await presence_get(*args)

    monkeypatch.setattr(home.ctx.presence, "get", get)
    await watched.look(there, 100)
    assert (await home.order(watched.order_id)).status == "delivered" and await watched.alerts() == []


async def test_one_campus_s_trouble_is_no_other_s(home: World, monkeypatch: Any) -> None:
    watched = await Watched.of(home)
    far = await watched.place(StopRole.PICKUP, 600)
    look_at = watched.lookout._look_at

    async def fail_there(campus_id: str) -> int:
        if campus_id == home.other_campus_id:
            raise RuntimeError("a bug")
        return await look_at(campus_id)

    monkeypatch.setattr(watched.lookout, "_look_at", fail_there)
    await watched.look(far, 100, times=5)
    assert await watched.alerts() == ["late_departure"]


async def test_the_jobs_process_looks(home: World, eventually: Any) -> None:
    watched = await Watched.of(home)
    await home.stand(watched.runner, await watched.place(StopRole.PICKUP, 600))
    promised = (await home.order(watched.order_id)).promised_at
    home.clock.advance((promised - home.clock.now()).total_seconds() + 60)
    await home.stand(watched.runner, await watched.place(StopRole.PICKUP, 600))

    async def no_work() -> int:
        return 0

    background = Background(home.ctx, home.streams, no_work, "test")
    background.lookout.start()
    try:
        await eventually(watched.delays, 10)
    finally:
        await background.stop()
    assert (await watched.delays())[0]["is_predicted"] is False


async def test_several_errands_of_one_runner(home: World) -> None:
    watched = await Watched.of(home)
    second = await home.assigned(await home.student(), watched.runner)
    await deliver_task.picked_up(home.ctx, watched.runner, second, PickUp())
    there = await watched.place(StopRole.DROPOFF, 300)
    await watched.look(there, 100, times=8)
    assert await watched.alerts() == ["stopped"], "who carries something has set out"
    (alert,) = [one for one in await home.read(lambda uow: uow.alerts.open_alerts()) if one.kind == "stopped"]
    assert alert.order_id == second
    assert home.clock.now() - (await home.order(second)).picked_up_at < timedelta(hours=1)
