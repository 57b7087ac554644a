"""Where runners are is found out when somebody begins to follow them: from the worker's table, then a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dispatch.flow.track_runner import LiveTable
from dispatch.live.bus import PositionRow
from dispatch.live.connect import connect
from dispatch.live.presence import Presence
from dispatch.wire.whereabouts import RECENT_S, Whereabouts
from geo.fix import Fix
from tests.conftest import RedisServer
from tests.hub_world import CAMPUS, Eventually

NOW_MS, SILENT_MS = 1_000_000, 880_000


def fix(at: int) -> Fix:
    return Fix(30.5, 114.4, at, received_at_ms=at)


class Desk:
    """A worker's table and Redis, and what was found out."""

    def __init__(self, redis_url: str) -> None:
        self.redis = connect(redis_url)
        self.table = LiveTable()
        self.presence = Presence(self.redis)
        self.is_heard = asyncio.Event()
        self.is_heard.set()
        self.found: list[dict[str, int]] = []
        self.whereabouts = Whereabouts(
            self.table, self.presence, lambda: NOW_MS, lambda: SILENT_MS, 1.0, self._heard, self._deliver
        )

    async def _heard(self, campus_id: str) -> None:
        await self.is_heard.wait()

    def _deliver(self, campus_id: str, rows: list[PositionRow]) -> None:
        self.found.append({row[0]: row[3] for row in rows})

    async def reads(self) -> int:
        stats = await self.redis.info("commandstats")
        return int(stats.get("cmdstat_hmget", {}).get("calls", 0))


@pytest.fixture
async def desk(redis_url: str) -> AsyncIterator[Desk]:
    desk = Desk(redis_url)
    yield desk
    await desk.whereabouts.stop()
    await desk.redis.aclose()


async def test_what_is_known_here_comes_at_once_and_redis_is_asked_for_the_rest(
    desk: Desk, eventually: Eventually
) -> None:
    long_ago = NOW_MS - round(RECENT_S * 1000) - 1
    desk.table.seed(CAMPUS, "acc_here", fix(NOW_MS - 1))
    desk.table.seed(CAMPUS, "acc_moved", fix(long_ago))
    desk.table.seed(CAMPUS, "acc_silent", fix(SILENT_MS - 1))
    there = [("acc_here", fix(5)), ("acc_moved", fix(NOW_MS)), ("acc_there", fix(NOW_MS)), ("acc_silent", fix(7))]
    await desk.presence.put_many(CAMPUS, there)
    desk.whereabouts.ask(CAMPUS, ["acc_here", "acc_moved", "acc_there", "acc_silent", "acc_nowhere"])
    assert desk.found == [{"acc_here": NOW_MS - 1, "acc_moved": long_ago}]
    await eventually(lambda: len(desk.found) == 2)
    assert desk.found[1] == {"acc_moved": NOW_MS, "acc_there": NOW_MS}


async def test_whoever_is_known_here_costs_no_read(desk: Desk) -> None:
    desk.table.seed(CAMPUS, "acc_here", fix(NOW_MS))
    before = await desk.reads()
    for _ in range(10):
        desk.whereabouts.ask(CAMPUS, ["acc_here"])
    assert len(desk.found) == 10 and await desk.reads() == before


async def test_everybody_is_asked_for_once_more_a_moment_later(desk: Desk, eventually: Eventually) -> None:
    desk.table.seed(CAMPUS, "acc_here", fix(NOW_MS))
    await desk.presence.put_many(CAMPUS, [("acc_there", fix(NOW_MS))])
    desk.whereabouts.ask(CAMPUS, None)
    await eventually(lambda: desk.found == [{"acc_here": NOW_MS}, {"acc_there": NOW_MS}])
    await desk.presence.put_many(CAMPUS, [("acc_late", fix(NOW_MS))])
    await eventually(lambda: "acc_late" in desk.found[-1])


async def test_a_thousand_questions_at_once_are_a_few_reads(desk: Desk, eventually: Eventually) -> None:
    names = [f"acc_{number}" for number in range(1_000)]
    await desk.presence.put_many(CAMPUS, [(name, fix(NOW_MS)) for name in names])
    before = await desk.reads()
    desk.is_heard.clear()
    for name in names:
        desk.whereabouts.ask(CAMPUS, [name])
    desk.is_heard.set()
    await eventually(lambda: desk.found)
    assert len(desk.found[0]) == 1_000 and await desk.reads() == before + 1


async def test_who_left_while_it_was_asked_where_they_are_does_not_come_back(
    desk: Desk, eventually: Eventually
) -> None:
    await desk.presence.put_many(CAMPUS, [("acc_a", fix(NOW_MS)), ("acc_b", fix(NOW_MS))])
    desk.whereabouts.gone(CAMPUS, ["acc_b"])  # before anybody asked: known by the time of the answer
    desk.is_heard.clear()
    desk.whereabouts.ask(CAMPUS, ["acc_a", "acc_b"])
    desk.whereabouts.gone(CAMPUS, ["acc_a"])
    desk.is_heard.set()
    await eventually(lambda: desk.found)
    assert desk.found == [{"acc_b": NOW_MS}]


async def test_redis_may_be_away_for_a_moment(own_redis: RedisServer, eventually: Eventually) -> None:
    desk = Desk(own_redis.url)
    try:
        await desk.presence.put_many(CAMPUS, [("acc_a", fix(NOW_MS))])
        own_redis.stop()
        desk.whereabouts.ask(CAMPUS, ["acc_a"])
        own_redis.start()
        await desk.presence.put_many(CAMPUS, [("acc_a", fix(NOW_MS))])
        await eventually(lambda: desk.found, timeout_s=10.0)
        assert desk.found[0] == {"acc_a": NOW_MS}
    finally:
        await desk.whereabouts.stop()
        await desk.redis.aclose()
