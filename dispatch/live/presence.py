"""Where everybody is now: the newest fix of each runner of a campus, read by the planner in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from geo.fix import Fix
from geo.redis_index import RedisGeoIndex

from . import keys
from .cluster import ClusterClient
from .connect import RedisClient
from .packing import pack_fix, unpack_fix
from .pipe import Pipe


class Presence:
    """The hash of newest fixes; who was not heard of for a while is swept, from the geo index too."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._pipe = Pipe(redis)

    def _index(self, campus_id: str) -> RedisGeoIndex:
        return RedisGeoIndex(self._redis, campus_id)

    async def put_many(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        """Replace the fixes of these runners; the caller has filtered and ordered them."""
        if fixes:
            await self._redis.execute_command(*self.put_command(campus_id, fixes))

    def put_command(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> list[Any]:
        """The command of ``put_many``, for a pipeline of the caller's."""
        command: list[Any] = ["HSET", keys.fixes(campus_id)]
        for runner_id, fix in fixes:
            command += (runner_id, pack_fix(fix))
        return command

    @property
    def is_spread(self) -> bool:
        """Whether campuses lie on several servers, of which some may be away while others are there."""
        return isinstance(self._redis, ClusterClient)

    async def send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands in one round trip; an answer each, errors of single commands among them."""
        return await self._pipe.send(commands)

    def close(self) -> None:
        """Give back the connection of ``send``."""
        self._pipe.close()

    async def all(self, campus_id: str) -> dict[str, Fix]:
        """Every runner that was heard of lately."""
        found = await self._redis.hgetall(keys.fixes(campus_id))
        return {cast(bytes, name).decode(): unpack_fix(cast(bytes, packed)) for name, packed in found.items()}

    async def get(self, campus_id: str, runner_ids: Sequence[str]) -> dict[str, Fix]:
        """The newest fixes of these runners, without those of whom none is known."""
        if not runner_ids:
            return {}
        found = await self._redis.hmget(keys.fixes(campus_id), list(runner_ids))
        return {
            runner_id: unpack_fix(cast(bytes, packed))
            for runner_id, packed in zip(runner_ids, found, strict=True)
            if packed is not None
        }

    async def remove(self, campus_id: str, runner_ids: Iterable[str]) -> None:
        """Forget these runners here and in the geo index, as when they go off duty."""
        gone = list(runner_ids)
        if gone:
            await self._index(campus_id).remove(gone)
            await self._redis.hdel(keys.fixes(campus_id), *gone)

    async def sweep(self, campus_id: str, before_ms: int, *, limit: int = 500) -> list[str]:
        """Forget at most ``limit`` runners that were last heard of before ``before_ms``; the caller publishes it."""
        gone = await self._index(campus_id).sweep(before_ms, limit)
        if gone:
            await self._redis.hdel(keys.fixes(campus_id), *gone)
        return list(gone)
