"""The door: who comes in, who waits, who is told when to come back, and that the flush decides how fast."""

from __future__ import annotations

import asyncio

from dispatch.wire.door import Answer, Door, Turn


def knock(door: Door, count: int, *, address: str = "a", open_now: int = 0, now_s: float = 1.0) -> list[Answer | Turn]:
    return [door.knock(address, open_now, now_s) for _ in range(count)]


def turns_of(answers: list[Answer | Turn]) -> list[Turn]:
    return [one for one in answers if isinstance(one, asyncio.Future)]


async def test_so_many_come_in_between_two_flushes_and_the_others_wait_in_their_order() -> None:
    door = Door(per_s=100, flush_s=0.05)  # five at most
    answers = knock(door, 12)
    turns = turns_of(answers)
    assert answers[:5] == [None] * 5
    assert len(turns) == door.waiting == 7
    door.flushed(0.0, 1.05)
    assert [turn.done() for turn in turns] == [True] * 5 + [False] * 2
    (late,) = turns_of(knock(door, 1, now_s=1.06))  # nobody is let past those who wait
    door.flushed(0.0, 1.10)
    assert all(turn.result() is None for turn in (*turns, late))
    assert knock(door, 2, now_s=1.11) == [None, None], "what is left of a turn is for whoever comes"


async def test_addresses_take_turns() -> None:
    door = Door(per_s=80, flush_s=0.05, most_waiting=20)  # four at most
    crowd = turns_of(knock(door, 20))
    (one,) = turns_of(knock(door, 1, address="b"))
    other = turns_of(knock(door, 3, address="c"))
    door.flushed(0.0, 1.05)
    assert [turn.done() for turn in (crowd[0], crowd[1], one, other[0], other[1])] == [True, True, True, True, False]
    knock(door, 4)
    assert door.waiting == 20, "full"
    assert knock(door, 1)[0] in range(2, 6), "a crowd that fills the place is refused"
    assert turns_of(knock(door, 1, address="d")), "and not whoever comes alone"


async def test_a_late_flush_lets_fewer_in_and_one_on_time_more_again() -> None:
    door = Door(per_s=2_000, flush_s=0.05)
    assert door.allowed == 100
    door.flushed(0.06, 1.0)
    door.flushed(0.2, 1.1)
    assert door.allowed == 56
    door.flushed(0.03, 1.2)
    assert door.allowed == 56, "neither late nor with room to spare"
    for _ in range(10):
        door.flushed(9.0, 2.0)
    assert door.allowed == 33, "a busy worker is slow, never shut"
    for _ in range(40):
        door.flushed(0.001, 3.0)
    assert door.allowed == 100


async def test_whoever_is_refused_is_told_when_and_not_all_the_same() -> None:
    full = Door(at_once=10)
    assert sorted({int(str(one)) for one in knock(full, 16, open_now=10)}) == list(range(15, 31))
    narrow = Door(per_s=60, flush_s=0.05, most_waiting=2)
    answers = knock(narrow, 13)
    assert answers[:3] == [None] * 3
    assert len(turns_of(answers[3:5])) == 2
    assert sorted({int(str(one)) for one in answers[5:]}) == [2, 3, 4, 5]
    flooded = Door(per_address_per_s=2)
    assert knock(flooded, 3)[:2] == [None, None]
    assert knock(flooded, 1)[0] in range(1, 5)
    assert knock(flooded, 1, address="b") == knock(flooded, 1, now_s=2.0) == [None]


async def test_nobody_waits_for_ever_and_the_absent_take_nobodys_turn() -> None:
    door = Door(per_s=60, flush_s=0.05, longest_wait_s=4.0)  # three at most
    turns = turns_of(knock(door, 13))
    turns[1].set_result(None)  # hung up
    door.flushed(0.0, 1.1)
    assert [turn.done() for turn in turns] == [True] * 4 + [False] * 6
    (young,) = turns_of(knock(door, 1, now_s=8.0))
    door.flushed(0.0, 9.0)
    assert [turn.result() for turn in turns[4:7]] == [None] * 3
    assert all(turn.result() in range(1, 5) for turn in turns[7:])
    assert not young.done()
    door.flushed(0.0, 9.1)
    assert young.result() is None and door.waiting == 0


async def test_a_door_that_is_shut_sends_everybody_elsewhere() -> None:
    door = Door(per_s=60, flush_s=0.05)
    waiting = turns_of(knock(door, 6))
    door.shut()
    assert {turn.result() for turn in waiting} <= {1, 2, 3, 4}
    assert door.waiting == 0 and knock(door, 1)[0] in range(1, 5)
