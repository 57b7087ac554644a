"""Each runner gets at most one task more, by a matching over all of them; then the routes are looked at anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import cost, matching
from .candidates import Pairs
from .ground import Flags
from .insertion import Insertions, insertions
from .params import Params
from .routes import Fleet, Road, put_in
from .state import Floats, Method, Rows


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Pairs with what each of them means."""

    pairs: Pairs
    insertions: Insertions
    costs: cost.Costs

    @property
    def beside_s(self) -> Floats:
        """The part of each cost that does not lie in the route; 0 where the pair is impossible."""
        beside = self.costs.total_s - self.insertions.cost_s
        return np.where(np.isfinite(beside), beside, 0.0)


@dataclass(frozen=True, slots=True)
class Solution:
    """``runner[t]``: who has task ``t``, -1: nobody; ``beside_s[t]``: what that costs beside the routes; ``worth_s``:
    what the whole costs, a task that nobody has counted as ``Params.unassigned_s``."""

    fleet: Fleet
    runner: Rows
    beside_s: Floats
    worth_s: float


def evaluate(road: Road, fleet: Fleet, among: Pairs, params: Params) -> Evaluated:
    """The best insertion of each pair and its cost."""
    found = insertions(road, fleet, among.task, among.runner, params)
    return Evaluated(among, found, cost.costs(cost.Case(road.ground, among, found, params)))


def rounds(road: Road, fleet: Fleet, now: Evaluated, params: Params, method: Method) -> Solution:
    """Give out the tasks of ``now``, in at most ``Params.rounds`` rounds."""
    seen = road.ground
    runner, beside_s = np.full(len(seen.tasks), -1, dtype=np.intp), np.zeros(len(seen.tasks))
    for _ in range(params.rounds):
        chosen = _choose(now, params, method)
        if not len(chosen):
            break
        t, r = now.pairs.task[chosen], now.pairs.runner[chosen]
        fleet = put_in(fleet, seen, r, t, now.insertions.first_at[chosen], now.insertions.last_at[chosen])
        runner[t], beside_s[t] = r, now.beside_s[chosen]
        now = _again(road, fleet, now, runner >= 0, r, params)
    return solution(road, fleet, runner, beside_s, params)


def solution(road: Road, fleet: Fleet, runner: Rows, beside_s: Floats, params: Params) -> Solution:
    """The same with its worth."""
    totals = road.totals(fleet, np.arange(len(road.ground.runners), dtype=np.intp))
    route_s = params.travel_weight * totals.travel_s + params.stand_weight * totals.stand_s
    route_s += totals.done_cost_s + totals.late_cost_s
    has = runner >= 0
    # A route that leads where no way goes stays as it is in every plan.
    route_s = np.where(np.isfinite(route_s), route_s, 0.0)
    worth_s = float(route_s.sum() + beside_s[has].sum() + params.unassigned_s * (~has).sum())
    return Solution(fleet, runner, beside_s, worth_s)


def _choose(now: Evaluated, params: Params, method: Method) -> Rows:
    if method == "greedy":
        return matching.greedy(now.pairs, now.costs.total_s, params.unassigned_s)
    return matching.cheapest(now.pairs, now.costs.total_s, params.unassigned_s, params.dense_cells, params.exact_pairs)


def _again(road: Road, fleet: Fleet, before: Evaluated, given: Flags, changed: Rows, params: Params) -> Evaluated:
    """The pairs of the tasks that are left, those of changed routes looked at anew."""
    crew = road.ground.runners
    still = ~given[before.pairs.task] & (fleet.load < crew.max_tasks)[before.pairs.runner]
    among = Pairs(before.pairs.task[still], before.pairs.runner[still])
    found = before.insertions.at(still)
    redo = np.flatnonzero(np.isin(among.runner, changed))
    if len(redo):
        fresh = evaluate(road, fleet, Pairs(among.task[redo], among.runner[redo]), params)
        for name in Insertions.__slots__:
            getattr(found, name)[redo] = getattr(fresh.insertions, name)
    return Evaluated(among, found, cost.costs(cost.Case(road.ground, among, found, params)))
