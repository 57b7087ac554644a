"""Recorded ticks planned again: as they were, and in another way, side by side.

What this can say: which decisions would have differed on the very same input. What it cannot: what would have come of
them, since the next input is the recorded one, whatever this plan decides (``closed_loop`` plays on instead).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geo.campus import CampusMap
from geo.errors import BadMap
from geo.walkway import Walkways

from ..assign.params import Params
from ..assign.solver import plan
from ..assign.state import Assignment, Method, Plan, TaskIn, Ways
from .files import MAP_SUFFIX, SUFFIX, NoTicks, TickReader, read_map
from .record import TickRecord, differing, pairs, plan_digest
from .recorder import versions
from .variant import Variant, method_of

#: Differing decisions that a report shows one by one.
EXAMPLES = 20


class CannotReplay(ValueError):
    """These ticks cannot be planned again; says why."""


class NothingThere(CannotReplay):
    """Where the command line points there are no such ticks."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A tick with the ways that it was planned on; ``is_like_ours``: by the versions that run now."""

    tick: TickRecord
    ways: Ways
    is_like_ours: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Which of the recorded ticks: Unix milliseconds, ``until_ms`` exclusive; every so many; at most so many."""

    from_ms: int | None = None
    until_ms: int | None = None
    every: int = 1
    most: int | None = None

    def holds(self, now_ms: int) -> bool:
        is_late_enough = self.from_ms is None or now_ms >= self.from_ms
        return is_late_enough and (self.until_ms is None or now_ms < self.until_ms)


class Recording:
    """The files of one campus, read in order of time."""

    def __init__(self, where: Path, campus_id: str | None = None) -> None:
        self._paths = _paths(where, campus_id)
        self._ways: dict[Path, Ways] = {}
        self._ours = versions()
        self.torn = 0
        self.unreadable: list[str] = []

    def ticks(self, span: Span) -> Iterator[Recorded]:
        """Raises :class:`NothingThere` where there is none, :class:`CannotReplay` where a map is missing."""
        seen = taken = 0
        for path in self._paths:
            try:
                reader = TickReader(path)
            except (NoTicks, OSError) as fault:
                self.unreadable.append(str(fault))
                continue
            try:
                for tick in reader.records():
                    if not span.holds(tick.now_ms):
                        continue
                    seen += 1
                    if (seen - 1) % span.every:
                        continue
                    if span.most is not None and taken >= span.most:
                        return
                    taken += 1
                    yield Recorded(tick, self._measured(path, tick.map_id), reader.head.versions == self._ours)
            finally:
                self.torn += reader.torn
                reader.close()
        if not taken:
            raise NothingThere("; ".join(self.unreadable) or "no tick of that time is recorded there")

    def _measured(self, path: Path, map_id: str) -> Ways:
        at = path.parent / f"{map_id}{MAP_SUFFIX}"
        if at not in self._ways:
            try:
                self._ways[at] = Walkways.of(CampusMap.from_bytes(read_map(at))).among
            except (NoTicks, BadMap) as fault:
                raise CannotReplay(str(fault)) from fault
        return self._ways[at]


def _paths(where: Path, campus_id: str | None) -> list[Path]:
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise NothingThere(f"there is no file or folder {where}")
    found = sorted(where.glob(f"*{SUFFIX}")) or sorted(where.glob(f"{campus_id or '*'}/*{SUFFIX}"))
    if not found:
        if campus_id is not None and (others := sorted({path.parent.name for path in where.glob(f"*/*{SUFFIX}")})):
            raise NothingThere(f"{where} holds no ticks of --campus {campus_id}; it holds {', '.join(others)}")
        raise NothingThere(f"{where} holds no recorded ticks (files that end in {SUFFIX})")
    if len({path.parent for path in found}) > 1:
        campuses = ", ".join(sorted({path.parent.name for path in found}))
        raise NothingThere(f"{where} holds several campuses, say which with --campus: {campuses}")
    return found


# --- figures ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Side:
    """What one way of planning came to, over all ticks."""

    name: str
    assigned: int = 0
    planned: int = 0
    kept_waiting: int = 0
    wait_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    cost_s: float = 0.0
    terms_s: dict[str, float] = field(default_factory=dict)
    ms: list[float] = field(default_factory=list)
    per_tick: list[int] = field(default_factory=list)
    wait_per_tick: list[float] = field(default_factory=list)

    def add(self, found: Plan, tasks: dict[str, TaskIn], took_ms: float) -> None:
        self.assigned += len(found.assignments)
        self.planned += len(found.planned)
        self.kept_waiting += len(tasks) - len(found.assignments) - len(found.planned)
        self.ms.append(took_ms)
        self.per_tick.append(len(found.assignments))
        waits = [self._count(one, tasks[one.task_id]) for one in found.assignments]
        self.wait_per_tick.append(sum(waits) / len(waits) if waits else float("nan"))

    def _count(self, one: Assignment, task: TaskIn) -> float:
        wait_s = (one.done_at_ms - task.opened_at_ms) / 1000
        self.wait_s.append(wait_s)
        self.late_s.append(max(0.0, (one.done_at_ms - task.promised_at_ms) / 1000))
        self.cost_s += one.cost_s
        for name, seconds in one.terms.items():
            self.terms_s[name] = self.terms_s.get(name, 0.0) + seconds
        return wait_s

    def summary(self) -> dict[str, Any]:
        """Means are over the assignments."""
        count = max(1, self.assigned)
        return {
            "assigned": self.assigned,
            "planned_and_kept_open": self.planned,
            "kept_waiting": self.kept_waiting,
            "mean_minutes_opened_to_done": round(sum(self.wait_s) / count / 60, 3),
            "mean_minutes_late": round(sum(self.late_s) / count / 60, 3),
            "late_percent": round(100 * sum(late > 0 for late in self.late_s) / count, 2),
            "mean_cost_s": round(self.cost_s / count, 2),
            "mean_terms_s": {name: round(total / count, 2) for name, total in sorted(self.terms_s.items())},
            "plan_ms_p50": round(_quantile(self.ms, 0.5), 2),
            "plan_ms_p99": round(_quantile(self.ms, 0.99), 2),
        }


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A task that the two give to different runners, or that only one of them gives to anybody."""

    now_ms: int
    tick_id: str
    task_id: str
    first: str | None
    second: str | None


