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
from .rounds import Evaluated, Solution, evaluate
from .routes import CARRIED, Fleet, Road, Stops, take_out
from .state import Assignment, Candidate, Exclusion, Floats, Method, Plan, PlannedStop, RouteStop, Rows, Waiting

#: Arrival, done and leaving at each stop of a route, seconds from now.
Times = Sequence[tuple[float, float, float]]

#: Runners looked at for the record beside the chosen, by what they would have cost on the routes as given.
_LOOKED_AT = 20


class Records:
    """What became of the tasks of one tick. ``first``: the pairs on the routes as given; ``made``: what was chosen."""

    def __init__(self, road: Road, fleet: Fleet, first: Evaluated, made: Solution, params: Params) -> None:
        self._road, self._fleet, self._first, self._made, self._params = road, fleet, first, made, params
        self._seen: Ground = road.ground
        self._given = np.flatnonzero(made.runner >= 0)
        self._times: dict[int, Times] = {
            r: road.times(made.fleet, r) for r in np.unique(made.runner[self._given]).tolist()
        }
        self._leave_s, self._done_s, self._way_m = self._when()

    def plan(self, method: Method) -> Plan:
        """The records together."""
        tasks = self._seen.tasks.given
        is_now = self._leave_s[self._given] <= self._params.commit_ahead_s
        now, later = self._given[is_now], self._given[~is_now]
        own, others = self._own(), self._others(now)
        disturbed = {r: self._disturbed(r) for r in self._times}
        rules = reasons.excluded(self._road, self._fleet, self._first, now, self._params)
        unassigned = {tasks[t].id: str(Waiting.PLANNED) for t in later}
        unassigned |= {tasks[t].id: str(self._waiting(t)) for t in np.flatnonzero(self._made.runner < 0).tolist()}
        return Plan(
            assignments=tuple(
                self._assignment(t, own, disturbed, others.get(t, []), rules.get(t, {})) for t in now.tolist()
            ),
            planned=tuple(self._assignment(t, own, disturbed, [], {}) for t in later.tolist()),
            routes={self._seen.runners.given[r].id: self._route(r) for r in self._times},
            unassigned=unassigned,
            method=method,
            params_version=self._params.version,
            worth_s=round(self._made.worth_s, 3),
        )

    def _when(self) -> tuple[Floats, Floats, Floats]:
        """Of each task: when its runner has to go for it, when it is done, the metres to its first stop."""
        leave_s, done_s, way_m = (np.zeros(len(self._seen.tasks)) for _ in range(3))
        for r, times in self._times.items():
            row, start_s = self._made.fleet.stops.at(r), float(self._seen.runners.available_s[r])
            for t, seconds in leaving(row, times, start_s, self._params.same_counter_s).items():
                leave_s[t] = seconds
            left_s = start_s
            for k, (arrive, done, left) in enumerate(times):
                t = row.task[k]
                if t >= 0 and row.is_last[k]:
                    done_s[t] = done
                if t >= 0 and (row.is_pickup[k] or not self._seen.tasks.has_pickup[t]):
                    way_m[t] = max(0.0, arrive - left_s) * self._seen.runners.speed_mps[r]
                left_s = left
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
            for k, t in enumerate(out.tolist()):
                found[t] = (float(whole.total_s[k]), whole.terms_of(k), float(mine.way_m[k]))
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
        most = max(_LOOKED_AT, 2 * self._params.explained)
        numbers = numbers[_rank(among.task[numbers]) < most]
        asked = Pairs(among.task[numbers], among.runner[numbers])
        one = evaluate(self._road, self._made.fleet, asked, self._params)
        order = np.lexsort((one.costs.total_s, asked.task))
        order = order[np.isfinite(one.costs.total_s[order])]
        rank = _rank(asked.task[order])
        found: dict[int, list[Candidate]] = {}
        for place, k in zip(rank.tolist(), order.tolist(), strict=True):
            if place < self._params.explained - 1:
                found.setdefault(int(asked.task[k]), []).append(
                    Candidate(
                        self._seen.runners.given[asked.runner[k]].id,
                        round(float(one.costs.total_s[k]), 1),
                        one.costs.terms_of(k) if place == 0 else {},
                        round(float(one.insertions.way_m[k]), 1),
                        self._ms(float(one.insertions.done_s[k])),
                    )
                )
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
        runner_id, done_at_ms = self._seen.runners.given[r].id, self._ms(float(self._done_s[t]))
        chosen = Candidate(runner_id, round(cost_s, 1), terms, round(way_m, 1), done_at_ms)
        named = {runner_id, *(other.runner_id for other in others)}
        return Assignment(
            task_id=self._seen.tasks.given[t].id,
            runner_id=runner_id,
            cost_s=chosen.cost_s,
            terms=terms,
            distance_m=chosen.distance_m,
            done_at_ms=done_at_ms,
            leave_at_ms=self._ms(float(self._leave_s[t])),
            runner_up=others[0].runner_id if others else None,
            regret_s=round(others[0].cost_s - chosen.cost_s, 1) if others else None,
            candidates=(chosen, *others),
            # Who could not have had it on the route as given, but can beside what else is planned, is no such runner.
            excluded={name: rule for name, rule in excluded.items() if name not in named},
            disturbed=disturbed[r],
        )

    def _route(self, r: int) -> tuple[PlannedStop, ...]:
        row = self._made.fleet.stops.at(r)
        return tuple(
            PlannedStop(self._stop(r, row, k), self._ms(arrive), self._ms(done), self._ms(leave))
            for k, (arrive, done, leave) in enumerate(self._times[r])
        )

    def _stop(self, r: int, row: Stops, k: int) -> RouteStop:
        """A stop of the route as it was given, or a new one with everything that a later tick has to know of it."""
        t, number = int(row.task[k]), int(row.source[k])
        if t == CARRIED:
            return self._seen.runners.given[r].route[number]
        task = self._seen.tasks.given[t]
        is_double = len(task.points) > 1
        number = number if is_double else 0
        lat, lon = self._seen.places[row.place[k]].tolist()
        return RouteStop(
            task.id, task.points[number] if task.points else Point(lat, lon),
            before_s=task.before_s[number], after_s=task.after_s[number],
            role="place" if not is_double else "dropoff" if number else "pickup",
            not_before_ms=None if number else task.ready_at_ms,
            promised_at_ms=task.promised_at_ms if row.is_last[k] else None,
            weight_g=task.weight_g, volume_ml=task.volume_ml, merchant=task.merchant,
        )  # fmt: skip

    def _disturbed(self, r: int) -> dict[str, float]:
        """By how many seconds each task that the runner carries is done later than without everything new."""
        before = self._road.times(self._fleet, r)
        row, now = self._made.fleet.stops.at(r), self._times[r]
        route = self._seen.runners.given[r].route
        moved = {}
        for k, (_, done_s, _) in enumerate(now):
            if row.task[k] == CARRIED and row.is_last[k]:
                number = int(row.source[k])
                moved[route[number].task_id] = round(done_s - before[number][1], 1)
        return moved

    def _waiting(self, t: int) -> Waiting:
        """Why nobody has this task."""
        task, crew = self._seen.tasks.given[t], self._seen.runners.given
        if not is_due(task, self._seen.now_ms, self._params):
            return Waiting.NOT_DUE
        if not crew:
            return Waiting.NO_RUNNERS
        mine = self._first.pairs.task == t
        if np.isfinite(self._first.costs.total_s[mine]).any():
            return Waiting.OUTBID
        if task.pinned is not None:
            return Waiting.PINNED_RUNNER_UNAVAILABLE
        row = np.array([t], dtype=np.intp)
        found = Counter(reasons.excluded(self._road, self._fleet, self._first, row, self._params).get(t, {}).values())
        return _ALL.get(next(iter(found)), Waiting.NOBODY_FITS) if len(found) == 1 else Waiting.NOBODY_FITS

    def _ms(self, seconds: float) -> int:
        return self._seen.now_ms + round(seconds * 1000)


