"""A Redis Cluster under load whose primaries are killed and whose slots move: afterwards nobody missed an event or saw
one twice, positions are back at once, and campuses on other servers noticed nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dispatch.live import keys
from dispatch.live.connect import RedisTrouble, connect
from dispatch.live.resume_streams import ResumeStreams
from dispatch.model.event import EventKind, Publication
from tests.hub_world import MSGPACK, Client, Grant, HubOptions, Server, World, dial, now_ms
from tests.redis_nodes import SHARDS, Node, RedisNodes, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]

Eventually = Callable[..., Awaitable[object]]
ROUNDS = 12 if os.environ.get("SOAK") else 1
FIX_EVERY_S = 0.1
EVENT_EVERY_S = 0.05
#: A failover takes the cluster a node timeout (1.5 s) and an election; then we have to find it.
FAILOVER_S = 15.0
OPTIONS = HubOptions(drain_s=0.2, close_timeout_s=1)


@pytest.fixture
def nodes() -> Iterator[RedisNodes]:
    nodes = RedisNodes()
    yield nodes
    nodes.close()


class Truth(World):
    """Knows how many events of each topic are true; a snapshot tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.published: dict[tuple[str, str], int] = {}

    async def authorize(self, who: Any, topic: str, datum: str) -> Grant:
        return Grant({"n": self.published.get((who.campus_id, topic), 0)})


@dataclass
class Seat:
    """What a careful client keeps of one topic, and what it would complain about."""

    top: int = -1
    seen: set[int] = field(default_factory=set)
    snapshots: int = 0
    at: tuple[int, str] | None = None
    complaints: list[str] = field(default_factory=list)

    def take(self, frame: dict[str, Any]) -> None:
        match frame["t"]:
            case "followed":
                if not frame["recovered"]:
                    self.at = None
                elif self.at is not None and frame["epoch"] != self.at[1]:
                    self.complaints.append(f"recovered into another epoch: {frame}")
            case "snapshot":
                self.snapshots += 1
                if frame["data"]["n"] < self.top:
                    self.complaints.append(f"a snapshot of {frame['data']['n']} after {self.top}")
                self.top = frame["data"]["n"]
            case "event":
                number = frame["data"]["n"]
                if number in self.seen:
                    self.complaints.append(f"{number} told twice")
                if number > self.top + 1:
                    self.complaints.append(f"{number} after {self.top}")
                self.seen.add(number)
                self.top = max(self.top, number)


@dataclass
class Watcher:
    """Follows a topic over a real socket; notes each event and how old the positions are that it is shown."""

    campus: str
    topic: str
    server: Server
    role: str
    seat: Seat = field(default_factory=Seat)
    #: runner → its newest fix, when it arrived (real seconds)
    newest: dict[str, tuple[int, float]] = field(default_factory=dict)
    #: (when, how long nothing had come) of each runner
    pauses: list[tuple[float, float]] = field(default_factory=list)
    went_back: int = 0

    async def run(self) -> None:
        async with dial(self.server, MSGPACK, f"acc_{id(self)}/{self.role}/{self.campus}") as client:
            await client.send(t="follow", topic=self.topic)
            while True:
                self._take(await client.receive(900))

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["t"] != "pos":
            self.seat.take(frame)
            return
        now_s = time.monotonic()
        for row in frame["p"]:
            fixed_ms, came_s = self.newest.get(row[0], (0, now_s))
            self.went_back += row[3] < fixed_ms
            if row[3] > fixed_ms:
                self.pauses.append((now_s, now_s - came_s))
                self.newest[row[0]] = (row[3], now_s)

    def longest_pause_s(self, since_s: float = 0.0) -> float:
        return max((pause_s for when_s, pause_s in self.pauses if when_s - pause_s >= since_s), default=0.0)


