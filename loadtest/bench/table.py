"""The printed report and the JSON: every figure with its bounds, every server with its columns and conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .verdicts import Figure, Reading, Summary


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: its figures, and the servers that they came from."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    summaries: tuple[Summary, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    per: str = "fix"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one run."""

    machine: Mapping[str, str]
    conditions: Mapping[str, str]
    command: str
    rows: Sequence[Row]

    def as_json(self) -> str:
        body: dict[str, Any] = {
            "machine": dict(self.machine),
            "conditions": dict(self.conditions),
            "command": self.command,
            "rows": [_row_json(row) for row in self.rows],
        }
        return json.dumps(body, indent=1, ensure_ascii=False, default=str) + "\n"

    def as_text(self) -> str:
        lines = [self.command, ""]
        lines += [f"  {name:<14} {value}" for name, value in (*self.machine.items(), *self.conditions.items())]
        for row in self.rows:
            lines += ["", *_row_lines(row)]
        return "\n".join(lines)

    def missed(self) -> list[Figure]:
        """What ``--check`` fails on."""
        return [figure for row in self.rows for figure in row.figures if figure.is_missed]


def _row_json(row: Row) -> dict[str, Any]:
    body = asdict(row)
    for written, figure in zip(body["figures"], row.figures, strict=True):
        written |= {"verdict": figure.verdict, "aim_verdict": figure.judged(figure.aim)}
    return body


def _row_lines(row: Row) -> list[str]:
    lines = [f"{row.title}  [{row.name}]"]
    for figure in row.figures:
        value = "–" if figure.value is None else f"{figure.value:,.4g} {figure.unit}"
        bounds = ""
        if figure.must is not None:
            bounds = f"must ≤ {figure.must:g}: {figure.verdict}"
            if figure.aim is not None:
                bounds += f" · aim ≤ {figure.aim:g}: {figure.judged(figure.aim)}"
        else:
            bounds = figure.verdict
        lines.append(f"  {figure.name:<46} {value:>16}   {bounds}")
        lines += [f"      does not count: {fault}" for fault in figure.faults]
    for each in row.summaries:
        columns = "  ".join(f"{name} {value:.2f}" for name, value in each.cpu_us.items() if name != "server")
        low, high = each.spread_us
        lines.append(
            f"    {each.server:<16} {each.cpu_us.get('server', 0.0):8.2f} µs/{row.per} ({low:.2f} to {high:.2f}; "
            f"{each.rounds} rounds)" + (f"   | {columns}" if columns else "")
        )
        lines.append("        " + ", ".join(f"{k.replace('_', ' ')} {_short(v)}" for k, v in each.figures.items()))
        lines += [f"        does not count: {fault}" for fault in each.faults]
        lines += [f"        {note}" for note in each.notes]
    lines += [f"    {name:<16} not measured: {why}" for name, why in row.missing.items()]
    lines += [f"    {note}" for note in row.notes]
    return lines


def _short(value: float) -> str:
    return f"{value:.4g}"
