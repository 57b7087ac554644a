"""What the optimizer is told and what it answers, as frozen records; every cost is in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from geo.point import Point

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Between(Protocol):
    """Metres to go from place ``a`` to place ``b``, both row numbers; arrays of rows are broadcast together."""

    def __call__(self, a: Rows, b: Rows) -> Floats:
        """Not below zero; not finite where there is no way."""


#: All places of one tick, rows (lat, lon), measured at once: ``ways(places)(from_rows, to_rows)`` gives metres.
Ways = Callable[[Floats], Between]
Method = Literal["optimizer", "greedy"]
#: ``place``: something is done there, nothing is picked up or handed over.
StopRole = Literal["pickup", "dropoff", "place"]


class Exclusion(StrEnum):
    """Why a runner could not be given a task at all."""

    # Rules about the runner, found before the optimizer is asked (``RunnerIn.excluded``).
    OFF_SHIFT = "off_shift"
    ON_BREAK = "on_break"
    IN_CLASS = "in_class"
    CREDIT_TOO_LOW = "credit_too_low"
    COOLING_DOWN = "cooling_down"  # declined a moment ago
    STALE_POSITION = "stale_position"
    IN_NO_GO_AREA = "in_no_go_area"
    # Rules about the task, for whoever it is (``TaskIn.is_no_go``).
    STOP_IN_NO_GO_AREA = "stop_in_no_go_area"
    # Rules about the pair.
    PINNED_TO_ANOTHER = "pinned_to_another"
    OFFERED_BEFORE = "offered_before"
    AT_CAPACITY = "at_capacity"
    TOO_HEAVY = "too_heavy"
    TOO_BULKY = "too_bulky"
    OTHER_ZONE = "other_zone"
    NOT_BACK_IN_TIME = "not_back_in_time"  # the shift, or the time before a class, is too short for it
    PAST_DEADLINE = "past_deadline"  # nobody may be so late
    ANOTHER_MERCHANT = "another_merchant"  # one merchant per bundle
    TOO_FAR = "too_far"
    BUSY_TOO_LONG = "busy_too_long"  # free only after the time that is planned for
    NOT_AMONG_NEAREST = "not_among_nearest"


class Waiting(StrEnum):
    """Why nobody was given a task in this tick."""

    NOT_DUE = "not_due"  # ready much later: nothing is promised before it must be
    PLANNED = "planned"  # a runner is foreseen, and will be asked when it is time
    GRAB_ONLY = "grab_only"  # its zone leaves it to the runners
    NO_RUNNERS = "no_runners"
    STOP_IN_NO_GO_AREA = "stop_in_no_go_area"  # nobody may be sent there
    ALL_STALE = "all_positions_stale"
    ALL_AT_CAPACITY = "all_at_capacity"
    ALL_OFFERED_BEFORE = "all_offered_before"
    ALL_TOO_FAR = "all_too_far"
    PINNED_RUNNER_UNAVAILABLE = "pinned_runner_unavailable"
    NOBODY_FITS = "nobody_fits"  # each runner has a reason, and the reasons differ
    OUTBID = "outbid"  # others needed the runners more


@dataclass(frozen=True, slots=True)
class RouteStop:
    """One stop of a route. A task on board has its drop-off there and no pick-up.

    A stop is *done* (picked up, handed over) ``before_s`` after the arrival (entrance, floors, counter), but not before
    ``not_before_ms``; the runner leaves ``after_s`` later. ``promised_at_ms``: the task's promise, told at the last of
    its stops; ``weight_g``, ``volume_ml``: the size of what is picked up or handed over.
    """

    task_id: str
    point: Point
    before_s: float = 0.0
    after_s: float = 0.0
    role: StopRole = "dropoff"
    not_before_ms: int | None = None
    promised_at_ms: int | None = None
    weight_g: int = 0
    volume_ml: int = 0
    merchant: str | None = None


@dataclass(frozen=True, slots=True)
class TaskIn:
    """A task that waits for a runner.

    ``points``: its stops in the order of visiting, at most two (none: nothing to walk to); ``before_s``, ``after_s``:
    the seconds at each of them (one for a task without stops), as in ``RouteStop``. ``forbidden``: runners it was
    offered to before; ``pinned``: the only runner who may have it; ``deadline_ms``: nobody may deliver it later;
    ``is_no_go``: nobody may be sent to one of its stops;
    ``reach``: how many times further than usual a runner may come from; ``priority_s``: seconds of waiting that are
    added to its age; ``foreseen``: whom the last plan had in mind for it, and when (ms) they were to go.
    """

    id: str
    order_id: str
    points: tuple[Point, ...]
    before_s: tuple[float, ...]
    after_s: tuple[float, ...]
    opened_at_ms: int
    promised_at_ms: int
    ready_at_ms: int | None = None
    deadline_ms: int | None = None
    weight_g: int = 0
    volume_ml: int = 0
    merchant: str | None = None
    zone: str | None = None
    forbidden: frozenset[str] = frozenset()
    pinned: str | None = None
    is_no_go: bool = False
    reach: float = 1.0
    priority_s: float = 0.0
    foreseen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RunnerIn:
    """A runner on duty. ``route``: what they still have to do, in order; ``available_in_s``: seconds until they can
    leave ``point``; ``offered``: tasks put to them that they have not answered; ``can_detour``: new stops may come
    between those of the route, else only after it.

    ``credit``: 0..100; ``acceptance``: share of offers that they take; ``earned_s``: paid work of today in seconds;
    ``until_ms``: when they have to be done (end of the shift, a class); ``last_pickup_ms``: nothing is picked up after
    it; ``zones``: where they work, None: everywhere;
    ``excluded``: a rule that keeps them from anything new.
    """

    id: str
    point: Point
    speed_mps: float
    route: tuple[RouteStop, ...] = ()
    available_in_s: float = 0.0
    offered: int = 0
    can_detour: bool = True
    credit: int = 80
    acceptance: float = 0.87
    idle_since_ms: int | None = None
    earned_s: float = 0.0
    until_ms: int | None = None
    last_pickup_ms: int | None = None
    zones: frozenset[str] | None = None
    max_tasks: int = 3
    capacity_g: int = 30_000
    capacity_ml: int = 60_000
    excluded: Exclusion | None = None

    @property
    def load(self) -> int:
        """Tasks carried or offered."""
        return len({stop.task_id for stop in self.route}) + self.offered

    @property
    def is_stale(self) -> bool:
        return self.excluded is Exclusion.STALE_POSITION


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runner who could have had the task: the cost, its terms (they sum up to it), the metres to its first stop, and
    when it would be done."""

    runner_id: str
    cost_s: float
    terms: Mapping[str, float]
    distance_m: float
    done_at_ms: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task for a runner, with what it costs beside everything else that is planned.

    ``regret_s``: how much dearer the best other runner is, all else being as planned. ``candidates``: the chosen and
    the best others, the terms told of the chosen and of the runner-up; ``excluded``: every runner who is no candidate,
    with the rule; both are empty in ``Plan.planned``, and ``excluded`` also with more runners than
    ``Params.excluded_most``. ``leave_at_ms``: when the runner has to go for it; ``disturbed``: the seconds by which
    each task that the runner carries already is done later with everything new.
    """

    task_id: str
    runner_id: str
    cost_s: float
    terms: Mapping[str, float]
    distance_m: float
    done_at_ms: int
    leave_at_ms: int
    runner_up: str | None
    regret_s: float | None
    candidates: tuple[Candidate, ...]
    excluded: Mapping[str, str]
    disturbed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A stop with its times, see ``RouteStop``."""

    stop: RouteStop
    arrive_ms: int
    done_ms: int
    leave_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One tick's answer.

    ``assignments`` are to be put to their runners now; ``planned`` are foreseen and kept open, so that a later tick may
    find better; ``routes``: by runner, the whole route with everything of both; ``unassigned`` says for every task
    that is not in ``assignments`` why it waits. ``worth_s``: what the whole costs, a task that nobody has counted as
    ``Params.unassigned_s``: the less, the better.
    """

    assignments: tuple[Assignment, ...] = ()
    planned: tuple[Assignment, ...] = ()
    routes: Mapping[str, tuple[PlannedStop, ...]] = field(default_factory=dict)
    unassigned: Mapping[str, str] = field(default_factory=dict)
    method: Method = "optimizer"
    params_version: str = ""
    worth_s: float = 0.0
