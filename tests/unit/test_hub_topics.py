"""The pure hub: seams, holes, lanes, limits; no socket, no Redis, no clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from dispatch.hub.ages import EDGES_MS, Ages
from dispatch.hub.codes import CloseCode, may_return
from dispatch.hub.connection import Connection
from dispatch.hub.core import Hub
from dispatch.hub.frames import JSON, Follow, PositionRow
from dispatch.hub.host import Stage
from dispatch.hub.resume import MAX_HELD, Past, Seam
from dispatch.hub.rules import Principal, Rules
from dispatch.hub.send_queue import SendQueue
from dispatch.hub.topic import Topic, is_topic_name
from dispatch.model.errors import AccountBlocked, NotPermitted, NotSignedIn
from geo.datum import Datum, to_wgs84
from geo.filters import Reason, Verdict
from geo.fix import Fix
from geo.point import Point

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

    def track(self, campus_id: str, runner_id: str, fix: Fix) -> Verdict | Reason:
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

    def complete(self, connection: Connection, topic: Topic, past: Past) -> None:
        self.hub.topics.complete(connection, topic, past, 0)
        self.hub.write_out()

    def event(self, event: Event) -> None:
        self.hub.on_event(CAMPUS, event)
        self.hub.write_out()

    def answer(self, connection: Connection, answer: Any = None) -> None:
        """The books' answer to the check that was asked for: by default, what the token says."""
        assert connection.principal is not None and connection in self.outside.checks
        self.outside.checks.remove(connection)
        self.hub.answer_check(connection, connection.principal, answer or Standing(connection.principal))  # type: ignore[arg-type]
        self.hub.write_out()

    def positions(self, *rows: PositionRow) -> None:
        self.hub.on_positions(CAMPUS, rows)
        self.hub.write_out()


def fresh(offset: int = 0, watch: str | None = None, events: Sequence[Event] = (), epoch: str = "e") -> Past:
    return Past(bool(events), events, offset, epoch, {"snapshot": True}, watch)


def row(runner_id: str, at: int = 1, received: int = 0) -> PositionRow:
    return (runner_id, 30.0, 114.0, at, None, None, None, received)


TOPIC = "order:ord_1"
CONSOLE = f"console:{CAMPUS}"


def test_what_is_held_at_the_seam_continues_the_past() -> None:
    seam = Seam(None)
    for offset in (2, 3, 4):
        seam.hold(Event(TOPIC, offset))
    assert seam.live_after(fresh(3)) == ([Event(TOPIC, 4)], True)
    assert seam.live_after(fresh(4)) == ([], True)
    assert seam.live_after(fresh(0)) == ([], False)
    assert seam.live_after(fresh(1, epoch="other")) == ([], False)


def test_a_seam_holds_so_many_and_says_so() -> None:
    seam = Seam(None)
    for offset in range(1, MAX_HELD + 2):
        seam.hold(Event(TOPIC, offset))
    live, is_whole = seam.live_after(fresh(0))
    assert (len(live), is_whole) == (MAX_HELD, False)


def test_events_between_asking_and_answer_come_once() -> None:
    table = Table()
    connection, pipe = table.client()
    table.say(connection, t="follow", topic=TOPIC, re=4)
    _, topic, _ = table.outside.follows.pop()
    for offset in (3, 4, 5):
        table.event(Event(TOPIC, offset))
    pipe.take()
    table.complete(connection, topic, fresh(4, events=[Event(TOPIC, 4)]))
    frames = pipe.take()
    assert [frame["t"] for frame in frames] == ["followed", "event", "event"]
    assert frames[0] == {"t": "followed", "topic": TOPIC, "recovered": True, "offset": 4, "epoch": "e", "re": 4}
    assert [frame["offset"] for frame in frames[1:]] == [4, 5]
    for offset in (4, 5, 6):
        table.event(Event(TOPIC, offset))
    assert [frame["offset"] for frame in pipe.take("event")] == [6]
    assert not table.outside.heals


def test_a_second_follower_that_knows_more_than_the_topic_hears_nothing_twice() -> None:
    table = Table()
    first, one = table.client()
    second, two = table.client("acc_2/student")
    table.following(first, TOPIC, fresh(1))
    table.following(second, TOPIC, fresh(3, events=[Event(TOPIC, 2), Event(TOPIC, 3)]))
    one.take(), two.take()
    for offset in (2, 3, 4):
        table.event(Event(TOPIC, offset))
    assert [frame["offset"] for frame in one.take("event")] == [2, 3, 4]
    assert [frame["offset"] for frame in two.take("event")] == [4]


