"""No-go areas of the map are obeyed by the planner: who stands in one, and what was ordered before one was drawn."""

from __future__ import annotations

from dataclasses import replace

from dispatch.assign.params import Params
from dispatch.flow.assign_tasks import assign_tasks, why_waiting
from dispatch.flow.campus_ground import CampusGrounds, parse_map
from dispatch.flow.context import Context
from dispatch.flow.weigh_reassign import options
from geo.campus import CampusMap
from geo.campus_parts import Zone
from geo.fix import Fix
from geo.point import Point
from geo.walkway import Walkways
from tests.flow_world import World
from tests.shift_reading import ms


def _lake(world: World) -> Point:
    ring = next(zone.ring for zone in world.map.zones if zone.id == "lake")
    return Point(sum(point.lat for point in ring) / len(ring), sum(point.lon for point in ring) / len(ring))


def _redrawn(world: World, around: Point) -> Context:
    """The same server on a map where nobody may go to this place any more."""

    def parse(raw: bytes) -> tuple[CampusMap, Walkways]:
        before, walkways = parse_map(raw)
        plane = before.plane
        x, y = plane.xy_many([around])[0].tolist()
        ring = [plane.point(x + east, y + north) for east, north in ((-9, -9), (9, -9), (9, 9), (-9, 9))]
        return replace(before, zones=(*before.zones, Zone("works", "施工", tuple(ring)))), walkways

    return replace(world.ctx, grounds=CampusGrounds(world.ctx.store, world.clock, parse))


async def test_who_stands_in_a_no_go_area_is_not_asked_and_the_decision_says_so(home: World) -> None:
    swimmer, walker = await home.runner(at=_lake(home)), await home.runner()
    order_id = await home.paid(await home.student())
    offer = await home.offered(order_id)
    assert offer.runner_id == walker.account_id
    (decision,) = await home.read(lambda uow: uow.decisions.for_order(order_id))
    told = {one["runner_id"]: one.get("excluded") for one in decision.candidates}
    assert told == {swimmer.account_id: "in_no_go_area", walker.account_id: None}


async def test_who_may_as_well_be_on_the_shore_is_asked(home: World) -> None:
    runner, lake = await home.runner(), _lake(home)
    blurred = Fix(lake.lat, lake.lon, ms(home), accuracy_m=500.0, received_at_ms=ms(home))
    await home.ctx.presence.put_many(home.campus_id, [(runner.account_id, blurred)])
    offer = await home.offered(await home.paid(await home.student()))
    assert offer.runner_id == runner.account_id


async def test_an_old_position_is_the_reason_before_the_area_it_was_in(home: World) -> None:
    runner = await home.runner(at=_lake(home))
    order_id = await home.paid(await home.student())
    operator = await home.operator()
    (told,) = (await options(home.ctx, operator, order_id)).options
    assert (told.runner_id, told.excluded) == (runner.account_id, "in_no_go_area")
    home.advance(100)
    (told,) = (await options(home.ctx, operator, order_id)).options
    assert told.excluded == "stale_position"


async def test_nobody_is_sent_to_a_stop_around_which_an_area_was_drawn_later(home: World) -> None:
    await home.tick()  # takes the lease
    runner, operator = await home.runner(), await home.operator()
    order_id = await home.paid(await home.student())
    stop = (await home.order(order_id)).stops[1]
    ctx = _redrawn(home, Point(stop.lat, stop.lon))
    tick = await assign_tasks(ctx, home.campus_id, home.fence, Params())
    assert (tick.offered, tick.waiting) == (0, {order_id: "stop_in_no_go_area"})
    waits = await why_waiting(ctx, home.campus_id, order_id)
    assert waits is not None and waits.reason == "stop_in_no_go_area"
    (told,) = (await options(ctx, operator, order_id)).options
    assert (told.runner_id, told.excluded) == (runner.account_id, "stop_in_no_go_area"), "an operator still may"
    assert (await home.offered(order_id)).runner_id == runner.account_id, "without the area it is offered"
