"""Questions about a decision, answered from the same input and the same rules: why not this runner, and what if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import reasons
from .candidates import Pairs, exclusion
from .ground import ground
from .params import Params
from .rounds import evaluate
from .routes import CARRIED, Road, fleet_of, put_in
from .solver import plan
from .state import Exclusion, Method, RunnerIn, TaskIn, Ways


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a task would mean for a runner, put where it fits best into what they carry.

    ``finish_s``: seconds from now until it would be done, inf where there is no way to it; ``moves``: the seconds by
    which each task that they carry already would be done later; ``late_s``: seconds after its promise;
    ``excluded``: the rule that keeps the planner from it (an operator may still do it).
    """

    cost_s: float
    finish_s: float
    late_s: float
    distance_m: float
    terms: Mapping[str, float]
    moves: Mapping[str, float]
    excluded: str | None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a task did not go to a runner: ``rule`` names an exclusion, ``dearer`` (than the chosen, by ``gap_s``),
    ``cheaper_now`` (the plan as a whole was better), ``chosen``, or why nobody got it."""

    rule: str
    chosen: str | None
    cost_s: float | None = None
    terms: Mapping[str, float] | None = None
    gap_s: float | None = None


def what_if(task: TaskIn, runner: RunnerIn, ways: Ways, now_ms: int, params: Params) -> WhatIf:
    """The cost of this one pair, computed even where a rule or a limit is in the way."""
    rule = _rule(task, runner, ways, now_ms, params)
    free_task = replace(task, forbidden=frozenset(), pinned=None, zone=None, deadline_ms=None, weight_g=0, volume_ml=0)
    able = replace(
        runner, excluded=None, max_tasks=runner.load + 1, until_ms=None, last_pickup_ms=None,
        route=tuple(replace(stop, weight_g=0, volume_ml=0) for stop in runner.route),
    )  # fmt: skip
    free = replace(params, max_pickup_m=float("inf"), merchant_bundles=False)
    seen = ground([free_task], [able], ways, now_ms, free)
    road, fleet, zero = Road(seen, free), fleet_of(seen), np.zeros(1, dtype=np.intp)
    with np.errstate(invalid="ignore"):
        one = evaluate(road, fleet, Pairs(zero, zero), free)
    found = one.insertions
    if not np.isfinite(found.cost_s[0]):
        return WhatIf(float("inf"), float("inf"), 0.0, float("inf"), {}, {}, rule)
    before = {stop.task_id: times[1] for stop, times in zip(able.route, road.times(fleet, 0), strict=True)}
    after_fleet = put_in(fleet, seen, zero, zero, found.first_at, found.last_at)
    row, moves = after_fleet.stops.at(0), {}
    for k, (_, done_s, _) in enumerate(road.times(after_fleet, 0)):
        if row.task[k] == CARRIED and row.is_last[k]:
            name = able.route[int(row.source[k])].task_id
            moves[name] = round(done_s - before[name], 1)
    return WhatIf(
        cost_s=round(float(one.costs.total_s[0]), 1),
        finish_s=round(float(found.done_s[0]), 1),
        late_s=round(float(found.late_s[0]), 1),
        distance_m=round(float(found.way_m[0]), 1),
        terms=one.costs.terms_of(0),
        moves=moves,
        excluded=rule,
    )


def _rule(task: TaskIn, runner: RunnerIn, ways: Ways, now_ms: int, params: Params) -> str | None:
    """What keeps the planner from this pair."""
    rule = exclusion(task, runner)
    if rule is None and runner.available_in_s > params.runner_ahead_s:
        rule = Exclusion.BUSY_TOO_LONG
    if rule is not None:
        return str(rule)
    seen = ground([task], [runner], ways, now_ms, params)
    road, fleet, zero = Road(seen, params), fleet_of(seen), np.zeros(1, dtype=np.intp)
    with np.errstate(invalid="ignore"):
        first = evaluate(road, fleet, Pairs(zero, zero), params)
        return reasons.excluded(road, fleet, first, zero, replace(params, excluded_most=1))[0].get(runner.id)


def why_not(
    tasks: Sequence[TaskIn],
    runners: Sequence[RunnerIn],
    ways: Ways,
    now_ms: int,
    params: Params,
    task_id: str,
    runner_id: str,
    method: Method = "optimizer",
) -> WhyNot:
    """The tick played again, asked about one pair. KeyError when the tick knew no such task or runner."""
    task = {task.id: task for task in tasks}[task_id]
    runner = {runner.id: runner for runner in runners}[runner_id]
    asked = replace(params, explained=len(runners) + 1, excluded_most=len(runners), commit_ahead_s=float("inf"))
    made = plan(tasks, runners, ways, now_ms, asked, method)
    decision = next((a for a in made.assignments if a.task_id == task_id), None)
    if decision is None:
        rule = exclusion(task, runner)
        return WhyNot(made.unassigned[task_id] if rule is None else str(rule), None)
    if runner_id == decision.runner_id:
        return WhyNot("chosen", runner_id, decision.cost_s, decision.terms, 0.0)
    found = next((c for c in decision.candidates if c.runner_id == runner_id), None)
    if found is None:
        return WhyNot(decision.excluded.get(runner_id, "at_capacity"), decision.runner_id)
    gap_s = round(found.cost_s - decision.cost_s, 1)
    terms = found.terms or what_if(task, runner, ways, now_ms, params).terms
    return WhyNot("dearer" if gap_s >= 0 else "cheaper_now", decision.runner_id, found.cost_s, terms, gap_s)
