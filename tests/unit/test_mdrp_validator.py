"""The validator and the figures on a day that was reckoned by hand: each rule bites, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.mdrp.evaluator_files import ASSIGNMENTS, COURIERS, ORDERS, write_files
from loadtest.mdrp.figures import bound, day, mean_of_instances, pay, pooled
from loadtest.mdrp.instance import Courier, Instance, Order, Restaurant, Rules
from loadtest.mdrp.solution import Drop, Solution, Trip
from loadtest.mdrp.validator import Rule, faults, undelivered

RULES = Rules(100, 4, 4, 40, 90, 10.0, 15.0)
DAY = Instance(
    "by-hand",
    (
        Order("o1", 0, 1000, 5, "r1", 20),
        Order("o2", 0, 1500, 6, "r1", 18),
        Order("o3", 300, 400, 30, "r2", 31),
        Order("o4", 0, 0, 100, "r2", 110),
    ),
    (Courier("c1", 0, 0, 0, 60), Courier("c2", 0, 0, 10, 120)),
    (Restaurant("r1", 0, 500), Restaurant("r2", 0, 0)),
    RULES,
)
# c1 leaves at 10: five minutes to r1, there at 15, could take o2 at 18 and both at 20; leaves at 22; five minutes
# to o1, done at 29, leaves at 31; five minutes to o2, done at 38. c2 leaves at 30: at r2, two minutes; five to o3.
BUNDLE = Trip("c1", "r1", 10, 20, (Drop("o1", 29), Drop("o2", 38)))
SINGLE = Trip("c2", "r2", 30, 32, (Drop("o3", 41),))
GOOD = Solution((BUNDLE, SINGLE))


def rules_broken(*trips: Trip) -> list[Rule]:
    return [fault.rule for fault in faults(DAY, Solution(trips))]


def test_a_day_by_the_rules_has_no_fault() -> None:
    assert faults(DAY, GOOD) == []
    assert undelivered(DAY, GOOD) == ["o4"]


def test_a_courier_who_waits_for_nothing_and_goes_on_is_followed() -> None:
    """From o3's door (300, 400) back to r2 is five minutes: there at 48 + 5."""
    again = Trip("c2", "r2", 100, 110, (Drop("o4", 114),))
    assert rules_broken(SINGLE, again) == []


@pytest.mark.parametrize(
    ("trips", "rule"),
    [
        ([replace(BUNDLE, courier="c9")], Rule.UNKNOWN_COURIER),
        ([replace(SINGLE, drops=(Drop("o9", 41),))], Rule.UNKNOWN_ORDER),
        ([replace(SINGLE, drops=())], Rule.EMPTY_TRIP),
        ([BUNDLE, SINGLE, Trip("c2", "r1", 50, 57, (Drop("o2", 71),))], Rule.TWICE),
        ([replace(BUNDLE, drops=(Drop("o1", 29), Drop("o3", 38)))], Rule.ONE_RESTAURANT),
        ([replace(SINGLE, restaurant="r1")], Rule.ONE_RESTAURANT),
        ([Trip("c2", "r2", 29, 31, (Drop("o3", 40),))], Rule.FORESIGHT),
        ([Trip("c2", "r1", 9, 18, (Drop("o2", 32),))], Rule.BEFORE_SHIFT),
        ([BUNDLE, Trip("c1", "r2", 39, 56, (Drop("o3", 65),))], Rule.BUSY),
        ([replace(SINGLE, picked_up=31, drops=(Drop("o3", 41),))], Rule.PICKUP_TIME),
        ([replace(SINGLE, picked_up=33, drops=(Drop("o3", 41),))], Rule.PICKUP_TIME),
        ([replace(BUNDLE, drops=(Drop("o1", 28), Drop("o2", 38)))], Rule.DROPOFF_TIME),
        ([replace(BUNDLE, drops=(Drop("o1", 29), Drop("o2", 36)))], Rule.DROPOFF_TIME),
    ],
)
def test_each_rule_bites_alone(trips: list[Trip], rule: Rule) -> None:
    assert set(rules_broken(*trips)) == {rule}


def test_a_pick_up_after_the_shift_is_a_fault_and_at_its_last_minute_is_none() -> None:
    # c1 stands on r2: told at 58, at the counter at 60, which is off_time.
    assert rules_broken(Trip("c1", "r2", 58, 60, (Drop("o3", 69),))) == []
    assert rules_broken(Trip("c1", "r2", 59, 61, (Drop("o3", 70),))) == [Rule.AFTER_SHIFT]


def test_an_order_over_the_maximum_has_to_stay_undelivered() -> None:
    # o3 is placed at 30: told at 111, picked up at 113, at the door at 120 + 2 = 122, which are 92 minutes.
    assert rules_broken(Trip("c2", "r2", 111, 113, (Drop("o3", 122),))) == [Rule.TOO_LATE]
    assert rules_broken(Trip("c2", "r2", 109, 111, (Drop("o3", 120),))) == []


