"""HTTP to providers against real servers on loopback: budgets, the backup domain, bounds, overload, leavers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from payments.channels.exchange import Exchange
from payments.channels.http import HttpReply, HttpRequest, HttpSilence, ProviderHttp
from tests import wechat_counter

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """A server that keeps what it was sent."""

    def __init__(self, handle: Handle | None = None) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.url = ""
        self.under_way = 0
        self._handle = handle

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path, await request.read()))
        self.under_way += 1
        try:
            if self._handle is not None:
                return await self._handle(request)
            return web.json_response({"ok": True}, headers={"Request-ID": "08F1"})
        finally:
            self.under_way -= 1


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[Provider]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", provider.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    provider.url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """It takes connections and never says a word: a TLS handshake with it never ends."""
    keep: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: keep.append(writer), "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in keep:
            writer.transport.abort()
        server.close()


@contextlib.asynccontextmanager
async def opened(http: ProviderHttp) -> AsyncIterator[ProviderHttp]:
    await http.start()
    try:
        yield http
    finally:
        await http.stop()


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """A port that is taken and that nobody listens on: connecting is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def order(target: str = "/v3/pay?a=%7B1%7D&b=%e4", *, may_repeat: bool = True) -> HttpRequest:
    return HttpRequest(
        method="POST",
        target=target,
        operation="create",
        subject="A1",
        headers={"Authorization": "secret-signature", "Content-Type": "application/json"},
        body=b'{"amount":1}',
        may_repeat=may_repeat,
    )


def http_to(main: str, backup: str, seen: list[Exchange] | None = None) -> ProviderHttp:
    return ProviderHttp("wx", main, backup, observe=(seen if seen is not None else []).append)


