"""Who may be given what: shifts, classes, breaks, zones, pins and the ladder, for a campus in one consistent read.

The planner asks for everybody at once; the hall, a grab and the console ask by the same rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from geo.areas import Areas
from geo.point import Point

from ..model.account import Membership, RunnerStatus
from ..model.campus import AssignMode, CampusSettings
from ..model.errors import NotAvailable
from ..model.escalation import Escalation, Rung, waits_since
from ..model.geofence import CircleShape, judged
from ..model.order import Order
from ..model.pin import Pin, pin_ends, pinned_to
from ..model.shift import Absence, RunnerPause, RunnerPlan, availability
from ..model.task import Task
from ..model.zone import Zone, zones_of
from ..store.unit_of_work import UnitOfWork
from .credit_limits import credit_limits
from .order_view import ms

Waiting = Sequence[tuple[Task, Order]]


@dataclass(frozen=True, slots=True)
class RunnerRules:
    """``excluded``: why they get nothing new, in the optimizer's words; ``until_ms``: when they have to be done;
    ``zones``: ids of those where they work, None: everywhere."""

    excluded: Absence | None
    until_ms: int | None
    zones: frozenset[str] | None
    max_tasks: int


@dataclass(frozen=True, slots=True)
class TaskRules:
    """``zone``: the one that holds its first stop, None: outside of all, or open to every zone. ``mode``: how it finds
    its runner now. ``pinned``: the only one who may have it, until ``pinned_until``. ``forbidden``: those whose credit
    is too low for its worth. ``number``: how many steps of the ladder have begun, ``rung`` the last."""

    zone: str | None
    mode: AssignMode
    pinned: str | None
    pinned_until: datetime | None
    forbidden: frozenset[str]
    since: datetime
    refusals: int
    number: int
    rung: Rung

    @property
    def is_grab_only(self) -> bool:
        """Left to the runners: the planner offers it to nobody."""
        return self.mode is AssignMode.GRAB

    @property
    def is_in_hall(self) -> bool:
        return self.mode is not AssignMode.DISPATCH

    @property
    def reach(self) -> float:
        return self.rung.reach

    @property
    def priority_s(self) -> float:
        return self.rung.priority_s

    def may_have(self, runner_id: str, zones: frozenset[str] | None) -> bool:
        """Whether a runner who works in these zones may have it, as far as zones, pins and credit say."""
        is_other_zone = self.zone is not None and zones is not None and self.zone not in zones
        return not is_other_zone and self.pinned in (None, runner_id) and runner_id not in self.forbidden


@dataclass(frozen=True, slots=True)
class Rules:
    """By account id and by task id: everybody and everything that was asked about."""

    runners: Mapping[str, RunnerRules]
    tasks: Mapping[str, TaskRules]


def read_rules(uow: UnitOfWork, settings: CampusSettings, members: Collection[Membership], waiting: Waiting) -> Rules:
    """The rules for these runners on duty and these tasks that nobody has; a few questions, whatever the numbers."""
    zones = uow.zones.all()
    runners = _runners(uow, settings, members, zones)
    ready = {runner_id for runner_id, rules in runners.items() if rules.excluded is None}
    books = _TaskBooks.of_waiting(uow, zones)
    return Rules(runners, _tasks(uow, settings, waiting, books, ready, _limited(settings, members)))


def rules_of_waiting(uow: UnitOfWork, settings: CampusSettings, waiting: Waiting) -> Mapping[str, TaskRules]:
    """The rules for these tasks that nobody has, whoever looks at them."""
    if not waiting:
        return {}
    books = _TaskBooks.of_waiting(uow, uow.zones.all())
    ready = {pin.runner_id for pin in books.pins.values() if _is_ready(uow, settings, pin.runner_id)}
    return _tasks(uow, settings, waiting, books, ready, [])


def rules_of_order(uow: UnitOfWork, settings: CampusSettings, task: Task, order: Order) -> TaskRules:
    """The rules for one task that nobody has."""
    pin, escalation = uow.pins.get(order.id), uow.escalations.get(order.id)
    books = _TaskBooks(
        uow.zones.all(),
        {order.id: pin} if pin else {},
        {order.id: escalation} if escalation else {},
        {task.id: len(uow.escalations.refused_by(task.id))},
    )
    ready = {pin.runner_id} if pin is not None and _is_ready(uow, settings, pin.runner_id) else set[str]()
    return _tasks(uow, settings, [(task, order)], books, ready, [])[task.id]


def rules_of_runner(uow: UnitOfWork, settings: CampusSettings, member: Membership) -> RunnerRules:
    """The rules for one runner, whether on duty or not."""
    plan, pause = uow.runner_plans.get(member.account_id), uow.runner_plans.pause(member.account_id)
    return _runner(member, plan, pause, uow.zones.all(), settings, uow.now)


def check_still_ready(uow: UnitOfWork, runner_id: str) -> None:
    """Raises :class:`NotAvailable` for a runner who went off duty, took a break or declined since they were chosen."""
    pause = uow.runner_plans.pause(runner_id)
    is_away = any(until is not None and uow.now < until for until in (pause.break_until, pause.cool_until))
    if is_away or not uow.memberships.get(runner_id).is_on_duty:
        raise NotAvailable("the runner is not to be asked any more", runner_id=runner_id)


def exclusions(uow: UnitOfWork, settings: CampusSettings) -> dict[str, str]:
    """Who of those on duty gets nothing new now, and why."""
    members = [member for member, _ in uow.memberships.runners(on_duty_only=True)]
    rules = _runners(uow, settings, members, [])
    return {runner_id: str(one.excluded) for runner_id, one in rules.items() if one.excluded is not None}


def _is_ready(uow: UnitOfWork, settings: CampusSettings, runner_id: str) -> bool:
    member = uow.memberships.get(runner_id)
    is_runner = member.is_on_duty and member.runner_status is RunnerStatus.APPROVED
    return is_runner and rules_of_runner(uow, settings, member).excluded is None


# --- runners ----------------------------------------------------------------------------------------------------------


def _runners(
    uow: UnitOfWork, settings: CampusSettings, members: Collection[Membership], zones: Collection[Zone]
) -> dict[str, RunnerRules]:
    plans, pauses = uow.runner_plans.on_duty(), uow.runner_plans.pauses()
    return {
        member.account_id: _runner(
            member, plans.get(member.account_id), pauses.get(member.account_id), zones, settings, uow.now
        )
        for member in members
    }


def _runner(
    member: Membership,
    plan: RunnerPlan | None,
    pause: RunnerPause | None,
    zones: Collection[Zone],
    settings: CampusSettings,
    now: datetime,
) -> RunnerRules:
    limits = credit_limits(member, settings)
    excluded, until = None, None
    if plan is not None or pause is not None:
        found = availability(now, plan.timetable if plan is not None else None, settings.time_zone, pause)
        excluded, until = found.excluded, found.until
    if not limits.may_take:
        excluded = Absence.CREDIT_TOO_LOW
    chosen = plan.zones if plan is not None else None
    return RunnerRules(
        excluded=excluded,
        until_ms=None if until is None else ms(until),
        zones=zones_of(member.account_id, chosen, zones) if zones else None,
        max_tasks=limits.max_tasks,
    )


# --- tasks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TaskBooks:
    zones: list[Zone]
    pins: Mapping[str, Pin]
    escalations: Mapping[str, Escalation]
    refusals: Mapping[str, int]

    @classmethod
    def of_waiting(cls, uow: UnitOfWork, zones: list[Zone]) -> _TaskBooks:
        """Of everything that waits, at once."""
        return cls(zones, uow.pins.of_waiting(), uow.escalations.of_waiting(), uow.escalations.refusals())


def _limited(settings: CampusSettings, members: Collection[Membership]) -> list[tuple[str, int]]:
    """The few runners who are not entrusted with everything, and with how much."""
    found = ((member.account_id, credit_limits(member, settings).most_value_fen) for member in members)
    return [(runner_id, most) for runner_id, most in found if most is not None]


def _tasks(
    uow: UnitOfWork,
    settings: CampusSettings,
    waiting: Waiting,
    books: _TaskBooks,
    ready: Collection[str],
    limited: list[tuple[str, int]],
) -> dict[str, TaskRules]:
    found: dict[str, TaskRules] = {}
    for (task, order), zone in zip(waiting, _zones(uow, books.zones, waiting), strict=True):
        since = waits_since(task, order, books.escalations.get(order.id))
        refusals = books.refusals.get(task.id, 0)
        number = settings.ladder.at(since, refusals, uow.now)
        rung = settings.ladder.rung(number)
        pinned, until = _pinned(uow, settings, task, books.pins.get(order.id), since, ready)
        found[task.id] = TaskRules(
            zone=None if zone is None or rung.is_any_zone else zone.fence_id,
            mode=AssignMode.MIXED if rung.is_called else settings.mode if zone is None else zone.mode,
            pinned=pinned,
            pinned_until=until,
            forbidden=frozenset(runner_id for runner_id, most in limited if order.quote.total_fen > most),
            since=since,
            refusals=refusals,
            number=number,
            rung=rung,
        )
    return found


def _pinned(
    uow: UnitOfWork, settings: CampusSettings, task: Task, pin: Pin | None, since: datetime, ready: Collection[str]
) -> tuple[str | None, datetime | None]:
    if pin is None:
        return None, None
    refused = uow.escalations.refused_by(task.id)
    runner_id = pinned_to(pin, since, settings.wish_s, uow.now, refused, ready)
    return runner_id, pin_ends(pin, since, settings.wish_s) if runner_id is not None else None


def _zones(uow: UnitOfWork, zones: list[Zone], waiting: Waiting) -> list[Zone | None]:
    """The zone of each task's first stop; of several the smallest."""
    found: list[Zone | None] = [None] * len(waiting)
    rows = [row for row, (_, order) in enumerate(waiting) if order.stops]
    if not zones or not rows:
        return found
    fences = {fence.id: fence for fence in uow.geofences.active()}
    drawn = [fences[zone.fence_id] for zone in zones]
    shape = drawn[0].shape
    center = Point(shape.lat, shape.lon) if isinstance(shape, CircleShape) else Point(*shape.corners[0])
    areas = Areas([judged(fence) for fence in drawn], center)
    firsts = [waiting[row][1].stops[0] for row in rows]
    for row, area in zip(rows, areas.at([Point(stop.lat, stop.lon) for stop in firsts]), strict=True):
        if area is not None:
            found[row] = zones[area]
    return found
