"""After a dead spot: what docs/PROTOCOL.md promises for readings that come late, swapped, doubled or elsewhere."""

from __future__ import annotations

import random
from typing import Any

from dispatch.live.tracks import SPAN_MS, Tracks
from geo.filters import DEFAULT_RULES
from tests.hub_world import CAMPUS, JSON, OPTIONS, Client, Eventually, Server, World, dial, follow, now_ms, running

STEP_MS = 500
HOUR_MS = 3_600_000


def readings(until_ms: int, count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """A slow walk, oldest first; ``seq`` goes on from ``first``."""
    return [
        {"at": until_ms - (count - 1 - n) * STEP_MS, "lat": 30.5 + n / 1e6, "lon": 114.4, "seq": first + n}
        for n in range(count)
    ]


async def report(runner: Client, fixes: list[dict[str, Any]], because: str = "") -> tuple[int, int]:
    """Send a batch; how many of it were accepted, and refused for this reason."""
    accepted = refused = 0
    await runner.send(t="fixes", fixes=fixes)
    while accepted + refused < len(fixes):
        frame = await runner.receive()
        if frame["t"] == "ack":
            accepted, refused = accepted + frame["accepted"], refused + frame["refused"]
        elif frame["t"] == "refused":
            assert frame["code"] == because
    return accepted, refused


async def track(server: Server, since_ms: int, until_ms: int) -> list[int]:
    fixes = await Tracks(server.redis).read(CAMPUS, "acc_r", since_ms=since_ms, until_ms=until_ms)
    return [fix.fixed_at_ms for fix in fixes]


async def test_the_newest_goes_live_at_once_and_the_rest_behind_it(server: Server, eventually: Eventually) -> None:
    async with dial(server, JSON) as runner, dial(server, JSON, "acc_o/operator") as console:
        await runner.hello("acc_r/runner", acks=True)
        await follow(console, f"console:{CAMPUS}", every_ms=50)
        now = now_ms(server)
        fixes = readings(now, 240)
        swapped = fixes.copy()
        random.Random(1).shuffle(swapped)
        assert await report(runner, swapped) == (240, 0)
        assert [row[3] for row in (await console.until("pos"))["p"]] == [now]
        # What is older still, on its own or in a batch, moves nothing.
        assert await report(runner, readings(now - 300_000, 60)) == (60, 0)
        await runner.send(t="fix", at=now - 300, lat=30.5, lon=114.4)
        await runner.send(t="fix", at=now + 1, lat=30.5001, lon=114.4)
        assert [row[3] for row in (await console.until("pos"))["p"]] == [now + 1]

        async def has_all() -> bool:
            return len(await track(server, 0, now + 1)) == 302

        await eventually(has_all, timeout_s=10)
        assert await track(server, now - 2 * STEP_MS, now) == [now - 2 * STEP_MS, now - STEP_MS, now - 300, now]


async def test_a_reading_counts_once_however_often_and_wherever_it_is_sent(
    redis_url: str, server: Server, eventually: Eventually
) -> None:
    now = now_ms(server)
    fixes = readings(now, 100)
    async with dial(server, JSON) as runner:
        await runner.hello("acc_r/runner", acks=True)
        assert await report(runner, fixes) == (100, 0)
        await runner.send(t="fixes", fixes=fixes[:3], seq=2)
        for fix in reversed(fixes[:3]):
            assert await runner.until("refused") == {
                "t": "refused", "code": "duplicate", "at": fix["at"], "seq": fix["seq"],
            }  # fmt: skip
        assert await runner.until("ack") == {"t": "ack", "seq": 99, "accepted": 0, "refused": 3}
        # The same time at another place is the same reading.
        assert await report(runner, [fixes[50] | {"lat": 30.5005}], "duplicate") == (0, 1)

        async def has_all() -> bool:
            return len(await track(server, 0, now)) == 100

        await eventually(has_all, timeout_s=10)
    async with running(redis_url, World(), OPTIONS) as other, dial(other, JSON) as runner:
        await runner.hello("acc_r/runner", acks=True)
        # Another process knows the newest alone: it takes the rest again, and the track tells each once.
        assert await report(runner, fixes, "duplicate") == (99, 1)
        assert other.hub.metrics()["live_total"] == 0
        await other.hub.stop()
    assert await track(server, 0, now) == [fix["at"] for fix in fixes]


async def test_beyond_what_is_remembered_a_reading_is_taken_again_and_changes_nothing(
    server: Server, eventually: Eventually
) -> None:
    most = 2 * DEFAULT_RULES.remembered
    now = now_ms(server)
    fixes = readings(now, most + 40)
    async with dial(server, JSON) as runner:
        await runner.hello("acc_r/runner", acks=True)
        for start in range(0, len(fixes), 100):
            part = fixes[start : start + 100]
            assert await report(runner, part) == (len(part), 0)
        newest = fixes[-DEFAULT_RULES.remembered :]
        for start in range(0, len(newest), 128):
            assert (await report(runner, newest[start : start + 128], "duplicate"))[0] == 0
        assert await report(runner, fixes[:20]) == (20, 0)

        async def has_all() -> bool:
            return await track(server, 0, now) == [fix["at"] for fix in fixes]

        await eventually(has_all, timeout_s=10)
    await server.hub.stop()
    assert await track(server, 0, now) == [fix["at"] for fix in fixes]
    assert (await server.presence.get(CAMPUS, ["acc_r"]))["acc_r"].fixed_at_ms == now


async def test_the_window_is_a_day_and_the_track_three_hours(server: Server, eventually: Eventually) -> None:
    now = now_ms(server)
    fix = {"lat": 30.5, "lon": 114.4}
    async with dial(server, JSON) as runner:
        await runner.hello("acc_r/runner", acks=True)
        assert await report(runner, [fix | {"at": now}]) == (1, 0)
        assert await report(runner, [fix | {"at": now - 24 * HOUR_MS + 60_000}]) == (1, 0)
        assert await report(runner, [fix | {"at": now - 24 * HOUR_MS - 1_000}], "too_old") == (0, 1)
        # Where the runner cannot have been an hour ago, and where they can.
        assert await report(runner, [{"lat": 31.5, "lon": 114.4, "at": now - HOUR_MS}], "impossible_jump") == (0, 1)
        assert await report(runner, [{"lat": 30.9, "lon": 114.4, "at": now - HOUR_MS}]) == (1, 0)

        async def is_written() -> bool:
            return await track(server, now - SPAN_MS, now) == [now - HOUR_MS, now]

        await eventually(is_written, timeout_s=10)
