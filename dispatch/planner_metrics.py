"""What the planner tells Prometheus: where a tick's time goes, which plan acted, what the shadow would have done."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from dispatch.flow.assign_tasks import Tick
from dispatch.flow.planning import Desk

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STAGES = Histogram("dispatch_tick_stage_seconds", "Real time of each stage of a planning tick", ["stage"],
    buckets=_BUCKETS)  # fmt: skip
TICKS = Counter(
    "dispatch_ticks", "Planning ticks, by the method that acted and why it was not the one asked for",
    ["method", "fallback"],
)  # fmt: skip
OFFERS = Counter("dispatch_tick_offers", "Assignments of plans: offered, or lost to somebody who was faster", ["what"])
WAITING = Gauge("dispatch_tasks_waiting", "Tasks that got no offer in the last tick, by reason", ["campus", "reason"],
    multiprocess_mode="livesum")  # fmt: skip
SHADOW = Counter("dispatch_shadow", "What the optimizer that does not act would have done: ticks by outcome, decisions "
    "that differ", ["what"])  # fmt: skip
RECORDS = Counter("dispatch_tick_records", "Records of ticks: written, dropped for want of time, failed; bytes",
    ["what"])  # fmt: skip


class PlannerMetrics:
    """Hears of every tick."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._recorded: dict[str, int] = {}
        self._reasons: dict[str, set[str]] = {}

    def on_tick(self, campus_id: str, tick: Tick) -> None:
        for stage, ms in tick.stages_ms.items():
            STAGES.labels(stage).observe(ms / 1000)
        STAGES.labels("whole").observe(sum(tick.stages_ms.values()) / 1000)
        TICKS.labels(tick.method, tick.fallback).inc()
        OFFERS.labels("offered").inc(tick.offered)
        OFFERS.labels("lost").inc(tick.lost)
        self._count_waiting(campus_id, tick)
        if tick.shadow is not None:
            SHADOW.labels(f"skipped_{tick.shadow.skipped}" if tick.shadow.skipped else "planned").inc()
            SHADOW.labels("differing_decisions").inc(tick.shadow.different)
        self._count_records()

    def _count_waiting(self, campus_id: str, tick: Tick) -> None:
        counts: dict[str, int] = dict.fromkeys(self._reasons.get(campus_id, ()), 0)
        for reason in (tick.waiting or {}).values():
            counts[reason] = counts.get(reason, 0) + 1
        for reason, count in counts.items():
            WAITING.labels(campus_id, reason).set(count)
        self._reasons[campus_id] = set(counts)

    def _count_records(self) -> None:
        if self._desk.recorder is None:
            return
        counts = self._desk.recorder.counts
        for what in ("written", "dropped", "failed", "bytes"):
            now = getattr(counts, what)
            if grown := now - self._recorded.get(what, 0):
                RECORDS.labels(what).inc(grown)
                self._recorded[what] = now
