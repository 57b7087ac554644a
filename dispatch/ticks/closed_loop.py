"""A recorded day played on: orders come as they came, and runners do what this plan says instead of what they did.

Simple on purpose: paces and service times are those that the optimizer assumes, everybody takes what they are offered,
and whoever is under way is on the straight line to their next stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from geo.point import Point

from ..assign.params import Params
from ..assign.solver import plan
from ..assign.state import Plan, RouteStop, RunnerIn, TaskIn, Ways
from .replay import Recorded
from .variant import Variant, method_of

#: Where the recording is silent, for nothing waited then, it is planned so often as long as something waits now.
STEP_MS = 5_000
#: A longer silence is a break in the recording, not a quiet moment.
GAP_MS = 600_000
#: How long it goes on after the last record, at most.
TAIL_MS = 3_600_000


@dataclass(slots=True)
class Day:
    """What came of one way of planning."""

    name: str
    orders: int = 0
    wait_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    metres: float = 0.0
    in_hand: list[int] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        count = max(1, len(self.wait_s))
        return {
            "orders": self.orders,
            "delivered": len(self.wait_s),
            "mean_minutes_opened_to_done": round(sum(self.wait_s) / count / 60, 3),
            "p90_minutes_opened_to_done": round(sorted(self.wait_s)[int(0.9 * (count - 1))] / 60, 3)
            if self.wait_s
            else None,
            "mean_minutes_late": round(sum(self.late_s) / count / 60, 3),
            "late_percent": round(100 * sum(late > 0 for late in self.late_s) / count, 2),
            "tasks_per_trip": round(sum(self.in_hand) / max(1, len(self.in_hand)), 2),
            "metres_per_order": round(self.metres / count, 1),
        }


@dataclass(slots=True)
class _Visit:
    """A stop that will be, with its times in milliseconds."""

    stop: RouteStop
    depart_ms: float
    arrive_ms: float
    done_ms: float
    leave_ms: float
    came_from: Point


class _Walker:
    """One runner on their way."""

    def __init__(self, seen: RunnerIn, now_ms: int, ways: Ways) -> None:
        self.point = seen.point
        self.free_ms = now_ms + seen.available_in_s * 1000
        self.visits: list[_Visit] = []
        self._ways = ways
        self.go(list(seen.route), now_ms, seen.speed_mps)

    def go(self, stops: list[RouteStop], now_ms: int, speed_mps: float) -> float:
        """Visit these from now on; how many metres that is."""
        places = np.array([self.point, *(stop.point for stop in stops)])
        rows = np.arange(len(stops))
        metres = self._ways(places)(rows, rows + 1) if stops else np.zeros(0)
        at, free_ms = self.point, max(self.free_ms, float(now_ms))
        self.visits = []
        for stop, leg_m in zip(stops, metres, strict=True):
            arrive_ms = free_ms + float(leg_m) / speed_mps * 1000
            done_ms = max(arrive_ms + stop.before_s * 1000, float(stop.not_before_ms or 0))
            leave_ms = done_ms + stop.after_s * 1000
            self.visits.append(_Visit(stop, free_ms, arrive_ms, done_ms, leave_ms, at))
            at, free_ms = stop.point, leave_ms
        return float(metres.sum())

    def pass_until(self, now_ms: int, done: Callable[[RouteStop, float], None]) -> None:
        """Let time pass; ``done`` hears of every stop that is visited. Who has arrived stays until it is done."""
        while self.visits and self.visits[0].arrive_ms <= now_ms:
            visit = self.visits.pop(0)
            done(visit.stop, visit.done_ms)
            self.point, self.free_ms = visit.stop.point, visit.leave_ms
        if self.visits and self.visits[0].depart_ms <= now_ms:
            visit = self.visits[0]
            share = (now_ms - visit.depart_ms) / max(1.0, visit.arrive_ms - visit.depart_ms)
            a, b = visit.came_from, visit.stop.point
            self.point = Point(a.lat + (b.lat - a.lat) * share, a.lon + (b.lon - a.lon) * share)

    @property
    def stops(self) -> list[RouteStop]:
        return [visit.stop for visit in self.visits]


class _World:
    """The campus as this plan makes it."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.walkers: dict[str, _Walker] = {}
        self.waiting: dict[str, TaskIn] = {}
        self.known: dict[str, TaskIn] = {}
        self._carried: set[str] = set()

    def see(self, recorded: Recorded) -> None:
        """Take in who and what is new."""
        tick = recorded.tick
        for runner in tick.runners:
            if runner.id not in self.walkers:
                self.walkers[runner.id] = _Walker(runner, tick.now_ms, recorded.ways)
                self._carried.update(stop.task_id for stop in runner.route)
        for task in tick.tasks:
            if task.id not in self.known and task.id not in self._carried:
                self.known[task.id] = self.waiting[task.id] = task
                self.day.orders += 1

    def crew(self, recorded: Recorded, now_ms: int) -> list[RunnerIn]:
        """Whoever was on duty then, as they are here."""
        found = []
        for runner in recorded.tick.runners:
            walker = self.walkers[runner.id]
            found.append(
                replace(
                    runner,
                    point=walker.point,
                    route=tuple(walker.stops),
                    available_in_s=max(0.0, (walker.free_ms - now_ms) / 1000),
                    offered=0,
                    idle_since_ms=None if walker.visits else runner.idle_since_ms,
                )
            )
        return found

    def pass_until(self, now_ms: int) -> None:
        for walker in self.walkers.values():
            walker.pass_until(now_ms, self._done)

    def _done(self, stop: RouteStop, done_ms: float) -> None:
        task = self.known.get(stop.task_id)
        if task is None or stop.role == "pickup":
            return
        self.day.wait_s.append((done_ms - task.opened_at_ms) / 1000)
        self.day.late_s.append(max(0.0, (done_ms - task.promised_at_ms) / 1000))

    def follow(self, found: Plan, crew: list[RunnerIn], now_ms: int) -> None:
        """Everybody takes what is put to them, in the order that was planned."""
        speed_of = {runner.id: runner.speed_mps for runner in crew}
        given: dict[str, list[TaskIn]] = {}
        for one in found.assignments:
            given.setdefault(one.runner_id, []).append(self.waiting.pop(one.task_id))
        for runner_id, tasks in given.items():
            walker = self.walkers[runner_id]
            before_m = _length(walker)
            order = [(visit.stop.task_id, visit.stop.role) for visit in found.routes.get(runner_id, ())]
            stops = in_order([*walker.stops, *(stop for task in tasks for stop in stops_of(task, walker.point))], order)
            self.day.metres += max(0.0, walker.go(stops, now_ms, speed_of[runner_id]) - before_m)
            self.day.in_hand.append(len({stop.task_id for stop in stops}))


