"""The campus team says what it gives coupons for, and which licences and insurances are shown beside the price."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import time
from typing import Any

from msgspec import UNSET, Struct, to_builtins
from msgspec.structs import asdict

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.assurance import Assurance, AssuranceKind
from ..model.campus import Campus, CampusSettings
from ..model.coupon import CouponRules
from ..model.coupon_views import AssuranceRequest, AssurancesView, CouponRulesView, SetAssurances, SetCouponRules
from ..model.errors import InvalidInput, StaleVersion
from ..store.unit_of_work import GlobalUnit
from .context import Context


async def set_coupon_rules(ctx: Context, who: Principal, request: SetCouponRules) -> CouponRulesView:
    """Change the rules; version checked, audited with before and after."""
    after = await _change(
        ctx,
        who,
        "set_coupon_rules",
        request.version,
        lambda settings: replace(settings, coupons=_edited(settings.coupons, request)),
        lambda settings: to_builtins(settings.coupons),
    )
    return CouponRulesView(version=after.version, rules=after.settings.coupons)


async def set_assurances(ctx: Context, who: Principal, request: SetAssurances) -> AssurancesView:
    """Write the badges anew; version checked, audited with before and after."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)
    known = (await ctx.grounds.get(who.campus_id)).map.places
    for number, each in enumerate(request.assurances):
        if each.place_id is not None and each.place_id not in known:
            raise InvalidInput("this campus has no such place", field=f"assurances.{number}.place_id")
    after = await _change(
        ctx,
        who,
        "set_assurances",
        request.version,
        lambda settings: replace(settings, assurances=tuple(_assurance(each) for each in request.assurances)),
        lambda settings: {"assurances": to_builtins(settings.assurances)},
    )
    return AssurancesView(version=after.version, assurances=list(after.settings.assurances))


async def _change(
    ctx: Context,
    who: Principal,
    action: str,
    version: int,
    edit: Callable[[CampusSettings], CampusSettings],
    shown: Callable[[CampusSettings], dict[str, Any]],
) -> Campus:
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)

    def change(unit: GlobalUnit) -> Campus:
        before = unit.campuses.get(who.campus_id)
        if before.version != version:
            raise StaleVersion(field="version", version=before.version)
        after = replace(before, settings=edit(before.settings), version=before.version + 1)
        unit.campuses.save(after)
        audit = unit.at(who.campus_id).audit
        audit.add(who.account_id, action, who.campus_id, "", shown(before.settings), shown(after.settings))
        return after

    return await ctx.store.run_global(change)


def _edited(rules: CouponRules, asked: SetCouponRules) -> CouponRules:
    if asked.late is not UNSET:
        rules = replace(rules, late=replace(rules.late, **_told(asked.late)))
    if asked.failure is not UNSET:
        rules = replace(rules, failure=replace(rules.failure, **_told(asked.failure)))
    if asked.off_peak is not UNSET:
        told = _told(asked.off_peak)
        told |= {name: time.fromisoformat(told[name]) for name in ("start", "end") if name in told}
        rules = replace(rules, off_peak=replace(rules.off_peak, **told))
        if rules.off_peak.end <= rules.off_peak.start:
            raise InvalidInput("the window ends before it begins", field="off_peak.end")
    if asked.valid_days is not UNSET:
        rules = replace(rules, valid_days=asked.valid_days)
    return rules


def _told(part: Struct) -> dict[str, Any]:
    return {name: value for name, value in asdict(part).items() if value is not UNSET}


def _assurance(asked: AssuranceRequest) -> Assurance:
    return Assurance(AssuranceKind(asked.kind), asked.title_zh, asked.title_en, asked.url, asked.place_id)
