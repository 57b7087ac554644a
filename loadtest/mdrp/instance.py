"""An instance of the Meal Delivery Routing Problem: orders, couriers, restaurants and the rules; minutes and metres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    x: int
    y: int
    placed: int
    restaurant: str
    ready: int


@dataclass(frozen=True, slots=True)
class Courier:
    id: str
    x: int
    y: int
    on: int
    off: int


@dataclass(frozen=True, slots=True)
class Restaurant:
    id: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Rules:
    """One line of ``instance_parameters.txt``; the target and the maximum are minutes from click to door."""

    meters_per_minute: int
    pickup_service: int
    dropoff_service: int
    target: int
    maximum: int
    pay_per_order: float
    pay_per_hour: float


@dataclass(frozen=True)
class Instance:
    """Everything of one day, as it is in the files; ``*_xy`` and the others are the same as arrays, row by row."""

    name: str
    orders: tuple[Order, ...]
    couriers: tuple[Courier, ...]
    restaurants: tuple[Restaurant, ...]
    rules: Rules
    _places: dict[str, Restaurant] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {r.id: r for r in self.restaurants})

    def restaurant_of(self, order: Order) -> Restaurant:
        return self._places[order.restaurant]

    @cached_property
    def door_xy(self) -> Ints:
        return _pairs((o.x, o.y) for o in self.orders)

    @cached_property
    def counter_xy(self) -> Ints:
        """Where each order is picked up."""
        return _pairs((r.x, r.y) for r in map(self.restaurant_of, self.orders))

    @cached_property
    def counter(self) -> Ints:
        """The row of each order's restaurant."""
        row = {r.id: i for i, r in enumerate(self.restaurants)}
        return np.array([row[o.restaurant] for o in self.orders], dtype=np.int64)

    @cached_property
    def placed(self) -> Ints:
        return np.array([o.placed for o in self.orders], dtype=np.int64)

    @cached_property
    def ready(self) -> Ints:
        return np.array([o.ready for o in self.orders], dtype=np.int64)

    @cached_property
    def ride(self) -> Ints:
        """Minutes from each order's restaurant to its door."""
        return travel_minutes(self.counter_xy, self.door_xy, self.rules.meters_per_minute)

    @cached_property
    def courier_xy(self) -> Ints:
        return _pairs((c.x, c.y) for c in self.couriers)

    @cached_property
    def on(self) -> Ints:
        return np.array([c.on for c in self.couriers], dtype=np.int64)

    @cached_property
    def off(self) -> Ints:
        return np.array([c.off for c in self.couriers], dtype=np.int64)


def travel_minutes(a: Ints, b: Ints, meters_per_minute: int) -> Ints:
    """Whole minutes between places (…, 2), rounded up; the leading axes are broadcast."""
    gap = (a - b).astype(np.float64)
    return np.ceil(np.hypot(gap[..., 0], gap[..., 1]) / meters_per_minute).astype(np.int64)


def _pairs(rows: Iterable[tuple[int, int]]) -> Ints:
    return np.array(list(rows), dtype=np.int64).reshape(-1, 2)
