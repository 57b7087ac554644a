"""What everybody sees: their own, no more than they may, and in the datum that they asked for."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from PIL import Image

from dispatch.access.principal import Principal
from dispatch.flow import (
    cancel_order,
    confirm_order,
    deliver_task,
    go_on_duty,
    read_orders,
    reassign_task,
    reveal_personal,
    watch_console,
)
from dispatch.flow.follow_topic import TopicGrant, may_follow_many, read_topics
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, Refusal
from dispatch.model.requests import (
    CancelOrder,
    ConfirmOrder,
    Deliver,
    PickUp,
    RateOrder,
    Reassign,
    Reveal,
    SetDuty,
    StopRequest,
)
from geo.datum import Datum, from_wgs84
from geo.point import Point
from tests.flow_world import World, run

DAY_S = 86_400


async def _seen(world: World, who: Principal, order_id: str) -> Any:
    return await read_orders.order(world.ctx, who, order_id)


async def test_each_party_sees_its_own_part_of_an_order(home: World) -> None:
    student, operator = await home.student(name="李雷"), await home.operator()
    runner, other = await home.runner(name="韩梅梅"), await home.runner()
    order_id = await home.assigned(student, runner)
    pin = (await home.order(order_id)).pin
    own = await _seen(home, student, order_id)
    assert own.pin == pin and own.stops[1].detail == "501" and own.student_name == "李雷"
    assert own.runner.name == "韩*" and "****" in own.runner.phone and own.runner.position is not None
    assert own.eta is not None and own.eta.warnings == ["not_picked_up"]
    carried = await _seen(home, runner, order_id)
    assert carried.pin is None and carried.stops[1].contact_phone == "13900001234"
    assert carried.student_id is None and carried.cancel_price_fen is None
    watched = await _seen(home, operator, order_id)
    assert watched.pin is None and watched.stops[1].detail == "" and "****" in watched.stops[1].contact_phone
    assert watched.student_name == "李*" and watched.cancel_price_fen == 0
    for stranger in (other, await home.student(), await home.operator(campus_id=home.other_campus_id)):
        for read in (_seen, _timeline, _track):
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
    lost = await _seen(home, student, order_id)
    assert lost.runner.position is None and "stale_position" in lost.eta.warnings
    await home.stand(runner, home.map.center, seconds_ago=61)
    assert "stale_position" in (await _seen(home, student, order_id)).eta.warnings
    await _hand_over(home, student, runner, order_id)
    done = await _seen(home, student, order_id)
    assert done.runner is not None and done.runner.position is None and done.eta is None
    assert (await _track(home, student, order_id)).points == []
    assert (await _track(home, operator, order_id)).points != []
    await confirm_order.confirm(home.ctx, student, order_id, ConfirmOrder())
    assert (await _seen(home, student, order_id)).runner is None
    waiting = await home.paid(student)
    assert (await _track(home, student, waiting)).path == []


async def _hand_over(world: World, student: Principal, runner: Principal, order_id: str) -> None:
    await deliver_task.picked_up(world.ctx, runner, order_id, PickUp())
    pin = (await world.order(order_id)).pin
    await deliver_task.delivered(world.ctx, runner, order_id, Deliver(pin=pin))


async def test_positions_go_out_in_the_datum_that_was_asked_for(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.assigned(student, runner)
    second = await home.paid(student)

    def moved(lat: float, lon: float) -> list[float]:
        return pytest.approx(list(from_wgs84(Point(lat, lon), Datum.GCJ02)), abs=1e-9)  # type: ignore[return-value]

    plain, shifted = await _seen(home, student, order_id), await read_orders.order(home.ctx, student, order_id, "gcj02")
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
    assert (await world.order(order_id)).status == "confirmed", "the institution has not confirmed the split"
    wallet = await go_on_duty.wallet(world.ctx, runner)
    assert (wallet.pending_fen, wallet.available_fen) == (pay, 0)


async def test_an_order_past_its_promise_alerts_once(world: World) -> None:
    student, operator, runner = await world.student(), await world.operator(), await world.runner()
    order_id = await world.assigned(student, runner)
    order = await world.order(order_id)
    await world.pass_time((order.promised_at - world.clock.now()).total_seconds())
    await run(world, lambda uow: uow.jobs.schedule("check_late", order_id, uow.now))
    await world.pass_time(60)
    assert (await world.alerts()).count("order_late") == 1
    assert (await world.kinds(order_id)).count("order_late") == 1
    console = await watch_console.console(world.ctx, operator)
    (alert,) = console.alerts
    assert alert.order_id == order_id and not alert.is_acknowledged
    assert console.kpis.late == 1 and console.runners[0].is_late and console.orders[0].is_late
    seen = await watch_console.acknowledge(world.ctx, operator, alert.id)
    assert seen.is_acknowledged and (await watch_console.console(world.ctx, operator)).alerts == []
    with pytest.raises(NotPermitted):
        await watch_console.acknowledge(world.ctx, student, alert.id)


async def test_the_console_and_its_figures_beside_yesterdays(world: World) -> None:
    student, operator = await world.student(), await world.operator()
    runner, idle = await world.runner(), await world.runner()
    await world.delivered(student, runner)
    world.advance(DAY_S + 60)
    await world.work()
    await world.stand(runner, world.map.center)
    done = await world.delivered(student, runner)
    open_id = await world.paid(student)
    carried = await world.assigned(student, runner)
    await go_on_duty.set_duty(world.ctx, idle, SetDuty(is_on=False))
    off = await world.runner(is_on=False)
    view = await watch_console.console(world.ctx, operator)
    assert {order.id for order in view.orders} == {done, open_id, carried}
    assert all(order.task_status for order in view.orders)
    (shown,) = view.runners
    assert shown.id == runner.account_id and shown.order_ids == [carried] and shown.load == 1
    kpis = view.kpis
    assert (kpis.active, kpis.unassigned, kpis.done_today, kpis.done_yesterday) == (2, 1, 1, 1)
    assert (kpis.online, kpis.runners, kpis.students_today) == (1, 1, 1) and kpis.turnover_today_fen > 0
    assert off.account_id not in [one.id for one in view.runners]
    money = await watch_console.money(world.ctx, operator)
    held_fen = (await world.order(done)).held_fen
    assert money.held_fen == 4 * held_fen, "all four cost the same"
    for read in (watch_console.console, watch_console.money):
        with pytest.raises(NotPermitted):
            await read(world.ctx, student)
    other = await world.operator(campus_id=world.other_campus_id)
    assert (await watch_console.console(world.ctx, other)).orders == []


async def test_revealing_leaves_a_trace(world: World) -> None:
    student, operator = await world.student(name="李雷"), await world.operator()
    order_id = await world.paid(student)
    view = await reveal_personal.reveal(world.ctx, operator, order_id, Reveal(reason="nobody opens"))
    assert view.name == "李雷" and view.stops[1].detail == "501" and view.stops[1].contact_phone == "13900001234"
    (entry,) = await world.audit("personal.reveal")
    assert (entry.actor_id, entry.subject, entry.reason) == (operator.account_id, order_id, "nobody opens")
    with pytest.raises(NotPermitted):
        await reveal_personal.reveal(world.ctx, student, order_id, Reveal(reason="curious"))
    foreign = await world.operator(campus_id=world.other_campus_id)
    with pytest.raises(NotFound):
        await reveal_personal.reveal(world.ctx, foreign, order_id, Reveal(reason="curious"))
    assert len(await world.audit("personal.reveal")) == 1


async def granted(home: World, who: Principal, topic: str, datum: str = "wgs84") -> TopicGrant:
    """The grant with its snapshot; without one the answer is the same. Raises what either is refused with."""
    (short,) = await may_follow_many(home.ctx, [(who, topic)])
    (whole,) = await read_topics(home.ctx, [(who, topic, datum)])
    if isinstance(whole, Refusal):
        assert (type(short), str(short)) == (type(whole), str(whole))
        raise whole
    assert isinstance(short, TopicGrant) and (short.watch, short.snapshot) == (whole.watch, None)
    return whole


async def test_who_may_follow_what(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    other = await home.runner()
    foreign = await home.operator(campus_id=home.other_campus_id)
    order_id = await home.paid(student)
    topic = f"order:{order_id}"
    assert (await granted(home, student, topic)).watch == "", "nobody has it yet"
    with pytest.raises(NotFound):
        await granted(home, runner, topic)
    await home.assign(runner, order_id)
    for who in (student, runner, operator):
        grant = await granted(home, who, topic, "gcj02")
        assert grant.watch == runner.account_id and grant.snapshot["id"] == order_id
    for who in (other, await home.student(), foreign):
        with pytest.raises(NotFound):
            await granted(home, who, topic)
    await _hand_over(home, student, runner, order_id)
    grant = await granted(home, student, topic)
    assert grant.watch == "" and grant.snapshot["status"] == "delivered"
    with pytest.raises(NotPermitted, match="over"):
        await granted(home, runner, topic)

    own, hall, console = f"runner:{runner.account_id}", f"hall:{home.campus_id}", f"console:{home.campus_id}"
    assert (await granted(home, runner, own)).snapshot["is_on_duty"] is True
    assert (await granted(home, runner, hall)).snapshot["items"] == []
    assert (await granted(home, operator, console)).watch is None
    denied = [
        (other, own), (operator, own), (student, f"runner:{student.account_id}"), (student, hall), (foreign, hall),
        (runner, console), (student, console), (foreign, console),
    ]  # fmt: skip
    for who, name in denied:
        with pytest.raises(NotPermitted):
            await granted(home, who, name)
    for nonsense in ("", "order:", "order:1", "weather:today", f"order:{student.account_id}"):
        with pytest.raises(NotFound):
            await granted(home, student, nonsense)


async def test_many_ask_at_once_and_each_has_an_answer_of_their_own(world: World) -> None:
    student, other, operator, runner = (
        await world.student(), await world.student(), await world.operator(), await world.runner()
    )  # fmt: skip
    waiting, assigned = await world.paid(other), await world.assigned(student, runner)
    console, hall = f"console:{world.campus_id}", f"hall:{world.campus_id}"
    asked = [
        (student, f"order:{assigned}"), (other, f"order:{assigned}"), (operator, console),
        (operator, f"order:{waiting}"), (student, console), (runner, hall), (operator, console),
        (runner, f"order:{assigned}"), (student, "order:none"), (other, f"order:{waiting}"),
        (runner, f"runner:{runner.account_id}"),
    ]  # fmt: skip
    whole = await read_topics(world.ctx, [(who, topic, "wgs84") for who, topic in asked])
    short = await may_follow_many(world.ctx, asked)
    assert [type(one) for one in whole] == [type(one) for one in short]
    refused = {number: type(one) for number, one in enumerate(whole) if isinstance(one, Refusal)}
    assert refused == {1: NotFound, 4: NotPermitted, 8: NotFound}
    grants = {number: one for number, one in enumerate(whole) if isinstance(one, TopicGrant)}
    assert [grants[number].watch for number in (0, 3, 7, 9)] == [runner.account_id, "", runner.account_id, ""]
    assert [grants[number].snapshot["id"] for number in (0, 3, 7, 9)] == [assigned, waiting, assigned, waiting]
    assert grants[2].snapshot is grants[6].snapshot, "what two see alike is read once"
    # Each is shown what is theirs to see, as if they had asked alone.
    for number in (0, 3, 7, 9):
        who, topic = asked[number]
        alone = msgspec.to_builtins(await read_orders.order(world.ctx, who, topic.partition(":")[2]))
        assert grants[number].snapshot == alone, number
    assert grants[0].snapshot["pin"] and not grants[7].snapshot["pin"]
    assert await may_follow_many(world.ctx, []) == await read_topics(world.ctx, []) == []


async def test_a_runner_who_lost_the_order_follows_it_no_more(home: World) -> None:
    student, operator = await home.student(), await home.operator()
    first, second = await home.runner(), await home.runner()
    order_id = await home.assigned(student, first)
    version = (await home.order(order_id)).version
    request = Reassign(runner_id=second.account_id, version=version, reason="other")
    await reassign_task.reassign(home.ctx, operator, order_id, request)
    with pytest.raises(NotFound):
        await granted(home, first, f"order:{order_id}")
    assert (await granted(home, student, f"order:{order_id}")).watch == second.account_id
    version = (await home.order(order_id)).version
    await cancel_order.cancel(home.ctx, student, order_id, CancelOrder(reason="x", version=version))
    assert (await granted(home, student, f"order:{order_id}")).watch == ""


async def test_a_type_that_was_taken_off_the_list_is_still_carried_out(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    waiting = await home.paid(student)
    ground = await home.ctx.grounds.get(home.campus_id)
    types = {code: kind for code, kind in ground.campus.settings.types.items() if code != "parcel"}
    await home.settings(types=types)
    assert (await _seen(home, student, order_id)).eta is not None
    assert (await home.offered(waiting)).runner_id == runner.account_id
    assert (await go_on_duty.state(home.ctx, runner)).orders[0].id == order_id


async def test_the_console_knows_when_each_order_under_way_will_arrive(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    first = await home.assigned(student, runner)
    alone = (await _seen(home, student, first)).eta
    home.advance(1)
    second = await home.assigned(student, runner)
    waiting = await home.paid(student)
    own = {order_id: (await _seen(home, student, order_id)).eta for order_id in (first, second)}
    assert own[first].to_ms == alone.to_ms + 1000, "what came later does not delay it"
    assert own[second].from_ms > own[first].to_ms, "it comes after what the runner carries besides"
    shown = {view.id: view.eta for view in (await watch_console.console(home.ctx, operator)).orders}
    assert shown == own | {waiting: None}
    await home.publish()
    told = [one.data for one in await home.heard(f"console:{home.campus_id}") if one.data.get("order_id") == second]
    assert told[-1]["order"]["eta"] == msgspec.to_builtins(own[second])
    await home.stand(runner, home.map.center, seconds_ago=61)
    home.advance(61)
    stale = {view.id: view.eta for view in (await watch_console.console(home.ctx, operator)).orders}
    assert stale[first].warnings == ["stale_position", "not_picked_up"]
    await deliver_task.picked_up(home.ctx, runner, first, PickUp())
    assert (await _seen(home, student, first)).eta.warnings == ["stale_position"]


async def test_the_console_shows_the_photos_of_an_order(home: World) -> None:
    student, operator, runner = await home.student(), await home.operator(), await home.runner()
    order_id = await home.carrying(student, runner)
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "PNG")
    photo = await deliver_task.add_photo(home.ctx, runner, order_id, "image/png", out.getvalue())
    await deliver_task.delivered(home.ctx, runner, order_id, Deliver(photo_id=photo.id))
    (view,) = (await watch_console.console(home.ctx, operator)).orders
    assert view.photo_ids == [photo.id]
    await home.publish()
    assert (await home.heard(f"console:{home.campus_id}"))[-1].data["order"]["photo_ids"] == [photo.id]
