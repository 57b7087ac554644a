"""When the campus team is alarmed: what each rule finds wrong with an errand, from where its runner was lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from geo.point import Point, distance_m

from .order import Order, OrderStatus
from .stop import Stop
from .task import Task
from .visit import stop_ahead

AlarmKind = Literal["late_departure", "off_course", "stopped", "runner_silent"]
#: Somebody who is farther than this from where they stood has moved.
MOVED_M = 50.0
#: Somebody so near to a stop of theirs is at work, not lost.
AT_STOP_M = 80.0


@dataclass(frozen=True, slots=True)
class AlarmRules:
    """Business seconds, and metres. Field services use 15 and 30 minutes and 500 m; a campus is smaller."""

    late_departure_s: int = 300
    stopped_s: int = 600
    off_course_m: int = 250
    silent_s: int = 180


class Finding(NamedTuple):
    """Something that a person should look at. ``figure``: minutes, for going astray metres."""

    kind: AlarmKind
    order_id: str
    runner_id: str
    figure: int

    @property
    def subject_id(self) -> str:
        """Told once of an order and who has it."""
        return f"{self.order_id}:{self.runner_id}"


@dataclass(slots=True)
class Trail:
    """Where one runner was lately, in as little as the rules need: where they stand and since when, and how near they
    have come to each stop before them."""

    place: Point
    since: datetime
    seen_at: datetime
    accuracy_m: float = 0.0
    nearest_m: dict[tuple[str, str], float] = field(default_factory=dict)

    def move(self, place: Point, at: datetime, accuracy_m: float) -> None:
        """The runner was seen there."""
        if distance_m(self.place, place) - accuracy_m > MOVED_M:
            self.place, self.since = place, at
        self.seen_at, self.accuracy_m = at, accuracy_m


class Heading(NamedTuple):
    """One errand in hand, the stop that comes next, and how many metres it is away."""

    task: Task
    order: Order
    stop: Stop
    away_m: float


def next_of(task: Task, order: Order) -> Stop | None:
    """Where the errand goes next."""
    return stop_ahead(order.stops, task.status)


def is_astray(trail: Trail, headings: Sequence[Heading], rules: AlarmRules) -> int | None:
    """By how many metres the runner has gone away from every stop that they could be heading for, since they were
    nearest to it; None while that is within bounds. Remembers the distances."""
    known, trail.nearest_m = trail.nearest_m, {}
    astray: float | None = None
    for heading in headings:
        key = (heading.order.id, heading.stop.role)
        nearest = min(known.get(key, heading.away_m), heading.away_m)
        trail.nearest_m[key] = nearest
        by_m = heading.away_m - nearest - trail.accuracy_m
        astray = by_m if astray is None else min(astray, by_m)
    return round(astray) if astray is not None and astray > rules.off_course_m else None


def look_at_hand(
    runner_id: str,
    hand: Sequence[tuple[Task, Order]],
    headings: Sequence[Heading],
    trail: Trail | None,
    rules: AlarmRules,
    now: datetime,
) -> list[Finding]:
    """What is wrong with a runner's errands. ``hand``: all, the longest waiting first; ``headings``: those of them that
    go somewhere, empty while nobody knows from where; ``trail`` None: the runner was not seen since they took them."""
    first = hand[0][1]
    taken_at = min(order.assigned_at or now for _, order in hand)
    silent_s = (now - (taken_at if trail is None else max(trail.seen_at, taken_at))).total_seconds()
    if silent_s > rules.silent_s:
        return [Finding("runner_silent", first.id, runner_id, _minutes(silent_s))]
    if trail is None:
        return []
    found: list[Finding] = []
    astray_m = is_astray(trail, headings, rules) if headings else None
    if astray_m is not None:
        found.append(Finding("off_course", headings[0].order.id, runner_id, astray_m))
    stands = _stands_still(hand, headings, trail, rules, now)
    if stands is not None:
        kind, order, seconds = stands
        found.append(Finding(kind, order.id, runner_id, _minutes(seconds)))
    return found


def _stands_still(
    hand: Sequence[tuple[Task, Order]],
    headings: Sequence[Heading],
    trail: Trail,
    rules: AlarmRules,
    now: datetime,
) -> tuple[AlarmKind, Order, float] | None:
    """Who carries something and stands for long, wherever it is; or has not set out, and is not at a stop either."""
    carried = [order for _, order in hand if order.status is OrderStatus.CARRYING]
    if carried:
        begun = max(trail.since, min(order.picked_up_at or now for order in carried))
        stood_s = (now - begun).total_seconds()
        return ("stopped", carried[0], stood_s) if stood_s > rules.stopped_s else None
    if not headings or any(heading.away_m - trail.accuracy_m <= AT_STOP_M for heading in headings):
        return None
    order = headings[0].order
    ready = max(order.assigned_at or now, order.pickup_after or order.assigned_at or now)
    idle_s = (now - max(trail.since, ready)).total_seconds()
    return ("late_departure", order, idle_s) if idle_s > rules.late_departure_s else None


def _minutes(seconds: float) -> int:
    return int(seconds // 60)
