"""A runner's week: classes and shifts, read from a file where there is one, the zones to work in, and breaks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import RunnerStatus
from ..model.campus import CampusSettings
from ..model.errors import InvalidInput, NotAvailable, StaleVersion
from ..model.event import EventKind
from ..model.geofence import instant
from ..model.offer import OfferStatus
from ..model.shift import LEAST_BREAK, LONGEST_BREAK, RunnerPlan, Timetable, check_timetable
from ..model.shift_requests import SavePlan, TakeBreak
from ..model.shift_views import PlanView, PlanZone, ReadPlanView
from ..model.timetable_files import read_timetable
from ..store.unit_of_work import UnitOfWork
from .answer_offer import give_back
from .availability import rules_of_runner
from .context import Context
from .order_view import ms
from .tell import tell_about_account


async def plan(ctx: Context, who: Principal) -> PlanView:
    """One's own week."""
    who.require(Permission.TASKS_CARRY)
    return await _read(ctx, who, who.account_id)


async def plan_of(ctx: Context, who: Principal, runner_id: str) -> PlanView:
    """A runner's week, for the campus team."""
    who.require(Permission.ACCOUNTS_MANAGE)
    return await _read(ctx, who, runner_id)


async def save_plan(ctx: Context, who: Principal, request: SavePlan) -> PlanView:
    """Write one's own week anew."""
    who.require(Permission.TASKS_CARRY)
    return await _save(ctx, who, who.account_id, request)


async def save_plan_of(ctx: Context, who: Principal, runner_id: str, request: SavePlan) -> PlanView:
    """Plan a runner's shifts for them; audited."""
    who.require(Permission.ACCOUNTS_MANAGE)
    return await _save(ctx, who, runner_id, request)


async def read_plan(ctx: Context, who: Principal, media: str, raw: bytes, term_starts: date | None) -> ReadPlanView:
    """What a timetable file says, to be looked at and saved; ``term_starts``: for a table that does not say it."""
    who.require(Permission.TASKS_CARRY)
    ground = await ctx.grounds.get(who.campus_id)
    zone = ground.campus.settings.time_zone
    # In a thread: the longest file allowed, full of rules, takes most of a second.
    found = await asyncio.to_thread(read_timetable, raw, media, zone, term_starts)
    return ReadPlanView(term_starts=_day(found.term_starts), entries=list(found.entries))


async def take_break(ctx: Context, who: Principal, request: TakeBreak) -> PlanView:
    """A break from now on; an offer that waits for an answer goes back. None ends it."""
    who.require(Permission.TASKS_CARRY)
    ground = await ctx.grounds.get(who.campus_id)

    def change(uow: UnitOfWork) -> PlanView:
        until = None if request.until_ms is None else _break_until(uow, who, request.until_ms)
        uow.runner_plans.save_pause(replace(uow.runner_plans.pause(who.account_id), break_until=until))
        for pending in [] if until is None else uow.offers.pending_of_runner(who.account_id):
            give_back(uow, pending, OfferStatus.DECLINED, reason="on_break")
        told = {"break_until_ms": request.until_ms}
        tell_about_account(uow, EventKind.RUNNER_PAUSED, who.account_id, actor_id=who.account_id, **told)
        return plan_view(uow, who.account_id, ground.campus.settings)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _break_until(uow: UnitOfWork, who: Principal, until_ms: int) -> datetime:
    if not uow.memberships.get(who.account_id).is_on_duty:
        raise NotAvailable("come on duty first", reason="off_duty")
    # Compared as numbers: what a device sends need not be a date at all.
    if not LEAST_BREAK <= timedelta(milliseconds=until_ms - ms(uow.now)) <= LONGEST_BREAK:
        raise InvalidInput(
            f"a break lasts from {LEAST_BREAK.seconds // 60} to {LONGEST_BREAK.seconds // 60} minutes",
            field="until_ms",
        )
    return instant(until_ms)


async def _read(ctx: Context, who: Principal, runner_id: str) -> PlanView:
    ground = await ctx.grounds.get(who.campus_id)
    return await ctx.store.read(who.campus_id, lambda uow: plan_view(uow, runner_id, ground.campus.settings))


async def _save(ctx: Context, who: Principal, runner_id: str, request: SavePlan) -> PlanView:
    ground = await ctx.grounds.get(who.campus_id)
    timetable = Timetable(request.term_starts, tuple(request.entries))
    check_timetable(timetable)
    if request.zones is not None and not request.zones:
        # Nowhere is what being off duty is for; and it must not be taken for everywhere.
        raise InvalidInput("name a zone, or send null to work in all of them", field="zones")

    def change(uow: UnitOfWork) -> PlanView:
        if uow.memberships.get(runner_id).runner_status is not RunnerStatus.APPROVED:
            raise NotAvailable("this account is no approved runner", field="id")
        before = uow.runner_plans.get(runner_id)
        if before.version != request.version:
            raise StaleVersion(field="version", version=before.version)
        known = {zone.fence_id for zone in uow.zones.all()}
        for row, zone_id in enumerate(request.zones or ()):
            if zone_id not in known:
                raise InvalidInput("there is no such zone here", field=f"zones.{row}")
        zones = None if request.zones is None else tuple(dict.fromkeys(request.zones))
        after = RunnerPlan(runner_id, uow.campus_id, before.version + 1, timetable, zones, uow.now)
        uow.runner_plans.save(after)
        if runner_id != who.account_id:
            uow.audit.add(who.account_id, "runner.plan", runner_id, "", _shown(before), _shown(after))
        return plan_view(uow, runner_id, ground.campus.settings)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def plan_view(uow: UnitOfWork, runner_id: str, settings: CampusSettings) -> PlanView:
    """A runner's week and what it means now."""
    member = uow.memberships.get(runner_id)
    found, pause = uow.runner_plans.get(runner_id), uow.runner_plans.pause(runner_id)
    rules = rules_of_runner(uow, settings, member)
    zones = uow.zones.all()
    fences = {fence.id: fence for fence in uow.geofences.active()} if zones else {}
    known = [
        PlanZone(
            id=zone.fence_id, name=fences[zone.fence_id].name, name_en=fences[zone.fence_id].name_en,
            mode=str(zone.mode), is_open=zone.runner_ids is None or runner_id in zone.runner_ids,
        )
        for zone in zones
    ]  # fmt: skip
    return PlanView(
        runner_id=runner_id,
        version=found.version,
        term_starts=_day(found.timetable.term_starts),
        entries=list(found.timetable.entries),
        zones=None if found.zones is None else list(found.zones),
        known_zones=known,
        time_zone=settings.time_zone,
        excluded=None if rules.excluded is None else str(rules.excluded),
        until_ms=rules.until_ms,
        break_until_ms=ms(pause.break_until) if pause.break_until and pause.break_until > uow.now else None,
        cool_until_ms=ms(pause.cool_until) if pause.cool_until and pause.cool_until > uow.now else None,
    )


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _shown(found: RunnerPlan) -> dict[str, Any]:
    return {
        "version": found.version, "timetable": msgspec.to_builtins(found.timetable),
        "zones": None if found.zones is None else list(found.zones),
    }  # fmt: skip
