"""The bus between processes: positions, removals and events of a campus, and calls that wake somebody up.

What travels here may be lost (Redis restarts, a worker is slow): positions come again with the next fix, events are
found by their offsets, and whoever is woken also looks by itself now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
from redis.asyncio import Redis

from . import keys
from .cluster import ClusterClient
from .connect import RedisClient, RedisTrouble, publish_verb
from .interest import Interest, PositionRow, Row
from .receiver import CLUSTER_SILENCE_S, Receiver, Route
from .resume_streams import StreamEvent, parse_message

__all__ = ["Bus", "BusListener", "PositionRow"]

log = logging.getLogger(__name__)

_encoder = msgspec.msgpack.Encoder()
_positions_decoder = msgspec.msgpack.Decoder(tuple[str, list[PositionRow]])
_gone_decoder = msgspec.msgpack.Decoder(tuple[str, list[str]])

#: How often it is looked after who is silent; so soon it is looked again for a campus whose server is lost.
_LOOK_S = 0.5
_AGAIN_S = 0.2
#: A server that the rest of the cluster has given up may not know it, nor tell us: so often others are asked as well.
_MAP_S = 5.0


class BusListener(Protocol):
    """Who hears of the campuses that this process has joined. Plain calls on the event loop; they must not raise."""

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None: ...

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None: ...

    def on_event(self, campus_id: str, event: StreamEvent) -> None: ...

    def on_rejoined(self, campus_id: str) -> None:
        """The bus was away: messages may have been missed."""


class _Plan(NamedTuple):
    """What is to be heard from one server; ``sharded`` are the channels that belong to its slots."""

    redis: Redis
    routes: dict[bytes, Route]
    sharded: set[bytes]


class _Joined:
    """A campus that this process hears of."""

    __slots__ = ("confirmed", "is_late", "routes")

    def __init__(self, routes: dict[bytes, Route]) -> None:
        self.routes = routes
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_late = False  # a caller went on without the confirmation


class Bus:
    """One process's place on the bus; what it publishes itself does not come back to it."""

    def __init__(self, redis: RedisClient, origin: str, listener: BusListener | None = None) -> None:
        """``origin`` is unique per process."""
        self._redis = redis
        self._origin = origin
        self._listener = listener
        self._interest = Interest(origin, time.monotonic)
        self._wakers: dict[str, list[Callable[[str], None]]] = {}
        self._wake_routes: dict[bytes, Route] = {}
        self._joined: dict[str, _Joined] = {}
        self._campus_of: dict[bytes, str] = {}  # events channel → campus
        self._receivers: dict[Hashable, Receiver] = {}
        self._cluster = redis if isinstance(redis, ClusterClient) else None
        self._look_s = float("-inf")
        self._is_displaced = False
        self._changed = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_up(self) -> bool:
        """Whether messages arrive right now (True while there is nothing to hear)."""
        if not (self._wake_routes or self._joined):
            return True
        return bool(self._receivers) and all(receiver.is_up for receiver in self._receivers.values())

    def set_listener(self, listener: BusListener) -> None:
        self._listener = listener

    async def start(self) -> None:
        if self._cluster is not None:
            self._cluster.on_change.append(self._changed.set)
        self._tasks = [
            asyncio.create_task(self._keep_placed(), name="bus"),
            asyncio.create_task(self._keep_told(), name="bus-interest"),
        ]

    async def stop(self) -> None:
        if self._cluster is not None and self._changed.set in self._cluster.on_change:
            self._cluster.on_change.remove(self._changed.set)
        tasks, self._tasks = self._tasks, []
        # A cancellation that falls into the client library's own time limits can get lost in them: say it again.
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.2)
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            await receiver.close()

    # --- hearing

    async def join(self, campus_id: str, *, timeout_s: float = 2.0) -> bool:
        """Hear of this campus from now on; whether the bus confirmed it in time (else it will later)."""
        joined = self._joined.get(campus_id)
        if joined is None:
            events = keys.events_channel(campus_id).encode()
            # Confirmed in this order, so the events channel's confirmation stands for all.
            joined = _Joined(
                {
                    keys.want_channel(campus_id).encode(): partial(self._on_want, campus_id),
                    keys.gone_channel(campus_id).encode(): partial(self._on_gone, campus_id),
                    events: partial(self._on_event, campus_id),
                }
            )
            self._joined[campus_id] = joined
            self._campus_of[events] = campus_id
            self._changed.set()
            if any(receiver.is_confirmed(events) for receiver in self._receivers.values()):
                joined.confirmed.set_result(None)  # left a moment ago, and not yet unsubscribed
                self._ask(campus_id)
        done, _ = await asyncio.wait({joined.confirmed}, timeout=timeout_s)
        if not done:
            joined.is_late = True
        return bool(done)

    def leave(self, campus_id: str) -> None:
        """Hear no more of this campus."""
        if self._joined.pop(campus_id, None) is not None:
            self._campus_of.pop(keys.events_channel(campus_id).encode(), None)
            self._changed.set()
            farewell = self._interest.leave(campus_id)
            if farewell is not None and self._tasks:
                task = asyncio.create_task(self._tell(campus_id, farewell))
                self._tasks.append(task)
                task.add_done_callback(self._told)

    def on_wake(self, name: str, callback: Callable[[str], None]) -> None:
        """Have ``callback(what)`` called at each wake of ``name`` by any process, this one included."""
        waiting = self._wakers.setdefault(name, [])
        waiting.append(callback)
        self._wake_routes[keys.wake_channel(name).encode()] = partial(self._on_wake, name)
        self._changed.set()

    # --- interest

    def want(self, campus_id: str, runner_ids: Collection[str] | None) -> None:
        """Hear the positions of these runners of a joined campus (None: of everybody; empty: of nobody) from the other
        workers. Cheap: the collection is kept, not copied, and read when the others are told; call it again whenever
        its content has changed. Rows of other runners may come too."""
        was_wanting = self._interest.is_wanting(campus_id)
        self._interest.want(campus_id, runner_ids)
        self._to_tell.set()
        if self._interest.is_wanting(campus_id) != was_wanting:
            self._changed.set()

    def wanted(self, campus_id: str, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows (whatever begins with a runner id) of runners that somebody elsewhere follows; with one worker
        none, at the price of a look-up."""
        return self._interest.wanted(campus_id, rows)

    def positions_command(self, campus_id: str, rows: Sequence[PositionRow]) -> tuple[str, str, bytes] | None:
        """The command that publishes those of the rows that somebody elsewhere follows, for the caller's pipeline."""
        wanted = self._interest.wanted(campus_id, rows)
        if not wanted:
            return None
        return self._verb, keys.positions_channel(campus_id), _encoder.encode((self._origin, wanted))

    # --- speaking

    async def publish_gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        """These runners' positions are no longer known or shown; this process's own listener hears it at once."""
        if runner_ids:
            if self._listener is not None:
                self._listener.on_gone(campus_id, list(runner_ids))
            message = _encoder.encode((self._origin, list(runner_ids)))
            await self._redis.execute_command(self._verb, keys.gone_channel(campus_id), message)

    async def wake(self, name: str, what: str = "") -> None:
        """Call whoever waits for ``name``; a call that gets lost is made up for by their own looking."""
        try:
            await self._redis.execute_command("PUBLISH", keys.wake_channel(name), what)
        except RedisTrouble as error:
            log.debug("nobody was woken for %s: %r", name, error)

    @property
    def _verb(self) -> str:
        return publish_verb(self._redis)

    # --- telling the others what is followed here

    def _ask(self, campus_id: str) -> None:
        self._interest.ask(campus_id)
        self._to_tell.set()

    async def _keep_told(self) -> None:
        while True:
            self._to_tell.clear()
            due = self._interest.due(self._joined)
            await asyncio.gather(*(self._tell(campus_id, message) for campus_id, message in due))
            self._interest.forget_silent()
            next_s = self._interest.next_due_s()
            pause_s = _LOOK_S if next_s is None else max(0.01, min(_LOOK_S, next_s - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._to_tell.wait()

    async def _tell(self, campus_id: str, message: bytes) -> None:
        try:
            await self._redis.execute_command(self._verb, keys.want_channel(campus_id), message)
        except RedisTrouble as error:
            log.debug("the others were not told what is followed of %s: %r", campus_id, error)

    def _told(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(ValueError):
            self._tasks.remove(task)

    # --- where the campuses are

    async def _keep_placed(self) -> None:
        """Have each server's receiver hear what is wanted there, wherever the campuses go."""
        while True:
            self._changed.clear()
            try:
                if self._cluster is not None and (not self._cluster.is_known or time.monotonic() >= self._look_s):
                    self._look_s = time.monotonic() + _AGAIN_S
                    await self._cluster.refresh()
                    self._look_s = time.monotonic() + _MAP_S
                await self._place()
            except RedisTrouble as error:
                log.debug("where the campuses are is not known: %r", error)
                self._is_displaced = True
            except Exception:
                log.exception("the bus stumbled; it tries again")
                self._is_displaced = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._next_look_s()):
                    await self._changed.wait()

    def _next_look_s(self) -> float | None:
        """After how long to look again where the campuses are: soon while one of their servers is lost."""
        is_lost, self._is_displaced = self._is_displaced, False
        if self._cluster is None:
            return _AGAIN_S if is_lost else None
        if is_lost or not all(receiver.is_up for receiver in self._receivers.values()):
            self._look_s = min(self._look_s, time.monotonic() + _AGAIN_S)
        return max(0.0, self._look_s - time.monotonic())

    async def _place(self) -> None:
        plan: dict[Hashable, _Plan] = {}
        for campus_id, joined in self._joined.items():
            routes = dict(joined.routes)
            if self._interest.is_wanting(campus_id):
                routes[keys.positions_channel(campus_id).encode()] = partial(self._on_positions, campus_id)
            try:
                address, redis = self._home(campus_id)
            except RedisTrouble:
                self._is_displaced = True  # nobody has it at the moment; the others are heard meanwhile
                continue
            planned = plan.setdefault(address, _Plan(redis, {}, set()))
            planned.routes.update(routes)
            planned.sharded.update(routes)
        if self._wake_routes:
            self._place_wakes(plan)
        for address, planned in plan.items():
            receiver = self._receivers.get(address)
            if receiver is None:
                receiver = self._receivers[address] = self._receiver(planned.redis)
            receiver.hear(planned.routes, planned.sharded)
        for address in [address for address in self._receivers if address not in plan]:
            await self._receivers[address].close()
            del self._receivers[address]  # not before: whoever stops the bus meanwhile still finds it

    def _receiver(self, redis: Redis) -> Receiver:
        if self._cluster is None:
            return Receiver(redis, self)
        return Receiver(redis, self, is_sharded=self._verb == "SPUBLISH", silence_s=CLUSTER_SILENCE_S)

    def _home(self, campus_id: str) -> tuple[Hashable, Redis]:
        if isinstance(self._redis, ClusterClient):
            return self._redis.home_of(keys.events_channel(campus_id))
        return None, self._redis

    def _place_wakes(self, plan: dict[Hashable, _Plan]) -> None:
        """Any server will do: one that we listen to anyway, best one that is there."""
        homes: list[tuple[Hashable, Redis]] = [(address, planned.redis) for address, planned in plan.items()]
        if not homes:
            homes = [*self._redis.homes()] if isinstance(self._redis, ClusterClient) else [(None, self._redis)]

        def is_lost(home: tuple[Hashable, Redis]) -> bool:
            receiver = self._receivers.get(home[0])
            return receiver is None or not receiver.is_connected

        address, redis = min(homes, key=is_lost)
        plan.setdefault(address, _Plan(redis, {}, set())).routes.update(self._wake_routes)

    # --- what receivers say

    def on_displaced(self, receiver: Receiver) -> None:
        self._is_displaced = True
        self._look_s = min(self._look_s, time.monotonic() + _AGAIN_S)
        self._changed.set()

    def on_confirmed(self, receiver: Receiver, channel: bytes) -> None:
        campus_id = self._campus_of.get(channel)
        joined = self._joined.get(campus_id) if campus_id is not None else None
        if campus_id is None or joined is None:
            return
        is_first = not joined.confirmed.done()
        if is_first:
            joined.confirmed.set_result(None)
        self._ask(campus_id)
        if self._listener is not None and (not is_first or joined.is_late):
            joined.is_late = False
            log.info("back on the bus of %s", campus_id)
            self._listener.on_rejoined(campus_id)

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

    def _on_want(self, campus_id: str, message: bytes) -> None:
        if self._interest.hear(campus_id, message):
            self._to_tell.set()

    def _on_wake(self, name: str, message: bytes) -> None:
        what = message.decode(errors="replace")
        for callback in self._wakers.get(name, ()):
            callback(what)
