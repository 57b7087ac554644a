"""The adapter on days of one or two orders: what the optimizer is asked and what becomes of its plan."""

from __future__ import annotations

from dataclasses import replace

from loadtest.mdrp.instance import Courier, Instance, Order, Restaurant, Rules
from loadtest.mdrp.ours import Ours
from loadtest.mdrp.parameters import CHOSEN
from loadtest.mdrp.solution import Drop, Trip
from loadtest.mdrp.validator import faults
from loadtest.mdrp.world import play

DAY = Instance(
    "small",
    (Order("o1", 0, 1000, 5, "r1", 20), Order("o2", 0, 1500, 6, "r1", 18)),
    (Courier("c1", 0, 0, 0, 60),),
    (Restaurant("r1", 0, 500), Restaurant("r2", 0, 0)),
    Rules(100, 4, 4, 40, 90, 10.0, 15.0),
)


def trips(day: Instance, orders_per_trip: int = 3) -> tuple[Trip, ...]:
    solution = play(day, Ours(replace(CHOSEN, orders_per_trip=orders_per_trip))).solution
    assert faults(day, solution) == []
    return solution.trips


def test_orders_of_one_counter_are_one_trip_that_leaves_just_in_time() -> None:
    """Five minutes of way and two at the counter: at 13, to take both at 20; the nearer door comes first."""
    assert trips(DAY) == (Trip("c1", "r1", 13, 20, (Drop("o1", 29), Drop("o2", 38))),)


def test_a_bag_for_one_order_makes_two_trips() -> None:
    assert [len(trip.drops) for trip in trips(DAY, orders_per_trip=1)] == [1, 1]


def test_orders_of_two_restaurants_are_two_trips() -> None:
    day = replace(DAY, orders=(DAY.orders[0], replace(DAY.orders[1], restaurant="r2")))
    assert sorted(trip.restaurant for trip in trips(day)) == ["r1", "r2"]


def test_nothing_is_picked_up_after_the_shift() -> None:
    """The food is ready at 20: a shift until then is long enough, one that ends a minute before is not."""
    at = DAY.orders[:1]
    assert [trip.picked_up for trip in trips(replace(DAY, orders=at, couriers=(Courier("c1", 0, 0, 0, 20),)))] == [20]
    assert trips(replace(DAY, orders=at, couriers=(Courier("c1", 0, 0, 0, 19),))) == ()


def test_what_would_take_too_long_is_left() -> None:
    """Ready 81 minutes after it was placed, and nine minutes from the oven to the door: 90. One more is too many."""
    order = replace(DAY.orders[0], ready=86)
    crew = (Courier("c1", 0, 0, 0, 300),)
    assert [trip.drops[0].at for trip in trips(replace(DAY, orders=(order,), couriers=crew))] == [95]
    assert trips(replace(DAY, orders=(replace(order, ready=87),), couriers=crew)) == ()


def test_a_courier_who_comes_on_duty_in_time_is_waited_for() -> None:
    """The one on duty is far; the other begins next to the counter ten minutes before the food is ready."""
    crew = (Courier("far", 0, 6000, 0, 300), Courier("near", 0, 500, 10, 300))
    (trip,) = trips(replace(DAY, orders=DAY.orders[:1], couriers=crew))
    assert (trip.courier, trip.assigned, trip.picked_up) == ("near", 18, 20)
