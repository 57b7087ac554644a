"""One tick's input as arrays: places, tasks and runners as rows, times as seconds from now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geo.point import Point

from .params import Params
from .state import Between, Floats, Rows, RunnerIn, TaskIn, Ways

Flags = NDArray[np.bool_]

#: Stands for "no limit" where a number is needed: ten years of seconds, so that sums of it stay numbers.
FAR_S = 3.2e8
#: Cells of a table of distances, at most.
_CELLS = 6_000_000


@dataclass(frozen=True, slots=True)
class Tasks:
    """``place[t, k]``, ``before_s``, ``after_s``: of the first and the last stop; a task with one stop has it as its
    last. ``has_pickup``, ``has_place``: two stops, at least one."""

    given: tuple[TaskIn, ...]
    has_pickup: Flags
    has_place: Flags
    place: Rows
    before_s: Floats
    after_s: Floats
    ready_s: Floats
    promise_s: Floats
    deadline_s: Floats
    age_s: Floats
    weight_g: Floats
    volume_ml: Floats
    merchant: Rows
    reach_m: Floats

    def __len__(self) -> int:
        return len(self.given)


@dataclass(frozen=True, slots=True)
class Runners:
    """Rows of runners; ``place``: where the way to anything new begins; ``idle_s``: without anything to carry."""

    given: tuple[RunnerIn, ...]
    place: Rows
    available_s: Floats
    speed_mps: Floats
    load: Rows
    max_tasks: Rows
    capacity_g: Floats
    capacity_ml: Floats
    until_s: Floats
    last_pickup_s: Floats
    is_able: Flags
    acceptance: Floats
    credit: Floats
    idle_s: Floats
    earned_s: Floats

    def __len__(self) -> int:
        return len(self.given)


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything of one tick. ``places``: rows (lat, lon); ``stop_place``: by runner, the rows of their route."""

    now_ms: int
    tasks: Tasks
    runners: Runners
    places: Floats
    stop_place: tuple[Rows, ...]
    merchants: dict[str, int]
    between: Between
    #: Metres from every place to those where anything is to be done, and the column of each of these (-1: none); of a
    #: tick with too many places there is no such table.
    table: Floats | None
    column: Rows

    def metres(self, a: Rows, b: Rows) -> Floats:
        """Metres from rows of places to rows where something is to be done; inf where there is no way."""
        if self.table is not None:
            column = self.column[b]
            if column.min(initial=0) >= 0:
                return np.asarray(self.table[a, column])
        return _no_way(self.between(a, b))


def _no_way(metres: Floats) -> Floats:
    """What is no number or below zero is no way."""
    metres = np.asarray(metres, dtype=np.float64)
    return np.where(metres >= 0.0, metres, np.inf)


def ground(tasks: Sequence[TaskIn], runners: Sequence[RunnerIn], ways: Ways, now_ms: int, params: Params) -> Ground:
    """The input as arrays, in the order of ids: whatever order it comes in, the plan is the same."""
    asked = tuple(sorted(tasks, key=lambda task: task.id))
    crew = tuple(sorted(runners, key=lambda runner: runner.id))
    book = _Places()
    merchants: dict[str, int] = {}
    task_rows = _tasks(asked, book, merchants, now_ms, params)
    runner_rows = _runners(crew, book, now_ms)
    stop_place = tuple(np.array([book.row(stop.point) for stop in runner.route], dtype=np.intp) for runner in crew)
    for runner in crew:
        for stop in runner.route:
            _code(stop.merchant, merchants)
    places = book.array()
    between, column = ways(places), np.full(len(places), -1, dtype=np.intp)
    targets = np.unique(np.concatenate((task_rows.place[task_rows.has_place].ravel(), *stop_place)))
    table = None
    if len(targets) * len(places) <= _CELLS:
        column[targets] = np.arange(len(targets))
        table = np.ascontiguousarray(_no_way(between(np.arange(len(places))[:, None], targets[None, :])))
    return Ground(now_ms, task_rows, runner_rows, places, stop_place, merchants, between, table, column)


