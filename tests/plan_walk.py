"""Routes of a plan driven by plain arithmetic, one stop after the other; shares no code with the optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from dispatch.assign.params import Params
from dispatch.assign.state import RouteStop, RunnerIn, TaskIn, Ways
from geo.point import Point

#: Milliseconds and thousandths of a metre are rounded.
SLACK_S = 0.002


@dataclass(frozen=True, slots=True)
class Leg:
    """One stop as it is reached; ``task``: of a new one, None of what is carried already; ``again``: at the counter
    where the runner stands already."""

    stop: RouteStop
    task: TaskIn | None
    way_m: float
    travel_s: float
    arrive_s: float
    ready_s: float
    done_s: float
    leave_s: float
    again: bool
    is_last: bool


class Campus:
    """What was told of one tick: tasks and runners by id, and the metres between all their places."""

    def __init__(
        self, tasks: Sequence[TaskIn], runners: Sequence[RunnerIn], ways: Ways, now_ms: int, params: Params
    ) -> None:
        self.tasks = {task.id: task for task in tasks}
        self.runners = {runner.id: runner for runner in runners}
        self.now_ms, self.params = now_ms, params
        points = {point for task in tasks for point in task.points}
        points |= {runner.point for runner in runners} | {stop.point for one in runners for stop in one.route}
        self._row = {point: row for row, point in enumerate(sorted(points))}
        self._between = ways(np.array(sorted(points), dtype=np.float64).reshape(-1, 2))

    def metres(self, a: Point, b: Point) -> float:
        """inf where there is no way."""
        rows = (np.array([self._row[a]], dtype=np.intp), np.array([self._row[b]], dtype=np.intp))
        metres = float(np.asarray(self._between(*rows)).ravel()[0])
        return metres if metres >= 0 else inf

    def seconds(self, at_ms: int | None, otherwise: float) -> float:
        return otherwise if at_ms is None else (at_ms - self.now_ms) / 1000

    def new_stops(self, task: TaskIn, where: Point) -> list[RouteStop]:
        """The stops of a task that nobody carries yet; ``where``: of one that is done wherever the runner is."""
        roles = ("pickup", "dropoff") if len(task.points) == 2 else ("place",)
        stops = []
        for number, role in enumerate(roles):
            stops.append(
                RouteStop(
                    task.id,
                    task.points[number] if task.points else where,
                    before_s=task.before_s[number],
                    after_s=task.after_s[number],
                    role=role,  # type: ignore[arg-type]
                    not_before_ms=task.ready_at_ms if number == 0 else None,
                    promised_at_ms=task.promised_at_ms if number == len(roles) - 1 else None,
                    weight_g=task.weight_g,
                    volume_ml=task.volume_ml,
                    merchant=task.merchant,
                )
            )
        return stops

    def drive(self, runner: RunnerIn, stops: Sequence[RouteStop], delays: dict[int, float] | None = None) -> list[Leg]:
        """The route with its times; ``delays``: seconds of waiting before setting out for these stops."""
        carried = {stop.task_id for stop in runner.route}
        last = {stop.task_id: k for k, stop in enumerate(stops)}
        here, free_s, before = runner.point, max(0.0, runner.available_in_s), None
        speed = max(runner.speed_mps, 0.1)
        legs: list[Leg] = []
        for k, stop in enumerate(stops):
            task = None if stop.task_id in carried else self.tasks[stop.task_id]
            again = before is not None and _is_one_visit(before.stop, stop)
            if again:
                assert before is not None
                way_m, arrive_s = 0.0, before.done_s
                ready_s = arrive_s + self.params.same_counter_s
            else:
                way_m = 0.0 if task is not None and not task.points else self.metres(here, stop.point)
                arrive_s = free_s + (delays or {}).get(k, 0.0) + way_m / speed
                ready_s = arrive_s + stop.before_s
            done_s = max(ready_s, self.seconds(stop.not_before_ms, -inf))
            leave_s = done_s + stop.after_s
            is_last = last[stop.task_id] == k
            before = Leg(stop, task, way_m, way_m / speed, arrive_s, ready_s, done_s, leave_s, again, is_last)
            legs.append(before)
            here, free_s = stop.point, leave_s
        return legs

    def broken(self, runner: RunnerIn, legs: Sequence[Leg]) -> Iterator[str]:
        """Every limit that the runner, the bags, the promises and the counters set, as far as it is not kept."""
        p = self.params
        picked = {leg.stop.task_id for leg in legs if leg.stop.role == "pickup"}
        inside = [leg.stop for leg in legs if leg.stop.role == "dropoff" and leg.stop.task_id not in picked]
        things, grams, millilitres = len(inside), sum(s.weight_g for s in inside), sum(s.volume_ml for s in inside)
        until_s, last_pickup_s = self.seconds(runner.until_ms, inf), self.seconds(runner.last_pickup_ms, inf)
        for leg in legs:
            stop = leg.stop
            sign = {"pickup": 1, "dropoff": -1, "place": 0}[stop.role]
            if not leg.done_s < inf:
                yield f"no way to {stop.task_id}"
            if sign > 0 and leg.done_s > last_pickup_s + SLACK_S:
                yield f"{stop.task_id} picked up after the last pick-up"
            if sign <= 0 and leg.done_s > until_s + SLACK_S:
                yield f"{stop.task_id} done after the runner's time"
            if sign > 0 and p.merchant_bundles and things and not leg.again:
                yield f"{stop.task_id} of another merchant beside what is on board"
            things, grams, millilitres = (
                things + sign,
                grams + sign * stop.weight_g,
                millilitres + sign * stop.volume_ml,
            )
            if grams > runner.capacity_g or millilitres > runner.capacity_ml:
                yield f"{stop.task_id} is too much: {grams} g, {millilitres} ml"
            if leg.task is not None and leg.is_last and leg.done_s > self.seconds(leg.task.deadline_ms, inf) + SLACK_S:
                yield f"{stop.task_id} after its deadline"
            if leg.task is not None and stop.role != "dropoff" and leg.way_m > self.reach_m(leg.task) + 1e-6:
                yield f"{stop.task_id} is too far: {leg.way_m:.0f} m"

    def reach_m(self, task: TaskIn) -> float:
        """How far a runner may come for it."""
        return self.params.max_pickup_m * task.reach

    def route_s(self, legs: Sequence[Leg]) -> float:
        """What a route is worth in seconds."""
        p, total = self.params, 0.0
        for leg in legs:
            total += p.travel_weight * leg.travel_s + p.stand_weight * (leg.done_s - leg.ready_s)
            if leg.is_last:
                wait, late = (
                    (p.wait_weight, p.lateness_weight)
                    if leg.task is not None
                    else (p.detour_weight, p.disturbance_weight)
                )
                total += wait * leg.done_s + late * max(0.0, leg.done_s - self.seconds(leg.stop.promised_at_ms, inf))
        return total

    def beside_s(self, task: TaskIn, runner: RunnerIn) -> float:
        """What a pair costs beside the route: odds, standing, fairness and age."""
        p = self.params
        taken = min(1.0, max(0.05, runner.acceptance))
        idle_s = 0.0
        if runner.idle_since_ms is not None and not runner.route and not runner.offered:
            idle_s = min(max(0.0, (self.now_ms - runner.idle_since_ms) / 1000), p.idle_cap_s)
        mean = sum(one.earned_s for one in self.runners.values()) / len(self.runners)
        age_s = (self.now_ms - task.opened_at_ms) / 1000 + task.priority_s
        return (
            p.refusal_s * (1 - taken) / taken + p.credit_s * (100 - runner.credit) - p.idle_weight * idle_s
            + p.fairness_weight * (runner.earned_s - mean) - p.ageing_weight * max(0.0, age_s)
        )  # fmt: skip

    def may(self, task: TaskIn, runner: RunnerIn) -> bool:
        """The rules that do not ask where anybody is."""
        return not (
            runner.excluded is not None
            or task.is_no_go
            or task.pinned not in (None, runner.id)
            or runner.id in task.forbidden
            or len({stop.task_id for stop in runner.route}) + runner.offered >= runner.max_tasks
            or (task.zone is not None and runner.zones is not None and task.zone not in runner.zones)
            or task.weight_g > runner.capacity_g
            or task.volume_ml > runner.capacity_ml
            or runner.available_in_s > self.params.runner_ahead_s
            or self.seconds(task.ready_at_ms, -inf) > self.params.look_ahead_s
        )

    def fits_somewhere(self, task: TaskIn, runner: RunnerIn) -> bool:
        """Whether the runner could do it beside what they carry, in whatever place of the route.

        Who has no way to what they carry is given nothing.
        """
        if not all(leg.done_s < inf for leg in self.drive(runner, runner.route)):
            return False
        route, first = list(runner.route), 0 if runner.can_detour else len(runner.route)
        for i in range(first, len(route) + 1):
            if not task.points and i < len(route):
                continue
            where = route[-1].point if route else runner.point
            new = self.new_stops(task, where)
            for j in range(i, len(route) + 1 if len(new) == 2 else i + 1):
                whole = [*route[:i], *new[:-1], *route[i:j], new[-1], *route[j:]]
                if not any(self.broken(runner, self.drive(runner, whole))):
                    return True
        return False


def _is_one_visit(before: RouteStop, stop: RouteStop) -> bool:
    return (
        before.role == "pickup"
        and stop.role == "pickup"
        and stop.merchant is not None
        and before.merchant == stop.merchant
    )
