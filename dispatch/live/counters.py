"""Counts attempts in fixed windows: sign-in codes, passwords, requests; and goes on alone when Redis is away."""

from __future__ import annotations

from collections.abc import Callable

from . import keys
from .connect import RedisClient, RedisTrouble

_MAX_LOCAL = 50_000


class Counters:
    """Fixed windows of real time, shared by all processes.

    Neither open nor closed when Redis fails: each process then counts for itself, so an attacker gains at most the
    number of processes, and nobody is locked out by our trouble.
    """

    def __init__(self, redis: RedisClient, unix_s: Callable[[], float]) -> None:
        self._redis = redis
        self._unix_s = unix_s
        self._local: dict[str, int] = {}

    async def hit(self, key: str, limit: int, window_s: int) -> bool:
        """Count one attempt; whether it is within ``limit`` per ``window_s``. The caller hashes personal keys."""
        return await self.count(key, window_s) <= limit

    async def count(self, key: str, window_s: int) -> int:
        """Count one attempt and say how many there were in this window."""
        name = keys.counter(key, window_s, int(self._unix_s() // window_s))
        try:
            pipe = self._redis.pipeline(transaction=False)
            pipe.incr(name)
            pipe.expire(name, window_s + 1)
            return int((await pipe.execute())[0])
        except RedisTrouble:
            return self._count_alone(name)

    def retry_after_s(self, window_s: int) -> int:
        """How long until a new window begins, at least a second."""
        return max(1, int(window_s - self._unix_s() % window_s))

    async def clear(self, key: str, window_s: int) -> None:
        """Forget this window's attempts, as after a sign-in that worked."""
        name = keys.counter(key, window_s, int(self._unix_s() // window_s))
        self._local.pop(name, None)
        try:
            await self._redis.delete(name)
        except RedisTrouble:
            return

    def _count_alone(self, name: str) -> int:
        if len(self._local) >= _MAX_LOCAL:
            # Half of them, the oldest: entries of past windows go first.
            for old in list(self._local)[: _MAX_LOCAL // 2]:
                del self._local[old]
        self._local[name] = self._local.get(name, 0) + 1
        return self._local[name]
