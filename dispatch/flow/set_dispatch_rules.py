"""The campus team says what is done about refusals, wishes and orders that nobody takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import UNSET

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.campus import Campus, CampusSettings
from ..model.errors import InvalidInput, StaleVersion
from ..model.escalation import Ladder, Rung, Step
from ..model.shift import CoolDown
from ..model.shift_requests import RungRequest, SetDispatchRules
from ..model.shift_views import DispatchRulesView
from ..store.unit_of_work import GlobalUnit
from .context import Context

_ONLY_GROW = ("priority_s", "reach", "is_any_zone", "is_called", "is_alert", "is_choice")


async def dispatch_rules(ctx: Context, who: Principal) -> DispatchRulesView:
    """The campus's rules as they are."""
    who.require(Permission.ORDERS_READ_ANY)
    return _view(await ctx.store.read_global(lambda unit: unit.campuses.get(who.campus_id)))


async def set_dispatch_rules(ctx: Context, who: Principal, request: SetDispatchRules) -> DispatchRulesView:
    """Change them; version checked, audited with before and after."""
    who.require(Permission.CAMPUS_MANAGE_SETTINGS)

    def change(unit: GlobalUnit) -> Campus:
        before = unit.campuses.get(who.campus_id)
        if before.version != request.version:
            raise StaleVersion(field="version", version=before.version)
        after = replace(before, settings=_edited(before.settings, request), version=before.version + 1)
        unit.campuses.save(after)
        audit = unit.at(who.campus_id).audit
        audit.add(who.account_id, "set_dispatch_rules", who.campus_id, "", _shown(before), _shown(after))
        return after

    return _view(await ctx.store.run_global(change))


def _edited(settings: CampusSettings, request: SetDispatchRules) -> CampusSettings:
    if request.cool_down is not UNSET:
        asked = request.cool_down
        if asked.longest_s < asked.first_s:
            raise InvalidInput("the longest rest is shorter than the first", field="cool_down.longest_s")
        settings = replace(settings, cool_down=CoolDown(asked.first_s, asked.longest_s, asked.forget_s))
    if request.wish_s is not UNSET:
        settings = replace(settings, wish_s=request.wish_s)
    ladder = settings.ladder
    if request.rungs is not UNSET:
        ladder = replace(ladder, rungs=tuple(_rung(one) for one in request.rungs))
        _check_order(ladder.rungs)
    if request.call_gap_s is not UNSET:
        ladder = replace(ladder, call_gap_s=request.call_gap_s)
    if request.calls_most is not UNSET:
        ladder = replace(ladder, calls_most=request.calls_most)
    return replace(settings, ladder=ladder)


def _rung(asked: RungRequest) -> Rung:
    given: dict[str, Any] = msgspec.structs.asdict(asked)
    return Rung(**{**given, "step": Step(asked.step)})


def _check_order(rungs: tuple[Rung, ...]) -> None:
    """Each step later than the one before, and taking nothing of it back: a step that narrowed the search would hide
    what was told before."""
    for row, (earlier, later) in enumerate(pairwise(rungs), 1):
        if later.after_s <= earlier.after_s:
            raise InvalidInput("a step begins after the one before", field=f"rungs.{row}.after_s")
        for name in _ONLY_GROW:
            if getattr(later, name) < getattr(earlier, name):
                raise InvalidInput("a step takes nothing back", field=f"rungs.{row}.{name}")


def _view(campus: Campus) -> DispatchRulesView:
    settings: CampusSettings = campus.settings
    ladder: Ladder = settings.ladder
    return DispatchRulesView(
        version=campus.version, cool_down=settings.cool_down, wish_s=settings.wish_s, rungs=list(ladder.rungs),
        call_gap_s=ladder.call_gap_s, calls_most=ladder.calls_most,
    )  # fmt: skip


def _shown(campus: Campus) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(_view(campus))
    return shown
