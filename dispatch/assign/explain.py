"""Questions about a decision, answered from the same input and the same rules: why not this runner, and what if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import candidates, cost
from .solver import plan
from .state import Exclusion, Method, Params, RunnerIn, TaskIn, WalkM


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a task would mean for a runner. ``finish_s``: seconds from now until it would be delivered, after all that
    the runner carries; ``excluded``: the rule that keeps the planner from it (an operator may still do it)."""

    cost_s: float
    finish_s: float
    distance_m: float
    terms: Mapping[str, float]
    excluded: str | None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a task did not go to a runner: ``rule`` names an exclusion, ``dearer`` (than the chosen, by ``gap_s``),
    ``needed_elsewhere`` (cheaper here, but the plan as a whole is better), ``chosen``, or ``not_planned``."""

    rule: str
    chosen: str | None
    cost_s: float | None = None
    terms: Mapping[str, float] | None = None
    gap_s: float | None = None


def what_if(task: TaskIn, runner: RunnerIn, walk_m: WalkM, now_ms: int, params: Params) -> WhatIf:
    """The cost of this one pair, computed even where a rule excludes it."""
    rule = candidates.exclusion(task, runner)
    free_task = replace(task, forbidden=frozenset(), pinned=None, ready_at_ms=_soon(task, now_ms, params))
    able = replace(runner, is_stale=False, max_tasks=runner.load + 1, carried_g=0, capacity_g=task.weight_g)
    far = replace(params, max_pickup_m=float("inf"))
    reached = candidates.reach([free_task], [able], walk_m, now_ms, far)
    costs = cost.costs([free_task], [able], reached, now_ms, far)
    distance_m = float(reached.pickup_m[0, 0])
    if rule is None and distance_m > params.max_pickup_m:
        rule = Exclusion.TOO_FAR
    return WhatIf(
        cost_s=round(float(costs.total[0, 0]), 3),
        finish_s=round(float(costs.finish_s[0, 0]), 3) if np.isfinite(distance_m) else float("inf"),
        distance_m=round(distance_m, 1) if np.isfinite(distance_m) else distance_m,
        terms=costs.terms_of(0, 0),
        excluded=None if rule is None else str(rule),
    )


def what_if_cost(task: TaskIn, runner: RunnerIn, walk_m: WalkM, now_ms: int, params: Params) -> float:
    """Seconds from now until ``runner`` would have delivered ``task``."""
    return what_if(task, runner, walk_m, now_ms, params).finish_s


def why_not(
    tasks: Sequence[TaskIn],
    runners: Sequence[RunnerIn],
    walk_m: WalkM,
    now_ms: int,
    params: Params,
    task_id: str,
    runner_id: str,
    method: Method = "optimizer",
) -> WhyNot:
    """The tick played again, asked about one pair. KeyError when the tick knew no such task or runner."""
    task = {task.id: task for task in tasks}[task_id]
    runner = {runner.id: runner for runner in runners}[runner_id]
    asked = replace(params, explained=max(1, len(runners)), excluded_most=len(runners))
    made = plan(tasks, runners, walk_m, now_ms, asked, method)
    decision = next((a for a in made.assignments if a.task_id == task_id), None)
    if decision is None:
        rule = candidates.exclusion(task, runner)
        return WhyNot(made.unassigned[task_id] if rule is None else str(rule), None)
    found = next((c for c in decision.candidates if c.runner_id == runner_id), None)
    if found is None:
        return WhyNot(decision.excluded[runner_id], decision.runner_id)
    gap_s = round(found.cost_s - decision.cost_s, 3)
    rule_text = "chosen" if runner_id == decision.runner_id else "dearer" if gap_s >= 0 else "needed_elsewhere"
    return WhyNot(rule_text, decision.runner_id, found.cost_s, found.terms, gap_s)


def _soon(task: TaskIn, now_ms: int, params: Params) -> int | None:
    """The ready time, no later than the planner looks: a question about an order for later gets an answer too."""
    return None if task.ready_at_ms is None else min(task.ready_at_ms, now_ms + int(params.look_ahead_s * 1000))
