"""The pure hub's state lane: whose positions are kept, and what followers are shown of them."""

from __future__ import annotations

import pytest

from dispatch.hub.send_queue import SendQueue
from dispatch.hub.state_lane import EVERYBODY
from dispatch.hub.topic import Topic
from tests.hub_table import CAMPUS, CONSOLE, TOPIC, Event, Table, fresh, row


def test_a_late_fix_never_moves_the_dot_back() -> None:
    table = Table(console_every_ms=50)
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
    topic = table.following(student, TOPIC, fresh(watch="acc_a"))
    table.positions(row("acc_a"), row("acc_b"), is_news=False)
    assert [frame["p"][0][0] for frame in pipe.take("pos")] == ["acc_a"]
    table.positions(row("acc_a", 2), row("acc_b", 2))
    assert [frame["p"][0][0] for frame in pipe.take("pos")] == ["acc_a"]
    table.event(Event(TOPIC, 1, watch=""))
    assert [frame["t"] for frame in pipe.take()] == ["event", "gone"]
    table.positions(row("acc_a", 3))
    assert not pipe.take()
    assert topic.runner_id == ""
    table.event(Event(TOPIC, 2, watch="acc_b"))
    table.positions(row("acc_b", 3), is_news=False)
    table.hub.on_gone(CAMPUS, ["acc_b", "acc_never_seen"])
    table.hub.on_gone("cmp_unknown", ["acc_b"])
    table.hub.write_out()
    assert [frame["t"] for frame in pipe.take()] == ["event", "pos", "gone"]


def test_only_who_is_followed_is_known_and_asked_for() -> None:
    table = Table()
    topics, outside = table.hub.topics, table.outside
    positions = topics.campus(CAMPUS).positions
    assert topics.wants("cmp_unknown") is None and topics.state.interest("cmp_unknown") == frozenset()
    table.positions(row("acc_a"))
    assert topics.wants(CAMPUS) is None and not positions
    student, pipe = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    assert outside.located == [["acc_a"]] and outside.interests == [CAMPUS]
    table.positions(row("acc_a", 1), row("acc_b", 1))
    wanted = topics.wants(CAMPUS)
    assert wanted is not None and "acc_a" in wanted and "acc_b" not in wanted and set(positions) == {"acc_a"}
    # A second follower, here of another topic, is shown what is known, and nobody is asked.
    other, second = table.client("acc_2/student")
    table.following(other, "order:ord_2", fresh(watch="acc_a"))
    assert len(second.take("pos")) == 1 and len(outside.located) == 1 and len(outside.interests) == 1
    table.say(student, t="unfollow", topic=TOPIC)
    assert set(positions) == {"acc_a"} and len(outside.interests) == 1
    table.hub.drop(other)
    table.hub.write_out()
    assert not topics.campus(CAMPUS).positions and topics.wants(CAMPUS) is None and len(outside.interests) == 2
    assert topics.state.interest(CAMPUS) == frozenset() and pipe.closed is None


def test_a_console_wants_everybody_and_leaves_only_who_is_followed() -> None:
    table = Table()
    topics, outside = table.hub.topics, table.outside
    student, _ = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    operator, pipe = table.client("acc_o/operator")
    table.say(operator, t="follow", topic=CONSOLE)
    assert topics.wants(CAMPUS) is not EVERYBODY, "nobody may make this worker hear everything by asking"
    _, topic, _ = outside.follows.pop()
    table.complete(operator, topic, fresh())
    assert topics.wants(CAMPUS) is EVERYBODY and "acc_x" in EVERYBODY and topics.state.interest(CAMPUS) is None
    assert outside.located == [["acc_a"], None] and len(outside.interests) == 2
    table.positions(row("acc_a"), row("acc_b"), is_news=False)
    assert {r[0] for frame in pipe.take("pos") for r in frame["p"]} == {"acc_a", "acc_b"}
    # While everybody is followed one more or less changes nothing.
    table.event(Event(TOPIC, 1, watch="acc_b"))
    table.event(Event(TOPIC, 2, watch="acc_a"))
    assert len(outside.located) == 2 and len(outside.interests) == 2
    table.say(operator, t="unfollow", topic=CONSOLE)
    assert set(topics.campus(CAMPUS).positions) == {"acc_a"}
    assert len(outside.interests) == 3 and topics.state.interest(CAMPUS) == {"acc_a"}


def test_after_the_bus_was_away_it_is_asked_where_everybody_is() -> None:
    table = Table()
    student, _ = table.client()
    table.following(student, TOPIC, fresh(watch="acc_a"))
    table.hub.topics.suspect_all(CAMPUS)
    assert table.outside.located == [["acc_a"]] * 2
    operator, _ = table.client("acc_o/operator")
    table.following(operator, CONSOLE, fresh())
    table.hub.topics.suspect_all(CAMPUS)
    assert table.outside.located == [["acc_a"]] * 2 + [None] * 2


def test_many_changes_of_interest_are_told_once_per_flush() -> None:
    table = Table()
    student, _ = table.client()
    topic = table.following(student, TOPIC, fresh(watch="acc_a"))
    for runner_id in ("acc_b", "acc_c", "acc_d"):
        table.hub.topics.bind(topic, runner_id)
    table.hub.write_out()
    assert len(table.outside.interests) == 2 and table.hub.topics.state.interest(CAMPUS) == {"acc_d"}


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
    table = Table(console_every_ms=50)
    operator, pipe = table.client("acc_o/operator")
    table.following(operator, CONSOLE, fresh())
    pipe.take()
    table.hub.set_lagging(operator, True)
    for at in range(1, 6):
        table.positions(row("acc_a", at), row("acc_b", at))
        table.event(Event(CONSOLE, at))
    table.hub.on_gone(CAMPUS, ["acc_b"])
    assert not pipe.frames
    assert table.hub.topics.state.conflated == 8
    table.hub.set_lagging(operator, False)
    table.hub.write_out()
    frames = pipe.take()
    assert [frame["offset"] for frame in frames if frame["t"] == "event"] == [1, 2, 3, 4, 5]
    (shown,) = [frame for frame in frames if frame["t"] == "pos"]
    assert [r[:4] for r in shown["p"]] == [["acc_a", 30.0, 114.0, 5]]


def test_the_send_queue_counts_what_it_conflates() -> None:
    queue = SendQueue(10)
    campus = Table().hub.topics.campus(CAMPUS)
    topic = Topic(campus, TOPIC)
    assert queue.take() == b""
    assert queue.skip(topic, ["a", "b"]) == 0
    assert queue.skip(topic, ["a", "c"]) == 1
    queue.forget(topic)
    assert queue.take_skipped() == {}
    assert queue.put(b"12345")
    assert queue.put(b"12345")
    assert not queue.put(b"1")
    assert queue.take() == b"12345123451"


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
