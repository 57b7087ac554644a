"""Routes as padded arrays: their schedules, and a task put into them or taken out, many routes at once.

A stop is done at ``max(arrive + before, not_before)`` and left ``after`` later. A pick-up right after one of the same
merchant is the same visit: no way, no entrance, no queue again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from .ground import FAR_S, Flags, Ground
from .params import Params
from .state import Floats, Rows

#: In ``Stops.task``: a stop of what the runner carries already, and no stop at all.
CARRIED, NOTHING = -2, -1


Limit = Literal["weight", "volume", "time", "deadline", "merchant", "reach"]


class Columns:
    """Arrays of one shape, taken apart and put together by row."""

    __slots__: tuple[str, ...] = ()

    def at(self, key: object) -> Self:
        return type(self)(*(getattr(self, name)[key] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Stops(Columns):
    """``task``: row of a waiting task, ``CARRIED`` or ``NOTHING``; ``is_last``: the task is done with it; ``board``,
    ``weight_g``, ``volume_ml``: by how much what is on board changes, in things and in size; ``source``: the stop's
    number within its task, or within the route as it was given; ``reach_m``: how far a runner may come for it."""

    place: Rows
    before_s: Floats
    after_s: Floats
    not_before_s: Floats
    promise_s: Floats
    deadline_s: Floats
    is_pickup: Flags
    is_last: Flags
    board: Rows
    weight_g: Floats
    volume_ml: Floats
    merchant: Rows
    task: Rows
    source: Rows
    reach_m: Floats


@dataclass(frozen=True, slots=True)
class Fleet:
    """The routes of all runners, one row each: ``count[r]`` stops at the front of row ``r`` of ``stops``.

    ``frozen[r]``: nothing new may come before so many of them; ``load[r]``: tasks; ``on_board*``: at the start.
    """

    stops: Stops
    count: Rows
    frozen: Rows
    load: Rows
    on_board: Rows
    on_board_g: Floats
    on_board_ml: Floats


@dataclass(frozen=True, slots=True)
class Totals(Columns):
    """Of a route: seconds on the way and of standing at counters; over the last stops of its tasks when they are done
    and how late that is, weighed: what is carried already by detour and disturbance, the rest by wait and lateness."""

    travel_s: Floats
    stand_s: Floats
    done_cost_s: Floats
    late_cost_s: Floats


@dataclass(slots=True)
class Going:
    """Runners within their routes, one number per row."""

    place: Rows
    leave_s: Floats
    done_s: Floats
    is_pickup: Flags
    merchant: Rows
    on_board: Rows
    weight_g: Floats
    volume_ml: Floats
    travel_s: Floats
    stand_s: Floats
    done_cost_s: Floats
    late_cost_s: Floats
    is_possible: Flags

    def copy(self) -> Going:
        return replace(self)


@dataclass(frozen=True, slots=True)
class Limits(Columns):
    speed_mps: Floats
    capacity_g: Floats
    capacity_ml: Floats
    until_s: Floats
    last_pickup_s: Floats


class Road:
    """Distances and rules of the road of one tick."""

    def __init__(self, ground: Ground, params: Params, without: Limit | None = None) -> None:
        """``without`` one of the limits: to see whether that is what makes something impossible."""
        self.ground = ground
        self._params = params
        self._without = without
        crew = ground.runners
        no_limit = np.full(len(crew), np.inf)
        self._limits = Limits(
            crew.speed_mps,
            no_limit if without == "weight" else crew.capacity_g,
            no_limit if without == "volume" else crew.capacity_ml,
            no_limit if without == "time" else crew.until_s,
            no_limit if without == "time" else crew.last_pickup_s,
        )

    def limits(self, runners: Rows) -> Limits:
        return self._limits.at(runners)

    def leg_s(self, a: Rows, b: Rows, limits: Limits) -> Floats:
        return self.ground.metres(a, b) / limits.speed_mps

    def start(self, fleet: Fleet, runners: Rows) -> Going:
        """At the front of these runners' routes."""
        crew, n = self.ground.runners, len(runners)
        zeros = np.zeros(n)
        return Going(
            crew.place[runners], crew.available_s[runners], zeros, np.zeros(n, dtype=np.bool_),
            np.full(n, -1, dtype=np.intp), fleet.on_board[runners], fleet.on_board_g[runners],
            fleet.on_board_ml[runners], zeros, zeros, zeros, zeros, np.ones(n, dtype=np.bool_),
        )  # fmt: skip

    def visit(self, at: Going, stop: Stops, leg_s: Floats, limits: Limits) -> Floats:
        """Go ``leg_s`` to ``stop`` and do what is to be done there; moves ``at`` on. Seconds of the arrival."""
        again = stop.is_pickup & at.is_pickup & (stop.merchant >= 0) & (stop.merchant == at.merchant)
        leg_s = np.where(again, 0.0, leg_s)
        arrive_s = np.where(again, at.done_s, at.leave_s + leg_s)
        ready_s = arrive_s + np.where(again, self._params.same_counter_s, stop.before_s)
        done_s = np.maximum(ready_s, stop.not_before_s)
        possible = at.is_possible & (done_s <= np.where(stop.is_pickup, limits.last_pickup_s, limits.until_s))
        if self._params.merchant_bundles and self._without != "merchant":
            # Beside what is on board only what is picked up at the same visit.
            possible &= ~stop.is_pickup | (at.on_board == 0) | again
        at.weight_g = at.weight_g + stop.weight_g
        at.volume_ml = at.volume_ml + stop.volume_ml
        possible &= (at.weight_g <= limits.capacity_g) & (at.volume_ml <= limits.capacity_ml)
        if self._without != "reach":
            possible &= leg_s * limits.speed_mps <= stop.reach_m
        # A deadline that is lost already must not keep the runner from anything else: only new tasks have one.
        at.is_possible = possible & ((done_s <= stop.deadline_s) | (self._without == "deadline"))
        at.on_board = at.on_board + stop.board
        at.travel_s = at.travel_s + leg_s
        at.stand_s = at.stand_s + (done_s - ready_s)
        at.leave_s = done_s + stop.after_s
        at.done_s, at.place, at.is_pickup, at.merchant = done_s, stop.place, stop.is_pickup, stop.merchant
        return arrive_s

    def visit_promised(self, at: Going, stop: Stops, leg_s: Floats, limits: Limits) -> None:
        """The same for a stop of the route itself, whose promise counts."""
        self.visit(at, stop, leg_s, limits)
        carried = stop.task == CARRIED
        p = self._params
        done_weight = np.where(carried, p.detour_weight, p.wait_weight) * stop.is_last
        late_weight = np.where(carried, p.disturbance_weight, p.lateness_weight) * stop.is_last
        at.done_cost_s = at.done_cost_s + done_weight * at.done_s
        at.late_cost_s = at.late_cost_s + late_weight * np.maximum(0.0, at.done_s - stop.promise_s)

    def _ways(self, fleet: Fleet, runners: Rows) -> Iterator[tuple[Rows, int, Going, Stops, Floats, Limits]]:
        """Stop by stop through these routes, equally long ones at once: which of them, the number of the stop, where
        they are, the stop, the seconds to it, their limits. Whoever asks makes the visit."""
        for count in np.unique(fleet.count[runners]):
            rows = np.flatnonzero(fleet.count[runners] == count)
            chosen = runners[rows]
            limits, at = self.limits(chosen), self.start(fleet, chosen)
            for k in range(int(count)):
                stop = fleet.stops.at((chosen, k))
                yield rows, k, at, stop, self.leg_s(at.place, stop.place, limits), limits

    def totals(self, fleet: Fleet, runners: Rows) -> Totals:
        """What these routes come to."""
        out = [np.zeros(len(runners)) for _ in range(4)]
        for rows, _, at, stop, leg_s, limits in self._ways(fleet, runners):
            self.visit_promised(at, stop, leg_s, limits)
            for array, value in zip(out, (at.travel_s, at.stand_s, at.done_cost_s, at.late_cost_s), strict=True):
                array[rows] = value
        return Totals(*out)

    def schedule(self, fleet: Fleet, runners: Rows) -> Floats:
        """Seconds of arriving, being done and leaving, shape (runners, stops, 3); 0 behind the end of a route."""
        found = np.zeros((len(runners), fleet.stops.place.shape[1], 3))
        for rows, k, at, stop, leg_s, limits in self._ways(fleet, runners):
            arrive_s = self.visit(at, stop, leg_s, limits)
            found[rows, k] = np.stack((arrive_s, at.done_s, at.leave_s), axis=1)
        return found

    def times(self, fleet: Fleet, runner: int) -> list[tuple[float, float, float]]:
        """The same of one route."""
        row = self.schedule(fleet, np.array([runner], dtype=np.intp))[0, : int(fleet.count[runner])]
        return [(float(arrive), float(done), float(leave)) for arrive, done, leave in row]


