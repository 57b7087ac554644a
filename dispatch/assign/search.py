"""Making a plan better: a few related tasks are taken out of it and put back where they fit best, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from .ground import Flags, Ground
from .lines import Lines, Route
from .params import Params
from .ranks import rank
from .rounds import Evaluated, Solution, solution
from .routes import CARRIED, Fleet, Road, with_routes
from .state import Floats, Rows


def searched(road: Road, fleet: Fleet, first: Evaluated, best: Solution, params: Params) -> Solution:
    """The plan after the search, where the tick is small enough for one; never worse than ``best``."""
    seen = road.ground
    if not params.iterations or len(seen.places) > params.searched_places or not len(first.pairs):
        return best
    lines = Lines(seen, fleet, params)
    search = Search(lines, seen, fleet, first, params)
    draft = search.draft(lines.routes_of(best.fleet), best.runner, best.beside_s)
    remembered = search.remembered(lines.routes_of(fleet))
    if remembered is not None and remembered.worth_s(params) < draft.worth_s(params):
        draft = remembered
    search.run(draft, np.random.default_rng(params.seed))
    numbers = {number: (CARRIED, k) for (_, k), number in lines.numbers.items()}
    routes = [[numbers.get(stop, (stop >> 1, stop & 1)) for stop in route] for route in draft.routes]
    made = with_routes(fleet, seen, routes)
    found = solution(road, made, np.array(draft.runner, dtype=np.intp), np.array(draft.beside_s), params)
    return found if found.worth_s < best.worth_s else best


@dataclass(slots=True)
class Draft:
    """A plan that is being changed: routes with their costs, who has which task, what that adds to the routes' cost."""

    routes: list[Route]
    costs: list[float]
    runner: list[int]
    beside_s: list[float]

    def worth_s(self, params: Params) -> float:
        # What a runner carries already may be impossible: no plan changes that.
        routes_s = sum(cost for cost in self.costs if cost < inf)
        return routes_s + sum(self.beside_s) + params.unassigned_s * self.runner.count(-1)


