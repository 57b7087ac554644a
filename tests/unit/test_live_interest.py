"""Who follows whom, told among workers: what is said when, who is forgotten, and what is too long to say."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dispatch.live.interest import FORGET_S, GATHER_S, MOST_RUNNERS, REPEAT_S, Interest

CAMPUS = "cmp_1"


@dataclass
class Hand:
    """A clock that a test moves."""

    s: float = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def hand() -> Hand:
    return Hand()


def told(speaker: Interest, *hearers: Interest) -> int:
    """Everything that is due is said to everybody; how many messages there were."""
    due = speaker.due([CAMPUS])
    for campus_id, message in due:
        for hearer in (*hearers, speaker):
            hearer.hear(campus_id, message)
    return len(due)


def rows(*runner_ids: str) -> list[tuple[str]]:
    return [(runner_id,) for runner_id in runner_ids]


def test_nobody_elsewhere_wants_nothing(hand: Hand) -> None:
    one = Interest("one", hand)
    assert list(one.wanted(CAMPUS, rows("a", "b"))) == []
    one.want(CAMPUS, None)
    told(one)
    assert list(one.wanted(CAMPUS, rows("a"))) == []
    assert one.is_wanting(CAMPUS)


def test_only_what_somebody_follows_is_wanted(hand: Hand) -> None:
    one, two, three = (Interest(name, hand) for name in ("one", "two", "three"))
    two.want(CAMPUS, {"a", "b"})
    three.want(CAMPUS, ["b", "c"])
    assert told(two, one) == 1
    assert told(three, one) == 1
    assert list(one.wanted(CAMPUS, rows("a", "b", "c", "d"))) == rows("a", "b", "c")
    assert list(one.wanted("cmp_2", rows("a"))) == []
    three.want(CAMPUS, None)
    hand.s += GATHER_S
    told(three, one)
    assert list(one.wanted(CAMPUS, rows("d"))) == rows("d")
    three.want(CAMPUS, ())
    hand.s += GATHER_S
    told(three, one)
    assert list(one.wanted(CAMPUS, rows("a", "c"))) == rows("a")
    farewell = two.leave(CAMPUS)
    assert farewell is not None
    one.hear(CAMPUS, farewell)
    assert list(one.wanted(CAMPUS, rows("a"))) == []
    assert two.leave(CAMPUS) is None


def test_a_live_collection_is_read_when_it_is_told(hand: Hand) -> None:
    one, two = Interest("one", hand), Interest("two", hand)
    followed = {"a": 1}
    one.want(CAMPUS, followed.keys())
    followed["b"] = 2
    told(one, two)
    assert list(two.wanted(CAMPUS, rows("a", "b", "c"))) == rows("a", "b")


def test_changes_gather_and_are_told_once(hand: Hand) -> None:
    one = Interest("one", hand)
    one.want(CAMPUS, ["a"])
    assert one.next_due_s() == float("-inf")
    assert len(one.due([CAMPUS])) == 1
    one.want(CAMPUS, ["b"])
    assert one.due([CAMPUS]) == []
    assert one.next_due_s() == hand.s + GATHER_S
    hand.s += GATHER_S
    assert len(one.due([CAMPUS])) == 1
    assert one.due([CAMPUS]) == []
    assert one.next_due_s() == hand.s + REPEAT_S
    assert one.due(["cmp_2"]) == []


def test_who_is_silent_is_forgotten_and_who_repeats_is_not(hand: Hand) -> None:
    one, two, three = (Interest(name, hand) for name in ("one", "two", "three"))
    two.want(CAMPUS, ["a"])
    three.want(CAMPUS, ["b"])
    told(two, one)
    told(three, one)
    for _ in range(5):
        hand.s += REPEAT_S
        assert told(two, one) == 1
        one.forget_silent()
    assert REPEAT_S * 5 > FORGET_S
    assert list(one.wanted(CAMPUS, rows("a", "b"))) == rows("a")
    hand.s += FORGET_S + 1
    one.forget_silent()
    assert list(one.wanted(CAMPUS, rows("a", "b"))) == []


def test_a_newcomer_asks_and_is_told(hand: Hand) -> None:
    one, two = Interest("one", hand), Interest("two", hand)
    one.want(CAMPUS, ["a"])
    told(one)
    two.ask(CAMPUS)
    ((_, question),) = two.due([CAMPUS])
    assert one.hear(CAMPUS, question)
    hand.s += GATHER_S
    assert told(one, two) == 1
    assert list(two.wanted(CAMPUS, rows("a"))) == rows("a")
    assert Interest("three", hand).hear(CAMPUS, question) is False


def test_whoever_missed_something_asks_but_not_forever(hand: Hand) -> None:
    one, two = Interest("one", hand), Interest("two", hand)
    one.want(CAMPUS, ["a"])
    told(one)  # which two does not hear
    hand.s += REPEAT_S
    ((_, repeated),) = one.due([CAMPUS])
    assert two.hear(CAMPUS, repeated)
    assert not two.hear(CAMPUS, repeated)
    ((_, question),) = two.due([CAMPUS])
    assert one.hear(CAMPUS, question)
    hand.s += GATHER_S
    told(one, two)
    assert list(two.wanted(CAMPUS, rows("a"))) == rows("a")


def test_what_was_overtaken_on_its_way_is_not_believed(hand: Hand) -> None:
    one, two = Interest("one", hand), Interest("two", hand)
    one.want(CAMPUS, ["a"])
    told(one, two)
    farewell = one.leave(CAMPUS)
    assert farewell is not None
    one.want(CAMPUS, ["b"])
    told(one, two)
    two.hear(CAMPUS, farewell)
    assert list(two.wanted(CAMPUS, rows("a", "b"))) == rows("b")


def test_too_many_are_everybody(hand: Hand) -> None:
    one, two = Interest("one", hand), Interest("two", hand)
    one.want(CAMPUS, [f"acc_{n}" for n in range(MOST_RUNNERS)])
    told(one, two)
    assert list(two.wanted(CAMPUS, rows("x"))) == []
    one.want(CAMPUS, [f"acc_{n}" for n in range(MOST_RUNNERS + 1)])
    assert one.due([CAMPUS]) == []  # a long list gathers longer
    hand.s += 1
    told(one, two)
    assert list(two.wanted(CAMPUS, rows("x"))) == rows("x")
