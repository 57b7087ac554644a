"""Followers by the hundred: one round for all of them, and each with an answer of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from dispatch.model.errors import Refusal, Unavailable
from tests.hub_world import CAMPUS, JSON, Client, Eventually, Grant, HubOptions, Server, World, dial, event, running

ORDERS = [f"ord_{number}" for number in range(200)]


class Books(World):
    """Can be away, and counts how often snapshots were read."""

    are_away = False
    snapshots = 0

    async def may_follow(self, asked: Sequence[tuple[Any, str]]) -> list[Grant | Refusal]:
        if self.are_away:
            raise Unavailable()
        return await super().may_follow(asked)

    async def read_topics(self, asked: Sequence[tuple[Any, str, str]]) -> list[Grant | Refusal]:
        if self.are_away:
            raise Unavailable()
        self.snapshots += len(asked)
        return await super().read_topics(asked)


@pytest.fixture
def books() -> Books:
    return Books(orders=dict.fromkeys(ORDERS, ""))


@pytest.fixture
async def server(redis_url: str, books: Books) -> AsyncIterator[Server]:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, frames_per_s=1_000)
    async with running(redis_url, books, options) as server:
        yield server


async def four(server: Server, stack: AsyncExitStack) -> list[Client]:
    """A connection follows at most fifty topics."""
    return [await stack.enter_async_context(dial(server, JSON, f"acc_{n}/student")) for n in range(4)]


async def ask_all(clients: list[Client], **more: Any) -> None:
    for number, order in enumerate(ORDERS):
        await clients[number % 4].send(t="follow", topic=f"order:{order}", re=number, **more)


async def answers(clients: list[Client]) -> dict[int, dict[str, Any]]:
    """``followed`` or ``error`` by number."""
    found: dict[int, dict[str, Any]] = {}

    async def hear(client: Client) -> None:
        while len([number for number in found if number % 4 == clients.index(client)]) < len(ORDERS) / 4:
            frame = await client.receive(20)
            if frame["t"] in ("followed", "error"):
                found[frame["re"]] = frame

    await asyncio.gather(*(hear(client) for client in clients))
    return found


async def test_one_that_is_refused_and_one_that_trips_us_disturb_nobody(server: Server, books: Books) -> None:
    del books.orders["ord_7"]
    async with AsyncExitStack() as stack:
        clients = await four(server, stack)
        gate = asyncio.Event()
        books.gates = [gate]
        await clients[0].send(t="follow", topic="order:bug", re=0)
        for number, order in enumerate(ORDERS[1:], 1):
            await clients[number % 4].send(t="follow", topic=f"order:{order}", re=number)
        gate.set()
        found = await answers(clients)
        assert [n for n, frame in found.items() if frame["t"] == "error"] in ([0, 7], [7, 0])
        assert (found[0]["code"], found[7]["code"]) == ("unavailable", "not_found")
        assert max(books.rounds) > 20, "they were asked about together"
        await server.streams.publish_many(CAMPUS, [event(1, "order:ord_199")])
        assert (await clients[3].until("event"))["topic"] == "order:ord_199"


async def test_who_comes_back_costs_no_snapshot(server: Server, books: Books) -> None:
    async with AsyncExitStack() as stack:
        clients = await four(server, stack)
        await ask_all(clients)
        found = await answers(clients)
        seats = {n: frame["epoch"] for n, frame in found.items()}
        assert books.snapshots == 200
    await server.streams.publish_many(CAMPUS, [event(n, f"order:{order}") for n, order in enumerate(ORDERS)])
    async with AsyncExitStack() as stack:
        clients = await four(server, stack)
        for number, order in enumerate(ORDERS):
            follow = {"topic": f"order:{order}", "re": number, "offset": 0, "epoch": seats[number]}
            await clients[number % 4].send(t="follow", **follow)
        seen: dict[str, list[int]] = {}

        async def hear(client: Client) -> None:
            while True:
                frame = await client.receive(20)
                assert frame["t"] in ("followed", "event"), frame
                if frame["t"] == "event":
                    seen.setdefault(frame["topic"], []).append(frame["offset"])
                else:
                    assert frame["recovered"]

        hearing = [asyncio.create_task(hear(client)) for client in clients]
        async with asyncio.timeout(20):
            while len(seen) < len(ORDERS) and not any(task.done() for task in hearing):
                await asyncio.sleep(0.01)
        for task in hearing:
            task.cancel()
        assert set(map(tuple, seen.values())) == {(1,)}
        assert books.snapshots == 200 and server.hub.hub.counts["recovered"] == 200


async def test_while_the_books_are_away_each_topic_is_unavailable_and_may_be_asked_for_again(
    server: Server, books: Books
) -> None:
    async with AsyncExitStack() as stack:
        clients = await four(server, stack)
        books.are_away = True
        await ask_all(clients)
        found = await answers(clients)
        assert {frame.get("code") for frame in found.values()} == {"unavailable"}
        assert {frame["topic"] for frame in found.values()} == {f"order:{order}" for order in ORDERS}
        assert server.hub.hub.topics.topic_count == 0
        books.are_away = False
        await ask_all(clients)
        assert {frame["t"] for frame in (await answers(clients)).values()} == {"followed"}


async def test_a_drain_tells_each_when_to_come_back(redis_url: str, eventually: Eventually) -> None:
    async with running(redis_url, World(), HubOptions(drain_s=0.5, close_timeout_s=1)) as server:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(dial(server, JSON, f"acc_{n}/student")) for n in range(20)]
            draining = asyncio.create_task(server.hub.drain())
            assert {await client.close_code(10) for client in clients} == {4000}
            reasons = [client.socket.close_reason or "" for client in clients]
            await draining
        waits = [int(found[1]) for reason in reasons if (found := re.fullmatch(r"server_drain retry_ms=(\d+)", reason))]
        assert len(waits) == 20 and len(set(waits)) > 10
        assert min(waits) >= 0 and max(waits) <= 500 and max(waits) - min(waits) > 100
        await eventually(lambda: not server.hub.hub.connections)
