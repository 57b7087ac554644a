"""Credit: what moves a runner's score and by how much, what the score allows, and the lines of its history.

The score begins at ``CreditRules.start`` and is the sum of its lines. What an event is worth is data, a campus's own;
each line names the version of the rules by which it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

LOWEST, HIGHEST = 0, 100


class CreditReason(StrEnum):
    """Why a line was written."""

    OPENING = "opening"  # the score with which the history begins
    ON_TIME = "on_time"
    LATE = "late"
    WELL_RATED = "well_rated"
    BADLY_RATED = "badly_rated"
    LOST = "lost"
    DAMAGED = "damaged"
    DECLINED = "declined"
    IGNORED = "ignored"  # an offer ran out unanswered
    TAKEN_BACK = "taken_back"  # accepted, then taken from the runner for a reason that was theirs
    FAR_FROM_STOP = "far_from_stop"  # "handed over", pressed far from where that should happen
    FADED = "faded"  # a quiet time brings the score nearer to where it began
    CORRECTED = "corrected"  # by an operator
    REVERSED = "reversed"  # another line was wrong
    LEVEL_DOWN = "level_down"  # moves nothing: the warning, on record
    REWARDED = "rewarded"  # moves nothing: the good level was reached


#: Lines that are never taken back: the first one, a taking back itself, and those that only tell.
FINAL = frozenset({CreditReason.OPENING, CreditReason.REVERSED, CreditReason.LEVEL_DOWN, CreditReason.REWARDED})
#: What an operator finds out and records; everything else follows from what happened to the order.
INCIDENTS = frozenset({CreditReason.LOST, CreditReason.DAMAGED})


class CreditLevel(StrEnum):
    GOOD = "good"
    NORMAL = "normal"
    WARNED = "warned"
    LIMITED = "limited"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class CreditRule:
    """What one event is worth; ``daily``: all events of the kind together move the score by no more on one day."""

    delta: int
    daily: int | None = None


@dataclass(frozen=True, slots=True)
class LateStep:
    """Later than ``over_s`` seconds."""

    over_s: int
    delta: int


@dataclass(frozen=True, slots=True)
class LevelRule:
    """From ``from_score`` on. ``most_tasks``, ``most_value_fen``: no more at once, none dearer (goods included);
    ``extra_tasks``: beyond what the campus allows; ``hall_delay_s``: others may take an order first for so long."""

    level: CreditLevel
    from_score: int
    extra_tasks: int = 0
    most_tasks: int | None = None
    most_value_fen: int | None = None
    hall_delay_s: int = 0
    may_take: bool = True


_DEFAULT_LEVELS = (
    LevelRule(CreditLevel.GOOD, 90, extra_tasks=1),
    LevelRule(CreditLevel.NORMAL, 60),
    LevelRule(CreditLevel.WARNED, 40),
    LevelRule(CreditLevel.LIMITED, 20, most_tasks=1, most_value_fen=3_000, hall_delay_s=60),
    LevelRule(CreditLevel.REMOVED, 0, may_take=False),
)


@dataclass(frozen=True, slots=True)
class CreditRules:
    """A campus's rules. ``levels``: best first, the last from the lowest score on.

    Saying no is free: an honest refusal within seconds costs the student nothing, the optimizer learns from the share
    of offers that a runner takes, and whoever is punished for refusing accepts what they cannot carry. Letting an offer
    run out makes a student wait, so it costs a little once it happens more than ``free_ignored`` times a day.
    """

    version: str = "credit-1"
    start: int = 80
    on_time: CreditRule = CreditRule(1, daily=3)
    #: Lateness that the runner could have avoided; the first steps forgive what a lift or a gate costs.
    late: tuple[LateStep, ...] = (LateStep(120, -1), LateStep(600, -3), LateStep(1_800, -6))
    late_daily: int | None = 12
    #: Nobody is late before so many times the quoted duration has passed since the order became theirs.
    fair_factor: float = 1.5
    well_rated: CreditRule = CreditRule(1, daily=3)
    well_rated_stars: int = 4
    badly_rated: CreditRule = CreditRule(-2, daily=4)
    badly_rated_stars: int = 2
    lost: CreditRule = CreditRule(-20)
    damaged: CreditRule = CreditRule(-10)
    declined: CreditRule = CreditRule(0)
    ignored: CreditRule = CreditRule(-1, daily=2)
    free_ignored: int = 3
    #: By the operator's reason; reasons that are not the runner's fault are not here.
    taken_back: Mapping[str, int] = field(default_factory=lambda: {"runner_unreachable": -5, "runner_asked": -2})
    taken_back_daily: int | None = 10
    far_from_stop: CreditRule = CreditRule(-1, daily=2)
    far_m: int = 250
    fade_after_days: int = 7
    fade_by: int = 1
    levels: tuple[LevelRule, ...] = _DEFAULT_LEVELS
    #: Whether falling to the last level ends the runner's role at once, or a person decides.
    is_removal_automatic: bool = False
    appeal_days: int = 14
    open_appeals: int = 5

    def __post_init__(self) -> None:
        bounds = [rule.from_score for rule in self.levels]
        if not bounds or bounds != sorted(bounds, reverse=True) or bounds[-1] > LOWEST:
            raise ValueError("the levels go from the best to the worst, and the worst begins at the lowest score")
        if not LOWEST <= self.start <= HIGHEST:
            raise ValueError("the score begins between the lowest and the highest")
        steps = [step.over_s for step in self.late]
        if steps != sorted(steps) or any(step.delta > 0 for step in self.late):
            raise ValueError("being later never costs less")

    def level_rule(self, score: int) -> LevelRule:
        return next((rule for rule in self.levels if score >= rule.from_score), self.levels[-1])

    def level_of(self, score: int) -> CreditLevel:
        return self.level_rule(score).level


@dataclass(frozen=True, slots=True)
class CreditEntry:
    """One line, never changed. ``number`` counts an account's lines at the campus; ``subject_id`` is what it was
    written for, once per reason; ``facts`` are figures for the reader (minutes, stars, metres), ``note`` somebody's
    words. ``actor_id`` is None for what the rules did by themselves."""

    id: str
    campus_id: str
    account_id: str
    number: int
    at: datetime
    delta: int
    balance: int
    reason: CreditReason
    subject_id: str
    rule_version: str
    order_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    actor_id: str | None = None


class AppealStatus(StrEnum):
    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CreditAppeal:
    """A runner's word against one line, and what a person decided."""

    id: str
    campus_id: str
    account_id: str
    entry_id: str
    made_at: datetime
    text: str
    status: AppealStatus = AppealStatus.OPEN
    decided_at: datetime | None = None
    decided_by: str | None = None
    answer: str = ""


