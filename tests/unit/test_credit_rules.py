"""What moves a runner's credit, and what a score allows: the rules by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from dispatch.model.campus import CampusSettings
from dispatch.model.credit import (
    CreditCause,
    CreditEntry,
    CreditLevel,
    CreditReason,
    CreditRule,
    CreditRules,
    LateStep,
    LevelRule,
    acceptance_share,
    bounded_delta,
    can_appeal,
    limits_of,
    of_declined,
    of_delivery,
    of_ignored,
    of_incident,
    of_quiet_time,
    of_rating,
    of_taken_back,
    of_tap,
)

RULES = CreditRules()
AT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_in_time_brings_a_point() -> None:
    assert of_delivery(RULES, AT, AT, AT) == CreditCause(CreditReason.ON_TIME, 1, 3)
    assert of_delivery(RULES, AT - minutes(9), AT, AT) == CreditCause(CreditReason.ON_TIME, 1, 3)


@pytest.mark.parametrize(
    ("late_min", "delta"), [(0.5, 0), (2, 0), (2.1, -1), (10, -1), (10.1, -3), (30, -3), (31, -6), (600, -6)]
)
def test_the_later_the_dearer(late_min: float, delta: int) -> None:
    cause = of_delivery(RULES, AT + minutes(late_min), AT, AT)
    assert (cause.delta if cause else 0) == delta
    if cause:
        assert cause.reason is CreditReason.LATE and cause.facts == {"minutes": round(late_min)} and cause.daily == 12


def test_who_takes_what_was_late_already_is_not_late_before_they_could_be_there() -> None:
    fair_at = AT + minutes(40)
    assert of_delivery(RULES, AT + minutes(39), AT, fair_at) is None
    cause = of_delivery(RULES, AT + minutes(55), AT, fair_at)
    assert cause is not None and cause.facts == {"minutes": 15} and cause.delta == -3


@pytest.mark.parametrize(
    ("stars", "is_late", "delta"),
    [(5, False, 1), (4, False, 1), (5, True, 0), (3, False, 0), (2, False, -2), (1, True, -2)],
)
def test_ratings(stars: int, is_late: bool, delta: int) -> None:
    cause = of_rating(RULES, stars, is_late=is_late)
    assert (cause.delta if cause else 0) == delta
    assert cause is None or cause.facts == {"stars": stars}


def test_saying_no_is_free_and_saying_nothing_is_so_a_few_times_a_day() -> None:
    assert of_declined(RULES) is None
    assert of_declined(replace(RULES, declined=CreditRule(-1))) == CreditCause(CreditReason.DECLINED, -1)
    assert [of_ignored(RULES, times) for times in (1, 2, 3)] == [None] * 3
    assert of_ignored(RULES, 4) == CreditCause(CreditReason.IGNORED, -1, 2, {"times": 4})


def test_only_reasons_that_are_the_runners_cost() -> None:
    unreachable, asked = of_taken_back(RULES, "runner_unreachable"), of_taken_back(RULES, "runner_asked")
    assert unreachable is not None and asked is not None
    assert (unreachable.delta, asked.delta, asked.facts) == (-5, -2, {"why": "runner_asked"})
    for why in ("student_asked", "too_late", "accident", "other", "undo"):
        assert of_taken_back(RULES, why) is None


def test_incidents_and_taps() -> None:
    assert of_incident(RULES, CreditReason.LOST).delta == -20 and of_incident(RULES, CreditReason.DAMAGED).delta == -10
    assert of_tap(RULES, 250) is None
    assert of_tap(RULES, 251.4) == CreditCause(CreditReason.FAR_FROM_STOP, -1, 2, {"metres": 251})


def test_a_quiet_time_leads_back_to_the_beginning() -> None:
    deltas = {
        score: cause.delta if (cause := of_quiet_time(RULES, score)) else 0 for score in (19, 20, 79, 80, 81, 100)
    }
    assert deltas == {19: 0, 20: 1, 79: 1, 80: 0, 81: -1, 100: -1}, "below the last level a person decides"
    wide = of_quiet_time(replace(RULES, fade_by=5), 78)
    assert wide is not None and wide.delta == 2, "never beyond it"


def test_bounds_of_the_day_and_of_the_score() -> None:
    late = CreditCause(CreditReason.LATE, -6, 12)
    assert [bounded_delta(late, 80, moved) for moved in (0, -6, -9, -12, -15)] == [-6, -6, -3, 0, 0]
    assert bounded_delta(late, 4, 0) == -4 and bounded_delta(late, 0, 0) == 0
    assert bounded_delta(CreditCause(CreditReason.CORRECTED, 50), 80, 0) == 20
    assert bounded_delta(CreditCause(CreditReason.ON_TIME, 1, 3), 80, 3) == 0


@pytest.mark.parametrize(
    ("score", "level", "most", "may_take"),
    [(100, "good", 4, True), (90, "good", 4, True), (89, "normal", 3, True), (60, "normal", 3, True),
     (59, "warned", 3, True), (39, "limited", 1, True), (20, "limited", 1, True), (19, "removed", 3, False)],
)  # fmt: skip
def test_levels(score: int, level: str, most: int, may_take: bool) -> None:
    limits = limits_of(RULES, score, 3)
    assert (limits.level, limits.max_tasks, limits.may_take) == (CreditLevel(level), most, may_take)


def test_a_limited_runner_waits_and_is_not_entrusted_with_dear_orders() -> None:
    limited, normal = limits_of(RULES, 30, 3), limits_of(RULES, 80, 3)
    assert limited.forbids(3_001) and not limited.forbids(3_000) and not normal.forbids(10**6)
    assert (limited.hall_delay_s, normal.hall_delay_s) == (60, 0)
    assert limits_of(RULES, 30, 1).max_tasks == 1, "never more than the campus allows"


def entry(**changes: object) -> CreditEntry:
    line = CreditEntry("crd_1", "cmp_1", "acc_1", 2, AT, -3, 77, CreditReason.LATE, "ord_1", RULES.version)
    return replace(line, **changes)  # type: ignore[arg-type]


def test_what_took_something_can_be_appealed_for_a_while() -> None:
    assert can_appeal(entry(), RULES, AT + timedelta(days=14, seconds=-1))
    assert not can_appeal(entry(), RULES, AT + timedelta(days=14))
    assert not can_appeal(entry(delta=1), RULES, AT)
    assert not can_appeal(entry(reason=CreditReason.REVERSED), RULES, AT)


def test_acceptance_begins_with_what_is_usual() -> None:
    assert acceptance_share(0, 0) == pytest.approx(0.87)
    assert acceptance_share(0, 30) == pytest.approx(8.7 / 40)
    assert acceptance_share(30, 30) == pytest.approx(38.7 / 40)


def test_rules_survive_their_storage_and_older_settings_have_them() -> None:
    settings = CampusSettings(credit=CreditRules(version="ours", late=(LateStep(60, -2),), taken_back={"other": -1}))
    assert msgspec.json.decode(msgspec.json.encode(settings), type=CampusSettings) == settings
    assert msgspec.json.decode(b"{}", type=CampusSettings).credit == RULES


@pytest.mark.parametrize(
    "wrong",
    [{"levels": ()}, {"levels": (LevelRule(CreditLevel.NORMAL, 50),)}, {"start": 101}, {"late": (LateStep(60, 1),)},
     {"levels": (LevelRule(CreditLevel.REMOVED, 0), LevelRule(CreditLevel.GOOD, 90))},
     {"late": (LateStep(600, -1), LateStep(60, -1))}],
)  # fmt: skip
def test_rules_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="level|score|late"):
        CreditRules(**wrong)  # type: ignore[arg-type]
