"""The campus team changes what moves credit and what a score allows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from msgspec import UNSET

from ..model.credit import CreditLevel, CreditRule, CreditRules, LateStep, LevelRule
from ..model.errors import InvalidInput
from ..model.requests import EditCredit

_SINGLE = ("on_time", "well_rated", "badly_rated", "lost", "damaged", "declined", "ignored", "far_from_stop")
_PLAIN = ("free_ignored", "far_m", "fade_after_days", "appeal_days", "is_removal_automatic")
_FROM = {
    CreditLevel.GOOD: "good_from",
    CreditLevel.NORMAL: "normal_from",
    CreditLevel.WARNED: "warned_from",
    CreditLevel.LIMITED: "limited_from",
}
_LIMITS = {
    "limited_tasks": "most_tasks",
    "limited_value_fen": "most_value_fen",
    "limited_hall_delay_s": "hall_delay_s",
}


def edited_rules(rules: CreditRules, request: EditCredit, version: str) -> CreditRules:
    """The rules after the change, under their new version; raises :class:`InvalidInput` where they make no sense."""
    changes: dict[str, Any] = {}
    for name in _SINGLE:
        if (delta := getattr(request, name)) is not UNSET:
            known: CreditRule = getattr(rules, name)
            changes[name] = replace(known, delta=delta)
    for name in _PLAIN:
        if (value := getattr(request, name)) is not UNSET:
            changes[name] = value
    if request.late is not UNSET:
        steps = tuple(LateStep(step.over_s, step.delta) for step in request.late)
        if any(later.over_s <= sooner.over_s or later.delta > sooner.delta for sooner, later in pairwise(steps)):
            raise InvalidInput("each step begins later than the one before and costs no less", field="credit.late")
        changes["late"] = steps
    levels = tuple(_level(rule, request) for rule in rules.levels)
    for better, worse in pairwise(levels):
        if better.from_score <= worse.from_score:
            field = f"credit.{_FROM.get(better.level, 'good_from')}"
            raise InvalidInput("a better level begins at a higher score", field=field)
    return replace(rules, version=version, levels=levels, **changes)


def _level(rule: LevelRule, request: EditCredit) -> LevelRule:
    named = _FROM.get(rule.level)
    if named is not None and (score := getattr(request, named)) is not UNSET:
        rule = replace(rule, from_score=score)
    if rule.level is CreditLevel.LIMITED:
        asked = {inner: getattr(request, outer) for outer, inner in _LIMITS.items()}
        rule = replace(rule, **{name: value for name, value in asked.items() if value is not UNSET})
    return rule
