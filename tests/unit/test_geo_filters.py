"""Which fixes are believed, and that nobody is locked out."""

from __future__ import annotations

import pytest

from geo.filters import FilterRules, FilterState, Reason, Verdict, check
from geo.fix import Fix
from geo.point import LocalPlane, Point

HERE = LocalPlane(Point(30.5, 114.4))
NOW_MS = 1_700_000_000_000
NAN = float("nan")


def fix(at_s: float, x: float = 0.0, y: float = 0.0, **more: float) -> Fix:
    point = HERE.point(x, y)
    return Fix(point.lat, point.lon, NOW_MS + round(at_s * 1000), **more)  # type: ignore[arg-type]


def judged(state: FilterState, *fixes: Fix, rules: FilterRules | None = None) -> list[Verdict | Reason]:
    return [check(state, one, max(NOW_MS, one.fixed_at_ms), rules or FilterRules()) for one in fixes]


def test_a_walk_is_believed() -> None:
    assert set(judged(FilterState(), *(fix(5 * n, 7.0 * n, accuracy_m=8.0) for n in range(50)))) == {Verdict.LIVE}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Fix(NAN, 114.4, NOW_MS), Reason.NOT_A_NUMBER),
        (Fix(30.5, NAN, NOW_MS), Reason.NOT_A_NUMBER),
        (Fix(30.5, 114.4, NOW_MS, accuracy_m=NAN), Reason.NOT_A_NUMBER),
        (Fix(30.5, 114.4, NOW_MS, speed_mps=NAN), Reason.NOT_A_NUMBER),
        (Fix(30.5, 114.4, NOW_MS, bearing_deg=NAN), Reason.NOT_A_NUMBER),
        (Fix(30.5, 114.4, NOW_MS, battery=NAN), Reason.NOT_A_NUMBER),
        (Fix(90.5, 114.4, NOW_MS), Reason.OUT_OF_RANGE),
        (Fix(30.5, 214.4, NOW_MS), Reason.OUT_OF_RANGE),
        (Fix(float("inf"), 114.4, NOW_MS), Reason.OUT_OF_RANGE),
        (Fix(30.5, 114.4, NOW_MS, accuracy_m=-1.0), Reason.OUT_OF_RANGE),
        (Fix(30.5, 114.4, NOW_MS, speed_mps=-1.0), Reason.OUT_OF_RANGE),
        (Fix(30.5, 114.4, NOW_MS, bearing_deg=361.0), Reason.OUT_OF_RANGE),
        (Fix(30.5, 114.4, NOW_MS, battery=1.5), Reason.OUT_OF_RANGE),
        (Fix(0.0, 0.0, NOW_MS), Reason.NO_POSITION),
        (Fix(30.5, 114.4, NOW_MS, accuracy_m=5_000.0), Reason.TOO_INACCURATE),
        (Fix(30.5, 114.4, NOW_MS + 61_000), Reason.FROM_FUTURE),
        (Fix(30.5, 114.4, NOW_MS - 86_401_000), Reason.TOO_OLD),
        (Fix(30.5, 114.4, -1), Reason.TOO_OLD),
    ],
)
def test_each_refusal_has_its_name_and_leaves_no_trace(bad: Fix, reason: Reason) -> None:
    state = FilterState()
    assert check(state, bad, NOW_MS) is reason
    assert state.anchor_ms == -1 and state.suspect_count == 0 and not state.times


def test_a_small_lead_of_the_phones_clock_is_fine() -> None:
    assert check(FilterState(), fix(59), NOW_MS) is Verdict.LIVE


def test_doubled_fixes_are_refused_live_and_late() -> None:
    state = FilterState()
    assert judged(state, fix(0), fix(0), fix(10), fix(5), fix(5), fix(10), fix(0)) == [
        Verdict.LIVE,
        Reason.DUPLICATE,
        Verdict.LIVE,
        Verdict.LATE,
        Reason.DUPLICATE,
        Reason.DUPLICATE,
        Reason.DUPLICATE,
    ]


def test_a_backlog_fills_in_behind_the_live_fix() -> None:
    state = FilterState()
    backlog = [fix(n, float(n)) for n in range(1, 240)]
    assert judged(state, fix(0), fix(240, 240.0)) == [Verdict.LIVE, Verdict.LIVE]
    assert set(judged(state, *reversed(backlog))) == {Verdict.LATE}
    assert state.anchor_ms == NOW_MS + 240_000, "the dot never moves back"
    assert set(judged(state, *backlog)) == {Reason.DUPLICATE}


def test_a_late_fix_must_be_possible_too() -> None:
    state = FilterState()
    assert judged(state, fix(100), fix(99, 5_000.0)) == [Verdict.LIVE, Reason.IMPOSSIBLE_JUMP]
    assert state.suspect_count == 0, "the past cannot overthrow the present"


def test_a_spike_is_refused_and_the_walk_goes_on() -> None:
    state = FilterState()
    walk = [fix(0), fix(5, 7.0), fix(10, 214.0), fix(15, 21.0), fix(20, 28.0)]
    assert judged(state, *walk) == [
        Verdict.LIVE,
        Verdict.LIVE,
        Reason.IMPOSSIBLE_JUMP,
        Verdict.LIVE,
        Verdict.LIVE,
    ]


def test_accuracy_excuses_a_jump_but_not_without_end() -> None:
    assert judged(FilterState(), fix(0), fix(1, 100.0, accuracy_m=60.0)) == [Verdict.LIVE, Verdict.LIVE]
    assert judged(FilterState(), fix(0), fix(1, 600.0, accuracy_m=1_900.0)) == [Verdict.LIVE, Reason.IMPOSSIBLE_JUMP]


def test_one_bad_accepted_fix_cannot_lock_a_runner_out() -> None:
    state = FilterState()
    bad_first = fix(0, 20_000.0)
    walk = [fix(5 * n, 7.0 * n) for n in range(1, 6)]
    assert judged(state, bad_first, *walk) == [
        Verdict.LIVE,
        Reason.IMPOSSIBLE_JUMP,
        Reason.IMPOSSIBLE_JUMP,
        Verdict.LIVE,
        Verdict.LIVE,
        Verdict.LIVE,
    ]


def test_suspects_that_disagree_never_take_over() -> None:
    state = FilterState()
    wild = [fix(n, 5_000.0 * (-1) ** n, 3_000.0 * n) for n in range(1, 20)]
    assert set(judged(state, fix(0), *wild)) == {Verdict.LIVE, Reason.IMPOSSIBLE_JUMP}
    assert state.anchor_ms == NOW_MS


def test_a_doubled_suspect_is_no_second_witness() -> None:
    state = FilterState()
    far = fix(1, 9_000.0)
    assert judged(state, fix(0), far, far, far, far)[1:] == [Reason.IMPOSSIBLE_JUMP] * 4


def test_a_believed_fix_ends_the_run_of_suspects() -> None:
    state = FilterState()
    outcome = judged(state, fix(0), fix(1, 9_000.0), fix(2, 9_000.0), fix(3, 1.0), fix(4, 9_000.0), fix(5, 9_000.0))
    assert outcome[4:] == [Reason.IMPOSSIBLE_JUMP] * 2


def test_what_is_remembered_is_bounded() -> None:
    state, rules = FilterState(), FilterRules(remembered=16)
    judged(state, *(fix(n) for n in range(500)), rules=rules)
    assert len(state.times) < 32
    judged(state, *(fix(n + 0.5) for n in reversed(range(400, 499))), rules=rules)
    assert len(state.times) < 32
    assert list(state.times) == sorted(state.times)
