"""Speeds as they are: of each runner at each hour of the day, as far as their own ways have told, else of their kind.

A speed is walking metres per second of being under way. What one knows little of is drawn towards what one knows more
of: the runner's hour towards the runner, the runner towards all with that vehicle, those towards field figures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from math import exp, log
from typing import NamedTuple

from .eta import SPEEDS_MPS, WALK_MPS
from .shrinkage import Mean

#: Slower is standing, faster is no errand on a campus.
SLOWEST_MPS, FASTEST_MPS = 0.5, 6.0
#: Whoever it is, they are not further than this factor from the field figure of their vehicle.
MOST_FACTOR = 2.0
#: A way counts by its seconds, up to one full observation.
FULL_S = 300.0
LEAST_S, LEAST_M = 20.0, 20.0
#: How many full observations each prior is worth, and how many are remembered.
_KIND_PRIOR, _RUNNER_PRIOR, _HOUR_PRIOR = 10.0, 3.0, 6.0
_KIND_MOST, _RUNNER_MOST, _HOUR_MOST = 2_000.0, 60.0, 30.0
HOURS = 24
#: Runners remembered; who was seen longest ago goes first.
MOST_RUNNERS = 10_000


class RunnerPace(NamedTuple):
    """What is known of one runner with one vehicle: logarithms of speeds, over all and by hour of the day."""

    overall: Mean = Mean()
    hours: Mapping[int, Mean] = {}

    def seen(self, log_mps: float, weight: float, hour: int) -> RunnerPace:
        hours = dict(self.hours)
        hours[hour] = hours.get(hour, Mean()).seen(log_mps, weight, _HOUR_MOST)
        return RunnerPace(self.overall.seen(log_mps, weight, _RUNNER_MOST), hours)


Key = tuple[str, str]


class Paces:
    """The speeds of a campus's runners, by runner and vehicle."""

    def __init__(self, most_runners: int = MOST_RUNNERS) -> None:
        self._most = most_runners
        self._runners: OrderedDict[Key, RunnerPace] = OrderedDict()
        self._kinds: dict[str, Mean] = {}

    def __len__(self) -> int:
        return len(self._runners)

    def learn(self, runner_id: str, vehicle: str, hour: int, metres: float, seconds: float) -> bool:
        """Take in a way of a runner; False where it says nothing about a speed."""
        if not (metres >= LEAST_M and seconds >= LEAST_S and SLOWEST_MPS <= metres / seconds <= FASTEST_MPS):
            return False
        log_mps, weight = log(metres / seconds), min(1.0, seconds / FULL_S)
        kind = _kind(vehicle)
        self._kinds[kind] = self._kinds.get(kind, Mean()).seen(log_mps, weight, _KIND_MOST)
        key = (runner_id, kind)
        self.put(key, self._runners.get(key, RunnerPace()).seen(log_mps, weight, hour % HOURS))
        return True

    def put(self, key: Key, pace: RunnerPace) -> None:
        """As it was stored."""
        self._runners[key] = pace
        self._runners.move_to_end(key)
        if len(self._runners) > self._most:
            self._runners.popitem(last=False)

    def put_kinds(self, kinds: Mapping[str, Mean]) -> None:
        self._kinds = {_kind(vehicle): mean for vehicle, mean in kinds.items()}

    @property
    def kinds(self) -> Mapping[str, Mean]:
        return self._kinds

    def of(self, key: Key) -> RunnerPace | None:
        return self._runners.get(key)

    def runners(self) -> Iterator[tuple[Key, RunnerPace]]:
        return iter(self._runners.items())

    def forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._runners.pop(key, None)

    def speed_mps(self, runner_id: str | None, vehicle: str, hour: int) -> float:
        """Walking metres per second to reckon with; without a runner, of anybody with that vehicle."""
        kind = _kind(vehicle)
        field = log(SPEEDS_MPS.get(kind, WALK_MPS))
        expected = self._kinds.get(kind, Mean()).towards(field, _KIND_PRIOR)
        pace = self._runners.get((runner_id, kind)) if runner_id is not None else None
        if pace is not None:
            expected = pace.overall.towards(expected, _RUNNER_PRIOR)
            expected = pace.hours.get(hour % HOURS, Mean()).towards(expected, _HOUR_PRIOR)
        bound = log(MOST_FACTOR)
        return min(FASTEST_MPS, max(SLOWEST_MPS, exp(min(field + bound, max(field - bound, expected)))))


def _kind(vehicle: str) -> str:
    return vehicle if vehicle in SPEEDS_MPS else "walk"