_ALL = {
    str(Exclusion.STALE_POSITION): Waiting.ALL_STALE,
    str(Exclusion.AT_CAPACITY): Waiting.ALL_AT_CAPACITY,
    str(Exclusion.OFFERED_BEFORE): Waiting.ALL_OFFERED_BEFORE,
    str(Exclusion.TOO_FAR): Waiting.ALL_TOO_FAR,
}


def leaving(row: Stops, times: Times, start_s: float, same_counter_s: float) -> dict[int, float]:
    """When the runner has to go for each new task: as late as its first visit allows without delaying anything."""
    found: dict[int, float] = {}
    left_s, k = start_s, 0
    while k < len(times):
        last = k
        # Pick-ups of one merchant in a row are one visit, which begins when the last of them can be ready.
        while last + 1 < len(times) and _is_same_visit(row, last):
            last += 1
        needed_s = float(row.before_s[k]) + same_counter_s * (last - k)
        spare_s = max(0.0, times[last][1] - (times[k][0] + needed_s))
        for m in range(k, last + 1):
            if row.task[m] >= 0:
                found.setdefault(int(row.task[m]), left_s + spare_s)
        left_s, k = times[last][2], last + 1
    return found


def _is_same_visit(row: Stops, k: int) -> bool:
    merchant = row.merchant[k]
    return bool(row.is_pickup[k] and row.is_pickup[k + 1] and merchant >= 0 and merchant == row.merchant[k + 1])


def _rank(sorted_keys: Rows) -> Rows:
    """The place of each entry among those of the same key."""
    if not len(sorted_keys):
        return sorted_keys
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    lengths = np.diff(np.r_[starts, len(sorted_keys)])
    return np.arange(len(sorted_keys)) - np.repeat(starts, lengths)
