"""How long a way takes: metres at a pace, storeys, minutes at each stop; as an honest interval."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

# Field figures for campus errands: a brisk walk with a bag, an e-bike among pedestrians.
WALK_MPS = 1.35
E_BIKE_MPS = 3.9
SPEEDS_MPS = {"walk": WALK_MPS, "e_bike": E_BIKE_MPS}
# One storey by stairs or waiting for the lift; down again takes less.
FLOOR_S = 15.0
FLOOR_DOWN_S = 10.0

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


class Leg(NamedTuple):
    """The walking metres to a stop, and what awaits there: its floor, the seconds spent, nothing before ``ready_s``."""

    metres: float
    floor: int = 0
    service_s: float = 0.0
    ready_s: float = 0.0


class StopTimes(NamedTuple):
    """Seconds from now until one is at the stop's door, and until what is done there is done."""

    arrive_s: float
    done_s: float


def storeys(*floors: int) -> int:
    """Storeys climbed in all to reach each floor from the street.

    Floor 1 is the street (as in China), 0 is unknown, below 0 are basements.
    """
    return sum(floor - 1 if floor > 0 else -floor for floor in floors)


def route_times(legs: Sequence[Leg], speed_mps: float, wait_s: float = 0.0) -> list[StopTimes]:
    """Expected times at every stop of a route that begins in ``wait_s`` seconds, never decreasing.

    One is at a stop when one is at its door upstairs; coming down again is part of the way that follows.
    """
    if not speed_mps > 0:
        raise ValueError(f"nobody gets anywhere at {speed_mps} m/s")
    at_s, down_s = wait_s, 0.0
    found = []
    for leg in legs:
        if not leg.metres >= 0 or not leg.service_s >= 0:
            raise ValueError(f"no way has {leg.metres} m with {leg.service_s} s at the door")
        climbed = storeys(leg.floor)
        arrive_s = at_s + down_s + leg.metres / speed_mps + FLOOR_S * climbed
        at_s = max(arrive_s, leg.ready_s) + leg.service_s
        down_s = FLOOR_DOWN_S * climbed
        found.append(StopTimes(arrive_s, at_s))
    return found


def route_etas(legs: Sequence[Leg], speed_mps: float, wait_s: float = 0.0) -> list[Eta]:
    """Of every stop of a route when it is done, with the interval of somebody of whom nothing is known yet."""
    found = []
    travel_s, climb_s, service_s = 0.0, 0.0, 0.0
    for leg, times in zip(legs, route_times(legs, speed_mps, wait_s), strict=True):
        travel_s += leg.metres / speed_mps
        climb_s += FLOOR_S * storeys(leg.floor)
        service_s += leg.service_s
        found.append(_with_prior(times.done_s, travel_s, climb_s, service_s))
    return found


def _with_prior(seconds: float, travel_s: float, climb_s: float, service_s: float) -> Eta:
    spread = hypot(_TRAVEL_SPREAD * travel_s, _FLOOR_SPREAD * climb_s, _HANDLING_SPREAD * service_s)
    return Eta(seconds, max(0.0, seconds - _LOW_Z * spread), seconds + _HIGH_Z * spread)


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
    travel_s, climb_s = distance_m / speed_mps, FLOOR_S * abs(floors)
    return _with_prior(travel_s + climb_s + handling_s, travel_s, climb_s, handling_s)
