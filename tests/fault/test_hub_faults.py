"""The hub while Redis freezes, restarts and cuts connections: afterwards nobody missed an event or saw one twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from dispatch.live.connect import RedisTrouble
from dispatch.model.event import EventKind, Publication
from tests.hub_world import CAMPUS, MSGPACK, OPTIONS, Client, Server, World, dial, now_ms

Fault = Callable[[Any], Awaitable[None]]
TOPIC = "order:ord_1"


class Watcher:
    """Keeps what a careful client keeps: its seat, each event once, the newest position."""

    def __init__(self) -> None:
        self.seat: dict[str, Any] = {}
        self.seen: list[str] = []
        self.snapshots: list[int] = []
        self.newest_ms = 0
        self.went_back = 0

    async def run(self, server: Server, token: str) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, Exception):
                async with dial(server, MSGPACK, token, close_timeout=1) as client:
                    await client.send(t="follow", topic=TOPIC, **self.seat)
                    await self._listen(client)

    async def _listen(self, client: Client) -> None:
        while True:
            frame = await client.receive(60)
            match frame["t"]:
                case "followed":
                    if not frame["recovered"]:
                        self.seat = {"offset": frame["offset"], "epoch": frame["epoch"]}
                    self.seat["epoch"] = frame["epoch"]
                case "snapshot":
                    self.snapshots.append(frame["data"]["published"])
                case "event":
                    self.seat["offset"] = frame["offset"]
                    self.seen.append(frame["id"])
                case "pos":
                    for row in frame["p"]:
                        self.went_back += row[3] < self.newest_ms
                        self.newest_ms = max(self.newest_ms, row[3])


class Truth(World):
    """Knows how many events are true; a snapshot tells it."""

    published = 0

    async def authorize(self, who: Any, topic: str, datum: str) -> Any:
        grant = await super().authorize(who, topic, datum)
        return type(grant)({"published": self.published}, grant.watch)


async def freeze(redis: Any) -> None:
    os.kill(redis._process.pid, signal.SIGSTOP)
    await asyncio.sleep(1.5)
    os.kill(redis._process.pid, signal.SIGCONT)


async def restart(redis: Any) -> None:
    redis.stop()
    await asyncio.sleep(0.3)
    redis.start()


async def cut(redis: Any) -> None:
    from dispatch.live.connect import connect

    client = connect(redis.url)
    await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await client.aclose()


@contextlib.asynccontextmanager
async def two_workers(url: str, world: World) -> AsyncIterator[tuple[Server, Server]]:
    one, two = Server(url, world, OPTIONS), Server(url, world, OPTIONS)
    await one.start()
    await two.start()
    try:
        yield one, two
    finally:
        await one.stop()
        await two.stop()


@pytest.mark.parametrize("fault", [freeze, restart, cut], ids=lambda fault: fault.__name__)
async def test_nobody_misses_anything(
    own_redis: Any, fault: Fault, eventually: Callable[..., Awaitable[object]]
) -> None:
    truth = Truth()
    truth.orders["ord_1"] = "acc_r"
    watchers = [Watcher() for _ in range(6)]
    async with two_workers(own_redis.url, truth) as (one, two), asyncio.TaskGroup() as group:
        tasks = [group.create_task(w.run((one, two)[n % 2], f"acc_{n}/student")) for n, w in enumerate(watchers)]
        sent_ms = 0

        async def report() -> None:
            nonlocal sent_ms
            while True:
                with contextlib.suppress(OSError, TimeoutError, Exception):
                    async with dial(one, MSGPACK, "acc_r/runner") as runner:
                        while True:
                            at = now_ms(one)
                            await runner.send(t="fix", at=at, lat=30.5 + (at % 1_000) / 1e8, lon=114.4)
                            sent_ms = at
                            await asyncio.sleep(0.02)

        async def publish(count: int) -> None:
            """As the relay does: true first, then published in order until it is confirmed."""
            for _ in range(count):
                truth.published += 1
                number = truth.published
                event = (f"evt_{number}", number, number, Publication(TOPIC, EventKind.ORDER_PAID, {}))
                while True:
                    with contextlib.suppress(*RedisTrouble):
                        await one.streams.publish_many(CAMPUS, [event])
                        break
                    await asyncio.sleep(0.05)

        reporting = group.create_task(report())
        await eventually(lambda: all(w.snapshots and w.newest_ms for w in watchers), timeout_s=15)
        await publish(20)
        faulty = group.create_task(fault(own_redis))
        await publish(40)
        await faulty
        await publish(20)

        def knows_all(watcher: Watcher) -> bool:
            return watcher.seen[-1:] == ["evt_80"] or watcher.snapshots[-1] == 80

        await eventually(lambda: all(knows_all(w) for w in watchers), timeout_s=20)
        at = sent_ms
        await eventually(lambda: all(w.newest_ms >= at for w in watchers), timeout_s=10)

        async def is_in_redis() -> bool:
            found = await two.presence.get(CAMPUS, ["acc_r"])
            return "acc_r" in found and found["acc_r"].fixed_at_ms >= at

        await eventually(is_in_redis, timeout_s=10)
        reporting.cancel()
        for task in tasks:
            task.cancel()
    for watcher in watchers:
        check(watcher)


def check(watcher: Watcher) -> None:
    """Every event was told once and in order, or stood in a snapshot that was told before anything later."""
    numbers = [int(event_id.removeprefix("evt_")) for event_id in watcher.seen]
    assert numbers == sorted(set(numbers)), "told twice or out of order"
    known = set(numbers)
    for published in watcher.snapshots:
        known |= set(range(1, published + 1))
    assert known == set(range(1, 81)), "a silent hole"
    assert watcher.went_back == 0
