"""A runner's credit as itself or as the campus team sees it: the score, what it allows, what moves it, its lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.account import Account
from ..model.campus import CampusSettings
from ..model.credit import (
    CreditAppeal,
    CreditEntry,
    CreditLevel,
    CreditReason,
    acceptance_share,
    can_appeal,
    limits_of,
)
from ..model.credit_views import CreditAppealView, CreditLevelView, CreditLineView, CreditRuleView, CreditView
from ..store.unit_of_work import UnitOfWork
from .order_view import ms

#: Lines on a page that nobody asked to be longer.
LINES = 30


def credit_view(
    uow: UnitOfWork,
    account_id: str,
    settings: CampusSettings,
    limit: int = LINES,
    before: int | None = None,
    *,
    is_own: bool = False,
) -> CreditView:
    """A page of the history with the score of now; ``is_own``: the runner looks."""
    member = uow.memberships.get(account_id)
    entries = uow.credit.page(account_id, limit=limit, before=before)
    reversed_ids = uow.credit.reversed_among(entries)
    appeals = uow.credit_appeals.of_entries(entry.id for entry in entries)
    actors = uow.accounts.many({entry.actor_id for entry in entries if entry.actor_id})
    level = settings.credit.level_of(member.credit)
    return CreditView(
        account_id=account_id,
        name=uow.accounts.get(account_id).name,
        credit=member.credit,
        level=str(level),
        has_badge=level is CreditLevel.GOOD,
        acceptance_percent=round(100 * acceptance_share(*uow.offers.answers_of(account_id))),
        levels=_levels(settings),
        rules=_rules(settings),
        rule_version=settings.credit.version,
        lines=[
            line_view(
                entry, appeals.get(entry.id), actors, settings, uow, is_reversed=entry.id in reversed_ids, is_own=is_own
            )
            for entry in entries
        ],
        next_before=entries[-1].number if len(entries) == limit and entries[-1].number > 1 else None,
    )


def line_view(
    entry: CreditEntry,
    appeal: CreditAppeal | None,
    actors: Mapping[str, Account],
    settings: CampusSettings,
    uow: UnitOfWork,
    *,
    is_reversed: bool,
    is_own: bool,
) -> CreditLineView:
    """One line; ``actors`` are the accounts that may be named."""
    actor = ""
    if entry.actor_id is not None:
        # Who of the team it was is the team's business.
        actor = "team" if is_own else actors[entry.actor_id].name if entry.actor_id in actors else entry.actor_id
    return CreditLineView(
        id=entry.id,
        number=entry.number,
        at_ms=ms(entry.at),
        delta=entry.delta,
        balance=entry.balance,
        reason=str(entry.reason),
        order_id=entry.order_id,
        facts=dict(entry.facts),
        note=entry.note,
        actor=actor,
        rule_version=entry.rule_version,
        is_reversed=is_reversed,
        can_appeal=appeal is None and not is_reversed and can_appeal(entry, settings.credit, uow.now),
        appeal=None if appeal is None else _appeal_view(appeal),
    )


def _appeal_view(appeal: CreditAppeal) -> CreditAppealView:
    return CreditAppealView(
        id=appeal.id,
        at_ms=ms(appeal.made_at),
        text=appeal.text,
        status=str(appeal.status),
        answer=appeal.answer,
        decided_at_ms=None if appeal.decided_at is None else ms(appeal.decided_at),
    )


def _levels(settings: CampusSettings) -> list[CreditLevelView]:
    views = []
    for one in settings.credit.levels:
        limits = limits_of(settings.credit, one.from_score, settings.max_tasks_per_runner)
        views.append(
            CreditLevelView(
                level=str(one.level),
                from_score=one.from_score,
                max_tasks=limits.max_tasks if limits.may_take else 0,
                most_value_fen=limits.most_value_fen,
                hall_delay_s=limits.hall_delay_s,
                may_take=limits.may_take,
            )
        )
    return views


def _rules(settings: CampusSettings) -> list[CreditRuleView]:
    """What brings points and what costs them, the pleasant first; what costs nothing is said, too."""
    rules, bad = settings.credit, settings.credit.badly_rated
    found: list[tuple[CreditReason, int, int | None, dict[str, Any]]] = [
        (CreditReason.ON_TIME, rules.on_time.delta, rules.on_time.daily, {}),
        (CreditReason.WELL_RATED, rules.well_rated.delta, rules.well_rated.daily, {"stars": rules.well_rated_stars}),
        (CreditReason.DECLINED, rules.declined.delta, rules.declined.daily, {}),
        (CreditReason.IGNORED, rules.ignored.delta, rules.ignored.daily, {"times": rules.free_ignored + 1}),
        *(
            (CreditReason.LATE, step.delta, rules.late_daily, {"minutes": round(step.over_s / 60)})
            for step in rules.late
        ),
        (CreditReason.BADLY_RATED, bad.delta, bad.daily, {"stars": rules.badly_rated_stars}),
        (CreditReason.FAR_FROM_STOP, rules.far_from_stop.delta, rules.far_from_stop.daily, {"metres": rules.far_m}),
        *(
            (CreditReason.TAKEN_BACK, delta, rules.taken_back_daily, {"why": why})
            for why, delta in rules.taken_back.items()
        ),
        (CreditReason.DAMAGED, rules.damaged.delta, rules.damaged.daily, {}),
        (CreditReason.LOST, rules.lost.delta, rules.lost.daily, {}),
        (CreditReason.FADED, rules.fade_by, None, {"days": rules.fade_after_days, "start": rules.start}),
    ]
    return [
        CreditRuleView(reason=str(reason), delta=delta, daily=daily, facts=facts)
        for reason, delta, daily, facts in found
    ]
