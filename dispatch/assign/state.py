"""What the optimizer is told and what it answers, as frozen records; every cost is in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geo.point import Point

Floats = NDArray[np.float64]

#: ``walk_m(points, target)``: metres to walk from each row (lat, lon) of ``points``, shape (n, 2), to ``target``.
WalkM = Callable[[Floats, Point], Floats]
Method = Literal["optimizer", "greedy"]


class Exclusion(StrEnum):
    """Why a runner could not be given a task at all."""

    STALE_POSITION = "stale_position"
    AT_CAPACITY = "at_capacity"
    TOO_HEAVY = "too_heavy"
    OFFERED_BEFORE = "offered_before"
    PINNED_TO_ANOTHER = "pinned_to_another"
    TOO_FAR = "too_far"
    NOT_AMONG_NEAREST = "not_among_nearest"


class Waiting(StrEnum):
    """Why nobody was given a task in this tick."""

    NOT_DUE = "not_due"  # ready much later: nothing is promised before it must be
    NO_RUNNERS = "no_runners"
    ALL_STALE = "all_positions_stale"
    ALL_AT_CAPACITY = "all_at_capacity"
    ALL_OFFERED_BEFORE = "all_offered_before"
    ALL_TOO_FAR = "all_too_far"
    PINNED_RUNNER_UNAVAILABLE = "pinned_runner_unavailable"
    NOBODY_FITS = "nobody_fits"  # each runner has a reason, and the reasons differ
    OUTBID = "outbid"  # others needed the runners more


@dataclass(frozen=True, slots=True)
class Params:
    """Weights and limits of the optimizer. A plan is repeatable only together with the params that made it.

    Each ``*_weight`` multiplies seconds; ``*_s`` are seconds that a circumstance is worth.
    """

    version: str = "2026-1"
    walk_weight: float = 1.0
    trip_weight: float = 0.5
    busy_weight: float = 1.0
    load_s: float = 45.0  # each task that a runner carries delays the next one beyond its own route
    runner_wait_weight: float = 0.3
    ageing_weight: float = 1.0
    lateness_weight: float = 2.0
    credit_s: float = 0.6  # for each point of credit below 100
    idle_weight: float = 0.05
    idle_cap_s: float = 1200.0
    look_ahead_s: float = 600.0
    max_pickup_m: float = 4000.0
    nearest: int = 60  # candidates looked at per task
    explained: int = 10  # candidates kept with each decision
    excluded_most: int = 200  # with more runners than this, their exclusions are derived on demand (``why_not``)
    dense_cells: int = 250_000  # a larger matrix is solved as a sparse one


@dataclass(frozen=True, slots=True)
class TaskIn:
    """A task that waits. ``points``: its stops in the order of visiting (none: nothing to walk to).

    ``handling_s``: seconds spent at its stops in all; ``forbidden``: runners it was offered to before;
    ``pinned``: the only runner who may have it.
    """

    id: str
    order_id: str
    points: tuple[Point, ...]
    handling_s: float
    opened_at_ms: int
    promised_at_ms: int
    ready_at_ms: int | None = None
    weight_g: int = 0
    forbidden: frozenset[str] = frozenset()
    pinned: str | None = None


@dataclass(frozen=True, slots=True)
class RunnerIn:
    """A runner on duty. ``busy_until_s``: seconds from now until what they carry is delivered (0: free);
    ``route_end``: where that will be; ``load``: tasks carried or offered; ``credit``: 0..100."""

    id: str
    point: Point
    speed_mps: float
    load: int = 0
    busy_until_s: float = 0.0
    route_end: Point | None = None
    credit: int = 80
    idle_since_ms: int | None = None
    max_tasks: int = 3
    is_stale: bool = False
    carried_g: int = 0
    capacity_g: int = 30_000

    @property
    def start(self) -> Point:
        """Where the way to a new task begins."""
        return self.route_end if self.route_end is not None and self.busy_until_s > 0 else self.point


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runner who could have had the task: the cost, its terms (they sum up to it), and the way to the first stop."""

    runner_id: str
    cost_s: float
    terms: Mapping[str, float]
    distance_m: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task put to a runner. ``regret_s``: how much dearer the best other runner for this task is; below zero where
    this task gave its best runner up to another task. ``excluded``: every runner who is no candidate with the rule,
    empty where there are more than ``Params.excluded_most``."""

    task_id: str
    runner_id: str
    cost_s: float
    terms: Mapping[str, float]
    distance_m: float
    runner_up: str | None
    regret_s: float | None
    candidates: tuple[Candidate, ...]
    excluded: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """One tick's answer; ``unassigned`` says for every other task why it waits."""

    assignments: tuple[Assignment, ...] = ()
    unassigned: Mapping[str, str] = field(default_factory=dict)
    method: Method = "optimizer"
    params_version: str = ""

    @property
    def cost_s(self) -> float:
        """Sum over the assignments."""
        return sum(a.cost_s for a in self.assignments)
