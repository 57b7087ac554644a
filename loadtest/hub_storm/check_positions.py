"""Checks the dots: what the runners' last accepted fixes say, what everybody shows, what Redis keeps."""

from __future__ import annotations

from math import cos, hypot, radians

from .check_events import Findings
from .histories import History, Seen
from .truth import Truth

M_PER_DEG = 111_194.93
#: GEO sets keep 52 bits of a place: within 60 cm.
NEAR_M = 1.0

Fix = tuple[int, float, float]


def check_positions(history: History, truth: Truth) -> Findings:
    """The newest accepted fix of each runner is the dot that is shown, and the one that Redis keeps."""
    findings = Findings()
    accepted = {one.runner_id: one.accepted for one in history.reported}
    for runner in history.reported:
        findings.counts["fixes sent"] += runner.sent
        for code, count in runner.refused.items():
            findings.counts[f"refused {code}"] += count
        for code, count in runner.unexpected.items():
            findings.fault(f"{runner.runner_id}: {count} good fixes refused as {code}")
        for text in runner.stuck_after_jump:
            findings.fault(f"{runner.runner_id}: {text}")
        _kept(findings, history, runner.runner_id, runner.accepted)
    for seen in history.seen:
        findings.counts["positions seen"] += seen.positions
        findings.counts["older first after coming back"] += seen.older_after_return
        for text in seen.steps_back:
            findings.fault(f"{seen.name}: a dot stepped back: {text}")
        if seen.is_connected:
            _shown(findings, history, truth, seen, accepted)
    return findings


def _kept(findings: Findings, history: History, runner_id: str, accepted: Fix | None) -> None:
    if accepted is None:
        findings.fault(f"{runner_id}: no fix was ever accepted")
        return
    present = history.presence.get(runner_id)
    if present != accepted:
        findings.fault(f"{runner_id}: accepted {accepted}, Redis keeps {present}")
    place = history.places.get(runner_id)
    if place is None or apart_m(place, accepted[1:]) > NEAR_M:
        findings.fault(f"{runner_id}: accepted {accepted}, the index has {place}")
    findings.counts["runners in Redis"] += present is not None


def _shown(findings: Findings, history: History, truth: Truth, seen: Seen, accepted: dict[str, Fix | None]) -> None:
    for topic, spans in seen.topics.items():
        kind, _, subject = topic.partition(":")
        if kind not in ("order", "console") or not spans or spans[-1].closed:
            continue
        shown = seen.shown.get(topic, {})
        holder = truth.holder_of(subject)
        expected = accepted if kind == "console" else {holder: accepted.get(holder)} if holder else {}
        for runner_id, fix in expected.items():
            findings.counts["dots compared"] += 1
            if shown.get(runner_id) != fix:
                findings.fault(f"{seen.name} on {topic}: {runner_id} accepted {fix}, shown {shown.get(runner_id)}")
        for runner_id in shown.keys() - expected.keys():
            findings.fault(f"{seen.name} on {topic}: still shows {runner_id}")


def apart_m(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return M_PER_DEG * hypot(b[0] - a[0], (b[1] - a[1]) * cos(radians(a[0])))