def test_a_hole_is_filled_before_anything_else_is_told() -> None:
    table = Table()
    connection, pipe = table.client()
    topic = table.following(connection, TOPIC, fresh(1))
    pipe.take()
    table.event(Event(TOPIC, 4))
    table.event(Event(TOPIC, 5))
    table.event(Event(TOPIC, 6))
    assert table.outside.heals == [topic]
    assert not pipe.take()
    missed = [Event(TOPIC, offset) for offset in (2, 3, 4, 5)]
    assert table.hub.topics.healed(topic, Past(True, missed, 5, "e"), 0)
    table.hub.write_out()
    assert [frame["offset"] for frame in pipe.take("event")] == [2, 3, 4, 5, 6]


def test_a_lost_past_begins_again_with_a_snapshot_for_each() -> None:
    table = Table()
    connection, pipe = table.client()
    topic = table.following(connection, TOPIC, fresh(7))
    table.hub.topics.suspect_all(CAMPUS)
    table.hub.topics.suspect_all(CAMPUS)  # while it is being healed
    table.hub.topics.suspect_all("cmp_unknown")
    assert not table.hub.topics.healed(topic, Past(False, (), 1, "new"), 0)
    assert table.hub.topics.restart(topic) == [connection]
    table.event(Event(TOPIC, 2, "new"))
    pipe.take()
    table.complete(connection, topic, fresh(1, epoch="new"))
    assert [frame["t"] for frame in pipe.take()] == ["followed", "snapshot", "event"]
    assert (topic.offset, topic.epoch) == (2, "new")


def test_more_events_than_are_held_while_healing_are_fetched_again() -> None:
    table = Table()
    connection, _ = table.client()
    topic = table.following(connection, TOPIC, fresh(1))
    for offset in range(3, MAX_HELD + 10):
        table.event(Event(TOPIC, offset))
    assert table.hub.topics.healed(topic, Past(True, [Event(TOPIC, 2)], 2, "e"), 0)
    assert len(table.outside.heals) == 2


def test_the_bus_was_away_while_the_first_follower_came() -> None:
    table = Table()
    connection, _ = table.client()
    table.say(connection, t="follow", topic=TOPIC)
    _, topic, _ = table.outside.follows.pop()
    table.hub.topics.suspect_all(CAMPUS)
    table.complete(connection, topic, fresh(3))
    assert table.outside.heals == [topic]


def test_a_topic_whose_position_is_not_known_is_healed() -> None:
    table = Table()
    connection, _ = table.client()
    topic = table.following(connection, TOPIC, fresh(0, epoch=""))
    assert table.outside.heals == [topic]


def test_leaving_while_the_past_is_fetched() -> None:
    table = Table()
    connection, pipe = table.client()
    table.say(connection, t="follow", topic=TOPIC)
    _, topic, _ = table.outside.follows.pop()
    table.say(connection, t="unfollow", topic=TOPIC, re=9)
    assert pipe.take("unfollowed") == [{"t": "unfollowed", "topic": TOPIC, "re": 9}]
    table.complete(connection, topic, fresh(1))
    assert not pipe.take()
    assert table.hub.topics.topic_count == 0


def test_a_topic_that_ended_in_what_was_missed() -> None:
    table = Table()
    connection, pipe = table.client()
    table.following(connection, TOPIC, fresh(2, events=[Event(TOPIC, 2, close="order_ended")]))
    assert pipe.take()[-1] == {"t": "closed", "topic": TOPIC, "code": "order_ended"}
    assert not connection.topics
    assert table.hub.topics.topic_count == 0


def test_a_refused_topic_leaves_nothing_behind() -> None:
    table = Table()
    connection, pipe = table.client()
    table.say(connection, t="follow", topic=CONSOLE, re=3)
    _, topic, _ = table.outside.follows.pop()
    connection.refuse_topic(topic.name, NotPermitted(), 3)
    table.hub.topics.give_up(connection, topic)
    table.hub.write_out()
    (error,) = pipe.take("error")
    assert (error["code"], error["re"], error["topic"]) == ("not_permitted", 3, CONSOLE)
    assert table.hub.topics.campus(CAMPUS).console is None