class _Places:
    """Distinct points in the order in which they are first named."""

    def __init__(self) -> None:
        self._rows: dict[Point, int] = {}

    def row(self, point: Point) -> int:
        return self._rows.setdefault(point, len(self._rows))

    def array(self) -> Floats:
        return np.array(list(self._rows), dtype=np.float64).reshape(-1, 2)


def _tasks(given: tuple[TaskIn, ...], book: _Places, merchants: dict[str, int], now_ms: int, params: Params) -> Tasks:
    def seconds(values: list[int | None], default: float) -> Floats:
        return np.array([default if at is None else (at - now_ms) / 1000 for at in values], dtype=np.float64)

    return Tasks(
        given=given,
        has_pickup=np.array([len(task.points) > 1 for task in given], dtype=np.bool_),
        has_place=np.array([len(task.points) > 0 for task in given], dtype=np.bool_),
        place=np.array([_ends_at(task, book) for task in given], dtype=np.intp).reshape(-1, 2),
        before_s=np.array([_ends(task.before_s) for task in given], dtype=np.float64).reshape(-1, 2),
        after_s=np.array([_ends(task.after_s) for task in given], dtype=np.float64).reshape(-1, 2),
        ready_s=seconds([task.ready_at_ms for task in given], -FAR_S),
        promise_s=seconds([task.promised_at_ms for task in given], FAR_S),
        deadline_s=seconds([task.deadline_ms for task in given], FAR_S),
        age_s=np.array([(now_ms - task.opened_at_ms) / 1000 + task.priority_s for task in given], dtype=np.float64),
        weight_g=np.array([task.weight_g for task in given], dtype=np.float64),
        volume_ml=np.array([task.volume_ml for task in given], dtype=np.float64),
        merchant=np.array([_code(task.merchant, merchants) for task in given], dtype=np.intp),
        reach_m=params.max_pickup_m * np.array([task.reach for task in given], dtype=np.float64),
    )


def _ends_at(task: TaskIn, book: _Places) -> tuple[int, int]:
    stops = len(task.points)
    if stops > 2 or len(task.before_s) != max(1, stops) or len(task.after_s) != max(1, stops):
        raise ValueError(f"{task.id}: a task has at most two stops, and seconds for each of them")
    return (book.row(task.points[0]), book.row(task.points[-1])) if stops else (0, 0)


def _ends(seconds: tuple[float, ...]) -> tuple[float, float]:
    return (seconds[0], seconds[-1]) if len(seconds) > 1 else (0.0, seconds[0])


def _code(merchant: str | None, merchants: dict[str, int]) -> int:
    """A number for a merchant; a task without one shares its counter with nobody."""
    return -1 if merchant is None else merchants.setdefault(merchant, len(merchants))


def _runners(given: tuple[RunnerIn, ...], book: _Places, now_ms: int) -> Runners:
    def seconds(values: list[int | None]) -> Floats:
        return np.array([FAR_S if at is None else (at - now_ms) / 1000 for at in values], dtype=np.float64)

    load = np.array([runner.load for runner in given], dtype=np.intp)
    idle_s = -seconds([now_ms if one.idle_since_ms is None else one.idle_since_ms for one in given])
    return Runners(
        given=given,
        place=np.array([book.row(runner.point) for runner in given], dtype=np.intp),
        available_s=np.array([max(0.0, runner.available_in_s) for runner in given], dtype=np.float64),
        speed_mps=np.array([max(runner.speed_mps, 0.1) for runner in given], dtype=np.float64),
        load=load,
        max_tasks=np.array([runner.max_tasks for runner in given], dtype=np.intp),
        capacity_g=np.array([runner.capacity_g for runner in given], dtype=np.float64),
        capacity_ml=np.array([runner.capacity_ml for runner in given], dtype=np.float64),
        until_s=seconds([runner.until_ms for runner in given]),
        last_pickup_s=seconds([runner.last_pickup_ms for runner in given]),
        is_able=np.array([runner.excluded is None for runner in given], dtype=np.bool_),
        acceptance=np.array([runner.acceptance for runner in given], dtype=np.float64),
        credit=np.array([runner.credit for runner in given], dtype=np.float64),
        idle_s=np.where(load > 0, 0.0, idle_s),
        earned_s=np.array([runner.earned_s for runner in given], dtype=np.float64),
    )
