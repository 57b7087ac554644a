"""Where a runner was: recent fixes in the order of the device's time, capped and forgotten after a day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from geo.fix import Fix

from . import keys
from .connect import RedisClient
from .packing import pack_reading, unpack_fix

#: A track keeps this many fixes: two hours at one in four seconds.
CAP = 1_800
TTL_S = 86_400


class Tracks:
    """One sorted set per runner. An order's track is its runner's, cut to the time between assignment and delivery.

    A late fix finds its place by its time, and a doubled one falls onto itself.
    """

    def __init__(self, redis: RedisClient, *, cap: int = CAP, ttl_s: int = TTL_S) -> None:
        self._redis = redis
        self._cap = cap
        self._ttl_s = ttl_s

    async def append_many(self, campus_id: str, fixes: Iterable[tuple[str, Fix]]) -> None:
        """Add fixes in any order; over the cap the oldest go."""
        by_runner: dict[str, dict[bytes, int]] = {}
        for runner_id, fix in fixes:
            by_runner.setdefault(runner_id, {})[pack_reading(fix)] = fix.fixed_at_ms
        if not by_runner:
            return
        pipe = self._redis.pipeline(transaction=False)
        for runner_id, members in by_runner.items():
            key = keys.track(campus_id, runner_id)
            pipe.zadd(key, dict(members))
            pipe.zremrangebyrank(key, 0, -self._cap - 1)
            pipe.expire(key, self._ttl_s)
        await pipe.execute()

    async def read(
        self, campus_id: str, runner_id: str, *, since_ms: int, until_ms: int, limit: int = CAP
    ) -> list[Fix]:
        """The readings taken between the two times, both included, oldest first; the newest ``limit`` of them.

        Their time of receipt is not kept."""
        found = await self._redis.zrange(
            keys.track(campus_id, runner_id), until_ms, since_ms, desc=True, byscore=True, offset=0, num=limit
        )
        return [unpack_fix(cast(bytes, packed)) for packed in reversed(found)]

    async def forget(self, campus_id: str, runner_id: str) -> None:
        await self._redis.delete(keys.track(campus_id, runner_id))
