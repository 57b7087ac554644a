"""The plots of a report, as SVG text; the only module that needs matplotlib."""

from __future__ import annotations

import io
from collections import defaultdict
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import Figures

SIZE = (9.0, 2.8)
BIN_S = 10


def plots(figures: Figures) -> list[tuple[str, str]]:
    """(title, SVG) of what the run measured; a plot without anything to show is left out."""
    made = [
        ("Orders and offers per 10 s", _rates(figures, ("placed", "offered", "accepted", "declined", "handed_over"))),
        ("Fixes and events per 10 s", _rates(figures, ("fixes_sent", "fixes_seen", "events"))),
        ("Age of positions at the viewer (sent to received, one clock), real ms", _ages(figures)),
        ("Age of positions, how many (log)", _histogram(figures)),
        ("CPU of the server's processes, %", _cpu(figures)),
        ("Memory of the server's processes, MB", _memory(figures)),
    ]
    return [(title, svg) for title, svg in made if svg]


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight")
    text = out.getvalue()
    return text[text.index("<svg") :]


def _axes(figure: Figure) -> Axes:
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.set_xlabel("real seconds")
    return axes


def _rates(figures: Figures, names: tuple[str, ...]) -> str:
    if not figures.per_second:
        return ""
    figure = Figure(figsize=SIZE)
    axes = _axes(figure)
    for name in names:
        bins: defaultdict[int, int] = defaultdict(int)
        for second, counts in figures.per_second.items():
            bins[second // BIN_S] += counts[name]
        ends = range(max(bins) + 1)
        axes.plot([i * BIN_S for i in ends], [bins[i] for i in ends], label=name.replace("_", " "))
    axes.legend(loc="upper left", fontsize=8)
    return _svg(figure)


def _ages(figures: Figures) -> str:
    if not figures.age_series:
        return ""
    figure = Figure(figsize=SIZE)
    axes = _axes(figure)
    at = sorted(figures.age_series)
    for share in (0.5, 0.95, 0.99):
        axes.plot(at, [figures.age_series[i].percentile(share) for i in at], label=f"p{share * 100:.0f}")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize=8)
    return _svg(figure)


def _histogram(figures: Figures) -> str:
    buckets = figures.ages_ms.buckets()
    if not buckets:
        return ""
    figure = Figure(figsize=SIZE)
    axes = _axes(figure)
    axes.bar([bound for bound, _ in buckets], [n for _, n in buckets], width=[bound * 0.04 for bound, _ in buckets])
    axes.set_yscale("log")
    axes.set_xlabel("ms")
    return _svg(figure)


def _cpu(figures: Figures) -> str:
    return _per_process(figures, is_cpu=True)


def _memory(figures: Figures) -> str:
    return _per_process(figures, is_cpu=False)


def _per_process(figures: Figures, *, is_cpu: bool) -> str:
    if not figures.usage:
        return ""
    figure = Figure(figsize=SIZE)
    axes = _axes(figure)
    for pid in dict.fromkeys(usage.pid for usage in figures.usage):
        of = [usage for usage in figures.usage if usage.pid == pid]
        label = f"{of[0].role} {pid}"
        if is_cpu:
            pairs = [(a, b) for a, b in pairwise(of) if b.at_s > a.at_s]
            axes.plot(
                [b.at_s for _, b in pairs],
                [100 * (b.cpu_s - a.cpu_s) / (b.at_s - a.at_s) for a, b in pairs],
                label=label,
            )
        else:
            axes.plot([usage.at_s for usage in of], [usage.rss_bytes / 2**20 for usage in of], label=label)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize=8)
    return _svg(figure)