def test_a_late_fix_never_moves_the_dot_back() -> None:
    table = Table()
    operator, pipe = table.client("acc_o/operator")
    table.following(operator, CONSOLE, fresh())
    pipe.take()
    table.positions(row("acc_a", 10), row("acc_b", 10))
    table.positions(row("acc_a", 9), row("acc_b", 10), row("acc_c", 1))
    first, second = pipe.take("pos")
    assert [r[0] for r in first["p"]] == ["acc_a", "acc_b"]
    assert [r[0] for r in second["p"]] == ["acc_c"]


def test_an_order_shows_its_runner_and_nobody_else() -> None:
    table = Table()
    student, pipe = table.client()
    table.positions(row("acc_a"), row("acc_b"))
    topic = table.following(student, TOPIC, fresh(watch="acc_a"))
    assert [frame["p"][0][0] for frame in pipe.take("pos")] == ["acc_a"]
    table.positions(row("acc_a", 2), row("acc_b", 2))
    assert [frame["p"][0][0] for frame in pipe.take("pos")] == ["acc_a"]
    table.event(Event(TOPIC, 1, watch=""))
    assert [frame["t"] for frame in pipe.take()] == ["event", "gone"]
    table.positions(row("acc_a", 3))
    assert not pipe.take()
    assert topic.runner_id == ""
    table.event(Event(TOPIC, 2, watch="acc_b"))
    table.hub.on_gone(CAMPUS, ["acc_b", "acc_never_seen"])
    table.hub.on_gone("cmp_unknown", ["acc_b"])
    table.hub.write_out()
    assert [frame["t"] for frame in pipe.take()] == ["event", "pos", "gone"]


def test_an_event_that_binds_beats_an_older_answer() -> None:
    table = Table()
    student, _ = table.client()
    table.say(student, t="follow", topic=TOPIC)
    _, topic, _ = table.outside.follows.pop()
    other, _ = table.client("acc_2/student")
    table.following(other, TOPIC, fresh(1, watch="acc_a"))
    table.event(Event(TOPIC, 2, watch="acc_b"))
    table.complete(student, topic, fresh(1, watch="acc_a"))
    assert topic.runner_id == "acc_b"


def test_the_first_follower_is_bound_by_the_event_that_came_meanwhile() -> None:
    table = Table()
    student, _ = table.client()
    table.say(student, t="follow", topic=TOPIC)
    _, topic, _ = table.outside.follows.pop()
    table.event(Event(TOPIC, 2, watch="acc_b"))
    table.complete(student, topic, fresh(1, watch="acc_a"))
    assert topic.runner_id == "acc_b"


def test_the_former_runner_may_watch_no_longer() -> None:
    table = Table()
    former, pipe = table.client("acc_a/runner")
    table.following(former, TOPIC, fresh(watch="acc_a"))
    pipe.take()
    table.event(Event(TOPIC, 1, watch="acc_b"))
    assert pipe.take("closed") == [{"t": "closed", "topic": TOPIC, "code": "not_permitted"}]


def test_a_lagging_watcher_skips_positions_and_keeps_events() -> None:
    table = Table()
    operator, pipe = table.client("acc_o/operator")
    table.following(operator, CONSOLE, fresh())
    pipe.take()
    table.hub.set_lagging(operator, True)
    for at in range(1, 6):
        table.positions(row("acc_a", at), row("acc_b", at))
        table.event(Event(CONSOLE, at))
    table.hub.on_gone(CAMPUS, ["acc_b"])
    assert not pipe.frames
    assert table.hub.topics.positions_conflated == 8
    table.hub.set_lagging(operator, False)
    table.hub.write_out()
    frames = pipe.take()
    assert [frame["offset"] for frame in frames if frame["t"] == "event"] == [1, 2, 3, 4, 5]
    (shown,) = [frame for frame in frames if frame["t"] == "pos"]
    assert [r[:4] for r in shown["p"]] == [["acc_a", 30.0, 114.0, 5]]


