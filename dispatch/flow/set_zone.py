"""The campus team makes a geofence a zone: a way of its own in which orders there find their runner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geo.datum import Datum

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import RunnerStatus
from ..model.campus import AssignMode
from ..model.errors import InvalidInput
from ..model.geofence import CampusFence
from ..model.geofence_views import GeofenceView
from ..model.shift_requests import SetZone
from ..model.zone import Zone
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .manage_geofences import at_version, geofence_view


async def set_zone(ctx: Context, who: Principal, fence_id: str, request: SetZone) -> GeofenceView:
    """Say how orders in this geofence find their runner, and who works there; ``mode`` None: as the campus does it.
    The geofence's version is checked and grows; audited."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)

    def change(uow: UnitOfWork) -> tuple[CampusFence, Zone | None, list[str]]:
        before = at_version(uow, fence_id, request.version)
        known = next((zone for zone in uow.zones.all() if zone.fence_id == fence_id), None)
        after = replace(before, version=before.version + 1, updated_at=uow.now, updated_by=who.account_id)
        zone = _zone(uow, fence_id, request)
        uow.geofences.save(after)
        if zone is None:
            uow.zones.remove(fence_id)
        else:
            uow.zones.save(zone)
        uow.audit.add(who.account_id, "set_zone", fence_id, "", _shown(known), _shown(zone))
        inside = [stay.runner_id for stay in uow.geofence_stays.open_stays() if stay.fence_id == fence_id]
        return after, zone, inside

    fence, zone, inside = await ctx.store.run(who.campus_id, change)
    await ctx.bus.wake("planner")
    return geofence_view(fence, Datum(request.datum), inside, zone)


def _zone(uow: UnitOfWork, fence_id: str, request: SetZone) -> Zone | None:
    if request.mode is None:
        if request.runner_ids is not None:
            raise InvalidInput("without a mode of its own it is no zone", field="runner_ids")
        return None
    runner_ids = None if request.runner_ids is None else tuple(dict.fromkeys(request.runner_ids))
    approved = {member.account_id for member, _ in uow.memberships.runners()} if runner_ids else set[str]()
    for row, runner_id in enumerate(runner_ids or ()):
        if runner_id not in approved:
            raise InvalidInput(f"this account is no {RunnerStatus.APPROVED} runner", field=f"runner_ids.{row}")
    return Zone(fence_id, uow.campus_id, AssignMode(request.mode), runner_ids)


def _shown(zone: Zone | None) -> dict[str, Any] | None:
    if zone is None:
        return None
    return {"mode": str(zone.mode), "runner_ids": None if zone.runner_ids is None else list(zone.runner_ids)}
