"""What a storm came to: a table for people, the same as JSON, and the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from .check_events import Findings, check_events
from .check_positions import check_positions
from .check_sizes import Bounds, check_ages, check_sizes
from .histories import History
from .truth import read_truth

MOST_SHOWN = 12


def check(history: History, data_dir: Path, bounds: Bounds | None = None) -> dict[str, Findings]:
    """Every check by name: the history against the books of the server that lie in ``data_dir``."""
    truth = read_truth(data_dir, history.campus_id)
    bounds = bounds or Bounds()
    return {
        "events": check_events(history, truth),
        "positions": check_positions(history, truth),
        "processes": check_sizes(history, bounds),
        "ages and return": check_ages(history, bounds),
    }


def faults_of(findings: dict[str, Findings]) -> list[str]:
    return [f"{name}: {text}" for name, found in findings.items() for text in found.faults]


def as_text(history: History, findings: dict[str, Findings]) -> str:
    """What happened, what each fault cost, and what the checks found, as a table."""
    lines = [
        f"storm of faults: {history.runners} runners, {history.watchers} watchers, seed {history.seed}",
        "",
        f"{'fault':<22}{'at s':>8}{'all back s':>12}{'CPU s: web':>12}{'jobs':>8}{'redis':>8}  note",
    ]
    for one in history.happened:
        cpu = "".join(f"{one.cpu_s.get(role, 0.0):>{w}.1f}" for role, w in (("web", 12), ("jobs", 8), ("redis", 8)))
        back = "never" if one.back_s is None else f"{one.back_s:.1f}"
        lines.append(f"{one.fault:<22}{one.at_s:>8.1f}{back:>12}{cpu}  {one.note}")
    lines += ["", f"{'ages, ms':<22}{'of':<12}{'n':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}"]
    for ages in history.ages:
        lines.append(
            f"{ages.part:<22}{ages.kind:<12}{ages.count:>9}{ages.p50:>9.0f}{ages.p95:>9.0f}{ages.p99:>9.0f}"
            f"{ages.highest:>9.0f}"
        )
    lines += ["", f"{'process':<16}{'pid':>8}{'RSS MB':>16}{'open files':>16}{'tasks':>12}"]
    lines += _sizes(history)
    for name, found in findings.items():
        lines += ["", f"{name}: {'well' if not found.fault_count else f'{found.fault_count} FAULTS'}"]
        lines += [f"  {text:<46}{count:>10}" for text, count in sorted(found.counts.items())]
        lines += [f"  FAULT {text}" for text in found.faults[:MOST_SHOWN]]
        if found.fault_count > MOST_SHOWN:
            lines.append(f"  … and {found.fault_count - MOST_SHOWN} more")
    return "\n".join(lines)


def _sizes(history: History) -> list[str]:
    before = {(one.role, one.index): one for one in history.before}
    lines = []
    for now in history.after:
        was = before.get((now.role, now.index), now)
        rss = f"{was.rss_bytes / 1e6:.0f} → {now.rss_bytes / 1e6:.0f}"
        files, tasks = f"{was.open_files} → {now.open_files}", f"{was.tasks} → {now.tasks}" if now.tasks >= 0 else ""
        lines.append(f"{now.role + ' ' + str(now.index):<16}{now.pid:>8}{rss:>16}{files:>16}{tasks:>12}")
    return lines


def as_json(history: History, findings: dict[str, Findings]) -> bytes:
    told: dict[str, Any] = {
        "runners": history.runners,
        "watchers": history.watchers,
        "seed": history.seed,
        "faults": [msgspec.to_builtins(one) for one in history.happened],
        "ages_ms": [msgspec.to_builtins(one) for one in history.ages],
        "before": [msgspec.to_builtins(one) for one in history.before],
        "between": [msgspec.to_builtins(one) for one in history.between],
        "after": [msgspec.to_builtins(one) for one in history.after],
        "figures": history.figures,
        "findings": {
            name: {"counts": dict(found.counts), "fault_count": found.fault_count, "faults": found.faults}
            for name, found in findings.items()
        },
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=1)
