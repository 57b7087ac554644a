"""From the chosen routes to a plan: what has to be promised now, when, and the record of why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from geo.point import Point

from . import reasons
from .candidates import Pairs, is_due
from .cost import Case, costs
from .ground import Ground
from .insertion import Insertions
from .params import Params
from .ranks import rank
from .rounds import Evaluated, Solution, evaluate
from .routes import CARRIED, Fleet, Road, take_out
from .state import Assignment, Candidate, Exclusion, Floats, Method, Plan, PlannedStop, RouteStop, Rows, Waiting

#: Arrival, done and leaving at each stop of a route, seconds from now.
Times = Sequence[Sequence[float]]

#: Runners looked at for the record beside the chosen, by what they would have cost on the routes as given; together.
_LOOKED_AT, _LOOKED_AT_ALL = 14, 16_000


class Records:
    """What became of the tasks of one tick. ``first``: the pairs on the routes as given; ``made``: what was chosen."""

    def __init__(self, road: Road, fleet: Fleet, first: Evaluated, made: Solution, params: Params) -> None:
        self._road, self._fleet, self._first, self._made, self._params = road, fleet, first, made, params
        self._seen: Ground = road.ground
        self._given = np.flatnonzero(made.runner >= 0)
        #: The runners with something new, and their routes; everything about stops is by row of these.
        self._crew = np.unique(made.runner[self._given])
        self._row = {r: row for row, r in enumerate(self._crew.tolist())}
        self._stops = made.fleet.stops.at(self._crew)
        self._seconds = road.schedule(made.fleet, self._crew)
        self._leave_s, self._done_s, self._way_m = self._when()
        self._leave_ms, self._done_ms = self._ms(self._leave_s), self._ms(self._done_s)

    def plan(self, method: Method) -> Plan:
        """The records together."""
        tasks, crew = self._seen.tasks.given, self._seen.runners.given
        is_now = self._leave_s[self._given] <= self._params.commit_ahead_s
        now, later = self._given[is_now], self._given[~is_now]
        own, others, disturbed = self._own(), self._others(now), self._disturbed()
        waiting = np.flatnonzero(self._made.runner < 0)
        hopeless = self._hopeless(waiting)
        rules = reasons.excluded(self._road, self._fleet, self._first, np.union1d(now, hopeless), self._params)
        unassigned = {tasks[t].id: str(Waiting.PLANNED) for t in later.tolist()}
        lost = set(hopeless.tolist())
        unassigned |= {tasks[t].id: str(self._waiting(t, t in lost, rules.get(t, {}))) for t in waiting.tolist()}
        return Plan(
            assignments=tuple(
                self._assignment(t, own, disturbed, others.get(t, []), rules.get(t, {})) for t in now.tolist()
            ),
            planned=tuple(self._assignment(t, own, disturbed, [], {}) for t in later.tolist()),
            routes={crew[r].id: route for r, route in zip(self._row, self._routes(), strict=True)},
            unassigned=unassigned,
            method=method,
            params_version=self._params.version,
            worth_s=round(self._made.worth_s, 3),
        )

    def _when(self) -> tuple[Floats, Floats, Floats]:
        """Of each task: when its runner has to go for it, when it is done, the metres to its first stop."""
        leave_s, done_s, way_m = (np.zeros(len(self._seen.tasks)) for _ in range(3))
        stops, seconds, crew = self._stops, self._seconds, self._seen.runners
        start_s = crew.available_s[self._crew]
        is_new = stops.task >= 0
        ends = is_new & stops.is_last
        done_s[stops.task[ends]] = seconds[..., 1][ends]
        begins = is_new & (stops.is_pickup | ~self._seen.tasks.has_pickup[np.where(is_new, stops.task, 0)])
        left_s = np.column_stack((start_s, seconds[:, :-1, 2])) if seconds.shape[1] else seconds[..., 2]
        metres = np.maximum(0.0, seconds[..., 0] - left_s) * crew.speed_mps[self._crew][:, None]
        way_m[stops.task[begins]] = metres[begins]
        columns = (stops.task, stops.is_pickup, stops.merchant, stops.before_s, seconds)
        count = self._made.fleet.count[self._crew].tolist()
        rows = zip(count, start_s.tolist(), *(column.tolist() for column in columns), strict=True)
        for stops_of_row, start, task, picks, merchant, before_s, times in rows:
            visits = Visits(task[:stops_of_row], picks, merchant, before_s)
            for t, leaves_s in visits.leaving(times, start, self._params.same_counter_s).items():
                leave_s[t] = leaves_s
        return leave_s, done_s, way_m

    def _own(self) -> dict[int, tuple[float, dict[str, float], float]]:
        """Of each task given: cost, terms and metres to its first stop, beside everything else that is planned."""
        runner, found = self._made.runner, {}
        left = self._given
        while len(left):
            # One task of each runner at a time, so that the rest of the route is as planned.
            first = np.unique(runner[left], return_index=True)[1]
            out = np.sort(left[first])
            pairs, mine = Pairs(out, runner[out]), self._marginal(out)
            whole = costs(Case(self._seen, pairs, mine, self._params))
            terms = whole.terms_of_many(np.arange(len(out)))
            for t, total_s, named, way_m in zip(
                out.tolist(), whole.total_s.tolist(), terms, mine.way_m.tolist(), strict=True
            ):
                found[t] = (total_s, named, way_m)
            left = np.setdiff1d(left, out)
        return found

    def _marginal(self, out: Rows) -> Insertions:
        """What the routes are longer with each of these tasks, of different runners, than without."""
        p, fleet, runner = self._params, self._made.fleet, self._made.runner[out]
        with_it = self._road.totals(fleet, runner)
        without = self._road.totals(take_out(fleet, self._seen, out), runner)

        def more(name: str) -> Floats:
            gap = np.asarray(getattr(with_it, name) - getattr(without, name))
            # Where the route would lead nowhere without the task, there is nothing to compare it with.
            return np.where(np.isfinite(gap), gap, 0.0)

        done_s = self._done_s[out]
        late_s = np.maximum(0.0, done_s - self._seen.tasks.promise_s[out])
        none = np.zeros(len(out), dtype=np.intp)
        return Insertions(
            np.zeros(len(out)), none, none, more("travel_s"), more("stand_s"), done_s, late_s,
            more("done_cost_s") - p.wait_weight * done_s, more("late_cost_s") - p.lateness_weight * late_s,
            self._way_m[out],
        )  # fmt: skip

    def _others(self, tasks: Rows) -> dict[int, list[Candidate]]:
        """The best others for each of these tasks, the cheapest first, all else being as planned."""
        among, cost_s = self._first.pairs, self._first.costs.total_s
        use = np.isin(among.task, tasks) & np.isfinite(cost_s) & (self._made.runner[among.task] != among.runner)
        numbers = np.flatnonzero(use)
        numbers = numbers[np.lexsort((cost_s[numbers], among.task[numbers]))]
        most = max(_LOOKED_AT, self._params.explained + 4)
        most = min(most, max(2, _LOOKED_AT_ALL // max(1, len(tasks))))
        numbers = numbers[rank(among.task[numbers]) < most]
        asked = Pairs(among.task[numbers], among.runner[numbers])
        one = evaluate(self._road, self._made.fleet, asked, self._params)
        order = np.lexsort((one.costs.total_s, asked.task))
        order = order[np.isfinite(one.costs.total_s[order])]
        place = rank(asked.task[order])
        order, place = order[place < self._params.explained - 1], place[place < self._params.explained - 1]
        best = order[place == 0]
        terms = dict(zip(best.tolist(), one.costs.terms_of_many(best), strict=True))
        crew, done_ms = self._seen.runners.given, self._ms(one.insertions.done_s[order])
        cost, way_m = (np.round(column[order], 1).tolist() for column in (one.costs.total_s, one.insertions.way_m))
        found: dict[int, list[Candidate]] = {}
        columns = (order, asked.task[order], asked.runner[order])
        for k, t, r, cost_s_, metres, at_ms in zip(*(c.tolist() for c in columns), cost, way_m, done_ms, strict=True):
            found.setdefault(t, []).append(Candidate(crew[r].id, cost_s_, terms.get(k, {}), metres, at_ms))
        return found

    def _assignment(
        self,
        t: int,
        own: Mapping[int, tuple[float, dict[str, float], float]],
        disturbed: Mapping[int, Mapping[str, float]],
        others: list[Candidate],
        excluded: Mapping[str, str],
    ) -> Assignment:
        r = int(self._made.runner[t])
        cost_s, terms, way_m = own[t]
        runner_id = self._seen.runners.given[r].id
        chosen = Candidate(runner_id, round(cost_s, 1), terms, round(way_m, 1), self._done_ms[t])
        named = {runner_id, *(other.runner_id for other in others)}
        return Assignment(
            task_id=self._seen.tasks.given[t].id,
            runner_id=runner_id,
            cost_s=chosen.cost_s,
            terms=terms,
            distance_m=chosen.distance_m,
            done_at_ms=self._done_ms[t],
            leave_at_ms=self._leave_ms[t],
            runner_up=others[0].runner_id if others else None,
            regret_s=round(others[0].cost_s - chosen.cost_s, 1) if others else None,
            candidates=(chosen, *others),
            # Who could not have had it on the route as given, but can beside what else is planned, is no such runner.
            excluded={name: rule for name, rule in excluded.items() if name not in named},
            disturbed=disturbed.get(r, {}),
        )

    def _routes(self) -> list[tuple[PlannedStop, ...]]:
        """Of each runner with something new."""
        stops, seen = self._stops, self._seen
        at_ms = self._ms(self._seconds)
        points = [Point(lat, lon) for lat, lon in seen.places.tolist()]
        count = self._made.fleet.count[self._crew].tolist()
        columns = (self._crew, stops.task, stops.source, stops.place, stops.is_last)
        routes = []
        for n, times, r, task, source, place, is_last in zip(
            count, at_ms, *(column.tolist() for column in columns), strict=True
        ):
            given = seen.runners.given[r].route
            routes.append(
                tuple(
                    PlannedStop(
                        given[source[k]]
                        if task[k] == CARRIED
                        else self._new_stop(task[k], source[k], points[place[k]], is_last[k]),
                        *times[k],
                    )
                    for k in range(n)
                )
            )
        return routes

    def _new_stop(self, t: int, number: int, place: Point, is_last: bool) -> RouteStop:
        """With everything that a later tick has to know of it."""
        task = self._seen.tasks.given[t]
        is_double = len(task.points) > 1
        number = number if is_double else 0
        return RouteStop(
            task.id, task.points[number] if task.points else place,
            task.before_s[number], task.after_s[number],
            "place" if not is_double else "dropoff" if number else "pickup",
            None if number else task.ready_at_ms, task.promised_at_ms if is_last else None,
            task.weight_g, task.volume_ml, task.merchant,
        )  # fmt: skip

    def _disturbed(self) -> dict[int, dict[str, float]]:
        """By runner, how many seconds each task that they carry is done later than without everything new."""
        stops, before = self._stops, self._road.schedule(self._fleet, self._crew)
        rows, k = np.nonzero((stops.task == CARRIED) & stops.is_last)
        source = stops.source[rows, k]
        moved = np.round(self._seconds[rows, k, 1] - before[rows, source, 1], 1)
        found: dict[int, dict[str, float]] = {}
        for r, number, seconds in zip(self._crew[rows].tolist(), source.tolist(), moved.tolist(), strict=True):
            found.setdefault(r, {})[self._seen.runners.given[r].route[number].task_id] = seconds
        return found

    def _hopeless(self, waiting: Rows) -> Rows:
        """Those of these tasks that nobody could do at all, although it would be time."""
        is_possible = np.zeros(len(self._seen.tasks), dtype=np.bool_)
        is_possible[self._first.pairs.task[np.isfinite(self._first.costs.total_s)]] = True
        tasks = self._seen.tasks.given
        due = np.array([is_due(tasks[t], self._seen.now_ms, self._params) for t in waiting.tolist()], dtype=np.bool_)
        return waiting[due & ~is_possible[waiting]] if len(waiting) else waiting

    def _waiting(self, t: int, is_hopeless: bool, rules: Mapping[str, str]) -> Waiting:
        """Why nobody has this task."""
        task, crew = self._seen.tasks.given[t], self._seen.runners.given
        if not is_due(task, self._seen.now_ms, self._params):
            return Waiting.NOT_DUE
        if not crew:
            return Waiting.NO_RUNNERS
        if task.is_no_go:
            return Waiting.STOP_IN_NO_GO_AREA
        if not is_hopeless:
            return Waiting.OUTBID
        if task.pinned is not None:
            return Waiting.PINNED_RUNNER_UNAVAILABLE
        found = Counter(rules.values())
        return _ALL.get(next(iter(found)), Waiting.NOBODY_FITS) if len(found) == 1 else Waiting.NOBODY_FITS

    def _ms(self, seconds: Floats) -> list:  # type: ignore[type-arg]
        """As milliseconds of the clock, nested as the array is."""
        return list((self._seen.now_ms + np.rint(seconds * 1000).astype(np.int64)).tolist())


_ALL = {
    str(Exclusion.STALE_POSITION): Waiting.ALL_STALE,
    str(Exclusion.AT_CAPACITY): Waiting.ALL_AT_CAPACITY,
    str(Exclusion.OFFERED_BEFORE): Waiting.ALL_OFFERED_BEFORE,
    str(Exclusion.TOO_FAR): Waiting.ALL_TOO_FAR,
}


class Visits:
    """A route as visits: pick-ups of one merchant in a row are one."""

    def __init__(self, task: list[int], picks: list[bool], merchant: list[int], before_s: list[float]) -> None:
        self._task, self._picks, self._merchant, self._before_s = task, picks, merchant, before_s

    def leaving(self, times: Times, start_s: float, same_counter_s: float) -> dict[int, float]:
        """When the runner has to go for each new task: as late as its first visit allows without delaying anything."""
        found: dict[int, float] = {}
        left_s, k = start_s, 0
        while k < len(self._task):
            last = k
            # A visit begins when the last thing of it can be ready.
            while last + 1 < len(self._task) and self._is_same_visit(last):
                last += 1
            needed_s = self._before_s[k] + same_counter_s * (last - k)
            spare_s = max(0.0, times[last][1] - (times[k][0] + needed_s))
            for task in self._task[k : last + 1]:
                if task >= 0:
                    found.setdefault(task, left_s + spare_s)
            left_s, k = times[last][2], last + 1
        return found

    def _is_same_visit(self, k: int) -> bool:
        return self._picks[k] and self._picks[k + 1] and 0 <= self._merchant[k] == self._merchant[k + 1]
