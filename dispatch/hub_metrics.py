"""Carries the hub's plain counters into Prometheus, once a second."""

from __future__ import annotations

import asyncio
import contextlib

from prometheus_client import Counter, Gauge, Histogram

from dispatch.hub.ages import EDGES_MS
from dispatch.metrics import add_counts
from dispatch.wire.hub_server import HubServer

EVERY_S = 1.0

AGE = Histogram(
    "dispatch_position_age_seconds",
    "Real time from the receipt of a fix to its writing to a watcher's socket",
    buckets=[edge / 1000 for edge in EDGES_MS],
)
COUNTS = Counter("dispatch_hub_events", "What the hub counted", ["what"])
GAUGES = Gauge("dispatch_hub", "What the hub holds", ["what"], multiprocess_mode="livesum")


class HubMetrics:
    """Differences since the last round are added, so that the hub itself never touches a lock."""

    def __init__(self, server: HubServer) -> None:
        self._server = server
        self._seen: dict[str, float] = {}
        self._ages = [0] * (len(EDGES_MS) + 1)
        self._age_sum_ms = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hub-metrics")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.collect()

    def collect(self) -> None:
        """Bring Prometheus up to date."""
        for name, value in self._server.metrics().items():
            if name.endswith("_total"):
                if grown := value - self._seen.get(name, 0.0):
                    COUNTS.labels(name.removesuffix("_total")).inc(grown)
                    self._seen[name] = value
            else:
                GAUGES.labels(name).set(value)
        ages = self._server.hub.topics.ages
        now, total_ms = list(ages.counts), ages.sum_ms
        add_counts(AGE, [b - a for a, b in zip(self._ages, now, strict=True)], (total_ms - self._age_sum_ms) / 1000)
        self._ages, self._age_sum_ms = now, total_ms

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.collect()
