"""Made-up large ticks on a real campus map: orders from its canteens and shops, runners all over its paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.assign import RouteStop, RunnerIn, TaskIn
from geo.campus import CampusMap
from geo.point import Point

NOW_MS = 1_800_000_000_000
_COUNTERS = frozenset({"canteen", "shop", "cafe", "parcel"})


@dataclass(frozen=True, slots=True)
class Size:
    """So many tasks wait for so many runners."""

    tasks: int
    runners: int

    def __str__(self) -> str:
        return f"{self.tasks}x{self.runners}"

    @classmethod
    def parsed(cls, text: str) -> Size:
        """``TASKSxRUNNERS``; ValueError otherwise."""
        tasks, times, runners = text.strip().partition("x")
        if not times or not tasks.isdecimal() or not runners.isdecimal() or not int(tasks) or not int(runners):
            raise ValueError(f"{text}: a size is two numbers such as 200x200")
        return cls(int(tasks), int(runners))


@dataclass(frozen=True, slots=True)
class Tick:
    tasks: list[TaskIn]
    runners: list[RunnerIn]
    now_ms: int = NOW_MS


class BusyCampus:
    """Ticks of one campus; the same seed gives the same tick.

    Half of the runners carry something: routes of one to four stops. A fifth of the tasks have been offered to
    somebody before, a tenth of the runners work in one zone alone, the same share has to be done within the hour.
    """

    def __init__(self, campus: CampusMap, walked: list[Point]) -> None:
        """``walked``: where runners may be met, such as the crossings of the paths."""
        places = list(campus.places.values())
        self._counters = [place for place in places if place.kind in _COUNTERS] or places[:10]
        self._doors = [place.point for place in places if place.kind not in _COUNTERS]
        self._walked = walked

    def tick(self, size: Size, seed: int) -> Tick:
        luck = np.random.default_rng((seed, size.tasks, size.runners))
        return Tick(
            [self._task(f"t{n:05d}", luck, size.runners) for n in range(size.tasks)],
            [self._runner(f"r{n:05d}", luck) for n in range(size.runners)],
        )

    def _task(self, name: str, luck: np.random.Generator, crew: int) -> TaskIn:
        counter = self._counters[int(luck.integers(len(self._counters)))]
        opened_at_ms = NOW_MS - int(luck.integers(0, 600_000))
        return TaskIn(
            id=name,
            order_id=f"o{name}",
            points=(counter.point, self._doors[int(luck.integers(len(self._doors)))]),
            before_s=(90.0, 60.0 + 20.0 * float(luck.integers(7))),
            after_s=(0.0, 30.0),
            opened_at_ms=opened_at_ms,
            promised_at_ms=opened_at_ms + 2_400_000,
            ready_at_ms=NOW_MS + int(luck.integers(-300_000, 1_500_000)),
            weight_g=int(luck.integers(200, 4000)),
            volume_ml=int(luck.integers(300, 6000)),
            merchant=counter.id,
            zone="a" if luck.random() < 0.5 else "b",
            forbidden=frozenset(f"r{int(luck.integers(crew)):05d}" for _ in range(2 if luck.random() < 0.2 else 0)),
        )

    def _runner(self, name: str, luck: np.random.Generator) -> RunnerIn:
        node = self._walked[int(luck.integers(len(self._walked)))]
        away = luck.normal(0, 8e-5, 2)
        return RunnerIn(
            id=name,
            point=Point(node.lat + float(away[0]), node.lon + float(away[1])),
            speed_mps=float(luck.uniform(1.1, 1.6)) if luck.random() < 0.6 else float(luck.uniform(3.0, 4.5)),
            route=self._route(name, luck),
            available_in_s=float(luck.integers(0, 120)) if luck.random() < 0.2 else 0.0,
            can_detour=bool(luck.random() < 0.9),
            credit=int(luck.integers(60, 101)),
            acceptance=float(luck.uniform(0.6, 1.0)),
            idle_since_ms=NOW_MS - int(luck.integers(0, 1_800_000)),
            earned_s=float(luck.uniform(0, 9000)),
            until_ms=NOW_MS + 3_600_000 if luck.random() < 0.1 else None,
            zones=frozenset("a") if luck.random() < 0.1 else None,
        )

    def _route(self, name: str, luck: np.random.Generator) -> tuple[RouteStop, ...]:
        stops = int(luck.choice((0, 1, 2, 3, 4), p=(0.5, 0.2, 0.15, 0.1, 0.05)))
        last: list[RouteStop] = []
        first: list[RouteStop] = []
        for n in range((stops + 1) // 2):
            drop = RouteStop(
                f"{name}c{n}", self._doors[int(luck.integers(len(self._doors)))], 100.0, 30.0,
                promised_at_ms=NOW_MS + int(luck.integers(0, 1_500_000)), weight_g=1500, volume_ml=2000,
            )  # fmt: skip
            last.append(drop)
            if len(first) < stops // 2:
                counter = self._counters[int(luck.integers(len(self._counters)))]
                first.append(
                    RouteStop(
                        drop.task_id,
                        counter.point,
                        90.0,
                        role="pickup",
                        weight_g=1500,
                        volume_ml=2000,
                        merchant=counter.id,
                    )
                )
        return (*first, *last)