def test_a_forged_time_hides_no_other_fault() -> None:
    """Who writes an earlier pick-up than was possible is judged by what was possible as well."""
    forged = Trip("c1", "r2", 59, 60, (Drop("o3", 70),))
    assert rules_broken(forged) == [Rule.PICKUP_TIME, Rule.AFTER_SHIFT]


def test_the_order_in_which_trips_are_named_does_not_matter() -> None:
    again = Trip("c2", "r2", 100, 110, (Drop("o4", 114),))
    assert faults(DAY, Solution((again, SINGLE, BUNDLE))) == []


def test_a_fault_says_which_courier_when_and_what() -> None:
    (fault,) = faults(DAY, Solution((replace(SINGLE, picked_up=31),)))
    assert str(fault) == "pickup_time: c2 at 30: 31, not 32"


def test_the_published_evaluator_gets_its_three_files(tmp_path: Path) -> None:
    again = Trip("c2", "r2", 100, 110, (Drop("o4", 114),))
    write_files(tmp_path / "new", DAY, Solution((again, BUNDLE, SINGLE)))
    assert (tmp_path / "new" / ASSIGNMENTS).read_bytes() == (
        b"assignment_time pickup_time courier orders\n10 20 c1 o1 o2\n30 32 c2 o3\n100 110 c2 o4\n"
    )
    assert (tmp_path / "new" / ORDERS).read_bytes() == (
        b"order placement_time ready_time pickup_time dropoff_time courier\n"
        b"o1 5 20 20 29 c1\no2 6 18 20 38 c1\no3 30 31 32 41 c2\no4 100 110 110 114 c2\n"
    )
    assert (tmp_path / "new" / COURIERS).read_bytes() == (
        b"courier departure_time origin destination\n"
        b"c1 10 0 r1\nc1 22 r1 o1\nc1 31 o1 o2\n"
        b"c2 30 0 r2\nc2 34 r2 o3\nc2 100 o3 r2\nc2 112 r2 o4\n"
    )


def test_an_order_that_nobody_carried_is_not_in_the_files(tmp_path: Path) -> None:
    write_files(tmp_path, DAY, GOOD)
    assert b"o4" not in (tmp_path / ORDERS).read_bytes()


def test_the_figures_are_those_reckoned_by_hand() -> None:
    figures = pooled([day(DAY, "ours", GOOD, [1.0, 3.0])])
    assert (figures.orders, figures.undelivered, figures.undelivered_share) == (4, 1, 0.25)
    assert figures.ctd == pytest.approx((24 + 32 + 11) / 3)
    assert figures.penalised == pytest.approx((24 + 32 + 11 + 90) / 4)
    assert figures.rtp == pytest.approx((0 + 2 + 1) / 3)
    assert figures.orders_per_bundle == 1.5
    # c1: two orders pay 20, an hour 15; c2: one order pays 10, less than 110 minutes.
    assert pay(DAY, GOOD) == pytest.approx(20 + 15 * 110 / 60)
    assert figures.cost_per_order == pytest.approx((20 + 27.5) / 3)
    assert (figures.tick_p50_ms, figures.tick_max_ms) == (2.0, 3.0)


def test_many_days_are_pooled_or_count_the_same() -> None:
    short = day(replace(DAY, name="short", orders=DAY.orders[2:3]), "ours", Solution((SINGLE,)))
    days = [day(DAY, "ours", GOOD), short]
    assert pooled(days).penalised == pytest.approx((24 + 32 + 11 + 90 + 11) / 5)
    assert mean_of_instances(days).penalised == pytest.approx(((24 + 32 + 11 + 90) / 4 + 11) / 2)
    assert mean_of_instances(days).undelivered_share == pytest.approx(0.125)
    assert mean_of_instances(days).undelivered == 1


def test_a_day_without_deliveries_has_no_mean() -> None:
    figures = mean_of_instances([day(DAY, "ours", Solution(()))])
    assert (figures.ctd, figures.rtp, figures.cost_per_order, figures.orders_per_bundle) == (None,) * 4
    assert figures.penalised == 90.0


def test_the_bound_is_the_ride_alone_and_leaves_out_what_nobody_can_do() -> None:
    # o1: 20 + 2 + 5 + 2 - 5; o2: 18 + 2 + 10 + 2 - 6; o3: 31 + 2 + 5 + 2 - 30, but nobody is there before 32.
    assert bound(DAY).click_to_door == 24 + 26 + 10 + 14
    late = replace(DAY, orders=(replace(DAY.orders[3], ready=121), replace(DAY.orders[0], ready=91)))
    assert (bound(late).orders, bound(late).delivered) == (2, 0)
