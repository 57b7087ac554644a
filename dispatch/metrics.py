"""Prometheus metrics of many processes on one page, and the way that plain counts of the hub get into them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

# prometheus_client reads this once, when it is imported: the supervisor sets it for the processes that it starts.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """One process of the server as it is now."""

    role: str
    index: int
    pid: int
    cpu_s: float
    rss: int
    restarts: int
    is_ready: bool


def fresh_folder(run_dir: Path) -> Path:
    """An empty folder in which the processes of this run keep their figures."""
    folder = run_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def forget_process(pid: int, folder: Path) -> None:
    """Drop the live gauges of a process that ended; what it counted stays counted."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class _Processes(Collector):
    def __init__(self, reports: Sequence[ProcessReport]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[Metric]:
        labels = ["role", "index"]
        cpu = CounterMetricFamily("dispatch_process_cpu_seconds", "Processor time used", labels=labels)
        rss = GaugeMetricFamily("dispatch_process_resident_bytes", "Resident memory", labels=labels)
        restarts = CounterMetricFamily("dispatch_process_restarts", "Times started again after dying", labels=labels)
        ready = GaugeMetricFamily("dispatch_process_ready", "1 when it has said that it is ready", labels=labels)
        for each in self._reports:
            at = [each.role, str(each.index)]
            cpu.add_metric(at, each.cpu_s)
            rss.add_metric(at, each.rss)
            restarts.add_metric(at, each.restarts)
            ready.add_metric(at, int(each.is_ready))
        yield from (cpu, rss, restarts, ready)


def merged_page(folder: Path, reports: Iterable[ProcessReport]) -> bytes:
    """The figures of every process of this run, summed, as Prometheus reads them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Processes(tuple(reports)))
    return generate_latest(registry)


def add_counts(histogram: Histogram, counts: Sequence[int], total: float) -> None:
    """Add what somebody else counted: ``counts`` per bucket of ``histogram`` (not cumulative, the last one is above
    every bound) and the sum of what was observed. The hub counts in plain integers, for an observation each would cost
    more than the delivery that it observes."""
    buckets = histogram._buckets
    if len(counts) != len(buckets):
        raise ValueError(f"{len(counts)} counts for {len(buckets)} buckets")
    for bucket, count in zip(buckets, counts, strict=True):
        if count:
            bucket.inc(count)
    histogram._sum.inc(total)
