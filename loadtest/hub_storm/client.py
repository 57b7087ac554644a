"""One connection that is kept up: comes back as the server asks, with jitter, and takes its topics up where it was."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from .accounts import Member
from .frames import Closed, ErrorFrame, Event, Followed, Frame, SnapshotFrame, Welcome, decoded, versions_in
from .histories import Snapshot, Span
from .wire import Ended, Wire, narrow_socket

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
#: A server that says nothing for so long, not even a ping, is taken for gone.
SILENT_S = 60.0
RENEW_SHARE = 0.6
CONNECT_S = 20.0


class Client:
    """Base of everybody with a socket. Subclasses hear ``heard`` for what is not about events."""

    def __init__(self, member: Member, name: str, luck: Random, *, wants_acks: bool = False) -> None:
        self.member, self.name = member, name
        self.is_narrow = False
        self._luck = luck
        self._wants_acks = wants_acks
        self._wire: Wire | None = None
        self._wait_s = FIRST_WAIT_S
        self._coming: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_leaving = False
        self._asked: dict[int, str] = {}
        self._re = 0
        self.topics: dict[str, list[Span]] = {}
        self._waiting: set[str] = set()
        self.is_in = False
        self.connections = 0
        self.ends: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    # --- life

    def start(self) -> None:
        self._come()

    def leave(self) -> None:
        self._is_leaving = True
        for timer in self._timers.values():
            timer.cancel()
        if self._coming is not None:
            self._coming.cancel()
        if self._wire is not None:
            self._wire.close()

    def follow(self, topic: str) -> None:
        if topic not in self.topics:
            self.topics[topic] = []
            if self.is_in:
                self._ask(topic)

    def unfollow(self, topic: str) -> None:
        if self.topics.get(topic):
            self.topics[topic][-1].closed = "left"
            self._waiting.discard(topic)
            self._say({"t": "unfollow", "topic": topic})

    @property
    def followed(self) -> list[str]:
        """The topics that have not ended, oldest first."""
        return [topic for topic, spans in self.topics.items() if not spans or not spans[-1].closed]

    @property
    def epochs(self) -> dict[str, str]:
        """The epoch of each topic that has not ended."""
        return {topic: self.topics[topic][-1].epoch for topic in self.followed if self.topics[topic]}

    @property
    def is_back(self) -> bool:
        """Connected, and every topic that has not ended is followed again."""
        return (
            self.is_in
            and not self._waiting
            and all(spans and (spans[-1].epoch or spans[-1].closed) for spans in self.topics.values())
        )

    def __str__(self) -> str:
        behind = [
            topic for topic, spans in self.topics.items() if not (spans and (spans[-1].epoch or spans[-1].closed))
        ]
        return f"{self.name} (in: {self.is_in}, asked: {sorted(self._waiting)}, without an epoch: {behind})"

    def check_silence(self, now_s: float) -> None:
        if self._wire is not None and self.is_in and now_s - self._wire.heard_s > SILENT_S:
            self.ends["silence"] += 1
            self._wire.abort()

    # --- for subclasses

    def welcomed(self) -> None:
        """A new connection is open."""

    def begun(self, topic: str) -> None:
        """A topic begins: its events go on or its snapshot comes, and its positions are shown anew."""

    def heard(self, frame: Frame) -> None:
        """A frame that is not about the order of events."""

    def told(self, event: Event) -> None:
        """An event that was recorded."""

    # --- coming and going

    def _come(self) -> None:
        if not self._is_leaving:
            self._coming = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        house = self.member.house
        token = await self.member.socket_token()
        if not token:
            self._gone(Ended(), "no token")
            return
        loop, place = asyncio.get_running_loop(), (house.host, house.port)
        try:
            async with asyncio.timeout(CONNECT_S):
                if self.is_narrow:
                    narrow = narrow_socket()
                    await loop.sock_connect(narrow, place)
                    await loop.create_connection(lambda: self._new_wire(token), sock=narrow)
                else:
                    await loop.create_connection(lambda: self._new_wire(token), *place)
        except (OSError, TimeoutError) as fault:
            self._wire = None
            self._gone(Ended(), type(fault).__name__)

    def _new_wire(self, token: str) -> Wire:
        wire = Wire(self.member.house.address, lambda: self._say(self._hello(token)), self._got, self._ended)
        self._wire = wire
        self._later("in", CONNECT_S, lambda: None if self.is_in else wire.abort())
        return wire

    def _hello(self, token: str) -> dict[str, object]:
        hello: dict[str, object] = {"t": "hello", "token": token}
        return hello | {"acks": True} if self._wants_acks else hello

    def _later(self, name: str, after_s: float, call: Callable[[], object]) -> None:
        if former := self._timers.pop(name, None):
            former.cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(after_s, call)

    def _say(self, frame: dict[str, object]) -> None:
        if self._wire is not None:
            self._wire.send(frame)

    def _ended(self, ended: Ended) -> None:
        self._gone(ended, ended.name)

    def _gone(self, ended: Ended, name: str) -> None:
        self._wire = None
        if self.is_in:
            self.is_in = False
            self._wait_s = FIRST_WAIT_S
        if renewing := self._timers.pop("renew", None):
            renewing.cancel()
        if self._is_leaving:
            return
        self.ends[name] += 1
        if not ended.may_return:
            return
        if ended.code == 4002:
            self.member.forget_token()
        wait_s = ended.wait_s + self._wait_s * self._luck.uniform(0.5, 1.5)
        self._wait_s = min(LONGEST_WAIT_S, self._wait_s * 2)
        self._later("come", wait_s, self._come)

    def _renew(self) -> None:
        self._coming = asyncio.create_task(self._say_hello())

    async def _say_hello(self) -> None:
        if token := await self.member.socket_token():
            self._say(self._hello(token))

    # --- frames

    def _got(self, payload: bytes) -> None:
        try:
            frame = decoded(payload)
        except msgspec.DecodeError as fault:
            self.errors[f"a frame that is none: {fault}"] += 1
            return
        match frame:
            case None:
                pass
            case Event():
                self._event(frame)
            case Followed():
                self._followed(frame)
            case SnapshotFrame():
                self._snapshot(frame)
            case Welcome():
                self._welcome(frame)
            case Closed():
                self._waiting.discard(frame.topic)
                if spans := self.topics.get(frame.topic):
                    spans[-1].closed = frame.code
                self.heard(frame)
            case ErrorFrame():
                self._error(frame)
            case _:
                self.heard(frame)

    def _welcome(self, frame: Welcome) -> None:
        self._later("renew", RENEW_SHARE * frame.renew_ms / 1000, self._renew)
        if self.is_in:
            return  # the answer to a newer token
        self.is_in = True
        self.connections += 1
        self._wait_s = FIRST_WAIT_S
        self._waiting.clear()
        self.welcomed()
        for topic, spans in self.topics.items():
            if not spans or not spans[-1].closed:
                self._ask(topic)

    def _ask(self, topic: str) -> None:
        self._re += 1
        self._asked[self._re] = topic
        self._waiting.add(topic)
        follow: dict[str, object] = {"t": "follow", "topic": topic, "re": self._re}
        at = position(self.topics[topic])
        if at is not None:
            follow |= {"epoch": at[0], "offset": at[1]}
        self._say(follow)

    def _followed(self, frame: Followed) -> None:
        spans = self.topics.get(frame.topic)
        if spans is None:
            return
        is_asked = self._asked.pop(frame.re or 0, "") == frame.topic
        span = Span(frame.recovered, frame.epoch, frame.offset, position(spans), is_asked)
        spans.append(span)
        self.begun(frame.topic)
        if frame.recovered:
            self._waiting.discard(frame.topic)

    def _snapshot(self, frame: SnapshotFrame) -> None:
        self._waiting.discard(frame.topic)
        spans = self.topics.get(frame.topic)
        if spans:
            spans[-1].snapshot = Snapshot(self.member.house.now_ms(), versions_in(frame.data))

    def _event(self, frame: Event) -> None:
        spans = self.topics.get(frame.topic)
        if not spans:
            self.errors["an event before its topic was followed"] += 1
            return
        spans[-1].offsets.append(frame.offset)
        spans[-1].ids.append(self.member.house.same(frame.id))
        self.told(frame)

    def _error(self, frame: ErrorFrame) -> None:
        topic = self._asked.pop(frame.re or 0, None)
        about = (topic or frame.topic or "").partition(":")[0]
        self.errors[f"{frame.code} {about}".strip()] += 1
        if topic is None:
            return
        if frame.code in ("unavailable", "too_many"):
            pause_s = self._luck.uniform(0.5, 1.5)
            self._later(topic, pause_s, lambda: self._ask(topic) if self.is_in else None)
        else:
            self._waiting.discard(topic)


def position(spans: list[Span]) -> tuple[str, int] | None:
    """The (epoch, offset) to come back with; None while there is none: no snapshot was seen, or Redis was away."""
    for span in reversed(spans):
        if not span.epoch or not (span.is_recovered or span.snapshot is not None):
            return None
        if span.offsets:
            return span.epoch, span.offsets[-1]
        if not span.is_recovered:
            return span.epoch, span.offset
        # Recovered, and nothing of what was missed has come yet: still where it was before.
    return None
