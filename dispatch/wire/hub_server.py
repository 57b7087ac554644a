"""One worker's hub in the world: sockets, the flush, Redis, and what must be fetched for a follower."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from dispatch.hub.codes import CloseCode, closing_reason
from dispatch.hub.connection import Connection
from dispatch.hub.core import Hub
from dispatch.hub.frames import Follow
from dispatch.hub.rules import Principal, Standing
from dispatch.hub.topic import Topic
from dispatch.live.bus import PositionRow
from dispatch.live.resume_streams import StreamEvent
from dispatch.model.errors import Refusal
from geo.filters import Reason, Verdict
from geo.fix import Fix

from .business_time import BusinessTime
from .door import Answer, Door, Turn
from .follows import Follows
from .position_writer import PositionWriter, position_row
from .protocol import HubSocket
from .rooms import HubOptions, Rooms
from .seats import Seats
from .standing_checks import StandingChecks
from .tls import StreamTransport
from .whereabouts import Whereabouts

log = logging.getLogger(__name__)

#: Of those who are told to come back to another worker so many should come in a second.
RETURNS_PER_S = 1_000

__all__ = ["HubOptions", "HubServer", "Rooms"]


class HubServer:
    """Joins the pure hub with its sockets and with Redis; made once per worker."""

    def __init__(self, rooms: Rooms, options: HubOptions | None = None) -> None:
        self._rooms = rooms
        self.options = options or HubOptions()
        self.allowed_origins = self.options.allowed_origins
        self._time = BusinessTime(rooms.clock)
        self.now_ms = self._time.now_ms
        rules = self.options.rules(rooms.clock.rate)
        self._luck = random.Random()  # noqa: S311 - spreads clients, protects nothing
        self.hub = Hub(self, rules, max_per_account=self.options.max_per_account, luck=self._luck.random)
        self._writer = PositionWriter(rooms.bus, rooms.presence, rooms.tracks, rooms.index_of)
        self._checks = StandingChecks(rooms.ask_standings, self._answer_check, self._joined)
        self._follows = Follows(rooms, self.hub, self._checks, self._joined, self.stamp, self.options.fetches_at_once)
        self._seats = Seats(rooms.presence, rooms.table, self._checks, self.stamp)
        self._whereabouts = Whereabouts(
            rooms.table, rooms.presence, self._time.now_ms, self._silent_since_ms, rooms.clock.rate, self._joined,
            self._deliver_known,
        )  # fmt: skip
        self._door = Door(
            per_s=self.options.upgrades_per_s,
            per_address_per_s=self.options.upgrades_per_address_per_s,
            at_once=self.options.max_connections,
            most_waiting=self.options.upgrades_waiting,
            longest_wait_s=self.options.upgrade_wait_s,
            flush_s=self.options.flush_s,
        )
        self._rounds: list[set[HubSocket]] = [set() for _ in range(self.options.ping_every_s)]
        self._greeting: deque[tuple[int, HubSocket]] = deque()
        self._leaving: deque[tuple[int, HubSocket]] = deque()
        self._campuses: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._rhythm: asyncio.Task[None] | None = None
        self.late_flushes = self.reads = 0
        rooms.bus.set_listener(self)

    # --- life

    async def start(self) -> None:
        """Begin to flush; sockets may come from now on. The bus is started by whoever made it."""
        self.stamp()
        self.hub.second = int(self._rooms.clock.monotonic_s())
        self._rhythm = asyncio.create_task(self._keep_rhythm(), name="hub-flush")

    async def drain(self) -> None:
        """Tell everybody to come back, spread over the drain time, and each to stay away for a while of their own, so
        that who comes next lets them in as they come; new sockets are refused meanwhile."""
        self._door.shut()
        connections = list(self.hub.connections)
        spread_ms = 1000 * max(self.options.drain_s, len(connections) / RETURNS_PER_S)
        parts = 20
        for part in range(parts):
            batch = connections[part::parts]
            for connection in batch:
                retry_ms = round(spread_ms * self._luck.random())
                connection.close(CloseCode.SERVER_DRAIN, closing_reason(CloseCode.SERVER_DRAIN, retry_ms))
            if batch:
                await asyncio.sleep(self.options.drain_s / parts)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._is_empty.wait()

    async def stop(self) -> None:
        """Write what is pending and end; sockets that are still open are cut."""
        self._door.shut()
        if self._rhythm is not None:
            self._rhythm.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._rhythm
        for connection in list(self.hub.connections):
            connection.close(CloseCode.SERVER_DRAIN)
        self._flush()
        await self._writer.finish()
        for socket in [socket for sockets in self._rounds for socket in sockets]:
            socket.abort()
        await self._checks.stop()
        await self._follows.stop()
        await self._whereabouts.stop()
        await self._seats.stop()
        tasks = {*self._tasks, *self._campuses.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    # --- what sockets need of their owner

    def knock(self, address: str) -> Answer | Turn:
        """Whether a socket from this address may be opened."""
        return self._door.knock(address, len(self.hub.connections), self._rooms.clock.monotonic_s())

    def opened(self, socket: HubSocket) -> Connection:
        connection = self.hub.open(socket, socket.codec, self._rooms.new_connection_id())
        self._is_empty.clear()
        self._rounds[self._opened % len(self._rounds)].add(socket)
        self._opened += 1
        self._greeting.append((self.hub.second + self.options.hello_timeout_s, socket))
        return connection

    def stamp(self) -> None:
        """What is done from here on happens now."""
        self.hub.now_ms = self.now_ms()

    def set_lagging(self, socket: HubSocket, is_lagging: bool) -> None:
        if socket.connection is not None:
            self.stamp()
            self.hub.set_lagging(socket.connection, is_lagging)

    def closing(self, socket: HubSocket) -> None:
        self._leaving.append((self.hub.second + self.options.close_timeout_s, socket))

    def lost(self, socket: HubSocket) -> None:
        connection, socket.connection = socket.connection, None
        if connection is not None:
            for sockets in self._rounds:
                sockets.discard(socket)
            self.hub.drop(connection)
            if not self.hub.connections:
                self._is_empty.set()

    def run_stream(self, transport: StreamTransport, socket: HubSocket) -> None:
        """Read a TLS stream for its socket until it ends."""
        self._spawn(transport.run(socket))

    # --- what the pure hub asks for

    def verify(self, token: str) -> Principal:
        return self._rooms.verify_token(token)

    def lasts_s(self, principal: Principal) -> int:
        return max(1, math.ceil(self._rooms.lasts_s(principal)))

    def start_check(self, connection: Connection) -> None:
        self._checks.add(connection)

    def hide(self, campus_id: str, runner_id: str) -> None:
        self._rooms.table.forget(campus_id, runner_id)
        self._writer.forget(campus_id, runner_id)
        self.on_gone(campus_id, [runner_id])

    def judge_of(self, campus_id: str, runner_id: str) -> Callable[[Fix], Verdict | Reason]:
        return self._rooms.table.hold(campus_id, runner_id).judge

    def release(self, campus_id: str, runner_id: str) -> None:
        self._rooms.table.release(campus_id, runner_id)
        self._rooms.fences.release(campus_id, runner_id)

    def campus_joined(self, campus_id: str) -> None:
        self._campuses[campus_id] = asyncio.create_task(self._join(campus_id))

    def campus_left(self, campus_id: str) -> None:
        task = self._campuses.pop(campus_id, None)
        if task is not None:
            task.cancel()
        self._rooms.bus.leave(campus_id)

    def start_follow(self, connection: Connection, topic: Topic, frame: Follow) -> None:
        self._follows.start(connection, topic, frame)

    def start_heal(self, topic: Topic) -> None:
        self._follows.start_heal(topic)

    def locate(self, campus_id: str, runner_ids: Sequence[str] | None) -> None:
        self._whereabouts.ask(campus_id, runner_ids)

    def interest_changed(self, campus_id: str) -> None:
        self._rooms.bus.want(campus_id, self.hub.topics.state.interest(campus_id))

    def start_runner(self, connection: Connection) -> None:
        self._seats.add(connection)

    # --- what the bus brings

    def on_positions(self, campus_id: str, rows: list[PositionRow]) -> None:
        self.stamp()
        self.hub.on_positions(campus_id, rows)

    def on_gone(self, campus_id: str, runner_ids: list[str]) -> None:
        self._whereabouts.gone(campus_id, runner_ids)
        self._writer.note_again(campus_id, runner_ids)
        for runner_id in runner_ids:
            self._rooms.fences.forget(campus_id, runner_id)
        self.hub.on_gone(campus_id, runner_ids)

    def on_event(self, campus_id: str, event: StreamEvent) -> None:
        self.stamp()
        self.hub.on_event(campus_id, event)

    def on_rejoined(self, campus_id: str) -> None:
        """Redis was away, perhaps emptied: say again where our runners are, look for holes in every topic, and ask who
        is still who they were."""
        since_ms = self._silent_since_ms()
        self._writer.note_again(campus_id)
        for campus, fixes in self._rooms.table.everybody(since_ms).items():
            if campus == campus_id:
                self._writer.add(campus, fixes)
        self.hub.topics.suspect_all(campus_id)
        self.hub.check_campus(campus_id)

    def _silent_since_ms(self) -> int:
        return self._time.now_ms() - round(self.options.presence_s * 1000)

    def _answer_check(self, connection: Connection, asked: Principal, answer: Standing | Refusal) -> None:
        self.stamp()
        self.hub.answer_check(connection, asked, answer)

    # --- fetching

    async def _join(self, campus_id: str) -> None:
        """Hear of a campus."""
        await self._rooms.bus.join(campus_id)

    def _deliver_known(self, campus_id: str, rows: list[PositionRow]) -> None:
        """Where runners were when somebody began to follow them."""
        self.hub.topics.deliver_positions(campus_id, rows, is_news=False)

    async def _joined(self, campus_id: str) -> None:
        """Wait until the campus's events are heard here, or for a few seconds."""
        joined = self._campuses.get(campus_id)
        if joined is not None and not joined.done():
            await asyncio.wait({joined}, timeout=3.0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the hub stumbled", exc_info=error)

    # --- the rhythm

    async def _keep_rhythm(self) -> None:
        flush_s, monotonic_s = self.options.flush_s, self._rooms.clock.monotonic_s
        loop = asyncio.get_running_loop()
        due_s = loop.time() + flush_s
        last_second = -1
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            late_s = loop.time() - due_s
            if late_s > flush_s:
                self.late_flushes += 1
            due_s = max(due_s + flush_s, loop.time() + flush_s / 2)
            try:
                self._time.calibrate()
                self._flush()
                now_s = monotonic_s()
                self._door.flushed(late_s, now_s)
                self.hub.second = int(now_s)
                if self.hub.second != last_second:
                    last_second = self.hub.second
                    self._each_second(last_second)
            except Exception:
                log.exception("a flush failed; the next one goes on")

    def _flush(self) -> None:
        """Everything since the last flush: to the watchers here, then on its way to Redis and the other workers."""
        flushed = self._rooms.table.flush()
        self.stamp()
        for campus_id, fixes in flushed.newest.items():
            if (followed := self.hub.topics.state.wants(campus_id)) is not None:
                rows = [position_row(runner_id, fix) for runner_id, fix in fixes if runner_id in followed]
                self.hub.on_positions(campus_id, rows)
            self._rooms.fences.observe(campus_id, fixes)
            self._writer.add(campus_id, fixes)
        for campus_id, readings in flushed.track.items():
            self._writer.add_track(campus_id, readings)
        self.hub.write_out()
        self.hub.topics.state.freshness.measure(self._time.now_ms())
        self._writer.kick(self._rooms.clock.monotonic_s())

    def _each_second(self, second: int) -> None:
        while self._greeting and self._greeting[0][0] <= second:
            connection = self._greeting.popleft()[1].connection
            if connection is not None and connection.principal is None:
                connection.close(CloseCode.HELLO_TIMEOUT)
        while self._leaving and self._leaving[0][0] <= second:
            self._leaving.popleft()[1].abort()
        for socket in list(self._rounds[second % len(self._rounds)]):
            if socket.is_heard:
                socket.ping()
            elif socket.connection is not None:
                # A whole round without an answer to our ping: nobody is there.
                socket.connection.close(CloseCode.DEAD_PEER)
        self.hub.close_expired()
        self.hub.see_lateness(self.late_flushes)
        if second % self.options.silent_every_s == 0:
            self.hub.topics.drop_silent(self._silent_since_ms())
        if second % 60 == 0:
            silent_since_ms = self._time.now_ms() - round(self.options.state_kept_s * 1000)
            self._rooms.table.forget_silent(silent_since_ms)
            self._writer.forget_silent(silent_since_ms)

    # --- figures

    def metrics(self) -> Mapping[str, float]:
        """Counters (``_total``) and gauges by name; ages are in ``hub.topics.ages``."""
        figures = self.hub.metrics()
        figures["runners"] = len(self._rooms.table)
        figures["late_flushes_total"] = self.late_flushes
        figures["reads_total"] = self.reads
        figures["frames_total"] = self.hub.frames
        figures["positions_written_total"] = self._writer.written
        for what, count in self._rooms.table.counts().items():
            figures[f"{what}_total"] = count
        figures.update(self._rooms.fences.metrics())
        figures["bus_is_up"] = float(self._rooms.bus.is_up)
        figures["redis_write_failures_total"] = self._writer.failures
        figures["fixes_unwritten"] = self._writer.pending
        return figures
