"""How long a way takes, as an honest interval: metres at a pace, floors, and the minutes spent at the door."""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

# Field figures for campus errands: a brisk walk with a bag, an e-bike among pedestrians.
WALK_MPS = 1.35
E_BIKE_MPS = 3.9
SPEEDS_MPS = {"walk": WALK_MPS, "e_bike": E_BIKE_MPS}
# One storey by stairs or waiting for the lift.
FLOOR_S = 15.0
# Finding the shelf, the door, the person: per stop.
HANDLING_S = 90.0

# How uncertain each part is, as a share of itself. A prior, until delivered orders say better.
_TRAVEL_SPREAD = 0.18
_FLOOR_SPREAD = 0.4
_HANDLING_SPREAD = 0.5
# Errands run late more than early: the interval reaches further up than down (about 10 % and 90 %).
_LOW_Z, _HIGH_Z = 1.1, 1.6


class Eta(NamedTuple):
    """Seconds expected, with the bounds within which four of five end."""

    seconds: float
    low_s: float
    high_s: float

    def plus(self, other: Eta) -> Eta:
        """One after the other: the spreads add as independent errors do."""
        return Eta(
            self.seconds + other.seconds,
            self.seconds + other.seconds - hypot(self.seconds - self.low_s, other.seconds - other.low_s),
            self.seconds + other.seconds + hypot(self.high_s - self.seconds, other.high_s - other.seconds),
        )

    def after(self, wait_s: float) -> Eta:
        """The same, begun ``wait_s`` seconds from now."""
        return Eta(self.seconds + wait_s, self.low_s + wait_s, self.high_s + wait_s)


def storeys(*floors: int) -> int:
    """Storeys climbed in all to reach each floor from the street; coming down again is part of the way that follows.

    Floor 1 is the street (as in China), 0 is unknown, below 0 are basements.
    """
    return sum(floor - 1 if floor > 0 else -floor for floor in floors)


def eta(
    distance_m: float,
    *,
    speed_mps: float = WALK_MPS,
    floors: int = 0,
    handling_s: float = 0.0,
) -> Eta:
    """Time for ``distance_m`` walking metres (steps already weigh more in them), ``floors`` storeys climbed in all."""
    if not distance_m >= 0 or not speed_mps > 0 or not handling_s >= 0:
        raise ValueError(f"no way has {distance_m} m at {speed_mps} m/s with {handling_s} s at the door")
    travel_s = distance_m / speed_mps
    vertical_s = FLOOR_S * abs(floors)
    seconds = travel_s + vertical_s + handling_s
    spread = hypot(_TRAVEL_SPREAD * travel_s, _FLOOR_SPREAD * vertical_s, _HANDLING_SPREAD * handling_s)
    return Eta(seconds, max(0.0, seconds - _LOW_Z * spread), seconds + _HIGH_Z * spread)