def can_appeal(entry: CreditEntry, rules: CreditRules, now: datetime) -> bool:
    """Whether the line took something and is young enough."""
    return entry.delta < 0 and entry.reason not in FINAL and now < entry.at + timedelta(days=rules.appeal_days)


# --- what events are worth --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreditCause:
    """Something that moves the score by ``delta``, within ``daily`` points of its kind a day."""

    reason: CreditReason
    delta: int
    daily: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def bounded_delta(cause: CreditCause, score: int, moved_today: int) -> int:
    """What of the cause's points count. ``moved_today``: points of the same kind so far, whichever way."""
    delta = cause.delta
    if cause.daily is not None:
        left = max(0, cause.daily - abs(moved_today))
        delta = max(-left, min(left, delta))
    return max(LOWEST, min(HIGHEST, score + delta)) - score


def of_delivery(
    rules: CreditRules, delivered_at: datetime, promised_at: datetime, fair_at: datetime
) -> CreditCause | None:
    """In time for the promise, or late by how much. ``fair_at``: when this runner could have been there: an order that
    waited for somebody until it was late is nobody's fault who takes it at last."""
    if delivered_at <= promised_at:
        return CreditCause(CreditReason.ON_TIME, rules.on_time.delta, rules.on_time.daily)
    late_s = (delivered_at - max(promised_at, fair_at)).total_seconds()
    delta = next((step.delta for step in reversed(rules.late) if late_s > step.over_s), 0)
    if not delta:
        return None
    return CreditCause(CreditReason.LATE, delta, rules.late_daily, {"minutes": round(late_s / 60)})


