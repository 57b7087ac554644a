"""Geofences as the campus team draws, changes and deletes them, and what came of them: the log and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from geo.datum import Datum, from_wgs84, to_wgs84
from geo.errors import GeoError
from geo.fence_shape import Geofence, LaidFence
from geo.point import LocalPlane, Point, distance_m

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.errors import InvalidInput, NotFound, StaleVersion
from ..model.geofence import (
    MAX_FENCES,
    MAX_RADIUS_M,
    MIN_RADIUS_M,
    STAY_KEPT,
    CampusFence,
    CircleShape,
    FenceShape,
    FenceStay,
    PolygonShape,
    drawn,
    instant,
)
from ..model.geofence_views import DwellReport, DwellRow, GeofenceList, GeofenceView, StayPage, StayView, ZoneView
from ..model.requests import DrawGeofence, ReplaceGeofence
from ..model.zone import Zone
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .order_view import ms
from .watch_geofences import WAKE

#: A fence belongs to the campus: it begins at most so far from its middle.
MAX_AWAY_M = 20_000.0
#: The report covers the last day unless it is told otherwise.
REPORT_SPAN = timedelta(days=1)


async def geofences(ctx: Context, who: Principal, datum: str = "wgs84") -> GeofenceList:
    """The campus's fences and who is in them, oldest first."""
    who.require(Permission.ORDERS_READ_ANY)

    def read(uow: UnitOfWork) -> list[GeofenceView]:
        inside: dict[str, list[str]] = {}
        for stay in uow.geofence_stays.open_stays():
            inside.setdefault(stay.fence_id, []).append(stay.runner_id)
        zones = {zone.fence_id: zone for zone in uow.zones.all()}
        return [
            geofence_view(fence, Datum(datum), inside.get(fence.id, []), zones.get(fence.id))
            for fence in uow.geofences.active()
        ]

    return GeofenceList(geofences=await ctx.store.read(who.campus_id, read))


async def draw_geofence(ctx: Context, who: Principal, request: DrawGeofence) -> GeofenceView:
    """A new fence; audited."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)
    shape = await _checked_shape(ctx, who.campus_id, request)

    def draw(uow: UnitOfWork) -> CampusFence:
        if uow.geofences.count_active() >= MAX_FENCES:
            raise InvalidInput(f"a campus has at most {MAX_FENCES} geofences; delete one first", field="shape")
        fence = CampusFence(
            id=uow.new_id(ids.GEOFENCE),
            campus_id=who.campus_id,
            name=_name(request.name, "name"),
            name_en=None if request.name_en is None else _name(request.name_en, "name_en"),
            shape=shape,
            dwell_s=request.dwell_s,
            version=1,
            is_active=True,
            created_at=uow.now,
            updated_at=uow.now,
            updated_by=who.account_id,
        )
        uow.geofences.insert(fence)
        uow.audit.add(who.account_id, "draw_geofence", fence.id, "", None, _shown(fence))
        return fence

    fence = await ctx.store.run(who.campus_id, draw)
    await ctx.bus.wake(WAKE, who.campus_id)
    return geofence_view(fence, Datum(request.datum), [])


async def replace_geofence(ctx: Context, who: Principal, fence_id: str, request: ReplaceGeofence) -> GeofenceView:
    """Another name, place or dwell for a fence; version checked, audited. Who is in it stays in it until they leave
    the new one."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)
    shape = await _checked_shape(ctx, who.campus_id, request)

    def change(uow: UnitOfWork) -> tuple[CampusFence, list[str], Zone | None]:
        before = at_version(uow, fence_id, request.version)
        after = replace(
            before,
            name=_name(request.name, "name"),
            name_en=None if request.name_en is None else _name(request.name_en, "name_en"),
            shape=shape,
            dwell_s=request.dwell_s,
            version=before.version + 1,
            updated_at=uow.now,
            updated_by=who.account_id,
        )
        uow.geofences.save(after)
        uow.audit.add(who.account_id, "replace_geofence", fence_id, "", _shown(before), _shown(after))
        inside = [stay.runner_id for stay in uow.geofence_stays.open_stays() if stay.fence_id == fence_id]
        return after, inside, next((zone for zone in uow.zones.all() if zone.fence_id == fence_id), None)

    after, inside, zone = await ctx.store.run(who.campus_id, change)
    await ctx.bus.wake(WAKE, who.campus_id)
    return geofence_view(after, Datum(request.datum), inside, zone)


