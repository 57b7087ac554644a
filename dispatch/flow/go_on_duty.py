"""A runner comes on duty, and what their page shows: the offer, the errands, the hall, the wallet."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from geo.datum import Datum, from_wgs84
from geo.fix import Fix
from geo.point import Point

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.account import RunnerStatus
from ..model.campus import CampusSettings
from ..model.errors import NotPermitted
from ..model.event import EventKind
from ..model.hall_views import HallItem, HallView
from ..model.offer import Offer, OfferStatus, is_expired
from ..model.order import Order, OrderStatus
from ..model.requests import SetDuty
from ..model.views import OfferView, RunnerStateView, StopView
from ..model.wallet_views import WalletLine, WalletView
from ..store.unit_of_work import UnitOfWork
from .answer_offer import give_back
from .availability import rules_of_runner, rules_of_waiting
from .campus_ground import CampusGround
from .context import Context
from .credit_limits import credit_limits
from .order_view import People, Viewer, ms, order_view, stop_view
from .payment_view import intent_id
from .payout_account import payout_account
from .read_orders import convert
from .route import next_first
from .settle_order import due_to_fen, runner_pay_fen
from .tell import tell_about_account
from .withdraw import own_withdrawals, to_confirm

#: The hall shows this many orders, the nearest first.
HALL_LIMIT = 60


async def set_duty(ctx: Context, who: Principal, request: SetDuty) -> RunnerStateView:
    """Come on or go off duty. Whoever goes off keeps what they carry, and gets nothing new."""

    def change(uow: UnitOfWork) -> None:
        member = uow.memberships.get(who.account_id)
        if member.runner_status is not RunnerStatus.APPROVED:
            raise NotPermitted("the campus team has not approved you as a runner yet")
        if (member.is_on_duty, member.vehicle) != (request.is_on, request.vehicle):
            uow.memberships.save(replace(member, is_on_duty=request.is_on, vehicle=request.vehicle))
            pause = uow.runner_plans.pause(who.account_id)
            if request.is_on and not member.is_on_duty and pause.break_until is not None:
                uow.runner_plans.save_pause(replace(pause, break_until=None))
            for pending in [] if request.is_on else uow.offers.pending_of_runner(who.account_id):
                # Nobody waits out the deadline of an offer to somebody who has left.
                give_back(uow, pending, OfferStatus.DECLINED, reason="off_duty")
            kind = EventKind.RUNNER_ON_DUTY if request.is_on else EventKind.RUNNER_OFF_DUTY
            tell_about_account(uow, kind, who.account_id, actor_id=who.account_id, vehicle=request.vehicle)

    await ctx.store.run(who.campus_id, change)
    view = await state(ctx, who)
    if not request.is_on and not view.orders:
        await ctx.presence.remove(who.campus_id, [who.account_id])
        await ctx.bus.publish_gone(who.campus_id, [who.account_id])
    ctx.announce()
    return view


async def state(ctx: Context, who: Principal, datum: str = "wgs84") -> RunnerStateView:
    """Everything that the runner's page shows after a (re)load."""
    who.require(Permission.TASKS_CARRY)
    ground = await ctx.grounds.get(who.campus_id)
    fix = (await ctx.presence.get(who.campus_id, [who.account_id])).get(who.account_id)

    def read(uow: UnitOfWork) -> RunnerStateView:
        member = uow.memberships.get(who.account_id)
        offers = _offers(uow, who, ground, fix)
        carried = _carried_orders(uow, who)
        people = People.of(uow, carried)
        tasks = uow.tasks.by_orders([one.id for one in carried])
        settings = ground.campus.settings
        limits = credit_limits(member, settings)
        since = _day_start(ground, uow.now)
        rules, pause = rules_of_runner(uow, settings, member), uow.runner_plans.pause(who.account_id)
        done, _, on_time, late = uow.statistics.runner_day(who.account_id, since)
        return RunnerStateView(
            is_on_duty=member.is_on_duty,
            vehicle=member.vehicle,
            offer=offers[0] if offers else None,
            offers=offers,
            orders=[order_view(one, tasks.get(one.id), people, Viewer.RUNNER, settings, uow.now) for one in carried],
            today_orders=done,
            today_fen=sum(runner_pay_fen(one, settings) for one in _done_today(uow, who.account_id, since)),
            on_time_percent=round(100 * on_time / (on_time + late)) if on_time + late else None,
            credit=member.credit,
            report_every_ms=round(ctx.clock.real_s(ctx.options.report_every_s) * 1000),
            runner_status=str(member.runner_status),
            credit_level=str(limits.level),
            max_tasks=limits.max_tasks if limits.may_take else 0,
            excluded=None if rules.excluded is None else str(rules.excluded),
            until_ms=rules.until_ms,
            break_until_ms=_still(pause.break_until, uow.now),
            cool_until_ms=_still(pause.cool_until, uow.now),
        )

    view = await ctx.store.read(who.campus_id, read)
    wanted = Datum(datum)
    if wanted is Datum.WGS84:
        return view
    offers = [msgspec.structs.replace(offer, stops=_converted(offer.stops, wanted)) for offer in view.offers]
    orders = [convert(one, wanted) for one in view.orders]
    return msgspec.structs.replace(view, offer=offers[0] if offers else None, offers=offers, orders=orders)


