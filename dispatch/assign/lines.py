"""Routes as plain lists, driven stop by stop by the rules of ``routes.Road``: faster than arrays for a few routes."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from .ground import Ground
from .params import Params
from .routes import CARRIED, Fleet, Stops, stops_of_tasks

#: Numbers of stops, in the order of visiting: task ``t`` has ``2 t`` and ``2 t + 1``, what is carried comes behind.
Route = list[int]


#: A runner within a route: place, second of leaving it, second at which things were done there, merchant of the pick-up
#: just made (-1 else), things, grams and millilitres on board, cost so far. Plain tuples, because there are millions.
At = tuple[int, float, float, int, int, float, float, float]

#: What has to be known of a stop: place (-1: wherever the runner is), before, after, not before, promise, deadline,
#: is it a pick-up, merchant, change of what is on board in things, grams and millilitres, weights of when it is done
#: and of how late that is, metres that one may come from.
_Stop = tuple[int, float, float, float, float, float, bool, int, int, float, float, float, float, float]


class Lines:
    """The routes of a plan as lists, with what each stop and each runner is."""

    def __init__(self, ground: Ground, fleet: Fleet, params: Params) -> None:
        n = len(ground.tasks)
        rows, columns = np.nonzero(fleet.stops.task == CARRIED)
        self.stops = _stops(ground, fleet.stops.at((rows, columns)), params)
        self.numbers = {(int(r), int(k)): 2 * n + i for i, (r, k) in enumerate(zip(rows, columns, strict=True))}
        self.is_double = ground.tasks.has_pickup.tolist()
        crew = ground.runners
        self.start: list[At] = [
            (int(place), float(at), 0.0, -1, int(things), float(g), float(ml), 0.0)
            for place, at, things, g, ml in zip(
                crew.place, crew.available_s, fleet.on_board, fleet.on_board_g, fleet.on_board_ml, strict=True
            )
        ]
        limits = (crew.speed_mps, crew.capacity_g, crew.capacity_ml, crew.until_s, crew.last_pickup_s)
        self._limits = list(zip(*(column.tolist() for column in limits), strict=True))
        self.frozen = fleet.frozen.tolist()
        self.metres: list[list[float]] = _matrix(ground)
        self._weights = (
            params.travel_weight, params.stand_weight, params.same_counter_s, params.merchant_bundles
        )  # fmt: skip

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

    def visit(self, runner: int, at: At, stop: int) -> At | None:
        """One stop further; None where a rule is broken. The rules are those of ``routes.Road.visit``."""
        here, left_s, done_s, merchant, things, on_board_g, on_board_ml, cost_s = at
        place, before, after, not_before, promise, deadline, picks, own, more, g, ml, done_w, late_w, reach = (
            self.stops[stop]
        )
        speed_mps, most_g, most_ml, until_s, last_pickup_s = self._limits[runner]
        travel_w, stand_w, same_counter_s, merchant_bundles = self._weights
        again = picks and own >= 0 and own == merchant
        if place < 0:
            place = here
        if again:
            ready_s = done_s + same_counter_s
        else:
            metres = self.metres[here][place]
            if metres > reach:
                return None
            leg_s = metres / speed_mps
            ready_s = left_s + leg_s + before
            cost_s += travel_w * leg_s
        done_s = ready_s if ready_s > not_before else not_before
        if picks:
            if done_s > last_pickup_s or (merchant_bundles and things and not again):
                return None
        elif done_s > until_s:
            return None
        on_board_g += g
        on_board_ml += ml
        if done_s > deadline or on_board_g > most_g or on_board_ml > most_ml:
            return None
        cost_s += stand_w * (done_s - ready_s) + done_w * done_s
        if done_s > promise:
            cost_s += late_w * (done_s - promise)
        return place, done_s + after, done_s, own if picks else -1, things + more, on_board_g, on_board_ml, cost_s

    def cost(self, runner: int, route: Route) -> float:
        """Seconds that a route is worth; inf where it breaks a rule."""
        at: At | None = self.start[runner]
        for stop in route:
            assert at is not None
            at = self.visit(runner, at, stop)
            if at is None:
                return inf
        assert at is not None
        return at[-1]

    def best_place(self, runner: int, route: Route, task: int, below_s: float) -> tuple[float, int, int]:
        """The cheapest way of putting ``task`` in: the whole route's cost, if below, and its two places."""
        first, last, visit = 2 * task, 2 * task + 1, self.visit
        is_double, count = self.is_double[task], len(route)
        best, at_i, at_j = below_s, -1, -1
        at: At | None = self.start[runner]
        for i in range(count + 1):
            if at is None or at[-1] >= best:
                break
            inner: At | None = None
            if i >= self.frozen[runner]:
                inner = visit(runner, at, first) if is_double else at
            for j in range(i, count + 1 if is_double else i + 1):
                if inner is None or inner[-1] >= best:
                    break
                end, k = visit(runner, inner, last), j
                while end is not None and k < count and end[-1] < best:
                    end = visit(runner, end, route[k])
                    k += 1
                if end is not None and end[-1] < best:
                    best, at_i, at_j = end[-1], i, j
                inner = visit(runner, inner, route[j]) if j < count else None
            at = visit(runner, at, route[i]) if i < count else None
        return best, at_i, at_j

    def with_task(self, route: Route, task: int, i: int, j: int) -> Route:
        """The route with the task's stops before its stops ``i`` and ``j``."""
        first = [2 * task] if self.is_double[task] else []
        return [*route[:i], *first, *route[i:j], 2 * task + 1, *route[j:]]


def _stops(ground: Ground, carried: Stops, params: Params) -> list[_Stop]:
    """The two stops of every task in turn, then what is carried already."""
    n = len(ground.tasks)
    pickup, last = stops_of_tasks(ground, np.arange(n, dtype=np.intp))

    def column(name: str) -> list[Any]:
        own = np.stack((getattr(pickup, name), getattr(last, name)), axis=1).ravel()
        return list(np.concatenate((own, getattr(carried, name))).tolist())

    place = column("place")
    for task in np.flatnonzero(~ground.tasks.has_place).tolist():
        place[2 * task] = place[2 * task + 1] = -1
    is_last = column("is_last")
    new, old = 2 * n, len(is_last) - 2 * n
    done_weight = [params.wait_weight] * new + [params.detour_weight] * old
    late_weight = [params.lateness_weight] * new + [params.disturbance_weight] * old
    return list(
        zip(
            place, column("before_s"), column("after_s"), column("not_before_s"), column("promise_s"),
            column("deadline_s"), column("is_pickup"), column("merchant"), column("board"), column("weight_g"),
            column("volume_ml"), [w * one for w, one in zip(done_weight, is_last, strict=True)],
            [w * one for w, one in zip(late_weight, is_last, strict=True)], column("reach_m"), strict=True,
        )
    )  # fmt: skip


def _matrix(ground: Ground) -> list[list[float]]:
    """Metres from every place to those where something is to be done; to all others nobody goes."""
    rows = np.arange(len(ground.places), dtype=np.intp)
    metres = np.full((len(rows), len(rows)), inf)
    targets = np.flatnonzero(ground.column >= 0) if ground.table is not None else rows
    metres[:, targets] = ground.metres(rows[:, None], targets[None, :])
    # What is done wherever the runner is takes no way.
    metres[rows, rows] = 0.0
    return list(metres.tolist())
