"""Short notes of one process to all others: what the planner foresees, a plan that somebody looks at. Losing one costs
a question asked again, never an order."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import cast

from redis.exceptions import RedisError

from . import keys
from .connect import RedisClient

#: No note is longer.
MOST_BYTES = 4_000_000
_AWAY = (RedisError, OSError, TimeoutError)
_log = logging.getLogger(__name__)


class Notes:
    """A note has a name within its campus, and an end."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def keep(self, campus_id: str, name: str, body: bytes, real_s: float) -> None:
        """Keep it for so many real seconds, in place of the one of that name; ValueError when it is too long."""
        if len(body) > MOST_BYTES:
            raise ValueError(f"the note {name} has {len(body)} bytes, at most {MOST_BYTES} are kept")
        await self._redis.set(keys.note(campus_id, name), body, px=max(1, round(real_s * 1000)))

    async def read(self, campus_id: str, name: str) -> bytes | None:
        """The note, None once its time is over."""
        found = await self._redis.get(keys.note(campus_id, name))
        return cast("bytes | None", found)

    # What the books know as well, kept here for speed alone: without Redis nobody notices but the books.

    async def remember(self, campus_id: str, name: str, body: bytes, real_s: float) -> None:
        """As ``keep``, if Redis is there."""
        try:
            await self.keep(campus_id, name, body, real_s)
        except _AWAY as away:
            _log.debug("nothing is remembered: %s", away)

    async def recall(self, campus_id: str, name: str) -> bytes | None:
        """As ``read``, if Redis is there."""
        try:
            return await self.read(campus_id, name)
        except _AWAY as away:
            _log.debug("nothing is recalled: %s", away)
            return None

    async def forget(self, campus_id: str, names: Iterable[str]) -> None:
        """These are not true any more; without Redis they end by themselves."""
        try:
            for name in names:
                await self._redis.delete(keys.note(campus_id, name))
        except _AWAY as away:
            _log.debug("nothing is forgotten: %s", away)
