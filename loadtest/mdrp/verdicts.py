"""What must hold on the published sets, and whether it does; ratios only to a match30 that is what was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Day, mean_of_instances
from .sets import BASE, EXACT_CTD, SIXTEEN, days_of

#: match30, measured elsewhere: the rebuilt one has to come out the same before anything is compared with it.
MATCH30_RATIO, MATCH30_TOLERANCE = 1.021, 0.004

OK, MISSES, NOT_MEASURED = "ok", "misses", "not measured"


@dataclass(frozen=True, slots=True)
class Bound:
    """One figure with what it must be and what it should be; None: not measured, ``why`` says the reason."""

    what: str
    value: float | None
    must: float
    aim: float | None = None
    unit: str = ""
    why: str = ""

    def judged(self, bound: float) -> str:
        if self.value is None:
            return NOT_MEASURED
        return OK if self.value <= bound + 1e-12 else MISSES

    @property
    def is_missed(self) -> bool:
        return self.judged(self.must) == MISSES


def match30_ratio(days: Sequence[Day]) -> float | None:
    """Of the rebuilt match30 to the exact optimum on the sixteen; None unless all of them were played."""
    of = days_of(days, SIXTEEN, "match30")
    ctd = mean_of_instances(of).ctd if len(of) == 16 else None
    return None if ctd is None else ctd / EXACT_CTD


def match30_counts(days: Sequence[Day]) -> str:
    """Empty where ratios to match30 may be told, else why not."""
    ratio = match30_ratio(days)
    if ratio is None:
        return "match30 was not played on the 16 instances that it is known on"
    if abs(ratio - MATCH30_RATIO) > MATCH30_TOLERANCE:
        return f"match30 came out at {ratio:.4f} × exact, not at {MATCH30_RATIO} ± {MATCH30_TOLERANCE}"
    return ""


def verdicts(days: Sequence[Day], policy: str = "ours") -> list[Bound]:
    """Only of sets that were played."""
    out: list[Bound] = []
    if sixteen := days_of(days, SIXTEEN, policy):
        figures = mean_of_instances(sixteen)
        partly = "" if len(sixteen) == 16 else f"{len(sixteen)} of the 16 were played"
        ratio = None if partly or figures.ctd is None else figures.ctd / EXACT_CTD
        out.append(Bound("16: mean CtD / exact 30.67", ratio, 1.025, 1.015, "×", partly))
        out.append(Bound("16: undelivered", float(figures.undelivered), 0, 0, "orders", partly))
    if base := days_of(days, BASE, policy):
        figures = mean_of_instances(base)
        out.append(Bound("base: undelivered, mean of instances", 100 * figures.undelivered_share, 0.6, 0.3, "%"))
        why = match30_counts(days)
        other = {d.instance: d for d in days_of(days, BASE, "match30")}
        both = [other[d.instance] for d in base if d.instance in other]
        if not why and len(both) < len(base):
            why = "match30 was not played on all of them"
        ratio = None if why else figures.penalised / mean_of_instances(both).penalised
        out.append(Bound("base: penalised CtD / match30", ratio, 0.97, 0.94, "×", why))
    return out