def _offers(uow: UnitOfWork, who: Principal, ground: CampusGround, fix: Fix | None) -> list[OfferView]:
    """What the runner may answer now, the soonest to expire first."""
    pending = [offer for offer in uow.offers.pending_of_runner(who.account_id) if not is_expired(offer, uow.now)]
    orders = uow.orders.many(offer.order_id for offer in pending)
    return [offer_view(orders[offer.order_id], offer, ground, fix) for offer in pending]


def _still(at: datetime | None, now: datetime) -> int | None:
    """The instant while it lies ahead."""
    return ms(at) if at is not None and at > now else None


def _carried_orders(uow: UnitOfWork, who: Principal) -> list[Order]:
    """What the runner carries, the one whose stop is next first."""
    tasks = uow.tasks.held_by(who.account_id)
    orders = uow.orders.many(task.order_id for task in tasks)
    hand = [(task, orders[task.order_id]) for task in tasks]
    hand.sort(key=lambda each: each[1].assigned_at or each[1].placed_at)
    route = uow.planned_routes.of([who.account_id]).get(who.account_id, ())
    return next_first(hand, route)


def _done_today(uow: UnitOfWork, runner_id: str, since: datetime) -> list[Order]:
    statuses = [OrderStatus.DELIVERED, OrderStatus.CONFIRMED, OrderStatus.SETTLED]
    found = uow.orders.page(runner_id=runner_id, statuses=statuses, limit=100)
    return [order for order in found if order.delivered_at is not None and order.delivered_at >= since]


