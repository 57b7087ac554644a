"""One long street, for cases of the optimizer that can be reckoned by hand: metres are seconds for who goes 1 m/s."""

from __future__ import annotations

import numpy as np

from dispatch.assign import Params, RouteStop, RunnerIn, TaskIn
from dispatch.assign.state import Between, Floats, Rows
from geo.point import Point

NOW_MS = 1_800_000_000_000
_SCALE = 1e5

#: No term counts: a test sets the weight of the one that it is about.
NOTHING = Params(
    travel_weight=0.0, wait_weight=0.0, stand_weight=0.0, lateness_weight=0.0, detour_weight=0.0,
    disturbance_weight=0.0, refusal_s=0.0, credit_s=0.0, idle_weight=0.0, fairness_weight=0.0, ageing_weight=0.0,
    commit_ahead_s=1e6,
)  # fmt: skip


def at(metres: float) -> Point:
    """So many metres down the street."""
    return Point(30.0, round(120 + metres / _SCALE, 9))


def ways(places: Floats) -> Between:
    """Beyond ten kilometres there is a river without a bridge."""
    x = np.round((places[:, 1] - 120) * _SCALE, 3)

    def between(a: Rows, b: Rows) -> Floats:
        metres = np.abs(x[a] - x[b])
        return np.asarray(np.where((x[a] > 1e4) == (x[b] > 1e4), metres, np.inf))

    return between


def soon(seconds: float) -> int:
    """The moment so many seconds from now."""
    return NOW_MS + round(seconds * 1000)


def task(name: str = "t", first: float = 100, last: float = 300, **changes: object) -> TaskIn:
    """Picked up and handed over in no time, promised for whenever."""
    told: dict[str, object] = {
        "points": (at(first), at(last)), "before_s": (0.0, 0.0), "after_s": (0.0, 0.0),
        "opened_at_ms": NOW_MS, "promised_at_ms": soon(1e6),
    }  # fmt: skip
    return TaskIn(id=name, order_id=f"o{name}", **(told | changes))  # type: ignore[arg-type]


def runner(name: str = "r", where: float = 0, **changes: object) -> RunnerIn:
    """Goes a metre a second, stands well, and takes everything."""
    told: dict[str, object] = {"speed_mps": 1.0, "credit": 100, "acceptance": 1.0}
    return RunnerIn(id=name, point=at(where), **(told | changes))  # type: ignore[arg-type]


def on_board(name: str, where: float, promised_s: float = 1e6, **changes: object) -> RouteStop:
    """Something that the runner carries already."""
    return RouteStop(name, at(where), promised_at_ms=soon(promised_s), **changes)  # type: ignore[arg-type]
