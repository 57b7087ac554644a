"""What the campus team sees of its money: the day, alarms, an order's trace, reconciliation, callbacks, risk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from payments.account import RefundView
from payments.guards.risk import RiskCase
from payments.port import ChannelView
from payments.reconcile.as_csv import items_csv
from payments.reconcile.view import UNFINISHED, ReconciliationView, Sums, WorkItemView
from payments.upkeep.alarms import REFUSED, AlarmView

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import NotFound
from ..model.money_views import (
    CallbackHour,
    CallbackTallies,
    ChannelHealth,
    DaySums,
    MoneyAlarms,
    MoneyAlarmView,
    MoneyOverview,
    MoneyToday,
    RefundPartView,
    RefundRow,
    Refunds,
    RiskCases,
    RiskCaseView,
    RiskObjection,
    RunList,
    RunView,
    RunWithItems,
    TraceEntry,
    TraceView,
    WorkItem,
    WorkItems,
)
from ..store.statistics import PaidDay
from .alarm_words import alarm_words
from .context import Context
from .instants import ms
from .move_credit import day_start
from .payment_health import ways
from .watch_console import money

#: The most that payments gives of any list.
MOST = 1000


# --- today ------------------------------------------------------------------------------------------------------------


async def overview(ctx: Context, who: Principal) -> MoneyOverview:
    """Today at a glance."""
    who.require(Permission.MONEY_READ)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings
    now = ctx.clock.now()
    begin = day_start(settings, now)
    day: PaidDay = await ctx.store.read(who.campus_id, lambda uow: uow.statistics.paid_day(begin))
    open_alarms = await _open_alarms(ctx, who)
    quiet_s = None if day.last_paid_at is None else (now - day.last_paid_at).total_seconds()
    return MoneyOverview(
        today=MoneyToday(
            day_start_ms=ms(begin), orders=day.orders, held_fen=day.held_fen, captured_fen=day.captured_fen,
            released_fen=day.released_fen, refunded_fen=day.refunded_fen,
        ),
        totals=await money(ctx, who),
        channels=await _channels(ctx, open_alarms),
        last_paid_at_ms=_ms(day.last_paid_at),
        quiet_min=int(quiet_s // 60) if quiet_s is not None and settings.is_open(now) else None,
        is_quiet=any(alarm.kind == "quiet" for alarm in open_alarms),
        now_ms=ms(now),
    )  # fmt: skip


async def _channels(ctx: Context, open_alarms: list[AlarmView]) -> list[ChannelHealth]:
    hours = await ctx.payments.ghosts(24)
    tallies = await ctx.payments.callback_tallies(ctx.clock.now() - timedelta(hours=24))
    health = []
    for channel in await ways(ctx):
        own = [alarm for alarm in open_alarms if alarm.parameters.get("channel") == channel.code]
        counted = [hour for hour in hours if hour.channel == channel.code]
        health.append(
            ChannelHealth(
                code=channel.code, name_zh=channel.name_zh, name_en=channel.name_en,
                is_available=channel.is_available, is_demo=channel.is_demo,
                payments_24h=sum(hour.payments for hour in counted), ghosts_24h=sum(hour.ghosts for hour in counted),
                refused_24h=sum(
                    tally.count for tally in tallies if tally.channel == channel.code and tally.outcome in REFUSED
                ),
                passed_over=[str(alarm.parameters["operation"]) for alarm in own if alarm.kind == "breaker_open"],
                problems=sorted({alarm.kind for alarm in own}),
            )
        )  # fmt: skip
    return health


async def callbacks(ctx: Context, who: Principal, hours: int = 24) -> CallbackTallies:
    """Payments per channel and hour, and those that no callback told of; channels serve all campuses of a server."""
    who.require(Permission.MONEY_READ)
    found = sorted(await ctx.payments.ghosts(hours), key=lambda hour: (hour.begins_at, hour.channel), reverse=True)
    return CallbackTallies(
        hours=[
            CallbackHour(
                channel=hour.channel, begins_at_ms=ms(hour.begins_at), payments=hour.payments, ghosts=hour.ghosts
            )
            for hour in found
        ]
    )


# --- alarms -----------------------------------------------------------------------------------------------------------


async def alarms(ctx: Context, who: Principal, limit: int = 50) -> MoneyAlarms:
    """The open ones of this campus and of all, in words, newest first."""
    who.require(Permission.MONEY_READ)
    names = _names(ctx.payments.channels())
    return MoneyAlarms(alarms=[_alarm_view(alarm, names) for alarm in (await _open_alarms(ctx, who))[:limit]])


async def _open_alarms(ctx: Context, who: Principal) -> list[AlarmView]:
    known = await ctx.payments.alarms(MOST, only_open=True)
    return [alarm for alarm in known if alarm.campus_id in ("", who.campus_id)]


def _names(channels: Iterable[ChannelView]) -> dict[str, tuple[str, str]]:
    return {channel.code: (channel.name_zh, channel.name_en) for channel in channels}


def _alarm_view(alarm: AlarmView, names: dict[str, tuple[str, str]]) -> MoneyAlarmView:
    words = alarm_words(alarm.kind, alarm.parameters, names)
    return MoneyAlarmView(
        id=alarm.id, kind=alarm.kind, subject=alarm.subject, step=alarm.step, times=alarm.times,
        opened_at_ms=ms(alarm.opened_at), told_at_ms=ms(alarm.told_at), is_everywhere=not alarm.campus_id,
        parameters=alarm.parameters, text_zh=words.text_zh, text_en=words.text_en, advice_zh=words.advice_zh,
        advice_en=words.advice_en,
    )  # fmt: skip


# --- one order --------------------------------------------------------------------------------------------------------


async def trace(ctx: Context, who: Principal, order_id: str, limit: int = 500) -> TraceView:
    """What happened to an order's money: attempts, requests, replies, callbacks, decisions."""
    who.require(Permission.MONEY_READ)
    order = await ctx.store.read(who.campus_id, lambda uow: uow.orders.get(order_id))
    rows = await ctx.payments.timeline(order.id, limit)
    entries = [
        TraceEntry(
            seq=row.seq, at_ms=ms(row.at), kind=row.kind, code=row.code, channel=row.channel, subject=row.subject,
            title_zh=row.title_zh, title_en=row.title_en, facts=row.facts,
        )
        for row in rows
    ]  # fmt: skip
    return TraceView(order_id=order.id, entries=entries, is_cut=len(entries) >= limit)