def _day_start(ground: CampusGround, now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(ground.campus.settings.time_zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _pickup_m(order: Order, ground: CampusGround, fix: Fix | None) -> int | None:
    if fix is None or not order.stops:
        return None
    first = order.stops[0]
    return round(ground.walkways.walk_m(fix.point, Point(first.lat, first.lon)))


def _public_stops(order: Order) -> list[StopView]:
    return [stop_view(stop, is_personal=False) for stop in order.stops]


def offer_view(order: Order, offer: Offer, ground: CampusGround, fix: Fix | None) -> OfferView:
    """An offer as its runner sees it before answering."""
    return OfferView(
        id=offer.id,
        order_id=order.id,
        task_id=offer.task_id,
        type_code=order.type_code,
        expires_at_ms=ms(offer.expires_at),
        offered_at_ms=ms(offer.offered_at),
        pay_fen=runner_pay_fen(order, ground.campus.settings),
        pickup_m=_pickup_m(order, ground, fix) or 0,
        trip_m=order.quote.distance_m,
        weight_g=order.weight_g,
        volume_ml=order.volume_ml,
        goods_cap_fen=order.quote.goods_cap_fen,
        promised_at_ms=ms(order.promised_at),
        stops=_public_stops(order),
        description=order.description,
    )


def hall_item(order: Order, ground: CampusGround, fix: Fix | None) -> HallItem:
    """A takeable order as the hall shows it."""
    return HallItem(
        order_id=order.id,
        type_code=order.type_code,
        pay_fen=runner_pay_fen(order, ground.campus.settings),
        pickup_m=_pickup_m(order, ground, fix),
        trip_m=order.quote.distance_m,
        weight_g=order.weight_g,
        volume_ml=order.volume_ml,
        goods_cap_fen=order.quote.goods_cap_fen,
        promised_at_ms=ms(order.promised_at),
        stops=_public_stops(order),
        description=order.description,
        version=order.version,
    )


async def hall(ctx: Context, who: Principal, datum: str = "wgs84") -> HallView:
    """The orders that this runner may take, the nearest pick-up first; where the campus or a zone gives orders out by
    itself, only those that nobody came for."""
    who.require(Permission.TASKS_CARRY)
    ground = await ctx.grounds.get(who.campus_id)
    settings = ground.campus.settings
    fix = (await ctx.presence.get(who.campus_id, [who.account_id])).get(who.account_id)

    def read(uow: UnitOfWork) -> list[HallItem]:
        member = uow.memberships.get(who.account_id)
        limits = credit_limits(member, settings)
        shown_from = uow.now - timedelta(seconds=limits.hall_delay_s)
        tasks = [task for task in uow.tasks.takeable() if task.opened_at <= shown_from] if limits.may_take else []
        orders = uow.orders.many(task.order_id for task in tasks)
        rules = rules_of_waiting(uow, settings, [(task, orders[task.order_id]) for task in tasks])
        zones = rules_of_runner(uow, settings, member).zones if tasks else None
        shown = (
            orders[task.order_id]
            for task in tasks
            if rules[task.id].is_in_hall and rules[task.id].may_have(who.account_id, zones)
        )
        items = [
            hall_item(order, ground, fix)
            for order in shown
            if order.student_id != who.account_id and not limits.forbids(order.quote.total_fen)
        ]
        return sorted(items, key=lambda item: (item.pickup_m if item.pickup_m is not None else 10**6, item.order_id))

    items = (await ctx.store.read(who.campus_id, read))[:HALL_LIMIT]
    wanted = Datum(datum)
    return HallView(
        items=[msgspec.structs.replace(item, stops=_converted(item.stops, wanted)) for item in items],
        mode=str(settings.mode),
    )


def _converted(stops: list[StopView], datum: Datum) -> list[StopView]:
    moved = []
    for stop in stops:
        lat, lon = from_wgs84(Point(stop.lat, stop.lon), datum)
        moved.append(msgspec.structs.replace(stop, lat=lat, lon=lon))
    return moved


async def wallet(ctx: Context, who: Principal) -> WalletView:
    """What is on its way (with the time it is released) and what is available, line by line."""
    who.require(Permission.TASKS_CARRY)
    ground = await ctx.grounds.get(who.campus_id)
    settings = ground.campus.settings

    unsettled = await ctx.store.read(who.campus_id, lambda uow: uow.orders.unsettled_of_runner(who.account_id))
    lines = [
        _pending_line(order, who.account_id, settings) for order in unsettled if not await _is_settling(ctx, order)
    ]
    pending = sorted(lines, key=lambda line: line.at_ms)
    balances = await ctx.payments.balances(who.account_id)
    statement = await ctx.payments.statement(who.account_id, limit=50)
    return WalletView(
        pending_fen=sum(line.amount_fen for line in pending) + balances.pending_fen,
        available_fen=balances.available_fen,
        withdrawing_fen=balances.withdrawing_fen,
        withdrawn_fen=balances.withdrawn_fen,
        pay_by_ms=None if balances.earliest_pay_by is None else ms(balances.earliest_pay_by),
        pending=pending,
        lines=[
            WalletLine(
                at_ms=ms(line.at),
                kind=line.kind,
                order_id=line.order_ref or None,
                amount_fen=line.amount_fen,
                balance_fen=line.balance_after_fen,
            )
            for line in statement
        ],
        withdrawals=(await own_withdrawals(ctx, who, limit=10)).withdrawals,
        to_confirm=await to_confirm(ctx, who),
        payout=(await payout_account(ctx, who)).channels,
    )


def _pending_line(order: Order, runner_id: str, settings: CampusSettings) -> WalletLine:
    """What the runner will get for a delivered order, and when."""
    delivered_at = order.delivered_at or order.placed_at
    confirmed_at = order.confirmed_at or delivered_at + timedelta(seconds=settings.auto_confirm_after_s)
    due_at = confirmed_at + timedelta(seconds=settings.settle_after_s)
    pay = due_to_fen(order, runner_id, settings)
    return WalletLine(at_ms=ms(due_at), kind="pending", order_id=order.id, amount_fen=pay, balance_fen=0)


async def _is_settling(ctx: Context, order: Order) -> bool:
    """Whether payments has begun to divide this order's money: then the runner's part is in its figures already."""
    if order.status is not OrderStatus.CONFIRMED:
        return False
    intent = await ctx.payments.view(intent_id(order.id))
    return intent is not None and intent.hold_state != "held"
