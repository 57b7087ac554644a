"""The webhook against a real server: one that verifies, one that is ill, one that is slow, one that sends us on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from payments.store.unit_of_work import Store
from payments.upkeep.background import Rounds
from payments.upkeep.upkeep import Upkeep, UpkeepConfig
from payments.upkeep.webhook import (
    DELIVERY,
    RETRY_S,
    SIGNATURE,
    TOLERANCE_S,
    Webhook,
    WebhookConfig,
    signature,
    why_not_genuine,
)
from tests.payments_desk import Desk, sqlite_desk

SECRET = "sixteen characters at the least"
Eventually = Callable[..., Awaitable[None]]


class Receiver:
    """An operator's server: it verifies, and then does what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.refused: list[str] = []
        self.elsewhere = 0
        self.answers: list[int] = []
        self.secret = SECRET
        self.delay_s = 0.0
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        why = why_not_genuine(self.secret, request.headers.get(SIGNATURE, ""), body, time.time())
        if why is not None:
            self.refused.append(why)
            return web.Response(status=401)
        await asyncio.sleep(self.delay_s)
        status = self.answers.pop(0) if self.answers else 204
        if 300 <= status < 400:
            raise web.HTTPTemporaryRedirect(location="/elsewhere")
        if status < 300:
            self.heard.append(request.headers[DELIVERY])
        return web.Response(status=status)

    async def stray(self, _: web.Request) -> web.StreamResponse:
        self.elsewhere += 1
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/alarms", receiver.take)
    app.router.add_route("*", "/elsewhere", receiver.stray)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/alarms"
    yield receiver
    await runner.cleanup()


class Post:
    """A desk whose queue a webhook empties."""

    def __init__(self, desk: Desk, receiver: Receiver, **options: object) -> None:
        self.desk = desk
        self.store: Store = desk.payments._store
        config = WebhookConfig(url=receiver.url, secret=SECRET)
        self.webhook = Webhook(self.store, config, lambda: desk.at, **options)  # type: ignore[arg-type]

    async def put(self, name: str = "d1") -> None:
        await self.store.run(lambda uow: uow.webhook.add(name, f'{{"id": "{name}"}}', self.desk.at))

    async def waiting(self) -> int:
        return await self.store.read(lambda uow: uow.webhook.count())


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with sqlite_desk(tmp_path) as desk:
        yield desk


async def test_messages_arrive_signed_and_in_order(desk: Desk, receiver: Receiver) -> None:
    post = Post(desk, receiver)
    assert await post.webhook.work() == 0
    for number in range(12):
        await post.put(f"d{number:02d}")
    assert [await post.webhook.work(), await post.webhook.work()] == [10, 2]
    assert receiver.heard == [f"d{number:02d}" for number in range(12)]
    assert await post.waiting() == 0
    await post.webhook.stop()
    await post.webhook.stop()


@pytest.mark.parametrize("status", [500, 503, 429, 400, 307])
async def test_whatever_is_not_two_hundred_is_tried_again_later(desk: Desk, receiver: Receiver, status: int) -> None:
    post = Post(desk, receiver)
    receiver.answers = [status]
    await post.put()
    assert await post.webhook.work() == 0
    assert await post.webhook.work() == 0, "it waits for its rung"
    assert receiver.heard == []
    desk.at += timedelta(seconds=RETRY_S[0])
    assert await post.webhook.work() == 1
    assert receiver.heard == ["d1"]
    assert receiver.elsewhere == 0, "nobody is followed anywhere"
    await post.webhook.stop()


async def test_a_message_is_given_up_in_the_end(desk: Desk, receiver: Receiver) -> None:
    post = Post(desk, receiver)
    receiver.answers = [500] * 100
    await post.put()
    for delay_s in (*RETRY_S, 0.0):
        assert await post.waiting() == 1
        await post.webhook.work()
        desk.at += timedelta(seconds=delay_s)
    assert await post.waiting() == 0
    assert len(receiver.answers) == 100 - len(RETRY_S) - 1
    await post.webhook.stop()


async def test_a_wrong_secret_and_a_late_message_are_refused_by_the_receiver(desk: Desk, receiver: Receiver) -> None:
    post = Post(desk, receiver)
    receiver.secret = "another secret of enough length"
    await post.put()
    assert await post.webhook.work() == 0
    receiver.secret = SECRET
    slow_clock = Post(desk, receiver, wall_s=lambda: time.time() - TOLERANCE_S - 5)
    desk.at += timedelta(seconds=RETRY_S[0])
    assert await slow_clock.webhook.work() == 0
    assert receiver.refused == ["wrong signature", "too old"]
    desk.at += timedelta(seconds=RETRY_S[1])
    assert await post.webhook.work() == 1
    await post.webhook.stop()
    await slow_clock.webhook.stop()


