"""The index of runners in Redis (6.2 or later): a GEO set for places beside a sorted set for their times.

GEO members cannot expire, hence the second set and the sweep. Redis wants longitude first; that order exists only here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .index import Entry, Nearby
from .point import MAX_LAT_DEG, Point, checked

# Both sets change together: a runner that reports again while being swept is either gone with its removal
# published, or still here; never half of each.
_SWEEP = """
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
end
return gone
"""
# Lua's unpack is bounded by its stack.
_SWEEP_MOST = 5_000


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _numbers(values: Sequence[float]) -> list[bytes]:
    return msgspec.json.encode(values)[1:-1].split(b",")


class RedisGeoIndex:
    """One campus's index. The campus id is the keys' hash tag, so that both sets share a cluster slot."""

    def __init__(self, redis: Any, campus_id: str) -> None:
        """``redis``: redis-py's asyncio client, or one of a cluster with the same methods."""
        self._redis = redis
        self.geo_key = f"{{{campus_id}}}:geo"
        self.seen_key = f"{{{campus_id}}}:seen"

    async def put_many(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        # Redis refuses a whole GEOADD for one bad member, so all are checked before any is sent.
        newest = {runner_id: (runner_id, *checked(*point), at_ms) for runner_id, point, at_ms in entries}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.execute_command(*self.seen_command([(runner_id, at_ms) for runner_id, _, _, at_ms in newest.values()]))
            pipe.execute_command(*self.places_command([row[:3] for row in newest.values()]))
            await pipe.execute()

    # For a pipeline of the caller's. Sent in this order they need no transaction: a sweep between them finds a runner
    # either still silent, and takes both halves before both come, or heard of already, and takes nothing.

    def seen_command(self, rows: Sequence[tuple[str, int]]) -> list[Any]:
        """The command that notes when runners were heard of: rows of (runner id, at_ms). Whoever is put in a place must
        have been noted before, and again often enough for the sweep not to take them."""
        names, times = zip(*rows, strict=True)
        command: list[Any] = ["ZADD", self.seen_key, "GT", *([""] * (2 * len(rows)))]
        command[3::2] = times
        command[4::2] = names
        return command

    def places_command(self, rows: Sequence[tuple[str, float, float]]) -> list[Any]:
        """The command that puts rows of (runner id, lat, lon), each runner once. Raises BadPoint."""
        names, lats, lons = zip(*rows, strict=True)
        south, north, west, east = min(lats), max(lats), min(lons), max(lons)
        if not (-MAX_LAT_DEG <= south <= north <= MAX_LAT_DEG and -180.0 <= west <= east <= 180.0):
            for _, lat, lon in rows:
                checked(lat, lon)
        # Numbers are written by the C encoder in one go: one by one they cost more than all the rest of the flush.
        command: list[Any] = ["GEOADD", self.geo_key, *([""] * (3 * len(rows)))]
        command[2::3] = _numbers(lons)
        command[3::3] = _numbers(lats)
        command[4::3] = names
        return command

    async def nearby(self, point: Point, radius_m: float, limit: int) -> list[Nearby]:
        if limit < 1:
            return []
        at = checked(*point)
        found = await self._redis.geosearch(
            self.geo_key,
            longitude=at.lon,
            latitude=at.lat,
            radius=radius_m,
            unit="m",
            sort="ASC",
            count=limit,
            withcoord=True,
            withdist=True,
        )
        if not found:
            return []
        seen = await self._redis.zmscore(self.seen_key, [row[0] for row in found])
        return [
            Nearby(_text(name), Point(lat, lon), float(metres), int(at_ms or 0))
            for (name, metres, (lon, lat)), at_ms in zip(found, seen, strict=True)
        ]

    async def positions(self, runner_ids: Sequence[str]) -> dict[str, Point]:
        if not runner_ids:
            return {}
        found = await self._redis.geopos(self.geo_key, *runner_ids)
        return {
            runner_id: Point(place[1], place[0])
            for runner_id, place in zip(runner_ids, found, strict=True)
            if place is not None
        }

    async def remove(self, runner_ids: Sequence[str]) -> int:
        if not runner_ids:
            return 0
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self.geo_key, *runner_ids)
            pipe.zrem(self.seen_key, *runner_ids)
            removed = await pipe.execute()
        return int(removed[0])

    async def sweep(self, before_ms: int, limit: int = 500) -> list[str]:
        count = max(0, min(limit, _SWEEP_MOST))
        gone = await self._redis.eval(_SWEEP, 2, self.geo_key, self.seen_key, before_ms, count)
        return [_text(name) for name in gone]

    async def size(self) -> int:
        return int(await self._redis.zcard(self.geo_key))
