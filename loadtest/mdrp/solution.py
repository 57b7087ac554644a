"""What a policy did with a day: trips, one per instruction, with their times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drop:
    """An order handed over at its door."""

    order: str
    at: int


@dataclass(frozen=True, slots=True)
class Trip:
    """One instruction and what became of it: the courier leaves at ``assigned`` and drops off in this order."""

    courier: str
    restaurant: str
    assigned: int
    picked_up: int
    drops: tuple[Drop, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    trips: tuple[Trip, ...]