class Search:
    """The moves over a draft. For each task those runners are looked at whom it would cost least as they are."""

    def __init__(self, lines: Lines, ground: Ground, fleet: Fleet, first: Evaluated, params: Params) -> None:
        self._lines, self._ground, self._params = lines, ground, params
        #: How many new tasks each runner may have.
        self._most = (ground.runners.max_tasks - ground.runners.load).tolist()
        self._carried_from = 2 * len(ground.tasks)
        self._beside: dict[tuple[int, int], float] = {}
        #: By task, the least that it can add to a runner's cost, and the runner, the cheapest first.
        self._runners: list[list[tuple[float, int]]] = [[] for _ in range(len(ground.tasks))]
        # On the route as it is, and without the way, that may be shared: nothing makes it cheaper than that.
        least_s = first.costs.total_s - first.costs.terms["travel"] - first.costs.terms["stand"]
        numbers = np.lexsort((first.pairs.runner, least_s, first.pairs.task))
        numbers = numbers[np.isfinite(first.costs.total_s[numbers])]
        numbers = numbers[self._few(first.pairs.task[numbers], first.pairs.runner[numbers])]
        columns = (first.pairs.task, first.pairs.runner, least_s, first.beside_s)
        for task, runner, least, beside in zip(*(column[numbers].tolist() for column in columns), strict=True):
            self._beside[task, runner] = beside
            self._runners[task].append((least, runner))
        #: What is done nowhere in particular stays where the rounds have put it.
        self.tasks = [task for task, runners in enumerate(self._runners) if runners and ground.tasks.has_place[task]]
        self._apart = _apart(lines, ground)

    def _few(self, task: Rows, runner: Rows) -> Flags:
        """Which of these pairs, sorted by task, are ever looked at: the first of each task, and the foreseen."""
        index = {one.id: r for r, one in enumerate(self._ground.runners.given)}
        foreseen = [-1 if one.foreseen is None else index.get(one.foreseen[0], -1) for one in self._ground.tasks.given]
        is_looked_at: Flags = (rank(task) < self._params.searched) | (np.array(foreseen, dtype=np.intp)[task] == runner)
        return is_looked_at

    def draft(self, routes: list[Route], runner: Rows, beside_s: Floats) -> Draft:
        return Draft(
            routes,
            [self._lines.cost(r, route) for r, route in enumerate(routes)],
            [int(r) for r in runner],
            [float(s) for s in beside_s],
        )

    def remembered(self, routes: list[Route]) -> Draft | None:
        """What the last plan had in mind, as far as it still holds, and everything else put in; None: nothing."""
        ground = self._ground
        row = {runner.id: r for r, runner in enumerate(ground.runners.given)}
        known = sorted((task.foreseen[1], t, row.get(task.foreseen[0], -1))
                       for t, task in enumerate(ground.tasks.given) if task.foreseen is not None)  # fmt: skip
        if not known:
            return None
        n = len(ground.tasks)
        draft = self.draft(routes, np.full(n, -1, dtype=np.intp), np.zeros(n))
        for _, task, runner in known:
            if (task, runner) in self._beside and ground.tasks.has_place[task]:
                self._insert(draft, {}, task, [(0.0, runner)])
        for task in self.tasks:
            if draft.runner[task] < 0:
                self._insert(draft, {}, task)
        return draft

    def run(self, draft: Draft, luck: np.random.Generator) -> int:
        """``params.iterations`` moves; how many of them made it better."""
        better = 0
        if len(self.tasks) < 2:
            return 0
        for _ in range(self._params.iterations):
            out = self._ruin(draft, luck)
            better += self._recreate(draft, out, luck)
        return better

    def _ruin(self, draft: Draft, luck: np.random.Generator) -> list[int]:
        """Tasks that are near one another in place and time, and some that nobody has."""
        seed = self.tasks[int(luck.integers(len(self.tasks)))]
        count = int(luck.integers(1, self._params.ruined + 1))
        noise = luck.random(len(self.tasks))
        near = [self.tasks[k] for k in np.argsort(self._apart[seed][self.tasks] * (0.5 + noise))[:count]]
        lost = [task for task in self.tasks if draft.runner[task] < 0]
        return [*dict.fromkeys([seed, *near, *lost[:3]])]

    def _recreate(self, draft: Draft, out: list[int], luck: np.random.Generator) -> bool:
        """Take ``out`` from their routes and put each where it is cheapest; undone where that is worse."""
        lines, p = self._lines, self._params
        touched: dict[int, tuple[Route, float]] = {}
        kept = {task: (draft.runner[task], draft.beside_s[task]) for task in out}
        worth = sum(p.unassigned_s if r < 0 else beside for r, beside in kept.values())
        for task in out:
            r = draft.runner[task]
            if r >= 0:
                self._keep(draft, touched, r)
                draft.routes[r] = [stop for stop in draft.routes[r] if stop >> 1 != task]
                draft.runner[task] = -1
        for r in touched:
            draft.costs[r] = lines.cost(r, draft.routes[r])
        order = [out[k] for k in luck.permutation(len(out))]
        spent = 0.0
        for task in order:
            spent += self._insert(draft, touched, task)
        before = worth + sum(cost for _, cost in touched.values())
        after = spent + sum(draft.costs[r] for r in touched)
        if after <= before + 1e-9:
            return after < before - 1e-9
        for r, (route, cost) in touched.items():
            draft.routes[r], draft.costs[r] = route, cost
        for task, (r, beside) in kept.items():
            draft.runner[task], draft.beside_s[task] = r, beside
        return False

    def _insert(
        self,
        draft: Draft,
        touched: dict[int, tuple[Route, float]],
        task: int,
        among: list[tuple[float, int]] | None = None,
    ) -> float:
        """Put one task in; gives what it costs beyond the routes."""
        lines = self._lines
        best, chosen = self._params.unassigned_s, (-1, 0, 0)
        for least, r in among or self._runners[task][: self._params.searched]:
            if least >= best:
                break
            if sum(1 for stop in draft.routes[r] if stop & 1 and stop < self._carried_from) >= self._most[r]:
                continue
            beside = self._beside[task, r]
            whole, i, j = lines.best_place(r, draft.routes[r], task, best - beside + draft.costs[r])
            if i >= 0:
                best, chosen = whole - draft.costs[r] + beside, (r, i, j)
        r, i, j = chosen
        draft.runner[task] = r
        draft.beside_s[task] = 0.0 if r < 0 else self._beside[task, r]
        if r < 0:
            return self._params.unassigned_s
        self._keep(draft, touched, r)
        draft.routes[r] = lines.with_task(draft.routes[r], task, i, j)
        draft.costs[r] = lines.cost(r, draft.routes[r])
        return draft.beside_s[task]

    @staticmethod
    def _keep(draft: Draft, touched: dict[int, tuple[Route, float]], runner: int) -> None:
        if runner not in touched:
            touched[runner] = (draft.routes[runner], draft.costs[runner])


def _apart(lines: Lines, ground: Ground) -> Floats:
    """How little two tasks have to do with one another: the metres between their places, and their times as metres."""
    metres, place, ready_s = np.array(lines.metres), ground.tasks.place, ground.tasks.ready_s
    pickup, last = place[:, 0], place[:, 1]
    apart = metres[pickup[:, None], pickup[None, :]] + 0.5 * metres[last[:, None], last[None, :]]
    hours_apart_s = np.minimum(np.abs(ready_s[:, None] - ready_s[None, :]), 7_200.0)
    return np.asarray(np.nan_to_num(apart, posinf=1e6) + 2.0 * hours_apart_s)