def of_rating(rules: CreditRules, stars: int, *, is_late: bool) -> CreditCause | None:
    """A good word about an errand that was in time, or a bad one. Lateness has cost already, so that the good word
    about a late errand only counts as none."""
    facts = {"stars": stars}
    if stars >= rules.well_rated_stars:
        rule = rules.well_rated
        return None if is_late else CreditCause(CreditReason.WELL_RATED, rule.delta, rule.daily, facts)
    if stars <= rules.badly_rated_stars:
        return CreditCause(CreditReason.BADLY_RATED, rules.badly_rated.delta, rules.badly_rated.daily, facts)
    return None


def of_incident(rules: CreditRules, reason: CreditReason) -> CreditCause:
    rule = rules.lost if reason is CreditReason.LOST else rules.damaged
    return CreditCause(reason, rule.delta, rule.daily)


def of_declined(rules: CreditRules) -> CreditCause | None:
    rule = rules.declined
    return CreditCause(CreditReason.DECLINED, rule.delta, rule.daily) if rule.delta else None


def of_ignored(rules: CreditRules, ignored_today: int) -> CreditCause | None:
    """``ignored_today``: how many offers ran out today, this one included."""
    if ignored_today <= rules.free_ignored:
        return None
    rule = rules.ignored
    return CreditCause(CreditReason.IGNORED, rule.delta, rule.daily, {"times": ignored_today})


def of_taken_back(rules: CreditRules, why: str) -> CreditCause | None:
    delta = rules.taken_back.get(why, 0)
    return CreditCause(CreditReason.TAKEN_BACK, delta, rules.taken_back_daily, {"why": why}) if delta else None


def of_tap(rules: CreditRules, distance_m: float) -> CreditCause | None:
    """``distance_m``: between the stop and where the phone was when the button was pressed."""
    if distance_m <= rules.far_m:
        return None
    rule = rules.far_from_stop
    return CreditCause(CreditReason.FAR_FROM_STOP, rule.delta, rule.daily, {"metres": round(distance_m)})


def of_quiet_time(rules: CreditRules, score: int) -> CreditCause | None:
    """A step back to where the score began, whichever side it is on. At the last level a person decides, not time."""
    if not rules.level_rule(score).may_take:
        return None
    gap = rules.start - score
    step = max(-rules.fade_by, min(rules.fade_by, gap))
    return CreditCause(CreditReason.FADED, step, facts={"days": rules.fade_after_days}) if step else None


# --- what a score allows ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreditLimits:
    """What a runner of this level may have."""

    level: CreditLevel
    may_take: bool
    max_tasks: int
    most_value_fen: int | None
    hall_delay_s: int

    def forbids(self, value_fen: int) -> bool:
        """Whether an order of this value, goods included, is too much to entrust."""
        return self.most_value_fen is not None and value_fen > self.most_value_fen


def limits_of(rules: CreditRules, score: int, max_tasks: int) -> CreditLimits:
    """``max_tasks``: what the campus allows everybody."""
    rule = rules.level_rule(score)
    most = max_tasks + rule.extra_tasks
    return CreditLimits(
        level=rule.level,
        may_take=rule.may_take,
        max_tasks=most if rule.most_tasks is None else min(most, rule.most_tasks),
        most_value_fen=rule.most_value_fen,
        hall_delay_s=rule.hall_delay_s,
    )


#: Runners take about 87 of 100 offers; what is known of one counts against this much of what is known of all.
USUAL_ACCEPTANCE, USUAL_WEIGHT = 0.87, 10.0
#: So many of a runner's newest offers tell how likely the next one is taken.
ACCEPTANCE_LAST = 30


def acceptance_share(taken: int, asked: int) -> float:
    """The share of offers that a runner takes, between what they did and what is usual."""
    return (USUAL_ACCEPTANCE * USUAL_WEIGHT + taken) / (USUAL_WEIGHT + asked)