class Load:
    """Two workers and six campuses, two on every shard; in each a runner, a console and a student at both workers."""

    def __init__(self, nodes: RedisNodes, one: Server, two: Server, truth: Truth) -> None:
        self.truth = truth
        self.servers = (one, two)
        self.relay_redis = connect(nodes.url)
        self.relay = ResumeStreams(self.relay_redis)
        self.campuses = _two_per_shard(nodes)
        self.watchers = [
            Watcher(campus, topic, server, role)
            for campus in self.campuses
            for server in self.servers
            for topic, role in ((f"console:{campus}", "operator"), ("order:ord_1", "student"))
        ]
        self.is_publishing = True
        self.errors: list[str] = []
        self._going: list[asyncio.Task[None]] = []
        self._publishing: list[asyncio.Task[None]] = []

    def start(self) -> None:
        create = asyncio.create_task
        self._going = [create(watcher.run()) for watcher in self.watchers]
        self._going += [create(self._report(campus, n)) for campus in self.campuses for n in (0, 1)]
        self._publishing = [create(self._publish(campus)) for campus in self.campuses]

    async def settle(self, eventually: Eventually) -> None:
        """Publish no more, and wait until everybody knows everything."""
        self.is_publishing = False
        async with asyncio.timeout(30):
            await asyncio.gather(*self._publishing)

        def is_known(watcher: Watcher) -> bool:
            return watcher.seat.top == self.truth.published[watcher.campus, watcher.topic]

        with contextlib.suppress(AssertionError):
            await eventually(lambda: all(is_known(watcher) for watcher in self.watchers), timeout_s=20)
        late = [
            (one.campus, one.topic, one.seat.top, self.truth.published[one.campus, one.topic])
            for one in self.watchers
            if not is_known(one)
        ]
        assert late == [], "not everybody knows everything"

    async def stop(self) -> None:
        for task in (*self._going, *self._publishing):
            task.cancel()
        ended = await asyncio.gather(*self._going, *self._publishing, return_exceptions=True)
        await self.relay_redis.aclose()
        self.errors += [repr(one) for one in ended if isinstance(one, Exception)]

    def check(self) -> None:
        assert self.errors == []
        for watcher in self.watchers:
            assert watcher.seat.complaints == [], (watcher.campus, watcher.topic)
            assert watcher.went_back == 0

    def of(self, campuses: list[str], *, consoles_only: bool = False) -> list[Watcher]:
        return [
            one for one in self.watchers if one.campus in campuses and (one.role == "operator" or not consoles_only)
        ]

    async def _report(self, campus: str, number: int) -> None:
        server = self.servers[number]
        async with dial(server, MSGPACK, f"acc_r{number}/runner/{campus}") as runner:
            drain = asyncio.create_task(_swallow(runner))
            try:
                while True:
                    at = now_ms(server)
                    await runner.send(t="fix", at=at, lat=30.5 + (at % 10_000) / 1e8, lon=114.4 + number / 100)
                    await asyncio.sleep(FIX_EVERY_S)
            finally:
                drain.cancel()

    async def _publish(self, campus: str) -> None:
        """As the relay does: true first, then published in order and again until it is confirmed."""
        topics = (f"console:{campus}", "order:ord_1")
        for topic in topics:
            self.truth.published[campus, topic] = 0
        while self.is_publishing:
            batch = []
            for topic in topics:
                number = self.truth.published[campus, topic] = self.truth.published[campus, topic] + 1
                publication = Publication(topic, EventKind.ORDER_PAID, {"n": number})
                batch.append((f"evt_{campus}_{number}", number, number, publication))
            while True:
                with contextlib.suppress(*RedisTrouble):
                    await self.relay.publish_many(campus, batch)
                    break
                await asyncio.sleep(0.02)
            await asyncio.sleep(EVENT_EVERY_S)


async def _swallow(client: Client) -> None:
    while True:
        await client.receive(900)


def _two_per_shard(nodes: RedisNodes) -> list[str]:
    by_home: dict[int, list[str]] = {}
    number = 0
    while len(by_home) < SHARDS or any(len(names) < 2 for names in by_home.values()):
        campus = f"cmp_{number}"
        number += 1
        names = by_home.setdefault(_home(nodes, campus).port, [])
        if len(names) < 2:
            names.append(campus)
    return [campus for names in by_home.values() for campus in names]


def _home(nodes: RedisNodes, campus: str) -> Node:
    return nodes.primary_of(keys.events_channel(campus))


@contextlib.asynccontextmanager
async def loaded(nodes: RedisNodes, eventually: Eventually) -> AsyncIterator[Load]:
    truth = Truth()
    one, two = Server(nodes.url, truth, OPTIONS), Server(nodes.url, truth, OPTIONS)
    await one.start()
    await two.start()
    load = Load(nodes, one, two, truth)
    try:
        load.start()
        consoles = load.of(load.campuses, consoles_only=True)
        await eventually(lambda: all(len(one.newest) == 2 and one.seat.top > 5 for one in consoles), timeout_s=20)
        yield load
        await load.settle(eventually)
    finally:
        await load.stop()
        await one.stop()
        await two.stop()
    load.check()


def _fails_over(nodes: RedisNodes, campus: str, old: Node) -> Callable[[], bool]:
    def has_failed_over() -> bool:
        with contextlib.suppress(LookupError):
            return _home(nodes, campus) is not old
        return False

    return has_failed_over


