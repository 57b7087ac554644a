"""A unit of work is bound to its campus: every method of every repository is asked about another campus's rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dispatch.model.account import Role, RunnerStatus
from dispatch.model.campus import AssignMode
from dispatch.model.coupon import Coupon, CouponReason
from dispatch.model.credit import CreditAppeal, CreditEntry, CreditReason
from dispatch.model.decision import Decision
from dispatch.model.errors import NotFound
from dispatch.model.escalation import Escalation
from dispatch.model.geofence import CampusFence, CircleShape
from dispatch.model.money import Fen
from dispatch.model.offer import OfferStatus
from dispatch.model.order import OrderStatus
from dispatch.model.photo import Photo
from dispatch.model.pin import Pin, PinKind
from dispatch.model.shift import RunnerPause, RunnerPlan, Timetable
from dispatch.model.stop import StopRole
from dispatch.model.task import TaskStatus
from dispatch.model.zone import Zone
from dispatch.store import tables
from dispatch.store.arrivals import ArrivalFigures
from dispatch.store.unit_of_work import UnitOfWork
from geo.pace import RunnerPace

Ask = Callable[[UnitOfWork, SimpleNamespace], Any]
REPOSITORIES = (
    "orders", "tasks", "offers", "decisions", "outbox", "commands", "inbox", "jobs", "audit", "idempotency", "photos",
    "alerts", "memberships", "accounts", "statistics", "geofences", "geofence_stays", "credit",
    "credit_appeals", "planned_routes", "stop_visits", "delays", "coupons",
    "runner_plans", "zones", "pins", "escalations", "arrivals",
)  # fmt: skip

#: What a unit of work of ``here`` asks about the rows of ``there``.
ASKED: dict[str, Ask] = {
    "orders.get": lambda uow, x: uow.orders.get(x.order.id),
    "orders.find": lambda uow, x: uow.orders.find(x.order.id),
    "orders.many": lambda uow, x: uow.orders.many([x.order.id]),
    "orders.renewed": lambda uow, x: uow.orders.renewed([x.order.id], {x.order.id: x.order}),
    "orders.save": lambda uow, x: uow.orders.save(replace(x.order, campus_id=uow.campus_id, version=2)),
    "orders.page": lambda uow, x: uow.orders.page(q=x.order.id) + uow.orders.page(student_id=x.account.id),
    "orders.active": lambda uow, x: uow.orders.active(),
    "orders.unsettled_of_runner": lambda uow, x: uow.orders.unsettled_of_runner(x.account.id),
    "orders.kpis": lambda uow, x: sum(uow.orders.kpis(x.now - timedelta(days=1), x.now).values()),
    "tasks.get": lambda uow, x: uow.tasks.get(x.task.id),
    "tasks.by_order": lambda uow, x: uow.tasks.by_order(x.order.id),
    "tasks.by_orders": lambda uow, x: uow.tasks.by_orders([x.order.id]),
    "tasks.save": lambda uow, x: uow.tasks.save(replace(x.task, campus_id=uow.campus_id, version=2)),
    "tasks.takeable": lambda uow, x: uow.tasks.takeable(),
    "tasks.counts": lambda uow, x: sum(uow.tasks.counts()),
    "tasks.held": lambda uow, x: uow.tasks.held(),
    "tasks.held_by_any": lambda uow, x: uow.tasks.held_by_any([x.account.id]),
    "tasks.in_hand": lambda uow, x: any(uow.tasks.in_hand([x.account.id])),
    "tasks.held_by": lambda uow, x: uow.tasks.held_by(x.account.id),
    "offers.get": lambda uow, x: uow.offers.get(x.offer.id),
    "offers.save": lambda uow, x: uow.offers.save(replace(x.offer, campus_id=uow.campus_id), OfferStatus.PENDING),
    "offers.pending_of_runner": lambda uow, x: uow.offers.pending_of_runner(x.account.id),
    "offers.pending_of_task": lambda uow, x: uow.offers.pending_of_task(x.open_task.id),
    "offers.pending": lambda uow, x: uow.offers.pending(),
    "planned_routes.of": lambda uow, x: uow.planned_routes.of([x.account.id]),
    "offers.offered_runners": lambda uow, x: uow.offers.offered_runners(),
    "decisions.for_order": lambda uow, x: uow.decisions.for_order(x.order.id),
    "outbox.timeline": lambda uow, x: uow.outbox.timeline(x.order.id),
    "inbox.accept": lambda uow, x: not uow.inbox.accept("evt_paid"),  # its own key: not accepted here before
    "jobs.cancel": lambda uow, x: uow.jobs.cancel("settle", x.order.id),
    "jobs.due_at": lambda uow, x: uow.jobs.due_at("settle", x.order.id),
    "jobs.schedule": lambda uow, x: uow.jobs.schedule("settle", x.order.id, x.now + timedelta(days=9)),
    "audit.page": lambda uow, x: uow.audit.page(),
    "idempotency.stored": lambda uow, x: uow.idempotency.stored(x.account.id, "key", b"another"),
    "idempotency.store": lambda uow, x: uow.idempotency.store(x.account.id, "key", b"another", b"mine"),
    "photos.get": lambda uow, x: uow.photos.get(x.photo.id),
    "photos.of_orders": lambda uow, x: uow.photos.of_orders([x.order.id]),
    "photos.of_order": lambda uow, x: uow.photos.of_order(x.order.id),
    "alerts.get": lambda uow, x: uow.alerts.get(x.alert.id),
    "alerts.find": lambda uow, x: uow.alerts.find(x.alert.kind, x.alert.subject_id),
    "alerts.raise_once": lambda uow, x: not uow.alerts.raise_once("late", x.order.id, "", ""),
    "alerts.open_alerts": lambda uow, x: [a for a in uow.alerts.open_alerts() if a.campus_id != uow.campus_id],
    "alerts.acknowledge": lambda uow, x: uow.alerts.acknowledge(x.alert.id, "acc_o"),
    "orders.parties": lambda uow, x: uow.orders.parties([x.order.id]),
    "memberships.get": lambda uow, x: uow.memberships.get(x.account.id),
    "memberships.save": lambda uow, x: uow.memberships.save(replace(x.membership, campus_id=uow.campus_id)),
    "memberships.runners": lambda uow, x: uow.memberships.runners(),
    "memberships.page": lambda uow, x: uow.memberships.page() + uow.memberships.page(q=x.account.name),
    "accounts.get": lambda uow, x: uow.accounts.get(x.account.id),
    "accounts.many": lambda uow, x: uow.accounts.many([x.account.id]),
    "statistics.paid_day": lambda uow, x: uow.statistics.paid_day(x.now - timedelta(days=1)).orders,
    "statistics.runner_day": lambda uow, x: sum(uow.statistics.runner_day(x.account.id, x.now - timedelta(days=1))),
    "memberships.on_duty": lambda uow, x: uow.memberships.on_duty(),
    "memberships.count_on_duty": lambda uow, x: uow.memberships.count_on_duty(),
    "decisions.chosen_runners": lambda uow, x: uow.decisions.chosen_runners(),
    "statistics.days": lambda uow, x: uow.statistics.days(x.now - timedelta(days=1)),
    "statistics.stars": lambda uow, x: uow.statistics.stars([x.account.id]),
    "geofences.get": lambda uow, x: uow.geofences.get(x.geofence.id),
    "geofences.active": lambda uow, x: uow.geofences.active(),
    "geofences.count_active": lambda uow, x: uow.geofences.count_active(),
    "geofences.names": lambda uow, x: uow.geofences.names([x.geofence.id]),
    "geofences.save": lambda uow, x: uow.geofences.save(replace(x.geofence, campus_id=uow.campus_id, version=2)),
    "geofence_stays.enter": lambda uow, x: uow.geofence_stays.enter(x.geofence.id, "acc_new", x.now),
    "geofence_stays.leave": lambda uow, x: uow.geofence_stays.leave(x.geofence.id, x.account.id, x.now),
    "geofence_stays.dwell": lambda uow, x: uow.geofence_stays.dwell(x.geofence.id, x.account.id, x.now),
    "geofence_stays.end_of_runner": lambda uow, x: uow.geofence_stays.end_of_runner(x.account.id, x.now),
    "geofence_stays.end_of_fence": lambda uow, x: uow.geofence_stays.end_of_fence(x.geofence.id, x.now),
    "geofence_stays.open_of": lambda uow, x: uow.geofence_stays.open_of([x.account.id]),
    "geofence_stays.open_stays": lambda uow, x: uow.geofence_stays.open_stays(),
    "geofence_stays.runners_inside": lambda uow, x: uow.geofence_stays.runners_inside(),
    "geofence_stays.page": lambda uow, x: uow.geofence_stays.page(fence_id=x.geofence.id),
    "geofence_stays.figures": lambda uow, x: uow.geofence_stays.figures(x.now - timedelta(1), x.now + timedelta(1)),
    "credit.get": lambda uow, x: uow.credit.get(x.credit.id),
    "credit.find": lambda uow, x: uow.credit.find(x.account.id, x.credit.reason, x.credit.subject_id),
    "credit.last": lambda uow, x: uow.credit.last(x.account.id),
    "credit.page": lambda uow, x: uow.credit.page(x.account.id),
    "credit.moved_since": lambda uow, x: uow.credit.moved_since(x.account.id, x.credit.reason, x.now),
    "credit.reversed_among": lambda uow, x: uow.credit.reversed_among([replace(x.credit, id=x.credit.subject_id)]),
    "coupons.find": lambda uow, x: uow.coupons.find(x.coupon.id),
    "coupons.usable": lambda uow, x: uow.coupons.usable(x.account.id),
    "coupons.page": lambda uow, x: uow.coupons.page(),
    "coupons.granted_fen": lambda uow, x: uow.coupons.granted_fen(x.coupon.reason, x.coupon.granted_at),
    "coupons.sums": lambda uow, x: uow.coupons.sums(),
    "coupons.reserve": lambda uow, x: uow.coupons.reserve(x.coupon.id, x.account.id, x.order.id),
    "coupons.use": lambda uow, x: uow.coupons.use(x.order.id),
    "coupons.give_back": lambda uow, x: uow.coupons.give_back(x.order.id),
    "coupons.expire": lambda uow, x: uow.coupons.expire(x.coupon.id),
    "coupons.withdraw": lambda uow, x: uow.coupons.withdraw(x.coupon.granted_for, x.coupon.reason),
    "coupons.of_order": lambda uow, x: uow.coupons.of_order(x.order.id),
    "credit_appeals.get": lambda uow, x: uow.credit_appeals.get(x.appeal.id),
    "credit_appeals.decide": lambda uow, x: uow.credit_appeals.decide(replace(x.appeal, campus_id=uow.campus_id)),
    "credit_appeals.count_open": lambda uow, x: uow.credit_appeals.count_open(x.account.id),
    "credit_appeals.of_entries": lambda uow, x: uow.credit_appeals.of_entries([x.credit.id]),
    "stop_visits.of_orders": lambda uow, x: uow.stop_visits.of_orders([x.order.id]),
    "stop_visits.ahead": lambda uow, x: uow.stop_visits.ahead([x.account.id]),
    "stop_visits.served": lambda uow, x: uow.stop_visits.served(x.now - timedelta(days=1)),
    "delays.of_orders": lambda uow, x: uow.delays.of_orders([x.order.id]),
    "runner_plans.get": lambda uow, x: uow.runner_plans.get(x.account.id).version,
    "runner_plans.on_duty": lambda uow, x: uow.runner_plans.on_duty(),
    "runner_plans.pause": lambda uow, x: uow.runner_plans.pause(x.account.id).declines,
    "runner_plans.pauses": lambda uow, x: uow.runner_plans.pauses(),
    "zones.all": lambda uow, x: uow.zones.all(),
    "zones.remove": lambda uow, x: uow.zones.remove(x.geofence.id),
    "pins.get": lambda uow, x: uow.pins.get(x.open_task.order_id),
    "pins.of_waiting": lambda uow, x: uow.pins.of_waiting(),
    "pins.remove": lambda uow, x: uow.pins.remove(x.open_task.order_id),
    "pins.carried_before": lambda uow, x: uow.pins.carried_before(x.order.student_id, 9),
    "escalations.get": lambda uow, x: uow.escalations.get(x.open_task.order_id),
    "escalations.of_waiting": lambda uow, x: uow.escalations.of_waiting(),
    "escalations.remove": lambda uow, x: uow.escalations.remove(x.open_task.order_id),
    "escalations.last_call": lambda uow, x: uow.escalations.last_call(),
    "escalations.refusals": lambda uow, x: uow.escalations.refusals(),
    "escalations.refused_by": lambda uow, x: uow.escalations.refused_by(x.refused_task.id),
    "arrivals.figures": lambda uow, x: uow.arrivals.figures() != ArrivalFigures(),
    "arrivals.paces": lambda uow, x: uow.arrivals.paces(),
    "offers.answers": lambda uow, x: uow.offers.answers(),
    "offers.answers_of": lambda uow, x: sum(uow.offers.answers_of(x.account.id)),
    "offers.count_of_runner": lambda uow, x: uow.offers.count_of_runner(x.account.id, OfferStatus.PENDING, x.now),
}
#: Writing into another campus is a bug in the caller, not a question.
REFUSED: dict[str, Ask] = {
    "orders.insert": lambda uow, x: uow.orders.insert(replace(x.order, id="ord_new")),
    "orders.save": lambda uow, x: uow.orders.save(replace(x.order, version=2)),
    "tasks.insert": lambda uow, x: uow.tasks.insert(replace(x.task, id="tsk_new")),
    "tasks.save": lambda uow, x: uow.tasks.save(replace(x.task, version=2)),
    "offers.insert": lambda uow, x: uow.offers.insert(replace(x.offer, id="ofr_new")),
    "offers.save": lambda uow, x: uow.offers.save(x.offer, OfferStatus.PENDING),
    "decisions.insert": lambda uow, x: uow.decisions.insert(replace(x.decision, id="dec_new")),
    "outbox.add": lambda uow, x: uow.outbox.add(replace(x.event, id="evt_new")),
    "commands.add": lambda uow, x: uow.commands.add("cmd_1", x.order.id, "Settle", b"body"),
    "photos.insert": lambda uow, x: uow.photos.insert(replace(x.photo, id="pho_new")),
    "memberships.insert": lambda uow, x: uow.memberships.insert(x.membership),
    "memberships.save": lambda uow, x: uow.memberships.save(x.membership),
    "credit.append": lambda uow, x: uow.credit.append(replace(x.credit, number=2)),
    "coupons.grant": lambda uow, x: uow.coupons.grant(replace(x.coupon, id="cou_new")),
    "credit_appeals.insert": lambda uow, x: uow.credit_appeals.insert(replace(x.appeal, entry_id="crd_new")),
    "stop_visits.near": lambda uow, x: uow.stop_visits.near(x.order, StopRole.DROPOFF, "acc_new", x.now),
    "stop_visits.arrive": lambda uow, x: uow.stop_visits.arrive(x.order, StopRole.DROPOFF, x.account.id, x.now),
    "stop_visits.leave": lambda uow, x: uow.stop_visits.leave(x.order, StopRole.DROPOFF, x.account.id, x.now),
    "stop_visits.confirm": lambda uow, x: uow.stop_visits.confirm(x.order, StopRole.DROPOFF, "acc_new", x.now),
    "stop_visits.finish": lambda uow, x: uow.stop_visits.finish(x.order, StopRole.DROPOFF, "acc_new", x.now),
    "delays.tell": lambda uow, x: uow.delays.tell(x.order, x.now),
    "runner_plans.save": lambda uow, x: uow.runner_plans.save(replace(x.plan, version=2)),
    "runner_plans.save_pause": lambda uow, x: uow.runner_plans.save_pause(replace(x.pause, declines=2)),
    "zones.save": lambda uow, x: uow.zones.save(replace(x.zone, runner_ids=())),
    "pins.save": lambda uow, x: uow.pins.save(replace(x.pin, runner_id="acc_new")),
    "escalations.save": lambda uow, x: uow.escalations.save(replace(x.escalation, told=9)),
    "geofences.insert": lambda uow, x: uow.geofences.insert(replace(x.geofence, id="fen_new")),
    "geofences.save": lambda uow, x: uow.geofences.save(replace(x.geofence, version=2)),
}
#: Takes no id of an existing row and writes the unit's own campus: proved by the rows it leaves.
OWN: dict[str, Ask] = {
    "audit.add": lambda uow, x: uow.audit.add("acc_o", "did", x.order.id, "why"),
    "planned_routes.save": lambda uow, x: uow.planned_routes.save(x.account.id, []),
    "arrivals.save_figures": lambda uow, x: uow.arrivals.save_figures(ArrivalFigures(served_at_ms=2)),
    "arrivals.save_paces": lambda uow, x: uow.arrivals.save_paces([(x.account.id, "bike", RunnerPace())]),
}


async def fill(books: Any) -> SimpleNamespace:
    """One row of every kind at the other campus."""
    there, now = books.there, books.clock.now()
    account = await books.member(there, Role.RUNNER, status=RunnerStatus.APPROVED, on_duty=True)
    order = await books.order(there, status=OrderStatus.DELIVERED, student_id=account.id, runner_id=account.id,
                              delivered_at=now, rating=5, held_fen=Fen(1), paid_at=now)  # fmt: skip
    task = await books.task(order, status=TaskStatus.CARRYING)
    open_task = await books.task(await books.order(there))
    offer = await books.offer(open_task, account.id)
    refused_task = await books.task(await books.order(there))
    await books.offer(refused_task, account.id, status=OfferStatus.DECLINED)
    plan = RunnerPlan(account.id, there, 1, Timetable(), None, now)
    pause = RunnerPause(account.id, there, now + timedelta(hours=1), None, 1, now)
    pin = Pin(there, open_task.order_id, PinKind.WISH, account.id, now, account.id)
    escalation = Escalation(there, open_task.order_id, now, 3, 1, now)
    decision = Decision(books.new_id("dec"), there, task.id, order.id, now, "grab", account.id, None, 0)
    event = books.make_event(order.id, 1, there)
    geofence = CampusFence(
        books.new_id("fen"), there, "南门", None, CircleShape(30.5, 114.4, 50.0), 60, 1, True, now, now, account.id
    )
    zone = Zone(geofence.id, there, AssignMode.GRAB)
    # Of the kind that says of which line it is, so that every question finds it.
    credit = CreditEntry(
        books.new_id("crd"), there, account.id, 1, now, 1, 81, CreditReason.REVERSED, "crd_other", "v1"
    )
    appeal = CreditAppeal(books.new_id("apl"), there, account.id, credit.id, now, "下雨")
    coupon = Coupon(
        books.new_id("cou"), there, account.id, CouponReason.LATE, "ord_late", Fen(100), "campus", order.id, now,
        now + timedelta(days=30),
    )  # fmt: skip
    photo = Photo(books.new_id("pho"), there, order.id, account.id, now, b"jpeg", 1, 1)

    def insert(uow: UnitOfWork) -> tuple[Any, Any]:
        uow.decisions.insert(decision)
        uow.outbox.add(event)
        uow.commands.add("cmd_1", order.id, "Settle", b"body")
        uow.inbox.accept("evt_paid")
        uow.jobs.schedule("settle", order.id, now)
        uow.audit.add(account.id, "did", order.id, "why")
        uow.idempotency.store(account.id, "key", b"hash", b"theirs")
        uow.photos.insert(photo)
        uow.planned_routes.save(account.id, [(task.id, "dropoff")])
        uow.geofences.insert(geofence)
        assert uow.geofence_stays.enter(geofence.id, account.id, now)
        uow.alerts.raise_once("late", order.id, "晚", "late")
        uow.stop_visits.arrive(order, StopRole.DROPOFF, account.id, now)
        uow.stop_visits.finish(order, StopRole.DROPOFF, account.id, now)
        uow.delays.tell(order, now)
        uow.runner_plans.save(plan)
        uow.runner_plans.save_pause(pause)
        uow.zones.save(zone)
        uow.pins.save(pin)
        uow.escalations.save(escalation)
        uow.arrivals.save_figures(ArrivalFigures(served_at_ms=1))
        uow.arrivals.save_paces([(account.id, "bike", RunnerPace().seen(0.5, 1.0, 11))])
        uow.credit.append(credit)
        assert uow.credit_appeals.insert(appeal)
        assert uow.coupons.grant(coupon)
        return uow.alerts.open_alerts()[0], uow.memberships.get(account.id)

    alert, membership = await books.store.run(there, insert)
    return SimpleNamespace(
        account=account, order=order, task=task, open_task=open_task, offer=offer, decision=decision, event=event,
        photo=photo, alert=alert, membership=membership, now=now, geofence=geofence, credit=credit, appeal=appeal,
        refused_task=refused_task, plan=plan, pause=pause, zone=zone, pin=pin, escalation=escalation, coupon=coupon,
    )  # fmt: skip


async def rows_of(books: Any, campus_id: str) -> dict[str, list[Any]]:
    """Every row of a campus, of every table that has campuses."""

    def dump(unit: Any) -> dict[str, list[Any]]:
        connection = unit._scope.connection
        return {
            table.name: sorted(
                str(row) for row in connection.execute(table.select().where(table.c.campus_id == campus_id))
            )
            for table in tables.metadata.tables.values()
            if "campus_id" in table.c
        }

    dumped: dict[str, list[Any]] = await books.store.read_global(dump)
    return dumped


async def test_another_campus_is_not_there_and_cannot_be_touched(books: Any) -> None:
    theirs = await fill(books)
    before = await rows_of(books, books.there)
    empty_tables = {name for name, rows in before.items() if not rows}
    assert empty_tables == {"sessions", "sign_in_codes", "links"}, "signing in has no unit of work"
    for name, ask in ASKED.items():
        try:
            answer = await books.store.run(books.here, lambda uow, ask=ask: ask(uow, theirs))
        except NotFound:
            continue
        assert not answer, f"{name} sees another campus: {answer}"
    for ask in OWN.values():
        await books.store.run(books.here, lambda uow, ask=ask: ask(uow, theirs))
    for name, ask in REFUSED.items():
        with pytest.raises(AssertionError):
            await books.store.run(books.here, lambda uow, ask=ask: ask(uow, theirs))
        assert await rows_of(books, books.there) == before, name
    assert await rows_of(books, books.there) == before


def test_every_method_of_every_repository_is_asked() -> None:
    unit = UnitOfWork(*(SimpleNamespace() for _ in range(5)))  # type: ignore[arg-type]
    assert sorted(name for name in vars(unit) if name not in ("campus_id", "now", "new_id")) == sorted(REPOSITORIES)
    methods = {
        f"{repository}.{name}"
        for repository in REPOSITORIES
        for name, _ in inspect.getmembers(type(getattr(unit, repository)), inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == set(ASKED) | set(REFUSED) | set(OWN)


def test_every_table_of_a_campus_carries_it() -> None:
    without = {table.name for table in tables.metadata.tables.values() if "campus_id" not in table.c}
    assert without == {"schema_version", "accounts", "campuses", "leases", "lockouts"}