def test_over_its_bound_of_events_a_watcher_is_told_to_come_back() -> None:
    table = Table(queue_bytes=2_000)
    student, pipe = table.client()
    table.following(student, TOPIC, fresh())
    table.hub.set_lagging(student, True)
    for offset in range(1, 40):
        table.event(Event(TOPIC, offset))
    assert pipe.closed == (CloseCode.SLOW_CONSUMER, "slow_consumer")
    assert may_return(pipe.closed[0])


def test_the_send_queue_counts_what_it_conflates() -> None:
    queue = SendQueue(10)
    campus = Table().hub.topics.campus(CAMPUS)
    topic = Topic(campus, TOPIC)
    assert queue.is_empty
    assert queue.take() == b""
    assert queue.skip(topic, ["a", "b"]) == 0
    assert queue.skip(topic, ["a", "c"]) == 1
    queue.forget(topic)
    assert queue.take_skipped() == {}
    assert queue.put(b"12345")
    assert queue.put(b"12345")
    assert not queue.put(b"1")
    assert queue.take() == b"12345123451"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (TOPIC, True), ("runner:acc_1", True), (CONSOLE, True), (f"hall:{CAMPUS}", True), ("console:cmp_2", False),
        ("hall:", False), ("order", False), ("money:1", False), (":x", False),
    ],
)  # fmt: skip
def test_topic_names(name: str, expected: bool) -> None:
    assert is_topic_name(name, CAMPUS) is expected


@pytest.mark.parametrize(
    ("token", "code"), [("nobody", 4500), ("old", 4002), ("blocked", 4501)], ids=["bad", "old", "blocked"]
)
def test_hello_with_a_token_that_does_not_do(token: str, code: int) -> None:
    connection, pipe = Table().client(token)
    assert pipe.closed is not None
    assert pipe.closed[0] == code
    assert connection.stage is Stage.CLOSING


@pytest.mark.parametrize("first", [b'{"t":"ping"}', b'{"t":"fix","at":1,"lat":1,"lon":1}', b"{"])
def test_the_first_frame_is_hello(first: bytes) -> None:
    connection, pipe = Table().client(None)
    connection.receive(1, first)
    assert pipe.closed is not None
    assert pipe.closed[0] == 4502


def test_hello_again_extends_and_another_account_does_not() -> None:
    table = Table(hello_lasts_s=10)
    connection, pipe = table.client()
    table.hub.second = 9
    table.hub.close_expired()
    table.say(connection, t="hello", token="acc_s/student", re=2)
    assert pipe.take("welcome")[-1]["re"] == 2
    table.hub.second = 15
    table.hub.close_expired()
    assert pipe.closed is None
    table.say(connection, t="hello", token="acc_other/student")
    assert pipe.closed == (4502, "a connection speaks for one account")
    table.say(connection, t="hello", token="acc_s/student")
    late, late_pipe = table.client("acc_late/student")
    table.hub.second = 25
    table.hub.close_expired()
    assert late_pipe.closed == (4002, "token_expired")
    assert late.stage is Stage.CLOSING


def test_an_account_has_so_many_connections() -> None:
    table = Table()
    first, _ = table.client()
    table.client()
    third, refused = table.client()
    assert refused.closed == (4505, "too_many_connections")
    table.hub.drop(third)
    table.hub.drop(first)
    _, pipe = table.client()
    assert pipe.closed is None
    assert table.hub.metrics()["accounts"] == 1


def test_a_blocked_account_is_closed_everywhere() -> None:
    table = Table()
    _, pipe = table.client()
    _, other = table.client("acc_2/student")
    table.event(Event(CONSOLE, 1, kind="account_blocked", data={"account_id": "acc_s"}))
    assert pipe.closed == (4501, "account_blocked")
    assert other.closed is None


def test_who_was_signed_out_is_closed_when_the_books_say_so() -> None:
    table = Table()
    connection, pipe = table.client()
    table.answer(connection)
    assert pipe.closed is None
    table.event(Event(CONSOLE, 1, kind="access_changed", data={"account_id": "acc_other"}))
    assert not table.outside.checks
    table.event(Event(CONSOLE, 2, kind="access_changed", data={"account_id": "acc_s"}))
    table.answer(connection, NotSignedIn("over", reason="session_ended"))
    assert pipe.closed == (CloseCode.BAD_TOKEN, "bad_token")
    again, second = table.client()
    table.answer(again, AccountBlocked())
    assert second.closed == (CloseCode.ACCOUNT_BLOCKED, "account_blocked")