def fleet_of(ground: Ground) -> Fleet:
    """The routes as they are given."""
    crew = ground.runners
    count = np.array([len(runner.route) for runner in crew.given], dtype=np.intp)
    width = int(count.max(initial=0))
    stops = nothing((len(crew), width))
    on_board = np.zeros((3, len(crew)))
    for r, runner in enumerate(crew.given):
        if runner.route:
            on_board[:, r] = _fill(stops, r, ground)
    return Fleet(
        stops=stops,
        count=count,
        frozen=np.array([0 if one.can_detour else len(one.route) for one in crew.given], dtype=np.intp),
        load=crew.load.copy(),
        on_board=on_board[0].astype(np.intp),
        on_board_g=on_board[1],
        on_board_ml=on_board[2],
    )


def nothing(shape: tuple[int, ...]) -> Stops:
    """Empty columns."""
    zeros, ints, flags = np.zeros(shape), np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.bool_)
    return Stops(
        ints.copy(), zeros.copy(), zeros.copy(), zeros.copy(), zeros.copy(), zeros.copy(), flags.copy(), flags.copy(),
        ints.copy(), zeros.copy(), zeros.copy(), ints.copy(), np.full(shape, NOTHING, dtype=np.intp), ints.copy(),
        np.full(shape, np.inf),
    )  # fmt: skip


