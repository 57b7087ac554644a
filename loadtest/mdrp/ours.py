"""The adapter to the shipping optimizer: minutes and metres in, instructions out; it decides nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dispatch.assign.solver import plan
from dispatch.assign.state import Between, Floats, Method, Plan, Rows, RunnerIn, TaskIn
from geo.point import LocalPlane, Point

from .parameters import Setup
from .world import Instruction, Situation

MINUTE_MS = 60_000

#: Metres are laid around a place on the equator, where a plane of some tens of kilometres is as good as flat.
PLANE = LocalPlane(Point(0.0, 0.0))


class WholeMinutes:
    """Ways that take whole minutes, as the rules of the benchmark have it: metres are rounded up to full minutes."""

    def __init__(self, meters_per_minute: int) -> None:
        self._pace = meters_per_minute

    def __call__(self, places: Floats) -> Between:
        # A place on the globe is a float; the metre that it came from is a whole number.
        xy = np.rint(PLANE.xy_many(places))

        def between(a: Rows, b: Rows) -> Floats:
            gap = xy[a] - xy[b]
            minutes = np.ceil(np.hypot(gap[..., 0], gap[..., 1]) / self._pace)
            return np.asarray(minutes * self._pace, dtype=np.float64)

        return between


class Ours:
    """Asks ``dispatch.assign.solver.plan`` once a minute, as the server's planner does once a tick.

    Like the planner it tells each plan whom the last one had in mind; one object plays one day.
    """

    def __init__(self, setup: Setup, method: Method = "optimizer") -> None:
        self._setup, self._method = setup, method
        self._points: dict[tuple[int, int], Point] = {}
        self._foreseen: dict[str, tuple[str, int]] = {}

    def decide(self, now: Situation) -> Sequence[Instruction]:
        ways = WholeMinutes(now.rules.meters_per_minute)
        answer = plan(
            self._tasks(now), self._runners(now), ways, now.minute * MINUTE_MS, self._setup.params, method=self._method
        )
        # Whatever of it is carried out is asked for no more.
        kept_open = (*answer.assignments, *answer.planned)
        self._foreseen = {one.task_id: (one.runner_id, one.leave_at_ms) for one in kept_open}
        return _instructions(now, answer)

    def _tasks(self, now: Situation) -> list[TaskIn]:
        o, rules = now.orders, now.rules
        half_pickup, half_dropoff = rules.pickup_service * 30.0, rules.dropoff_service * 30.0
        halves = (half_pickup, half_dropoff)
        return [
            TaskIn(
                id=str(row),
                order_id=str(row),
                points=(self._point(counter), self._point(door)),
                before_s=halves,
                after_s=halves,
                opened_at_ms=placed * MINUTE_MS,
                promised_at_ms=(placed + rules.target) * MINUTE_MS,
                ready_at_ms=ready * MINUTE_MS,
                deadline_ms=(placed + rules.maximum) * MINUTE_MS,
                weight_g=1,  # one of what the bag holds
                merchant=str(restaurant),
                foreseen=self._foreseen.get(str(row)),
            )
            for row, counter, door, placed, ready, restaurant in zip(
                o.row.tolist(),
                o.counter_xy.tolist(),
                o.door_xy.tolist(),
                o.placed.tolist(),
                o.ready.tolist(),
                o.counter.tolist(),
                strict=True,
            )
        ]

    def _runners(self, now: Situation) -> list[RunnerIn]:
        c = now.couriers
        return [
            RunnerIn(
                id=str(row),
                point=self._point(xy),
                speed_mps=now.rules.meters_per_minute / 60,
                # Who is busy is told nothing: the trip is over before another can begin.
                available_in_s=(free - now.minute) * 60.0,
                can_detour=False,
                idle_since_ms=min(free, now.minute) * MINUTE_MS,
                last_pickup_ms=off * MINUTE_MS,
                max_tasks=self._setup.planned_per_courier,
                capacity_g=self._setup.orders_per_trip,
            )
            for row, xy, free, off in zip(c.row.tolist(), c.xy.tolist(), c.free.tolist(), c.off.tolist(), strict=True)
        ]

    def _point(self, xy: Sequence[int]) -> Point:
        key = (xy[0], xy[1])
        if key not in self._points:
            self._points[key] = PLANE.point(float(xy[0]), float(xy[1]))
        return self._points[key]


def _instructions(now: Situation, answer: Plan) -> list[Instruction]:
    """The plan's assignments to couriers who are free, one instruction each; of the others a later plan decides."""
    free = {str(row) for row in now.couriers.row[now.couriers.free <= now.minute].tolist()}
    restaurant = dict(zip(map(str, now.orders.row.tolist()), now.orders.counter.tolist(), strict=True))
    given: dict[str, set[str]] = {}
    for assignment in answer.assignments:
        if assignment.runner_id in free:
            given.setdefault(assignment.runner_id, set()).add(assignment.task_id)
    out: list[Instruction] = []
    for runner, tasks in sorted(given.items()):
        drops = [
            planned.stop.task_id
            for planned in answer.routes[runner]
            if planned.stop.role == "dropoff" and planned.stop.task_id in tasks
        ]
        # A trip goes to one restaurant: what comes after it stays open until the courier is free again.
        first = [task for task in drops if restaurant[task] == restaurant[drops[0]]]
        out.append(Instruction(int(runner), tuple(int(task) for task in first)))
    return out
