"""Opens the connection to Redis that a URL names: one server, a socket on this machine, or a cluster."""

from __future__ import annotations

from typing import Any, TypeAlias

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError

from .cluster import Address, ClusterClient, OneServer

#: Either body; keys of one campus share a hash tag, so every command works on both.
RedisClient: TypeAlias = OneServer | ClusterClient

#: What a caller catches to go on without Redis for a moment.
RedisTrouble = (RedisError, OSError, TimeoutError)


def is_passing(error: Exception) -> bool:
    """Whether the same command may succeed later: a server that is loading, read-only or out of memory says so with
    errors of their own, while a plain one means that the command itself is at fault."""
    return type(error) is not ResponseError


CLUSTER_TIMEOUT_S = 2.0
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
    """``redis://``, ``rediss://``, ``unix://`` or ``redis+cluster://host:port[,host:port…]`` (some nodes of the
    cluster; the others are found through them).

    Nothing is sent yet: the first command connects. Raises ValueError for a URL of another kind.
    """
    scheme, mark, rest = url.partition("://")
    if mark and scheme in _CLUSTER_SCHEMES:
        return _connect_cluster(_CLUSTER_SCHEMES[scheme], rest, timeout_s)
    if mark and scheme in ("redis", "rediss", "unix"):
        # Two quick tries bridge a restart of the server; what takes longer is for the caller's own policy.
        return _open({**parse_url(url)}, timeout_s, tries=2)
    raise ValueError(f"{scheme or url!r} is no Redis URL; use redis://, rediss://, unix:// or redis+cluster://")


def publish_verb(redis: RedisClient) -> str:
    """How a campus's messages are published: on a cluster that offers it, on the campus's own server alone."""
    return redis.publish_verb if isinstance(redis, ClusterClient) else "PUBLISH"


def _open(options: dict[str, Any], timeout_s: float, *, tries: int) -> OneServer:
    kind = _QUICK[options.pop("connection_class", Connection)]
    # A server that took too long to answer would do so again.
    retry = Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), tries, supported_errors=(LostConnection,))
    pool = ConnectionPool(
        connection_class=kind, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry, **options
    )
    client = OneServer(connection_pool=pool)
    client.auto_close_connection_pool = True  # the pool is its alone
    return client


def _connect_cluster(scheme: str, rest: str, timeout_s: float) -> ClusterClient:
    # Another server may have the answer meanwhile, so a silent one is waited for less.
    timeout_s = min(timeout_s, CLUSTER_TIMEOUT_S)
    account, at, addresses = rest.rpartition("@")
    hosts, _, query = addresses.partition("?")
    seeds: list[Address] = []
    options: dict[str, Any] = {}
    for host in hosts.partition("/")[0].split(","):
        options = {**parse_url(f"{scheme}://{account}{at}{host}?{query}")}
        seeds.append((options.pop("host", "127.0.0.1"), options.pop("port", 6379)))

    def open_server(host: str, port: int) -> OneServer:
        # One more try for a connection that had gone stale; where else to look is the cluster client's question.
        return _open({**options, "host": host, "port": port}, timeout_s, tries=1)

    return ClusterClient(seeds, open_server)