def _fill(stops: Stops, r: int, ground: Ground) -> tuple[float, float, float]:
    """Write one runner's route into its row; gives what is on board at its start: things, grams, millilitres."""
    route = ground.runners.given[r].route
    picked = {stop.task_id for stop in route if stop.role == "pickup"}
    last = {stop.task_id: k for k, stop in enumerate(route)}
    board = [0.0, 0.0, 0.0]
    for k, stop in enumerate(route):
        sign = {"pickup": 1, "dropoff": -1, "place": 0}[stop.role]
        if sign < 0 and stop.task_id not in picked:
            board = [board[0] + 1, board[1] + stop.weight_g, board[2] + stop.volume_ml]
        stops.place[r, k] = ground.stop_place[r][k]
        stops.before_s[r, k], stops.after_s[r, k] = stop.before_s, stop.after_s
        stops.not_before_s[r, k] = _until_s(stop.not_before_ms, ground.now_ms, -FAR_S)
        stops.promise_s[r, k] = _until_s(stop.promised_at_ms, ground.now_ms, FAR_S)
        stops.deadline_s[r, k] = FAR_S
        stops.is_pickup[r, k], stops.is_last[r, k] = sign > 0, last[stop.task_id] == k
        stops.board[r, k] = sign
        stops.weight_g[r, k], stops.volume_ml[r, k] = sign * stop.weight_g, sign * stop.volume_ml
        stops.merchant[r, k] = -1 if stop.merchant is None else ground.merchants[stop.merchant]
        stops.task[r, k], stops.source[r, k] = CARRIED, k
    return board[0], board[1], board[2]


def _until_s(at_ms: int | None, now_ms: int, default: float) -> float:
    return default if at_ms is None else (at_ms - now_ms) / 1000


def stops_of_tasks(ground: Ground, tasks: Rows) -> tuple[Stops, Stops]:
    """The pick-ups and the last stops of these tasks, a row each."""
    rows, n = ground.tasks, len(tasks)
    two = rows.has_pickup[tasks]
    ready = rows.ready_s[tasks]
    far, no_limit = np.full(n, FAR_S), np.full(n, np.inf)

    def side(k: int) -> Stops:
        first = k == 0
        sign = (1 if first else -1) * two.astype(np.intp)
        return Stops(
            place=rows.place[tasks, k], before_s=rows.before_s[tasks, k], after_s=rows.after_s[tasks, k],
            not_before_s=ready if first else np.where(two, -FAR_S, ready),
            promise_s=far if first else rows.promise_s[tasks], deadline_s=far if first else rows.deadline_s[tasks],
            is_pickup=np.full(n, first), is_last=np.full(n, not first), board=sign,
            weight_g=sign * rows.weight_g[tasks], volume_ml=sign * rows.volume_ml[tasks],
            merchant=rows.merchant[tasks], task=tasks, source=np.full(n, k, dtype=np.intp),
            reach_m=rows.reach_m[tasks] if first else np.where(two, no_limit, rows.reach_m[tasks]),
        )  # fmt: skip

    return side(0), side(1)


