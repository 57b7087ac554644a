"""Ticks that are made up to be awkward: full and closed routes, no way between places, odd speeds, pins, many rules."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from dispatch.assign.params import Params
from dispatch.assign.state import Between, Exclusion, Floats, RouteStop, Rows, RunnerIn, TaskIn
from geo.point import Point

NOW_MS = 1_800_000_000_000
_STEP = 0.001


@dataclass(frozen=True, slots=True)
class Traits:
    """What a made-up tick is like. ``holes``: of that many pairs of places one has no way; 0: all have."""

    tasks: int = 6
    runners: int = 4
    grid: int = 8
    holes: int = 0
    rules: bool = True
    routes: bool = True
    tight: bool = True


@dataclass(frozen=True, slots=True)
class Instance:
    tasks: tuple[TaskIn, ...]
    runners: tuple[RunnerIn, ...]
    holes: int
    params: Params
    now_ms: int = NOW_MS

    def ways(self, places: Floats) -> Between:
        """Metres that depend on the two places alone, longer there than back; some are no metres at all."""
        x, y = np.round((places[:, 0] - 30) / _STEP), np.round((places[:, 1] - 120) / _STEP)

        def between(a: Rows, b: Rows) -> Floats:
            a, b = np.broadcast_arrays(a, b)
            metres = 111.0 * (np.abs(x[a] - x[b]) + 0.8 * np.abs(y[a] - y[b])) + 7.0 * np.maximum(0.0, x[b] - x[a])
            if self.holes:
                odd = (x[a] * 31 + y[a] * 17 + x[b] * 13 + y[b] * 7 + 5) % self.holes
                metres = np.where((odd == 0) & (metres > 0), np.inf, metres)
                metres = np.where((odd == 1) & (metres > 0), np.nan, metres)
            return np.asarray(metres, dtype=np.float64)

        return between


def at(x: int, y: int) -> Point:
    """A crossing of the streets of this town."""
    return Point(round(30 + x * _STEP, 6), round(120 + y * _STEP, 6))


class Town:
    """The same seed and traits give the same tick."""

    def __init__(self, seed: int, traits: Traits) -> None:
        self._luck = random.Random(seed)
        self._areas = random.Random(~seed)
        self._traits = traits

    def instance(self, params: Params) -> Instance:
        tasks = tuple(self._task(f"t{n:02d}") for n in range(self._traits.tasks))
        runners = tuple(self._runner(f"r{n:02d}") for n in range(self._traits.runners))
        names = [runner.id for runner in runners] or ["nobody"]
        return Instance(tuple(self._ruled(task, names) for task in tasks), runners, self._traits.holes, params)

    def _point(self) -> Point:
        return at(self._luck.randrange(self._traits.grid), self._luck.randrange(self._traits.grid))

    def _odds(self, share: float) -> bool:
        return self._luck.random() < share

    def _ms(self, least_s: int, most_s: int) -> int:
        return NOW_MS + 1000 * self._luck.randint(least_s, most_s) + self._luck.randrange(1000)

    def _task(self, name: str) -> TaskIn:
        luck = self._luck
        stops = luck.choices((0, 1, 2), (1, 2, 12))[0]
        return TaskIn(
            id=name,
            order_id=f"o{name}",
            points=tuple(self._point() for _ in range(stops)),
            before_s=tuple(luck.choice((0.0, 30.0, 95.5)) for _ in range(max(1, stops))),
            after_s=tuple(luck.choice((0.0, 45.0)) for _ in range(max(1, stops))),
            opened_at_ms=self._ms(-1500, 20),
            promised_at_ms=self._ms(-300, 2400),
            ready_at_ms=self._ms(-100, 2500) if self._odds(0.6) else None,
            deadline_ms=self._ms(300, 4000) if self._traits.tight and self._odds(0.3) else None,
            weight_g=luck.choice((0, 0, 800, 2500)),
            volume_ml=luck.choice((0, 0, 900, 4000)),
            merchant=luck.choice((None, "m1", "m2")),
            priority_s=luck.choice((0.0, 0.0, 500.0)),
        )

    def _ruled(self, task: TaskIn, names: list[str]) -> TaskIn:
        luck = self._luck
        if not self._traits.rules:
            return task
        return replace(
            task,
            zone=luck.choice((None, None, "a", "b")),
            forbidden=frozenset(name for name in names if self._odds(0.1)),
            pinned=luck.choice([*names, "gone"]) if self._odds(0.08) else None,
            is_no_go=self._areas.random() < 0.05,
            reach=luck.choice((1.0, 1.0, 0.3, 2.0)),
            foreseen=(luck.choice(names), self._ms(0, 300)) if self._odds(0.3) else None,
        )

    def _runner(self, name: str) -> RunnerIn:
        luck, traits = self._luck, self._traits
        runner = RunnerIn(
            id=name,
            point=self._point(),
            speed_mps=luck.choice((1.3, 1.3, 4.0, 0.0, -1.0, 50.0, 0.7)),
            route=self._route(name) if traits.routes and self._odds(0.6) else (),
            available_in_s=luck.choice((0.0, 0.0, -5.0, 120.0, 590.0, 700.0)),
            credit=luck.randint(0, 100),
            acceptance=luck.choice((0.0, 0.5, 0.87, 1.0, 1.5)),
            idle_since_ms=self._ms(-3000, 10) if self._odds(0.5) else None,
            earned_s=luck.random() * 9000,
            max_tasks=luck.randint(1, 5),
            capacity_g=luck.choice((0, 3000, 30_000)) if traits.tight else 30_000,
            capacity_ml=luck.choice((4500, 60_000)) if traits.tight else 60_000,
        )
        if not traits.rules:
            return runner
        return replace(
            runner,
            offered=luck.choice((0, 0, 0, 1)),
            can_detour=self._odds(0.8),
            zones=frozenset({"a"}) if self._odds(0.3) else None,
            excluded=luck.choice(list(Exclusion)[:6]) if self._odds(0.1) else None,
            until_ms=self._ms(200, 4000) if traits.tight and self._odds(0.3) else None,
            last_pickup_ms=self._ms(100, 2000) if traits.tight and self._odds(0.2) else None,
        )

    def _route(self, name: str) -> tuple[RouteStop, ...]:
        """Up to three tasks, some on board already, their stops mixed."""
        luck, waiting = self._luck, []
        for n in range(luck.randint(1, 3)):
            task = self._task(f"{name}c{n}")
            base = RouteStop(
                task.id, self._point(), 60.0, 20.0, weight_g=task.weight_g, volume_ml=task.volume_ml,
                merchant=task.merchant,
            )  # fmt: skip
            kind = luck.choice(("on board", "both", "both", "place"))
            promised = task.promised_at_ms if self._odds(0.9) else None
            stops = [replace(base, role="place" if kind == "place" else "dropoff", promised_at_ms=promised)]
            if kind == "both":
                pickup = replace(base, point=self._point(), role="pickup", not_before_ms=task.ready_at_ms)
                stops.insert(0, replace(pickup, before_s=40.0, after_s=5.0))
            waiting.append(stops)
        route = []
        while any(waiting):
            route.append(luck.choice([stops for stops in waiting if stops]).pop(0))
        return tuple(route)