def test_after_the_bus_was_away_everybody_is_asked_about() -> None:
    table = Table()
    clients = [table.client()[0], table.client("acc_r/runner")[0]]
    for connection in clients:
        table.answer(connection)
    table.hub.check_campus("cmp_2")
    assert not table.outside.checks
    table.hub.check_campus(CAMPUS)
    assert set(table.outside.checks) == set(clients)


def test_a_role_that_the_token_had_still_is_not_had_here() -> None:
    table = Table()
    connection, pipe = table.client("acc_r/student/runner")
    table.answer(connection, Standing(Who("acc_r", CAMPUS, frozenset({"student"}))))
    connection.ready()
    assert pipe.closed is None and connection.principal == Who("acc_r", CAMPUS, frozenset({"student"}))
    table.say(connection, t="fix", at=1, lat=30, lon=114)
    assert pipe.take("error")[0]["code"] == "not_permitted" and not table.outside.tracked
    # A renewal with a token of the same old roles gives none of them back.
    table.say(connection, t="hello", token="acc_r/student/runner")
    table.say(connection, t="fix", at=2, lat=30, lon=114)
    assert pipe.take("error")[0]["code"] == "not_permitted"


def test_a_role_taken_away_ends_the_connection_that_has_it() -> None:
    table = Table()
    operator, pipe = table.client("acc_o/operator/student")
    table.answer(operator)
    table.following(operator, CONSOLE, fresh())
    table.event(Event(CONSOLE, 1, kind="access_changed", data={"account_id": "acc_o"}))
    table.answer(operator, Standing(Who("acc_o", CAMPUS, frozenset({"student"}))))
    assert pipe.closed == (CloseCode.TOKEN_EXPIRED, "the roles of this account have changed")


def test_an_answer_about_an_older_token_counts_for_nothing() -> None:
    table = Table()
    connection, pipe = table.client()
    former = connection.principal
    assert former is not None
    table.say(connection, t="hello", token="acc_s/student/runner")
    table.hub.answer_check(connection, former, NotSignedIn("over"))
    assert pipe.closed is None
    table.outside.right_s = 7
    table.say(connection, t="hello", token="acc_s/student")
    assert pipe.take("welcome")[-1]["renew_ms"] == 7_000
    table.hub.second += 7
    table.hub.close_expired()
    assert pipe.closed == (CloseCode.TOKEN_EXPIRED, "token_expired")


def test_who_is_off_duty_and_carries_nothing_is_not_tracked() -> None:
    table = Table()
    who = Who("acc_r", CAMPUS, frozenset({"runner"}))
    runner, pipe = table.client("acc_r/runner")
    table.say(runner, t="fix", at=1, lat=30, lon=114)
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=False))
    runner.ready()
    table.say(runner, t="fix", at=3, lat=30, lon=114)
    table.say(runner, t="fix", at=2, lat=30, lon=114)
    assert [frame["code"] for frame in pipe.take("refused")] == ["off_duty"] * 3
    assert not table.outside.tracked and table.outside.hidden == ["acc_r"]
    # An errand that an operator gives makes the position the student's business; so does coming on duty.
    table.event(Event("runner:acc_r", 1, kind="task_assigned"))
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=True))
    assert [fix.fixed_at_ms for fix in table.outside.tracked] == [3], "the newest of a moment ago is shown at once"
    table.event(Event("runner:acc_r", 2, kind="order_delivered"))
    table.answer(runner, Standing(who, is_on_duty=False, is_tracked=False))
    assert table.outside.hidden == ["acc_r"] * 2
    table.say(runner, t="fix", at=4, lat=30, lon=114)
    table.hub.now_ms += 10_001
    table.event(Event("runner:acc_r", 3, kind="runner_on_duty"))
    table.answer(runner, Standing(who))
    assert len(table.outside.tracked) == 1, "an old one says where somebody was before they came on duty"
    table.event(Event("runner:acc_r", 4, kind="order_delivered"))
    assert not table.outside.checks, "on duty an errand more or less changes nothing"


def test_the_campus_is_joined_with_its_first_connection_and_left_with_the_last() -> None:
    table = Table()
    first, _ = table.client()
    second, _ = table.client("acc_2/student")
    assert table.outside.campuses == [CAMPUS]
    table.following(first, TOPIC, fresh())
    table.hub.drop(first)
    assert table.hub.has_campus(CAMPUS)
    table.hub.drop(second)
    table.hub.drop(second)
    assert table.outside.campuses == []
    assert table.hub.topics.campus_ids() == []


