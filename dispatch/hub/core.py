"""The hub of one worker: its connections, who they are, their topics, and the counters that say how it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from dispatch.model.errors import Refusal
from geo.filters import Reason, Verdict
from geo.fix import Fix

from .codes import STAY_AWAY_MS, CloseCode, closing_reason, verdict_on
from .connection import Connection
from .frames import Codec, Follow, PositionRow, View
from .host import Stage
from .reporter import Reporter
from .reporting import Reporting, Stretch, reporting
from .resume import EventRecord
from .rules import Principal, Rules, Sink, Standing
from .state_lane import Asks
from .topic import Topic
from .topics import Topics

#: After these a runner has other things in hand than before, or is on duty or not: the books are asked how often they
#: are to report, and whether their position is shown.
_STANDING = frozenset(
    {
        "runner_on_duty", "runner_off_duty", "task_offered", "offer_declined", "offer_expired", "offer_withdrawn",
        "task_assigned", "task_reassigned", "task_reopened", "order_delivered", "order_cancelled",
    }
)  # fmt: skip
#: Runners per flush who are told another rhythm of reporting when this worker is late.
TOLD_PER_FLUSH = 100


class Outside(Asks, Protocol):
    """What the hub and its topics ask of the process around them; none of the calls waits."""

    def verify(self, token: str) -> Principal:
        """Raises Refusal."""

    def lasts_s(self, principal: Principal) -> int:
        """Real seconds until this principal's right to speak ends, at least one."""

    def start_check(self, connection: Connection) -> None:
        """Ask the books who the connection's speaker is today, then call ``Hub.answer_check``."""

    def hide(self, campus_id: str, runner_id: str) -> None:
        """Forget where this runner is, here and in Redis, and tell those who watch."""

    def judge_of(self, campus_id: str, runner_id: str) -> Callable[[Fix], Verdict | Reason]:
        """What judges this runner's fixes, until ``release``."""

    def release(self, campus_id: str, runner_id: str) -> None:
        """One who had this runner's judge has gone."""

    def start_follow(self, connection: Connection, topic: Topic, frame: Follow) -> None:
        """Fetch the topic's past and call ``Topics.complete`` or ``give_up``."""

    def start_runner(self, connection: Connection) -> None:
        """Find out where this runner was last seen, then call ``Connection.ready``."""

    def campus_joined(self, campus_id: str) -> None:
        """The first connection of this campus is here."""

    def campus_left(self, campus_id: str) -> None:
        """The last connection of this campus has gone."""


