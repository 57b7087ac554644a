"""Whether a plan keeps every rule and tells the truth about itself, judged apart from the optimizer that made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf, isfinite

from dispatch.assign.params import Params
from dispatch.assign.state import Assignment, Exclusion, Plan, RunnerIn, TaskIn, Waiting, Ways
from tests.plan_walk import SLACK_S, Campus, Leg

_BY_RUNNER = {
    Exclusion.OFF_SHIFT, Exclusion.ON_BREAK, Exclusion.IN_CLASS, Exclusion.CREDIT_TOO_LOW, Exclusion.COOLING_DOWN,
    Exclusion.STALE_POSITION,
}  # fmt: skip


def faults(
    tasks: Sequence[TaskIn], runners: Sequence[RunnerIn], ways: Ways, now_ms: int, params: Params, made: Plan
) -> list[str]:
    """Everything that is wrong with the plan, in words; nothing: it is feasible and says what is so."""
    return list(_Check(Campus(tasks, runners, ways, now_ms, params), made).all())


class _Check:
    def __init__(self, campus: Campus, made: Plan) -> None:
        self._campus, self._made, self._params = campus, made, campus.params
        self._given = {one.task_id: one for one in (*made.assignments, *made.planned)}
        self._stops = {r: [planned.stop for planned in route] for r, route in made.routes.items()}

    def all(self) -> Iterator[str]:
        """The plan as a whole first: without that the rest means nothing."""
        found = [*self._once(), *self._routes_are_theirs()]
        yield from found
        if found:
            return
        self._legs = {r: self._campus.drive(self._campus.runners[r], stops) for r, stops in self._stops.items()}
        for runner_id, legs in self._legs.items():
            runner = self._campus.runners[runner_id]
            yield from (f"{runner_id}: {fault}" for fault in self._campus.broken(runner, legs))
            yield from (f"{runner_id}: {fault}" for fault in self._times(runner_id, legs))
            if len({leg.stop.task_id for leg in legs}) + runner.offered > runner.max_tasks:
                yield f"{runner_id}: more tasks than they may have"
        for one in self._given.values():
            yield from (f"{one.task_id}: {fault}" for fault in self._assignment(one))
        for task_id, reason in self._made.unassigned.items():
            yield from (f"{task_id}: {fault}" for fault in self._waits(task_id, reason))
        yield from self._worth()

    def _once(self) -> Iterator[str]:
        """Every task is in one list exactly, and every runner named is one of those who were told."""
        named = Counter(one.task_id for one in (*self._made.assignments, *self._made.planned))
        yield from (f"{task_id}: {count} times" for task_id, count in named.items() if count > 1)
        now = {one.task_id for one in self._made.assignments}
        rest = set(self._campus.tasks) - now
        if set(self._made.unassigned) != rest:
            yield f"unassigned: {sorted(set(self._made.unassigned) ^ rest)} is missing or too much"
        for one in self._given.values():
            if one.task_id not in self._campus.tasks or one.runner_id not in self._campus.runners:
                yield f"{one.task_id}: nobody has heard of it, or of {one.runner_id}"
        if set(self._made.routes) != {one.runner_id for one in self._given.values()}:
            yield "routes: not exactly of those who get something"

    def _routes_are_theirs(self) -> Iterator[str]:
        """What was carried stays in its order, what is new is all there, in its order, at its places."""
        for runner_id, stops in self._stops.items():
            runner = self._campus.runners[runner_id]
            carried = {stop.task_id for stop in runner.route}
            old = [stop for stop in stops if stop.task_id in carried]
            if old != list(runner.route):
                yield f"{runner_id}: what they carry is not as it was"
            if not runner.can_detour and stops[: len(runner.route)] != list(runner.route):
                yield f"{runner_id}: something new comes before what must not be delayed"
            mine = {one.task_id for one in self._given.values() if one.runner_id == runner_id}
            if mine != {stop.task_id for stop in stops} - carried:
                yield f"{runner_id}: the route is of other tasks than the assignments"
                continue
            for task_id in sorted(mine):
                yield from self._new_stops(task_id, runner, stops)

    def _new_stops(self, task_id: str, runner: RunnerIn, stops: list) -> Iterator[str]:  # type: ignore[type-arg]
        places = [k for k, stop in enumerate(stops) if stop.task_id == task_id]
        before = runner.point if places[0] == 0 else stops[places[0] - 1].point
        if [stops[k] for k in places] != self._campus.new_stops(self._campus.tasks[task_id], before):
            yield f"{runner.id}: the stops of {task_id} are not those of the task"

    def _times(self, runner_id: str, legs: list[Leg]) -> Iterator[str]:
        for planned, leg in zip(self._made.routes[runner_id], legs, strict=True):
            told = [(at - self._campus.now_ms) / 1000 for at in (planned.arrive_ms, planned.done_ms, planned.leave_ms)]
            real = [leg.arrive_s, leg.done_s, leg.leave_s]
            if any(abs(a - b) > SLACK_S for a, b in zip(told, real, strict=True)):
                yield f"times of {leg.stop.task_id} are {told}, not {real}"

    def _assignment(self, one: Assignment) -> Iterator[str]:
        task, runner = self._campus.tasks[one.task_id], self._campus.runners[one.runner_id]
        if not self._campus.may(task, runner):
            yield f"a rule keeps {one.runner_id} from it"
        legs = self._legs[one.runner_id]
        mine = [k for k, leg in enumerate(legs) if leg.stop.task_id == one.task_id]
        if abs(one.done_at_ms - self._campus.now_ms - legs[mine[-1]].done_s * 1000) > 1.5:
            yield "done_at_ms is not when it is done"
        if abs(one.distance_m - legs[mine[0]].way_m) > 0.11:
            yield f"distance_m is {one.distance_m}, not {legs[mine[0]].way_m}"
        yield from self._commits(one, legs, mine[0])
        yield from self._costs(one, legs)
        yield from self._disturbs(one, runner, legs)
        if one in self._made.assignments:
            yield from self._others(one, task)
        elif one.excluded or len(one.candidates) != 1:
            yield "what is only planned needs no candidates"

    def _commits(self, one: Assignment, legs: list[Leg], first: int) -> Iterator[str]:
        """The runner goes as late as they can without being any later where they then stand: not a second more."""
        start, end = first, first
        while legs[start].again:
            start -= 1
        while end + 1 < len(legs) and legs[end + 1].again:
            end += 1
        runner, stops = self._campus.runners[one.runner_id], [leg.stop for leg in legs]
        free_s = legs[start - 1].leave_s if start else max(0.0, runner.available_in_s)
        leave_s = (one.leave_at_ms - self._campus.now_ms) / 1000
        spare_s = leave_s - free_s
        if spare_s < -SLACK_S:
            yield f"leaves {-spare_s:.1f} s before the runner can"
        later = self._campus.drive(runner, stops, {start: max(0.0, spare_s)})[end].done_s
        if later > legs[end].done_s + SLACK_S:
            yield f"leaving {spare_s:.1f} s later than possible makes it {later - legs[end].done_s:.1f} s late"
        too_late = self._campus.drive(runner, stops, {start: max(0.0, spare_s) + 1.0})[end].done_s
        if too_late < legs[end].done_s + 1.0 - 2 * SLACK_S:
            yield "could leave later"
        is_now, limit_s = one in self._made.assignments, self._params.commit_ahead_s
        if (leave_s > limit_s + SLACK_S) if is_now else (leave_s < limit_s - SLACK_S):
            yield f"is {'put to the runner' if is_now else 'kept'} {leave_s:.1f} s before they have to go"

    def _costs(self, one: Assignment, legs: list[Leg]) -> Iterator[str]:
        """The terms sum up to the cost, and the cost is what the plan is dearer with it than without."""
        if abs(sum(one.terms.values()) - one.cost_s) > 0.05 * (len(one.terms) + 1) + 0.01:
            yield f"terms sum up to {sum(one.terms.values()):.1f}, not {one.cost_s:.1f}"
        runner = self._campus.runners[one.runner_id]
        rest = [leg.stop for leg in legs if leg.stop.task_id != one.task_id]
        if any(leg.task is not None and not leg.task.points for leg in legs):
            return  # what is done wherever the runner is would be done elsewhere without the rest
        real = self._campus.route_s(legs) - self._campus.route_s(self._campus.drive(runner, rest))
        real += self._campus.beside_s(self._campus.tasks[one.task_id], runner)
        if abs(real - one.cost_s) > 0.2:
            yield f"costs {one.cost_s}, really {real:.2f}"

    def _disturbs(self, one: Assignment, runner: RunnerIn, legs: list[Leg]) -> Iterator[str]:
        before = {leg.stop.task_id: leg.done_s for leg in self._campus.drive(runner, runner.route) if leg.is_last}
        after = {leg.stop.task_id: leg.done_s for leg in legs if leg.is_last and leg.task is None}
        if set(one.disturbed) != set(before):
            yield "disturbed tells of other tasks than are carried"
        elif any(abs(after[k] - before[k] - moved) > 0.06 for k, moved in one.disturbed.items()):
            yield f"disturbed is {dict(one.disturbed)}, not { ({k: after[k] - before[k] for k in before}) }"

    def _others(self, one: Assignment, task: TaskIn) -> Iterator[str]:
        chosen, others = one.candidates[0], one.candidates[1:]
        names = [candidate.runner_id for candidate in one.candidates]
        if chosen.runner_id != one.runner_id or chosen.cost_s != one.cost_s or len(set(names)) != len(names):
            yield "the first candidate is not the chosen, or somebody is named twice"
        if [c.cost_s for c in others] != sorted(c.cost_s for c in others):
            yield "the others are not sorted"
        if len(names) > max(1, self._params.explained) or set(names) & set(one.excluded):
            yield "too many candidates, or one that is excluded"
        best = others[0] if others else None
        if one.runner_up != (best.runner_id if best else None):
            yield "the runner-up is not the best other"
        if best is not None and abs((one.regret_s or 0.0) - (best.cost_s - one.cost_s)) > 0.11:
            yield "regret is not the difference"
        if best is not None and abs(sum(best.terms.values()) - best.cost_s) > 0.05 * (len(best.terms) + 1) + 0.01:
            yield "the runner-up's terms do not sum up"
        for candidate in others:
            if not self._campus.may(task, self._campus.runners[candidate.runner_id]):
                yield f"{candidate.runner_id} is a candidate against a rule"
        for runner_id, rule in one.excluded.items():
            if not self._is_true(task, self._campus.runners[runner_id], Exclusion(rule)):
                yield f"{runner_id} is said to be excluded by {rule}"

    def _is_true(self, task: TaskIn, runner: RunnerIn, rule: Exclusion) -> bool:
        p = self._params
        if rule in _BY_RUNNER:
            return runner.excluded is rule
        if rule is Exclusion.NOT_AMONG_NEAREST:
            return len(self._campus.runners) > p.nearest
        simple = {
            Exclusion.PINNED_TO_ANOTHER: task.pinned not in (None, runner.id),
            Exclusion.OFFERED_BEFORE: runner.id in task.forbidden,
            Exclusion.AT_CAPACITY: len({s.task_id for s in runner.route}) + runner.offered >= runner.max_tasks,
            Exclusion.OTHER_ZONE: runner.zones is not None and task.zone not in runner.zones,
            Exclusion.BUSY_TOO_LONG: runner.available_in_s > p.runner_ahead_s,
        }
        if rule in simple:
            return simple[rule]
        # The others are about the route: nowhere in it is the task possible.
        return not (self._campus.may(task, runner) and self._campus.fits_somewhere(task, runner))

    def _waits(self, task_id: str, reason: str) -> Iterator[str]:
        task, crew = self._campus.tasks[task_id], list(self._campus.runners.values())
        is_planned = any(one.task_id == task_id for one in self._made.planned)
        not_due = self._campus.seconds(task.ready_at_ms, -inf) > self._params.look_ahead_s
        true = {
            Waiting.PLANNED: is_planned,
            Waiting.NOT_DUE: not_due,
            Waiting.NO_RUNNERS: not crew,
            Waiting.ALL_STALE: all(one.is_stale for one in crew),
            Waiting.ALL_AT_CAPACITY: all(one.load >= one.max_tasks for one in crew),
            Waiting.ALL_OFFERED_BEFORE: all(one.id in task.forbidden for one in crew),
            Waiting.PINNED_RUNNER_UNAVAILABLE: task.pinned is not None,
        }
        if not true.get(Waiting(reason), True) or (is_planned and reason != Waiting.PLANNED):
            yield f"is said to wait because of {reason}"
        if is_planned or not_due or len(crew) > self._params.nearest:
            return
        somebody = any(self._campus.may(task, one) and self._campus.fits_somewhere(task, one) for one in crew)
        if somebody != (reason == Waiting.OUTBID):
            yield f"is said to wait because of {reason}, but {'somebody' if somebody else 'nobody'} could do it"

    def _worth(self) -> Iterator[str]:
        total = self._params.unassigned_s * (len(self._campus.tasks) - len(self._given))
        for runner_id, runner in self._campus.runners.items():
            route_s = self._campus.route_s(self._legs.get(runner_id) or self._campus.drive(runner, runner.route))
            total += route_s if isfinite(route_s) else 0.0
        for one in self._given.values():
            total += self._campus.beside_s(self._campus.tasks[one.task_id], self._campus.runners[one.runner_id])
        if abs(total - self._made.worth_s) > 0.01 + 1e-9 * abs(total):
            yield f"worth_s is {self._made.worth_s}, really {total:.3f}"
