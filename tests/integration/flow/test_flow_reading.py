"""What everybody sees: their own, no more than they may, and in the datum that they asked for."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.access.principal import Principal
from dispatch.flow import confirm_order, deliver_task, go_on_duty, read_orders, reassign_task, watch_console
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted
from dispatch.model.requests import ConfirmOrder, PickUp, RateOrder, Reassign, SetDuty, StopRequest
from geo.datum import Datum, from_wgs84
from geo.point import Point
from tests.flow_world import DAY_S, World


async def test_each_party_sees_its_own_part_of_an_order(home: World) -> None:
    student, operator = await home.student(name="李雷"), await home.operator()
    runner, other = await home.runner(name="韩梅梅"), await home.runner()
    order_id = await home.assigned(student, runner)
    pin = (await home.order(order_id)).pin
    own = await home.seen(student, order_id)
    assert own.pin == pin and own.stops[1].detail == "501" and own.student_name == "李雷"
    assert own.runner.name == "韩*" and "****" in own.runner.phone and own.runner.position is not None
    assert own.eta is not None and own.eta.warnings == ["not_picked_up"]
    carried = await home.seen(runner, order_id)
    assert carried.pin is None and carried.stops[1].contact_phone == "13900001234"
    assert carried.student_id is None and carried.cancel_price_fen is None
    watched = await home.seen(operator, order_id)
    assert watched.pin is None and watched.stops[1].detail == "" and "****" in watched.stops[1].contact_phone
    assert watched.student_name == "李*" and watched.cancel_price_fen == 0
    for stranger in (other, await home.student(), await home.operator(campus_id=home.other_campus_id)):
        with pytest.raises(NotFound):
            await home.seen(stranger, order_id)
        for read in (_timeline, _track):
            with pytest.raises(NotFound):
                await read(home, stranger, order_id)


async def _timeline(world: World, who: Principal, order_id: str) -> list[str]:
    return [event.kind for event in (await read_orders.timeline(world.ctx, who, order_id)).events]


async def _track(world: World, who: Principal, order_id: str) -> Any:
    return await read_orders.track(world.ctx, who, order_id)


async def test_the_timeline_keeps_the_search_for_a_runner_to_the_campus_team(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(name="值班"), await home.runner()
    order_id = await home.paid(student)
    offer = await home.offered(order_id)
    await home.pass_time(15)
    version = (await home.order(order_id)).version
    request = Reassign(runner_id=runner.account_id, version=version, reason="other")
    await reassign_task.reassign(home.ctx, operator, order_id, request)
    whole = await _timeline(home, operator, order_id)
    assert whole == [
        "order_placed", "payment_ready", "order_paid", "task_offered", "offer_expired", "task_assigned",
    ]  # fmt: skip
    public = ["order_placed", "payment_ready", "order_paid", "task_assigned"]
    assert await _timeline(home, student, order_id) == await _timeline(home, runner, order_id) == public
    events = (await read_orders.timeline(home.ctx, operator, order_id)).events
    assert events[-1].actor == "值班" and events[3].data["offer_id"] == offer.id
    assert all(event.actor is None for event in (await read_orders.timeline(home.ctx, student, order_id)).events)


async def test_after_the_hand_over_the_student_sees_the_runner_no_more(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.assigned(student, runner)
    await home.stand(runner, home.map.place("library").point)
    home.advance(30)
    await home.stand(runner, home.map.place("mei-1").point)
    track = await _track(home, student, order_id)
    assert len(track.points) >= 2 and len(track.path) >= 2 and track.points[-1][2] > track.points[0][2]
    await home.ctx.presence.remove(home.campus_id, [runner.account_id])
    lost = await home.seen(student, order_id)
    assert lost.runner.position is None and "stale_position" in lost.eta.warnings
    await home.stand(runner, home.map.center, seconds_ago=61)
    assert "stale_position" in (await home.seen(student, order_id)).eta.warnings
    await deliver_task.picked_up(home.ctx, runner, order_id, PickUp())
    await home.hand_over(runner, order_id)
    done = await home.seen(student, order_id)
    assert done.runner is not None and done.runner.position is None and done.eta is None
    assert (await _track(home, student, order_id)).points == []
    assert (await _track(home, operator, order_id)).points != []
    await confirm_order.confirm(home.ctx, student, order_id, ConfirmOrder())
    assert (await home.seen(student, order_id)).runner is None
    waiting = await home.paid(student)
    assert (await _track(home, student, waiting)).path == []


async def test_positions_go_out_in_the_datum_that_was_asked_for(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.assigned(student, runner)
    second = await home.paid(student)

    def moved(lat: float, lon: float) -> list[float]:
        return pytest.approx(list(from_wgs84(Point(lat, lon), Datum.GCJ02)), abs=1e-9)  # type: ignore[return-value]

    plain, shifted = await home.seen(student, order_id), await read_orders.order(home.ctx, student, order_id, "gcj02")
    for a, b in zip(plain.stops, shifted.stops, strict=True):
        assert [b.lat, b.lon] == moved(a.lat, a.lon)
    assert shifted.runner is not None and shifted.runner.position is not None
    assert shifted.runner.position[:2] == moved(*plain.runner.position[:2])
    tracks = [await read_orders.track(home.ctx, student, order_id, datum) for datum in ("wgs84", "gcj02")]
    assert tracks[1].points[0][:2] == moved(*tracks[0].points[0][:2])
    assert tracks[1].path[-1] == moved(*tracks[0].path[-1])
    consoles = [await watch_console.console(home.ctx, operator, datum) for datum in ("wgs84", "gcj02")]
    positions = [console.runners[0].position for console in consoles]
    assert positions[0] is not None and positions[1] is not None and positions[1][:2] == moved(*positions[0][:2])
    await home.offered(second)
    states = [await go_on_duty.state(home.ctx, runner, datum) for datum in ("wgs84", "gcj02")]
    for before, after in ((one.offer, two.offer) for one, two in [states]):
        assert before is not None and after is not None
        assert [after.stops[0].lat, after.stops[0].lon] == moved(before.stops[0].lat, before.stops[0].lon)
    assert states[1].orders[0].stops[0].lat == shifted.stops[0].lat
    halls = [await go_on_duty.hall(home.ctx, runner, datum) for datum in ("wgs84", "gcj02")]
    a, b = halls[0].items[0].stops[0], halls[1].items[0].stops[0]
    assert [b.lat, b.lon] == moved(a.lat, a.lon)


async def test_pages_of_orders(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    made = []
    for _ in range(3):
        made.append(await home.paid(student))
        home.advance(1)
    carried = await home.assigned(student, runner)
    first = await read_orders.orders(home.ctx, student, limit=3)
    assert [view.id for view in first.orders] == [carried, made[2], made[1]]
    rest = await read_orders.orders(home.ctx, student, limit=3, before=first.next_before)
    assert [view.id for view in rest.orders] == [made[0]] and rest.next_before is None
    mine = await read_orders.orders(home.ctx, runner, scope="carried", datum="gcj02")
    assert [view.id for view in mine.orders] == [carried] and mine.orders[0].task_status == "assigned"
    everybodys = await read_orders.orders(home.ctx, operator, scope="all", status="open")
    assert {view.id for view in everybodys.orders} == set(made)
    found = await read_orders.orders(home.ctx, operator, scope="all", q=carried[-6:])
    assert carried in [view.id for view in found.orders]
    with pytest.raises(NotPermitted):
        await read_orders.orders(home.ctx, student, scope="all")
    with pytest.raises(InvalidInput) as refused:
        await read_orders.orders(home.ctx, student, status="lost")
    assert refused.value.field == "status"


async def test_the_hall_shows_the_nearest_first_and_not_ones_own(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    own = await home.paid(runner)
    far = await home.paid(student, stops=[StopRequest(place_id="zhu-1"), StopRequest(place_id="library")])
    near = await home.paid(student, stops=[StopRequest(place_id="mei-1"), StopRequest(place_id="library")])
    await home.stand(runner, home.map.place("mei-1").point)
    hall = await go_on_duty.hall(home.ctx, runner)
    assert [item.order_id for item in hall.items] == [near, far] and hall.items[0].pickup_m == 0
    assert own not in [item.order_id for item in hall.items]
    assert all(stop.detail == "" for item in hall.items for stop in item.stops)
    await home.ctx.presence.remove(home.campus_id, [runner.account_id])
    assert [item.pickup_m for item in (await go_on_duty.hall(home.ctx, runner)).items] == [None, None]
    with pytest.raises(NotPermitted):
        await go_on_duty.hall(home.ctx, student)


async def test_a_runners_page(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    done = await home.delivered(student, runner)
    await confirm_order.rate(home.ctx, student, done, RateOrder(stars=5))
    order_id = await home.assigned(student, runner)
    second = await home.paid(student)
    offer = await home.offered(second)
    state = await go_on_duty.state(home.ctx, runner)
    assert state.is_on_duty and state.offer is not None and state.offer.id == offer.id
    service = (await home.order(done)).quote.service_fen
    assert (state.today_orders, state.today_fen, state.on_time_percent) == (1, service * 80 // 100, 100)
    assert [view.id for view in state.orders] == [order_id] and state.report_every_ms == 5000
    assert state.offer.pay_fen > 0 and state.offer.trip_m > 0 and state.offer.stops[1].detail == ""
    changed = await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=True, vehicle="e_bike"))
    assert changed.vehicle == "e_bike"
    off = await go_on_duty.set_duty(home.ctx, runner, SetDuty(is_on=False, vehicle="e_bike"))
    assert not off.is_on_duty and len(off.orders) == 1
    assert runner.account_id in await home.ctx.presence.all(home.campus_id), "still carrying: still on the map"
    with pytest.raises(NotPermitted):
        await go_on_duty.set_duty(home.ctx, student, SetDuty(is_on=True))
    home.advance(DAY_S)
    assert (await go_on_duty.state(home.ctx, runner)).today_orders == 0


async def test_a_wallet_counts_each_fen_once(world: World) -> None:
    student, runner = await world.student(), await world.runner()
    order_id = await world.delivered(student, runner)
    await world.payments.bank.script("*", "split_pending", count=50)
    pay = (await world.order(order_id)).quote.service_fen * 80 // 100
    wallet = await go_on_duty.wallet(world.ctx, runner)
    delivered_ms = round(world.clock.now().timestamp() * 1000)
    assert [(line.amount_fen, line.at_ms) for line in wallet.pending] == [(pay, delivered_ms + 2 * DAY_S * 1000)]
    await confirm_order.confirm(world.ctx, student, order_id, ConfirmOrder())
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert [line.at_ms for line in wallet.pending] == [delivered_ms + DAY_S * 1000]
    await world.pass_time(DAY_S)
    assert (await world.order(order_id)).status == "confirmed", "the institution has not confirmed the campus's part"
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.pending_fen, wallet.available_fen) == (0, pay), "the runner's is theirs, and waits to be withdrawn"


async def test_a_type_that_was_taken_off_the_list_is_still_carried_out(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    waiting = await home.paid(student)
    ground = await home.ctx.grounds.get(home.campus_id)
    types = {code: kind for code, kind in ground.campus.settings.types.items() if code != "parcel"}
    await home.settings(types=types)
    assert (await home.seen(student, order_id)).eta is not None
    assert (await home.offered(waiting)).runner_id == runner.account_id
    assert (await go_on_duty.state(home.ctx, runner)).orders[0].id == order_id
