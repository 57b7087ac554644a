"""Says every rule of the game that a solution breaks; written from the rules alone, apart from the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from math import isqrt

from .instance import Courier, Instance, Order
from .solution import Solution, Trip


class Rule(StrEnum):
    """What can be broken."""

    UNKNOWN_COURIER = "unknown_courier"
    UNKNOWN_ORDER = "unknown_order"
    EMPTY_TRIP = "empty_trip"
    TWICE = "order_carried_twice"
    ONE_RESTAURANT = "bundle_of_several_restaurants"
    FORESIGHT = "decided_before_placement"
    BEFORE_SHIFT = "instruction_before_on_time"
    AFTER_SHIFT = "pickup_after_off_time"
    BUSY = "instruction_to_busy_courier"
    PICKUP_TIME = "pickup_time"
    DROPOFF_TIME = "dropoff_time"
    TOO_LATE = "over_maximum_click_to_door"


@dataclass(frozen=True, slots=True)
class Fault:
    rule: Rule
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def faults(instance: Instance, solution: Solution) -> list[Fault]:
    """Empty where the day could have happened like this and nobody looked into the future."""
    orders = {o.id: o for o in instance.orders}
    couriers = {c.id: c for c in instance.couriers}
    found: list[Fault] = []
    by_courier: dict[str, list[Trip]] = {}
    carried: set[str] = set()
    for trip in solution.trips:
        found += _strangers(trip, orders, couriers)
        for drop in trip.drops:
            if drop.order in carried:
                found.append(Fault(Rule.TWICE, drop.order))
            carried.add(drop.order)
        by_courier.setdefault(trip.courier, []).append(trip)
    if found:
        return found  # times of what does not exist cannot be judged
    for name, trips in by_courier.items():
        found += _courier_faults(instance, couriers[name], sorted(trips, key=lambda t: t.assigned), orders)
    return found


def _strangers(trip: Trip, orders: dict[str, Order], couriers: dict[str, Courier]) -> list[Fault]:
    found = [Fault(Rule.UNKNOWN_ORDER, d.order) for d in trip.drops if d.order not in orders]
    if trip.courier not in couriers:
        found.append(Fault(Rule.UNKNOWN_COURIER, trip.courier))
    if not trip.drops:
        found.append(Fault(Rule.EMPTY_TRIP, f"{trip.courier} at {trip.assigned}"))
    homes = {orders[d.order].restaurant for d in trip.drops if d.order in orders}
    if homes - {trip.restaurant}:
        found.append(
            Fault(Rule.ONE_RESTAURANT, f"{trip.courier} at {trip.assigned}: {sorted(homes | {trip.restaurant})}")
        )
    return found


def _courier_faults(instance: Instance, courier: Courier, trips: list[Trip], orders: dict[str, Order]) -> list[Fault]:
    """Follows one courier through the day. Where a time is wrong, the day goes on with the right one."""
    rules = instance.rules
    half_pickup, half_dropoff = rules.pickup_service // 2, rules.dropoff_service // 2
    place, free = (courier.x, courier.y), courier.on
    counters = {r.id: (r.x, r.y) for r in instance.restaurants}
    found: list[Fault] = []
    for trip in trips:
        what = f"{courier.id} at {trip.assigned}"
        carried = [orders[d.order] for d in trip.drops]
        if trip.assigned < courier.on:
            found.append(Fault(Rule.BEFORE_SHIFT, f"{what}, on at {courier.on}"))
        elif trip.assigned < free:
            found.append(Fault(Rule.BUSY, f"{what}, free at {free}"))
        found += [
            Fault(Rule.FORESIGHT, f"{what}: {o.id} placed {o.placed}") for o in carried if trip.assigned < o.placed
        ]
        counter = counters[trip.restaurant]
        there = trip.assigned + _minutes(place, counter, rules.meters_per_minute) + half_pickup
        picked_up = max(there, *(o.ready for o in carried))
        if trip.picked_up != picked_up:
            found.append(Fault(Rule.PICKUP_TIME, f"{what}: {trip.picked_up}, not {picked_up}"))
        if max(picked_up, trip.picked_up) > courier.off:
            found.append(Fault(Rule.AFTER_SHIFT, f"{what}: {max(picked_up, trip.picked_up)}, off at {courier.off}"))
        place, leaves = counter, picked_up + half_pickup
        for drop, order in zip(trip.drops, carried, strict=True):
            door = (order.x, order.y)
            at = leaves + _minutes(place, door, rules.meters_per_minute) + half_dropoff
            if drop.at != at:
                found.append(Fault(Rule.DROPOFF_TIME, f"{what}: {order.id} {drop.at}, not {at}"))
            if max(at, drop.at) - order.placed > rules.maximum:
                found.append(Fault(Rule.TOO_LATE, f"{what}: {order.id} took {max(at, drop.at) - order.placed} minutes"))
            place, leaves = door, at + half_dropoff
        free = leaves
    return found


def _minutes(a: tuple[int, int], b: tuple[int, int], pace: int) -> int:
    """Straight line, rounded up to whole minutes; in whole numbers, so that nothing is lost to rounding."""
    squared = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    minutes = isqrt(squared) // pace
    while (minutes * pace) ** 2 < squared:
        minutes += 1
    return minutes


def undelivered(instance: Instance, solution: Solution) -> list[str]:
    """Orders that nobody carried."""
    carried = set(chain.from_iterable((d.order for d in t.drops) for t in solution.trips))
    return [o.id for o in instance.orders if o.id not in carried]
