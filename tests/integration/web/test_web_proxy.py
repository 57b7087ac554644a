"""Whom a request is taken to come from: the word of trusted proxies counts, that of anybody else does not."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dispatch.web import WebSettings
from dispatch.web.client_address import client_address
from tests.nginx_proxy import nginx_before


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7,10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "10.2.0.1, 10.0.0.2", "10.2.0.1"),
        ("10.0.0.1", "6.6.6.6, unknown", "10.0.0.1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("fe80::1", "2001:db8::7", "fe80::1"),
        ("", "198.51.100.7", ""),
    ],
)
def test_forwarded_addresses_are_read_from_the_trusted_end(peer: str, forwarded: str, client: str) -> None:
    assert client_address(peer, forwarded, [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]) == client


def test_without_trusted_proxies_the_peer_it_is() -> None:
    assert client_address("10.0.0.1", "198.51.100.7", []) == "10.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "client"), [((), "127.0.0.1"), (("10.0.0.0/8",), "127.0.0.1"), (("127.0.0.0/8",), "198.51.100.7")]
)
async def test_the_server_counts_and_logs_that_address(
    open_a_house: Any, caplog: pytest.LogCaptureFixture, trusted: tuple[str, ...], client: str
) -> None:
    spoken = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7", "X-Real-Ip": "7.7.7.7"}
    async with open_a_house(web=WebSettings(trusted_proxies=trusted)) as house:
        caplog.set_level(logging.INFO, logger="dispatch.access_log")
        body = {"campus_id": house.campus_id, "phone": "13800000000", "password": "wrong password"}
        assert (await house.call("POST", "/auth/sign-in", body, headers=spoken)).status == 401
        used = [key async for key in house.ctx.counters._redis.scan_iter("*signin:ip:*")]
    assert [record.remote_ip for record in caplog.records if hasattr(record, "remote_ip")] == [client]
    assert len(used) == 1 and used[0].decode().count(f"signin:ip:{client}") == 1


@pytest.mark.parametrize("path", ["/api/v1/me", "/ws"])
async def test_the_documented_nginx_says_who_called_and_by_which_name(
    tmp_path: Path, free_port: int, path: str
) -> None:
    heard: list[dict[str, str]] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        heard.append({name.lower(): value for name, _, value in (line.partition(": ") for line in head if line)})
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    backend = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with (
        nginx_before(backend.sockets[0].getsockname()[1], tmp_path, free_port) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))) as http,
    ):
        spoken = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "7.7.7.7"}
        async with http.get(url + path, headers=spoken) as answer:
            assert answer.status == 204
    backend.close()
    (headers,) = heard
    assert headers["host"] == f"127.0.0.1:{free_port}"
    assert headers["x-forwarded-proto"] == "http"
    assert "x-real-ip" not in headers
    assert client_address("127.0.0.1", headers["x-forwarded-for"], [ip_network("127.0.0.1")]) == "127.0.0.2"