async def test_a_slow_receiver_and_one_that_is_away(desk: Desk, receiver: Receiver) -> None:
    post = Post(desk, receiver, timeout_s=0.2)
    receiver.delay_s = 5.0
    await post.put()
    began = time.monotonic()
    assert await post.webhook.work() == 0
    assert time.monotonic() - began < 2.0
    receiver.url = "http://127.0.0.1:9/alarms"
    away = Post(desk, receiver)
    desk.at += timedelta(seconds=RETRY_S[0])
    assert await away.webhook.work() == 0
    assert await post.waiting() == 1
    await post.webhook.stop()
    await away.webhook.stop()


async def test_two_processes_deliver_a_message_once(desk: Desk, receiver: Receiver) -> None:
    posts = [Post(desk, receiver) for _ in range(3)]
    for number in range(9):
        await posts[0].put(f"d{number}")
    assert sum(await asyncio.gather(*(post.webhook.work() for post in posts))) == 9
    assert sorted(receiver.heard) == [f"d{number}" for number in range(9)]
    for post in posts:
        await post.webhook.stop()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://alarms.example.edu/x", "https"),
        ("ftp://alarms.example.edu/x", "https"),
        ("http://10.0.0.1/x", "https"),
        ("https://user:pass@example.edu/x", "no password"),
        ("https://user@example.edu/x", "no name"),
        ("https://example.edu/x#part", "#"),
        ("https://", "not an address"),
        ("alarms", "not an address"),
        ("https://example.edu:99999/", "url"),
        ("https://example.edu:0/", "not an address"),
        ("https://exa mple.edu/", "not an address"),
        ("https://[::1", "url"),
        ("https://例子.edu/", "not an address"),
    ],
)
def test_addresses_that_no_alarm_is_sent_to(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        WebhookConfig(url=url, secret=SECRET)


def test_addresses_that_are_right_and_secrets_that_are_too_short() -> None:
    for url in ("https://example.edu/hook?team=1", "http://localhost:8080/", "http://[::1]/x", "http://127.0.0.2/"):
        assert SECRET not in repr(WebhookConfig(url=url, secret=SECRET))
    with pytest.raises(ValueError, match="secret"):
        WebhookConfig(url="https://example.edu/", secret="short")


def test_a_signature_is_of_these_bytes_and_this_time() -> None:
    header = signature(SECRET, b"{}", 1000)
    assert why_not_genuine(SECRET, header, b"{}", 1000 + TOLERANCE_S) is None
    assert why_not_genuine(SECRET, header, b"{}", 1001 + TOLERANCE_S) == "too old"
    assert why_not_genuine(SECRET, header, b"{ }", 1000) == "wrong signature"
    assert why_not_genuine(SECRET, header.replace("t=1000", "t=1001"), b"{}", 1000) == "wrong signature"
    for other in ("", "v1=00", header.upper(), f"{header} "):
        assert why_not_genuine(SECRET, other, b"{}", 1000) == "not signed"


async def test_in_the_background_alarms_reach_the_receiver(
    desk: Desk, receiver: Receiver, eventually: Eventually
) -> None:
    """As the server runs it: the watch finds that nobody pays, and the operator's server hears of it."""
    payments = desk.payments
    await desk.open("a")
    desk.at += timedelta(minutes=10)
    upkeep = Upkeep(
        payments._store,
        payments._channels,
        lambda: desk.at,
        payments._new_id,
        float,
        payments._driver.health.view,
        UpkeepConfig(webhook=WebhookConfig(url=receiver.url, secret=SECRET)),
    )
    upkeep.start()
    await eventually(lambda: len(receiver.heard) == 1)
    await upkeep.stop()
    (alarm,) = await upkeep.watch.alarms()
    assert (alarm.kind, receiver.heard) == ("quiet", [f"{alarm.id}-1"])


async def test_a_round_that_fails_is_followed_by_the_next(
    eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    rounds_done: list[int] = []

    async def work() -> int:
        rounds_done.append(1)
        if len(rounds_done) == 1:
            raise RuntimeError("the house is on fire")
        return int(len(rounds_done) == 2)

    rounds = Rounds("tests", work, pause_s=0.01)
    await rounds.stop()
    rounds.start()
    await eventually(lambda: len(rounds_done) >= 4)
    await rounds.stop()
    assert "a round of tests failed" in caplog.text
