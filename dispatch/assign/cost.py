"""What giving a task to a runner costs: named terms in seconds, computed for all pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .candidates import Reach
from .state import Floats, Params, RunnerIn, TaskIn


@dataclass(frozen=True, slots=True)
class Costs:
    """``total[t, r]`` in seconds, inf where the pair is impossible; ``terms`` by name, each broadcast to that shape."""

    total: Floats
    terms: dict[str, Floats]
    finish_s: Floats  # seconds from now until the task would be done

    def terms_of(self, row: int, column: int) -> dict[str, float]:
        return {name: round(float(values[row, column]), 3) for name, values in self.terms.items()}


def costs(tasks: Sequence[TaskIn], runners: Sequence[RunnerIn], reach: Reach, now_ms: int, params: Params) -> Costs:
    """The cost of every pair within reach."""
    shape = (len(tasks), len(runners))
    speed = _row([max(runner.speed_mps, 0.1) for runner in runners])
    busy_s = _row([max(runner.busy_until_s, 0.0) for runner in runners])
    # Impossible pairs get a finite distance here and their infinity at the end: inf - inf is not a number.
    pickup_s = np.where(reach.is_candidate, reach.pickup_m, 0.0) / speed
    trip_s = reach.trip_m[:, None] / speed
    arrive_s = busy_s + pickup_s
    ready_s = _column([_until_s(task.ready_at_ms, now_ms) for task in tasks])
    runner_wait_s = np.maximum(0.0, ready_s - arrive_s)
    finish_s = arrive_s + runner_wait_s + trip_s + _column([task.handling_s for task in tasks])
    promise_s = _column([(task.promised_at_ms - now_ms) / 1000 for task in tasks])
    age_s = _column([max(0.0, (now_ms - task.opened_at_ms) / 1000) for task in tasks])
    load = _row([float(runner.load) for runner in runners])
    credit_gap = _row([100.0 - runner.credit for runner in runners])
    raw = {
        "walk": params.walk_weight * pickup_s,
        "trip": params.trip_weight * trip_s,
        "load": params.busy_weight * busy_s + params.load_s * load,
        "waiting": params.runner_wait_weight * runner_wait_s,
        # Waiting makes a task cheaper for everybody alike, so it wins where there are fewer runners than tasks.
        "ageing": -params.ageing_weight * age_s,
        "lateness": params.lateness_weight * np.maximum(0.0, finish_s - promise_s),
        "credit": params.credit_s * credit_gap,
        "idle": -params.idle_weight * _row([_idle_s(runner, now_ms, params) for runner in runners]),
    }
    terms = {name: np.broadcast_to(values, shape) for name, values in raw.items()}
    total = np.zeros(shape)
    for values in terms.values():
        total += values
    return Costs(np.where(reach.is_candidate, total, np.inf), terms, np.broadcast_to(finish_s, shape))


def _idle_s(runner: RunnerIn, now_ms: int, params: Params) -> float:
    """How long the runner has had nothing to carry, capped: the longest idle comes first, but not at any price."""
    if runner.load or runner.idle_since_ms is None:
        return 0.0
    return min(max(0.0, (now_ms - runner.idle_since_ms) / 1000), params.idle_cap_s)


def _until_s(at_ms: int | None, now_ms: int) -> float:
    return 0.0 if at_ms is None else max(0.0, (at_ms - now_ms) / 1000)


def _row(values: Sequence[float]) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(1, -1)


def _column(values: Sequence[float]) -> Floats:
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)