async def delete_geofence(ctx: Context, who: Principal, fence_id: str, version: int) -> None:
    """The fence is no more; the stays in it end without being told as left. Version checked, audited."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)

    def delete(uow: UnitOfWork) -> None:
        before = at_version(uow, fence_id, version)
        after = replace(
            before, is_active=False, version=before.version + 1, updated_at=uow.now, updated_by=who.account_id
        )
        uow.geofences.save(after)
        uow.geofence_stays.end_of_fence(fence_id, uow.now)
        uow.audit.add(who.account_id, "delete_geofence", fence_id, "", _shown(before), None)

    await ctx.store.run(who.campus_id, delete)
    await ctx.bus.wake(WAKE, who.campus_id)


async def stays(
    ctx: Context,
    who: Principal,
    *,
    fence_id: str | None = None,
    runner_id: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    limit: int = 50,
    before: str | None = None,
) -> StayPage:
    """Who was in which fence, newest first."""
    who.require(Permission.ORDERS_READ_ANY)

    def read(uow: UnitOfWork) -> list[StayView]:
        found = uow.geofence_stays.page(
            fence_id=fence_id,
            runner_id=runner_id,
            since=None if since_ms is None else instant(since_ms),
            until=None if until_ms is None else instant(until_ms),
            limit=limit,
            before=before,
        )
        names = uow.geofences.names({stay.fence_id for stay in found})
        people = uow.accounts.many({stay.runner_id for stay in found})
        return [
            _stay_view(stay, names, people[stay.runner_id].name if stay.runner_id in people else "") for stay in found
        ]

    rows = await ctx.store.read(who.campus_id, read)
    return StayPage(stays=rows, next_before=rows[-1].id if len(rows) == limit else None)


async def dwell_report(
    ctx: Context, who: Principal, *, since_ms: int | None = None, until_ms: int | None = None
) -> DwellReport:
    """How often and how long runners were in each fence; the last day unless it says otherwise."""
    who.require(Permission.ORDERS_READ_ANY)
    until = ctx.clock.now() if until_ms is None else instant(until_ms)
    since = until - REPORT_SPAN if since_ms is None else instant(since_ms)
    if not timedelta(0) < until - since <= STAY_KEPT:
        raise InvalidInput(f"a report covers up to {STAY_KEPT.days} days, and since lies before until", field="since")

    def read(uow: UnitOfWork) -> list[DwellRow]:
        figures = uow.geofence_stays.figures(since, until)
        active = {fence.id: fence.name for fence in uow.geofences.active()}
        names = active | uow.geofences.names(figures.keys() - active.keys())
        rows = []
        for fence_id, name in names.items():
            known = figures.get(fence_id)
            rows.append(
                DwellRow(
                    fence_id=fence_id,
                    name=name,
                    is_active=fence_id in active,
                    visits=known.visits if known else 0,
                    inside_now=known.inside_now if known else 0,
                    dwelled=known.dwelled if known else 0,
                    mean_s=known.mean_s if known else None,
                    median_s=known.median_s if known else None,
                    longest_s=known.longest_s if known else None,
                )
            )
        return sorted(rows, key=lambda row: (-row.visits, row.fence_id))

    return DwellReport(since_ms=ms(since), until_ms=ms(until), rows=await ctx.store.read(who.campus_id, read))


def geofence_view(fence: CampusFence, datum: Datum, inside: list[str], zone: Zone | None = None) -> GeofenceView:
    """A fence as operators see it."""
    shown = None
    if zone is not None:
        shown = ZoneView(mode=str(zone.mode), runner_ids=None if zone.runner_ids is None else list(zone.runner_ids))
    return GeofenceView(
        id=fence.id, name=fence.name, name_en=fence.name_en, shape=_moved(fence.shape, lambda p: from_wgs84(p, datum)),
        dwell_s=fence.dwell_s, version=fence.version, updated_at_ms=ms(fence.updated_at), inside=inside, zone=shown,
    )  # fmt: skip


def _stay_view(stay: FenceStay, names: Mapping[str, str], runner_name: str) -> StayView:
    took = None if stay.left_at is None else round((stay.left_at - stay.entered_at).total_seconds(), 1)
    return StayView(
        id=stay.id, fence_id=stay.fence_id, fence_name=names.get(stay.fence_id, ""), runner_id=stay.runner_id,
        runner_name=runner_name, entered_at_ms=ms(stay.entered_at),
        left_at_ms=None if stay.left_at is None else ms(stay.left_at), inside_s=took, has_dwelled=stay.has_dwelled,
    )  # fmt: skip


def at_version(uow: UnitOfWork, fence_id: str, version: int) -> CampusFence:
    """The fence if it is as it was seen; raises :class:`NotFound` and :class:`StaleVersion`."""
    fence = uow.geofences.get(fence_id)
    if not fence.is_active:
        raise NotFound("this geofence was deleted")
    if fence.version != version:
        raise StaleVersion(field="version", version=fence.version)
    return fence


def _name(text: str, field: str) -> str:
    name = text.strip()
    if not name:
        raise InvalidInput("a name has letters", field=field)
    return name


async def _checked_shape(ctx: Context, campus_id: str, request: DrawGeofence) -> FenceShape:
    """The shape as WGS-84, refused by the name of its field where it cannot be a fence of this campus."""
    datum = Datum(request.datum)
    shape = _moved(request.shape, lambda point: to_wgs84(point, datum))
    center = (await ctx.grounds.get(campus_id)).map.center
    corners = [(shape.lat, shape.lon)] if isinstance(shape, CircleShape) else shape.corners
    for row, (lat, lon) in enumerate(corners):
        if distance_m(center, Point(lat, lon)) > MAX_AWAY_M:
            field = "shape" if isinstance(shape, CircleShape) else f"shape.corners.{row}"
            raise InvalidInput(f"this is more than {MAX_AWAY_M / 1000:.0f} km from the campus", field=field)
    if isinstance(shape, PolygonShape):
        _check_size(shape, center)
    return shape


def _check_size(shape: PolygonShape, center: Point) -> None:
    try:
        radius_m = LaidFence(Geofence("", "", drawn(shape)), LocalPlane(center)).radius_m
    except GeoError:
        raise InvalidInput("this encloses nothing", field="shape.corners") from None
    if not MIN_RADIUS_M <= radius_m <= MAX_RADIUS_M:
        raise InvalidInput(
            f"this is as big as a circle of {radius_m:.1f} m; between {MIN_RADIUS_M:.0f} and {MAX_RADIUS_M:.0f} m",
            field="shape.corners",
        )


def _moved(shape: FenceShape, move: Any) -> FenceShape:
    if isinstance(shape, CircleShape):
        lat, lon = move(Point(shape.lat, shape.lon))
        return msgspec.structs.replace(shape, lat=lat, lon=lon)
    return PolygonShape([tuple(move(Point(lat, lon))) for lat, lon in shape.corners])


def _shown(fence: CampusFence) -> dict[str, Any]:
    return {
        "version": fence.version, "name": fence.name, "name_en": fence.name_en, "dwell_s": fence.dwell_s,
        "shape": msgspec.to_builtins(fence.shape),
    }  # fmt: skip
