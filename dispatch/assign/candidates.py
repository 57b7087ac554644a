"""Who could carry what: the pairs worth looking at, and the rule that keeps anybody else out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ground import Flags, Ground
from .nearest import by_distance, nearest
from .params import Params
from .routes import Fleet
from .state import Exclusion, Rows, RunnerIn, TaskIn

#: Runners that are looked at for a task however many tasks there are; pairs of those tasks that look at everybody.
_LEAST, _EVERYBODY = 20, 500_000


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of tasks and runners, sorted by task, then runner."""

    task: Rows
    runner: Rows

    def __len__(self) -> int:
        return len(self.task)


def exclusion(task: TaskIn, runner: RunnerIn) -> Exclusion | None:
    """The first rule that keeps ``runner`` from ``task``, wherever either of them is and whatever it would cost."""
    if runner.excluded is not None:
        return runner.excluded
    if task.is_no_go:
        return Exclusion.STOP_IN_NO_GO_AREA
    if task.pinned is not None and runner.id != task.pinned:
        return Exclusion.PINNED_TO_ANOTHER
    if runner.id in task.forbidden:
        return Exclusion.OFFERED_BEFORE
    if runner.load >= runner.max_tasks:
        return Exclusion.AT_CAPACITY
    if task.zone is not None and runner.zones is not None and task.zone not in runner.zones:
        return Exclusion.OTHER_ZONE
    if task.weight_g > runner.capacity_g:
        return Exclusion.TOO_HEAVY
    if task.volume_ml > runner.capacity_ml:
        return Exclusion.TOO_BULKY
    return None


def is_due(task: TaskIn, now_ms: int, params: Params) -> bool:
    """Whether it is time to plan it: an order for later waits, so that its runner is chosen by then's facts."""
    return task.ready_at_ms is None or task.ready_at_ms - now_ms <= params.look_ahead_s * 1000


def pairs(ground: Ground, fleet: Fleet, params: Params) -> Pairs:
    """The pairs to be looked at: for each task the nearest runners of those whom no rule keeps from it."""
    given = ground.tasks.given
    due = np.array([is_due(task, ground.now_ms, params) and not task.is_no_go for task in given], dtype=np.bool_)
    able = ground.runners.is_able & (fleet.load < ground.runners.max_tasks)
    able &= ground.runners.available_s <= params.runner_ahead_s
    tasks, runners = np.flatnonzero(due), np.flatnonzero(able)
    if not len(tasks) or not len(runners):
        return Pairs(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp))
    most = looked_at(len(tasks), params)
    if len(runners) <= most:
        t, r = np.repeat(tasks, len(runners)), np.tile(runners, len(tasks))
        keep = _may(ground, t, r)
        return Pairs(t[keep], r[keep])
    t, r = nearest(ground, fleet, tasks, runners, most)
    keep = _may(ground, t, r)
    t, r = t[keep], r[keep]
    # Where the rules leave few of the nearest, everybody else is looked at, for as many tasks as there is time.
    left = np.bincount(t, minlength=len(ground.tasks))[tasks]
    few = tasks[np.argsort(left, kind="stable")][: np.count_nonzero(left < most // 4 + 1)]
    few = np.sort(few[: max(1, _EVERYBODY // len(runners))])
    if len(few):
        more_t, more_r = np.repeat(few, len(runners)), np.tile(runners, len(few))
        more = _may(ground, more_t, more_r)
        more_t, more_r = by_distance(ground, more_t[more], more_r[more], most)
        rest = ~np.isin(t, few)
        t, r = np.concatenate((t[rest], more_t)), np.concatenate((r[rest], more_r))
    order = np.argsort(t * len(ground.runners) + r)
    return Pairs(t[order], r[order])


def looked_at(tasks: int, params: Params) -> int:
    """Runners that are looked at for each of so many tasks."""
    return min(params.nearest, max(_LEAST, params.pairs // max(1, tasks)))


def _may(ground: Ground, tasks: Rows, runners: Rows) -> Flags:
    """The rules of ``exclusion`` over many pairs, but for those about the runner alone."""
    rows, crew = ground.tasks, ground.runners
    keep: Flags = rows.weight_g[tasks] <= crew.capacity_g[runners]
    keep &= rows.volume_ml[tasks] <= crew.capacity_ml[runners]
    n = len(crew)
    barred = forbidden(ground)
    if len(barred):
        keep &= ~np.isin(tasks * n + runners, barred)
    only = pinned(ground)[tasks]
    keep &= (only == ANYBODY) | (only == runners)
    works = works_in(ground)
    if not works.all():
        keep &= works[zone_codes(ground)[tasks], runners]
    return keep


#: In place of the row of the runner to whom a task is pinned.
ANYBODY = -2


def pinned(ground: Ground) -> Rows:
    """By task the runner to whom it is pinned, -1: one who is not there."""
    index = {runner.id: r for r, runner in enumerate(ground.runners.given)}
    of = [ANYBODY if task.pinned is None else index.get(task.pinned, -1) for task in ground.tasks.given]
    return np.array(of, dtype=np.intp)


def forbidden(ground: Ground) -> Rows:
    """Pairs that were offered before: task times number of runners plus runner."""
    index = {runner.id: r for r, runner in enumerate(ground.runners.given)}
    n = len(ground.runners)
    barred = [t * n + index[i] for t, task in enumerate(ground.tasks.given) for i in task.forbidden if i in index]
    return np.array(barred, dtype=np.intp)


def zone_codes(ground: Ground) -> Rows:
    """By task the number of its zone, 0: it has none."""
    zones = sorted({task.zone for task in ground.tasks.given if task.zone is not None})
    numbers = {zone: k for k, zone in enumerate(zones, 1)}
    return np.array([0 if one.zone is None else numbers[one.zone] for one in ground.tasks.given], dtype=np.intp)


def works_in(ground: Ground) -> Flags:
    """By number of a zone and by runner: whether they work there."""
    zones = sorted({task.zone for task in ground.tasks.given if task.zone is not None})
    works = np.ones((len(zones) + 1, len(ground.runners)), dtype=np.bool_)
    for r, runner in enumerate(ground.runners.given):
        if runner.zones is not None:
            works[1:, r] = [zone in runner.zones for zone in zones]
    return works
