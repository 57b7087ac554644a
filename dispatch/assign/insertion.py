"""What it means to give a task to a runner: the best place for it in the route, for many pairs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .params import Params
from .routes import Columns, Fleet, Going, Limits, Road, Stops, stops_of_tasks
from .state import Floats, Rows


@dataclass(frozen=True, slots=True)
class Insertions(Columns):
    """One row per pair of task and runner; ``cost_s`` is inf where there is no way to do it.

    ``first_at``, ``last_at``: before which stops of the old route the task's own come. ``travel_s``, ``stand_s``: of
    the whole route, more than without the task; ``done_s``, ``late_s``: the task's own; ``delay_cost_s``,
    ``moved_cost_s``: by which the others of the route are done later, and later than promised, weighed; ``way_m``: to
    the task's first stop.
    """

    cost_s: Floats
    first_at: Rows
    last_at: Rows
    travel_s: Floats
    stand_s: Floats
    done_s: Floats
    late_s: Floats
    delay_cost_s: Floats
    moved_cost_s: Floats
    way_m: Floats


def insertions(road: Road, fleet: Fleet, tasks: Rows, runners: Rows, params: Params) -> Insertions:
    """The cheapest insertion of ``tasks[k]`` into the route of ``runners[k]``, for every ``k``."""
    n = len(tasks)
    found = Insertions(
        np.full(n, np.inf), np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp), *(np.zeros(n) for _ in range(7))
    )
    two = road.ground.tasks.has_pickup[tasks]
    anywhere = ~road.ground.tasks.has_place[tasks]
    counts = fleet.count[runners]
    for count in np.unique(counts):
        for has_pickup in (True, False):
            rows = np.flatnonzero((counts == count) & (two == has_pickup))
            if len(rows):
                part = _Part(road, fleet, tasks[rows], runners[rows], int(count), params)
                best = part.with_pickup() if has_pickup else part.single(anywhere[rows])
                for name in Insertions.__slots__:
                    getattr(found, name)[rows] = getattr(best, name)
    return found


class _Part:
    """Pairs whose routes have equally many stops."""

    def __init__(self, road: Road, fleet: Fleet, tasks: Rows, runners: Rows, count: int, params: Params) -> None:
        self._road, self._fleet, self._runners, self._count, self._params = road, fleet, runners, count, params
        self._limits: Limits = road.limits(runners)
        self._pickup, self._last = stops_of_tasks(road.ground, tasks)
        self._stops = [fleet.stops.at((runners, k)) for k in range(count)]
        self._frozen = fleet.frozen[runners]
        start = road.ground.runners.place[runners]
        self._nodes = [start, *(stop.place for stop in self._stops)]
        self._legs = [self._leg(self._nodes[k], self._nodes[k + 1]) for k in range(count)]
        distinct, back = np.unique(runners, return_inverse=True)
        self._base = road.totals(fleet, distinct).at(back)
        n = len(tasks)
        self._best = Insertions(
            np.full(n, np.inf), np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp),
            *(np.zeros(n) for _ in range(7)),
        )  # fmt: skip

    def _leg(self, a: Rows, b: Rows) -> Floats:
        return self._road.leg_s(a, b, self._limits)

    def with_pickup(self) -> Insertions:
        """Every pick-up before every drop-off."""
        to_last = [self._leg(node, self._last.place) for node in self._nodes]
        from_last = [self._leg(self._last.place, stop.place) for stop in self._stops]
        across = self._leg(self._pickup.place, self._last.place)
        before = self._road.start(self._fleet, self._runners)
        for i in range(self._count + 1):
            way_s = self._leg(self._nodes[i], self._pickup.place)
            at = before.copy()
            self._road.visit(at, self._pickup, way_s, self._limits)
            for j in range(i, self._count + 1):
                end = at.copy()
                self._road.visit(end, self._last, across if j == i else to_last[j], self._limits)
                self._finish(end, i, j, from_last, way_s)
                if j < self._count:
                    leg_s = self._leg(self._pickup.place, self._stops[j].place) if j == i else self._legs[j]
                    self._road.visit_promised(at, self._stops[j], leg_s, self._limits)
            if i < self._count:
                self._road.visit_promised(before, self._stops[i], self._legs[i], self._limits)
        return self._best

    def single(self, anywhere: np.ndarray) -> Insertions:
        """Tasks of one stop; those without a place are done at the end of the route, wherever that is."""
        from_last = [self._leg(self._last.place, stop.place) for stop in self._stops]
        before = self._road.start(self._fleet, self._runners)
        for i in range(self._count + 1):
            end = before.copy()
            way_s = np.where(anywhere, 0.0, self._leg(self._nodes[i], self._last.place))
            self._road.visit(end, self._last, way_s, self._limits)
            if i < self._count:
                end.is_possible = end.is_possible & ~anywhere
            self._finish(end, i, i, from_last, way_s)
            if i < self._count:
                self._road.visit_promised(before, self._stops[i], self._legs[i], self._limits)
        return self._best

    def _finish(self, end: Going, i: int, j: int, from_last: list[Floats], way_s: Floats) -> None:
        """Drive the rest of the route after the task's last stop, and keep this place for it where it is the best."""
        done_s = end.done_s
        late_s = np.maximum(0.0, done_s - self._last.promise_s)
        for k in range(j, self._count):
            self._road.visit_promised(end, self._stops[k], from_last[k] if k == j else self._legs[k], self._limits)
        p, base, best = self._params, self._base, self._best
        travel_s, stand_s = end.travel_s - base.travel_s, end.stand_s - base.stand_s
        delay_s, moved_s = end.done_cost_s - base.done_cost_s, end.late_cost_s - base.late_cost_s
        cost_s = (
            p.travel_weight * travel_s + p.stand_weight * stand_s + p.wait_weight * done_s
            + p.lateness_weight * late_s + delay_s + moved_s
        )  # fmt: skip
        cost_s = np.where(end.is_possible & (i >= self._frozen) & np.isfinite(cost_s), cost_s, np.inf)
        better = cost_s < best.cost_s
        if not better.any():
            return
        values = (cost_s, i, j, travel_s, stand_s, done_s, late_s, delay_s, moved_s, way_s * self._limits.speed_mps)
        for name, value in zip(Insertions.__slots__, values, strict=True):
            np.copyto(getattr(best, name), np.asarray(value), where=better)


__all__ = ["Insertions", "Stops", "insertions"]
