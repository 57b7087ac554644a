"""Views and interest over real sockets and a real Redis: who is shown what part of the map, how often, from where."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY

from dispatch.hub.reporting import BUSY, IDLE
from dispatch.hub_metrics import HubMetrics
from dispatch.model.account import Role
from dispatch.model.event import EventKind
from geo.fix import Fix
from tests.hub_world import (
    CAMPUS,
    JSON,
    MSGPACK,
    Client,
    Eventually,
    Server,
    Standing,
    Who,
    World,
    dial,
    event,
    follow,
    now_ms,
    running,
)

CONSOLE = f"console:{CAMPUS}"
BOX = [30.0, 114.0, 31.0, 115.0]


@pytest.fixture
async def workers(redis_url: str, world: World) -> AsyncIterator[list[Server]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(redis_url, world)) for _ in range(2)]


async def report(client: Client, server: Server, lat: float, lon: float = 114.4, **more: Any) -> int:
    at = now_ms(server)
    await client.send(t="fix", at=at, lat=lat, lon=lon, **more)
    return at


async def is_written(server: Server, runner_id: str, at: int) -> bool:
    found = await server.presence.get(CAMPUS, [runner_id])
    return bool(runner_id in found and found[runner_id].fixed_at_ms == at)


def kept(server: Server) -> set[str]:
    return set(server.hub.hub.topics.campus(CAMPUS).positions)


# --- interest


async def test_a_position_that_nobody_follows_stays_with_the_worker_that_took_it(
    workers: list[Server], world: World, eventually: Eventually
) -> None:
    here, there = workers
    world.orders["ord_1"] = "acc_a"
    async with (
        dial(here, token="acc_a/runner") as followed,
        dial(here, token="acc_b/runner") as alone,
        dial(there, token="acc_s/student") as student,
    ):
        first = await report(followed, here, 30.5)
        await report(alone, here, 30.5)
        await eventually(lambda: is_written(here, "acc_a", first))
        assert kept(here) == kept(there) == set()
        await follow(student, "order:ord_1")
        assert (await student.until("pos"))["p"][0][:4] == ["acc_a", 30.5, 114.4, first], "from Redis, at once"

        async def is_live() -> bool:
            at = await report(followed, here, 30.5001)
            await report(alone, here, 30.5001)
            return (await student.until("pos"))["p"][0][3] == at

        await eventually(is_live)
        assert kept(there) == {"acc_a"} and kept(here) == set()
        await student.send(t="unfollow", topic="order:ord_1")
        await student.until("unfollowed")
        assert kept(there) == set()


async def test_what_this_worker_knows_itself_is_shown_with_the_answer(
    server: Server, world: World, eventually: Eventually
) -> None:
    world.orders["ord_1"] = "acc_a"
    async with dial(server, token="acc_a/runner") as runner, dial(server, token="acc_s/student") as student:
        at = await report(runner, server, 30.5)
        await eventually(lambda: server.table.newest(CAMPUS, "acc_a"))
        await student.send(t="follow", topic="order:ord_1")
        assert (await student.until("pos"))["p"][0][3] == at


async def test_a_position_that_was_written_before_anybody_knew_of_the_follower_is_found(
    server: Server, world: World
) -> None:
    world.orders["ord_1"] = "acc_a"
    async with dial(server, token="acc_s/student") as student:
        await follow(student, "order:ord_1")
        # Another worker took it, and did not know yet that it is followed here.
        at = now_ms(server)
        await server.presence.put_many(CAMPUS, [("acc_a", Fix(30.5, 114.4, at, received_at_ms=at))])
        assert (await student.until("pos"))["p"][0][3] == at


async def test_a_console_is_shown_everybody_of_every_worker(workers: list[Server], eventually: Eventually) -> None:
    here, there = workers
    async with dial(here, token="acc_a/runner") as one, dial(there, token="acc_b/runner") as two:
        times = {"acc_a": await report(one, here, 30.5), "acc_b": await report(two, there, 30.6)}
        for runner_id, at in times.items():
            await eventually(lambda runner_id=runner_id, at=at: is_written(here, runner_id, at))
        async with dial(there, token="acc_o/operator") as console:
            await follow(console, CONSOLE)
            seen: dict[str, int] = {}
            while seen != times:
                seen.update({row[0]: row[3] for row in (await console.until("pos"))["p"]})
            assert kept(there) == {"acc_a", "acc_b"} and kept(here) == set()
        await eventually(lambda: not kept(there))


# --- views


async def frames_until(client: Client, at: int) -> int:
    """How many frames of positions come until the one with the reading of that time."""
    count = 1
    while (await client.until("pos"))["p"][0][3] != at:
        count += 1
    return count


async def test_each_watcher_is_shown_at_its_own_rhythm_and_ends_with_the_newest(server: Server, world: World) -> None:
    world.orders["ord_1"] = "acc_a"
    async with (
        dial(server, MSGPACK) as runner,
        dial(server, JSON, "acc_s/student") as student,
        dial(server, JSON, "acc_t/student") as rare,
        dial(server, MSGPACK, "acc_o/operator") as console,
    ):
        await runner.hello("acc_a/runner", acks=True)
        await follow(student, "order:ord_1")
        await follow(rare, "order:ord_1", every_ms=600)
        await follow(console, CONSOLE)
        begun_s = time.monotonic()
        at = 0
        while time.monotonic() - begun_s < 1.5:
            at = await report(runner, server, 30.5)
            await runner.until("ack")  # comes with the flush
        lasted_s = time.monotonic() - begun_s
        often, gathered, seldom = [await frames_until(one, at) for one in (student, console, rare)]
    assert seldom <= lasted_s / 0.6 + 2 and gathered <= lasted_s / 0.25 + 2
    assert often > gathered > seldom


@pytest.mark.parametrize("subprotocol", [JSON, MSGPACK])
async def test_an_operator_moves_the_map(server: Server, subprotocol: str) -> None:
    async with (
        dial(server, token="acc_a/runner") as inside,
        dial(server, token="acc_b/runner") as outside,
        dial(server, subprotocol, "acc_o/operator") as console,
        dial(server, token="acc_p/operator") as whole,
    ):
        await follow(whole, CONSOLE)
        await follow(console, CONSOLE, box=BOX)
        await report(inside, server, 30.5)
        away = await report(outside, server, 32.5)
        seen: set[str] = set()
        while seen != {"acc_a", "acc_b"}:
            seen |= {row[0] for row in (await whole.until("pos"))["p"]}
        assert [row[0] for row in (await console.until("pos"))["p"]] == ["acc_a"]
        await console.send(t="view", topic=CONSOLE, box=[32.0, 114.0, 33.0, 114.40005], every_ms=101, re=4)
        assert await console.receive() == {"t": "viewed", "topic": CONSOLE, "every_ms": 150, "re": 4}
        assert [row[:4] for row in (await console.receive())["p"]] == [["acc_b", 32.5, 114.4, away]]
        left = await report(outside, server, 32.5, 114.4001)
        assert [row[:4] for row in (await console.receive())["p"]] == [["acc_b", 32.5, 114.4001, left]]
        await report(inside, server, 30.5001)
        await report(outside, server, 32.5, 114.4002)
        while {row[0] for row in (await whole.until("pos"))["p"]} != {"acc_a", "acc_b"}:
            await report(inside, server, 30.5001)
            await report(outside, server, 32.5, 114.4002)
        await console.send(t="unfollow", topic=CONSOLE)
        assert (await console.receive())["t"] == "unfollowed", "neither is within the box"


@pytest.mark.parametrize("token", ["acc_s/student", "acc_r/runner"])
async def test_only_who_follows_a_console_has_a_view_of_it(server: Server, token: str) -> None:
    async with dial(server, token=token) as client:
        await client.send(t="follow", topic=CONSOLE, box=BOX, every_ms=100, re=1)
        assert (await client.until("error"))["code"] == "not_permitted"
        await client.send(t="view", topic=CONSOLE, box=BOX, re=2)
        error = await client.until("error")
        assert (error["code"], error["field"], error["re"], error["topic"]) == ("not_found", "topic", 2, CONSOLE)


# --- how often runners report


async def test_a_runner_with_an_errand_is_asked_to_report_more_often(workers: list[Server], world: World) -> None:
    here, there = workers
    who = Who("acc_r", roles=frozenset({Role.RUNNER}))
    async with dial(here, token="acc_r/runner") as runner:
        assert await runner.until("report") == {"t": "report", "every_ms": IDLE.every_ms, "distance_m": IDLE.distance_m}
        for number, kind, is_busy, expected in (
            (1, EventKind.TASK_ASSIGNED, True, BUSY),
            (2, EventKind.ORDER_DELIVERED, False, IDLE),
        ):
            world.standings["acc_r"] = Standing(who, is_busy=is_busy)
            await there.streams.publish_many(CAMPUS, [event(number, "runner:acc_r", kind)])
            told = await runner.until("report")
            assert (told["every_ms"], told["distance_m"]) == expected


async def test_a_late_worker_asks_for_less(server: Server) -> None:
    async with dial(server, token="acc_r/runner") as runner, dial(server, token="acc_s/student") as student:
        await runner.until("report")
        server.hub.hub.stretch(4)
        told = await runner.until("report")
        assert (told["every_ms"], told["distance_m"]) == (4 * IDLE.every_ms, 4 * IDLE.distance_m)
        await student.send(t="ping", re=1)
        while (frame := await student.receive())["t"] != "pong":
            assert frame["t"] != "report", "a student reports nothing"


# --- figures


async def test_the_figures_say_how_fresh_positions_are(server: Server, world: World) -> None:
    world.orders["ord_1"] = "acc_a"
    metrics = HubMetrics(server.hub)

    def fresh_s(since: str, quantile: str) -> float:
        metrics.collect()
        found = REGISTRY.get_sample_value("dispatch_freshness_seconds", {"since": since, "quantile": quantile})
        assert found is not None
        return found

    assert fresh_s("receipt", "0.5") != fresh_s("receipt", "0.5"), "nothing was shown: not a number"
    async with dial(server, token="acc_a/runner") as runner, dial(server, token="acc_s/student") as student:
        await follow(student, "order:ord_1")
        for _ in range(3):
            # A clock that is slow by an hour makes nobody's position old.
            await runner.send(t="fix", at=now_ms(server) - 3_600_000, lat=30.5, lon=114.4)
            await student.until("pos")
    for quantile in ("0.5", "0.95", "0.99"):
        assert 0 < fresh_s("receipt", quantile) <= 1.0
        assert 0 < fresh_s("reading", quantile) <= 1.0
