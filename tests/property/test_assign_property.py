"""Any instance: never infeasible by a checker written apart, never worse than greedy, always the same plan."""

from __future__ import annotations

from math import cos, hypot, radians

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.assign import Params, Plan, RunnerIn, TaskIn, plan
from geo.point import Point, distances_m

NOW_MS = 1_700_000_000_000
RUNNER_IDS = [f"runner-{i}" for i in range(9)]

metres = st.floats(-3_000, 3_000)
points = st.builds(lambda n, e: Point(30.5 + n / 111_195, 114.4 + e / 95_800), metres, metres)


@st.composite
def tasks(draw: st.DrawFn) -> list[TaskIn]:
    return [
        TaskIn(
            id=f"task-{i}",
            order_id=f"order-{i}",
            points=tuple(draw(st.lists(points, max_size=3))),
            handling_s=draw(st.floats(0, 600)),
            opened_at_ms=NOW_MS - draw(st.integers(-5_000, 3_600_000)),
            promised_at_ms=NOW_MS + draw(st.integers(-600_000, 3_600_000)),
            ready_at_ms=draw(st.none() | st.integers(NOW_MS - 600_000, NOW_MS + 1_200_000)),
            weight_g=draw(st.integers(0, 50_000)),
            forbidden=draw(st.frozensets(st.sampled_from(RUNNER_IDS), max_size=6)),
            pinned=draw(st.none() | st.none() | st.sampled_from(RUNNER_IDS)),
        )
        for i in range(draw(st.integers(0, 9)))
    ]


@st.composite
def runners(draw: st.DrawFn) -> list[RunnerIn]:
    return [
        RunnerIn(
            id=name,
            point=draw(points),
            speed_mps=draw(st.floats(0, 6)),
            load=draw(st.integers(0, 4)),
            busy_until_s=draw(st.floats(0, 1_800)),
            route_end=draw(st.none() | points),
            credit=draw(st.integers(0, 100)),
            idle_since_ms=draw(st.none() | st.integers(NOW_MS - 7_200_000, NOW_MS + 5_000)),
            max_tasks=draw(st.integers(1, 4)),
            is_stale=draw(st.booleans()),
            carried_g=draw(st.integers(0, 20_000)),
        )
        for name in draw(st.lists(st.sampled_from(RUNNER_IDS), unique=True))
    ]


def faults(made: Plan, given_tasks: list[TaskIn], given_runners: list[RunnerIn], params: Params) -> list[str]:
    """Everything that a plan may not do, from the rules in words; shares no code with the optimizer."""
    found: list[str] = []
    by_task = {t.id: t for t in given_tasks}
    by_runner = {r.id: r for r in given_runners}
    runner_count: dict[str, int] = {}
    seen: set[str] = set()
    for a in made.assignments:
        t, r = by_task[a.task_id], by_runner[a.runner_id]
        runner_count[r.id] = runner_count.get(r.id, 0) + 1
        if t.id in seen:
            found.append(f"{t.id} has two runners")
        seen.add(t.id)
        if r.id in t.forbidden:
            found.append(f"{t.id} offered twice to {r.id}")
        if t.pinned is not None and t.pinned != r.id:
            found.append(f"{t.id} is pinned to {t.pinned}")
        if r.is_stale:
            found.append(f"{r.id} was not seen lately")
        if r.load + runner_count[r.id] > r.max_tasks:
            found.append(f"{r.id} carries too many")
        if r.carried_g + t.weight_g > 30_000:
            found.append(f"{r.id} carries too much")
        if runner_count[r.id] > 1:
            found.append(f"{r.id} got two tasks in one tick")
        if t.ready_at_ms is not None and t.ready_at_ms > NOW_MS + params.look_ahead_s * 1000:
            found.append(f"{t.id} is not due")
        if t.points:
            start = r.route_end if r.route_end is not None and r.busy_until_s > 0 else r.point
            north = (start.lat - t.points[0].lat) * 111_195
            east = (start.lon - t.points[0].lon) * 111_195 * cos(radians(start.lat))
            if hypot(north, east) > params.max_pickup_m * 1.01:
                found.append(f"{t.id} is too far for {r.id}")
        if a.candidates[0].cost_s > a.cost_s + 0.01:
            found.append(f"{t.id}: the candidates are not in order")
        if not set(a.excluded).isdisjoint(c.runner_id for c in a.candidates):
            found.append(f"{t.id}: somebody is candidate and excluded")
    if seen | set(made.unassigned) != set(by_task) or seen & set(made.unassigned):
        found.append("a task is neither assigned nor waiting, or both")
    return found


@settings(max_examples=250, deadline=None)
@given(tasks(), runners(), st.sampled_from([0, 250_000]), st.sampled_from([2, 60]))
def test_never_infeasible_and_never_worse_than_greedy(
    some_tasks: list[TaskIn], some_runners: list[RunnerIn], dense_cells: int, nearest: int
) -> None:
    params = Params(dense_cells=dense_cells, nearest=nearest)
    best = plan(some_tasks, some_runners, distances_m, NOW_MS, params)
    plain = plan(some_tasks, some_runners, distances_m, NOW_MS, params, "greedy")
    assert faults(best, some_tasks, some_runners, params) == []
    assert faults(plain, some_tasks, some_runners, params) == []
    assert len(best.assignments) >= len(plain.assignments)
    if len(best.assignments) == len(plain.assignments):
        assert best.cost_s <= plain.cost_s + 0.01 * len(best.assignments)
    assert plan(some_tasks[::-1], some_runners[::-1], distances_m, NOW_MS, params) == best
