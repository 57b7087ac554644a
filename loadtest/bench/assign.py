"""How long a tick takes from what was read to the plan, by stage, beside the fastest bare solve of the same matrix."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from dispatch.assign import Params, Plan, plan
from dispatch.assign.candidates import pairs
from dispatch.assign.ground import ground
from dispatch.assign.rounds import evaluate
from dispatch.assign.routes import Road, fleet_of
from dispatch.processes import spare_what_stays
from geo.campus import CampusMap
from geo.demo_campus import demo_campus
from geo.osm_import import import_osm
from geo.point import Point
from geo.walkway import Walkways

from .busy_books import Laid, ground_of, laid, positions, situation
from .busy_ticks import BusyCampus, Size, Tick

SIZES = (Size(200, 200), Size(663, 2585), Size(5000, 6000))
#: Milliseconds that 99 of 100 ticks of a size may take at most.
BOUNDS_MS = {SIZES[0]: 100.0, SIZES[1]: 400.0, SIZES[2]: 1500.0}
_ROUNDS = {SIZES[0]: 100, SIZES[1]: 40, SIZES[2]: 12}
STAGES = ("positions", "situation", "places", "candidates", "costs", "solve", "routes", "records")


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of one tick: on the clock, of the processor, and of the processor by stage."""

    wall_ms: float
    cpu_ms: float
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One size, measured. ``bare_ms``: processor time of the solvers alone, over the matrix of the first round."""

    size: str
    rounds: int
    wall_p50_ms: float
    wall_p99_ms: float
    cpu_p50_ms: float
    cpu_p99_ms: float
    stages_ms: Mapping[str, float]
    bare_ms: Mapping[str, float]
    ratio: float
    peak_mb: float
    given: int
    bound_ms: float | None

    @property
    def is_missed(self) -> bool:
        return self.bound_ms is not None and self.wall_p99_ms >= self.bound_ms


def campus_of(path: Path | None) -> CampusMap:
    """The map of an OpenStreetMap extract, or the demo campus."""
    return import_osm(path)[0] if path is not None else demo_campus()


class Bench:
    """Ticks on one campus; its paths stay known from tick to tick, as in the server."""

    def __init__(self, campus: CampusMap, params: Params) -> None:
        self._ways = Walkways.of(campus)
        self._ways.warm(place.point for place in campus.places.values())
        graph = self._ways.graph
        walked = [Point(*map(float, row)) for row in graph.nodes] if graph is not None else []
        self._campus = BusyCampus(campus, walked)
        self._ground = ground_of(campus, self._ways)
        self._params = params

    def measure(self, size: Size, rounds: int | None, say: Callable[[str], None]) -> Outcome:
        rounds = rounds or _ROUNDS.get(size, 20)
        self._timed(laid(self._campus.tick(size, 0)))
        # As the server does before its first tick.
        spare_what_stays()
        ticks: list[Timed] = []
        for seed in range(1, rounds + 1):
            ticks.append(self._timed(laid(self._campus.tick(size, seed)))[0])
        last, made = self._timed(laid(self._campus.tick(size, rounds)))[1:]
        bare = self._bare(last)
        cpu = [tick.cpu_ms for tick in ticks]
        outcome = Outcome(
            size=str(size),
            rounds=rounds,
            wall_p50_ms=_quantile([tick.wall_ms for tick in ticks], 50),
            wall_p99_ms=_quantile([tick.wall_ms for tick in ticks], 99),
            cpu_p50_ms=_quantile(cpu, 50),
            cpu_p99_ms=_quantile(cpu, 99),
            stages_ms={name: _quantile([tick.stages_ms.get(name, 0.0) for tick in ticks], 50) for name in STAGES},
            bare_ms=bare,
            ratio=_quantile(cpu, 50) / min(bare.values()),
            peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            given=len(made.assignments) + len(made.planned),
            bound_ms=BOUNDS_MS.get(size),
        )
        say(row(outcome))
        return outcome

    def _timed(self, found: Laid) -> tuple[Timed, Tick, Plan]:
        """From the answers of the books and of Redis to the plan; also what the optimizer was told."""
        stages: dict[str, float] = {}
        began_cpu, began = time.process_time(), time.perf_counter()
        at = [began_cpu]

        def lap(stage: str) -> None:
            now = time.process_time()
            stages[stage] = stages.get(stage, 0.0) + (now - at[0]) * 1000
            at[0] = now

        fixes = positions(found)
        lap("positions")
        told = situation(found, fixes, self._ground)
        tick = Tick(told.to_plan(), told.runners, told.now_ms)
        lap("situation")
        made = plan(tick.tasks, tick.runners, self._ways.among, tick.now_ms, self._params, lap=lap)
        cpu_ms, wall_ms = (time.process_time() - began_cpu) * 1000, (time.perf_counter() - began) * 1000
        return Timed(wall_ms, cpu_ms, stages), tick, made

    def _bare(self, tick: Tick) -> dict[str, float]:
        """Each scipy solver alone, the better of three: nothing but the matrix of the first round, made beforehand."""
        params = self._params
        seen = ground(tick.tasks, tick.runners, self._ways.among, tick.now_ms, params)
        road, fleet = Road(seen, params), fleet_of(seen)
        among = pairs(seen, fleet, params)
        with np.errstate(invalid="ignore"):
            cost_s = evaluate(road, fleet, among, params).costs.total_s
        use = np.isfinite(cost_s)
        t, r, values = among.task[use], among.runner[use], cost_s[use]
        n, m = len(tick.tasks), len(tick.runners)
        dense = np.full((n, m), params.unassigned_s)
        dense[t, r] = values
        edges = (
            np.concatenate((values, np.full(n, params.unassigned_s))) + 1.0 - min(0.0, float(values.min(initial=0.0)))
        )
        ends = (np.concatenate((t, np.arange(n))), np.concatenate((r, m + np.arange(n))))
        sparse = csr_matrix((edges, ends), shape=(n, m + n))
        return {
            "linear_sum_assignment": _fastest(lambda: linear_sum_assignment(dense)),
            "min_weight_full_bipartite_matching": _fastest(lambda: min_weight_full_bipartite_matching(sparse)),
        }


def _fastest(solve: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        began = time.process_time()
        solve()
        taken.append((time.process_time() - began) * 1000)
    return max(min(taken), 1e-3)


def _quantile(values: Sequence[float], percent: float) -> float:
    """Rounded up to one that was measured: of few ticks the 99th percentile is the longest."""
    return float(np.percentile(values, percent, method="higher"))


_COLUMNS = (
    "tasks x runners", "ticks", "p50 ms", "p99 ms", "bound", "", "CPU p50", "CPU p99", *STAGES, "bare solve", "ratio",
    "peak MB", "given",
)  # fmt: skip


def heading() -> str:
    """The names of the columns of ``row``, as the head of a table."""
    return f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def row(one: Outcome) -> str:
    """One line of the table."""
    bound = ("", "") if one.bound_ms is None else (f"< {one.bound_ms:g}", "misses" if one.is_missed else "ok")
    solver = min(one.bare_ms, key=lambda name: one.bare_ms[name])
    cells = [
        one.size, str(one.rounds), f"{one.wall_p50_ms:.0f}", f"{one.wall_p99_ms:.0f}", *bound,
        f"{one.cpu_p50_ms:.0f}", f"{one.cpu_p99_ms:.0f}", *(f"{one.stages_ms[name]:.1f}" for name in STAGES),
        f"{one.bare_ms[solver]:.1f} ({'dense' if solver.startswith('linear') else 'sparse'})", f"{one.ratio:.1f}",
        f"{one.peak_mb:.0f}", str(one.given),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def body(outcomes: Iterator[Outcome] | Sequence[Outcome], about: Mapping[str, str]) -> dict[str, Any]:
    """Everything as JSON."""
    return {"about": dict(about), "sizes": [asdict(one) | {"is_missed": one.is_missed} for one in outcomes]}
