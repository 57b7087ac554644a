"""Who could carry what: the rules that exclude a runner from a task, and the metres to the task for all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from geo.point import LocalPlane, Point, lat_lon_array

from .state import Exclusion, Floats, Params, RunnerIn, TaskIn, WalkM


@dataclass(frozen=True, slots=True)
class Reach:
    """``pickup_m[t, r]``: metres from where runner ``r`` starts to the first stop of task ``t``, inf where ``r`` is no
    candidate; ``is_near[t, r]``: the walking distance was asked for; ``trip_m[t]``: metres from first to last stop."""

    pickup_m: Floats
    is_near: NDArray[np.bool_]
    trip_m: Floats

    @property
    def is_candidate(self) -> NDArray[np.bool_]:
        return np.isfinite(self.pickup_m)


def exclusion(task: TaskIn, runner: RunnerIn) -> Exclusion | None:
    """The first rule that keeps ``runner`` from ``task``, wherever either of them is."""
    if task.pinned is not None and runner.id != task.pinned:
        return Exclusion.PINNED_TO_ANOTHER
    if runner.id in task.forbidden:
        return Exclusion.OFFERED_BEFORE
    if runner.is_stale:
        return Exclusion.STALE_POSITION
    if runner.load >= runner.max_tasks:
        return Exclusion.AT_CAPACITY
    if runner.carried_g + task.weight_g > runner.capacity_g:
        return Exclusion.TOO_HEAVY
    return None


def is_due(task: TaskIn, now_ms: int, params: Params) -> bool:
    """Whether it is time to find somebody: an order for later waits, so that its runner is chosen by then's facts."""
    return task.ready_at_ms is None or task.ready_at_ms - now_ms <= params.look_ahead_s * 1000


def reach(tasks: Sequence[TaskIn], runners: Sequence[RunnerIn], walk_m: WalkM, now_ms: int, params: Params) -> Reach:
    """Metres for every pair worth looking at: walking distances are asked for the nearest runners of a task alone."""
    shape = (len(tasks), len(runners))
    pickup_m = np.full(shape, np.inf)
    is_near = np.zeros(shape, dtype=np.bool_)
    trip_m = np.array([_trip_m(task, walk_m) for task in tasks], dtype=np.float64)
    starts = lat_lon_array([runner.start for runner in runners])
    able = [i for i, runner in enumerate(runners) if not runner.is_stale and runner.load < runner.max_tasks]
    if not tasks or not able:
        return Reach(pickup_m, is_near, trip_m)
    near = _Nearest(starts, np.array(able, dtype=np.intp))
    place = {runners[i].id: position for position, i in enumerate(able)}
    spare_g = np.array([runners[i].capacity_g - runners[i].carried_g for i in able])
    for row, task in enumerate(tasks):
        if not is_due(task, now_ms, params):
            continue
        fit = _fitting(task, spare_g, place)
        columns = near.columns(task, fit, params.nearest)
        if len(columns) == 0:
            continue
        is_near[row, columns] = True
        if not task.points:
            pickup_m[row, columns] = 0.0
            continue
        metres = np.asarray(walk_m(starts[columns], task.points[0]), dtype=np.float64)
        # A distance that is not a number or negative would poison the whole matrix: such a runner is out of reach.
        metres = np.where((metres >= 0) & (metres <= params.max_pickup_m), metres, np.inf)
        pickup_m[row, columns] = metres
    return Reach(pickup_m, is_near, trip_m)


def _fitting(task: TaskIn, spare_g: NDArray[np.int_], place: Mapping[str, int]) -> NDArray[np.bool_]:
    """The rules of ``exclusion`` over all able runners at once; ``place``: their positions by id."""
    fit = spare_g >= task.weight_g
    if task.pinned is not None:
        only = np.zeros_like(fit)
        if task.pinned in place:
            only[place[task.pinned]] = True
        fit &= only
    fit[[place[name] for name in task.forbidden if name in place]] = False
    return fit


class _Nearest:
    """The able runners in a k-d tree over a flat plane of metres."""

    def __init__(self, starts: Floats, able: NDArray[np.intp]) -> None:
        self._able = able
        mid = starts[able].mean(axis=0)
        self._plane = LocalPlane(Point(float(mid[0]), float(mid[1])))
        self._tree = cKDTree(self._plane.xy_many(starts[able]))

    def columns(self, task: TaskIn, fit: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
        """Runner columns, the ``count`` nearest of those that fit, in the order of their columns."""
        fitting = int(fit.sum())
        if fitting <= count or not task.points:
            return self._able[fit]
        # Those that do not fit may sit among the nearest: ask for as many more as there are of them.
        k = min(len(self._able), count + len(self._able) - fitting)
        _, order = self._tree.query(np.array(self._plane.xy(task.points[0])), k=k)
        order = np.atleast_1d(np.asarray(order, dtype=np.intp))
        return np.sort(self._able[order[fit[order]][:count]])


def _trip_m(task: TaskIn, walk_m: WalkM) -> float:
    """Metres between the task's own stops, the same whoever carries it."""
    legs = zip(task.points, task.points[1:], strict=False)
    return float(sum(float(walk_m(lat_lon_array([a]), b)[0]) for a, b in legs))
