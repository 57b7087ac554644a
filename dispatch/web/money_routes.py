"""The URLs of the campus team's money: who may use each, what it takes, what it answers, which flow it runs."""

from __future__ import annotations

from ..access.permissions import Permission as P
from ..flow import show_coupons, watch_console, watch_money, work_money
from ..model import coupon_views as kv
from ..model import money_views as mv
from ..model import operator_views as ov
from . import queries as qs
from .route import Call, Raw, Route


def _table(text: str, name: str) -> Raw:
    # The mark tells spreadsheets that it is UTF-8.
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Raw(b"\xef\xbb\xbf" + text.encode(), "text/csv; charset=utf-8", headers=headers)


async def _run_csv(call: Call) -> Raw:
    return _table(await watch_money.run_csv(call.ctx, call.me, call.id), f"reconciliation-{call.id}")


async def _items_csv(call: Call) -> Raw:
    return _table(await watch_money.items_table(call.ctx, call.me), "work-items")


async def _refunds(call: Call) -> mv.Refunds:
    return await watch_money.refunds(call.ctx, call.me, limit=call.query.limit, only_open=call.query.only_open)


async def _cases(call: Call) -> mv.RiskCases:
    q = call.query
    return await watch_money.risk_cases(call.ctx, call.me, limit=q.limit, before=q.before, only_open=q.only_open)


MONEY_ROUTES: tuple[Route, ...] = (
    Route("GET", "/money", P.MONEY_READ, lambda c: watch_console.money(c.ctx, c.me), ov.MoneyView,
          "The campus's money, from the books"),
    Route("GET", "/money/overview", P.MONEY_READ, lambda c: watch_money.overview(c.ctx, c.me), mv.MoneyOverview,
          "Today's money, the channels and how long nobody has paid"),
    Route("GET", "/money/alarms", P.MONEY_READ, lambda c: watch_money.alarms(c.ctx, c.me, c.query.limit),
          mv.MoneyAlarms, "Open alarms in words, with what to do", query=qs.Few),
    Route("GET", "/money/callbacks", P.MONEY_READ, lambda c: watch_money.callbacks(c.ctx, c.me, c.query.hours),
          mv.CallbackTallies, "Payments per channel and hour, and those that no callback told of", query=qs.InHours),
    Route("GET", "/orders/{id}/money-trace", P.MONEY_READ,
          lambda c: watch_money.trace(c.ctx, c.me, c.id, c.query.limit), mv.TraceView,
          "What happened to an order's money, step by step", query=qs.Many),
    Route("GET", "/money/runs", P.MONEY_READ, lambda c: watch_money.runs(c.ctx, c.me, c.query.limit), mv.RunList,
          "Reconciliation by day and channel", query=qs.Few),
    Route("POST", "/money/runs", P.MONEY_MANAGE, lambda c: work_money.reconcile(c.ctx, c.me, c.body), mv.RunView,
          "Reconcile a channel's day now, or once more; audited", request=mv.AskRun, key="optional"),
    Route("GET", "/money/runs/{id}", P.MONEY_READ, lambda c: watch_money.run(c.ctx, c.me, c.id, c.query.limit),
          mv.RunWithItems, "One day of a channel, and what differed", query=qs.Many),
    Route("GET", "/money/runs/{id}/csv", P.MONEY_READ, _run_csv, bytes, "What differed, as a table"),
    Route("GET", "/money/items", P.MONEY_READ, lambda c: watch_money.items(c.ctx, c.me, c.query.limit),
          mv.WorkItems, "Differences that need a person", query=qs.Few),
    Route("GET", "/money/items/csv", P.MONEY_READ, _items_csv, bytes, "The same, as a table"),
    Route("POST", "/money/items/{id}/take", P.MONEY_MANAGE,
          lambda c: work_money.take_item(c.ctx, c.me, c.id, c.body), mv.WorkItem, "Look into it oneself; audited",
          request=mv.TakeItem, key="optional"),
    Route("POST", "/money/items/{id}/close", P.MONEY_MANAGE,
          lambda c: work_money.close_item(c.ctx, c.me, c.id, c.body), mv.WorkItem, "It is settled, and why; audited",
          request=mv.CloseItem, key="optional"),
    Route("GET", "/money/refunds", P.MONEY_READ, _refunds, mv.Refunds, "Refunds and their deadlines",
          query=qs.ListRefunds),
    Route("GET", "/money/coupons", P.MONEY_READ,
          lambda c: show_coupons.campus_coupons(c.ctx, c.me, limit=c.query.limit, before=c.query.before),
          kv.CampusCoupons, "What coupons the campus gives, gave, and what they cost", query=qs.ListCoupons),
    Route("GET", "/money/risk-cases", P.MONEY_READ, _cases, mv.RiskCases, "What risk objected to",
          query=qs.ListCases),
    Route("POST", "/money/risk-cases/{id}/review", P.MONEY_MANAGE,
          lambda c: work_money.review_risk(c.ctx, c.me, c.id, c.body), mv.RiskCaseView,
          "Let it go on, or refuse it, and why; audited", request=mv.ReviewRisk, key="optional"),
)  # fmt: skip
