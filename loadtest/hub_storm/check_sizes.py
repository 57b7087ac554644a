"""Checks that no process grew, that the log holds no fault of the code, and how old things were on arrival."""

from __future__ import annotations

from dataclasses import dataclass

from .check_events import Findings
from .histories import History, ProcessSize


@dataclass(frozen=True, slots=True)
class Bounds:
    """After all faults a process may have 1.25 times what it had before, and a little. Web workers are taken together,
    because connections spread over them anew after each fault."""

    factor: float = 1.25
    rss_bytes: int = 24 * 1024 * 1024
    open_files: int = 16
    tasks: int = 16
    #: ms, in the parts without a fault of a process
    position_p99_ms: float = 1_000.0
    event_p99_ms: float = 5_000.0


STEADY_PARTS = frozenset({"steady", "garbage", "slow watchers", "clock jumps", "what people do", "after"})


def check_sizes(history: History, bounds: Bounds) -> Findings:
    """No process has grown beyond its bounds, and none has come or gone."""
    findings = Findings()
    before, after = _by_role(history.before), _by_role(history.after)
    for role in sorted(before.keys() | after.keys()):
        was, now = before.get(role), after.get(role)
        if was is None or now is None:
            findings.fault(f"{role}: {'is new' if was is None else 'is gone'}")
            continue
        _compare(findings, role, was, now, bounds, "")
    same = {one.pid: one for one in history.between}
    for now in history.after:
        if now.pid in same:
            _compare(findings, f"{now.role} {now.pid}", same[now.pid], now, bounds, " since its replacement")
    for stray in history.strays:
        findings.fault(f"runs outside the server's own list: {stray}")
    findings.fault_count += len(history.log_faults)
    findings.faults += [f"in the server's log: {line}" for line in history.log_faults]
    return findings


def _compare(findings: Findings, name: str, was: ProcessSize, now: ProcessSize, bounds: Bounds, since: str) -> None:
    for what, slack in (("rss_bytes", bounds.rss_bytes), ("open_files", bounds.open_files), ("tasks", bounds.tasks)):
        earlier, later = getattr(was, what), getattr(now, what)
        findings.counts["sizes compared"] += 1
        if earlier >= 0 and later > earlier * bounds.factor + slack:
            findings.fault(f"{name} grew{since}: {what} {earlier} → {later}")


def _by_role(sizes: list[ProcessSize]) -> dict[str, ProcessSize]:
    found: dict[str, ProcessSize] = {}
    for one in sizes:
        known = found.get(one.role)
        if known is None:
            found[one.role] = ProcessSize(one.role, 0, 0, one.rss_bytes, one.open_files, one.tasks)
        else:
            known.rss_bytes += one.rss_bytes
            known.open_files += one.open_files
            known.tasks = known.tasks + one.tasks if known.tasks >= 0 <= one.tasks else -1
    return found


def check_ages(history: History, bounds: Bounds) -> Findings:
    """What is seen while no process is hurt must be as fresh as ever; in the other parts ages are only told."""
    findings = Findings()
    for ages in history.ages:
        findings.counts[f"{ages.kind} measured"] += ages.count
        bound = bounds.position_p99_ms if ages.kind == "positions" else bounds.event_p99_ms
        if ages.part in STEADY_PARTS and ages.p99 > bound:
            findings.fault(f"{ages.kind} while {ages.part}: p99 {ages.p99:.0f} ms > {bound:.0f} ms")
    for happened in history.happened:
        findings.counts["faults injected"] += 1
        findings.faults += [f"{happened.fault}: {text}" for text in happened.faults]
        findings.fault_count += len(happened.faults)
        if happened.back_s is None:
            findings.fault(f"{happened.fault}: not everybody came back")
    return findings
