"""The hub behind a real nginx with the block that the documents give."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import tornado.httpserver
import tornado.netutil
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from dispatch.web.client_address import ProxiedApplication
from dispatch.wire.hub_server import HubOptions
from dispatch.wire.upgrade import UpgradeHandler
from tests.hub_world import (
    CAMPUS,
    JSON,
    MSGPACK,
    OPTIONS,
    Client,
    Eventually,
    Server,
    World,
    event,
    follow,
    now_ms,
    running,
)  # fmt: skip
from tests.nginx_proxy import EXAMPLE, nginx_before
from tests.wire_cases import LIMIT


@asynccontextmanager
async def through(url: str, token: str = "", subprotocol: str = JSON, **more: Any) -> AsyncIterator[Client]:
    """A client that comes by way of nginx."""
    address = url.replace("http", "ws") + "/ws"
    async with connect(address, subprotocols=[Subprotocol(subprotocol)], max_queue=None, **more) as socket:
        client = Client(socket)
        if token:
            await client.hello(token)
        yield client


@asynccontextmanager
async def proxied(server: Server, trusted: tuple[str, ...]) -> AsyncIterator[int]:
    """Another door to this hub, which believes these proxies; gives its port."""
    application = ProxiedApplication([("/ws", UpgradeHandler, {"server": server.hub})], trusted)
    http = tornado.httpserver.HTTPServer(application)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1]
    finally:
        http.stop()


async def refusal(url: str, **more: Any) -> tuple[int, str | None]:
    """How an upgrade is refused: status and ``Retry-After``."""
    with pytest.raises(InvalidStatus) as refused:
        async with through(url, **more):
            pass
    response = refused.value.response
    assert response.body is not None and b'"too_many"' in response.body
    return response.status_code, response.headers.get("Retry-After")


@pytest.mark.parametrize("subprotocol", [JSON, MSGPACK])
async def test_a_session_through_it(redis_url: str, tmp_path: Path, free_port: int, subprotocol: str) -> None:
    world = World(orders={"ord_1": "acc_r"})
    async with (
        running(redis_url, world, OPTIONS) as server,
        nginx_before(server.port, tmp_path, free_port) as url,
        through(url, "acc_r/runner", subprotocol) as runner,
        through(url, "acc_o/operator", subprotocol, compression="deflate") as console,
    ):
        assert console.socket.subprotocol == subprotocol and not console.socket.protocol.extensions
        await follow(console, f"console:{CAMPUS}")
        await runner.send(t="fix", at=now_ms(server), lat=30.5, lon=114.4)
        assert (await console.until("pos"))["p"][0][0] == "acc_r"
        await server.streams.publish_many(CAMPUS, [event(1, f"console:{CAMPUS}")])
        assert (await console.until("event"))["offset"] == 1
        await (await runner.socket.ping(b"all the way"))
        await runner.socket.send("x" * (LIMIT + 1) if subprotocol == JSON else bytes(LIMIT + 1))
        assert await runner.close_code() == 4503
        await server.hub.drain()
        assert await console.close_code() == 4000
        assert console.socket.close_reason is not None and console.socket.close_reason.startswith("server_drain")


async def test_a_quiet_socket_is_kept_by_the_pings_alone(redis_url: str, tmp_path: Path, free_port: int) -> None:
    waits = [int(text) for text in re.findall(r"proxy_(?:read|send)_timeout (\d+)s;", EXAMPLE.read_text())]
    # A ping that is lost with its answer must not be the end.
    assert len(waits) == 2 and min(waits) >= 3 * HubOptions().ping_every_s
    shorter = {"proxy_read_timeout 75s;": "proxy_read_timeout 3s;"}
    for ping_every_s, is_kept in ((1, True), (60, False)):
        folder = tmp_path / str(ping_every_s)
        folder.mkdir()
        options = HubOptions(drain_s=0.2, close_timeout_s=1, ping_every_s=ping_every_s)
        async with (
            running(redis_url, World(), options) as server,
            nginx_before(server.port, folder, free_port, replaced=shorter) as url,
            through(url, "acc_s/student", ping_interval=None) as quiet,
        ):
            try:
                await asyncio.wait_for(quiet.socket.wait_closed(), 5)
            except TimeoutError:
                assert is_kept
                await quiet.send(t="ping", re=1)
                await quiet.until("pong", re=1)
            else:
                assert not is_kept and quiet.socket.close_code == 1006


async def test_two_machines_behind_it(redis_url: str, tmp_path: Path, free_port: int, eventually: Eventually) -> None:
    world = World(orders={"ord_1": "acc_r"})
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(running(redis_url, world, OPTIONS)) for _ in range(2)]
        url = await stack.enter_async_context(nginx_before([one.port for one in servers], tmp_path, free_port))
        clients = [await stack.enter_async_context(through(url, f"acc_{n}/student")) for n in range(6)]
        assert [len(one.hub.hub.connections) for one in servers] == [3, 3]
        for client in clients:
            seat = await follow(client, "order:ord_1")
        runner = await stack.enter_async_context(through(url, "acc_r/runner"))
        await runner.send(t="fix", at=now_ms(servers[0]), lat=30.5, lon=114.4)
        await servers[0].streams.publish_many(CAMPUS, [event(1, "order:ord_1")])
        for client in clients:
            await client.until("pos")
        # One of them is replaced: its people come back by the same address and go on where they were.
        servers[0].stop_listening()
        await servers[0].hub.drain()
        await servers[1].streams.publish_many(CAMPUS, [event(2, "order:ord_1")])
        await eventually(lambda: sum(client.socket.close_code == 4000 for client in clients) == 3)
        for client in clients:
            if client.socket.close_code is None:
                await client.until("event", offset=2)
        async with through(url, "acc_0/student") as back:
            again = await follow(back, "order:ord_1", offset=1, epoch=seat["epoch"])
            assert (again["recovered"], again["offset"]) == (True, 2)
            assert (await back.until("event"))["offset"] == 2
        await eventually(lambda: not servers[0].hub.hub.connections)


async def test_its_clients_are_told_apart_only_where_it_is_trusted(
    redis_url: str, tmp_path: Path, free_port: int
) -> None:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, upgrades_per_address_per_s=2)
    async with running(redis_url, World(), options) as server:
        for trusted, are_apart in ((("127.0.0.1",), True), ((), False)):
            folder = tmp_path / str(len(trusted))
            folder.mkdir()
            async with proxied(server, trusted) as port, nginx_before(port, folder, free_port) as url:
                counted = [await outcome(url, f"127.0.0.{2 + n % 4}") for n in range(8)]
            assert counted.count(503) == 0 if are_apart else counted.count(503) >= 2


async def outcome(url: str, address: str) -> int:
    """The status of an upgrade from this address."""
    try:
        async with through(url, local_addr=(address, 0)):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_who_is_turned_away_hears_for_how_long(redis_url: str, tmp_path: Path, free_port: int) -> None:
    options = HubOptions(drain_s=0.2, close_timeout_s=1, max_connections=1)
    async with (
        running(redis_url, World(), options) as full,
        running(redis_url, World(), options) as other,
        nginx_before([full.port, other.port], tmp_path, free_port) as url,
        through(url, "acc_a/student") as first,
        through(url, "acc_b/student"),
    ):
        for _ in range(4):  # and nginx takes neither of them for dead
            status, retry_after = await refusal(url)
            assert status == 503 and retry_after is not None and int(retry_after) >= 1
        await first.send(t="ping", re=1)
        await first.until("pong", re=1)
        await other.hub.drain()
        await full.hub.drain()
        status, retry_after = await refusal(url)
        assert status == 503 and retry_after is not None and int(retry_after) >= 1
