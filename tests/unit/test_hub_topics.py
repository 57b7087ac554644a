"""The pure hub's topics: seams, holes and the event lane; no socket, no Redis, no clock."""

from __future__ import annotations

import pytest

from dispatch.hub.codes import CloseCode, may_return
from dispatch.hub.resume import MAX_HELD, Past, Seam
from dispatch.hub.topic import is_topic_name
from dispatch.model.errors import NotPermitted
from geo.datum import Datum, to_wgs84
from geo.point import Point
from tests.hub_table import CAMPUS, CONSOLE, TOPIC, Event, Table, fresh


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


def test_a_past_that_ends_before_what_was_told_is_read_again() -> None:
    """It was read first and came second: what lies between was neither in it nor held for it."""
    table = Table()
    slow, one = table.client()
    quick, _ = table.client("acc_2/student")
    table.say(slow, t="follow", topic=TOPIC)
    _, topic, _ = table.outside.follows.pop()
    table.following(quick, TOPIC, fresh(3, events=[Event(TOPIC, 2), Event(TOPIC, 3)]))
    assert not table.complete(slow, topic, fresh(1))
    table.event(Event(TOPIC, 4))
    assert not one.take("followed")
    assert table.complete(slow, topic, fresh(3, events=[Event(TOPIC, 2), Event(TOPIC, 3)]))
    table.event(Event(TOPIC, 5))
    assert [frame["offset"] for frame in one.take("event")] == [2, 3, 4, 5]
    assert not table.outside.heals


def test_a_hole_that_was_filled_is_no_hole_for_who_is_coming() -> None:
    table = Table()
    first, _ = table.client()
    coming, pipe = table.client("acc_2/student")
    topic = table.following(first, TOPIC, fresh(1))
    table.say(coming, t="follow", topic=TOPIC)
    table.outside.follows.pop()
    table.hub.topics.suspect_all(CAMPUS)
    assert table.hub.topics.healed(topic, Past(True, [Event(TOPIC, 2)], 2, "e"))
    assert not table.complete(coming, topic, fresh(1))
    assert table.complete(coming, topic, fresh(2, events=[Event(TOPIC, 2)]))
    assert [frame["offset"] for frame in pipe.take("event")] == [2]


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
    assert table.hub.topics.healed(topic, Past(True, missed, 5, "e"))
    table.hub.write_out()
    assert [frame["offset"] for frame in pipe.take("event")] == [2, 3, 4, 5, 6]


def test_a_lost_past_begins_again_with_a_snapshot_for_each() -> None:
    table = Table()
    connection, pipe = table.client()
    topic = table.following(connection, TOPIC, fresh(7))
    table.hub.topics.suspect_all(CAMPUS)
    table.hub.topics.suspect_all(CAMPUS)  # while it is being healed
    table.hub.topics.suspect_all("cmp_unknown")
    assert not table.hub.topics.healed(topic, Past(False, (), 1, "new"))
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
    assert table.hub.topics.healed(topic, Past(True, [Event(TOPIC, 2)], 2, "e"))
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


def test_over_its_bound_of_events_a_watcher_is_told_to_come_back() -> None:
    table = Table(queue_bytes=2_000)
    student, pipe = table.client()
    table.following(student, TOPIC, fresh())
    table.hub.set_lagging(student, True)
    for offset in range(1, 40):
        table.event(Event(TOPIC, offset))
    assert pipe.closed == (CloseCode.SLOW_CONSUMER, "slow_consumer retry_ms=1500")
    assert may_return(pipe.closed[0])


def test_whose_socket_is_filled_by_what_waited_for_it_waits_again() -> None:
    table = Table(queue_bytes=2_000)
    student, pipe = table.client()
    table.following(student, TOPIC, fresh())
    table.hub.set_lagging(student, True)
    table.event(Event(TOPIC, 1))
    written = pipe.write

    def write(data: bytes) -> None:
        written(data)
        table.hub.set_lagging(student, True)

    pipe.write = write  # type: ignore[method-assign]
    student.write_to(write)
    student.lag()
    table.hub.set_lagging(student, False)
    table.hub.write_out()
    for offset in range(2, 40):
        table.event(Event(TOPIC, offset))
    assert [event["offset"] for event in pipe.take("event")] == [1]
    assert pipe.closed == (CloseCode.SLOW_CONSUMER, "slow_consumer retry_ms=1500")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (TOPIC, True), ("runner:acc_1", True), (CONSOLE, True), (f"hall:{CAMPUS}", True), ("console:cmp_2", False),
        ("hall:", False), ("order", False), ("money:1", False), (":x", False),
    ],
)  # fmt: skip
def test_topic_names(name: str, expected: bool) -> None:
    assert is_topic_name(name, CAMPUS) is expected


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
