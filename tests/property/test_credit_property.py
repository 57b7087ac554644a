"""Credit, whatever happens: a score is the sum of its lines, stays within its bounds, and the order does not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dispatch.model.credit import (
    HIGHEST,
    LOWEST,
    CreditCause,
    CreditReason,
    CreditRules,
    bounded_delta,
    limits_of,
    of_delivery,
    of_ignored,
    of_quiet_time,
    of_rating,
    of_taken_back,
    of_tap,
)

RULES = CreditRules()
AT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)

deliveries = st.builds(
    lambda late_s, fair_s: of_delivery(RULES, AT + timedelta(seconds=late_s), AT, AT + timedelta(seconds=fair_s)),
    st.integers(-3_600, 7_200), st.integers(-3_600, 3_600),
)  # fmt: skip
ratings = st.builds(lambda stars, is_late: of_rating(RULES, stars, is_late=is_late), st.integers(1, 5), st.booleans())
others = st.one_of(
    st.builds(lambda times: of_ignored(RULES, times), st.integers(1, 20)),
    st.builds(lambda why: of_taken_back(RULES, why), st.sampled_from(["runner_asked", "runner_unreachable", "other"])),
    st.builds(lambda metres: of_tap(RULES, metres), st.floats(0, 5_000)),
)
#: What happens on one day; an event that is worth nothing is None.
days = st.lists(st.one_of(deliveries, ratings, others), max_size=40)


def played(score: int, causes: list[CreditCause | None]) -> tuple[int, list[int]]:
    """The score after a day, and the deltas that were written."""
    moved: dict[CreditReason, int] = {}
    deltas = []
    for cause in causes:
        if cause is None:
            continue
        delta = bounded_delta(cause, score, moved.get(cause.reason, 0))
        moved[cause.reason] = moved.get(cause.reason, 0) + delta
        score += delta
        deltas.append(delta)
    return score, deltas


@given(st.integers(LOWEST, HIGHEST), days)
def test_the_score_is_the_sum_and_stays_within_bounds(start: int, causes: list[CreditCause | None]) -> None:
    score, deltas = played(start, causes)
    assert score == start + sum(deltas) and LOWEST <= score <= HIGHEST


@given(days, st.randoms())
def test_the_order_of_a_day_does_not_matter_away_from_the_bounds(
    causes: list[CreditCause | None], luck: Random
) -> None:
    shuffled = list(causes)
    luck.shuffle(shuffled)
    # A day moves by no more than the sum of its kinds' bounds, which is less than what is left on either side of 60.
    assert played(60, causes)[0] == played(60, shuffled)[0]


@given(days)
def test_no_kind_moves_a_day_beyond_its_bound(causes: list[CreditCause | None]) -> None:
    for reason in CreditReason:
        same = [cause for cause in causes if cause is not None and cause.reason is reason]
        if same and same[0].daily is not None:
            assert abs(played(60, same)[0] - 60) <= same[0].daily


@given(st.integers(0, 14_400), st.integers(0, 14_400), st.integers(-7_200, 7_200))
def test_later_is_never_better(one_s: int, other_s: int, fair_s: int) -> None:
    def worth(late_s: int) -> int:
        cause = of_delivery(RULES, AT + timedelta(seconds=late_s), AT, AT + timedelta(seconds=fair_s))
        return cause.delta if cause else 0

    sooner, later = sorted((one_s, other_s))
    assert worth(later) <= worth(sooner)


@given(st.integers(LOWEST, HIGHEST))
def test_quiet_times_end_at_the_beginning(score: int) -> None:
    stays = score if not limits_of(RULES, score, 3).may_take else RULES.start
    for _ in range(HIGHEST):
        cause = of_quiet_time(RULES, score)
        if cause is None:
            break
        score += bounded_delta(cause, score, 0)
    assert score == stays


@given(st.integers(LOWEST, HIGHEST), st.integers(LOWEST, HIGHEST), st.integers(1, 10), st.integers(0, 100_000))
def test_more_credit_never_allows_less(one: int, other: int, most: int, value_fen: int) -> None:
    low, high = (limits_of(RULES, score, most) for score in sorted((one, other)))
    if low.may_take:
        assert high.may_take and high.max_tasks >= low.max_tasks and high.hall_delay_s <= low.hall_delay_s
        assert low.forbids(value_fen) or not high.forbids(value_fen)