def test_too_many_topics_and_half_a_position() -> None:
    table = Table(topics=2)
    connection, pipe = table.client()
    for name in ("order:a", "order:b", "order:c"):
        table.say(connection, t="follow", topic=name)
    assert [e["code"] for e in pipe.take("error")] == ["too_many_topics"]
    table.say(connection, t="follow", topic="order:a", offset=3)
    table.say(connection, t="follow", topic="order:a", epoch="e")
    assert [e["field"] for e in pipe.take("error")] == ["epoch", "offset"]
    table.say(connection, t="follow", topic="console:cmp_other", re=1)
    assert [e["code"] for e in pipe.take("error")] == ["not_found"]


def test_a_topic_is_fetched_once_at_a_time_and_so_often() -> None:
    table = Table(follows_per_window=3)
    connection, pipe = table.client()
    for number in range(5):
        table.say(connection, t="follow", topic=TOPIC, re=number)
    assert len(table.outside.follows) == 1
    refused = pipe.take("error")
    assert [(error["code"], error["topic"], error["re"]) for error in refused] == [
        ("too_many", TOPIC, number) for number in range(1, 5)
    ]
    table.complete(connection, table.outside.follows[0][1], fresh())
    for _ in range(4):
        table.following_again(connection)
    assert len(table.outside.follows) == 3, "the window is used up"
    assert pipe.take("error")[-1]["code"] == "too_many"
    table.hub.second += 10
    table.following_again(connection)
    assert len(table.outside.follows) == 4


def test_whoever_was_not_heard_of_leaves_the_map_though_nobody_said_so() -> None:
    table = Table()
    operator, pipe = table.client("acc_o/operator")
    student, shown = table.client()
    table.following(operator, CONSOLE, fresh())
    table.following(student, TOPIC, fresh(watch="acc_a"))
    table.positions(row("acc_a", received=100), row("acc_b", received=200))
    table.hub.topics.drop_silent(150)
    table.hub.write_out()
    assert [frame["runners"] for frame in pipe.take("gone")] == [["acc_a"]]
    assert [frame["runners"] for frame in shown.take("gone")] == [["acc_a"]]
    table.hub.topics.drop_silent(150)
    table.hub.write_out()
    assert not pipe.take("gone")


def test_fixes_wait_until_the_last_position_is_known() -> None:
    table = Table()
    runner, pipe = table.client("acc_r/runner", acks=True)
    table.say(runner, t="fix", at=1, lat=1, lon=2, seq=1)
    table.say(runner, t="fixes", fixes=[{"at": 2, "lat": 1, "lon": 2}, {"at": 3, "lat": 1, "lon": 2}], seq=2)
    assert not table.outside.tracked
    runner.ready()
    table.hub.write_out()
    assert [fix.fixed_at_ms for fix in table.outside.tracked] == [1, 3, 2]
    assert pipe.take("ack") == [{"t": "ack", "seq": 2, "accepted": 3, "refused": 0}]


def test_so_many_fixes_wait() -> None:
    table = Table(frames_per_s=10_000)
    runner, _ = table.client("acc_r/runner")
    for at in range(1_005):
        table.say(runner, t="fix", at=at, lat=1, lon=2)
    runner.ready()
    assert len(table.outside.tracked) == 1_000
    assert table.hub.counts["fixes_dropped"] == 5


def test_refused_fixes_are_told_by_name_and_in_bounds() -> None:
    table = Table()
    runner, pipe = table.client("acc_r/runner", acks=True)
    runner.ready()
    table.outside.verdict = Reason.IMPOSSIBLE_JUMP
    for seq in range(1, 9):
        runner.receive(1, json.dumps({"t": "fix", "at": seq, "lat": 1, "lon": 2, "seq": seq}).encode())
    table.hub.write_out()
    frames = pipe.take()
    assert [f["seq"] for f in frames if f["t"] == "refused"] == [1, 2, 3, 4, 5]
    assert [f for f in frames if f["t"] == "ack"] == [{"t": "ack", "seq": 8, "accepted": 0, "refused": 8}]
    assert table.hub.metrics()["impossible_jump_total"] == 8


