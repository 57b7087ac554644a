"""A reconnect storm: thousands of followers lose the connection, come back and resume, while others watch on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median

from .crew import Hand, SendPlan, SentReport, WatchReport, wall_ms
from .frames import Tracks, message
from .hub import HubUnderTest
from .lanes import CENTRE, LEAD_MS
from .links import TOLD_TO_WAIT, Fleet, FleetSpec, Link, LinkSpec, Opening, heard
from .machine import Cores, cpu_ns
from .publisher import Publisher
from .stirrer import Stirrer
from .table import Row
from .verdicts import LEAST_DELIVERED, Figure
from .watcher import Watcher

#: Runners that go on reporting, each with an order, and the watchers of each who stay connected all along.
REPORTING, STEADY_EACH, RATE = 100, 2, 200.0
MOST_STORMS = 3
#: The storm is over when all are back, or given up after so long.
GIVE_UP_S = 60.0
CALM_S = 3.0
AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class StormReport:
    """How everybody came back. ``took_s``: from the first attempt to the last follower's answer."""

    connections: int
    back: int
    took_s: float
    recovered: int
    by_snapshot: int
    events: int
    out_of_order: int
    told_to_wait: int
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def refused_for_good(self) -> int:
        return self.connections - self.back


class Stormers:
    """Runs in a process of its own; see ``crew.Hand``. Each follows one topic and remembers where it was."""

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._positions: dict[int, tuple[str, int]] = {}
        self._counts: Counter[str] = Counter()

    def idle(self) -> None:
        if self._fleet is None or not self._fleet.poll(0.01):
            time.sleep(0.002)

    def open(self, name: str, spec: FleetSpec) -> Opening:
        self._fleet = Fleet(spec, self._take, self._take)
        return self._fleet.open()

    def _take(self, link: Link, opcode: int, payload: bytes) -> None:
        frame = heard(payload)
        if frame.t == "followed":
            self._counts["recovered" if frame.recovered else "by_snapshot"] += 1
            if not frame.recovered or link.index not in self._positions:
                self._positions[link.index] = (frame.epoch, frame.offset)
        elif frame.t == "event":
            epoch, offset = self._positions.get(link.index, ("", -1))
            self._counts["events"] += 1
            self._counts["out_of_order"] += frame.offset != offset + 1
            self._positions[link.index] = (epoch, frame.offset)

    def cut(self) -> int:
        """Everybody loses the connection; how many had one."""
        assert self._fleet is not None
        count = self._fleet.open_count
        self._fleet.cut()
        return count

    def come_back(self, hellos: list[bytes], topics: list[str]) -> StormReport:
        """Everybody at once, with the position they remember; whoever is told to wait does."""
        fleet = self._fleet
        assert fleet is not None
        for link, hello, topic in zip(fleet.links, hellos, topics, strict=True):
            follow: dict[str, object] = {"t": "follow", "topic": topic}
            if link.index in self._positions:
                epoch, offset = self._positions[link.index]
                follow |= {"epoch": epoch, "offset": offset}
            link.spec = LinkSpec("/ws", hello + message(follow), topic)
        fleet.spec = replace(fleet.spec, at_once=AT_ONCE, within_s=GIVE_UP_S, comes_back=True)
        fleet.faults.clear()
        self._counts.clear()
        began_s = time.monotonic()
        fleet.open()
        back = [link.opened_s - began_s for link in fleet.links if link.stage == "open"]
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:  # what was missed comes right behind the answer
            fleet.poll(0.05)
        told = fleet.faults.pop(TOLD_TO_WAIT, 0)
        counts = self._counts
        return StormReport(
            len(fleet.links), len(back), max(back, default=GIVE_UP_S),
            counts["recovered"], counts["by_snapshot"], counts["events"], counts["out_of_order"], told,
            Counter(fleet.faults),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm with what the steady watchers saw meanwhile."""

    report: StormReport
    watched: WatchReport
    sent: SentReport
    busy_share: float
    expected: float

    @property
    def faults(self) -> tuple[str, ...]:
        found = []
        if self.expected and self.watched.deliveries < LEAST_DELIVERED * self.expected:
            found.append(f"the steady watchers had {self.watched.deliveries} of {self.expected:.0f} deliveries")
        if self.watched.faults:
            found.append(f"steady watchers lost: {dict(self.watched.faults)}")
        if self.report.out_of_order:
            found.append(f"{self.report.out_of_order} events missed or out of order")
        return tuple(found)


async def measure_storm(
    cores: Cores, connections: int, storms: int, fences: int, settings: dict[str, str], say: Callable[[str], None]
) -> Row:
    """A few storms in a row on one worker."""
    steady = min(REPORTING, connections)
    hub = HubUnderTest(runners=steady + connections, orders=steady, on_duty=steady, fences=fences, settings=settings)
    hands = {name: Hand(kind, cores.others) for name, kind in _HANDS.items()}
    found: list[Storm] = []
    try:
        say(f"  starting {hub.name} …")
        await hub.start(cores)
        watchers = await hub.watchers(steady, STEADY_EACH)
        await asyncio.to_thread(hands["watcher"].open, hub.name, watchers, "hub", hub.offset_ms)
        await asyncio.to_thread(hands["publisher"].open, hub.name, await hub.runners(steady))
        everybody = replace(hub.own_topics(steady, connections), at_once=300, within_s=180.0)
        await asyncio.to_thread(hands["stormers"].open, hub.name, everybody)
        for number in range(1, min(storms, MOST_STORMS) + 1):
            found.append(await _one(hub, hands, everybody, steady))
            say(f"  storm {number}: {_told(found[-1])}")
    finally:
        for hand in hands.values():
            hand.stop()
        await hub.stop()
    return row_of(found, connections, hub.remarks)


_HANDS: dict[str, Callable[[], object]] = {
    "watcher": Watcher, "publisher": Publisher, "stormers": Stormers, "stirrer": Stirrer,
}  # fmt: skip


async def _one(hub: HubUnderTest, hands: dict[str, Hand], everybody: FleetSpec, steady: int) -> Storm:
    assert hub.passes is not None
    topics = [link.name for link in everybody.links]
    start_ms = wall_ms() + LEAD_MS
    seconds = GIVE_UP_S / 2 + 2 * CALM_S
    plan = SendPlan(start_ms, seconds, RATE, Tracks(CENTRE, steady), hub.offset_ms)
    hands["publisher"].tell("send", hub.name, plan)
    await asyncio.sleep(LEAD_MS / 1000 + CALM_S)
    hellos = [hub.hello(one) for one in hub.people("runner")[steady : steady + len(topics)]]
    hands["watcher"].ask("collect", hub.name, 0.0, 0.0)
    (pid,) = hub.processes()["server"]
    hands["stormers"].ask("cut")
    stirred = (hub.redis_url, hub.passes.campus_id, topics, hub.offset_ms)
    await asyncio.to_thread(hands["stirrer"].ask, "publish_one_each", *stirred)
    from_ms, used = wall_ms(), cpu_ns(pid)
    report: StormReport = await asyncio.to_thread(hands["stormers"].ask, "come_back", hellos, topics)
    to_ms = from_ms + report.took_s * 1000
    busy = (cpu_ns(pid) - used) / 1e9 / ((wall_ms() - from_ms) / 1000)
    sent: SentReport = await asyncio.to_thread(hands["publisher"].answer)
    await asyncio.sleep(0.5)
    watched: WatchReport = await asyncio.to_thread(hands["watcher"].ask, "collect", hub.name, from_ms, to_ms)
    until_ms = min(to_ms, start_ms + seconds * 1000)
    return Storm(report, watched, sent, busy, max(0.0, until_ms - from_ms) / 1000 * RATE * STEADY_EACH)


def _told(storm: Storm) -> str:
    report, age = storm.report, storm.watched.age_ms(99)
    return (
        f"{report.back} of {report.connections} back after {report.took_s:.1f} s, {report.recovered} resumed, "
        f"{report.by_snapshot} by snapshot, {report.events} missed events, {report.told_to_wait} times told to wait, "
        f"steady watchers' age p99 {age or 0.0:.0f} ms, worker {storm.busy_share:.0%} busy"
        + (f", {dict(report.faults)}" if report.faults else "")
    )


def row_of(storms: list[Storm], connections: int, remarks: tuple[str, ...]) -> Row:
    """The table's row: medians of times and ages, sums of what must never happen."""
    faults = tuple(dict.fromkeys(fault for storm in storms for fault in storm.faults))
    ages = [age for storm in storms if (age := storm.watched.age_ms(99)) is not None]
    lost = sum(storm.report.refused_for_good for storm in storms)
    by_snapshot = sum(storm.report.by_snapshot for storm in storms)
    took_s = median(storm.report.took_s for storm in storms)
    age_ms = median(ages) if ages else None
    figures = (
        Figure("storm", f"until all {connections} have resumed", took_s, "s", 10.0, None, faults),
        Figure("storm", "refused for good", float(lost), "", 0.0, None, faults),
        Figure("storm", "came back by a snapshot instead", float(by_snapshot), "", 0.0, None, faults),
        Figure("storm", "age p99 of the connected meanwhile", age_ms, "ms", 1_000.0, 250.0, faults),
    )
    notes = tuple(f"storm {number}: {_told(storm)}" for number, storm in enumerate(storms, 1))
    title = f"{connections} watchers reconnect and resume on one worker"
    return Row("storm", title, figures, notes=(*notes, *remarks))