# --- reconciliation ---------------------------------------------------------------------------------------------------


async def runs(ctx: Context, who: Principal, limit: int = 50) -> RunList:
    """The runs of every channel, the newest day first."""
    who.require(Permission.MONEY_READ)
    found = await ctx.payments.reconciliations(limit)
    is_alone, now = await _is_only_campus(ctx), ctx.clock.now()
    return RunList(runs=[_run_view(run, now, is_alone=is_alone) for run in found])


async def run(ctx: Context, who: Principal, run_id: str, limit: int = MOST) -> RunWithItems:
    """One run, and this campus's differences."""
    who.require(Permission.MONEY_READ)
    found = await find_run(ctx, run_id)
    items = await ctx.payments.differences(run_id, limit, seen_by(who))
    return RunWithItems(run=await run_view(ctx, found), items=await item_views(ctx, who, items))


async def run_csv(ctx: Context, who: Principal, run_id: str) -> str:
    """This campus's differences of a run as a table."""
    who.require(Permission.MONEY_READ)
    await find_run(ctx, run_id)
    return items_csv(await ctx.payments.differences(run_id, MOST, seen_by(who)))


async def items(ctx: Context, who: Principal, limit: int = 100) -> WorkItems:
    """What needs a person, oldest first."""
    who.require(Permission.MONEY_READ)
    found = await ctx.payments.open_items(limit, seen_by(who))
    return WorkItems(items=await item_views(ctx, who, found))


async def items_table(ctx: Context, who: Principal) -> str:
    """The same as a table."""
    who.require(Permission.MONEY_READ)
    return items_csv(await ctx.payments.open_items(MOST, seen_by(who)))


async def find_item(ctx: Context, who: Principal, item_id: str) -> WorkItemView:
    """The item, open or not; raises :class:`NotFound`, also for another campus's."""
    item = await ctx.payments.work_item(item_id)
    if item is None or item.campus_id not in seen_by(who):
        raise NotFound("there is no such item here")
    return item


def seen_by(who: Principal) -> list[str]:
    """Whose items one sees: those of one's own campus; what nobody can tell the campus of is for administrators."""
    return [who.campus_id, ""] if who.may(Permission.CAMPUS_MANAGE) else [who.campus_id]


async def item_views(ctx: Context, who: Principal, found: list[WorkItemView]) -> list[WorkItem]:
    """Items with their handlers' names."""
    handlers = {item.handler for item in found if item.handler}
    names = await _people(ctx, who, handlers)
    return [
        WorkItem(
            id=item.id, run_id=item.run_id, channel=item.channel, day=item.day.isoformat(), kind=item.kind,
            cause=item.cause, what=item.what, number=item.number, transaction_id=item.transaction_id,
            campus_id=item.campus_id, order_id=item.order_ref, ours_fen=item.ours_fen, theirs_fen=item.theirs_fen,
            repair=item.repair, state=item.state, reason=item.reason, handler=item.handler,
            handler_name=names.get(item.handler, item.handler),
            is_mine=item.state in UNFINISHED and item.handler == who.account_id, tries=item.tries,
            found_at_ms=ms(item.found_at), changed_at_ms=ms(item.changed_at),
        )
        for item in found
    ]  # fmt: skip


