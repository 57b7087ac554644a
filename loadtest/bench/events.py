"""The event lane beside the state lane: the same server, the same topics and watchers, the same rate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from .crew import Hand, SentReport, WatchReport, wall_ms
from .frames import message
from .hub import HubUnderTest
from .lanes import LEAD_MS, SETTLE_S, Lane, Load, used_between
from .links import Fleet, Link, LinkSpec, heard
from .machine import Cores
from .stirrer import StirPlan, Stirrer
from .table import Row
from .verdicts import (
    DELIVERIES,
    LEAST_DELIVERED,
    MOST_AGE_P99_MS,
    SENDS,
    Condition,
    Figure,
    Reading,
    Summary,
    share,
    summary,
)

RATE = 500.0
WATCHERS = 3
#: So many followers ask again for their last events at the end, so that what was measured is known to be resumable.
RESUMED, MISSED = 50, 5
EVENTS = (*SENDS, Condition("delivered", least=LEAST_DELIVERED), Condition("age_p99_ms", most=MOST_AGE_P99_MS))


class EventLane(Lane):
    """A lane that measures events, too."""

    def __init__(self, cores: Cores, load: Load, say: Callable[[str], None]) -> None:
        super().__init__(cores, load, say)
        self._stirrer = Hand(Stirrer, cores.others)

    async def stop(self) -> None:
        self._stirrer.stop()
        await super().stop()

    async def measure_events(self, hub: HubUnderTest, number: int) -> Reading:
        """One round of events on the topics that the fixes were delivered to."""
        assert self._watcher is not None and hub.passes is not None
        load = self._load
        self._watcher.ask("collect", hub.name, 0.0, 0.0)
        start_ms = wall_ms() + LEAD_MS
        topics = tuple(f"order:{order_id}" for order_id in hub.orders)
        seconds = load.warm_s + load.seconds
        plan = StirPlan(hub.redis_url, hub.passes.campus_id, topics, start_ms, seconds, load.rate, hub.offset_ms)
        self._stirrer.tell("send", hub.name, plan)
        columns = hub.processes() | {"relay's stand-in": [self._stirrer.pid]}
        passed_s, used = await used_between(columns, start_ms + load.warm_s * 1000, start_ms + seconds * 1000)
        report: SentReport = await asyncio.to_thread(self._stirrer.answer)
        await asyncio.sleep(SETTLE_S)
        watched: WatchReport = await asyncio.to_thread(
            self._watcher.ask, "collect", hub.name, start_ms - 1, wall_ms(), True
        )
        figures = {
            "sent": share(report.sent, report.due),
            "late_sends": share(report.late, report.due),
            "deliveries_per_event": share(watched.deliveries, report.sent),
            "delivered": share(watched.deliveries, report.sent * load.watchers),
            "age_p50_ms": watched.age_ms(50),
            "age_p99_ms": watched.age_ms(99),
        }
        known = {name: value for name, value in figures.items() if value is not None}
        return Reading("event lane", number, passed_s, load.rate * passed_s, used, known)


async def measure_events(
    cores: Cores, load: Load, fences: int, settings: dict[str, str], least_rounds: int, say: Callable[[str], None]
) -> Row:
    """State and events in turn on one server."""
    load = replace(load, rate=min(RATE, load.rate), watchers=WATCHERS)
    hub = HubUnderTest(runners=load.runners, orders=load.runners, fences=fences, settings=settings)
    lane = EventLane(cores, load, say)
    state: list[Reading] = []
    events: list[Reading] = []
    try:
        await lane.start([hub])
        for number in range(1, load.rounds + 1):
            state.append(replace(await lane.measure(hub, number), server="state lane"))
            lane.tell(state[-1])
            events.append(await lane.measure_events(hub, number))
            lane.tell(events[-1], "event")
        resumed = await asyncio.to_thread(resume_some, hub)
    finally:
        await lane.stop()
    summed = [summary(state, DELIVERIES, least_rounds), summary(events, EVENTS, least_rounds)]
    note = f"resume: {resumed['recovered']} of {resumed['asked']} followers recovered, {resumed['events']} events again"
    return Row(
        "events", f"CPU per event delivered to {WATCHERS} watchers, with history and resume, at {load.rate:g}/s",
        figures_of(*summed), tuple(summed), {}, (*state, *events), (note, *hub.remarks), "operation",
    )  # fmt: skip


def figures_of(state: Summary, events: Summary) -> tuple[Figure, ...]:
    faults = (*events.faults, *(f"state lane: {fault}" for fault in state.faults))
    of_state = events.cpu_us["server"] / state.cpu_us["server"] if state.cpu_us["server"] else None
    return (
        Figure("events", "CPU per event, 3 watchers", events.cpu_us["server"], "µs", faults=events.faults),
        Figure("events", "of the state lane", of_state, "x", 2.0, 1.3, faults),
    )


def resume_some(hub: HubUnderTest) -> Counter[str]:
    """Some followers come back with a position that lies a few events behind."""
    found: Counter[str] = Counter()
    positions: dict[int, tuple[str, int]] = {}

    def greeted(link: Link, opcode: int, payload: bytes) -> None:
        frame = heard(payload)
        if frame.t == "followed":
            positions.setdefault(link.index, (frame.epoch, frame.offset))
            found["recovered"] += frame.recovered

    def taken(link: Link, opcode: int, payload: bytes) -> None:
        found["events"] += heard(payload).t == "event"

    pairs = list(zip(hub.people("student"), hub.orders, strict=False))[:RESUMED]
    found["asked"] = len(pairs)
    for is_second in (False, True):
        links = []
        for index, (student, order_id) in enumerate(pairs):
            follow: dict[str, object] = {"t": "follow", "topic": f"order:{order_id}"}
            if is_second:
                epoch, offset = positions[index]
                follow |= {"epoch": epoch, "offset": max(0, offset - MISSED)}
            links.append(LinkSpec("/ws", hub.hello(student) + message(follow)))
        fleet = Fleet(hub.fleet(links, ("followed",), 1), taken, greeted)
        fleet.open()
        for _ in range(20):
            fleet.poll(0.02)
        fleet.close()
    return found
