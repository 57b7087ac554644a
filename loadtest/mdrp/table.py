"""The printed report: every instance, every set with its halves, and what must hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .figures import Day, Figures, mean_of_instances, pooled
from .sets import BASE, EXACT_CTD, SETS, SIXTEEN, days_of
from .verdicts import Bound, match30_counts, match30_ratio

HEADER = (
    f"{'':<30} {'CtD':>6} {'penal.':>6} {'RtP':>6} {'undel.':>6} {'%':>6} {'>targ%':>6} "
    f"{'cost':>6} {'o/b':>5} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7}"
)
HALVES = ((None, ""), (True, "chosen on"), (False, "not seen"))


def text(days: Sequence[Day], policies: Sequence[str], bounds: Sequence[Bound], per_instance: bool = True) -> str:
    """The whole report; without ``per_instance`` it begins with the sets."""
    lines = list(_instances(days, policies)) if per_instance else []
    for set_name in SETS:
        lines += _set(days, policies, set_name)
    lines += ["", *_verdicts(days, bounds)]
    if broken := [d for d in days if d.faults]:
        lines += ["", "INVALID: these days break the rules and count for nothing:"]
        lines += [f"  {d.instance} {d.policy}: {len(d.faults)} faults, first: {d.faults[0]}" for d in broken]
    else:
        lines += ["", "every day was validated: no rule is broken"]
    return "\n".join(lines)


def _instances(days: Sequence[Day], policies: Sequence[str]) -> Iterator[str]:
    yield "minutes from click to door (CtD), with 90 for each undelivered order (penal.), from ready to pick-up (RtP);"
    yield "cost per delivered order; orders per bundle (o/b); milliseconds of a tick"
    yield HEADER
    for name in sorted({d.instance for d in days}):
        of = {d.policy: d for d in days if d.instance == name}
        half = "chosen on" if next(iter(of.values())).chosen else "not seen"
        yield f"{name}  ({next(iter(of.values())).orders} orders, {half})"
        for policy in policies:
            if policy in of:
                yield line(f"  {policy}", pooled([of[policy]]))


def _set(days: Sequence[Day], policies: Sequence[str], set_name: str) -> Iterator[str]:
    title, _ = SETS[set_name]
    for chosen, half in HALVES:
        n = len({d.instance for p in policies for d in days_of(days, set_name, p, chosen)})
        if not n:
            continue
        yield ""
        yield f"== {title}{': ' + half if half else ''} ({n})"
        yield HEADER
        for policy in policies:
            of = days_of(days, set_name, policy, chosen)
            if not of:
                continue
            mean = mean_of_instances(of)
            note = ""
            if set_name == SIXTEEN and mean.ctd is not None and len(of) == 16:
                note = f"  {mean.ctd / EXACT_CTD:.4f} × exact"
            if set_name == BASE and policy not in ("bound", "match30"):
                note = _to_match30(days, of, mean, set_name, chosen)
            yield line(f"  {policy}, mean of instances", mean) + note
            yield line(f"  {policy}, pooled", pooled(of))


def _to_match30(days: Sequence[Day], of: Sequence[Day], mean: Figures, set_name: str, chosen: bool | None) -> str:
    match30 = days_of(days, set_name, "match30", chosen)
    if match30_counts(days) or len(match30) != len(of):
        return ""
    return f"  penalised {mean.penalised / mean_of_instances(match30).penalised:.4f} × match30"


def _verdicts(days: Sequence[Day], bounds: Sequence[Bound]) -> Iterator[str]:
    ratio = match30_ratio(days)
    if ratio is not None:
        yield f"match30 rebuilt: {ratio:.4f} × exact (published measurement 1.021 ± 0.004)"
    if why := match30_counts(days):
        yield f"ratios to match30 are not told: {why}"
    for bound in bounds:
        value = "–" if bound.value is None else f"{bound.value:.4g} {bound.unit}"
        aim = "" if bound.aim is None else f" · aim ≤ {bound.aim:g}: {bound.judged(bound.aim)}"
        why = f"  ({bound.why})" if bound.why else ""
        yield f"{bound.what:<40} {value:>12}   must ≤ {bound.must:g}: {bound.judged(bound.must)}{aim}{why}"


def line(name: str, f: Figures) -> str:
    return (
        f"{name:<30} {_n(f.ctd)} {_n(f.penalised)} {_n(f.rtp)} {f.undelivered:>6} {_n(100 * f.undelivered_share)} "
        f"{_n(None if f.over_target_share is None else 100 * f.over_target_share)} {_n(f.cost_per_order)} "
        f"{_n(f.orders_per_bundle, 5)} {_n(f.tick_p50_ms, 7)} {_n(f.tick_p99_ms, 7)} {_n(f.tick_max_ms, 7)}"
    ).rstrip()


def _n(value: float | None, width: int = 6) -> str:
    return f"{'–':>{width}}" if value is None else f"{value:>{width}.2f}"
