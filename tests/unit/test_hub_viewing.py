"""The pure hub's views: rhythm, part of the map, what is shared, and what a change of view shows."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.hub.connection import Connection
from dispatch.hub.frames import JSON, MSGPACK, PositionRow, Positions
from dispatch.hub.look import look_of
from dispatch.hub.state_lane import MAX_VIEWS, STEPS_MS
from geo.datum import Datum, from_wgs84
from geo.point import Point
from tests.hub_table import CAMPUS, CONSOLE, TOPIC, Event, Pipe, Table, fresh, row

BOX = [30.0, 114.0, 30.1, 114.1]


def at(runner_id: str, lat: float, fixed: int = 1, lon: float = 114.05) -> PositionRow:
    return (runner_id, lat, lon, fixed, None, None, None, 0)


def console(table: Table, account: str = "acc_o", **view: Any) -> tuple[Connection, Pipe]:
    connection, pipe = table.client(f"{account}/operator")
    follow(table, connection, **view)
    pipe.take()
    return connection, pipe


def follow(table: Table, connection: Connection, topic: str = CONSOLE, watch: str | None = None, **view: Any) -> None:
    table.say(connection, t="follow", topic=topic, **view)
    _, found, _ = table.outside.follows.pop()
    table.complete(connection, found, fresh(watch=watch))


def shown(pipe: Pipe) -> list[tuple[str, int]]:
    """Runner and time of each position shown since the last look."""
    return [(r[0], r[3]) for frame in pipe.take("pos") for r in frame["p"]]


@pytest.mark.parametrize("datum", ["wgs84", "gcj02"])
@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
@pytest.mark.parametrize("count", [1, 2, 15, 16, 500])
def test_a_frame_of_positions_is_the_one_that_its_type_encodes(codec: Any, datum: str, count: int) -> None:
    look = look_of(codec, datum)
    rows = [(f"acc_{n}", 30.5, 114.4, n, 1.5, None, 6.0, n + 37) for n in range(count)]
    assert look.positions(look.head(TOPIC), rows) == codec.encode(Positions(TOPIC, look.rows(rows)))


def test_a_console_is_shown_who_moved_four_times_a_second() -> None:
    table = Table()
    _, pipe = console(table)
    table.positions(row("acc_a", 1))
    assert shown(pipe) == [("acc_a", 1)], "after a pause at once"
    for fixed in range(2, 6):
        table.positions(row("acc_a", fixed), row("acc_b", fixed))
    assert shown(pipe) == []
    table.positions(row("acc_b", 6))
    assert shown(pipe) == [("acc_a", 5), ("acc_b", 6)], "the newest of each, once"
    for _ in range(10):
        table.hub.write_out()
    assert not pipe.frames


def test_an_order_is_shown_with_every_flush_or_as_rarely_as_asked() -> None:
    table = Table()
    student, often = table.client()
    follow(table, student, TOPIC, "acc_a")
    other, rarely = table.client("acc_2/student")
    follow(table, other, TOPIC, None, every_ms=190)
    often.take(), rarely.take()
    for fixed in range(1, 10):
        table.positions(row("acc_a", fixed))
    assert shown(often) == [("acc_a", fixed) for fixed in range(1, 10)]
    assert shown(rarely) == [("acc_a", 1), ("acc_a", 5), ("acc_a", 9)], "each 4 flushes of 50 ms"
    # What was gathered of a runner who has the order no more is shown to nobody.
    table.positions(row("acc_a", 10))
    table.event(Event(TOPIC, 1, watch="acc_b"))
    often.take(), rarely.take()
    for _ in range(5):
        table.hub.write_out()
    assert not often.frames and not rarely.frames


def test_a_frame_is_built_once_for_all_who_see_the_same() -> None:
    table = Table()
    pipes = [console(table, f"acc_{n}", box=BOX, every_ms=1_000)[1] for n in range(5)]
    _, other = console(table, "acc_x")
    (topic,) = table.hub.topics.campus(CAMPUS).topics.values()
    assert [len(view.followers) for view in topic.views] == [5, 1]
    table.positions(at("acc_a", 30.05), at("acc_b", 31.0))
    assert [shown(pipe) for pipe in pipes] == [[("acc_a", 1)]] * 5
    assert shown(other) == [("acc_a", 1), ("acc_b", 1)]


def test_who_leaves_the_box_is_shown_once_more_outside_it() -> None:
    table = Table(console_every_ms=50)
    _, pipe = console(table, box=BOX)
    table.positions(at("acc_a", 30.05, 1), at("acc_b", 31.0, 1))
    assert shown(pipe) == [("acc_a", 1)]
    table.positions(at("acc_a", 31.0, 2), at("acc_b", 31.0, 2))
    assert shown(pipe) == [("acc_a", 2)]
    table.positions(at("acc_a", 31.0, 3))
    assert shown(pipe) == []
    table.positions(at("acc_a", 30.1, 4))
    assert shown(pipe) == [("acc_a", 4)], "its edge belongs to it"
    table.hub.on_gone(CAMPUS, ["acc_a", "acc_b"])
    table.hub.write_out()
    assert pipe.take("gone")[0]["runners"] == ["acc_a", "acc_b"]


def test_a_new_follower_of_a_box_is_shown_the_newest_of_those_inside() -> None:
    table = Table()
    console(table)
    table.positions(at("acc_a", 30.05), at("acc_b", 31.0))
    second, pipe = table.client("acc_p/operator")
    follow(table, second, box=BOX)
    assert shown(pipe) == [("acc_a", 1)]
    for _ in range(5):
        table.hub.write_out()
    table.positions(at("acc_a", 31.0, 2))
    assert shown(pipe) == [("acc_a", 2)], "who was shown inside at first leaves like any other"


def test_a_change_of_view_shows_what_is_inside_at_once() -> None:
    table = Table()
    operator, pipe = console(table, box=BOX)
    table.positions(at("acc_a", 30.05), at("acc_b", 30.15))
    assert shown(pipe) == [("acc_a", 1)]
    table.say(operator, t="view", topic=CONSOLE, box=[30.1, 114.0, 30.2, 114.1], every_ms=520, re=7)
    assert [frame["t"] for frame in pipe.frames] == ["viewed", "pos"]
    assert pipe.frames[0] == {"t": "viewed", "topic": CONSOLE, "every_ms": 550, "re": 7}
    assert shown(pipe) == [("acc_b", 1)]
    table.say(operator, t="view", topic=CONSOLE)
    assert pipe.frames[0] == {"t": "viewed", "topic": CONSOLE, "every_ms": 250}
    assert shown(pipe) == [("acc_a", 1), ("acc_b", 1)]
    table.say(operator, t="view", topic=CONSOLE)
    assert [frame["t"] for frame in pipe.take()] == ["viewed"], "nothing has changed"


def test_a_change_of_rhythm_loses_nothing_that_was_gathered() -> None:
    table = Table()
    operator, pipe = console(table, every_ms=60_000, box=BOX)
    table.positions(at("acc_a", 30.05, 1), at("acc_b", 30.05, 1), at("acc_c", 30.05, 1), at("acc_d", 31.0, 1))
    table.positions(at("acc_a", 30.06, 2), at("acc_b", 31.0, 2), at("acc_d", 31.0, 2))
    assert shown(pipe) == [("acc_a", 1), ("acc_b", 1), ("acc_c", 1)]
    table.say(operator, t="view", topic=CONSOLE, box=BOX, every_ms=50)
    assert shown(pipe) == [("acc_a", 2), ("acc_b", 2)]
    table.positions(at("acc_c", 31.0, 3))
    assert shown(pipe) == [("acc_c", 3)], "who was inside in the former view is so in the next"


def test_a_view_may_change_before_the_topic_is_followed() -> None:
    table = Table()
    console(table)
    table.positions(at("acc_a", 30.05), at("acc_b", 31.0))
    operator, pipe = table.client("acc_p/operator")
    table.say(operator, t="follow", topic=CONSOLE)
    _, topic, _ = table.outside.follows.pop()
    table.say(operator, t="view", topic=CONSOLE, box=BOX, every_ms=1_000, re=1)
    assert pipe.take("viewed") == [{"t": "viewed", "topic": CONSOLE, "every_ms": 1_000, "re": 1}]
    table.complete(operator, topic, fresh())
    assert shown(pipe) == [("acc_a", 1)]


def test_a_view_outlasts_a_new_epoch_and_ends_with_a_new_follow() -> None:
    table = Table()
    operator, pipe = console(table, box=BOX)
    table.positions(at("acc_a", 30.05), at("acc_b", 31.0))
    (topic,) = table.hub.topics.campus(CAMPUS).topics.values()
    table.hub.topics.suspect_all(CAMPUS)
    assert table.hub.topics.restart(topic) == [operator]
    pipe.take()
    table.complete(operator, topic, fresh(epoch="new"))
    assert shown(pipe) == [("acc_a", 1)]
    follow(table, operator)
    assert shown(pipe) == [("acc_a", 1), ("acc_b", 1)]


def test_a_box_in_chinese_coordinates_is_the_place_on_the_map_that_the_client_sees() -> None:
    table = Table(console_every_ms=50)
    south, west = from_wgs84(Point(30.0, 114.0), Datum.GCJ02)
    north, east = from_wgs84(Point(30.1, 114.1), Datum.GCJ02)
    operator, pipe = table.client("acc_o/operator", datum="gcj02")
    follow(table, operator, box=[south, west, north, east])
    table.positions(at("acc_a", 30.002), at("acc_b", 29.998), at("acc_c", 30.098), at("acc_d", 30.102))
    assert [runner_id for runner_id, _ in shown(pipe)] == ["acc_a", "acc_c"]


def test_a_new_datum_loses_nothing_that_was_gathered() -> None:
    table = Table()
    operator, pipe = console(table)
    table.positions(row("acc_a", 1))
    table.positions(row("acc_a", 2))
    pipe.take()
    table.say(operator, t="hello", token="acc_o/operator", datum="gcj02")
    (frame,) = pipe.take("pos")
    assert frame["p"][0][3] == 2 and frame["p"][0][1] != 30.0
    table.say(operator, t="hello", token="acc_o/operator", datum="gcj02")
    assert [frame["t"] for frame in pipe.take()] == ["welcome"]


def test_a_lagging_follower_of_a_box_is_shown_what_it_missed() -> None:
    table = Table(console_every_ms=50)
    operator, pipe = console(table, box=BOX)
    table.positions(at("acc_a", 30.05, 1), at("acc_b", 30.05, 1))
    pipe.take()
    table.hub.set_lagging(operator, True)
    table.positions(at("acc_a", 31.0, 2), at("acc_c", 30.05, 2))
    table.positions(at("acc_a", 31.0, 3), at("acc_c", 30.06, 3), at("acc_d", 31.0, 3))
    table.hub.set_lagging(operator, False)
    table.hub.write_out()
    assert sorted(shown(pipe)) == [("acc_a", 3), ("acc_c", 3)]
    # A view that changes meanwhile: whoever moved since stands where the follower last saw them, be it inside.
    table.hub.set_lagging(operator, True)
    table.positions(at("acc_b", 30.06, 4))
    table.say(operator, t="view", topic=CONSOLE, box=[30.9, 114.0, 31.1, 114.1])
    table.hub.set_lagging(operator, False)
    table.hub.write_out()
    assert sorted(shown(pipe)) == [("acc_a", 3), ("acc_b", 4), ("acc_d", 3)]


def test_who_was_shown_inside_while_catching_up_leaves_like_any_other() -> None:
    table = Table()
    operator, pipe = console(table, box=BOX, every_ms=200)
    table.positions(at("acc_a", 30.05, 1))
    table.hub.set_lagging(operator, True)
    for fixed in range(2, 6):
        table.positions(at("acc_a", 31.0, fixed))
    pipe.take()
    table.positions(at("acc_a", 30.05, 6))
    table.hub.set_lagging(operator, False)
    table.positions(at("acc_a", 31.0, 7))
    assert shown(pipe) == [("acc_a", 6)]
    for _ in range(4):
        table.hub.write_out()
    assert shown(pipe) == [("acc_a", 7)]


def test_beyond_so_many_views_the_whole_campus_is_shown() -> None:
    table = Table(topics=100)
    for number in range(MAX_VIEWS):
        console(table, f"acc_{number}", box=[30.0, 114.0, 30.0 + number / 1000, 114.1])
    operator, pipe = console(table, "acc_more", box=BOX)
    (topic,) = table.hub.topics.campus(CAMPUS).topics.values()
    assert len(topic.views) == MAX_VIEWS + 1 and topic.views[-1].box is None
    table.positions(at("acc_a", 30.05), at("acc_b", 31.0))
    assert shown(pipe) == [("acc_a", 1), ("acc_b", 1)]
    table.say(operator, t="view", topic=CONSOLE, box=[30.9, 114.0, 31.1, 114.1])
    assert shown(pipe) == [("acc_b", 1)], "at once only what was asked for"
    for every_ms in range(50, 60_001, 50):
        table.hub.second += 1
        table.say(operator, t="view", topic=CONSOLE, every_ms=every_ms)
        (viewed,) = pipe.take("viewed")
        assert viewed["every_ms"] >= every_ms and viewed["every_ms"] in STEPS_MS
    assert len(topic.views) == MAX_VIEWS + 1


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        ({"t": "view", "topic": TOPIC, "box": BOX}, "invalid_input", "box"),
        ({"t": "follow", "topic": "order:ord_2", "box": BOX}, "invalid_input", "box"),
        ({"t": "view", "topic": "order:ord_3"}, "not_found", "topic"),
        ({"t": "view", "topic": CONSOLE, "box": BOX}, "not_found", "topic"),
        ({"t": "view", "topic": TOPIC, "every_ms": 49}, "invalid_input", "every_ms"),
    ],
)
def test_a_view_that_cannot_be(frame: dict[str, Any], code: str, field: str) -> None:
    table = Table()
    student, pipe = table.client()
    follow(table, student, TOPIC)
    pipe.take()
    table.say(student, **frame)
    (error,) = pipe.take("error")
    assert (error["code"], error["field"]) == (code, field)


def test_very_many_are_shown_in_several_frames() -> None:
    table = Table()
    console(table)
    table.positions(*[row(f"acc_{number}") for number in range(1_201)])
    second, pipe = table.client("acc_p/operator")
    follow(table, second)
    frames = pipe.take("pos")
    assert [len(frame["p"]) for frame in frames] == [500, 500, 201]
    assert len({r[0] for frame in frames for r in frame["p"]}) == 1_201
