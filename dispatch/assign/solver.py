"""The plan of one tick: candidates, costs, a minimum-cost matching, and the record of why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix, hstack
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from . import candidates, cost, greedy
from .state import (
    Assignment,
    Candidate,
    Exclusion,
    Floats,
    Method,
    Params,
    Plan,
    RunnerIn,
    TaskIn,
    Waiting,
    WalkM,
)

#: Seconds that an unassigned task counts: above any sum of real costs, so first as many tasks as possible get a runner
#: and then the cheapest way to do that is taken.
UNASSIGNED_S = 1e8

Columns = NDArray[np.intp]

#: Called with a stage's name when it ends; the caller holds the watch.
Lap = Callable[[str], None]


def plan(
    tasks: Sequence[TaskIn],
    runners: Sequence[RunnerIn],
    walk_m: WalkM,
    now_ms: int,
    params: Params,
    method: Method = "optimizer",
    lap: Lap | None = None,
) -> Plan:
    """Give each runner at most one new task. The same input gives the same plan, in whatever order it comes."""
    mark = lap or (lambda stage: None)
    tasks = sorted(tasks, key=lambda task: task.id)
    runners = sorted(runners, key=lambda runner: runner.id)
    reached = candidates.reach(tasks, runners, walk_m, now_ms, params)
    mark("candidates")
    costs = cost.costs(tasks, runners, reached, now_ms, params)
    mark("costs")
    pairs = greedy.match(costs.total) if method == "greedy" else match(costs.total, params.dense_cells)
    mark("solve")
    assignments = tuple(_assignment(tasks, runners, reached, costs, row, column, params) for row, column in pairs)
    taken = {row for row, _ in pairs}
    unassigned = {
        task.id: str(_waiting(task, row, runners, reached, now_ms, params))
        for row, task in enumerate(tasks)
        if row not in taken
    }
    mark("records")
    return Plan(assignments, unassigned, method, params.version)


def match(total: Floats, dense_cells: int = 250_000) -> list[tuple[int, int]]:
    """The largest matching of the finite cells and among those the cheapest, as (row, column) pairs by row."""
    possible = np.isfinite(total)
    rows = np.flatnonzero(possible.any(axis=1))
    columns = np.flatnonzero(possible.any(axis=0))
    if len(rows) == 0:
        return []
    part = total[np.ix_(rows, columns)]
    if part.size <= dense_cells:
        picked_rows, picked_columns = linear_sum_assignment(np.where(np.isfinite(part), part, UNASSIGNED_S))
    else:
        picked_rows, picked_columns = _sparse(part)
    return [
        (int(rows[i]), int(columns[j]))
        for i, j in zip(picked_rows, picked_columns, strict=True)
        if j < len(columns) and np.isfinite(part[i, j])
    ]


def _sparse(part: Floats) -> tuple[Columns, Columns]:
    """The same matching over the finite cells alone; one dummy column per row stands for "nobody"."""
    rows, columns = np.nonzero(np.isfinite(part))
    values = part[rows, columns]
    # The solver takes 0 for "no edge": everything is shifted to 1 and above. That moves no decision: the number of
    # real pairs is the largest possible before and after, so every matching in question grows by the same sum.
    shift = 1.0 - float(values.min())
    cells = csr_matrix((values + shift, (rows, columns)), shape=part.shape)
    n = part.shape[0]
    dummies = csr_matrix((np.full(n, UNASSIGNED_S), (np.arange(n), np.arange(n))), shape=(n, n))
    picked = min_weight_full_bipartite_matching(hstack([cells, dummies], format="csr"))
    return picked[0].astype(np.intp), picked[1].astype(np.intp)


def _assignment(
    tasks: Sequence[TaskIn],
    runners: Sequence[RunnerIn],
    reached: candidates.Reach,
    costs: cost.Costs,
    row: int,
    column: int,
    params: Params,
) -> Assignment:
    """The decision with its reasons: the chosen, the runner-up, the best others, and why the rest could not."""
    line = costs.total[row]
    finite = np.flatnonzero(np.isfinite(line))
    ranked = [int(i) for i in finite[np.argsort(line[finite], kind="stable")]]
    best = tuple(
        Candidate(
            runners[i].id,
            round(float(line[i]), 3),
            costs.terms_of(row, i),
            round(float(reached.pickup_m[row, i]), 1),
        )
        for i in _kept(ranked, column, params.explained)
    )
    runner_up = next((i for i in ranked if i != column), None)
    return Assignment(
        task_id=tasks[row].id,
        runner_id=runners[column].id,
        cost_s=round(float(line[column]), 3),
        terms=costs.terms_of(row, column),
        distance_m=round(float(reached.pickup_m[row, column]), 1),
        runner_up=None if runner_up is None else runners[runner_up].id,
        regret_s=None if runner_up is None else round(float(line[runner_up] - line[column]), 3),
        candidates=best,
        excluded=_excluded(tasks[row], runners, reached, row) if len(runners) <= params.excluded_most else {},
    )


def _excluded(task: TaskIn, runners: Sequence[RunnerIn], reached: candidates.Reach, row: int) -> dict[str, str]:
    out = np.flatnonzero(~reached.is_candidate[row]).tolist()
    return {runners[i].id: str(_excluded_by(task, runners[i], bool(reached.is_near[row, i]))) for i in out}


def _kept(ranked: list[int], chosen: int, count: int) -> list[int]:
    """The ``count`` best, the chosen always among them."""
    best = ranked[:count]
    return best if chosen in best else [*best[: count - 1], chosen]


def _excluded_by(task: TaskIn, runner: RunnerIn, is_near: bool) -> Exclusion:
    """Why this runner is no candidate: a rule, or else the distance."""
    rule = candidates.exclusion(task, runner)
    if rule is not None:
        return rule
    return Exclusion.TOO_FAR if is_near else Exclusion.NOT_AMONG_NEAREST


_ALL = {
    Exclusion.STALE_POSITION: Waiting.ALL_STALE,
    Exclusion.AT_CAPACITY: Waiting.ALL_AT_CAPACITY,
    Exclusion.OFFERED_BEFORE: Waiting.ALL_OFFERED_BEFORE,
    Exclusion.TOO_FAR: Waiting.ALL_TOO_FAR,
}


def _waiting(
    task: TaskIn, row: int, runners: Sequence[RunnerIn], reached: candidates.Reach, now_ms: int, params: Params
) -> Waiting:
    """Why nobody was given this task."""
    if not candidates.is_due(task, now_ms, params):
        return Waiting.NOT_DUE
    if not runners:
        return Waiting.NO_RUNNERS
    if reached.is_candidate[row].any():
        return Waiting.OUTBID
    if task.pinned is not None:
        return Waiting.PINNED_RUNNER_UNAVAILABLE
    reasons = Counter(
        _excluded_by(task, runner, bool(near)) for runner, near in zip(runners, reached.is_near[row], strict=True)
    )
    return _ALL.get(next(iter(reasons)), Waiting.NOBODY_FITS) if len(reasons) == 1 else Waiting.NOBODY_FITS
