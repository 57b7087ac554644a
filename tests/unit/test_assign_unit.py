"""The optimizer's rules, terms and explanations, case by case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dispatch.assign import Exclusion, Params, RunnerIn, TaskIn, Waiting, plan, what_if, what_if_cost, why_not
from dispatch.assign.greedy import match as greedy_match
from dispatch.assign.solver import match
from geo.point import Point, distances_m

NOW_MS = 1_700_000_000_000
PARAMS = Params()
HOME = Point(30.5, 114.4)


def at(north_m: float, east_m: float = 0.0) -> Point:
    return Point(HOME.lat + north_m / 111_195, HOME.lon + east_m / 95_800)


def task(name: str, *points: Point, **more: object) -> TaskIn:
    fields = {"handling_s": 120.0, "opened_at_ms": NOW_MS, "promised_at_ms": NOW_MS + 3_600_000} | more
    return TaskIn(id=name, order_id=f"order-{name}", points=points or (at(0), at(400)), **fields)  # type: ignore[arg-type]


def runner(name: str, north_m: float = 0.0, **more: object) -> RunnerIn:
    return RunnerIn(id=name, point=at(north_m), speed_mps=1.35, **more)  # type: ignore[arg-type]


def planned(tasks: list[TaskIn], runners: list[RunnerIn], params: Params = PARAMS, method: str = "optimizer"):
    return plan(tasks, runners, distances_m, NOW_MS, params, method)  # type: ignore[arg-type]


def test_the_nearest_free_runner_gets_the_task_and_the_record_says_why() -> None:
    made = planned([task("t")], [runner("far", 900), runner("near", 100), runner("middle", 300)])
    (decision,) = made.assignments
    assert (decision.runner_id, decision.runner_up) == ("near", "middle")
    assert decision.regret_s == pytest.approx(200 / 1.35, rel=0.01)
    assert decision.distance_m == pytest.approx(100, abs=1)
    assert [c.runner_id for c in decision.candidates] == ["near", "middle", "far"]
    assert sum(decision.terms.values()) == pytest.approx(decision.cost_s, abs=0.01)
    assert made.params_version == PARAMS.version
    assert made.cost_s == decision.cost_s


def test_the_plan_as_a_whole_is_cheaper_than_the_nearest_first() -> None:
    # The runner in the middle is the nearest to both tasks; giving it to the near one leaves the far one a long walk.
    tasks = [task("a", at(0), at(1)), task("b", at(300), at(301))]
    runners = [runner("left", -310), runner("middle", 140)]
    best, plain = planned(tasks, runners), planned(tasks, runners, method="greedy")
    assert {(a.task_id, a.runner_id) for a in best.assignments} == {("a", "left"), ("b", "middle")}
    assert best.cost_s < plain.cost_s
    assert plain.method == "greedy"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"is_stale": True}, Exclusion.STALE_POSITION),
        ({"load": 3}, Exclusion.AT_CAPACITY),
        ({"carried_g": 29_500}, Exclusion.TOO_HEAVY),
        ({"point": at(9_000)}, Exclusion.TOO_FAR),
    ],
)
def test_a_runner_that_cannot_is_excluded_by_name(changed: dict[str, object], reason: Exclusion) -> None:
    cannot = replace(runner("cannot"), **changed)
    made = planned([task("t", weight_g=1000)], [cannot, runner("can", 2_000)])
    assert made.assignments[0].runner_id == "can"
    assert made.assignments[0].excluded == {"cannot": reason}


def test_nobody_is_asked_twice_and_a_pin_is_obeyed() -> None:
    made = planned([task("t", forbidden=frozenset({"near"}))], [runner("near"), runner("far", 500)])
    assert made.assignments[0].runner_id == "far"
    assert made.assignments[0].excluded == {"near": Exclusion.OFFERED_BEFORE}
    pinned = planned([task("t", pinned="far")], [runner("near"), runner("far", 500)])
    assert pinned.assignments[0].runner_id == "far"
    gone = planned([task("t", pinned="gone")], [runner("near")])
    assert gone.unassigned == {"t": Waiting.PINNED_RUNNER_UNAVAILABLE}


@pytest.mark.parametrize(
    ("runners", "reason"),
    [
        ([], Waiting.NO_RUNNERS),
        ([runner("a", is_stale=True)], Waiting.ALL_STALE),
        ([runner("a", load=3), runner("b", load=3)], Waiting.ALL_AT_CAPACITY),
        ([runner("a", 8_000)], Waiting.ALL_TOO_FAR),
        ([runner("refused")], Waiting.ALL_OFFERED_BEFORE),
        ([runner("refused"), runner("a", load=3)], Waiting.NOBODY_FITS),
    ],
)
def test_a_waiting_task_says_what_it_waits_for(runners: list[RunnerIn], reason: Waiting) -> None:
    assert planned([task("t", forbidden=frozenset({"refused"}))], runners).unassigned == {"t": reason}


def test_the_longest_waiting_task_wins_the_only_runner() -> None:
    fresh, old = task("fresh"), task("old", at(200), opened_at_ms=NOW_MS - 600_000)
    made = planned([fresh, old], [runner("only")])
    assert made.assignments[0].task_id == "old"
    assert made.unassigned == {"fresh": Waiting.OUTBID}


def test_an_order_for_later_waits_until_it_is_due() -> None:
    later = task("t", ready_at_ms=NOW_MS + 3_600_000)
    assert planned([later], [runner("r")]).unassigned == {"t": Waiting.NOT_DUE}
    soon = task("t", ready_at_ms=NOW_MS + 300_000)
    decision = planned([soon], [runner("r")]).assignments[0]
    assert decision.terms["waiting"] == pytest.approx(90.0)


def test_terms_prefer_the_idle_the_trusted_and_the_free() -> None:
    idle = runner("idle", idle_since_ms=NOW_MS - 900_000)
    assert planned([task("t")], [runner("busy"), idle]).assignments[0].runner_id == "idle"
    assert planned([task("t")], [runner("a", credit=20), runner("b", credit=95)]).assignments[0].runner_id == "b"
    carrying = runner("a", load=1, busy_until_s=600.0, route_end=at(0))
    assert planned([task("t")], [carrying, runner("b", 500)]).assignments[0].runner_id == "b"


def test_the_way_begins_where_the_route_ends() -> None:
    carrying = runner("r", 3_000, load=1, busy_until_s=60.0, route_end=at(10))
    decision = planned([task("t")], [carrying]).assignments[0]
    assert decision.distance_m == pytest.approx(10, abs=1)
    assert decision.terms["load"] == pytest.approx(60 + PARAMS.load_s)


def test_lateness_is_a_term_of_its_own() -> None:
    late = task("t", promised_at_ms=NOW_MS - 60_000)
    decision = planned([late], [runner("r")]).assignments[0]
    assert decision.terms["lateness"] == pytest.approx(PARAMS.lateness_weight * (60 + 120 + 400 / 1.35), rel=0.01)


def test_a_task_without_stops_goes_to_somebody() -> None:
    nowhere = TaskIn("t", "o", (), 1800.0, NOW_MS, NOW_MS + 3_600_000)
    decision = planned([nowhere], [runner("r", 5_000)]).assignments[0]
    assert (decision.distance_m, decision.terms["walk"]) == (0.0, 0.0)


def test_only_the_nearest_are_looked_at_and_the_others_are_told_so() -> None:
    runners = [runner(f"r{i:02}", 50 * i) for i in range(12)]
    asked: list[int] = []

    def walk(points, target):  # type: ignore[no-untyped-def]
        asked.append(len(points))
        return distances_m(points, target)

    refused = frozenset({"r00", "r02"})
    made = plan([task("t", forbidden=refused)], runners, walk, NOW_MS, replace(PARAMS, nearest=3))
    decision = made.assignments[0]
    assert [c.runner_id for c in decision.candidates] == ["r01", "r03", "r04"]
    assert decision.excluded["r11"] == Exclusion.NOT_AMONG_NEAREST
    assert max(asked) == 3


def test_with_many_runners_exclusions_are_told_on_demand() -> None:
    runners = [runner("near"), runner("stale", is_stale=True)]
    few = replace(PARAMS, excluded_most=1)
    assert planned([task("t")], runners, few).assignments[0].excluded == {}
    answer = why_not([task("t")], runners, distances_m, NOW_MS, few, "t", "stale")
    assert answer.rule == Exclusion.STALE_POSITION


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_a_distance_that_is_none_leaves_the_runner_out(bad: float) -> None:
    made = plan([task("t", at(0))], [runner("r")], lambda points, to: np.full(len(points), bad), NOW_MS, PARAMS)
    assert made.unassigned == {"t": Waiting.ALL_TOO_FAR}


def test_the_order_of_the_input_does_not_matter_and_stages_are_told() -> None:
    tasks = [task(f"t{i}", at(37 * i), at(50 * i + 9)) for i in range(6)]
    runners = [runner(f"r{i}", 90 * i % 400) for i in range(8)]
    stages: list[str] = []
    one = plan(tasks, runners, distances_m, NOW_MS, PARAMS, lap=stages.append)
    assert one == planned(tasks[::-1], runners[::-1])
    assert stages == ["candidates", "costs", "solve", "records"]


def test_sparse_and_dense_find_the_same_cost() -> None:
    luck = np.random.default_rng(7)
    total = luck.uniform(-900, 900, (40, 55))
    total[luck.uniform(size=total.shape) < 0.7] = np.inf
    dense, sparse = match(total), match(total, dense_cells=0)
    assert len(dense) == len(sparse)
    assert sum(total[p] for p in dense) == pytest.approx(sum(total[p] for p in sparse))


def test_matching_nothing_is_nothing() -> None:
    nothing = np.full((3, 2), np.inf)
    assert match(nothing) == []
    assert greedy_match(nothing) == []
    assert planned([], [runner("r")]).assignments == ()


def test_what_if_answers_for_runners_that_the_planner_would_not_take() -> None:
    full = runner("r", 135, load=3, busy_until_s=100.0, is_stale=True, carried_g=30_000)
    answer = what_if(task("t", weight_g=500), full, distances_m, NOW_MS, PARAMS)
    assert answer.excluded == Exclusion.STALE_POSITION
    assert answer.finish_s == pytest.approx(100 + 100 + 400 / 1.35 + 120, rel=0.01)
    assert what_if_cost(task("t", weight_g=500), full, distances_m, NOW_MS, PARAMS) == answer.finish_s
    assert what_if(task("t"), runner("r", 9_000), distances_m, NOW_MS, PARAMS).excluded == Exclusion.TOO_FAR
    later = what_if(task("t", ready_at_ms=NOW_MS + 7_200_000), runner("r"), distances_m, NOW_MS, PARAMS)
    assert later.finish_s > PARAMS.look_ahead_s
    assert what_if(task("t"), runner("r"), distances_m, NOW_MS, PARAMS).excluded is None
    lost = what_if(task("t", at(0)), runner("r"), lambda points, to: np.full(len(points), np.nan), NOW_MS, PARAMS)
    assert lost.finish_s == float("inf")


def test_why_not_names_the_rule_or_the_cost_that_lost() -> None:
    tasks = [task("a", at(0), at(1)), task("b", at(300), at(301)), task("c", forbidden=frozenset({"left"}))]
    runners = [runner("left", -310), runner("middle", 140), runner("stale", is_stale=True)]

    def ask(task_id: str, runner_id: str):  # type: ignore[no-untyped-def]
        return why_not(
            tasks[:2] if task_id != "c" else tasks[2:], runners, distances_m, NOW_MS, PARAMS, task_id, runner_id
        )

    assert ask("a", "left").rule == "chosen"
    elsewhere = ask("a", "middle")
    assert elsewhere.rule == "needed_elsewhere" and elsewhere.gap_s is not None and elsewhere.gap_s < 0
    dearer = ask("b", "left")
    assert (dearer.rule, dearer.chosen) == ("dearer", "middle")
    assert ask("a", "stale").rule == Exclusion.STALE_POSITION
    assert ask("c", "left").rule == Exclusion.OFFERED_BEFORE
    with pytest.raises(KeyError):
        ask("a", "nobody")


def test_why_not_for_a_task_that_nobody_got() -> None:
    tasks = [task("fresh"), task("old", opened_at_ms=NOW_MS - 600_000)]
    runners = [runner("only"), runner("stale", is_stale=True)]
    answer = why_not(tasks, runners, distances_m, NOW_MS, PARAMS, "fresh", "only")
    assert (answer.rule, answer.chosen) == (Waiting.OUTBID, None)
    assert why_not(tasks, runners, distances_m, NOW_MS, PARAMS, "fresh", "stale").rule == Exclusion.STALE_POSITION


def test_the_chosen_is_always_among_the_kept_candidates() -> None:
    tasks = [task(f"t{i}", at(0), at(1)) for i in range(6)]
    runners = [runner(f"r{i}", 100 * i) for i in range(6)]
    for decision in planned(tasks, runners, replace(PARAMS, explained=2)).assignments:
        assert decision.runner_id in {c.runner_id for c in decision.candidates}
        assert len(decision.candidates) == 2
