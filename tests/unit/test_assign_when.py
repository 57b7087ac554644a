"""When and who: promised late, bundled at one counter, the oldest first, nothing before its time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatch.assign import Params, RouteStop, plan
from tests.assign_street import NOTHING, NOW_MS, at, on_board, runner, soon, task, ways

PLAIN = Params()


def test_nothing_is_promised_before_it_must_be() -> None:
    one = task(before_s=(40.0, 0.0), ready_at_ms=soon(600))
    early = plan([one], [runner()], ways, NOW_MS, PLAIN)
    # 100 m to go and 40 s to the counter: who leaves 460 s from now is there in time.
    assert [(a.task_id, a.leave_at_ms) for a in early.planned] == [("t", soon(460))]
    assert not early.assignments and early.unassigned == {"t": "planned"}
    assert not plan([one], [runner()], ways, soon(399), PLAIN).assignments
    due = plan([one], [runner()], ways, soon(400), PLAIN)
    assert [a.leave_at_ms for a in due.assignments] == [soon(460)]
    assert not due.unassigned and not due.planned


def test_who_still_has_something_to_hand_over_goes_on_from_there() -> None:
    one = task(first=700, last=900)
    made = plan([one], [runner(route=(on_board("c", 500),))], ways, NOW_MS, PLAIN)
    assert [(a.leave_at_ms, a.distance_m) for a in made.planned] == [(soon(500), 200.0)]


def test_two_things_from_one_counter_are_one_visit() -> None:
    sizes = {"before_s": (90.0, 30.0), "after_s": (0.0, 10.0), "merchant": "m"}
    tasks = [task("a", 100, 300, **sizes), task("b", 100, 320, **sizes)]
    made = plan(tasks, [runner()], ways, NOW_MS, replace(PLAIN, merchant_bundles=True))
    times = [(s.stop.task_id, s.arrive_ms, s.done_ms, s.leave_ms) for s in made.routes["r"]]
    assert [time[0] for time in times[:2]] in (["a", "b"], ["b", "a"])
    # Once to the counter; the second thing takes 20 s, not another 90.
    assert [time[1:] for time in times] == [
        (soon(100), soon(190), soon(190)),
        (soon(190), soon(210), soon(210)),
        (soon(410), soon(440), soon(450)),
        (soon(470), soon(500), soon(510)),
    ]
    assert {a.task_id: a.leave_at_ms for a in made.assignments} == {"a": NOW_MS, "b": NOW_MS}


def test_a_runner_gets_several_tasks_also_where_the_tick_is_too_large_for_a_search() -> None:
    tasks = [task(f"t{n}", 100 + 10 * n, 300) for n in range(3)]
    large = replace(PLAIN, searched_places=0, commit_ahead_s=1e6)
    made = plan(tasks, [runner()], ways, NOW_MS, large)
    assert len(made.assignments) == 3, "one in each round"
    assert len(plan(tasks, [runner()], ways, NOW_MS, replace(large, rounds=2)).assignments) == 2


def test_the_best_whole_is_chosen_also_where_the_tick_is_too_large_for_a_search() -> None:
    # The cheapest pair first would be "near" for "here", and then nobody could have the other.
    tasks = [task("near", 10, 100), task("mine", 200, 300, forbidden=frozenset({"far"}))]
    crew = [runner("here", 0, max_tasks=1), runner("far", 400, max_tasks=1)]
    large = replace(PLAIN, searched_places=0, commit_ahead_s=1e6)
    chosen = {one.task_id: one.runner_id for one in plan(tasks, crew, ways, NOW_MS, large).assignments}
    assert chosen == {"near": "far", "mine": "here"}
    assert len(plan(tasks, crew, ways, NOW_MS, large, "greedy").assignments) == 1


def test_the_runner_leaves_for_what_is_ready_last_at_a_counter() -> None:
    sizes = {"before_s": (30.0, 30.0), "merchant": "m"}
    tasks = [task("a", 100, 300, ready_at_ms=soon(300), **sizes), task("b", 100, 300, **sizes)]
    made = plan(tasks, [runner()], ways, NOW_MS, PLAIN)
    # Two things take 20 s longer: there at 250 + 30 for the first, and the second when it is ready.
    assert made.routes["r"][1].done_ms == soon(300)
    assert {a.leave_at_ms for a in made.planned} == {soon(300 - 20 - 30 - 100)}


def test_who_has_waited_longest_wins_where_there_are_too_few_runners() -> None:
    old, near = task("old", 160, 300, opened_at_ms=soon(-300)), task("near", 100, 300)
    one = runner(max_tasks=1)
    assert plan([old, near], [one], ways, NOW_MS, PLAIN).assignments[0].task_id == "old"
    never = replace(PLAIN, ageing_weight=0.0)
    made = plan([old, near], [one], ways, NOW_MS, never)
    assert made.assignments[0].task_id == "near" and made.unassigned == {"old": "outbid"}


def test_what_is_ready_much_later_is_left_for_later() -> None:
    one = task(ready_at_ms=soon(1801))
    assert plan([one], [runner()], ways, NOW_MS, PLAIN).unassigned == {"t": "not_due"}
    assert plan([one], [runner()], ways, soon(1), PLAIN).unassigned == {"t": "planned"}


def test_a_runner_who_is_free_in_ten_minutes_counts_and_one_in_eleven_does_not() -> None:
    assert plan([task()], [runner(available_in_s=600)], ways, NOW_MS, PLAIN).planned
    made = plan([task()], [runner(available_in_s=601)], ways, NOW_MS, PLAIN)
    assert made.unassigned == {"t": "nobody_fits"}


@pytest.mark.parametrize(("can_detour", "order"), [(True, ["t", "t", "c"]), (False, ["c", "t", "t"])])
def test_a_route_is_entered_only_where_it_may_be(can_detour: bool, order: list[str]) -> None:
    one = runner(route=(on_board("c", 400),), can_detour=can_detour)
    made = plan([task()], [one], ways, NOW_MS, PLAIN)
    assert [stop.stop.task_id for stop in made.routes["r"]] == order


def test_a_bag_is_emptied_before_it_is_filled_again() -> None:
    full = runner(route=(on_board("c", 400, weight_g=900),), capacity_g=1000)
    made = plan([task(weight_g=200)], [full], ways, NOW_MS, PLAIN)
    assert [stop.stop.task_id for stop in made.routes["r"]] == ["c", "t", "t"]
    bulky = runner(route=(on_board("c", 400, volume_ml=900),), capacity_ml=1000)
    made = plan([task(volume_ml=200)], [bulky], ways, NOW_MS, PLAIN)
    assert [stop.stop.task_id for stop in made.routes["r"]] == ["c", "t", "t"]


def test_one_merchant_in_a_bag_where_that_is_asked_for() -> None:
    tasks = [task("a", 100, 300, merchant="m"), task("b", 110, 310, merchant="n")]
    mixed = plan(tasks, [runner()], ways, NOW_MS, PLAIN).routes["r"]
    assert [stop.stop.role for stop in mixed] == ["pickup", "pickup", "dropoff", "dropoff"]
    apart = plan(tasks, [runner()], ways, NOW_MS, replace(PLAIN, merchant_bundles=True)).routes["r"]
    assert [stop.stop.role for stop in apart] == ["pickup", "dropoff", "pickup", "dropoff"]


def test_what_is_delayed_is_told_by_how_much() -> None:
    carried = (
        RouteStop("p", at(50), role="pickup"),
        on_board("c", 400),
        RouteStop("p", at(500), promised_at_ms=soon(1e6)),
    )
    made = plan([task(before_s=(30.0, 30.0))], [runner(route=carried)], ways, NOW_MS, PLAIN)
    assert made.assignments[0].disturbed == {"c": 60.0, "p": 60.0}


def test_at_most_so_many_tasks_and_those_offered_count() -> None:
    tasks = [task(f"t{n}") for n in range(4)]
    made = plan(tasks, [runner(max_tasks=3, offered=1)], ways, NOW_MS, replace(PLAIN, commit_ahead_s=1e6))
    assert len(made.assignments) == 2 and sorted(made.unassigned.values()) == ["outbid", "outbid"]


def test_work_without_a_place_is_done_where_the_runner_is_by_then() -> None:
    anywhere = task("t", points=(), before_s=(60.0,), after_s=(0.0,))
    made = plan([anywhere], [runner(where=70, route=(on_board("c", 400),))], ways, NOW_MS, NOTHING)
    stop = made.routes["r"][-1]
    assert (stop.stop.point, stop.stop.role, stop.done_ms) == (at(400), "place", soon(390))


def test_a_task_of_three_stops_is_refused() -> None:
    with pytest.raises(ValueError, match="at most two stops"):
        plan([task(points=(at(1), at(2), at(3)))], [runner()], ways, NOW_MS, PLAIN)
    with pytest.raises(ValueError, match="seconds for each"):
        plan([task(before_s=(0.0,))], [runner()], ways, NOW_MS, PLAIN)
