"""What raw figures mean: medians, ratios, which rows do not count and why. Pure, so that it can be checked by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

#: What must hold for a row to count; shares of 1.
MOST_FRAMES_PER_READ = 1.1
MOST_CONFLATED = 0.01
LEAST_ACCEPTED = 0.95
LEAST_MEMBERS_PER_FIX = 0.95
#: Of the deliveries that there should be, one per fix and watcher.
LEAST_DELIVERED = 0.95
MOST_LATE_SENDS = 0.02
MOST_AGE_P99_MS = 250.0
LEAST_ROUNDS = 5

OK, MISSES, NOT_MEASURED, DOES_NOT_COUNT, PUBLISHED = "ok", "misses", "not measured", "does not count", "published"


@dataclass(frozen=True, slots=True)
class Reading:
    """One server in one round: ``operations`` in the measured window and what each column of processes used for them.
    ``figures`` hold what conditions are about, by name; a figure that the server cannot say is missing."""

    server: str
    round: int
    seconds: float
    operations: float
    cpu_ns: Mapping[str, float]
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def cpu_us(self, column: str = "server") -> float | None:
        """Microseconds of processor time per operation."""
        if column not in self.cpu_ns or not self.operations:
            return None
        return self.cpu_ns[column] / 1000.0 / self.operations


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a figure of the readings."""

    figure: str
    least: float | None = None
    most: float | None = None

    def fault(self, value: float | None) -> str | None:
        """What is wrong with this value; None when it holds."""
        name = self.figure.replace("_", " ")
        if value is None:
            return f"{name} unknown"
        if self.least is not None and not value >= self.least:
            return f"{name} {value:.3g} < {self.least:g}"
        if self.most is not None and not value <= self.most:
            return f"{name} {value:.3g} > {self.most:g}"
        return None


SENDS = (Condition("late_sends", most=MOST_LATE_SENDS), Condition("sent", least=0.999))
FIXES = (
    *SENDS,
    Condition("frames_per_read", most=MOST_FRAMES_PER_READ),
    Condition("conflated", most=MOST_CONFLATED),
    Condition("accepted", least=LEAST_ACCEPTED),
    Condition("members_per_fix", least=LEAST_MEMBERS_PER_FIX),
)
DELIVERIES = (
    *FIXES,
    Condition("delivered", least=LEAST_DELIVERED),
    Condition("age_p99_ms", most=MOST_AGE_P99_MS),
)
#: Baselines count less of themselves; what they can say must hold: one that writes half as much is not the same work.
MEMBERS = Condition("members_per_fix", least=LEAST_MEMBERS_PER_FIX)
BASELINE_FIXES = (*SENDS, Condition("accepted", least=LEAST_ACCEPTED))
BASELINE_DELIVERIES = (
    *BASELINE_FIXES,
    Condition("delivered", least=LEAST_DELIVERED),
    Condition("age_p99_ms", most=MOST_AGE_P99_MS),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The median round of one server. ``faults``: why its row does not count; judged on medians of all rounds, for
    rounds that are left out because they went badly would be chosen, not measured."""

    server: str
    rounds: int
    cpu_us: Mapping[str, float]
    spread_us: tuple[float, float]
    figures: Mapping[str, float]
    worst: Mapping[str, float]
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        return not self.faults


def summary(readings: Sequence[Reading], conditions: Iterable[Condition], least_rounds: int = LEAST_ROUNDS) -> Summary:
    """Join the rounds of one server."""
    if not readings:
        raise ValueError("no round was measured")
    columns = {column for reading in readings for column in reading.cpu_ns}
    cpu_us = {c: median([v for r in readings if (v := r.cpu_us(c)) is not None] or [0.0]) for c in sorted(columns)}
    own = [value for reading in readings if (value := reading.cpu_us()) is not None] or [0.0]
    names = {name for reading in readings for name in reading.figures}
    values = {n: [r.figures[n] for r in readings if n in r.figures] for n in sorted(names)}
    # A figure that one round lacks is unknown for the row.
    figures = {name: median(found) for name, found in values.items() if len(found) == len(readings)}
    bounds = {condition.figure: condition for condition in conditions}
    worst = {n: min(v) if n in bounds and bounds[n].least is not None else max(v) for n, v in values.items()}
    faults = [fault for c in bounds.values() if (fault := c.fault(figures.get(c.figure))) is not None]
    if len(readings) < least_rounds:
        faults.append(f"{len(readings)} rounds, {least_rounds} are needed")
    notes = tuple(dict.fromkeys(note for reading in readings for note in reading.notes))
    return Summary(
        readings[0].server, len(readings), cpu_us, (min(own), max(own)), figures, worst, tuple(faults), notes
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the table with its bounds. ``value`` None: not measured."""

    row: str
    name: str
    value: float | None
    unit: str
    must: float | None = None
    aim: float | None = None
    faults: tuple[str, ...] = ()

    def judged(self, bound: float | None) -> str:
        """``ok`` or ``misses`` against a bound (at most so much); what was not measured is never ok."""
        if self.value is None:
            return NOT_MEASURED
        if self.faults:
            return DOES_NOT_COUNT
        if bound is None:
            return PUBLISHED
        return OK if self.value <= bound else MISSES

    @property
    def verdict(self) -> str:
        """On what must hold."""
        return self.judged(self.must)

    @property
    def is_missed(self) -> bool:
        """Whether ``--check`` fails on it: everything but a bound that is kept, or a figure without one."""
        return self.must is not None and self.verdict != OK


def ratio(
    row: str, name: str, ours: Summary | None, other: Summary | None, must: float, aim: float, other_name: str
) -> Figure:
    """How many times the other's processor time per operation ours is."""
    faults = [*(ours.faults if ours else ())]
    if other is not None:
        faults += [f"{other_name}: {fault}" for fault in other.faults]
    if ours is None or other is None or not other.cpu_us.get("server"):
        return Figure(row, name, None, "x", must, aim, tuple(faults))
    return Figure(row, name, ours.cpu_us["server"] / other.cpu_us["server"], "x", must, aim, tuple(faults))


def share(part: float | None, whole: float | None) -> float | None:
    """A part of a whole; None where either is unknown or the whole is nothing."""
    if part is None or not whole:
        return None
    return part / whole
