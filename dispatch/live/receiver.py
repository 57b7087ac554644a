"""What one Redis server pushes to us: subscriptions kept up to date on one connection that is known to be alive.

On a cluster a campus's channels are subscribed both ways on the server that has the campus: sharded for what is
published there, classic for what reaches us from elsewhere while a campus is on its way to another server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import hiredis
from redis.asyncio import Redis

from .connect import RedisTrouble
from .link import Link

log = logging.getLogger(__name__)

Route = Callable[[bytes], None]

#: A server from which nothing came for this long is asked; one that does not answer for as long again is gone. In a
#: cluster another server may be there in its place.
SILENCE_S, CLUSTER_SILENCE_S = 2.0, 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.25


class ReceiverHost(Protocol):
    """Who hears of the receiver's life."""

    def on_confirmed(self, receiver: Receiver, channel: bytes) -> None:
        """The channel is heard from now on; said again after each new connection."""

    def on_displaced(self, receiver: Receiver) -> None:
        """The connection is gone, or the server no longer has what was subscribed: look again who has it."""


class Receiver:
    """One server's subscriptions; made when something is to be heard there, closed when nothing is."""

    def __init__(
        self, redis: Redis, host: ReceiverHost, *, is_sharded: bool = False, silence_s: float = SILENCE_S
    ) -> None:
        self._redis = redis
        self._host = host
        self.is_sharded = is_sharded
        self._silence_s = silence_s
        self._routes: dict[bytes, Route] = {}
        self._sharded: set[bytes] = set()
        self._sent: set[bytes] = set()
        self._confirmed: set[bytes] = set()
        self._sharded_confirmed: set[bytes] = set()
        self._link: Link | None = None
        self._task = asyncio.create_task(self._run(), name="bus-receiver")

    @property
    def is_up(self) -> bool:
        """Whether everything that is wanted arrives right now."""
        return self._link is not None and self._routes.keys() <= self._confirmed

    @property
    def is_connected(self) -> bool:
        return self._link is not None

    def is_confirmed(self, channel: bytes) -> bool:
        return channel in self._confirmed

    def hear(self, routes: dict[bytes, Route], sharded: set[bytes]) -> None:
        """Hear exactly these channels; ``sharded`` are those that belong to a slot of this server."""
        added = [channel for channel in routes if channel not in self._sent]
        removed = [channel for channel in self._routes if channel not in routes]
        self._routes, self._sharded = routes, sharded
        if self._link is not None:
            if added:
                self._subscribe(self._link, added)
            if removed:
                self._sent.difference_update(removed)
                self._confirmed.difference_update(removed)
                self._sharded_confirmed.difference_update(removed)
                self._link.send(("UNSUBSCRIBE", *removed))
                if self.is_sharded:
                    self._link.send(*(("SUNSUBSCRIBE", channel) for channel in removed))

    async def close(self) -> None:
        # A cancellation that falls into the client library's own time limits can get lost in them: say it again.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.2)
        self._hang_up()

    def _subscribe(self, link: Link, channels: list[bytes]) -> None:
        # Sharded first: the confirmation of the classic one then stands for both. One by one, for a refused command
        # names no channel.
        if self.is_sharded:
            link.send(*(("SSUBSCRIBE", channel) for channel in channels if channel in self._sharded))
        link.send(("SUBSCRIBE", *channels))
        self._sent.update(channels)

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                link = await Link.open(self._redis, self._on_reply)
            except RedisTrouble as error:
                log.debug("no connection for the bus: %r", error)
            else:
                pause_s = _FIRST_PAUSE_S
                self._link = link
                if self._routes:
                    self._subscribe(link, list(self._routes))
                await self._watch(link)
                log.warning("the bus lost a connection")
            self._hang_up()
            self._host.on_displaced(self)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _watch(self, link: Link) -> None:
        """Until the connection is lost, or its server is silent to our question."""
        is_asked = False
        while not link.lost.done():
            await asyncio.wait({link.lost}, timeout=self._silence_s)
            if link.is_heard:
                link.is_heard = is_asked = False
            elif is_asked:
                return
            else:
                link.send(("PING",))
                is_asked = True

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        self._sent, self._confirmed, self._sharded_confirmed = set(), set(), set()
        if link is not None:
            link.close()

    def _on_reply(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._on_refused(str(reply))
            return
        if not isinstance(reply, list):
            return
        kind, channel = reply[0], reply[1]
        if kind in (b"smessage", b"message"):
            route = self._routes.get(channel)
            if route is not None:
                try:
                    route(reply[2])
                except ValueError as error:  # what msgspec raises is one
                    log.warning("not understood on %r: %s", channel, error)
                except Exception:
                    log.exception("what came on %r was not taken", channel)
        elif kind == b"ssubscribe":
            self._sharded_confirmed.add(channel)
        elif kind == b"subscribe":
            self._on_subscribed(channel)
        elif kind == b"sunsubscribe" and channel in self._sharded_confirmed:
            # Not asked for: the slot has gone to another server.
            self._sharded_confirmed.discard(channel)
            self._confirmed.discard(channel)
            self._sent.discard(channel)
            self._host.on_displaced(self)

    def _on_subscribed(self, channel: bytes) -> None:
        if channel not in self._routes:
            return
        if self.is_sharded and channel in self._sharded and channel not in self._sharded_confirmed:
            # Its sharded half was refused: it is sent again unless the campus turns out to be elsewhere.
            self._sent.discard(channel)
            return
        if channel in self._confirmed:
            return
        self._confirmed.add(channel)
        self._host.on_confirmed(self, channel)

    def _on_refused(self, error: str) -> None:
        if "unknown command" in error:
            log.info("this server has no sharded channels; the classic ones will do")
            self.is_sharded = False
        else:
            log.info("a subscription was refused: %s", error)
            self._host.on_displaced(self)
