"""Routes as lists cost what they cost as arrays, possible or not."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from dispatch.assign import Params
from dispatch.assign.ground import Ground, ground
from dispatch.assign.lines import Lines, Route
from dispatch.assign.routes import CARRIED, Fleet, Road, fleet_of, with_routes
from tests.plan_instances import Town, Traits


def mixed(luck: random.Random, seen: Ground, lines: Lines, given: list[Route]) -> list[Route]:
    """Every runner's route with a few tasks more, put in anywhere, in whatever order."""
    left = list(range(len(seen.tasks)))
    luck.shuffle(left)
    routes = []
    for route in given:
        whole = list(route)
        for _ in range(luck.randint(0, 3)):
            if left:
                task = left.pop()
                i = luck.randint(0, len(whole))
                j = luck.randint(i, len(whole)) if lines.is_double[task] else i
                whole = lines.with_task(whole, task, i, j)
        routes.append(whole)
    return routes


def as_arrays(road: Road, fleet: Fleet, runner: int, params: Params) -> float:
    """What one route costs by ``routes.Road``; inf where it breaks a rule."""
    row = np.array([runner], dtype=np.intp)
    at, limits = road.start(fleet, row), road.limits(row)
    with np.errstate(invalid="ignore"):
        for k in range(int(fleet.count[runner])):
            stop = fleet.stops.at((row, k))
            road.visit_promised(at, stop, road.leg_s(at.place, stop.place, limits), limits)
    if not at.is_possible[0]:
        return inf
    route_s = params.travel_weight * at.travel_s + params.stand_weight * at.stand_s + at.done_cost_s + at.late_cost_s
    return float(route_s[0])


@pytest.mark.parametrize("holes", [0, 7])
def test_lines_agree_with_roads(holes: int) -> None:
    possible = 0
    for seed in range(150):
        luck = random.Random(seed)
        params = Params(merchant_bundles=seed % 3 == 0, max_pickup_m=900.0 if seed % 4 == 0 else 4000.0)
        one = Town(seed, Traits(tasks=9, runners=5, grid=6, holes=holes, tight=seed % 2 == 0)).instance(params)
        seen = ground(one.tasks, one.runners, one.ways, one.now_ms, params)
        road, fleet = Road(seen, params), fleet_of(seen)
        lines = Lines(seen, fleet, params)
        numbers = {number: (CARRIED, k) for (_, k), number in lines.numbers.items()}
        routes = mixed(luck, seen, lines, lines.routes_of(fleet))
        made = with_routes(
            fleet, seen, [[numbers.get(stop, (stop >> 1, stop & 1)) for stop in route] for route in routes]
        )
        assert lines.routes_of(made) == routes
        for r, route in enumerate(routes):
            expected, found = as_arrays(road, made, r, params), lines.cost(r, route)
            assert found == (inf if expected == inf else pytest.approx(expected, abs=1e-6)), (seed, r)
            possible += expected < inf
    assert possible > 100


def test_the_best_place_is_the_best_of_all_places() -> None:
    for seed in range(60):
        params = Params(merchant_bundles=seed % 3 == 0)
        one = Town(seed, Traits(tasks=4, runners=4, grid=6, rules=False)).instance(params)
        runners = tuple(replace(runner, can_detour=seed % 2 == 0 or n > 1) for n, runner in enumerate(one.runners))
        seen = ground(one.tasks, runners, one.ways, one.now_ms, params)
        fleet = fleet_of(seen)
        lines = Lines(seen, fleet, params)
        for r, route in enumerate(lines.routes_of(fleet)):
            for task in range(len(seen.tasks)):
                places = [
                    (i, j)
                    for i in range(0 if runners[r].can_detour else len(route), len(route) + 1)
                    for j in range(i, (len(route) if lines.is_double[task] else i) + 1)
                ]
                expected = min(lines.cost(r, lines.with_task(route, task, i, j)) for i, j in places)
                found, i, j = lines.best_place(r, route, task, inf)
                assert found == pytest.approx(expected)
                if expected < inf:
                    assert lines.cost(r, lines.with_task(route, task, i, j)) == pytest.approx(found)