@dataclass(slots=True)
class Comparison:
    """Both sides. ``same_plan``: ticks whose recorded plan came out again, byte for byte; ``other_plan``: ticks where
    it did not although the same versions planned; ``other_versions``: the rest of those, planned by other versions."""

    first: Side
    second: Side | None
    ticks: int = 0
    from_ms: int = 0
    until_ms: int = 0
    same_plan: int = 0
    other_plan: int = 0
    other_versions: int = 0
    fallbacks: int = 0
    differing: int = 0
    differing_per_tick: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    examples: list[Difference] = field(default_factory=list)

    def see(self, recorded: Recorded, digest: str) -> None:
        tick = recorded.tick
        self.ticks += 1
        self.from_ms, self.until_ms = min(self.from_ms or tick.now_ms, tick.now_ms), max(self.until_ms, tick.now_ms)
        self.times_ms.append(tick.now_ms)
        self.fallbacks += bool(tick.fallback)
        if digest == tick.digest:
            self.same_plan += 1
        elif recorded.is_like_ours:
            self.other_plan += 1
        else:
            self.other_versions += 1

    def compare(self, tick: TickRecord, one: Plan, other: Plan) -> None:
        a, b = dict(pairs(one.assignments)), dict(pairs(other.assignments))
        found = differing(pairs(one.assignments), pairs(other.assignments))
        self.differing += len(found)
        self.differing_per_tick.append(len(found))
        for task_id in found[: EXAMPLES - len(self.examples)]:
            self.examples.append(Difference(tick.now_ms, tick.id, task_id, a.get(task_id), b.get(task_id)))


def replay(
    ticks: Iterable[Recorded], variant: Variant | None, on_tick: Callable[[int], None] = lambda count: None
) -> Comparison:
    """Plan every tick as it was planned, and as ``variant`` says where one is given."""
    comparison = Comparison(Side("as recorded"), Side(variant.words()) if variant is not None else None)
    for recorded in ticks:
        tick = recorded.tick
        tasks = {task.id: task for task in tick.tasks}
        first, took_ms = _planned(recorded, tick.params, method_of(tick.acted))
        comparison.first.add(first, tasks, took_ms)
        comparison.see(recorded, plan_digest(first))
        if variant is not None and comparison.second is not None:
            second, took_ms = _planned(recorded, variant.params(tick.params), method_of(variant.method or tick.asked))
            comparison.second.add(second, tasks, took_ms)
            comparison.compare(tick, first, second)
        on_tick(comparison.ticks)
    return comparison


def _planned(recorded: Recorded, params: Params, method: Method) -> tuple[Plan, float]:
    tick = recorded.tick
    began_s = time.perf_counter()
    found = plan(tick.tasks, tick.runners, recorded.ways, tick.now_ms, params, method)
    return found, (time.perf_counter() - began_s) * 1000
