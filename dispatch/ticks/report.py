"""A replay as a table for the terminal, as JSON, and as a page with its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .closed_loop import Day
from .replay import Comparison, Difference

#: What is said with every report.
OPEN_LOOP = (
    "Open loop: every tick is planned on its recorded input, whatever was decided in the tick before. This shows which "
    "decisions differ and what the optimizer expected of them, not what would have come of them."
)
CLOSED_LOOP = (
    "Closed loop: recorded orders come and recorded runners are on duty as they were; from the first tick on runners "
    "do what this plan says, at the pace and the service times that the optimizer assumes, and refuse nothing."
)
_NAMES = {
    "assigned": "assigned",
    "planned_and_kept_open": "foreseen and kept open",
    "kept_waiting": "kept waiting",
    "mean_minutes_opened_to_done": "mean minutes, opened to done",
    "mean_minutes_late": "mean minutes late",
    "late_percent": "late, %",
    "mean_cost_s": "mean cost, s",
    "plan_ms_p50": "plan p50, ms",
    "plan_ms_p99": "plan p99, ms",
    "orders": "orders",
    "delivered": "delivered",
    "p90_minutes_opened_to_done": "p90 minutes, opened to done",
    "tasks_per_trip": "tasks at hand, mean",
    "metres_per_order": "metres per order",
}


def as_json(comparison: Comparison, days: Sequence[Day]) -> dict[str, Any]:
    """Everything that a report says, for programs."""
    sides = [comparison.first, *([comparison.second] if comparison.second else [])]
    return {
        "ticks": comparison.ticks,
        "from": _instant(comparison.from_ms),
        "until": _instant(comparison.until_ms),
        "same_plan": comparison.same_plan,
        "other_plan": comparison.other_plan,
        "other_versions": comparison.other_versions,
        "fallbacks": comparison.fallbacks,
        "sides": {side.name: side.summary() for side in sides},
        "differing_decisions": comparison.differing if comparison.second else None,
        "examples": [_example(one) for one in comparison.examples],
        "closed_loop": {day.name: day.summary() for day in days},
        "notes": [OPEN_LOOP, *([CLOSED_LOOP] if days else [])],
    }


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _example(one: Difference) -> dict[str, Any]:
    return {
        "at": _instant(one.now_ms), "tick_id": one.tick_id, "task_id": one.task_id,
        "first": one.first, "second": one.second,
    }  # fmt: skip


def rows(sides: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """A table: a head, then a row per figure; terms of the cost are indented."""
    table = [["", *sides]]
    columns = list(sides.values())
    for name, label in _NAMES.items():
        if any(name in column for column in columns):
            table.append([label, *(_said(column.get(name)) for column in columns)])
        if name == "mean_cost_s":
            terms = sorted({term for column in columns for term in column.get("mean_terms_s", {})})
            for term in terms:
                table.append(
                    [f"  of it {term}", *(_said(column.get("mean_terms_s", {}).get(term)) for column in columns)]
                )
    return table


def _said(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def as_text(told: Mapping[str, Any]) -> str:
    """The report for a terminal."""
    lines = [f"{told['ticks']} ticks, {told['from']} to {told['until']}", _repeated(told), ""]
    lines += _aligned(rows(told["sides"]))
    if told["differing_decisions"] is not None:
        lines += ["", f"differing decisions: {told['differing_decisions']}"]
    lines += [
        f"  {one['at']}  {one['task_id']}  {one['first'] or 'nobody'}  ->  {one['second'] or 'nobody'}"
        for one in told["examples"]
    ]
    if told["closed_loop"]:
        lines += ["", "played on (closed loop)", *_aligned(rows(told["closed_loop"]))]
    return "\n".join([*lines, "", *told["notes"]])


def _repeated(told: Mapping[str, Any]) -> str:
    said = f"the recorded plan came out again, byte for byte, in {told['same_plan']} of them"
    if told["other_plan"]:
        said += f"; in {told['other_plan']} it DID NOT although the versions are the same"
    if told["other_versions"]:
        said += f"; {told['other_versions']} were planned by other versions of this program or its libraries"
    if told["fallbacks"]:
        said += f"; {told['fallbacks']} had fallen back to greedy"
    return said


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2530}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #dde3ea}"
    "td:not(:first-child),th:not(:first-child){text-align:right}svg{max-width:100%;height:auto}"
    "p.note{color:#5a6675}code{font-size:.9em}"
)


def as_html(told: Mapping[str, Any], plot_svg: str | None) -> str:
    """A page that needs nothing beside itself."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Replay</title>",
        f"<style>{_STYLE}</style><h1>Replay</h1>",
        f"<p>{told['ticks']} ticks, {told['from']} to {told['until']}; {escape(_repeated(told))}.</p>",
        _table(rows(told["sides"])),
    ]
    if told["closed_loop"]:
        parts += ["<h2>Played on</h2>", _table(rows(told["closed_loop"]))]
    parts += [f"<p class=note>{escape(note)}</p>" for note in told["notes"]]
    if plot_svg:
        parts.append(plot_svg[plot_svg.index("<svg") :])
    if told["examples"]:
        head = ["at", "task", *told["sides"]]
        body = [
            [one["at"], one["task_id"], one["first"] or "nobody", one["second"] or "nobody"] for one in told["examples"]
        ]
        parts += [f"<h2>Differing decisions: {told['differing_decisions']}</h2>", _table([head, *body])]
    return "\n".join(parts) + "\n"


def _table(table: Sequence[Sequence[str]]) -> str:
    head, *body = table
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "<table>" + "".join(lines) + "</table>"
