"""Redis that forgets a little and goes on: what was lost shows as a new epoch, however the offsets go on afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from dispatch.live import keys
from dispatch.live.connect import RedisTrouble, connect
from dispatch.live.resume_streams import Position, ResumeStreams
from dispatch.model.event import EventKind, Publication
from tests.redis_nodes import RedisNodes, redis_binaries, wait_for

Eventually = Callable[..., Awaitable[object]]
CAMPUS, TOPIC = "cmp_1", "order:ord_1"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def events(first: int, last: int) -> list[Any]:
    publication = Publication(TOPIC, EventKind.ORDER_PAID, {})
    return [(f"evt_{number}", number, number, publication) for number in range(first, last + 1)]


async def publish(streams: ResumeStreams, first: int, last: int) -> list[Position]:
    """As the relay does: again until it is confirmed."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await streams.publish_many(CAMPUS, events(first, last))
            except RedisTrouble:
                await asyncio.sleep(0.05)


async def check_new_epoch(streams: ResumeStreams, heard: Position) -> None:
    """Whoever heard up to ``heard`` is told that the past is lost, now and when the offsets have passed that point."""
    assert not (await streams.read_since(CAMPUS, TOPIC, heard.offset, heard.epoch)).is_recovered
    after = await publish(streams, 101, 110)
    assert (after[0].offset, after[-1].offset) == (1, 10)
    assert {one.epoch for one in after} != {heard.epoch}
    missed = await streams.read_since(CAMPUS, TOPIC, heard.offset, heard.epoch)
    assert (missed.is_recovered, missed.position) == (False, after[-1])
    assert (await streams.read_since(CAMPUS, TOPIC, 3, after[0].epoch)).is_recovered
    again = await publish(streams, 105, 111)
    assert [one.offset for one in again] == [5, 6, 7, 8, 9, 10, 11], "known ids are known in the new epoch too"


@pytest.mark.parametrize("is_read_first", [True, False])
async def test_what_a_primary_had_not_passed_on(eventually: Eventually, is_read_first: bool) -> None:
    nodes = RedisNodes()
    redis = connect(nodes.url)
    streams = ResumeStreams(redis)
    try:
        kept = (await publish(streams, 1, 5))[-1]
        primary = nodes.primary_of(keys.events_channel(CAMPUS))
        replica = nodes.nodes[nodes.nodes.index(primary) + 3]
        wait_for(lambda: replica.info("replication")["slave_repl_offset"] == primary.info("replication")[
            "master_repl_offset"], "the replica has it all")  # fmt: skip
        assert replica.process is not None
        replica.process.send_signal(signal.SIGSTOP)
        primary.do("CLIENT", "KILL", "TYPE", "replica")  # what comes now is not even on its way
        heard = (await publish(streams, 6, 8))[-1]
        assert heard == (8, kept.epoch)
        primary.kill()
        replica.process.send_signal(signal.SIGCONT)
        if not is_read_first:
            published = await publish(streams, 21, 30)
            assert published[0].offset == 1
            assert published[0].epoch != kept.epoch
            missed = await streams.read_since(CAMPUS, TOPIC, heard.offset, heard.epoch)
            assert (missed.is_recovered, missed.position) == (False, published[-1])
            return

        async def is_back() -> bool:
            try:
                await streams.position(CAMPUS, TOPIC)
            except RedisTrouble:
                return False
            return True

        await eventually(is_back, timeout_s=20)
        await check_new_epoch(streams, heard)
    finally:
        await redis.aclose()
        nodes.close()


@pytest.fixture
def saving_redis() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a Redis that saves what it holds now and then, and what kills it and starts it again."""
    folder = Path(tempfile.mkdtemp(prefix="tr-"))
    binary = next(iter(redis_binaries().values()))
    command = [binary, "--port", "0", "--unixsocket", str(folder / "s"), "--save", "", "--dir", str(folder)]
    client = redis_py.Redis(unix_socket_path=str(folder / "s"))
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        wait_for(lambda: bool(client.ping()), "redis-server")

    def crash() -> None:
        process = running.pop()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        (folder / "s").unlink()
        start()

    start()
    yield f"unix://{folder / 's'}", crash
    client.close()
    running.pop().kill()
    shutil.rmtree(folder, ignore_errors=True)


async def test_what_a_server_had_not_saved(saving_redis: tuple[str, Callable[[], None]]) -> None:
    url, crash = saving_redis
    redis = connect(url)
    streams = ResumeStreams(redis)
    kept = (await publish(streams, 1, 5))[-1]
    await redis.execute_command("SAVE")
    heard = (await publish(streams, 6, 8))[-1]
    assert heard == (8, kept.epoch)
    began_s = time.monotonic()
    await asyncio.to_thread(crash)
    assert await redis.exists(keys.meta(CAMPUS, TOPIC)), "it came back with what it had saved"
    await check_new_epoch(streams, heard)
    assert time.monotonic() - began_s < 30
    await redis.aclose()
