"""A visit: a runner at one stop of one errand, as device and taps tell it; and how far from it they tapped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from geo.point import Point, distance_m

from .order import Order
from .stop import Stop, StopRole
from .task import Task, TaskStatus

#: Coming back to one stop is told this often; a device that cannot make up its mind is not told on for ever.
MAX_TIMES_TOLD = 5
#: How long it is known who was at which door.
VISIT_KEPT = timedelta(days=90)

_BEFORE_PICKUP = frozenset({TaskStatus.ASSIGNED, TaskStatus.AT_PICKUP})
_AFTER_PICKUP = frozenset({TaskStatus.CARRYING, TaskStatus.AT_DROPOFF})


@dataclass(frozen=True, slots=True)
class StopVisit:
    """``begun_at``: the row was made. ``near_at``, ``arrived_at``, ``left_at``: by position. ``confirmed_at``: said
    that they are there. ``done_at``: said that they have it, or have handed it over. ``times``: how often
    they arrived."""

    campus_id: str
    order_id: str
    role: StopRole
    runner_id: str
    type_code: str
    begun_at: datetime
    place_id: str | None = None
    near_at: datetime | None = None
    arrived_at: datetime | None = None
    left_at: datetime | None = None
    confirmed_at: datetime | None = None
    done_at: datetime | None = None
    times: int = 0

    @property
    def is_there(self) -> bool:
        """Whether their device is at the stop, as far as is known."""
        return self.arrived_at is not None and (self.left_at is None or self.left_at < self.arrived_at)

    @property
    def service_s(self) -> float | None:
        """Seconds spent at the counter or the door; None while it is not over or nobody knows when it began.

        Who has left and taps later was not there meanwhile."""
        began = self.arrived_at or self.confirmed_at
        if began is None or self.done_at is None:
            return None
        left = self.left_at if self.left_at is not None and self.left_at >= began else self.done_at
        return max(0.0, (min(left, self.done_at) - began).total_seconds())


def stop_ahead(order_stops: tuple[Stop, ...], status: TaskStatus) -> Stop | None:
    """The stop that the runner of a task in this state goes to or is at; None where there is none to go to."""
    by_role = {stop.role: stop for stop in order_stops}
    if status in _AFTER_PICKUP:
        return by_role.get(StopRole.DROPOFF)
    if status in _BEFORE_PICKUP:
        return by_role.get(StopRole.PICKUP) or by_role.get(StopRole.PLACE) or by_role.get(StopRole.DROPOFF)
    return None


def is_ahead(order: Order, task: Task, role: StopRole, runner_id: str) -> bool:
    """Whether this runner still has this stop of the order before them."""
    stop = stop_ahead(order.stops, task.status)
    return task.runner_id == runner_id and stop is not None and stop.role is role


class Geotag(NamedTuple):
    """How far from a stop something was tapped, and how exactly that is known."""

    distance_m: int
    accuracy_m: int | None
    is_far: bool


def geotag(here: Point, accuracy_m: float | None, stop: Stop, far_m: float) -> Geotag:
    """``is_far``: farther than ``far_m`` even if the reading is as wrong as it says it may be."""
    away_m = distance_m(here, Point(stop.lat, stop.lon))
    return Geotag(
        round(away_m), None if accuracy_m is None else round(accuracy_m), away_m - (accuracy_m or 0.0) > far_m
    )
