"""Carries the hub's plain counters into Prometheus, once a second, and the freshness of what watchers are shown."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from prometheus_client import Counter, Gauge, Histogram

from dispatch.hub.ages import EDGES_MS, Ages, quantile_ms
from dispatch.metrics import add_counts
from dispatch.wire.hub_server import HubServer

EVERY_S = 1.0
#: Rounds over which the percentiles are taken: a minute.
WINDOW = 60
QUANTILES = (0.5, 0.95, 0.99)

_BUCKETS = [edge / 1000 for edge in EDGES_MS]
AGE = Histogram(
    "dispatch_position_age_seconds",
    "Real time from the receipt of a fix to its writing to a watcher's socket",
    buckets=_BUCKETS,
)
FIX_AGE = Histogram(
    "dispatch_fix_age_seconds",
    "Time from the reading of a fix to its writing to a watcher's socket, the difference of the clocks taken out",
    buckets=_BUCKETS,
)
QUANTILE = Gauge(
    "dispatch_freshness_seconds",
    "Percentiles of both ages over the last minute, of each worker: the upper edge of the bucket (NaN: none shown)",
    ["since", "quantile"],
    multiprocess_mode="liveall",
)
COUNTS = Counter("dispatch_hub_events", "What the hub counted", ["what"])
GAUGES = Gauge("dispatch_hub", "What the hub holds", ["what"], multiprocess_mode="livesum")


class _Freshness:
    """One histogram of ages on its way to Prometheus."""

    def __init__(self, ages: Ages, histogram: Histogram, since: str) -> None:
        self._ages = ages
        self._histogram = histogram
        self._sum_ms = 0.0
        self._rounds: deque[list[int]] = deque([[0] * len(ages.counts)], maxlen=WINDOW + 1)
        self._gauges = [(q, QUANTILE.labels(since, f"{q:g}")) for q in QUANTILES]

    def collect(self) -> None:
        counts, sum_ms = list(self._ages.counts), self._ages.sum_ms
        add_counts(self._histogram, _grown(self._rounds[-1], counts), (sum_ms - self._sum_ms) / 1000)
        self._sum_ms = sum_ms
        self._rounds.append(counts)
        lately = _grown(self._rounds[0], counts)
        for q, gauge in self._gauges:
            gauge.set(quantile_ms(lately, q) / 1000 if any(lately) else float("nan"))


def _grown(before: list[int], now: list[int]) -> list[int]:
    return [b - a for a, b in zip(before, now, strict=True)]


class HubMetrics:
    """Differences since the last round are added, so that the hub itself never touches a lock."""

    def __init__(self, server: HubServer) -> None:
        self._server = server
        self._seen: dict[str, float] = {}
        counted = server.hub.topics.state.freshness
        self._freshness = (_Freshness(counted.ages, AGE, "receipt"), _Freshness(counted.fix_ages, FIX_AGE, "reading"))
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
        for freshness in self._freshness:
            freshness.collect()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.collect()
