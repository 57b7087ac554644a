"""Plays a day minute by minute: a policy is told what is known and answers instructions, and the world follows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from .instance import Instance, Ints, Rules, travel_minutes
from .solution import Drop, Solution, Trip


@dataclass(frozen=True, slots=True)
class Waiting:
    """Orders that are placed and given to nobody, row by row; ``row`` is what an instruction names them by."""

    row: Ints
    door_xy: Ints
    counter: Ints
    counter_xy: Ints
    placed: Ints
    ready: Ints
    ride: Ints


@dataclass(frozen=True, slots=True)
class Crew:
    """Couriers on duty, or due on duty soon, free or on the way: where they will be free, and when.

    ``free``: the minute from which they can be given something; now for those who are free.
    """

    row: Ints
    xy: Ints
    free: Ints
    on: Ints
    off: Ints


@dataclass(frozen=True, slots=True)
class Situation:
    """All that is known at this minute."""

    minute: int
    orders: Waiting
    couriers: Crew
    rules: Rules


@dataclass(frozen=True, slots=True)
class Instruction:
    """Go there now and carry these: rows of the situation's ``row``, in the order of dropping off."""

    courier: int
    orders: tuple[int, ...]


class Policy(Protocol):
    """Asked once a minute while an order waits."""

    def decide(self, now: Situation) -> Sequence[Instruction]:
        """Instructions for couriers who are free."""


class Refused(Exception):
    """The world does not follow such an instruction; the policy is at fault."""


@dataclass(frozen=True, slots=True)
class Played:
    """A day that is over, and what each question to the policy took."""

    solution: Solution
    tick_ms: tuple[float, ...]


#: Shifts are planned ahead: who comes on within so many minutes is known.
SHIFT_NOTICE = 30


class World:
    """The state of one day."""

    def __init__(self, instance: Instance) -> None:
        self._day = instance
        self._open = np.ones(len(instance.orders), dtype=bool)
        self._xy = instance.courier_xy.copy()
        self._free = instance.on.copy()
        self._trips: list[Trip] = []

    def play(self, policy: Policy) -> Played:
        ticks: list[float] = []
        last = int(min(self._day.off.max(), self._day.placed.max() + self._day.rules.maximum))
        for minute in range(int(self._day.placed.min()), last + 1):
            now = self._situation(minute)
            if not len(now.orders.row) or not len(now.couriers.row):
                continue
            before = perf_counter()
            instructions = policy.decide(now)
            ticks.append((perf_counter() - before) * 1000)
            for instruction in instructions:
                self._follow(instruction, minute)
        return Played(Solution(tuple(self._trips)), tuple(ticks))

    def _situation(self, minute: int) -> Situation:
        day = self._day
        known = self._open & (day.placed <= minute) & (day.placed + day.rules.maximum >= minute)
        rows = np.flatnonzero(known)
        orders = Waiting(
            rows,
            day.door_xy[rows],
            day.counter[rows],
            day.counter_xy[rows],
            day.placed[rows],
            day.ready[rows],
            day.ride[rows],
        )
        crew = np.flatnonzero((day.on <= minute + SHIFT_NOTICE) & (day.off >= np.maximum(self._free, minute)))
        couriers = Crew(crew, self._xy[crew], np.maximum(self._free[crew], minute), day.on[crew], day.off[crew])
        return Situation(minute, orders, couriers, day.rules)

    def _follow(self, instruction: Instruction, minute: int) -> None:
        day, c, rows = self._day, instruction.courier, list(instruction.orders)
        courier = day.couriers[c]
        if not rows:
            raise Refused(f"minute {minute}: {courier.id} is told to go nowhere")
        if self._free[c] > minute:
            raise Refused(f"minute {minute}: {courier.id} is not free before {self._free[c]}")
        if not self._open[rows].all() or (day.placed[rows] > minute).any() or len(set(rows)) != len(rows):
            raise Refused(f"minute {minute}: {courier.id} is told to carry what does not wait")
        if len(set(day.counter[rows].tolist())) != 1:
            raise Refused(f"minute {minute}: {courier.id} is told to go to several restaurants")
        pace, half_pickup, half_dropoff = _services(day.rules)
        way = int(travel_minutes(self._xy[c], day.counter_xy[rows[0]], pace))
        picked_up = max(minute + way + half_pickup, int(day.ready[rows].max()))
        if picked_up > courier.off:
            raise Refused(f"minute {minute}: {courier.id} would be at the counter at {picked_up}, after {courier.off}")
        leaves, place, drops = picked_up + half_pickup, day.counter_xy[rows[0]], []
        for row in rows:
            at = leaves + int(travel_minutes(place, day.door_xy[row], pace)) + half_dropoff
            if at - day.placed[row] > day.rules.maximum:
                raise Refused(f"minute {minute}: {day.orders[row].id} would take {at - day.placed[row]} minutes")
            drops.append(Drop(day.orders[row].id, at))
            leaves, place = at + half_dropoff, day.door_xy[row]
        self._open[rows] = False
        self._free[c], self._xy[c] = leaves, place
        restaurant = day.restaurants[int(day.counter[rows[0]])].id
        self._trips.append(Trip(courier.id, restaurant, minute, picked_up, tuple(drops)))


def _services(rules: Rules) -> tuple[int, int, int]:
    return rules.meters_per_minute, rules.pickup_service // 2, rules.dropoff_service // 2


def play(instance: Instance, policy: Policy) -> Played:
    return World(instance).play(policy)
