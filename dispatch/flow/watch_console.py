"""What an operator's console shows: orders, runners, figures beside yesterday's, alerts, money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec

from geo.datum import Datum, from_wgs84
from geo.fix import Fix
from geo.point import Point

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.operator_views import AlertView, ConsoleRunner, ConsoleView, KpiView, MoneyView
from ..model.order import Order
from ..model.views import OrderView
from ..store.unit_of_work import UnitOfWork
from .arrival import arrivals_of, hands_of
from .availability import exclusions
from .campus_ground import CampusGround
from .context import Context
from .dispatch_state import dispatch_states, with_dispatch
from .order_view import People, Viewer, ms, order_view
from .raise_alert import alert_view
from .read_orders import convert, recently_forced, undo_deadline

ALERT_LIMIT = 100


async def console(ctx: Context, who: Principal, datum: str = "wgs84") -> ConsoleView:
    """The snapshot; events and positions over the hub keep it true from then on."""
    who.require(Permission.ORDERS_READ_ANY)
    ground = await ctx.grounds.get(who.campus_id)
    fixes = await ctx.presence.all(who.campus_id)
    now_ms = ms(ctx.clock.now())
    fresh_ms = ctx.options.presence_ttl.total_seconds() * 1000

    def read(uow: UnitOfWork) -> ConsoleView:
        orders = uow.orders.active()
        held: dict[str, list[Order]] = {}
        for order in orders:
            if order.is_live and order.runner_id:
                held.setdefault(order.runner_id, []).append(order)
        runners = []
        excluded = exclusions(uow, ground.campus.settings)
        for member, account in uow.memberships.runners():
            carried = held.get(account.id, [])
            if not member.is_on_duty and not carried:
                continue
            fix = fixes.get(account.id)
            runners.append(
                ConsoleRunner(
                    id=account.id,
                    name=account.name,
                    vehicle=member.vehicle,
                    credit=member.credit,
                    is_on_duty=member.is_on_duty,
                    load=len(carried),
                    order_ids=[order.id for order in carried],
                    position=[fix.lat, fix.lon, float(fix.fixed_at_ms)] if fix else None,
                    is_late=any(order.promised_at < uow.now for order in carried),
                    credit_level=str(ground.campus.settings.credit.level_of(member.credit)),
                    excluded=excluded.get(account.id),
                )
            )
        online = sum(1 for fix in fixes.values() if now_ms - fix.fixed_at_ms <= fresh_ms)
        return ConsoleView(
            orders=operator_views(uow, orders, ground, fixes, ctx.options.undo_ttl),
            runners=runners,
            kpis=_kpis(uow, ground, online, sum(1 for runner in runners if runner.is_on_duty)),
            alerts=[alert_view(alert) for alert in uow.alerts.open_alerts(ALERT_LIMIT)],
            now_ms=now_ms,
        )

    return _converted(await ctx.store.read(who.campus_id, read), Datum(datum))


def operator_views(
    uow: UnitOfWork,
    orders: list[Order],
    ground: CampusGround,
    fixes: Mapping[str, Fix],
    undo_ttl: timedelta,
    people: People | None = None,
) -> list[OrderView]:
    """Orders as operators see them, with as few questions for two hundred as for one."""
    people = people or People.of(uow, orders)
    tasks = uow.tasks.by_orders([order.id for order in orders])
    photos = uow.photos.of_orders([order.id for order in orders])
    forced = recently_forced(uow, undo_ttl)
    runner_ids = {order.runner_id for order in orders if order.is_live and order.runner_id}
    hands = hands_of(uow, runner_ids, {order.id: order for order in orders})
    etas = arrivals_of(hands, people.members, fixes, ground, uow.now)
    states = dispatch_states(uow, ground.campus.settings, orders, tasks)
    views = [
        order_view(
            order,
            tasks.get(order.id),
            people,
            Viewer.OPERATOR,
            ground.campus.settings,
            uow.now,
            photo_ids=photos.get(order.id),
            undo_until=undo_deadline(uow, order, undo_ttl) if order.id in forced else None,
            eta=etas.get(order.id),
        )
        for order in orders
    ]
    return [with_dispatch(view, states.get(view.id), Viewer.OPERATOR) for view in views]


def _kpis(uow: UnitOfWork, ground: CampusGround, online: int, runners: int) -> KpiView:
    local = uow.now.astimezone(ZoneInfo(ground.campus.settings.time_zone))
    day_start = local.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = uow.orders.kpis(day_start, uow.now)
    return KpiView(
        active=counts["active"],
        unassigned=counts["unassigned"],
        late=counts["late"],
        online=online,
        runners=runners,
        done_today=counts["done_today"],
        done_yesterday=counts["done_yesterday"],
        turnover_today_fen=counts["turnover_today_fen"],
        students_today=counts["students_today"],
    )


async def acknowledge(ctx: Context, who: Principal, alert_id: str) -> AlertView:
    """An operator has seen it."""
    who.require(Permission.ORDERS_READ_ANY)
    return await ctx.store.run(who.campus_id, lambda uow: alert_view(uow.alerts.acknowledge(alert_id, who.account_id)))


async def money(ctx: Context, who: Principal) -> MoneyView:
    """The campus's money so far, from the payment module's books."""
    who.require(Permission.MONEY_READ)
    totals = await ctx.payments.totals(who.campus_id)
    return MoneyView(
        held_fen=totals.held_fen,
        captured_fen=totals.captured_fen,
        released_fen=totals.released_fen,
        refunded_fen=totals.refunded_fen,
        runner_fen=totals.runner_fen,
        campus_fen=totals.campus_fen,
        platform_fen=totals.platform_fen,
        subsidies_fen=totals.subsidies_fen,
    )


def _converted(view: ConsoleView, datum: Datum) -> ConsoleView:
    if datum is Datum.WGS84:
        return view
    runners = []
    for runner in view.runners:
        if runner.position is not None:
            moved = from_wgs84(Point(runner.position[0], runner.position[1]), datum)
            runner = msgspec.structs.replace(runner, position=[moved.lat, moved.lon, runner.position[2]])
        runners.append(runner)
    return msgspec.structs.replace(view, orders=[convert(one, datum) for one in view.orders], runners=runners)
