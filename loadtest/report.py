"""The report of a run: tables for the terminal, and one HTML file with the plots inside it."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from .check import printed
from .eta_watch import CHECK_HEAD, HEAD
from .figures import Durations, Figures
from .lunch_peak import Outcome

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def tables(outcome: Outcome) -> list[Table]:
    """(title, column names, rows) of everything that is reported."""
    figures = outcome.figures
    counts = figures.counts
    profile = outcome.options.profile
    load = [
        [
            "profile",
            f"{profile.name}: {profile.runners} runners, {profile.students} students, {profile.operators} operators",
        ],
        ["length", f"{outcome.real_s / 60:.1f} min real, {outcome.business_s / 60:.0f} min business time"],
        ["orders wished / dropped (nobody idle)", f"{counts['wishes']} / {counts['wishes_dropped']}"],
    ]
    outcomes = [[status, str(count)] for status, count in figures.outcomes().items()]
    offers = [
        [name, str(counts[key])]
        for name, key in (
            ("offers received", "offered"), ("accepted", "accepted"), ("declined", "declined"),
            ("ignored until they expired", "ignored"), ("accepted too late", "accept_lost"), ("grabbed", "grabed"),
            ("grab lost to another", "grab_lost"), ("reassigned by an operator", "reassigned"),
            ("reassignment lost to a newer version", "reassign_lost"), ("taken away from a runner", "taken_away"),
        )
    ]  # fmt: skip
    times = [
        _row("paid to assigned, business s", figures.assign_s),
        _row("placed to delivered, business s", figures.deliver_s),
        _row("pay tapped to paid known, real ms", figures.pay_ms),
        _row("fix sent to viewer's receipt, one clock, real ms", figures.ages_ms),
    ]
    calls = [_row(name, took) for name, took in sorted(figures.calls.items(), key=lambda item: -item[1].count)]
    hub = [
        ["fixes sent", str(counts["fixes_sent"])],
        ["positions received by watchers", str(counts["fixes_seen"])],
        ["events received", str(counts["events"])],
        *([f"fixes refused: {code}", str(count)] for code, count in figures.refused_fixes.most_common()),
        *([f"topics: {name.replace('_', ' ')}", str(count)] for name, count in outcome.holes.items()),
        *([name.replace("_", " "), str(count)] for name, count in sorted(counts.items()) if name.startswith("closed_")),
    ]
    errors = [[text, str(count)] for text, count in figures.errors.most_common(40)] or [["none", "0"]]
    percentiles = ("", "n", "p50", "p95", "p99", "max")
    return [
        ("Load", ("", ""), load),
        ("Orders by outcome, as their students saw them", ("status", "orders"), outcomes),
        ("Offers", ("", "count"), offers),
        ("Times", percentiles, times),
        ("Arrival ranges as told, against what came", HEAD, outcome.arrivals.rows(figures.delivered_at_ms)),
        ("Checks", CHECK_HEAD, [check.row() for check in outcome.checks()]),
        ("Promises", ("", ""), outcome.arrivals.promises(figures.delivered_at_ms)),
        ("HTTP, real ms", percentiles, calls),
        ("Hub", ("", "count"), hub),
        ("Errors that were not expected", ("", "count"), errors),
        ("Server processes", ("role", "pid", "CPU s", "CPU mean %", "memory MB", "most MB"), usage_rows(figures)),
    ]


def _row(name: str, took: Durations) -> list[str]:
    if not took.count:
        return [name, "0", "-", "-", "-", "-"]
    return [name, str(took.count), *(f"{took.percentile(p):.1f}" for p in (0.5, 0.95, 0.99)), f"{took.highest:.1f}"]


def usage_rows(figures: Figures) -> list[list[str]]:
    """Per process: what it used over the run."""
    rows: list[list[str]] = []
    for pid in dict.fromkeys(usage.pid for usage in figures.usage):
        of = [usage for usage in figures.usage if usage.pid == pid]
        cpu_s, passed_s = of[-1].cpu_s - of[0].cpu_s, of[-1].at_s - of[0].at_s
        share = f"{100 * cpu_s / passed_s:.1f}" if passed_s > 0 else "-"
        most = max(usage.rss_bytes for usage in of)
        rows.append(
            [of[-1].role, str(pid), f"{cpu_s:.1f}", share, f"{of[-1].rss_bytes / 2**20:.0f}", f"{most / 2**20:.0f}"]
        )
    return rows


def as_text(outcome: Outcome) -> str:
    """What is printed."""
    parts = [text_table(*table) for table in tables(outcome)]
    if outcome.findings:
        parts.append("Books\n" + printed(outcome.findings))
    parts.append("\n".join(f"FAULT {text}" for text in outcome.faults()) or "all is well")
    return "\n\n".join(parts)


def text_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in plain text, figures to the right."""
    everything = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in everything) for i in range(len(head))]
    lines = [title, "-" * len(title)]
    for row in everything if any(head) else everything[1:]:
        first, rest = row[0].ljust(widths[0]), [cell.rjust(widths[i + 1]) for i, cell in enumerate(row[1:])]
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


