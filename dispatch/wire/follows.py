"""Fetches what a follower is shown first: the past that it missed, or a snapshot; and fills the holes of a topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from dispatch.hub.connection import Connection
from dispatch.hub.core import Hub
from dispatch.hub.frames import Follow
from dispatch.hub.resume import Past, Seam
from dispatch.hub.topic import Topic
from dispatch.model.errors import Refusal, Unavailable

from .rooms import Rooms
from .standing_checks import StandingChecks

log = logging.getLogger(__name__)


class Follows:
    """Between the pure hub, which holds live events back meanwhile, and the rooms that know the past."""

    def __init__(
        self,
        rooms: Rooms,
        hub: Hub,
        checks: StandingChecks,
        is_heard: Callable[[str], Awaitable[None]],
        stamp: Callable[[], None],
        at_once: int,
    ) -> None:
        """``is_heard`` waits until a campus's events are heard here; ``stamp`` says what time it is to the hub."""
        self._rooms = rooms
        self._hub = hub
        self._checks = checks
        self._is_heard = is_heard
        self._stamp = stamp
        self._fetches = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, connection: Connection, topic: Topic, frame: Follow) -> None:
        self._spawn(self._follow(connection, topic, frame.offset, frame.epoch, frame.re))

    def start_heal(self, topic: Topic) -> None:
        self._spawn(self._heal(topic))

    async def stop(self) -> None:
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    async def _follow(
        self, connection: Connection, topic: Topic, offset: int | None, epoch: str | None, re: int | None
    ) -> None:
        if (seam := topic.joining.get(connection)) is None:
            return
        try:
            past = await self._fetch(connection, topic, seam, (-1 if offset is None else offset, epoch or ""))
        except Refusal as refusal:
            if topic.joining.get(connection) is seam:
                connection.refuse_topic(topic.name, refusal, re)
                self._hub.topics.give_up(connection, topic)
            return
        if topic.joining.get(connection) is not seam:
            return  # left, perhaps to come again: what was fetched may end before that seam begins
        self._stamp()
        self._hub.topics.complete(connection, topic, past, self._hub.now_ms)
        connection.write_now()

    async def _fetch(self, connection: Connection, topic: Topic, seam: Seam, since: tuple[int, str]) -> Past:
        """The past first, the snapshot after it: a snapshot may know more than the events before it, never less."""
        await self._is_heard(connection.campus_id)
        await self._checks.done(connection)
        async with self._fetches:
            if topic.joining.get(connection) is not seam:
                raise Unavailable("left in the meantime")
            try:
                missed = await self._rooms.streams.read_since(connection.campus_id, topic.name, *since)
            except Exception as error:
                log.warning("the past of %s is not known: %r", topic.name, error)
                missed = None
            try:
                grant = await self._rooms.authorize(connection.principal, topic.name, str(connection.look.datum))
            except Refusal:
                raise
            except Exception as error:
                log.exception("following %s", topic.name)
                raise Unavailable() from error
        self._hub.count("recovered" if missed is not None and missed.is_recovered else "snapshots")
        if missed is None:
            return Past(False, (), 0, "", grant.snapshot, grant.watch)
        at = missed.position
        return Past(missed.is_recovered, missed.events, at.offset, at.epoch, grant.snapshot, grant.watch)

    async def _heal(self, topic: Topic) -> None:
        """Fill the hole in a topic's events, however long Redis takes to answer."""
        topics, campus_id, pause_s = self._hub.topics, topic.campus.id, 0.1
        while topics.find(campus_id, topic.name) is topic:
            try:
                async with self._fetches:
                    missed = await self._rooms.streams.read_since(campus_id, topic.name, topic.offset, topic.epoch)
                break
            except Exception as error:
                log.warning("%s cannot be healed yet: %r", topic.name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2.0, pause_s * 2)
        else:
            return
        self._stamp()
        past = Past(missed.is_recovered, missed.events, missed.position.offset, missed.position.epoch)
        if not topics.healed(topic, past, self._hub.now_ms):
            for follower in topics.restart(topic):
                self._spawn(self._follow(follower, topic, None, None, None))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a follow stumbled", exc_info=error)