def _length(walker: _Walker) -> float:
    """Metres of the way that was ahead, by the same measure as the new one."""
    if not walker.visits:
        return 0.0
    places = np.array([walker.point, *(stop.point for stop in walker.stops)])
    rows = np.arange(len(walker.visits))
    return float(walker._ways(places)(rows, rows + 1).sum())


def stops_of(task: TaskIn, here: Point) -> list[RouteStop]:
    """What a task is to the runner who has it; one without stops is done ``here``, where they are."""
    points = task.points or (here,)
    last = len(points) - 1
    return [
        RouteStop(
            task_id=task.id,
            point=point,
            before_s=task.before_s[number],
            after_s=task.after_s[number],
            role="pickup" if number < last else "dropoff",
            not_before_ms=task.ready_at_ms if number == 0 else None,
            promised_at_ms=task.promised_at_ms if number == last else None,
            weight_g=task.weight_g,
            volume_ml=task.volume_ml,
            merchant=task.merchant if number < last else None,
        )
        for number, point in enumerate(points)
    ]


def in_order(stops: Sequence[RouteStop], order: Sequence[tuple[str, str]]) -> list[RouteStop]:
    """As planned; what the plan does not name comes last, as it is."""
    place: dict[tuple[str, str], int] = {visit: number for number, visit in enumerate(order)}
    return sorted(stops, key=lambda stop: place.get((stop.task_id, stop.role), len(place)))


def play_on(ticks: Iterable[Recorded], name: str, variant: Variant | None, tail_ms: int = TAIL_MS) -> Day:
    """The recorded day under the recorded settings, or under those of ``variant``; what still waits at its end is given
    out for ``tail_ms`` more."""
    world = _World(Day(name))
    for now_ms, recorded in _moments(ticks, world, tail_ms):
        world.pass_until(now_ms)
        if not world.waiting:
            continue
        tick = recorded.tick
        params: Params = variant.params(tick.params) if variant else tick.params
        method = method_of((variant and variant.method) or tick.asked)
        crew = world.crew(recorded, now_ms)
        found = plan(list(world.waiting.values()), crew, recorded.ways, now_ms, params, method)
        world.follow(found, crew, now_ms)
    for walker in world.walkers.values():
        walker.pass_until(2**62, world._done)
    return world.day


def _moments(ticks: Iterable[Recorded], world: _World, tail_ms: int) -> Iterator[tuple[int, Recorded]]:
    """When it is planned, by which record: every recorded tick, and between and after them while something waits."""
    before: Recorded | None = None
    for recorded in ticks:
        now_ms = recorded.tick.now_ms
        if before is not None and now_ms - before.tick.now_ms < GAP_MS:
            for between_ms in range(before.tick.now_ms + STEP_MS, now_ms - STEP_MS // 2, STEP_MS):
                if world.waiting:
                    yield between_ms, before
        world.see(recorded)
        yield now_ms, recorded
        before = recorded
    if before is not None:
        # What still waits at the end is carried out, so that both sides are judged by all orders.
        for after_ms in range(STEP_MS, tail_ms, STEP_MS):
            if not world.waiting:
                return
            yield before.tick.now_ms + after_ms, before
