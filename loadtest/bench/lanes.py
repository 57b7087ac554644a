"""The rows about single fixes: every server in turn at the same rate, round after round."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from geo.point import Point

from .crew import CrewFault, Hand, SendPlan, SentReport, WatchReport, wall_ms
from .frames import Tracks
from .machine import Cores, cpu_ns
from .publisher import Publisher
from .servers import NotMeasured, Server
from .verdicts import Reading, share
from .watcher import Watcher

#: The fixes begin so long after the plan was made: it must be built first.
LEAD_MS = 1_500.0
#: A connection's right to speak ends after a quarter of an hour; long before that everybody connects anew.
RECONNECT_S = 600.0
#: After the last fix, until all deliveries have arrived.
SETTLE_S = 0.5
CENTRE = Point(30.5155, 114.4140)


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: ``rate`` fixes a second from ``runners`` connections; ``watchers`` connections follow each."""

    runners: int = 500
    rate: float = 5_000.0
    seconds: float = 8.0
    warm_s: float = 2.0
    rounds: int = 5
    watchers: int = 0
    together: int = 1


@dataclass(frozen=True, slots=True)
class LaneResult:
    """Readings by server; why others could not be measured; what should be said about the row."""

    readings: Mapping[str, list[Reading]]
    missing: Mapping[str, str]
    notes: tuple[str, ...] = ()


class Lane:
    """The servers of one row, running side by side; each is idle while another is measured."""

    def __init__(self, cores: Cores, load: Load, say: Callable[[str], None]) -> None:
        self._cores, self._load, self._say = cores, load, say
        self._publisher = Hand(Publisher, cores.others)
        self._watcher = Hand(Watcher, cores.others) if load.watchers else None
        self._up: list[Server] = []
        self._connected_s: dict[str, float] = {}
        self.missing: dict[str, str] = {}

    async def start(self, servers: Sequence[Server]) -> None:
        for server in servers:
            self._say(f"  starting {server.name} …")
            self._up.append(server)
            try:
                await server.start(self._cores)
                await self._connect(server)
            except NotMeasured as fault:
                self.missing[server.name] = str(fault)
                self._say(f"  {server.name}: not measured: {fault}")
                self._up.remove(server)
                await server.stop()

    async def _connect(self, server: Server) -> None:
        self._connected_s[server.name] = time.monotonic()
        if self._watcher is not None:
            spec = await server.watchers(self._load.runners, self._load.watchers)
            await asyncio.to_thread(self._watcher.open, server.name, spec, server.kind, server.offset_ms)
        await asyncio.to_thread(self._publisher.open, server.name, await server.runners(self._load.runners))

    async def stop(self) -> None:
        self._publisher.stop()
        if self._watcher is not None:
            self._watcher.stop()
        for server in self._up:
            await server.stop()

    async def run(self) -> LaneResult:
        readings: dict[str, list[Reading]] = {server.name: [] for server in self._up}
        for number in range(1, self._load.rounds + 1):
            for server in self._up:
                reading = await self.measure(server, number)
                readings[server.name].append(reading)
                self.tell(reading)
        return LaneResult(readings, self.missing)

    def tell(self, reading: Reading, what: str = "fix") -> None:
        """One line about a round."""
        columns = ", ".join(f"{c} {reading.cpu_us(c):.1f}" for c in reading.cpu_ns)
        self._say(f"  round {reading.round}  {reading.server:<15} µs per {what}: {columns}")

    async def measure(self, server: Server, number: int) -> Reading:
        """One round of one server."""
        load = self._load
        if time.monotonic() - self._connected_s[server.name] > RECONNECT_S:
            await self._connect(server)
        before = await server.counts()
        if self._watcher is not None:
            self._watcher.ask("collect", server.name, 0.0, 0.0)
        start_ms = wall_ms() + LEAD_MS
        tracks = Tracks(CENTRE, load.runners)
        seconds = load.warm_s + load.seconds
        plan = SendPlan(start_ms, seconds, load.rate, tracks, server.offset_ms, load.together)
        self._publisher.tell("send", server.name, plan)
        columns = server.processes()
        passed_s, used = await used_between(columns, start_ms + load.warm_s * 1000, start_ms + seconds * 1000)
        report: SentReport = await asyncio.to_thread(self._publisher.answer)
        await asyncio.sleep(SETTLE_S)
        watched: WatchReport | None = None
        if self._watcher is not None:
            watched = await asyncio.to_thread(self._watcher.ask, "collect", server.name, start_ms - 1, wall_ms())
        after = await server.counts()
        figures = _figures(report, {k: after[k] - before.get(k, 0.0) for k in after}, watched, load)
        notes = tuple(f"{server.name}: {count} x {text}" for text, count in report.faults.items())
        return Reading(server.name, number, passed_s, load.rate * passed_s, used, figures, notes)


async def used_between(
    columns: Mapping[str, list[int]], from_ms: float, to_ms: float
) -> tuple[float, dict[str, float]]:
    """Seconds between two moments of the wall clock, and the processor time that each column used in them (ns)."""
    began_ms, began = await _at(from_ms, columns)
    ended_ms, ended = await _at(to_ms, columns)
    return (ended_ms - began_ms) / 1000, {column: float(ended[column] - began[column]) for column in columns}


async def _at(at_ms: float, columns: Mapping[str, list[int]]) -> tuple[float, dict[str, int]]:
    """What each column has used when this time has come, and when that was read."""
    await asyncio.sleep(max(0.0, (at_ms - wall_ms()) / 1000))
    now_ms = wall_ms()
    return now_ms, {column: sum(map(cpu_ns, pids)) for column, pids in columns.items()}


def _figures(
    report: SentReport, grown: Mapping[str, float], watched: WatchReport | None, load: Load
) -> dict[str, float]:
    """What the conditions are about, over the whole round; shares of what was sent."""
    found: dict[str, float | None] = {
        "sent": share(report.sent, report.due),
        "late_sends": share(report.late, report.due),
        "worst_late_ms": report.worst_late_ms,
        "answers_per_fix": share(report.read_frames, report.sent),
        "accepted": share(grown.get("accepted"), report.sent),
        "frames_per_read": share(grown.get("frames"), grown.get("reads")),
        "members_per_fix": share(grown.get("members"), grown.get("accepted")),
        "late_flushes": grown.get("late_flushes"),
    }
    if "conflated" in grown:
        found["conflated"] = grown["conflated"] / max(1.0, grown["conflated"] + report.sent * max(1, load.watchers))
    if watched is not None:
        wanted = report.sent * load.watchers
        found["deliveries_per_fix"] = share(watched.deliveries, report.sent)
        found["delivered"] = share(watched.deliveries, wanted)
        found["age_p50_ms"], found["age_p99_ms"] = watched.age_ms(50), watched.age_ms(99)
    return {name: value for name, value in found.items() if value is not None}


async def run_lane(cores: Cores, load: Load, servers: Sequence[Server], say: Callable[[str], None]) -> LaneResult:
    """Start them all, measure them in turn, end them all."""
    lane = Lane(cores, load, say)
    try:
        await lane.start(servers)
        return await lane.run()
    except CrewFault as fault:
        say(f"  the bench itself failed: {fault}")
        raise
    finally:
        await lane.stop()
