"""Every reason for not getting a task, and for a task that waits, each in a case where nothing else is in the way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from dispatch.assign import Exclusion, Params, RunnerIn, TaskIn, Waiting, plan, what_if, why_not
from dispatch.assign.state import Method
from tests.assign_street import NOTHING, NOW_MS, on_board, runner, soon, task, ways

PARAMS = Params(commit_ahead_s=1e6)
ABLE = runner("able", 90)


@dataclass(frozen=True)
class Case:
    """Why ``r`` is no candidate where ``able`` is."""

    runner: RunnerIn = field(default_factory=runner)
    task: TaskIn = field(default_factory=task)
    params: Params = PARAMS


OF_RUNNER = [
    Exclusion.OFF_SHIFT, Exclusion.ON_BREAK, Exclusion.IN_CLASS, Exclusion.CREDIT_TOO_LOW, Exclusion.COOLING_DOWN,
    Exclusion.STALE_POSITION, Exclusion.IN_NO_GO_AREA,
]  # fmt: skip
CASES = {rule: Case(runner(excluded=rule)) for rule in OF_RUNNER} | {
    Exclusion.PINNED_TO_ANOTHER: Case(task=task(pinned="able")),
    Exclusion.OFFERED_BEFORE: Case(task=task(forbidden=frozenset({"r"}))),
    Exclusion.AT_CAPACITY: Case(runner(offered=2, route=(on_board("c", 50),))),
    Exclusion.TOO_HEAVY: Case(runner(capacity_g=999), task(weight_g=1000)),
    Exclusion.TOO_BULKY: Case(runner(capacity_ml=999), task(volume_ml=1000)),
    Exclusion.OTHER_ZONE: Case(runner(zones=frozenset({"b"})), task(zone="a")),
    Exclusion.NOT_BACK_IN_TIME: Case(runner(until_ms=soon(299))),
    Exclusion.PAST_DEADLINE: Case(task=task(deadline_ms=soon(299))),
    # On the way it would be beside something of another counter, afterwards it would be too late.
    Exclusion.ANOTHER_MERCHANT: Case(
        runner(route=(on_board("c", 300, merchant="n"),), until_ms=soon(320)),
        task(merchant="m"),
        replace(PARAMS, merchant_bundles=True),
    ),
    Exclusion.TOO_FAR: Case(runner(where=1000), params=replace(PARAMS, max_pickup_m=899)),
    Exclusion.BUSY_TOO_LONG: Case(runner(available_in_s=601)),
    Exclusion.NOT_AMONG_NEAREST: Case(params=replace(PARAMS, nearest=1)),
}


def test_there_is_a_case_for_every_exclusion() -> None:
    # Where nobody may be sent nobody is chosen beside them: see ``test_nobody_is_sent_into_a_no_go_area``.
    assert set(CASES) == set(Exclusion) - {Exclusion.STOP_IN_NO_GO_AREA}


@pytest.mark.parametrize("rule", CASES)
def test_the_record_says_which_rule_keeps_a_runner_out(rule: Exclusion) -> None:
    case = CASES[rule]
    made = plan([case.task], [case.runner, ABLE], ways, NOW_MS, case.params)
    assert made.assignments[0].runner_id == "able"
    assert made.assignments[0].excluded == {"r": str(rule)}
    assert [candidate.runner_id for candidate in made.assignments[0].candidates] == ["able"]


@pytest.mark.parametrize("rule", CASES)
def test_why_not_names_the_same_rule(rule: Exclusion) -> None:
    case = CASES[rule]
    asked = why_not([case.task], [case.runner, ABLE], ways, NOW_MS, case.params, "t", "r")
    assert (asked.rule, asked.chosen) == (str(rule), "able")


@pytest.mark.parametrize("rule", [rule for rule in CASES if rule is not Exclusion.NOT_AMONG_NEAREST])
def test_what_if_tells_the_rule_and_the_seconds_all_the_same(rule: Exclusion) -> None:
    case = CASES[rule]
    asked = what_if(case.task, case.runner, ways, NOW_MS, case.params)
    assert asked.excluded == str(rule)
    assert asked.finish_s > 0 and asked.distance_m < 1e4


@pytest.mark.parametrize("crew", [[ABLE], [ABLE, *(runner(f"r{n}", n) for n in range(70))]], ids=["few", "many"])
@pytest.mark.parametrize("method", ["optimizer", "greedy"])
def test_nobody_is_sent_into_a_no_go_area(crew: list[RunnerIn], method: Method) -> None:
    barred, params = task(is_no_go=True), replace(PARAMS, nearest=20)
    made = plan([barred, task("u", 500, 600)], crew, ways, NOW_MS, params, method)
    assert [one.task_id for one in made.assignments] == ["u"], "what is beside it is not held up"
    assert made.unassigned == {"t": "stop_in_no_go_area"}
    asked = why_not([barred], crew, ways, NOW_MS, params, "t", "able")
    assert (asked.rule, asked.chosen) == ("stop_in_no_go_area", None)
    told = what_if(barred, ABLE, ways, NOW_MS, params)
    assert (told.excluded, told.finish_s) == ("stop_in_no_go_area", 210.0), "an operator sees what it would cost"


def test_in_a_tick_without_runners_the_area_is_not_the_reason() -> None:
    assert plan([task(is_no_go=True)], [], ways, NOW_MS, PARAMS).unassigned == {"t": "no_runners"}


def test_the_ten_best_are_kept_with_each_decision() -> None:
    crew = [runner(f"r{n:02d}", 100 + 10 * n) for n in range(14)]
    made = plan([task()], crew, ways, NOW_MS, PARAMS).assignments[0]
    assert [candidate.runner_id for candidate in made.candidates] == [one.id for one in crew[:10]]
    assert made.candidates[0].terms and made.candidates[1].terms, "of the chosen and the runner-up"
    assert (made.runner_up, made.excluded) == ("r01", {})
    assert made.regret_s == pytest.approx(made.candidates[1].cost_s - made.cost_s, abs=0.1) and made.regret_s > 0


def test_a_bag_that_is_full_all_the_way_is_too_full() -> None:
    heavy = runner(route=(on_board("c", 400, weight_g=900),), capacity_g=1000, until_ms=soon(420))
    assert plan([task(weight_g=200)], [heavy, ABLE], ways, NOW_MS, PARAMS).assignments[0].excluded == {"r": "too_heavy"}
    bulky = runner(route=(on_board("c", 400, volume_ml=900),), capacity_ml=1000, until_ms=soon(420))
    made = plan([task(volume_ml=200)], [bulky, ABLE], ways, NOW_MS, PARAMS)
    assert made.assignments[0].excluded == {"r": "too_bulky"}


def test_the_last_pickup_of_a_shift() -> None:
    late = runner(last_pickup_ms=soon(99))
    assert plan([task()], [late, ABLE], ways, NOW_MS, PARAMS).assignments[0].excluded == {"r": "not_back_in_time"}
    in_time = runner(last_pickup_ms=soon(100))
    assert plan([task()], [in_time, ABLE], ways, NOW_MS, PARAMS).assignments[0].excluded == {}


def test_where_no_way_leads_it_is_too_far() -> None:
    beyond = runner(where=20_000)
    assert plan([task()], [beyond, ABLE], ways, NOW_MS, PARAMS).assignments[0].excluded == {"r": "too_far"}
    asked = what_if(task(), beyond, ways, NOW_MS, PARAMS)
    assert asked.finish_s == float("inf") and asked.excluded == "too_far"


def test_a_wider_reach_brings_runners_from_further_away() -> None:
    far, near_only = runner(where=1000), replace(PARAMS, max_pickup_m=600)
    assert plan([task()], [far], ways, NOW_MS, near_only).unassigned == {"t": "all_too_far"}
    assert plan([task(reach=1.5)], [far], ways, NOW_MS, near_only).assignments


WAITING: dict[Waiting, tuple[list[TaskIn], list[RunnerIn], Params]] = {
    Waiting.NOT_DUE: ([task(ready_at_ms=soon(4000))], [runner()], PARAMS),
    Waiting.PLANNED: ([task(ready_at_ms=soon(1000))], [runner()], Params()),
    Waiting.NO_RUNNERS: ([task()], [], PARAMS),
    Waiting.STOP_IN_NO_GO_AREA: ([task(is_no_go=True)], [runner(), ABLE], PARAMS),
    Waiting.ALL_STALE: ([task()], [runner(excluded=Exclusion.STALE_POSITION)], PARAMS),
    Waiting.ALL_AT_CAPACITY: ([task()], [runner(max_tasks=1, offered=1), runner("s", max_tasks=0)], PARAMS),
    Waiting.ALL_OFFERED_BEFORE: ([task(forbidden=frozenset({"r"}))], [runner()], PARAMS),
    Waiting.ALL_TOO_FAR: ([task()], [runner(where=5000)], PARAMS),
    Waiting.PINNED_RUNNER_UNAVAILABLE: ([task(pinned="r")], [runner(excluded=Exclusion.ON_BREAK), ABLE], PARAMS),
    Waiting.NOBODY_FITS: ([task()], [runner(where=5000), runner("s", max_tasks=0)], PARAMS),
    Waiting.OUTBID: ([task(), task("u", 2000, 2300)], [runner(max_tasks=1)], PARAMS),
}


def test_there_is_a_case_for_every_reason_to_wait_that_a_plan_gives() -> None:
    # What a zone leaves to its runners never comes to the optimizer.
    assert set(WAITING) == set(Waiting) - {Waiting.GRAB_ONLY}


@pytest.mark.parametrize("reason", WAITING)
def test_a_task_that_waits_says_why(reason: Waiting) -> None:
    tasks, runners, params = WAITING[reason]
    made = plan(tasks, runners, ways, NOW_MS, params)
    assert made.unassigned[tasks[-1].id] == str(reason)


def test_pinned_to_somebody_who_is_not_there() -> None:
    made = plan([task(pinned="gone")], [ABLE], ways, NOW_MS, PARAMS)
    assert made.unassigned == {"t": "pinned_runner_unavailable"}


def test_why_not_of_who_would_have_been_dearer() -> None:
    asked = why_not([task()], [runner(), ABLE], ways, NOW_MS, replace(NOTHING, travel_weight=1.0), "t", "r")
    assert (asked.rule, asked.chosen, asked.cost_s, asked.gap_s) == ("dearer", "able", 300.0, 90.0)
    assert asked.terms == {"travel": 300.0}


def test_why_not_of_who_was_chosen() -> None:
    asked = why_not([task()], [runner(), ABLE], ways, NOW_MS, PARAMS, "t", "able")
    assert (asked.rule, asked.chosen, asked.gap_s) == ("chosen", "able", 0.0)


def test_why_not_where_the_whole_was_better() -> None:
    # ``able`` is nearer to both, but only they can do the second at all.
    params = replace(NOTHING, travel_weight=1.0)
    tasks = [task("t"), task("u", 100, 300, pinned="able")]
    one = replace(ABLE, max_tasks=1)
    asked = why_not(tasks, [runner(), one], ways, NOW_MS, params, "t", "able")
    assert asked.chosen == "r" and asked.rule in ("at_capacity", "cheaper_now")


def test_why_not_where_nobody_got_it() -> None:
    asked = why_not([task()], [runner(where=5000)], ways, NOW_MS, PARAMS, "t", "r")
    assert asked.chosen is None and asked.rule in ("all_too_far", "too_far")


def test_what_if_moves_what_is_carried() -> None:
    carrier = runner(route=(on_board("c", 400, 430), on_board("d", 600)))
    asked = what_if(task(before_s=(30.0, 30.0)), carrier, ways, NOW_MS, PARAMS)
    assert asked.moves == {"c": 60.0, "d": 60.0}
    assert (asked.finish_s, asked.late_s, asked.distance_m, asked.excluded) == (360.0, 0.0, 100.0, None)
    assert asked.cost_s == pytest.approx(sum(asked.terms.values()), abs=0.5)
