"""Opens the connection to Redis that a URL names: one server, a socket on this machine, or a cluster."""

from __future__ import annotations

from typing import Any, TypeAlias

from hiredis import pack_command
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

#: Either body; keys of one campus share a hash tag, so every command works on both.
RedisClient: TypeAlias = Redis | RedisCluster

#: What a caller catches to go on without Redis for a moment.
RedisTrouble = (RedisError, OSError, TimeoutError)

_CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


class _QuickPacking:
    """Writes commands with the C library that already reads the answers: a flush of a hundred positions is five times
    cheaper than in Python. What it does not know (None, booleans) the slow way refuses with a clear message."""

    def pack_command(self, *args: Any) -> list[bytes]:
        name = args[0]
        if isinstance(name, str) and " " not in name:
            try:
                return [pack_command(args)]
            except TypeError:
                pass
        return super().pack_command(*args)  # type: ignore[misc, no-any-return]


class _QuickTcp(_QuickPacking, Connection):
    pass


class _QuickTls(_QuickPacking, SSLConnection):
    pass


class _QuickUnix(_QuickPacking, UnixDomainSocketConnection):
    pass


_QUICK: dict[type, type] = {
    Connection: _QuickTcp,
    SSLConnection: _QuickTls,
    UnixDomainSocketConnection: _QuickUnix,
}


def connect(url: str, *, timeout_s: float = 5.0) -> RedisClient:
    """``redis://``, ``rediss://``, ``unix://`` or ``redis+cluster://host:port`` (any one node of the cluster).

    Nothing is sent yet: the first command connects. Raises ValueError for a URL of another kind.
    """
    scheme, mark, rest = url.partition("://")
    # Two quick tries bridge a restart of the server; what takes longer is for the caller's own policy.
    retry = Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 2)
    if mark and scheme in _CLUSTER_SCHEMES:
        return RedisCluster.from_url(
            f"{_CLUSTER_SCHEMES[scheme]}://{rest}", socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
    if mark and scheme in ("redis", "rediss", "unix"):
        client = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry)
        pool = client.connection_pool
        pool.connection_class = _QUICK[pool.connection_class]
        return client
    raise ValueError(f"{scheme or url!r} is no Redis URL; use redis://, rediss://, unix:// or redis+cluster://")
