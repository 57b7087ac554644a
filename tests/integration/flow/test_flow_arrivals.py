"""When errands will be done: reckoned over everything in hand, learned from how it went, kept on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from dispatch.access.principal import Principal
from dispatch.flow import cancel_order, deliver_task, place_order, read_orders
from dispatch.flow.arrival import apart, arrivals, expect_all, hands_of, service_s, speed_mps, stops_ahead
from dispatch.flow.campus_ground import LEARNED_S, CampusGround
from dispatch.flow.learn_arrivals import ArrivalLearner
from dispatch.flow.make_quote import PROMISE
from dispatch.model.requests import CancelOrder, PickUp, Tap
from dispatch.model.stop import StopRole
from dispatch.store.arrivals import PACE_KEPT
from dispatch.store.unit_of_work import UnitOfWork
from geo.arrival_model import FIRST_DETOUR, ArrivalModel
from geo.calibration import Calibration
from geo.campus import CampusMap
from geo.eta import WALK_MPS
from geo.fix import Fix
from geo.point import LocalPlane, Point, near_distance_m
from geo.walkway import Walkways
from tests.flow_world import World, run


async def ground_of(world: World) -> CampusGround:
    """As it is after what was learned has been read again."""
    world.advance(LEARNED_S + 1)
    return await world.ctx.grounds.get(world.campus_id)


async def walk(world: World, runner: Principal, way: list[Point], mps: float) -> None:
    """The runner's device reports every five seconds while walking along the points."""
    plane = LocalPlane(way[0])
    xy = plane.xy_many(way)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))))
    for metres in [*np.arange(5 * mps, along[-1], 5 * mps), along[-1]]:
        world.advance(5)
        x, y = (float(np.interp(metres, along, xy[:, axis])) for axis in (0, 1))
        await world.stand(runner, plane.point(x, y))


async def errand(world: World, learner: ArrivalLearner, runner: Principal, mps: float = 1.0, door_s: float = 30) -> str:
    """One errand from assignment to hand-over, looked at every so often."""
    student = await world.student()
    order_id = await world.assigned(student, runner)
    stops = [Point(stop.lat, stop.lon) for stop in (await world.order(order_id)).stops]
    await world.stand(runner, stops[0])
    await learner.look()
    ground = await world.ctx.grounds.get(world.campus_id)
    world.advance(40)
    await deliver_task.picked_up(world.ctx, runner, order_id, PickUp())
    await learner.look()
    await walk(world, runner, ground.walkways.path(*stops), mps)
    await learner.look()
    await deliver_task.arrived(world.ctx, runner, order_id, Tap())
    world.advance(door_s)
    await world.hand_over(runner, order_id)
    world.advance(1)
    await learner.look()
    return order_id


async def test_what_arrives_teaches_and_everybody_reads_it(world: World) -> None:
    learner = ArrivalLearner(world.ctx, "jobs")
    runner, other = await world.runner(), await world.runner()
    before, began = (await ground_of(world)).arrivals, world.clock.now()
    assert before.errors.seen() == 0 and len(before.paces) == 0
    for _ in range(4):
        await errand(world, learner, runner, mps=0.9)
    ground = await ground_of(world)
    now = began  # in the hour of the first errands
    slow = speed_mps(ground, runner.account_id, "walk", now)
    assert slow < speed_mps(ground, other.account_id, "walk", now) < WALK_MPS
    assert slow < speed_mps(ground, runner.account_id, "walk", now + timedelta(hours=9)), "another hour, less is known"
    assert ground.arrivals.errors.seen() > 2
    figures = await world.read(lambda uow: uow.arrivals.figures())
    assert {"*", "carrying:next", "fetching:next"} <= figures.errors["bins"].keys() and figures.kinds["walk"].weight > 1
    assert figures.detours[0].weight > 1, "how much longer the ways are than straight lines"
    elsewhere = await world.read(lambda uow: uow.arrivals.figures(), campus_id=world.other_campus_id)
    assert elsewhere.errors == {} and elsewhere.kinds == {}, "another campus has learned nothing of it"


async def test_one_process_learns_and_the_next_goes_on(world: World) -> None:
    first, second = ArrivalLearner(world.ctx, "one"), ArrivalLearner(world.ctx, "two")
    runner = await world.runner()
    await first.look()
    await second.look()
    assert not second._campuses, "the first leads both campuses"
    await errand(world, first, runner)
    await first.stop()
    await second.look()
    assert second._campuses.keys() == {world.campus_id, world.other_campus_id}
    known = second._campuses[world.campus_id].model
    assert known.errors.seen() > 0 and len(known.paces) == 1, "what was learned was kept"
    weight = known.errors.seen()
    await errand(world, second, runner)
    assert known.errors.seen() > weight