class Hub:
    """The host of every connection of one worker."""

    def __init__(
        self, outside: Outside, rules: Rules, *, max_per_account: int = 20, luck: Callable[[], float] = lambda: 0.5
    ) -> None:
        """``luck``: 0 to 1, for what should not happen to everybody in the same instant."""
        self._outside = outside
        self._luck = luck
        self.rules = rules
        self.now_ms = 0
        self.second = 0
        self.frames = 0
        self._max_per_account = max_per_account
        self.topics = Topics(outside, rules)
        self.connections: set[Connection] = set()
        self._by_account: dict[str, list[Connection]] = {}
        self._by_campus: dict[str, set[Connection]] = {}
        self._touched: list[Connection] = []
        self._lateness = Stretch()
        self._stretch = 1
        self._to_tell: list[Connection] = []  # have yet to hear that runners are to report at another rhythm
        self.counts: Counter[str] = Counter()

    # --- connections come and go

    def open(self, sink: Sink, codec: Codec, connection_id: str) -> Connection:
        connection = Connection(self, sink, codec, connection_id)
        self.connections.add(connection)
        return connection

    def admit(self, connection: Connection, principal: Principal) -> CloseCode | None:
        """Take the connection in under its account, or say why not."""
        mine = self._by_account.setdefault(principal.account_id, [])
        if len(mine) >= self._max_per_account:
            return CloseCode.TOO_MANY_CONNECTIONS
        mine.append(connection)
        campus = self._by_campus.setdefault(principal.campus_id, set())
        campus.add(connection)
        if len(campus) == 1:
            self._outside.campus_joined(principal.campus_id)
        if "runner" in principal.roles:
            self.seat(connection)
        return None

    def seat(self, connection: Connection) -> Reporter:
        """The connection speaks for a runner: find out where they were last seen, and listen to their fixes."""
        connection.reporter = reporter = Reporter(self, connection)
        self._outside.start_runner(connection)
        return reporter

    def drop(self, connection: Connection) -> None:
        """The socket is gone."""
        connection.stage = Stage.CLOSING
        connection.stop_writing()
        self.release(connection)
        self.connections.discard(connection)
        for topic in list(connection.topics):
            self.topics.leave(connection, topic)
        mine = self._by_account.get(connection.account_id)
        if mine is not None and connection in mine:
            mine.remove(connection)
            if not mine:
                del self._by_account[connection.account_id]
        campus = self._by_campus.get(connection.campus_id)
        if campus is not None and connection in campus:
            campus.discard(connection)
            if not campus:
                del self._by_campus[connection.campus_id]
                self.topics.drop_campus(connection.campus_id)
                self._outside.campus_left(connection.campus_id)

    def close_account(self, account_id: str, code: CloseCode) -> None:
        """End every connection of this account."""
        for connection in list(self._by_account.get(account_id, ())):
            connection.close(code)

    def answer_check(self, connection: Connection, asked: Principal, answer: Standing | Refusal) -> None:
        """The books have said who ``asked`` is today; a connection that speaks with a newer token waits for its own."""
        if connection.principal is not asked:
            return
        if isinstance(answer, Refusal):
            connection.close(verdict_on(answer))
        else:
            connection.stand(answer)

    def check_campus(self, campus_id: str) -> None:
        """The bus was away: anybody may have been signed out meanwhile."""
        for connection in self._by_campus.get(campus_id, ()):
            self._outside.start_check(connection)

    def campus_ids(self) -> list[str]:
        return list(self._by_campus)

    # --- what connections ask

    def verify(self, token: str) -> Principal:
        return self._outside.verify(token)

    def lasts_s(self, principal: Principal) -> int:
        return self._outside.lasts_s(principal)

    def check(self, connection: Connection) -> None:
        self._outside.start_check(connection)

    def hide(self, connection: Connection) -> None:
        self._outside.hide(connection.campus_id, connection.account_id)

    def judge_of(self, connection: Connection) -> Callable[[Fix], Verdict | Reason]:
        return self._outside.judge_of(connection.campus_id, connection.account_id)

    def release(self, connection: Connection) -> None:
        if connection.reporter is not None and connection.reporter.stop_judging():
            self._outside.release(connection.campus_id, connection.account_id)

    def follow(self, connection: Connection, frame: Follow) -> None:
        box = None if frame.box is None else connection.look.box_inside(frame.box)
        topic = self.topics.begin(connection, connection.campus_id, frame.topic, frame.re, frame.every_ms, box)
        if topic not in connection.topics:
            connection.topics.append(topic)
        self.counts["follows"] += 1
        self._outside.start_follow(connection, topic, frame)

    def unfollow(self, connection: Connection, topic: Topic) -> None:
        self.topics.leave(connection, topic)

    def view(self, connection: Connection, topic: Topic, frame: View) -> None:
        box = None if frame.box is None else connection.look.box_inside(frame.box)
        self.topics.state.change_view(connection, topic, frame.every_ms, box, frame.re)

    def change_look(self, connection: Connection) -> None:
        for topic in connection.topics:
            self.topics.state.change_look(connection, topic)

    def touch(self, connection: Connection) -> None:
        connection.is_touched = True
        self._touched.append(connection)

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def closing_reason(self, code: CloseCode) -> str:
        among_ms = STAY_AWAY_MS.get(code)
        return closing_reason(code, None if among_ms is None else round(among_ms * self._luck()))

    # --- what arrives from elsewhere

    def on_positions(self, campus_id: str, rows: Sequence[PositionRow]) -> None:
        self.topics.deliver_positions(campus_id, rows)

    def on_event(self, campus_id: str, event: EventRecord) -> None:
        self.topics.deliver_event(campus_id, event)
        if event.kind == "account_blocked" and isinstance(event.data, dict):
            self.close_account(str(event.data.get("account_id", "")), CloseCode.ACCOUNT_BLOCKED)
        elif event.kind == "access_changed" and isinstance(event.data, dict):
            for connection in self._by_account.get(str(event.data.get("account_id", "")), ()):
                self._outside.start_check(connection)
        elif event.topic.startswith("runner:"):
            for connection in self._by_account.get(event.topic[7:], ()):
                if event.kind in _STANDING:
                    self._outside.start_check(connection)

    def on_gone(self, campus_id: str, runner_ids: Sequence[str]) -> None:
        self.topics.gone(campus_id, runner_ids)

    # --- how often runners report

    def reporting(self, *, is_busy: bool) -> Reporting:
        return reporting(is_busy=is_busy, stretch=self._stretch, time_scale=self.rules.time_scale)

    def see_lateness(self, late_flushes: int) -> None:
        """Once a second: of all flushes so far, so many were late."""
        self.stretch(self._lateness.see(self.topics.state.flushes, late_flushes, self.second))

    def stretch(self, factor: int) -> None:
        """Have runners report so many times more rarely than is good; all are told within a few seconds."""
        if factor != self._stretch:
            self._stretch = factor
            self._to_tell = list(self.connections)

    # --- the rhythm

    def write_out(self) -> None:
        """The end of a flush: each connection that has something to say writes it in one call."""
        self.topics.state.flush()
        for _ in range(min(TOLD_PER_FLUSH, len(self._to_tell))):
            self._to_tell.pop().tell_reporting()
        touched, self._touched = self._touched, []
        for connection in touched:
            connection.flush()

    def close_expired(self) -> None:
        """End the connections whose hello was too long ago; they come back with a fresh token."""
        for connection in [c for c in self.connections if c.stage is Stage.OPEN and c.expires_s <= self.second]:
            connection.close(CloseCode.TOKEN_EXPIRED)

    def set_lagging(self, connection: Connection, is_lagging: bool) -> None:
        """The watcher's socket is full, or takes bytes again."""
        if is_lagging:
            connection.lag()
        else:
            connection.is_lagging = False
            self.topics.catch_up(connection)
            if not connection.is_touched:
                self.touch(connection)

    def metrics(self) -> dict[str, float]:
        """Counters and gauges by name; names that end in ``_total`` only grow."""
        topics = self.topics
        figures: dict[str, float] = {
            "connections": len(self.connections),
            "accounts": len(self._by_account),
            "topics": topics.topic_count,
            "report_stretch": self._stretch,
            "positions_delivered_total": topics.state.freshness.delivered,
            "positions_conflated_total": topics.state.conflated,
            "events_delivered_total": topics.events_delivered,
            "topic_heals_total": topics.heals,
        }
        figures.update({f"{name}_total": count for name, count in self.counts.items()})
        return figures