async def stall(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def test_the_exact_bytes_arrive_and_the_exact_bytes_come_back() -> None:
    seen: list[Exchange] = []
    async with serving(Provider()) as provider, opened(ProviderHttp("wx", provider.url, observe=seen.append)) as http:
        reply = await http.send(order())
    assert isinstance(reply, HttpReply)
    assert (reply.status, reply.body, reply.headers["request-id"]) == (200, b'{"ok": true}', "08F1")
    assert provider.requests == [("POST", "/v3/pay?a=%7B1%7D&b=%e4", b'{"amount":1}')]
    (exchange,) = seen
    assert (exchange.channel, exchange.operation, exchange.subject, exchange.path) == ("wx", "create", "A1", "/v3/pay")
    assert (exchange.status, exchange.outcome, exchange.request_id) == (200, "replied", "08F1")
    assert exchange.at_ms > 0 and 0 <= exchange.ms < 5000
    assert "secret" not in repr(exchange) and "amount" not in repr(exchange) and "%7B" not in repr(exchange)


async def test_not_reached_means_the_same_bytes_on_the_backup_domain(deaf_url: str) -> None:
    seen: list[Exchange] = []
    async with serving(Provider()) as backup, opened(http_to(deaf_url, backup.url, seen)) as http:
        first = await http.send(order(), total_s=0.8)
        second = await http.send(order(), total_s=0.8)
    assert isinstance(first, HttpReply) and isinstance(second, HttpReply)
    assert backup.requests == [("POST", "/v3/pay?a=%7B1%7D&b=%e4", b'{"amount":1}')] * 2
    # The second call does not spend its budget on the domain that was just found dead.
    assert [exchange.outcome for exchange in seen] == ["connect", "replied", "replied"]


async def test_the_first_domain_is_asked_again_when_the_backup_is_gone_too(deaf_url: str) -> None:
    async with opened(http_to(deaf_url, deaf_url + "/backup")) as http:
        assert await http.send(order()) == HttpSilence(kind="connect", was_sent=False)
        assert await http.send(order()) == HttpSilence(kind="connect", was_sent=False)


async def test_connecting_has_its_own_budget() -> None:
    seen: list[Exchange] = []
    async with silent_server() as main, serving(Provider()) as backup:
        http = ProviderHttp("wx", main, backup.url, connect_s=0.1, observe=seen.append)
        async with opened(http):
            reply = await http.send(order(), total_s=2.0)
    assert isinstance(reply, HttpReply)
    assert seen[0].outcome == "connect" and 80 <= seen[0].ms < 2500


async def test_connecting_may_use_up_the_whole_budget() -> None:
    async with silent_server() as main, serving(Provider()) as backup, opened(http_to(main, backup.url)) as http:
        assert await http.send(order(), total_s=0.1) == HttpSilence(kind="connect", was_sent=False)
    assert backup.requests == []


async def test_a_stalled_answer_is_a_timeout_that_may_have_had_its_effect() -> None:
    async with (
        serving(Provider(stall)) as main,
        serving(Provider()) as backup,
        opened(http_to(main.url, backup.url)) as http,
    ):
        assert await http.send(order(), total_s=0.15) == HttpSilence(kind="timeout", was_sent=True)
    assert len(main.requests) == 1 and backup.requests == []


async def test_a_body_that_stalls_is_a_timeout_too() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        return await stall(request)

    async with serving(Provider(half)) as provider, opened(ProviderHttp("wx", provider.url)) as http:
        assert await http.send(order(), total_s=0.2) == HttpSilence(kind="timeout", was_sent=True)


async def test_a_thousand_abandoned_calls_leave_the_pool_to_a_thousand_good_ones() -> None:
    gate = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(body=b"late")

    seen: list[Exchange] = []
    async with serving(Provider(wait)) as provider:
        http = ProviderHttp("wx", provider.url, connections=20, most_waiting=1000, observe=seen.append)
        async with opened(http):
            for _ in range(10):
                calls = [asyncio.create_task(http.send(order())) for _ in range(100)]
                async with asyncio.timeout(10):
                    while provider.under_way < 20:
                        await asyncio.sleep(0.005)
                for call in calls:
                    call.cancel()
                assert all(isinstance(each, asyncio.CancelledError) for each in await gathered(calls))
                async with asyncio.timeout(10):
                    while provider.under_way:
                        await asyncio.sleep(0.005)
            gate.set()
            replies = await asyncio.gather(*(http.send(order()) for _ in range(1000)))
    assert all(isinstance(reply, HttpReply) and reply.body == b"late" for reply in replies)
    assert sum(exchange.outcome == "cancelled" for exchange in seen) == 200


async def gathered(calls: list[asyncio.Task[HttpReply | HttpSilence]]) -> list[object]:
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_no_free_connection_is_our_overload_and_never_the_providers_failure() -> None:
    seen: list[Exchange] = []
    async with serving(Provider(stall)) as provider:
        http = ProviderHttp("wx", provider.url, connections=1, most_waiting=1, observe=seen.append)
        async with opened(http):
            busy = asyncio.create_task(http.send(order(), total_s=5))
            async with asyncio.timeout(5):
                while not provider.under_way:
                    await asyncio.sleep(0.005)
            waiting = asyncio.create_task(http.send(order(), total_s=0.2))
            await asyncio.sleep(0)
            turned_away = await http.send(order(), total_s=5)
            assert turned_away == await waiting == HttpSilence(kind="overload", was_sent=False)
            busy.cancel()
            await gathered([busy])
    assert len(provider.requests) == 1
    assert [exchange.outcome for exchange in seen] == ["overload", "overload", "cancelled"]


async def test_a_reply_beyond_the_bound_is_not_read() -> None:
    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 300_000)

    async with serving(Provider(large)) as provider, opened(ProviderHttp("wx", provider.url)) as http:
        assert await http.send(order(), most_bytes=299_999) == HttpSilence(kind="too_large", was_sent=True)
        reply = await http.send(order(), most_bytes=300_000)
    assert isinstance(reply, HttpReply) and len(reply.body) == 300_000


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_broken_connection_is_told_apart_and_not_repeated() -> None:
    async with serving(Provider(reset)) as provider, opened(ProviderHttp("wx", provider.url)) as http:
        assert await http.send(order()) == HttpSilence(kind="reset", was_sent=True)
    assert len(provider.requests) == 1