def as_json(outcome: Outcome) -> str:
    """The same figures for machines."""
    figures = outcome.figures
    body: dict[str, Any] = {
        "profile": outcome.options.profile.name,
        "real_s": round(outcome.real_s, 1),
        "business_s": round(outcome.business_s, 1),
        "counts": dict(figures.counts),
        "outcomes": figures.outcomes(),
        "refused_fixes": dict(figures.refused_fixes),
        "holes": outcome.holes,
        "errors": dict(figures.errors),
        "faults": outcome.faults(),
        "ages_ms": figures.ages_ms.summary(),
        "assign_s": figures.assign_s.summary(),
        "deliver_s": figures.deliver_s.summary(),
        "pay_ms": figures.pay_ms.summary(),
        "arrivals": outcome.arrivals.rows(figures.delivered_at_ms),
        "checks": [check._asdict() | {"verdict": check.verdict} for check in outcome.checks()],
        "promises": outcome.arrivals.promises(figures.delivered_at_ms),
        "calls_ms": {name: took.summary() for name, took in figures.calls.items()},
        "findings": [
            {"rule": f.rule, "checked": f.checked, "faults": f.faults, "note": f.note} for f in outcome.findings
        ],
    }
    return json.dumps(body, ensure_ascii=False, indent=1)


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}table{border-collapse:collapse}
td,th{padding:.2rem .8rem;border-bottom:1px solid #dde3ea;text-align:right}
td:first-child,th:first-child{text-align:left}
figure{margin:0}svg{width:100%;height:auto}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(30rem,1fr));gap:0 2rem}
.fault{color:#a8071a;font-weight:600}.ok{color:#1a7f37}
"""


def as_html(outcome: Outcome) -> str:
    """One file that needs nothing else."""
    from .plots import plots

    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Lunch peak</title>",
        f"<style>{_STYLE}</style><h1>Lunch peak, profile {html.escape(outcome.options.profile.name)}</h1>",
    ]
    drawn = [
        f"<section><h2>{html.escape(title)}</h2><figure>{svg}</figure></section>"
        for title, svg in plots(outcome.figures)
    ]
    parts.append(f"<div class=plots>{''.join(drawn)}</div>")
    for title, head, rows in tables(outcome):
        parts.append(f"<h2>{html.escape(title)}</h2>{_html_table(head, rows)}")
    if outcome.findings:
        parts.append("<h2>Books</h2><ul>")
        for finding in outcome.findings:
            kind = "ok" if finding.is_ok else "fault"
            parts.append(f'<li class="{kind}">{html.escape(finding.line())}</li>')
        parts.append("</ul>")
    return "\n".join([*parts, "</html>", ""])


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    top = line(head, "th") if any(head) else ""
    return f"<table>{top}{''.join(line(row, 'td') for row in rows)}</table>"
