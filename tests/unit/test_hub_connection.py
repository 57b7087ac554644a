"""The pure hub's connections: hello, standings, limits, and how a connection ends."""

from __future__ import annotations

import pytest

from dispatch.hub.codes import CloseCode, may_return
from dispatch.hub.host import Stage
from dispatch.model.errors import AccountBlocked, NotSignedIn
from tests.hub_table import CAMPUS, CONSOLE, TOPIC, Event, Standing, Table, Who, fresh


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
    assert late_pipe.closed == (4002, "token_expired retry_ms=500")
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
    assert pipe.closed == (CloseCode.TOKEN_EXPIRED, "token_expired retry_ms=500")


def test_the_campus_is_joined_with_its_first_connection_and_left_with_the_last() -> None:
    table = Table()
    first, _ = table.client()
    second, _ = table.client("acc_2/student")
    assert table.outside.campuses == [CAMPUS]
    table.following(first, TOPIC, fresh())
    table.hub.drop(first)
    assert table.hub.campus_ids() == [CAMPUS]
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


@pytest.mark.parametrize(("code", "expected"), [(4000, True), (4499, True), (1011, True), (4500, False), (1000, False)])
def test_the_verdict_of_a_code(code: int, expected: bool) -> None:
    assert may_return(code) is expected