async def _people(ctx: Context, who: Principal, account_ids: set[str]) -> dict[str, str]:
    if not account_ids:
        return {}
    accounts = await ctx.store.read(who.campus_id, lambda uow: uow.accounts.many(account_ids))
    return {account_id: account.name for account_id, account in accounts.items()}


async def find_run(ctx: Context, run_id: str) -> ReconciliationView:
    """The run; raises :class:`NotFound`."""
    found = await ctx.payments.reconciliation(run_id)
    if found is None:
        raise NotFound("there is no such run here")
    return found


async def _is_only_campus(ctx: Context) -> bool:
    return len(await ctx.store.read_global(lambda unit: unit.campuses.all())) == 1


async def run_view(ctx: Context, found: ReconciliationView) -> RunView:
    """A run as the campus team sees it."""
    return _run_view(found, ctx.clock.now(), is_alone=await _is_only_campus(ctx))


def _run_view(found: ReconciliationView, now: datetime, *, is_alone: bool) -> RunView:
    return RunView(
        id=found.id, channel=found.channel, day=found.day.isoformat(), state=found.state, reason=found.reason,
        tries=found.tries, lines=found.lines if is_alone else None,
        mismatches=found.mismatches if is_alone else None,
        theirs=_sums(found.sums.theirs) if is_alone else None, ours=_sums(found.sums.ours) if is_alone else None,
        ran_at_ms=_ms(found.ran_at), due_at_ms=_ms(found.due_at),
        is_under_way=found.due_at is not None and found.due_at <= now,
    )  # fmt: skip


def _sums(sums: Sums) -> DaySums:
    return DaySums(
        paid_fen=sums.paid_fen, refunded_fen=sums.refunded_fen, split_fen=sums.split_fen,
        taken_back_fen=sums.taken_back_fen, transferred_fen=sums.transferred_fen,
    )  # fmt: skip


# --- refunds ----------------------------------------------------------------------------------------------------------


async def refunds(ctx: Context, who: Principal, *, limit: int = 50, only_open: bool = False) -> Refunds:
    """This campus's refunds with their deadlines, newest first; ``only_open``: those that are under way."""
    who.require(Permission.MONEY_READ)
    found = await ctx.payments.refunds(campus_id=who.campus_id, is_open=True if only_open else None, limit=limit)
    return Refunds(refunds=[refund_row(each) for each in found])


def refund_row(each: RefundView) -> RefundRow:
    """A refund as the campus team sees it."""
    return RefundRow(
        id=each.refund_id, order_id=each.order_ref, amount_fen=each.amount_fen, state=each.state,
        reason=each.reason, asked_at_ms=ms(each.asked_at), due_by_ms=ms(each.due_by),
        done_at_ms=_ms(each.done_at), is_overdue=each.is_overdue,
        parts=[
            RefundPartView(
                path=part.path, party=part.party, account_ref=part.account_ref, amount_fen=part.amount_fen
            )
            for part in each.parts
        ],
    )  # fmt: skip


# --- risk -------------------------------------------------------------------------------------------------------------


async def risk_cases(
    ctx: Context, who: Principal, *, limit: int = 50, before: int | None = None, only_open: bool = False
) -> RiskCases:
    """What risk objected to at this campus, newest first."""
    who.require(Permission.MONEY_READ)
    found = await ctx.payments.risk_cases(who.campus_id, limit, before, only_open)
    cases = await case_views(ctx, who, found)
    return RiskCases(cases=cases, next_before=cases[-1].seq if len(cases) == limit else None)


async def case_views(ctx: Context, who: Principal, found: list[RiskCase]) -> list[RiskCaseView]:
    """Cases with the names of those they are about and of those who decided; no fingerprints."""
    names = await _people(ctx, who, {name for case in found for name in (case.account, case.decided_by) if name})
    views = []
    for case in found:
        intent = None if case.intent_id is None else await ctx.payments.view(case.intent_id)
        views.append(
            RiskCaseView(
                seq=case.seq, id=case.id, at_ms=ms(case.at), kind=case.kind, ref=case.ref,
                order_id="" if intent is None else intent.order_ref, account_id=case.account,
                account_name=names.get(case.account, case.account), amount_fen=case.amount_fen,
                decision=case.decision, code=case.code, challenge=case.challenge or "",
                objections=[
                    RiskObjection(code=each.code, decision=each.decision, parameters=each.parameters)
                    for each in case.objections
                ],
                standing=case.standing, needs_review=case.standing == "open" and case.decision == "hold",
                decided_at_ms=_ms(case.decided_at), decided_by_name=names.get(case.decided_by, case.decided_by),
                decided_because=case.decided_because,
            )
        )  # fmt: skip
    return views


def _ms(at: datetime | None) -> int | None:
    return None if at is None else ms(at)
