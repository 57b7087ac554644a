"""Campuses as people see them - hours, kinds of errands, map, places - and as operators set them."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import replace
from datetime import time
from typing import Any

from msgspec import UNSET, to_builtins
from msgspec.structs import asdict

from geo.campus import CampusMap
from geo.campus_parts import Place
from geo.datum import Datum, from_wgs84

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.campus import AssignMode, Campus, CampusSettings
from ..model.errors import InvalidInput, StaleVersion
from ..model.quote import SplitRules
from ..model.requests import EditCampus
from ..model.views import CampusView, OrderTypeView, PlaceView
from ..store.unit_of_work import GlobalUnit
from .campus_ground import CampusGround
from .context import Context
from .edit_credit_rules import edited_rules
from .order_view import ms


async def campuses(ctx: Context) -> list[CampusView]:
    """The campuses of this server, by name."""
    found = await ctx.store.read_global(lambda unit: unit.campuses.all())
    grounds = await asyncio.gather(*(ctx.grounds.get(campus.id) for campus in found))
    return sorted((campus_view(ctx, ground.campus, ground.map) for ground in grounds), key=lambda view: view.name)


async def campus(ctx: Context, campus_id: str) -> CampusView:
    """One campus."""
    ground = await ctx.grounds.get(campus_id)
    return campus_view(ctx, ground.campus, ground.map)


async def campus_ground(ctx: Context, campus_id: str) -> CampusGround:
    """The campus's map, from which the edge draws what pages show."""
    return await ctx.grounds.get(campus_id)


async def places(ctx: Context, campus_id: str, q: str, limit: int, datum: str = "wgs84") -> list[PlaceView]:
    """Places by name, best match first; without a name the quick addresses."""
    ground = await ctx.grounds.get(campus_id)
    text = q.strip()
    quick = {place.id for place in ground.map.quick()}
    found = ground.map.search(text, limit) if text else ground.map.quick(limit)
    return [_place_view(place, place.id in quick, Datum(datum)) for place in found]


def _place_view(place: Place, is_quick: bool, datum: Datum) -> PlaceView:
    lat, lon = from_wgs84(place.point, datum)
    return PlaceView(
        id=place.id, name=place.name, name_en=place.name_en, lat=lat, lon=lon, floors=place.floors, is_quick=is_quick,
        kind=place.kind,
    )  # fmt: skip


def campus_view(ctx: Context, campus: Campus, campus_map: CampusMap) -> CampusView:
    now = ctx.clock.now()
    settings = campus.settings
    return CampusView(
        id=campus.id,
        name=campus.name,
        lat=campus_map.center.lat,
        lon=campus_map.center.lon,
        is_open=settings.is_open(now),
        opens=settings.opens.strftime("%H:%M"),
        closes=settings.closes.strftime("%H:%M"),
        time_zone=settings.time_zone,
        mode=str(settings.mode),
        types=[
            OrderTypeView(
                code=kind.code, name_zh=kind.name_zh, name_en=kind.name_en, stops=[str(role) for role in kind.stops],
                base_fen=kind.base_fen, has_goods=kind.has_goods, is_timed=kind.is_timed,
            )
            for kind in settings.types.values()
        ],
        now_ms=ms(now),
        time_scale=ctx.clock.rate,
        version=campus.version,
        has_job_hint=ctx.options.has_job_hint,
        assurances=settings.assurances,
    )  # fmt: skip


async def edit_settings(ctx: Context, who: Principal, request: EditCampus) -> CampusView:
    """Change the settings of one's own campus; version checked, audited with before and after."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)

    def change(unit: GlobalUnit) -> Campus:
        before = unit.campuses.get(who.campus_id)
        if before.version != request.version:
            raise StaleVersion(field="version", version=before.version)
        settings = _edited(before.settings, request)
        if request.credit is not UNSET:
            rules = edited_rules(settings.credit, request.credit, f"credit-{before.version + 1}")
            settings = replace(settings, credit=rules)
        after = replace(before, settings=settings, version=before.version + 1)
        unit.campuses.save(after)
        audit = unit.at(who.campus_id).audit
        audit.add(who.account_id, "edit_campus", who.campus_id, "", _shown(before), _shown(after))
        return after

    after = await ctx.store.run_global(change)
    ground = await ctx.grounds.get(who.campus_id)
    return campus_view(ctx, after, ground.map)


def _edited(settings: CampusSettings, request: EditCampus) -> CampusSettings:
    if request.mode is not UNSET:
        settings = replace(settings, mode=AssignMode(request.mode))
    if request.opens is not UNSET:
        settings = replace(settings, opens=time.fromisoformat(request.opens))
    if request.closes is not UNSET:
        settings = replace(settings, closes=time.fromisoformat(request.closes))
    if request.max_tasks_per_runner is not UNSET:
        settings = replace(settings, max_tasks_per_runner=request.max_tasks_per_runner)
    if request.alarms is not UNSET:
        told = {name: value for name, value in asdict(request.alarms).items() if value is not UNSET}
        settings = replace(settings, alarms=replace(settings.alarms, **told))
    runner = settings.split.runner if request.runner_percent is UNSET else request.runner_percent
    campus = settings.split.campus if request.campus_percent is UNSET else request.campus_percent
    if runner + campus > 100:
        raise InvalidInput("the shares of runner and campus exceed 100 percent", field="runner_percent")
    return replace(settings, split=SplitRules(runner, campus, 100 - runner - campus))


def _shown(campus: Campus) -> dict[str, Any]:
    settings = campus.settings
    return {
        "version": campus.version,
        "mode": str(settings.mode),
        "opens": settings.opens.strftime("%H:%M"),
        "closes": settings.closes.strftime("%H:%M"),
        "credit": to_builtins(settings.credit),
        "max_tasks_per_runner": settings.max_tasks_per_runner,
        "alarms": dataclasses.asdict(settings.alarms),
        "split": [settings.split.runner, settings.split.campus, settings.split.platform],
    }
