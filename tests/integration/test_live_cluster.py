"""What Redis holds, on a Redis Cluster of two nodes: many campuses, and no command that spans two slots."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dispatch.live.bus import Bus, PositionRow
from dispatch.live.connect import RedisClient, connect
from dispatch.live.counters import Counters
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import ResumeStreams, StreamEvent
from dispatch.live.tracks import Tracks
from dispatch.model.event import EventKind, Publication
from geo.fix import Fix
from geo.point import Point
from geo.redis_index import RedisGeoIndex

CAMPUSES = [f"cmp_{n}" for n in range(6)]
Eventually = Callable[..., Awaitable[object]]
_SLOTS = ((0, 8_000), (8_001, 16_383))


def _free_ports() -> list[int]:
    """Ports that are free together with their bus port, which Redis puts 10,000 above."""
    found: list[int] = []
    for port in range(20_000, 50_000, 7):
        with socket.socket() as plain, socket.socket() as bus:
            try:
                plain.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        found.append(port)
        if len(found) == 2:
            break
    return found


@pytest.fixture
async def cluster(eventually: Eventually) -> AsyncIterator[RedisClient]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    assert binary, "no redis-server on PATH: install redis-server"
    folder = Path(tempfile.mkdtemp(prefix="tc-"))
    ports = _free_ports()
    nodes = [
        subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--save", "",
             "--cluster-config-file", f"{port}.conf", "--dir", str(folder)],
            stdout=subprocess.DEVNULL,
        )
        for port in ports
    ]  # fmt: skip
    clients = [Redis(port=port) for port in ports]
    try:
        for client, (first, last) in zip(clients, _SLOTS, strict=True):

            async def answers(client: Redis = client) -> bool:
                try:
                    return bool(await client.ping())
                except (RedisError, OSError):
                    return False

            await eventually(answers, timeout_s=15)
            # One by one: ranges came with Redis 7, and the least version is 6.2.
            await client.execute_command("CLUSTER ADDSLOTS", *range(first, last + 1))
        await clients[0].execute_command("CLUSTER MEET", "127.0.0.1", ports[1])

        async def is_whole() -> bool:
            infos = [await client.execute_command("CLUSTER INFO") for client in clients]
            return all("cluster_state:ok" in str(i) or "'cluster_state': 'ok'" in str(i) for i in infos)

        await eventually(is_whole, timeout_s=20)
        redis = connect(f"redis+cluster://127.0.0.1:{ports[0]}")
        yield redis
        await redis.aclose()
    finally:
        for client in clients:
            await client.aclose()
        for node in nodes:
            node.kill()
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def fix(at: int) -> Fix:
    return Fix(lat=30.5, lon=114.4, fixed_at_ms=at, received_at_ms=at)


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.gone: list[str] = []

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None:
        self.heard.append((campus_id, rows[0][0]))

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None:
        self.gone += runner_ids

    def on_event(self, campus_id: str, event: StreamEvent) -> None:
        self.heard.append((campus_id, event.id))

    def on_rejoined(self, campus_id: str) -> None:
        self.heard.append((campus_id, "rejoined"))


@pytest.mark.skipif(sys.platform == "win32", reason="Redis servers run on POSIX systems")
async def test_everything_works_on_a_cluster(cluster: RedisClient, eventually: Eventually) -> None:
    presence, tracks, streams = Presence(cluster), Tracks(cluster), ResumeStreams(cluster)
    listener = Listener()
    bus = Bus(cluster, "one", listener)
    other = Bus(cluster, "two")
    await bus.start()
    await other.start()
    woken: list[str] = []
    bus.on_wake("relay", woken.append)
    try:
        for campus in CAMPUSES:
            await presence.put_many(campus, [("acc_a", fix(1)), ("acc_b", fix(2))])
            await RedisGeoIndex(cluster, campus).put_many(  # type: ignore[arg-type]
                [("acc_a", Point(30.5, 114.4), 1), ("acc_b", Point(30.5, 114.4), 2)]
            )
            assert await presence.sweep(campus, 2) == ["acc_a"]
            assert list(await presence.all(campus)) == ["acc_b"]
            await tracks.append_many(campus, [("acc_a", fix(1)), ("acc_b", fix(2)), ("acc_a", fix(3))])
            assert len(await tracks.read(campus, "acc_a", since_ms=0, until_ms=9)) == 2
            assert await bus.join(campus) and await other.join(campus)
            bus.want(campus, ["acc_a"])
            await eventually(lambda campus=campus: other.wanted(campus, [("acc_a",)]))  # type: ignore[misc]
            events = [(f"evt_{n}", n, n, Publication(f"order:{n % 3}", EventKind.ORDER_PAID, {})) for n in range(9)]
            at = (await streams.publish_many(campus, events))[-1]
            assert at.offset == 3
            assert len((await streams.read_since(campus, "order:2", 1, at.epoch)).events) == 2
            await other.publish_positions(campus, [("acc_a", 1.0, 2.0, 3, None, None, None, 4)])
            await eventually(lambda campus=campus: {(campus, "evt_8"), (campus, "acc_a")} <= set(listener.heard))  # type: ignore[misc]
        counters = Counters(cluster, lambda: 1_000.0)
        assert [await counters.hit("a", 1, 60) for _ in range(2)] == [True, False]

        async def is_woken() -> bool:
            await other.wake("relay", "now")
            await asyncio.sleep(0)
            return bool(woken)

        await eventually(is_woken)
        bus.leave(CAMPUSES[0])
    finally:
        await bus.stop()
        await other.stop()
