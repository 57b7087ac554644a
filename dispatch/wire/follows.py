"""Fetches what followers are shown first - the past that they missed, or a snapshot - and fills the holes of topics.

Many at a time: when a thousand clients come back in one second, a hundred of them cost one pipeline to Redis and one
question to the books, and the loop gets its turn in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from dispatch.hub.connection import Connection
from dispatch.hub.core import Hub
from dispatch.hub.frames import Follow
from dispatch.hub.resume import Past, Seam
from dispatch.hub.topic import Topic
from dispatch.live.resume_streams import Missed
from dispatch.model.errors import Refusal, Unavailable

from .lines import Line, Slices
from .rooms import Rooms, TopicGrant
from .standing_checks import StandingChecks

log = logging.getLogger(__name__)

#: So long the past of a batch is waited for; whoever gets none begins with a snapshot, and the topic is healed later.
_PAST_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0

A = TypeVar("A")
Answers = Sequence[TopicGrant | Refusal]


@dataclass(slots=True, eq=False)
class _Asked:
    """One connection waits for one topic's past, from a position on (-1: it has none)."""

    connection: Connection
    topic: Topic
    seam: Seam
    offset: int
    epoch: str
    re: int | None
    missed: Missed | None = None
    is_again: bool = False

    @property
    def still_waits(self) -> bool:
        """False: left, perhaps to come again; what was fetched may end before that other seam begins."""
        return self.topic.joining.get(self.connection) is self.seam

    @property
    def is_recovered(self) -> bool:
        return self.missed is not None and self.missed.is_recovered

    def past(self, grant: TopicGrant) -> Past:
        missed = self.missed
        if missed is None:
            return Past(False, (), 0, "", grant.snapshot, grant.watch)
        at = missed.position
        return Past(missed.is_recovered, missed.events, at.offset, at.epoch, grant.snapshot, grant.watch)


