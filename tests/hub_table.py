"""A hub without sockets, Redis or clock for tests: its clients say frames and keep what they were sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dispatch.hub.connection import Connection
from dispatch.hub.core import Hub
from dispatch.hub.frames import JSON, Follow, PositionRow
from dispatch.hub.resume import Past
from dispatch.hub.rules import Principal, Rules
from dispatch.hub.topic import Topic
from dispatch.model.errors import AccountBlocked, NotSignedIn
from geo.filters import Reason, Verdict
from geo.fix import Fix

CAMPUS = "cmp_1"


class Who(NamedTuple):
    account_id: str
    campus_id: str
    roles: frozenset[str]
    session_id: str = "ses_1"


class Standing(NamedTuple):
    principal: Who
    is_on_duty: bool = True
    is_tracked: bool = True
    is_busy: bool = False


class Event(NamedTuple):
    topic: str
    offset: int
    epoch: str = "e"
    kind: str = "order_paid"
    watch: str | None = None
    close: str | None = None
    data: Any = None
    at_ms: int = 0

    @property
    def id(self) -> str:
        return f"evt_{self.offset}"


class Pipe:
    """A sink that keeps what was written, as decoded frames."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def write(self, data: bytes) -> None:
        while data:
            length, head = data[1], 2
            if length == 126:
                length, head = int.from_bytes(data[2:4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[2:10], "big"), 10
            self.frames.append(json.loads(data[head : head + length]))
            data = data[head + length :]

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def take(self, kind: str | None = None) -> list[dict[str, Any]]:
        frames, self.frames = self.frames, []
        return [frame for frame in frames if kind in (None, frame["t"])]


@dataclass
class Outside:
    """The world of a hub under test: follows and heals wait until the test answers them."""

    follows: list[tuple[Connection, Topic, Follow]] = field(default_factory=list)
    heals: list[Topic] = field(default_factory=list)
    runners: list[Connection] = field(default_factory=list)
    checks: list[Connection] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    right_s: int = 10_000
    campuses: list[str] = field(default_factory=list)
    tracked: list[Fix] = field(default_factory=list)
    located: list[list[str] | None] = field(default_factory=list)
    interests: list[str] = field(default_factory=list)  # campuses whose interest changed
    held: list[str] = field(default_factory=list)  # whose fixes are judged at once
    verdict: Verdict | Reason = Verdict.LIVE

    def verify(self, token: str) -> Who:
        match token.split("/"):
            case ["blocked"]:
                raise AccountBlocked()
            case ["old"]:
                raise NotSignedIn("over", reason="expired")
            case [account, *roles] if roles:
                return Who(account, CAMPUS, frozenset(roles))
        raise NotSignedIn("unknown")

    def judge_of(self, campus_id: str, runner_id: str) -> Callable[[Fix], Verdict | Reason]:
        self.held.append(runner_id)
        return self._judge

    def release(self, campus_id: str, runner_id: str) -> None:
        self.held.remove(runner_id)

    def _judge(self, fix: Fix) -> Verdict | Reason:
        self.tracked.append(fix)
        return self.verdict

    def start_follow(self, connection: Connection, topic: Topic, frame: Follow) -> None:
        self.follows.append((connection, topic, frame))

    def start_heal(self, topic: Topic) -> None:
        self.heals.append(topic)

    def lasts_s(self, principal: Principal) -> int:
        return self.right_s

    def start_check(self, connection: Connection) -> None:
        self.checks.append(connection)

    def hide(self, campus_id: str, runner_id: str) -> None:
        self.hidden.append(runner_id)

    def locate(self, campus_id: str, runner_ids: Sequence[str] | None) -> None:
        self.located.append(runner_ids if runner_ids is None else list(runner_ids))

    def interest_changed(self, campus_id: str) -> None:
        self.interests.append(campus_id)

    def start_runner(self, connection: Connection) -> None:
        self.runners.append(connection)

    def campus_joined(self, campus_id: str) -> None:
        self.campuses.append(campus_id)

    def campus_left(self, campus_id: str) -> None:
        self.campuses.remove(campus_id)


class Table:
    """A hub and its clients."""

    def __init__(self, **rules: Any) -> None:
        self.outside = Outside()
        self.hub = Hub(self.outside, Rules(**rules), max_per_account=2)

    def client(self, token: str | None = "acc_s/student", **hello: Any) -> tuple[Connection, Pipe]:
        pipe = Pipe()
        connection = self.hub.open(pipe, JSON, "con_1")
        if token is not None:
            self.say(connection, t="hello", token=token, **hello)
        return connection, pipe

    def say(self, connection: Connection, **frame: Any) -> None:
        connection.receive(1, json.dumps(frame).encode())
        self.hub.write_out()

    def following(self, connection: Connection, name: str, past: Past) -> Topic:
        self.say(connection, t="follow", topic=name)
        _, topic, _ = self.outside.follows.pop()
        self.complete(connection, topic, past)
        return topic

    def following_again(self, connection: Connection) -> None:
        self.say(connection, t="follow", topic=TOPIC)
        _, topic, _ = self.outside.follows[-1]
        self.complete(connection, topic, fresh())

    def complete(self, connection: Connection, topic: Topic, past: Past) -> bool:
        is_complete = self.hub.topics.complete(connection, topic, past)
        self.hub.write_out()
        return is_complete

    def event(self, event: Event) -> None:
        self.hub.on_event(CAMPUS, event)
        self.hub.write_out()

    def answer(self, connection: Connection, answer: Any = None) -> None:
        """The books' answer to the check that was asked for: by default, what the token says."""
        assert connection.principal is not None and connection in self.outside.checks
        self.outside.checks.remove(connection)
        self.hub.answer_check(connection, connection.principal, answer or Standing(connection.principal))  # type: ignore[arg-type]
        self.hub.write_out()

    def positions(self, *rows: PositionRow, is_news: bool = True) -> None:
        """A flush that brings these."""
        if is_news:
            self.hub.on_positions(CAMPUS, rows)
        else:
            self.hub.topics.deliver_positions(CAMPUS, rows, is_news=False)
        self.hub.write_out()
        self.hub.topics.state.freshness.measure(self.hub.now_ms)


def fresh(offset: int = 0, watch: str | None = None, events: Sequence[Event] = (), epoch: str = "e") -> Past:
    return Past(bool(events), events, offset, epoch, {"snapshot": True}, watch)


def row(runner_id: str, at: int = 1, received: int = 0) -> PositionRow:
    return (runner_id, 30.0, 114.0, at, None, None, None, received)


TOPIC = "order:ord_1"
CONSOLE = f"console:{CAMPUS}"
