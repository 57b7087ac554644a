"""Made-up ticks: a campus of sixty places, runners with and without a route, tasks that come and go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dispatch.assign.params import Params
from dispatch.assign.state import RouteStop, RunnerIn, TaskIn
from dispatch.model.ids import make_id
from dispatch.ticks.record import TickRecord
from geo.point import Point

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
CAMPUS = "cmp_00000000000000000000000001"


class Samples:
    """The same seed gives the same ticks, two business seconds apart."""

    def __init__(
        self,
        seed: int = 1,
        tasks: int = 12,
        runners: int = 9,
        at: Point = Point(30.305, 120.085),  # noqa: B008
    ) -> None:
        self._center = at
        self._luck = random.Random(seed)
        self._at = START
        self._places = [self._near() for _ in range(60)]
        self._tasks = [self._task() for _ in range(tasks)]
        self._runners = [self._runner() for _ in range(runners)]

    def _id(self, prefix: str) -> str:
        return make_id(prefix, self._at, self._luck.randbytes(10))

    def _near(self) -> Point:
        return Point(
            self._center.lat + (self._luck.random() - 0.5) * 0.01, self._center.lon + (self._luck.random() - 0.5) * 0.01
        )

    @property
    def now_ms(self) -> int:
        return round(self._at.timestamp() * 1000)

    def _task(self) -> TaskIn:
        here, there = self._luck.sample(self._places, 2)
        return TaskIn(
            id=self._id("tsk"),
            order_id=self._id("ord"),
            points=(here, there),
            before_s=(120.0, 165.0),
            after_s=(0.0, 45.0),
            opened_at_ms=self.now_ms - self._luck.randrange(300_000),
            promised_at_ms=self.now_ms + self._luck.randrange(600_000, 2_400_000),
            ready_at_ms=self.now_ms + 60_000 if self._luck.random() < 0.3 else None,
            weight_g=self._luck.randrange(3_000),
            forbidden=frozenset(self._id("acc") for _ in range(2)),
        )

    def _runner(self) -> RunnerIn:
        carried = self._task()
        route = (
            RouteStop(carried.id, carried.points[0], 120.0, role="pickup", weight_g=500),
            RouteStop(carried.id, carried.points[1], 150.0, 30.0, promised_at_ms=carried.promised_at_ms, weight_g=500),
        )
        return RunnerIn(
            id=self._id("acc"),
            point=self._near(),
            speed_mps=1.35,
            route=route if self._luck.random() < 0.4 else (),
            credit=self._luck.randrange(60, 100),
            zones=frozenset({"a", "b"}) if self._luck.random() < 0.3 else None,
        )

    def ticks(self, count: int) -> Iterator[TickRecord]:
        """That many; a task goes and one comes each time."""
        for _ in range(count):
            yield TickRecord(
                id=self._id("tic"),
                campus_id=CAMPUS,
                now_ms=self.now_ms,
                map_id="m1",
                tasks=tuple(self._tasks),
                runners=tuple(self._runners),
                params=Params(),
                digest="d",
                chosen=((self._tasks[0].id, self._runners[0].id),),
                stages_ms={"solve": 1.5},
            )
            self._at += timedelta(seconds=2)
            self._tasks = [*self._tasks[1:], self._task()]
            self._runners = [replace(runner, point=self._near()) for runner in self._runners]
