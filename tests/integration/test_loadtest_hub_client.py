"""The load test's connection against a real hub that is taken from under it: what was missed is told, once each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import aiohttp

from dispatch.wire.hub_server import HubOptions
from loadtest.figures import Figures
from loadtest.hub_client import HubClient
from tests.hub_world import CAMPUS, World, event, now_ms, running

TOPIC, CONSOLE = "order:ord_1", f"console:{CAMPUS}"
PATIENCE_S = 20


class Someone:
    """A client, what it heard, and its figures."""

    def __init__(self, session: aiohttp.ClientSession, port: int, token: str, *, wants_acks: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self.figures = Figures(time.perf_counter)
        self.tokens = 0
        self._token = token
        self.client = HubClient(
            session, f"http://127.0.0.1:{port}", self._get_token, self.heard.append, self.figures, Random(1),
            wants_acks=wants_acks,
        )  # fmt: skip

    async def _get_token(self) -> str:
        self.tokens += 1
        return self._token

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.heard if frame["t"] == kind]

    async def until(self, holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def someone(port: int, token: str, **more: Any) -> AsyncIterator[Someone]:
    async with aiohttp.ClientSession() as session:
        made = Someone(session, port, token, **more)
        life = asyncio.create_task(made.client.run())
        try:
            yield made
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)


def ordered() -> World:
    world = World()
    world.orders["ord_1"] = ""
    return world


async def test_fixes_are_acknowledged_after_the_token_was_renewed(redis_url: str) -> None:
    async with (
        running(redis_url, World(), HubOptions(hello_lasts_s=4)) as server,
        someone(server.port, "acc_r/runner", wants_acks=True) as runner,
    ):
        await runner.until(lambda: len(runner.all("welcome")) >= 2)
        assert len({frame["connection"] for frame in runner.all("welcome")}) == 1, "renewed, not connected again"
        assert runner.tokens >= 2, "a newer token was shown"
        runner.heard.clear()
        runner.client.send({"t": "fix", "seq": 7, "at": now_ms(server), "lat": 30.5, "lon": 114.4})
        await runner.until(lambda: any(frame["accepted"] == 1 for frame in runner.all("ack")))


async def test_events_of_an_outage_are_told_once_each_by_the_next_server(redis_url: str) -> None:
    world = ordered()
    async with running(redis_url, world) as first:
        port = first.port
        async with someone(port, "acc_s/student") as student:
            student.client.follow(TOPIC)
            await student.until(lambda: student.all("snapshot"))
            await first.streams.publish_many(CAMPUS, [event(n, TOPIC) for n in (1, 2)])
            await student.until(lambda: len(student.all("event")) == 2)
            await first.stop()
            await student.until(lambda: not student.client.connected.is_set())
            async with running(redis_url, world, port=port) as second:
                await second.streams.publish_many(CAMPUS, [event(n, TOPIC) for n in (2, 3, 4)])
                await student.until(lambda: len(student.all("event")) >= 4)
                await second.streams.publish_many(CAMPUS, [event(5, TOPIC)])
                await student.until(lambda: len(student.all("event")) >= 5)
                assert [frame["id"] for frame in student.all("event")] == [f"evt_{n}" for n in range(1, 6)]
                assert len(student.all("snapshot")) == 1
                assert student.figures.counts["resumed"] == 1
                assert (student.client.order.holes, student.client.order.back) == (0, 0)
                assert student.tokens == 1, "the token at hand opens the next connection as well"


async def test_fixes_of_an_outage_come_after_it_newest_first(redis_url: str) -> None:
    world = World()
    async with running(redis_url, world) as first:
        port = first.port
        async with (
            someone(port, "acc_r/runner", wants_acks=True) as runner,
            someone(port, "acc_o/operator") as operator,
        ):
            operator.client.follow(CONSOLE)
            await runner.until(runner.client.connected.is_set)
            await runner.until(lambda: operator.all("followed"))
            began_ms = now_ms(first)
            assert runner.client.report({"at": began_ms, "lat": 30.5, "lon": 114.4})
            await runner.until(lambda: len(runner.client.fixes) == 0)
            await first.stop()
            await runner.until(lambda: not runner.client.connected.is_set())
            kept = [began_ms + 1000 * n for n in range(1, 31)]
            for index, at in enumerate(kept):
                assert not runner.client.report({"at": at, "lat": 30.5 + 1e-5 * index, "lon": 114.4})
            operator.heard.clear()
            runner.heard.clear()
            async with running(redis_url, world, port=port):
                await runner.until(lambda: len(runner.client.fixes) == 0)
                assert sum(frame["accepted"] for frame in runner.all("ack")) == len(kept)
                await runner.until(lambda: any(row[3] == kept[-1] for f in operator.all("pos") for row in f["p"]))
                shown = [row[3] for frame in operator.all("pos") for row in frame["p"]]
                assert all(at in (began_ms, kept[-1]) for at in shown), "what is behind the newest is never shown"


async def test_who_is_turned_away_with_503_waits_as_long_as_it_says(redis_url: str) -> None:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, max_connections=1)
    async with running(redis_url, World(), options) as server, contextlib.AsyncExitStack() as leaving:
        first = await leaving.enter_async_context(someone(server.port, "acc_a/student"))
        await first.until(first.client.connected.is_set)
        async with someone(server.port, "acc_b/student") as second:
            await second.until(lambda: second.figures.counts["handshake_503"])
            refused_s = time.monotonic()
            await leaving.aclose()
            await second.until(second.client.connected.is_set, 30)
            assert time.monotonic() - refused_s >= 0.95, "Retry-After is at least a second"
            assert second.figures.errors == {}, "a full server is no fault"
            assert second.tokens == 1, "and no reason to ask for another token"


async def test_a_drained_client_stays_away_as_long_as_it_was_told(redis_url: str) -> None:
    world, options = ordered(), HubOptions(drain_s=3.0, close_timeout_s=1)
    async with running(redis_url, world, options) as first:
        port = first.port
        async with someone(port, "acc_s/student") as student:
            student.client.follow(TOPIC)
            await student.until(lambda: student.all("snapshot"))
            draining = asyncio.create_task(first.hub.drain())
            await student.until(lambda: not student.client.connected.is_set())
            assert student.figures.counts["closed_4000"] == 1
            await draining
            await first.stop()
            async with running(redis_url, world, port=port):
                await student.until(lambda: len(student.all("followed")) == 2)
                assert student.all("followed")[-1]["recovered"]


async def test_a_view_holds_on_the_next_connection(redis_url: str) -> None:
    async with (
        running(redis_url, World()) as server,
        someone(server.port, "acc_r/runner", wants_acks=True) as runner,
        someone(server.port, "acc_o/operator") as operator,
    ):
        operator.client.follow(CONSOLE, every_ms=100, box=(30.0, 114.0, 31.0, 115.0))
        await operator.until(lambda: operator.all("followed"))
        operator.client.view(CONSOLE, every_ms=200, box=(10.0, 10.0, 11.0, 11.0))
        await operator.until(lambda: operator.all("viewed"))
        assert operator.all("viewed")[0]["every_ms"] == 200
        await runner.until(runner.client.connected.is_set)
        await operator.client.drop()
        await operator.until(lambda: len(operator.all("followed")) == 2)
        assert runner.client.report({"at": now_ms(server), "lat": 30.5, "lon": 114.4})
        await runner.until(lambda: len(runner.client.fixes) == 0)
        operator.client.view(CONSOLE)
        await operator.until(lambda: operator.all("pos"))
        assert len(operator.all("viewed")) == 2 and operator.heard.index(operator.all("pos")[0]) > operator.heard.index(
            operator.all("viewed")[1]
        ), "outside the box nothing was shown"
