"""A made-up tick as the server finds it: orders, tasks and runners as SQL gives them, positions as Redis keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dispatch.assign import RouteStop, RunnerIn, TaskIn
from dispatch.flow.availability import Rules, RunnerRules, TaskRules
from dispatch.flow.campus_ground import CampusGround
from dispatch.flow.situation import Books, Situation, situation_of
from dispatch.flow.standing import Standing
from dispatch.live.packing import pack_fix, unpack_fix
from dispatch.model.account import Membership, Role, RunnerStatus
from dispatch.model.campus import AssignMode, Campus, CampusSettings
from dispatch.model.escalation import Rung, Step
from dispatch.model.money import Fen
from dispatch.model.order import Order, OrderStatus
from dispatch.model.quote import Quote
from dispatch.model.stop import Stop, StopRole
from dispatch.model.task import Task, TaskStatus
from geo.campus import CampusMap
from geo.fix import Fix
from geo.point import Point
from geo.walkway import Walkways

from .busy_ticks import NOW_MS, Tick

_CAMPUS = "cmp_bench"
_QUIET = Rung(Step.WAITING, 0)
_RUNNER = frozenset({Role.STUDENT, Role.RUNNER})
#: Seconds at a door without stairs, and up each floor, as the made-up ticks have them.
_DOOR_S, _STAIRS_S = 60.0, 20.0


@dataclass(frozen=True, slots=True)
class Laid:
    """What is read before a tick. ``packed``: by runner the newest fix, in the bytes that Redis answers with."""

    books: Books
    standing: Mapping[str, Standing]
    seen_ms: Mapping[str, int]
    packed: Mapping[bytes, bytes]


def ground_of(campus: CampusMap, ways: Walkways) -> CampusGround:
    """A campus with the settings that every new one has."""
    return CampusGround(Campus(_CAMPUS, campus.name, CampusSettings(), _at(NOW_MS)), campus, ways)


def laid(tick: Tick) -> Laid:
    """The books and positions of which this tick, or one much like it, is made."""
    waiting = [_waiting(task) for task in tick.tasks]
    held = {runner.id: _hand(runner) for runner in tick.runners if runner.route}
    rules = Rules(
        {one.id: RunnerRules(None, one.until_ms, one.zones, one.max_tasks) for one in tick.runners},
        {one.id: _rules(one) for one in tick.tasks},
    )
    books = Books(
        waiting=waiting,
        held=held,
        asked={one.id: one.forbidden for one in tick.tasks if one.forbidden},
        offers={},
        members=[_member(one) for one in tick.runners],
        routes={
            one.id: [(stop.task_id, stop.role) for stop in one.route]
            for one in tick.runners
            if len(held.get(one.id, [])) > 1
        },
        rules=rules,
        orders={order.id: order for hand in [waiting, *held.values()] for _, order in hand},
    )
    fixes = {
        one.id: Fix(one.point.lat, one.point.lon, NOW_MS - 3000, 6.0, received_at_ms=NOW_MS) for one in tick.runners
    }
    return Laid(
        books=books,
        standing={one.id: Standing(one.acceptance, None, one.earned_s) for one in tick.runners},
        seen_ms={one.id: one.idle_since_ms for one in tick.runners if one.idle_since_ms is not None},
        packed={runner_id.encode(): pack_fix(fix) for runner_id, fix in fixes.items()},
    )


def positions(found: Laid) -> dict[str, Fix]:
    """What the server makes of the answer of Redis."""
    return {name.decode(): unpack_fix(packed) for name, packed in found.packed.items()}


def situation(found: Laid, fixes: Mapping[str, Fix], ground: CampusGround) -> Situation:
    """What the server tells the optimizer."""
    return situation_of(found.books, found.standing, found.seen_ms, fixes, ground, NOW_MS, {})


# --- records ----------------------------------------------------------------------------------------------------------


def _at(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _waiting(task: TaskIn) -> tuple[Task, Order]:
    roles = (StopRole.PICKUP, StopRole.DROPOFF)
    floors = (1, 1 + round((task.before_s[1] - _DOOR_S) / _STAIRS_S))
    stops = tuple(
        Stop(role, point.lat, point.lon, "", task.merchant if role is StopRole.PICKUP else None, floor)
        for role, point, floor in zip(roles, task.points, floors, strict=True)
    )
    order = _order(task.order_id, OrderStatus.OPEN, stops, task.weight_g, task.promised_at_ms, task.ready_at_ms)
    return Task(task.id, _CAMPUS, order.id, TaskStatus.OPEN, 1, None, _at(task.opened_at_ms)), order


def _order(
    order_id: str, status: OrderStatus, stops: tuple[Stop, ...], weight_g: int, promised_ms: int, ready_ms: int | None
) -> Order:
    promised = _at(promised_ms)
    quote = Quote((), Fen(500), Fen(0), 600, 900, promised, promised)
    return Order(
        order_id, _CAMPUS, "acc_student", "food", status, 3, quote, stops, "", weight_g, _at(NOW_MS), promised,
        pickup_after=None if ready_ms is None else _at(ready_ms),
    )  # fmt: skip


def _rules(task: TaskIn) -> TaskRules:
    nobody: frozenset[str] = frozenset()
    return TaskRules(
        task.zone, AssignMode.MIXED, None, None, nobody, _at(task.opened_at_ms), len(task.forbidden), 0, _QUIET
    )  # fmt: skip


def _member(runner: RunnerIn) -> Membership:
    vehicle = "walk" if runner.speed_mps < 2 else "e_bike"
    return Membership(runner.id, _CAMPUS, _RUNNER, RunnerStatus.APPROVED, runner.credit, vehicle, is_on_duty=True)


def _hand(runner: RunnerIn) -> list[tuple[Task, Order]]:
    """What they carry. Somebody who cannot leave yet stands at a counter."""
    by_task: dict[str, list[RouteStop]] = {}
    for stop in runner.route:
        by_task.setdefault(stop.task_id, []).append(stop)
    is_held_up, hand = runner.available_in_s > 0, []
    for task_id, ahead in by_task.items():
        last, is_picked = ahead[-1], len(ahead) == 1
        first = ahead[0] if not is_picked else None
        counter = first.point if first is not None else runner.point
        stops = (
            _stop(StopRole.PICKUP, counter, first.merchant if first is not None else None),
            _stop(StopRole.DROPOFF, last.point, None),
        )
        status = TaskStatus.ASSIGNED if not is_picked else TaskStatus.AT_PICKUP if is_held_up else TaskStatus.CARRYING
        is_held_up = is_held_up and not is_picked
        promised_ms = last.promised_at_ms or NOW_MS
        order = _order(f"o{task_id}", OrderStatus.ASSIGNED, stops, last.weight_g, promised_ms, None)
        hand.append((Task(task_id, _CAMPUS, order.id, status, 3, runner.id, _at(NOW_MS)), order))
    return hand


def _stop(role: StopRole, point: Point, place_id: str | None) -> Stop:
    return Stop(role, point.lat, point.lon, "", place_id)
