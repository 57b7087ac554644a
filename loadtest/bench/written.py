"""What is made of a written report: the tables of docs/BENCHMARKS.md and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: One colour for each server, the same in every part of the picture.
COLOURS = {
    "dispatch serve": "#1565c0", "nchan": "#2e7d32", "plain Tornado": "#c62828", "C epoll loop": "#757575",
}  # fmt: skip
LANES = (("idle", "nobody watching"), ("deliver", "3 watchers each"))


def markdown(body: dict[str, Any]) -> str:
    """The report's figures and servers as tables."""
    lines = ["| figure | measured | must | aim |", "|---|---|---|---|"]
    for row in body["rows"]:
        lines.append(f"| **{row['title']}** | | | |")
        lines += [_figure_line(figure) for figure in row["figures"]]
    for row in body["rows"]:
        if row["summaries"]:
            lines += ["", f"**{row['title']}**", "", *_server_lines(row)]
        lines += [f"\n{name}: not measured ({why})" for name, why in row["missing"].items()]
        notes = [*row["notes"], *(note for one in row["summaries"] for note in one["notes"])]
        lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines)


def _figure_line(figure: dict[str, Any]) -> str:
    value = "not measured" if figure["value"] is None else f"{figure['value']:,.3g} {figure['unit']}".strip()
    if figure["value"] is not None and figure["value"] >= 1000:
        value = f"{figure['value']:,.0f} {figure['unit']}"
    bounds = []
    for bound, verdict in ((figure["must"], figure["verdict"]), (figure["aim"], figure["aim_verdict"])):
        bounds.append("" if bound is None else f"≤ {bound:g}: {verdict}")
    return f"| {figure['name']} | {value} | {' | '.join(bounds)} |"


def _server_lines(row: dict[str, Any]) -> list[str]:
    """One line per server: its own microseconds, those of Redis and of helpers, and what conditions are about."""
    columns = sorted({column for one in row["summaries"] for column in one["cpu_us"]} - {"server"})
    names = [name for name in _SHOWN if any(name in one["figures"] for one in row["summaries"])]
    head = ["server", f"µs per {row['per']}", "least to most", *columns, *(name.replace("_", " ") for name in names)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in row["summaries"]:
        low, high = one["spread_us"]
        cells = [one["server"], f"{one['cpu_us'].get('server', 0):.1f}", f"{low:.1f} to {high:.1f}"]
        cells += [f"{one['cpu_us'][c]:.1f}" if c in one["cpu_us"] else "" for c in columns]
        cells += [f"{one['figures'][name]:.3g}" if name in one["figures"] else "" for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


_SHOWN = (
    "frames_per_read", "conflated", "accepted", "members_per_fix", "deliveries_per_fix", "deliveries_per_event",
    "age_p50_ms", "age_p99_ms", "late_sends",
)  # fmt: skip


def picture(body: dict[str, Any], path: Path) -> bool:
    """Bars of processor time per fix, and of Redis on top; whether there was anything to draw."""
    rows = {row["name"]: row for row in body["rows"]}
    lanes = [(rows[name], words) for name, words in LANES if name in rows and rows[name]["summaries"]]
    if not lanes:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(lanes), 3.6))
    axes = figure.subplots(1, len(lanes), squeeze=False)
    for axis, (row, words) in zip(axes[0], lanes, strict=True):
        for place, one in enumerate(row["summaries"]):
            own, redis = one["cpu_us"].get("server", 0.0), one["cpu_us"].get("redis", 0.0)
            low, high = one["spread_us"]
            axis.bar(place, own, color=COLOURS.get(one["server"], "#616161"), width=0.65)
            axis.bar(place, redis, bottom=own, color="#bdbdbd", width=0.65)
            axis.errorbar(place, own, yerr=[[own - low], [high - own]], color="black", capsize=3, linewidth=1)
            axis.text(place, own + redis, f" {own:.1f}", ha="center", va="bottom", fontsize=9)
        axis.set_xticks(range(len(row["summaries"])), [one["server"] for one in row["summaries"]], fontsize=8)
        axis.set_title(words, fontsize=10)
        axis.set_ylabel("µs of processor time per fix")
        axis.margins(y=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    figure.text(0.01, 0.01, f"{body['conditions']['load']}; grey: Redis; bars: least to most", fontsize=7)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True
