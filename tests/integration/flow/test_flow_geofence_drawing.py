"""The campus team and its geofences: who draws and looks, what is no fence, the log of stays and the report."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.flow import manage_geofences
from dispatch.flow.draw_demo_geofences import draw_demo_geofences
from dispatch.model.errors import InvalidInput, NotFound, NotPermitted, StaleVersion
from dispatch.model.geofence import CircleShape, PolygonShape
from dispatch.model.requests import DrawGeofence, ReplaceGeofence
from geo.point import LocalPlane
from tests.fenced_world import Fenced, settled
from tests.flow_world import World


async def test_only_the_campus_team_draws_and_looks(home: World) -> None:
    student, runner, operator = await home.student(), await home.runner(), await home.operator()
    foreign = await home.operator(campus_id=home.other_campus_id)
    drawn = DrawGeofence(name="门", shape=CircleShape(*home.map.center, 20.0))
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    again = ReplaceGeofence(name="门", shape=drawn.shape, version=1)
    for who in (student, runner):
        for ask in (
            manage_geofences.geofences(home.ctx, who),
            manage_geofences.draw_geofence(home.ctx, who, drawn),
            manage_geofences.replace_geofence(home.ctx, who, fence.id, again),
            manage_geofences.delete_geofence(home.ctx, who, fence.id, 1),
            manage_geofences.stays(home.ctx, who),
            manage_geofences.dwell_report(home.ctx, who),
        ):
            with pytest.raises(NotPermitted):
                await ask
    for ask in (
        manage_geofences.replace_geofence(home.ctx, foreign, fence.id, again),
        manage_geofences.delete_geofence(home.ctx, foreign, fence.id, 1),
    ):
        with pytest.raises(NotFound):
            await ask
    assert (await manage_geofences.geofences(home.ctx, foreign)).geofences == []
    assert [one.id for one in (await manage_geofences.geofences(home.ctx, operator)).geofences] == [fence.id]


async def test_changes_are_audited_and_bound_to_a_version(home: World) -> None:
    operator = await home.operator()
    drawn = DrawGeofence(name=" 门 ", shape=CircleShape(*home.map.center, 20.0), dwell_s=60)
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    assert fence.name == "门" and fence.version == 1
    square = PolygonShape([tuple(LocalPlane(home.map.center).point(x, y)) for x, y in ((0, 0), (90, 0), (90, 90))])
    again = ReplaceGeofence(name="南门", name_en="South gate", shape=square, version=1)
    after = await manage_geofences.replace_geofence(home.ctx, operator, fence.id, again)
    assert (after.version, after.name_en, after.dwell_s, after.shape) == (2, "South gate", None, square)
    with pytest.raises(StaleVersion) as stale:
        await manage_geofences.replace_geofence(home.ctx, operator, fence.id, again)
    assert stale.value.detail == {"version": 2}
    with pytest.raises(StaleVersion):
        await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 1)
    await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 2)
    with pytest.raises(NotFound):
        await manage_geofences.delete_geofence(home.ctx, operator, fence.id, 3)
    (drew,) = await home.audit("draw_geofence")
    (replaced,) = await home.audit("replace_geofence")
    (deleted,) = await home.audit("delete_geofence")
    assert drew.after["name"] == replaced.before["name"] == "门" and replaced.after["name"] == "南门"
    assert deleted.before["shape"]["kind"] == "polygon" and deleted.after is None


async def test_the_shape_is_in_the_datum_of_whoever_drew_it(home: World) -> None:
    operator = await home.operator()
    plane = LocalPlane(home.map.center)
    drawn = DrawGeofence(name="门", shape=CircleShape(*plane.point(0, 0), 20.0), datum="gcj02")
    fence = await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    assert (fence.shape.lat, fence.shape.lon) == pytest.approx((plane.origin.lat, plane.origin.lon), abs=1e-7)
    (stored,) = (await manage_geofences.geofences(home.ctx, operator)).geofences
    x, y = plane.xy((stored.shape.lat, stored.shape.lon))
    assert 100 < abs(x) + abs(y) < 1_500


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        (CircleShape(0.0, 0.0, 50.0), "shape"),
        (PolygonShape([(30.5, 114.4), (30.501, 114.4), (30.5, 115.4)]), "shape.corners.2"),
        (PolygonShape([(30.5, 114.4), (30.501, 114.4), (30.5005, 114.4)]), "shape.corners"),
        (PolygonShape([(30.5, 114.4), (30.50001, 114.4), (30.50001, 114.40001)]), "shape.corners"),
        (PolygonShape([(30.4, 114.3), (30.6, 114.3), (30.6, 114.5), (30.4, 114.5)]), "shape.corners"),
    ],
)
async def test_what_is_no_fence_of_this_campus_is_refused_by_name(home: World, shape: Any, field: str) -> None:
    operator = await home.operator()
    with pytest.raises(InvalidInput) as refused:
        await manage_geofences.draw_geofence(home.ctx, operator, DrawGeofence(name="门", shape=shape))
    assert refused.value.field == field
    nameless_one = DrawGeofence(name="门", name_en=" ", shape=CircleShape(*home.map.center, 9.0))
    with pytest.raises(InvalidInput) as nameless:
        await manage_geofences.draw_geofence(home.ctx, operator, nameless_one)
    assert nameless.value.field == "name_en"


async def test_a_campus_has_at_most_two_hundred_fences(home: World) -> None:
    operator = await home.operator()
    drawn = DrawGeofence(name="门", shape=CircleShape(*home.map.center, 20.0))
    made = [await manage_geofences.draw_geofence(home.ctx, operator, drawn) for _ in range(200)]
    with pytest.raises(InvalidInput, match="200"):
        await manage_geofences.draw_geofence(home.ctx, operator, drawn)
    await manage_geofences.delete_geofence(home.ctx, operator, made[7].id, 1)
    await manage_geofences.draw_geofence(home.ctx, operator, drawn)


async def test_the_log_and_the_report(yard: Fenced) -> None:
    watch, world = await yard.watch(), yard.world
    runner = await world.runner()
    for x in (0.0, 400.0, 1.0):
        yard.see(watch, runner.account_id, x)
        await yard.until_open(int(x < 100))
        await settled(watch)
    page = await manage_geofences.stays(world.ctx, yard.operator, limit=1)
    name = (await world.read(lambda uow: uow.accounts.get(runner.account_id))).name
    (newest,) = page.stays
    assert (newest.fence_name, newest.runner_name, newest.left_at_ms) == ("中心广场", name, None)
    rest = await manage_geofences.stays(world.ctx, yard.operator, before=page.next_before)
    assert [stay.inside_s for stay in rest.stays] == [60.0] and rest.next_before is None
    since_ms = newest.entered_at_ms
    later = await manage_geofences.stays(world.ctx, yard.operator, since_ms=since_ms, until_ms=since_ms + 1)
    assert later.stays == [newest]
    (fence,) = (await manage_geofences.geofences(world.ctx, yard.operator)).geofences
    assert fence.inside == [runner.account_id]
    report = await manage_geofences.dwell_report(world.ctx, yard.operator, until_ms=since_ms + 1)
    (row,) = report.rows
    assert (row.visits, row.inside_now, row.mean_s, row.median_s, row.longest_s) == (2, 1, 60.0, 60.0, 60.0)
    assert report.until_ms - report.since_ms == 86_400_000
    await manage_geofences.delete_geofence(world.ctx, yard.operator, yard.fence.id, 1)
    report = await manage_geofences.dwell_report(world.ctx, yard.operator, until_ms=since_ms + 1)
    assert [(row.name, row.is_active) for row in report.rows] == [("中心广场", False)]
    for span in ({"since_ms": 0}, {"since_ms": since_ms, "until_ms": since_ms}):
        with pytest.raises(InvalidInput) as refused:
            await manage_geofences.dwell_report(world.ctx, yard.operator, **span)
        assert refused.value.field == "since"


async def test_a_campus_of_the_demonstration_begins_with_fences(home: World) -> None:
    count = await draw_demo_geofences(home.ctx, home.campus_id)
    assert await draw_demo_geofences(home.ctx, home.campus_id) == 0
    fences = (await manage_geofences.geofences(home.ctx, await home.operator())).geofences
    assert len(fences) == count >= 8
    names = {fence.name for fence in fences}
    assert {"图书馆", "第一食堂", "梅园快递站", "南门"} <= names
    # What the demonstration draws, the campus team could draw as well.
    operator = await home.operator()
    for fence in fences:
        drawn = DrawGeofence(name=fence.name, name_en=fence.name_en, shape=fence.shape, dwell_s=fence.dwell_s)
        await manage_geofences.draw_geofence(home.ctx, operator, drawn)
