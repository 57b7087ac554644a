"""The picture of a run: every instance's click-to-door over what physics leaves, and what stayed undelivered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .figures import Day, pooled

COLOURS = {"bound": "#9e9e9e", "greedy": "#c2703d", "match30": "#3d6fc2", "ours": "#1f8a4c", "fallback": "#8a5fb0"}


def draw(path: Path, days: Sequence[Day], policies: Sequence[str]) -> None:
    """Writes a PNG; the instances by name, those that parameters were chosen on are marked with a dot."""
    names = sorted({d.instance for d in days})
    chosen = {d.instance for d in days if d.chosen}
    figure = Figure(figsize=(max(7.0, 0.42 * len(names) + 2.5), 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for policy in policies:
        of = {d.instance: pooled([d]) for d in days if d.policy == policy}
        xs = [i for i, name in enumerate(names) if name in of]
        colour = COLOURS[policy]
        upper.plot(
            xs, [of[names[i]].penalised for i in xs], "o-", color=colour, label=policy, markersize=4, linewidth=1
        )
        lost = [100 * of[names[i]].undelivered_share for i in xs]
        lower.plot(xs, lost, "o-", color=colour, markersize=4, linewidth=1)
    upper.set_ylabel("penalised click-to-door, minutes")
    upper.legend(fontsize=8)
    lower.set_ylabel("undelivered, %")
    lower.set_xticks(range(len(names)), [("• " if n in chosen else "") + n for n in names], rotation=90, fontsize=7)
    lower.set_xlabel("• parameters were chosen on these")
    _grid(upper)
    _grid(lower)
    figure.savefig(path, format="png", dpi=110)


def _grid(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
