"""The plot of a replay; the only module of this room that needs matplotlib."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .closed_loop import Day
from .replay import Comparison, Side

_COLOURS = ("#3b6ea5", "#d9782d")
#: Points of a line: more are drawn as means of neighbours.
_MOST_POINTS = 240


def draw(comparison: Comparison, days: list[Day]) -> Figure:
    """Assignments and waits over time, the cost's terms, and where the two differ."""
    sides = [comparison.first, *([comparison.second] if comparison.second else [])]
    figure = Figure(figsize=(11, 8), layout="constrained")
    places = figure.subplots(2, 2)
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in comparison.times_ms]
    for side, colour in zip(sides, _COLOURS, strict=False):
        _line(places[0][0], times, [float(count) for count in side.per_tick], side.name, colour)
        _line(places[0][1], times, [wait_s / 60 for wait_s in side.wait_per_tick], side.name, colour)
    _said(places[0][0], "assigned per tick")
    _said(places[0][1], "minutes, opened to done, as expected")
    _terms(places[1][0], sides)
    if days:
        _spread(places[1][1], days)
    elif comparison.second:
        _line(places[1][1], times, [float(n) for n in comparison.differing_per_tick], "differing", "#a03050")
        _said(places[1][1], "differing decisions per tick")
    else:
        places[1][1].hist(comparison.first.ms, bins=40, color=_COLOURS[0])
        _said(places[1][1], "milliseconds per plan", legend=False)
    return figure


def _line(axes: Axes, times: list[datetime], values: list[float], name: str, colour: str) -> None:
    step = max(1, len(values) // _MOST_POINTS)
    at, mean = [], []
    for start in range(0, len(values), step):
        known = [value for value in values[start : start + step] if value == value]
        if known:
            at.append(times[start])
            mean.append(sum(known) / len(known))
    axes.plot(at, mean, label=name, color=colour, linewidth=1.2)  # type: ignore[arg-type]


def _said(axes: Axes, title: str, legend: bool = True) -> None:
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if legend:
        axes.legend(fontsize=8)


def _terms(axes: Axes, sides: list[Side]) -> None:
    names = sorted({name for side in sides for name in side.terms_s})
    for number, (side, colour) in enumerate(zip(sides, _COLOURS, strict=False)):
        means = [side.terms_s.get(name, 0.0) / max(1, side.assigned) for name in names]
        axes.barh([row + 0.4 * number for row in range(len(names))], means, 0.38, label=side.name, color=colour)
    axes.set_yticks([row + 0.2 * (len(sides) - 1) for row in range(len(names))], names)
    _said(axes, "mean cost of an assignment by term, seconds")


def _spread(axes: Axes, days: list[Day]) -> None:
    for day, colour in zip(days, _COLOURS, strict=False):
        minutes = sorted(wait_s / 60 for wait_s in day.wait_s)
        axes.plot(minutes, [(n + 1) / len(minutes) for n in range(len(minutes))], label=day.name, color=colour)
    _said(axes, "played on: share of orders done within so many minutes")


def as_svg(figure: Figure) -> str:
    """The figure as text, the same for the same figure."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    """As the file's ending says: png, svg, pdf."""
    figure.savefig(path, dpi=130)
