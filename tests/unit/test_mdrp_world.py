"""The benchmark's world and its baselines on small days: what a policy is told, what is done, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadtest.mdrp.baselines import Match30, NearestCourier
from loadtest.mdrp.instance import Courier, Instance, Order, Restaurant, Rules
from loadtest.mdrp.solution import Drop, Trip
from loadtest.mdrp.validator import faults
from loadtest.mdrp.world import SHIFT_NOTICE, Instruction, Policy, Refused, Situation, play

RULES = Rules(100, 4, 4, 40, 90, 10.0, 15.0)
DAY = Instance(
    "small",
    (
        Order("o1", 0, 1000, 5, "r1", 20),
        Order("o2", 0, 1500, 6, "r1", 18),
        Order("o3", 300, 400, 30, "r2", 31),
    ),
    (Courier("c1", 0, 0, 0, 60), Courier("c2", 0, 100, 10, 120)),
    (Restaurant("r1", 0, 500), Restaurant("r2", 0, 0)),
    RULES,
)


class Script:
    """Answers what it was given for a minute, and keeps what it was told."""

    def __init__(self, answers: dict[int, Sequence[Instruction]]) -> None:
        self._answers, self.told = answers, dict[int, Situation]()

    def decide(self, now: Situation) -> Sequence[Instruction]:
        self.told[now.minute] = now
        return self._answers.get(now.minute, ())


def test_a_policy_is_told_what_is_placed_and_no_more() -> None:
    script = Script({})
    play(DAY, script)
    assert min(script.told) == 5, "nobody is asked before there is an order"
    assert script.told[5].orders.row.tolist() == [0]
    assert script.told[29].orders.row.tolist() == [0, 1]
    assert script.told[30].orders.row.tolist() == [0, 1, 2]
    assert script.told[95].orders.row.tolist() == [0, 1, 2], "the 90th minute"
    assert script.told[96].orders.row.tolist() == [1, 2], "nobody can deliver the first in time any more"


def test_a_policy_is_told_where_couriers_will_be_free_and_when() -> None:
    script = Script({10: [Instruction(0, (0, 1))]})
    played = play(DAY, script)
    assert script.told[8].couriers.free.tolist() == [8, 10], "the second comes on duty at 10"
    assert played.solution.trips == (Trip("c1", "r1", 10, 20, (Drop("o1", 29), Drop("o2", 38))),)
    busy = script.told[30].couriers
    assert busy.free.tolist() == [40, 30]
    assert busy.xy.tolist() == [[0, 1500], [0, 100]]
    assert 61 not in script.told or 0 not in script.told[61].couriers.row, "off duty"


def test_shifts_are_known_some_time_before_they_begin() -> None:
    late = replace(DAY, couriers=(DAY.couriers[0], Courier("c2", 0, 0, 50, 120)))
    script = Script({})
    play(late, script)
    assert script.told[50 - SHIFT_NOTICE - 1].couriers.row.tolist() == [0]
    assert script.told[50 - SHIFT_NOTICE].couriers.row.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("minute", "instruction", "says"),
    [
        (10, Instruction(0, ()), "nowhere"),
        (9, Instruction(1, (0,)), "c2 is not free before 10"),
        (29, Instruction(0, (2,)), "does not wait"),
        (30, Instruction(0, (0, 0)), "does not wait"),
        (30, Instruction(0, (0, 2)), "several restaurants"),
        (59, Instruction(0, (2,)), "would be at the counter at 61, after 60"),
        (90, Instruction(1, (0,)), "o1 would take"),
    ],
)
def test_the_world_refuses_what_the_rules_forbid(minute: int, instruction: Instruction, says: str) -> None:
    with pytest.raises(Refused, match=says):
        play(DAY, Script({minute: [instruction]}))


def test_a_courier_on_the_way_is_given_nothing() -> None:
    with pytest.raises(Refused, match="c1 is not free before 31"):
        play(DAY, Script({10: [Instruction(0, (0,))], 11: [Instruction(0, (1,))]}))


@pytest.mark.parametrize("policy", [Match30(), NearestCourier()], ids=["match30", "greedy"])
def test_a_baseline_delivers_all_by_the_rules_and_leaves_just_in_time(policy: Policy) -> None:
    played = play(DAY, policy)
    assert faults(DAY, played.solution) == []
    way = {("c1", "r1"): 5, ("c2", "r1"): 4}
    ready = {"o1": 20, "o2": 18}
    trips = {trip.drops[0].order: trip for trip in played.solution.trips}
    assert sorted(trips) == ["o1", "o2", "o3"]
    for order, at in ready.items():
        # The counter takes two minutes: who left earlier would only wait there.
        assert trips[order].assigned == at - way[trips[order].courier, "r1"] - 2
        assert trips[order].picked_up == at
    assert len(played.tick_ms) > 0


def test_greedy_takes_the_nearest_where_match30_takes_the_best_sum() -> None:
    """One courier stands between two restaurants, the other can do only the first in good time."""
    day = replace(
        DAY,
        orders=(Order("a", 0, 0, 0, "r2", 10), Order("b", 0, 1000, 0, "r1", 11)),
        couriers=(Courier("c1", 0, 250, 0, 200), Courier("c2", 0, -400, 0, 200)),
        restaurants=(Restaurant("r1", 0, 1000), Restaurant("r2", 0, 0)),
    )
    by_greedy = {t.drops[0].order: t.courier for t in play(day, NearestCourier()).solution.trips}
    by_match = {t.drops[0].order: t.courier for t in play(day, Match30()).solution.trips}
    assert by_greedy["a"] == "c1" or by_greedy["b"] == "c1"
    assert by_match == {"a": "c2", "b": "c1"}


def test_match30_looks_no_further_than_thirty_minutes() -> None:
    """An order ready in 31 minutes takes no courier from one that is ready sooner."""
    day = replace(
        DAY,
        orders=(Order("far", 0, 500, 0, "r2", 31),),
        couriers=(Courier("c1", 0, 4000, 0, 200),),
    )
    (trip,) = play(day, Match30()).solution.trips
    # 40 minutes of way: it would have had to leave before it was looked at, and leaves as soon as it is.
    assert trip.assigned == 1


def test_without_anybody_in_reach_an_order_stays() -> None:
    day = replace(DAY, couriers=(Courier("c1", 0, 60_000, 0, 100),))
    for policy in (Match30(), NearestCourier()):
        assert play(day, policy).solution.trips == ()


def test_with_everybody_off_duty_nobody_is_asked() -> None:
    day = replace(DAY, couriers=(Courier("c1", 0, 0, 0, 3),))
    assert play(day, Match30()).tick_ms == ()