class _Lines(Generic[A]):
    """A line for each key: what belongs to one campus, or to one kind of topic, does not wait for another's."""

    def __init__(self, work: Callable[[A, list[_Asked]], Awaitable[None]], most: int) -> None:
        self._work = work
        self._most = most
        self._lines: dict[A, Line[_Asked]] = {}

    def of(self, key: A) -> Line[_Asked]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(partial(self._work, key), self._most)
        return line

    async def stop(self) -> None:
        for line in self._lines.values():
            await line.stop()


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
        self._at_once = at_once
        #: by campus
        self._pasts = _Lines(self._read_pasts, at_once)
        #: by campus and kind of topic: those who need a snapshot keep nobody waiting who needs none
        self._snapshots = _Lines(self._read_snapshots, at_once)
        self._healing: dict[str, Line[Topic]] = {}
        self._pauses_s: dict[str, float] = {}

    def start(self, connection: Connection, topic: Topic, frame: Follow) -> None:
        offset = -1 if frame.offset is None else frame.offset
        self._begin(connection, topic, offset, frame.epoch or "", frame.re)

    def start_heal(self, topic: Topic) -> None:
        """Fill the hole in a topic's events, however long Redis takes to answer."""
        campus_id = topic.campus.id
        line = self._healing.get(campus_id)
        if line is None:
            line = self._healing[campus_id] = Line(partial(self._heal, campus_id), self._at_once)
        line.add(topic)

    async def stop(self) -> None:
        await self._pasts.stop()
        await self._snapshots.stop()
        for line in self._healing.values():
            await line.stop()

    # --- following

    def _begin(self, connection: Connection, topic: Topic, offset: int, epoch: str, re: int | None) -> None:
        seam = topic.joining.get(connection)
        if seam is not None:
            asked = _Asked(connection, topic, seam, offset, epoch, re)
            line = self._pasts.of(connection.campus_id)
            # What somebody may follow is judged by what the books say of them today.
            self._checks.then(connection, partial(line.add, asked))

    async def _read_pasts(self, campus_id: str, batch: list[_Asked]) -> None:
        await self._is_heard(campus_id)
        batch = [asked for asked in batch if asked.still_waits]
        if not batch:
            return
        try:
            async with asyncio.timeout(_PAST_S):
                pasts = await self._rooms.streams.read_many(
                    campus_id, [(asked.topic.name, asked.offset, asked.epoch) for asked in batch]
                )
        except Exception as error:
            # Those who wait behind would only find out the same, after as long again.
            batch += self._pasts.of(campus_id).take_all()
            log.warning("the past of %d topics is not known: %r", len(batch), error)
        else:
            for asked, missed in zip(batch, pasts, strict=True):
                asked.missed = missed
        # The past first, the snapshot after it: a snapshot may know more than the events before it, never less.
        for asked in batch:
            if not asked.is_recovered:
                self._snapshots.of((campus_id, asked.topic.kind)).add(asked)
        back = [asked for asked in batch if asked.is_recovered and asked.still_waits]
        if back:
            await self._finish(back, await self._grants(back))

    async def _read_snapshots(self, key: tuple[str, str], batch: list[_Asked]) -> None:
        batch = [asked for asked in batch if asked.still_waits]
        if batch:
            await self._finish(batch, await self._grants(batch))

    async def _grants(self, batch: list[_Asked]) -> Answers:
        """The right of each, with snapshots for those who are not recovered; a batch is all of one kind or the other.
        A fault of ours is found again and costs only whom it is about."""
        try:
            return await self._ask(batch)
        except Refusal as refusal:
            return [refusal] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                log.exception("following %s", batch[0].topic.name)
                return [Unavailable()]
            log.warning("following %d topics is tried one by one: %r", len(batch), error)
        answers: list[TopicGrant | Refusal] = []
        for asked in batch:
            answers += await self._grants([asked])
        return answers

    async def _ask(self, batch: list[_Asked]) -> Answers:
        if batch[0].is_recovered:
            return await self._rooms.may_follow([(asked.connection.principal, asked.topic.name) for asked in batch])
        return await self._rooms.read_topics(
            [(asked.connection.principal, asked.topic.name, str(asked.connection.look.datum)) for asked in batch]
        )

    async def _finish(self, batch: list[_Asked], answers: Answers) -> None:
        slices = Slices()
        self._stamp()
        for asked, answer in zip(batch, answers, strict=True):
            if not asked.still_waits:
                continue
            try:
                self._finish_one(asked, answer)
            except Exception:
                # A bug of ours costs one follower, not those behind.
                log.exception("connection %s", asked.connection.id)
            if await slices.breathe():
                self._stamp()

    def _finish_one(self, asked: _Asked, answer: TopicGrant | Refusal) -> None:
        connection, topic = asked.connection, asked.topic
        if isinstance(answer, Refusal):
            connection.refuse_topic(topic.name, answer, asked.re)
            self._hub.topics.give_up(connection, topic)
            return
        self._hub.count("recovered" if asked.is_recovered else "snapshots")
        if self._hub.topics.complete(connection, topic, asked.past(answer)):
            connection.write_now()
            return
        if asked.is_again:
            # Redis still knows less than was told: then the topic itself has to be looked into.
            self._hub.topics.start_healing(topic)
        asked.missed, asked.is_again = None, True
        self._pasts.of(connection.campus_id).add(asked)

    # --- healing

    async def _heal(self, campus_id: str, batch: list[Topic]) -> None:
        topics = self._hub.topics
        batch = [topic for topic in batch if topics.find(campus_id, topic.name) is topic]
        if not batch:
            return
        try:
            async with asyncio.timeout(_PAST_S):
                pasts = await self._rooms.streams.read_many(
                    campus_id, [(topic.name, topic.offset, topic.epoch) for topic in batch]
                )
        except Exception as error:
            pause_s = self._pauses_s.get(campus_id, _FIRST_PAUSE_S)
            self._pauses_s[campus_id] = min(_LONGEST_PAUSE_S, pause_s * 2)
            log.warning("%d topics cannot be healed yet: %r", len(batch), error)
            await asyncio.sleep(pause_s)
            for topic in batch:
                self._healing[campus_id].add(topic)
            return
        self._pauses_s.pop(campus_id, None)
        slices = Slices()
        self._stamp()
        for topic, missed in zip(batch, pasts, strict=True):
            past = Past(missed.is_recovered, missed.events, missed.position.offset, missed.position.epoch)
            if not topics.healed(topic, past):
                for follower in topics.restart(topic):
                    self._begin(follower, topic, -1, "", None)
            if await slices.breathe():
                self._stamp()