def test_only_runners_report() -> None:
    table = Table()
    student, pipe = table.client()
    table.say(student, t="fix", at=1, lat=1, lon=2)
    table.say(student, t="fixes", fixes=[{"at": 1, "lat": 1, "lon": 2}])
    assert [error["code"] for error in pipe.take("error")] == ["not_permitted"] * 2
    assert not table.outside.tracked


def test_chinese_coordinates_come_in_and_go_out() -> None:
    table = Table()
    runner, _ = table.client("acc_r/runner", datum="gcj02")
    runner.ready()
    operator, pipe = table.client("acc_o/operator", datum="gcj02")
    table.following(operator, CONSOLE, fresh())
    table.say(runner, t="fix", at=1, lat=30.5, lon=114.4)
    (fix,) = table.outside.tracked
    assert abs(fix.lat - 30.5) > 0.001
    table.positions(("acc_r", fix.lat, fix.lon, 1, None, None, None, 0))
    shown = pipe.take("pos")[-1]["p"][0]
    assert shown[1:3] == pytest.approx([30.5, 114.4], abs=1e-6)


def test_events_carry_positions_in_the_datum_of_each_watcher() -> None:
    table = Table()
    chinese, seen = table.client("acc_o/operator", datum="gcj02")
    plain, plainly = table.client("acc_p/operator")
    order = {"stops": [{"lat": 30.5, "lon": 114.4, "label": "gate"}], "runner": {"position": [30.5, 114.4, 7]}}
    missed = Event(CONSOLE, 1, data={"order": order})
    for connection in (chinese, plain):
        table.following(connection, CONSOLE, Past(True, (missed,), 1, "e"))
    table.event(Event(CONSOLE, 2, data={"order": order, "version": 3}))
    assert [event["data"]["order"] for event in plainly.take("event")] == [order, order]
    shown = seen.take("event")
    assert shown[1]["data"]["version"] == 3
    for event in shown:
        (stop,), position = event["data"]["order"]["stops"], event["data"]["order"]["runner"]["position"]
        inside = to_wgs84(Point(stop["lat"], stop["lon"]), Datum.GCJ02)
        assert tuple(inside) == pytest.approx((30.5, 114.4), abs=1e-6) and abs(stop["lat"] - 30.5) > 0.001
        assert position == [stop["lat"], stop["lon"], 7] and stop["label"] == "gate"


def test_a_flood_is_cut_off_and_forgiven_in_the_next_second() -> None:
    table = Table(frames_per_s=5)
    connection, pipe = table.client()
    for _ in range(10):
        table.say(connection, t="ping")
    frames = pipe.take()
    assert sum(frame["t"] == "pong" for frame in frames) == 4
    assert [frame["code"] for frame in frames if frame["t"] == "error"] == ["too_many"]
    table.hub.second += 1
    table.say(connection, t="ping", re=1)
    assert pipe.take() == [{"t": "pong", "now_ms": 0, "re": 1}]


def test_bad_frames_cost_the_connection_only_in_numbers() -> None:
    table = Table(bad_frames=3)
    connection, pipe = table.client()
    connection.receive(2, b"\x80")
    connection.receive(1, b"{")
    connection.receive(1, b'{"t":"ping","x":1}')
    table.hub.write_out()
    codes = [(e["code"], e.get("field")) for e in pipe.take("error")]
    assert codes == [("wrong_frame_kind", None), ("malformed", None), ("invalid_input", "x")]
    connection.receive(1, b"{")
    assert pipe.closed == (4502, "too many bad frames")
    connection.close(CloseCode.NORMAL)
    connection.flush()
    assert pipe.closed == (4502, "too many bad frames")


def test_ages() -> None:
    ages = Ages()
    assert ages.quantile_ms(0.5) == 0.0
    ages.add(-3)
    ages.add(40, 8)
    ages.add(10**9)
    assert ages.total == 10
    assert ages.quantile_ms(0.5) == 50
    assert ages.quantile_ms(0.99) == float("inf")
    assert len(ages.counts) == len(EDGES_MS) + 1


@pytest.mark.parametrize(("code", "expected"), [(4000, True), (4499, True), (1011, True), (4500, False), (1000, False)])
def test_the_verdict_of_a_code(code: int, expected: bool) -> None:
    assert may_return(code) is expected