def put_in(fleet: Fleet, ground: Ground, runners: Rows, tasks: Rows, first_at: Rows, last_at: Rows) -> Fleet:
    """The routes with one more task each: its pick-up comes before stop ``first_at``, its last stop before the old stop
    ``last_at``. ``runners`` are distinct."""
    pickup, last = stops_of_tasks(ground, tasks)
    two = ground.tasks.has_pickup[tasks]
    old = fleet.stops
    width = max(old.place.shape[1], int((fleet.count[runners] + 1 + two).max(initial=0)))
    column = np.arange(width)[None, :]
    # Where each new column comes from: an old column, or the task's own stops (two columns behind the old ones).
    shift = two.astype(np.intp)[:, None]
    first, final = first_at[:, None], (last_at + two)[:, None]
    source = column - ((column > first) & two[:, None]) - (column > final)
    source = np.where(column == final, width + 1, source)
    source = np.where((column == first) & (shift > 0), width, source)
    merged = []
    for name in Stops.__slots__:
        whole = getattr(old, name)
        wide = _widened(whole, width, NOTHING if name == "task" else 0)
        three = np.concatenate((wide[runners], getattr(pickup, name)[:, None], getattr(last, name)[:, None]), axis=1)
        wide[runners] = np.take_along_axis(three, source, axis=1)
        merged.append(wide)
    count, load = fleet.count.copy(), fleet.load.copy()
    count[runners] += 1 + two
    load[runners] += 1
    stops = Stops(*merged)
    _stay(stops, ground)
    # Nothing comes before a task that is done wherever the runner is by then: it would be done somewhere else.
    anywhere = runners[~ground.tasks.has_place[tasks]]
    frozen = fleet.frozen.copy()
    frozen[anywhere] = count[anywhere]
    return replace(fleet, stops=stops, count=count, load=load, frozen=frozen)


def _stay(stops: Stops, ground: Ground) -> None:
    """A task without a place is done where the runner is by then."""
    if ground.tasks.has_place.all():
        return
    is_new = stops.task >= 0
    anywhere = is_new & ~ground.tasks.has_place[np.where(is_new, stops.task, 0)]
    before = ground.runners.place
    for k in range(stops.place.shape[1]):
        stops.place[:, k] = np.where(anywhere[:, k], before, stops.place[:, k])
        before = stops.place[:, k]


def _widened(array: np.ndarray, width: int, fill: int) -> np.ndarray:
    if array.shape[1] == width:
        return array.copy()
    wide = np.full((array.shape[0], width), fill, dtype=array.dtype)
    wide[:, : array.shape[1]] = array
    return wide


def take_out(fleet: Fleet, ground: Ground, tasks: Rows) -> Fleet:
    """The routes without these waiting tasks."""
    stops = fleet.stops
    gone = np.isin(stops.task, tasks) & (stops.task >= 0)
    rows = np.flatnonzero(gone.any(axis=1))
    order = np.argsort(gone[rows], axis=1, kind="stable")
    merged = []
    for name in Stops.__slots__:
        array = getattr(stops, name).copy()
        array[rows] = np.take_along_axis(array[rows], order, axis=1)
        merged.append(array)
    left = Stops(*merged)
    count, load = fleet.count.copy(), fleet.load.copy()
    count[rows] -= gone[rows].sum(axis=1)
    load[rows] -= (gone[rows] & stops.is_last[rows]).sum(axis=1)
    left.task[np.arange(left.task.shape[1])[None, :] >= count[:, None]] = NOTHING
    _stay(left, ground)
    return replace(fleet, stops=left, count=count, load=load, frozen=np.minimum(fleet.frozen, count))


def with_routes(fleet: Fleet, ground: Ground, routes: list[list[tuple[int, int]]]) -> Fleet:
    """The fleet with other routes, each a list of (task, stop of it) or (``CARRIED``, stop of the route as given)."""
    width = max((len(route) for route in routes), default=0)
    stops = nothing((len(routes), width))
    task = np.full(stops.task.shape, NOTHING, dtype=np.intp)
    source = np.zeros_like(task)
    for r, route in enumerate(routes):
        for k, (t, s) in enumerate(route):
            task[r, k], source[r, k] = t, s
    pickup, last = stops_of_tasks(ground, np.arange(len(ground.tasks), dtype=np.intp))
    rows, columns = np.nonzero(task == CARRIED)
    given = fleet_of(ground).stops
    for name in Stops.__slots__:
        whole = getattr(stops, name)
        whole[rows, columns] = getattr(given, name)[rows, source[rows, columns]]
        for k, side in enumerate((pickup, last)):
            mine = (task >= 0) & (source == k)
            whole[mine] = getattr(side, name)[task[mine]]
    stops.task[...], stops.source[...] = task, source
    _stay(stops, ground)
    count = (task != NOTHING).sum(axis=1).astype(np.intp)
    new = ((task >= 0) & stops.is_last).sum(axis=1)
    return replace(fleet, stops=stops, count=count, load=ground.runners.load + new)