FAULTS: dict[str, tuple[Callable[[Node], None], Callable[[Node], None], float]] = {
    "killed": (Node.kill, Node.start, 5.0),
    # Nobody is told: that it is silent must be noticed, and what was asked of it given up.
    "frozen": (Node.freeze, Node.thaw, 12.0),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_primary_is_lost_under_load(nodes: RedisNodes, eventually: Eventually, fault: str) -> None:
    lose, bring_back, within_s = FAULTS[fault]
    async with loaded(nodes, eventually) as load:
        for number in range(ROUNDS):
            victim = _home(nodes, load.campuses[2 * (number % SHARDS)])
            hit = [campus for campus in load.campuses if _home(nodes, campus) is victim]
            others = [campus for campus in load.campuses if campus not in hit]
            untouched = {id(one): one.seat.snapshots for one in load.of(others)}
            killed_s = time.monotonic()
            lose(victim)
            await eventually(_fails_over(nodes, hit[0], victim), timeout_s=FAILOVER_S)
            back_s = time.monotonic()
            tops = {id(one): one.seat.top for one in load.of(hit)}

            def is_streaming(tops: dict[int, int] = tops, back_s: float = back_s) -> bool:
                """Newer positions of both runners, and newer events, than when the failover was over."""
                watchers = [one for one in load.watchers if id(one) in tops]
                return all(one.seat.top > tops[id(one)] + 3 for one in watchers) and all(
                    came_s > back_s + FIX_EVERY_S
                    for one in watchers
                    if one.role == "operator"
                    for _, came_s in one.newest.values()
                )

            await eventually(is_streaming, timeout_s=within_s)
            print(
                f"failover after {back_s - killed_s:.2f} s, all is back {time.monotonic() - back_s:.2f} s later;"
                f" longest pause of a position: {max(one.longest_pause_s() for one in load.of(hit)):.2f} s there,"
                f" {max(one.longest_pause_s(killed_s) for one in load.of(others)):.2f} s elsewhere"
            )
            for one in load.of(others, consoles_only=True):
                assert one.longest_pause_s(killed_s) < 1.5, "another shard's failure was noticed"
            for one in load.of(others):
                assert one.seat.snapshots == untouched[id(one)], "another shard's topics began anew"
            bring_back(victim)
            await asyncio.to_thread(wait_for, nodes.is_whole, "the cluster is whole again")


def _move_slot(nodes: RedisNodes, campus: str, old: Node, new: Node, pause_s: float) -> None:
    slot = int(old.do("CLUSTER", "KEYSLOT", keys.events_channel(campus)))
    new.do("CLUSTER", "SETSLOT", slot, "IMPORTING", old.id)
    old.do("CLUSTER", "SETSLOT", slot, "MIGRATING", new.id)
    while names := old.do("CLUSTER", "GETKEYSINSLOT", slot, 2):
        old.do("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *names)
        time.sleep(pause_s)  # a large campus takes its time
    for node in (new, old, *(one for one in nodes.nodes if one not in (new, old))):
        with contextlib.suppress(Exception):  # replicas learn it by themselves
            node.do("CLUSTER", "SETSLOT", slot, "NODE", new.id)


async def test_a_slot_moves_while_it_is_published_to(nodes: RedisNodes, eventually: Eventually) -> None:
    async with loaded(nodes, eventually) as load:
        for number in range(ROUNDS):
            campus = load.campuses[number % len(load.campuses)]
            old = _home(nodes, campus)
            new = next(_home(nodes, other) for other in load.campuses if _home(nodes, other) is not old)
            before = sum(one.seat.snapshots for one in load.of([campus]))
            await asyncio.to_thread(_move_slot, nodes, campus, old, new, 0.1)
            moved_s = time.monotonic()
            tops = {id(one): one.seat.top for one in load.of([campus])}

            def is_streaming(campus: str = campus, tops: dict[int, int] = tops, moved_s: float = moved_s) -> bool:
                return all(one.seat.top > tops[id(one)] + 3 for one in load.of([campus])) and all(
                    came_s > moved_s + FIX_EVERY_S
                    for one in load.of([campus], consoles_only=True)
                    for _, came_s in one.newest.values()
                )

            await eventually(is_streaming, timeout_s=5)
            assert _home(nodes, campus) is new
            print(
                f"streaming {time.monotonic() - moved_s:.2f} s after the slot had moved; longest pause of a position:"
                f" {max(one.longest_pause_s() for one in load.of([campus])):.2f} s"
            )
            # What moved is whole: nobody had to begin anew.
            assert sum(one.seat.snapshots for one in load.of([campus])) == before