async def test_a_cancelled_errand_teaches_nothing_and_is_forgotten(home: World) -> None:
    learner = ArrivalLearner(home.ctx, "jobs")
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    await learner.look()
    assert list(learner._campuses[home.campus_id].noted) == [order_id]
    view = await home.seen(student, order_id)
    wish = CancelOrder(reason="no need", version=view.version, expected_price_fen=view.cancel_price_fen or 0)
    await cancel_order.cancel(home.ctx, student, order_id, wish)
    await learner.look()
    assert not learner._campuses[home.campus_id].noted
    assert (await home.read(lambda uow: uow.arrivals.figures())).errors == {}


async def test_the_time_at_stops_is_learned(home: World) -> None:
    learner = ArrivalLearner(home.ctx, "jobs")
    runner = await home.runner()
    before = service_s(await ground_of(home), "parcel", StopRole.DROPOFF)
    for _ in range(3):
        await errand(home, learner, runner, door_s=400)
    after = service_s(await ground_of(home), "parcel", StopRole.DROPOFF)
    assert after > before
    assert service_s(await ground_of(home), "parcel", StopRole.DROPOFF, floor=5) == pytest.approx(after + 4 * 25)


async def test_the_way_goes_to_the_nearest_next_stop_and_back_down_the_stairs(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    first = await home.assigned(student, runner)
    ground = await home.ctx.grounds.get(home.campus_id)
    hand = (await home.read(lambda uow: hands_of(uow, [runner.account_id])))[runner.account_id]
    pickup = hand[0][1].stops[0]
    ahead = stops_ahead(hand, *apart([(hand, Point(pickup.lat, pickup.lon))], ground))
    assert [one.stop.role for one in ahead] == [StopRole.PICKUP, StopRole.DROPOFF]
    assert ahead[0].metres < 1 and ahead[1].metres > 50 and [one.is_last for one in ahead] == [False, True]
    home.advance(1)
    second = await home.assigned(student, runner)
    hand = (await home.read(lambda uow: hands_of(uow, [runner.account_id])))[runner.account_id]
    both = stops_ahead(hand, *apart([(hand, Point(pickup.lat, pickup.lon))], ground))
    assert [one.stop.role for one in both] == [StopRole.PICKUP] * 2 + [StopRole.DROPOFF] * 2
    here = {"r": Fix(pickup.lat, pickup.lon, 0)}
    told = expect_all({"r": hand}, {}, here, ground, home.clock.now())["r"]
    assert told[first].seconds < told[second].seconds and told[second].case == "fetching:later"


async def test_without_paths_the_straight_line_counts_with_the_detour_that_tracks_have_shown(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.assigned(student, runner)
    hand = (await home.read(lambda uow: hands_of(uow, [runner.account_id])))[runner.account_id]
    ground = await home.ctx.grounds.get(home.campus_id)
    pathless = CampusMap(name="without paths", boundary=ground.map.boundary)
    lone = replace(ground, map=pathless, walkways=Walkways.of(pathless), arrivals=ArrivalModel())
    (pickup, dropoff) = [Point(stop.lat, stop.lon) for stop in (await home.order(order_id)).stops]
    straight_m = near_distance_m(*pickup, *dropoff)

    def ratio() -> float:
        (metres,) = apart([(hand, pickup)], lone)
        return float(metres[1, 2]) / straight_m

    assert ratio() == pytest.approx(FIRST_DETOUR, rel=0.01)
    for _ in range(200):
        assert lone.arrivals.detours.learn(straight_m, 1.8 * straight_m)
    assert ratio() == pytest.approx(1.8, rel=0.05)
    known = apart([(hand, pickup)], replace(ground, arrivals=lone.arrivals))[0]
    assert known[1, 2] == pytest.approx(ground.walkways.walk_m(pickup, dropoff), rel=0.01), "paths need no detour"


async def test_what_makes_a_range_doubtful_is_said(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    stops = [Point(stop.lat, stop.lon) for stop in (await home.order(order_id)).stops]
    ground = await home.ctx.grounds.get(home.campus_id)
    hand = (await home.read(lambda uow: hands_of(uow, [runner.account_id])))[runner.account_id]
    await home.stand(runner, stops[0])
    way = ground.walkways.path(stops[1], stops[0])
    await walk(home, runner, [stops[0], *way[::-1][:3]], 1.3)
    eta = (await home.seen(student, order_id)).eta
    assert eta is not None and eta.warnings == [] and eta.location_age_ms is not None and eta.location_age_ms < 6_000
    assert eta.from_ms < eta.at_ms < eta.to_ms
    plane = LocalPlane(stops[0])
    (x, y) = plane.xy(stops[1])
    away = plane.point(-x * 300 / (x * x + y * y) ** 0.5, -y * 300 / (x * x + y * y) ** 0.5)
    await walk(home, runner, [stops[0], away], 1.3)
    eta = (await home.seen(student, order_id)).eta
    assert eta is not None and "off_route" in eta.warnings
    home.advance(90)
    eta = (await home.seen(student, order_id)).eta
    assert eta is not None and eta.warnings == ["stale_position"] and (eta.location_age_ms or 0) >= 90_000
    lost = arrivals(hand, None, None, ground, home.clock.now())[order_id]
    assert lost.location_age_ms is None and "stale_position" in lost.warnings


async def test_the_way_taken_is_drawn_over_the_paths_for_those_who_watch(home: World) -> None:
    student, runner = await home.student(), await home.runner()
    order_id = await home.carrying(student, runner)
    stops = [Point(stop.lat, stop.lon) for stop in (await home.order(order_id)).stops]
    ground = await home.ctx.grounds.get(home.campus_id)
    way = ground.walkways.path(*stops)[1:-1]
    plane = LocalPlane(way[0])
    beside = [plane.point(float(x) + 4, float(y) + 4) for x, y in plane.xy_many(way)]
    await walk(home, runner, beside, 1.4)
    seen = await read_orders.track(home.ctx, student, order_id)
    graph = ground.walkways.graph
    assert graph is not None and len(seen.line) > 5
    assert all(graph.snap(Point(lat, lon)).offset_m < 0.5 for lat, lon in seen.line)
    assert len(seen.points) > 10 and all(graph.snap(Point(lat, lon)).offset_m > 0.5 for lat, lon, _ in seen.points[5:])
    other = await read_orders.track(home.ctx, student, order_id, "gcj02")
    assert other.line[0] != seen.line[0] and len(other.line) == len(seen.line)
    assert (await read_orders.track(home.ctx, runner, order_id)).line == []


async def test_an_errand_without_a_place_has_a_range_and_stops_no_planning(home: World) -> None:
    student, runner, other = await home.student(), await home.runner(), await home.runner()
    order_id = await home.assigned(student, runner, type_code="help", stops=[], wait_min=30)
    told = (await home.seen(student, order_id)).eta
    assert told is not None and told.from_ms < told.at_ms < told.to_ms
    await deliver_task.arrived(home.ctx, runner, order_id, Tap())
    await ArrivalLearner(home.ctx, "jobs").look()
    waiting = await home.paid(await home.student())
    assert (await home.offered(waiting)).runner_id in (runner.account_id, other.account_id)


async def test_promises_grow_with_the_queue_and_with_what_errands_have_taken(home: World) -> None:
    student, runner = await home.student(), await home.runner()

    async def promised_s() -> float:
        quote = await place_order.quote_order(home.ctx, student, home.request())
        return quote.arrive_by_ms / 1000 - home.clock.now().timestamp()

    alone = await promised_s()
    await home.assigned(student, runner)
    busy = await promised_s()
    await home.paid(student)
    assert alone < busy < await promised_s(), "the only runner is busy, and then somebody waits besides"
    order = await home.order(await home.paid(student))
    assert order.quote.queue_s > 0 and order.promised_at == order.quote.arrive_by

    def late(uow: UnitOfWork) -> None:
        figures = uow.arrivals.figures()
        errors = Calibration()
        for _ in range(200):
            errors.learn(PROMISE, 1_000, 2_500)
        uow.arrivals.save_figures(msgspec.structs.replace(figures, promises=errors.to_json()))

    before = await promised_s()
    await run(home, late)
    home.advance(LEARNED_S + 1)
    assert await promised_s() > 1.3 * before, "promises that were broken make longer ones"


async def test_old_speeds_are_forgotten(world: World) -> None:
    learner = ArrivalLearner(world.ctx, "jobs")
    await errand(world, learner, await world.runner())
    assert len(await world.read(lambda uow: uow.arrivals.paces())) == 1
    late = world.clock.now() + PACE_KEPT - timedelta(minutes=5)
    counts = await world.ctx.store.run_global(lambda unit: unit.retention(late))
    assert counts["runner_paces"] == 0
    counts = await world.ctx.store.run_global(lambda unit: unit.retention(late + timedelta(hours=1)))
    assert counts["runner_paces"] == 1
    assert await world.read(lambda uow: uow.arrivals.paces()) == []