@pytest.mark.parametrize(("may_repeat", "expected"), [(True, 3), (False, 2)])
async def test_an_idle_connection_that_breaks_is_no_failure_of_the_provider(*, may_repeat: bool, expected: int) -> None:
    count = 0

    async def second_breaks(request: web.Request) -> web.StreamResponse:
        nonlocal count
        count += 1
        return await reset(request) if count == 2 else web.Response(body=b"ok")

    async with serving(Provider(second_breaks)) as provider, opened(ProviderHttp("wx", provider.url)) as http:
        await http.send(order())
        answer = await http.send(order(may_repeat=may_repeat))
    assert isinstance(answer, HttpReply) == may_repeat
    assert len(provider.requests) == expected


async def test_redirects_are_answers_and_whole_urls_have_no_other_domain(deaf_url: str) -> None:
    async def moved(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    async with serving(Provider(moved)) as provider, opened(http_to(deaf_url, provider.url)) as http:
        reply = await http.send(order(provider.url + "/bill?token=1"))
        assert isinstance(reply, HttpReply) and reply.status == 302
        assert await http.send(order(deaf_url + "/bill")) == HttpSilence(kind="connect", was_sent=False)


async def test_stopped_under_way_is_a_reset_and_it_can_be_started_again() -> None:
    async with serving(Provider(stall)) as provider:
        http = ProviderHttp("wx", provider.url)
        call = asyncio.create_task(http.send(order()))
        async with asyncio.timeout(5):
            while not provider.under_way:
                await asyncio.sleep(0.005)
        await http.stop()
        assert await call == HttpSilence(kind="reset", was_sent=True)
        assert await http.send(order(), total_s=0.1) == HttpSilence(kind="timeout", was_sent=True)
        await http.stop()


async def test_a_stranger_with_a_certificate_of_its_own_gets_nothing(tmp_path: Path) -> None:
    key = wechat_counter.new_key()
    certificate = wechat_counter.certificate_of(key, 7)
    chain, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_text(wechat_counter.certificate_pem(certificate))
    private.write_text(wechat_counter.private_pem(key))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain, private)
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=tls)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with opened(ProviderHttp("wx", url)) as http:
        assert await http.send(order()) == HttpSilence(kind="connect", was_sent=False)
    server.close()
    assert not heard


# -- our own lateness ------------------------------------------------------------------------------------------------


async def late(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(0.1)
    return web.Response(body=b"late")


async def busy_for(seconds: float) -> None:
    """Nobody listens meanwhile."""
    time.sleep(seconds)


async def test_a_provider_is_not_late_because_we_do_not_listen() -> None:
    async with serving(Provider(late)) as provider, opened(ProviderHttp("wx", provider.url)) as http:
        call = asyncio.create_task(http.send(order(), total_s=0.3))
        async with asyncio.timeout(5):
            while not provider.under_way:
                await asyncio.sleep(0.005)
        await busy_for(0.25)
        await asyncio.sleep(0)
        await busy_for(0.25)
        assert isinstance(await call, HttpReply)


async def test_what_is_forgiven_has_an_end_and_is_ours() -> None:
    seen: list[Exchange] = []
    async with serving(Provider(stall)) as provider, opened(http_to(provider.url, "", seen)) as http:
        call = asyncio.create_task(http.send(order(), total_s=0.2))
        began = time.monotonic()
        while not call.done():
            await busy_for(0.05)
            await asyncio.sleep(0)
        assert await call == HttpSilence(kind="overload", was_sent=True)
        assert 0.35 < time.monotonic() - began < 4.0
    assert [exchange.outcome for exchange in seen] == ["overload"]


async def test_a_server_that_was_not_reached_while_we_were_busy_is_not_called_dead() -> None:
    async with silent_server() as main, serving(Provider()) as backup:
        http = ProviderHttp("wx", main, backup.url, connect_s=0.1)
        async with opened(http):
            call = asyncio.create_task(http.send(order(), total_s=0.15))
            while not call.done():
                await busy_for(0.05)
                await asyncio.sleep(0)
            assert await call == HttpSilence(kind="overload", was_sent=False)
    assert backup.requests == []
