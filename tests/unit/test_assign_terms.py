"""Each term of the cost alone, reckoned by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatch.assign import Params, RunnerIn, TaskIn, plan
from dispatch.assign.cost import TERMS
from tests.assign_street import NOTHING, NOW_MS, on_board, runner, soon, task, ways

#: On the way to what the runner carries, thirty seconds at each stop, and too late if done afterwards.
ON_THE_WAY = task(first=100, last=200, before_s=(30.0, 30.0), deadline_ms=soon(300))

CASES: dict[str, tuple[dict[str, float], TaskIn, RunnerIn, float]] = {
    "travel": ({"travel_weight": 0.5}, task(), runner(), 150),
    "wait": ({"wait_weight": 1.0}, task(before_s=(20.0, 5.0), after_s=(10.0, 99.0)), runner(), 335),
    "stand": ({"stand_weight": 0.2}, task(ready_at_ms=soon(160)), runner(), 12),
    "lateness": ({"lateness_weight": 2.0}, task(promised_at_ms=soon(250)), runner(), 100),
    "detour": ({"detour_weight": 1.0}, ON_THE_WAY, runner(route=(on_board("c", 400),)), 60),
    "disturbance": ({"disturbance_weight": 2.0}, ON_THE_WAY, runner(route=(on_board("c", 400, 430),)), 60),
    "refusal": ({"refusal_s": 60.0}, task(), runner(acceptance=0.8), 15),
    "credit": ({"credit_s": 0.6}, task(), runner(credit=90), 6),
    "idle": ({"idle_weight": 0.05}, task(), runner(idle_since_ms=soon(-600)), -30),
    "fairness": ({"fairness_weight": 0.02}, task(), runner(earned_s=1000), 10),
    "ageing": ({"ageing_weight": 1.0}, task(opened_at_ms=soon(-100), priority_s=50), runner(), -150),
}


def told(task: TaskIn, one: RunnerIn, params: Params) -> tuple[float, dict[str, float]]:
    # Somebody else, whom a rule keeps out, has earned nothing today.
    other = runner("z", max_tasks=0)
    made = plan([task], [one, other], ways, NOW_MS, params).assignments[0]
    return made.cost_s, dict(made.terms)


def test_there_is_a_case_for_every_term() -> None:
    assert set(CASES) == set(TERMS)


@pytest.mark.parametrize("name", CASES)
def test_a_term_alone(name: str) -> None:
    weights, one, carrier, seconds = CASES[name]
    cost_s, terms = told(one, carrier, replace(NOTHING, **weights))  # type: ignore[arg-type]
    assert terms == {name: pytest.approx(seconds)}
    assert cost_s == pytest.approx(seconds)


def test_without_weights_nothing_costs_anything() -> None:
    for _, one, carrier, _ in CASES.values():
        assert told(one, carrier, NOTHING) == (0.0, {})


def test_all_of_them_together_are_their_sum() -> None:
    one = replace(ON_THE_WAY, opened_at_ms=soon(-100), promised_at_ms=soon(250))
    carrier = runner(route=(on_board("c", 400, 430),), acceptance=0.8, credit=90)
    cost_s, terms = told(one, carrier, Params(commit_ahead_s=1e6))
    assert terms == {
        "wait": 260, "lateness": 20, "detour": 60, "disturbance": 60, "refusal": 15, "credit": 6, "ageing": -100
    }  # fmt: skip
    assert cost_s == 321


def test_idle_time_counts_up_to_its_cap_and_not_for_who_carries_something() -> None:
    params = replace(NOTHING, idle_weight=0.05, idle_cap_s=1200.0)
    assert told(task(), runner(idle_since_ms=soon(-9000)), params)[0] == -60
    assert told(task(), runner(idle_since_ms=soon(-600), offered=1), params)[0] == 0
    assert told(task(), runner(idle_since_ms=soon(30)), params)[0] == 0


def test_odds_below_one_in_twenty_are_one_in_twenty() -> None:
    assert told(task(), runner(acceptance=0.0), replace(NOTHING, refusal_s=1.0))[0] == pytest.approx(19)


def test_a_task_from_the_future_has_not_waited() -> None:
    assert told(task(opened_at_ms=soon(100)), runner(), replace(NOTHING, ageing_weight=1.0))[0] == 0
