"""The bus between processes: positions, removals and events of a campus, and calls that wake somebody up.

What travels here may be lost (Redis restarts, a worker is slow): positions come again with the next fix, events are
found by their offsets, and whoever is woken also looks by itself now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from . import keys
from .connect import RedisClient, RedisTrouble
from .resume_streams import StreamEvent, parse_message

log = logging.getLogger(__name__)

#: runner id, lat, lon (WGS-84), fixed_at_ms, bearing, speed, accuracy, received_at_ms; as in a ``pos`` frame.
PositionRow: TypeAlias = tuple[str, float, float, int, float | None, float | None, float | None, int]

_encoder = msgspec.msgpack.Encoder()
_positions_decoder = msgspec.msgpack.Decoder(tuple[str, list[PositionRow]])
_gone_decoder = msgspec.msgpack.Decoder(tuple[str, list[str]])

_POLL_S = 5.0
_LONGEST_PAUSE_S = 0.5


class BusListener(Protocol):
    """Who hears of the campuses that this process has joined. Plain calls on the event loop; they must not raise."""

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None: ...

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None: ...

    def on_event(self, campus_id: str, event: StreamEvent) -> None: ...

    def on_rejoined(self, campus_id: str) -> None:
        """The bus was away: messages may have been missed."""


class Bus:
    """One process's place on the bus; what it publishes itself does not come back to it."""

    def __init__(self, redis: RedisClient, origin: str, listener: BusListener | None = None) -> None:
        """``origin`` is unique per process."""
        self._redis = redis
        self._origin = origin
        self._listener = listener
        self._wakers: dict[str, list[Callable[[str], None]]] = {}
        self._joined: dict[str, asyncio.Future[None]] = {}
        self._late: set[str] = set()  # joined by callers that went on without the confirmation
        self._routes: dict[bytes, Callable[[bytes], None]] = {}
        self._subscribed: set[bytes] = set()
        self._confirmed: set[bytes] = set()
        self._pubsub: Any = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_up = False

    @property
    def is_up(self) -> bool:
        """Whether messages arrive right now (True while there is nothing to hear)."""
        return self._is_up or not self._routes

    def set_listener(self, listener: BusListener) -> None:
        self._listener = listener

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bus")

    async def stop(self) -> None:
        if self._task is not None:
            # A cancellation that falls into the client library's own time limits can get lost in them: say it again.
            while not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=0.2)
            self._task = None
        await self._close_pubsub()

    async def join(self, campus_id: str, *, timeout_s: float = 2.0) -> bool:
        """Hear of this campus from now on; whether the bus confirmed it in time (else it will later)."""
        joined = self._joined.get(campus_id)
        if joined is None:
            joined = asyncio.get_running_loop().create_future()
            self._joined[campus_id] = joined
            self._routes[keys.positions_channel(campus_id).encode()] = lambda m: self._on_positions(campus_id, m)
            self._routes[keys.gone_channel(campus_id).encode()] = lambda m: self._on_gone(campus_id, m)
            # Confirmed in the order of subscription, so the events channel's confirmation stands for all three.
            self._routes[keys.events_channel(campus_id).encode()] = lambda m: self._on_event(campus_id, m)
            self._changed.set()
            if keys.events_channel(campus_id).encode() in self._confirmed:
                joined.set_result(None)  # left a moment ago, and not yet unsubscribed
        done, _ = await asyncio.wait({joined}, timeout=timeout_s)
        if not done:
            self._late.add(campus_id)
        return bool(done)

    def leave(self, campus_id: str) -> None:
        """Hear no more of this campus."""
        if self._joined.pop(campus_id, None) is not None:
            for key in (keys.positions_channel, keys.gone_channel, keys.events_channel):
                self._routes.pop(key(campus_id).encode(), None)
            self._changed.set()

    async def publish_positions(self, campus_id: str, rows: Sequence[PositionRow]) -> None:
        await self._redis.publish(keys.positions_channel(campus_id), _encoder.encode((self._origin, rows)))

    async def publish_gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        """These runners' positions are no longer known or shown; this process's own listener hears it at once."""
        if runner_ids:
            if self._listener is not None:
                self._listener.on_gone(campus_id, list(runner_ids))
            await self._redis.publish(keys.gone_channel(campus_id), _encoder.encode((self._origin, list(runner_ids))))

    async def wake(self, name: str, what: str = "") -> None:
        """Call whoever waits for ``name``; a call that gets lost is made up for by their own looking."""
        try:
            await self._redis.publish(keys.wake_channel(name), what)
        except RedisTrouble as error:
            log.debug("nobody was woken for %s: %r", name, error)

    def on_wake(self, name: str, callback: Callable[[str], None]) -> None:
        """Have ``callback(what)`` called at each wake of ``name`` by any process, this one included."""
        waiting = self._wakers.setdefault(name, [])
        waiting.append(callback)
        self._routes[keys.wake_channel(name).encode()] = lambda m: self._on_wake(name, m)
        self._changed.set()

    async def _run(self) -> None:
        pause_s = 0.05
        while True:
            try:
                await self._listen()
            except asyncio.CancelledError:
                raise
            except RedisTrouble as error:
                if self._is_up:
                    log.warning("the bus is away: %r", error)
            except Exception:
                log.exception("the bus stumbled; it starts anew")
            pause_s = 0.05 if self._is_up else min(pause_s * 2, _LONGEST_PAUSE_S)
            self._is_up = False
            await self._close_pubsub()
            await asyncio.sleep(pause_s)

    async def _listen(self) -> None:
        """Subscribe to whatever is wanted and hand messages on, until the connection fails."""
        while not self._routes:
            self._changed.clear()
            await self._changed.wait()
        pubsub = self._pubsub = self._redis.pubsub()
        self._subscribed, self._confirmed = set(), set()
        await self._subscribe_wanted(pubsub)
        keeper = asyncio.create_task(self._keep_subscribed(pubsub), name="bus-subscriptions")
        try:
            while not keeper.done():
                message = await pubsub.get_message(timeout=_POLL_S)
                if message is not None:
                    self._take(message)
            keeper.result()
        finally:
            keeper.cancel()

    async def _keep_subscribed(self, pubsub: Any) -> None:
        while True:
            await self._changed.wait()
            await self._subscribe_wanted(pubsub)

    async def _subscribe_wanted(self, pubsub: Any) -> None:
        self._changed.clear()
        wanted = set(self._routes)
        # In the order of joining: a campus's events channel is the last of its three.
        added = [channel for channel in self._routes if channel not in self._subscribed]
        removed = self._subscribed - wanted
        self._subscribed = wanted
        self._confirmed -= removed
        if added:
            await pubsub.subscribe(*added)
        if removed:
            await pubsub.unsubscribe(*removed)

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        match message["type"]:
            case "message":
                route = self._routes.get(channel)
                if route is not None:
                    try:
                        route(message["data"])
                    except (msgspec.DecodeError, ValueError) as error:
                        log.warning("not understood on %r: %s", channel, error)
            case "subscribe":
                self._is_up = True
                # The client library subscribes again by itself after it lost its connection.
                self._on_subscribed(channel, is_again=channel in self._confirmed)
                self._confirmed.add(channel)

    def _on_subscribed(self, channel: bytes, *, is_again: bool) -> None:
        for campus_id, joined in self._joined.items():
            if channel == keys.events_channel(campus_id).encode():
                is_first = not joined.done()
                if is_first:
                    joined.set_result(None)
                if self._listener is not None and (not is_first or campus_id in self._late):
                    self._late.discard(campus_id)
                    log.info("back on the bus of %s (%s)", campus_id, "same connection" if is_again else "new one")
                    self._listener.on_rejoined(campus_id)
                return

    async def _close_pubsub(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        self._subscribed, self._confirmed = set(), set()
        if pubsub is not None:
            with contextlib.suppress(*RedisTrouble):
                await pubsub.aclose()

    def _on_positions(self, campus_id: str, message: bytes) -> None:
        origin, rows = _positions_decoder.decode(message)
        if origin != self._origin and self._listener is not None:
            self._listener.on_positions(campus_id, rows)

    def _on_gone(self, campus_id: str, message: bytes) -> None:
        origin, runner_ids = _gone_decoder.decode(message)
        if origin != self._origin and self._listener is not None:
            self._listener.on_gone(campus_id, runner_ids)

    def _on_event(self, campus_id: str, message: bytes) -> None:
        if self._listener is not None:
            self._listener.on_event(campus_id, parse_message(message))

    def _on_wake(self, name: str, message: bytes) -> None:
        what = message.decode(errors="replace")
        for callback in self._wakers.get(name, ()):
            callback(what)
