"""Routes as plain lists, driven stop by stop by the rules of ``routes.Road``: faster than arrays for a few routes."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from .ground import Ground
from .params import Params
from .routes import CARRIED, Fleet, stops_of_tasks

#: Numbers of stops, in the order of visiting: task ``t`` has ``2 t`` and ``2 t + 1``, what is carried comes behind.
Route = list[int]


class _At(NamedTuple):
    """A runner within a route: where and when, what is on board, and the cost so far."""

    place: int
    leave_s: float
    done_s: float
    merchant: int  # of the pick-up just made, -1 else
    on_board: int
    weight_g: float
    volume_ml: float
    cost_s: float


class Lines:
    """The routes of a plan as lists, with what each stop and each runner is."""

    def __init__(self, ground: Ground, fleet: Fleet, params: Params) -> None:
        n = len(ground.tasks)
        pickup, last = stops_of_tasks(ground, np.arange(n, dtype=np.intp))
        rows, columns = np.nonzero(fleet.stops.task == CARRIED)
        carried = fleet.stops.at((rows, columns))

        def column(name: str) -> list[float]:
            own = np.stack((getattr(pickup, name), getattr(last, name)), axis=1).ravel()
            return list(np.concatenate((own, getattr(carried, name))).tolist())

        self.place = [int(value) for value in column("place")]
        self.before, self.after, self.not_before = column("before_s"), column("after_s"), column("not_before_s")
        self.promise, self.deadline = column("promise_s"), column("deadline_s")
        self.is_pickup, self.merchant = column("is_pickup"), column("merchant")
        self.board, self.weight, self.volume = column("board"), column("weight_g"), column("volume_ml")
        self.reach = column("reach_m")
        for task in np.flatnonzero(~ground.tasks.has_place).tolist():
            self.place[2 * task] = self.place[2 * task + 1] = -1
        is_last = column("is_last")
        carried_from = 2 * n
        self.done_weight = [
            (params.wait_weight if s < carried_from else params.detour_weight) * is_last[s] for s in range(len(is_last))
        ]
        self.late_weight = [
            (params.lateness_weight if s < carried_from else params.disturbance_weight) * is_last[s]
            for s in range(len(is_last))
        ]
        self.is_double = ground.tasks.has_pickup.tolist()
        self.params = params
        crew = ground.runners
        self.start = [
            _At(int(place), float(at), 0.0, -1, int(things), float(g), float(ml), 0.0)
            for place, at, things, g, ml in zip(
                crew.place, crew.available_s, fleet.on_board, fleet.on_board_g, fleet.on_board_ml, strict=True
            )
        ]
        self.speed = crew.speed_mps.tolist()
        self.most_g, self.most_ml = crew.capacity_g.tolist(), crew.capacity_ml.tolist()
        self.until, self.last_pickup = crew.until_s.tolist(), crew.last_pickup_s.tolist()
        self.frozen = fleet.frozen.tolist()
        self.metres: list[list[float]] = _matrix(ground)
        numbers = {(int(r), int(k)): carried_from + i for i, (r, k) in enumerate(zip(rows, columns, strict=True))}
        self.numbers = numbers

    def routes_of(self, fleet: Fleet) -> list[Route]:
        """The routes of a fleet as lists of stops."""
        task, source, count = fleet.stops.task, fleet.stops.source, fleet.count
        return [
            [
                self.numbers[r, int(source[r, k])] if task[r, k] == CARRIED else 2 * int(task[r, k]) + int(source[r, k])
                for k in range(int(count[r]))
            ]
            for r in range(len(count))
        ]

    def visit(self, runner: int, at: _At, stop: int) -> _At | None:
        """One stop further; None where a rule is broken. The rules are those of ``routes.Road.visit``."""
        p = self.params
        picks, merchant = self.is_pickup[stop], self.merchant[stop]
        again = picks and merchant >= 0 and merchant == at.merchant
        cost_s = at.cost_s
        place = self.place[stop]
        if place < 0:  # done wherever the runner is
            place = at.place
        if again:
            ready_s = at.done_s + p.same_counter_s
        else:
            metres = self.metres[at.place][place]
            if metres > self.reach[stop]:
                return None
            leg_s = metres / self.speed[runner]
            ready_s = at.leave_s + leg_s + self.before[stop]
            cost_s += p.travel_weight * leg_s
        done_s = max(ready_s, self.not_before[stop])
        if picks:
            if done_s > self.last_pickup[runner] or (p.merchant_bundles and at.on_board and not again):
                return None
        elif done_s > self.until[runner]:
            return None
        weight_g, volume_ml = at.weight_g + self.weight[stop], at.volume_ml + self.volume[stop]
        if done_s > self.deadline[stop] or weight_g > self.most_g[runner] or volume_ml > self.most_ml[runner]:
            return None
        cost_s += p.stand_weight * (done_s - ready_s) + self.done_weight[stop] * done_s
        late_s = done_s - self.promise[stop]
        if late_s > 0.0:
            cost_s += self.late_weight[stop] * late_s
        return _At(
            place, done_s + self.after[stop], done_s, int(merchant) if picks else -1,
            at.on_board + int(self.board[stop]), weight_g, volume_ml, cost_s,
        )  # fmt: skip

    def cost(self, runner: int, route: Route) -> float:
        """Seconds that a route is worth; inf where it breaks a rule."""
        at: _At | None = self.start[runner]
        for stop in route:
            assert at is not None
            at = self.visit(runner, at, stop)
            if at is None:
                return inf
        assert at is not None
        return at.cost_s

    def best_place(self, runner: int, route: Route, task: int, below_s: float) -> tuple[float, int, int]:
        """The cheapest way of putting ``task`` in: the whole route's cost, if below, and its two places."""
        first, last = 2 * task, 2 * task + 1
        best, at_i, at_j = below_s, -1, -1
        at: _At | None = self.start[runner]
        for i in range(len(route) + 1):
            if at is None or at.cost_s >= best:
                break
            inner: _At | None = at
            if i < self.frozen[runner]:
                inner = None
            elif self.is_double[task]:
                inner = self.visit(runner, at, first)
            for j in range(i, len(route) + 1 if self.is_double[task] else i + 1):
                if inner is None or inner.cost_s >= best:
                    break
                found = self._rest(runner, self.visit(runner, inner, last), route, j, best)
                if found < best:
                    best, at_i, at_j = found, i, j
                inner = self.visit(runner, inner, route[j]) if j < len(route) else None
            at = self.visit(runner, at, route[i]) if i < len(route) else None
        return best, at_i, at_j

    def with_task(self, route: Route, task: int, i: int, j: int) -> Route:
        """The route with the task's stops before its stops ``i`` and ``j``."""
        first = [2 * task] if self.is_double[task] else []
        return [*route[:i], *first, *route[i:j], 2 * task + 1, *route[j:]]

    def _rest(self, runner: int, at: _At | None, route: Route, k: int, below_s: float) -> float:
        while at is not None and k < len(route) and at.cost_s < below_s:
            at = self.visit(runner, at, route[k])
            k += 1
        return inf if at is None or at.cost_s >= below_s else at.cost_s


def _matrix(ground: Ground) -> list[list[float]]:
    rows = np.arange(len(ground.places), dtype=np.intp)
    return list(ground.metres(rows[:, None], rows[None, :]).tolist())
