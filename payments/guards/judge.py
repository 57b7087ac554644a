"""Judging, pure: each rule looks at a request and its history; the strictest objection decides and all are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from payments.guards.risk import (
    HISTORY_S,
    STRICTNESS,
    Amount,
    AnyRule,
    CouponBudget,
    CouponOnce,
    Frequency,
    Frozen,
    History,
    Kind,
    Novelty,
    Objection,
    RiskRequest,
    Seen,
    Sharing,
    Subject,
    Unusual,
    Verdict,
)


def judge(history: History, request: RiskRequest, rules: Sequence[AnyRule], now: datetime) -> Verdict:
    """What all rules together say. A part of a split group of which another part was judged is that one's equal."""
    objections: list[Objection] = []
    for rule in rules:
        if request.kind in rule.kinds and (said := _CHECKS[type(rule)](rule, history, request, now)) is not None:
            objections.append(
                Objection(decision=rule.decision, code=rule.code, challenge=rule.challenge, parameters=said)
            )
    if not objections:
        return Verdict()
    # Who showed their face need not be sent a code as well.
    worst = max(objections, key=lambda each: (STRICTNESS.index(each.decision), each.challenge == "face"))
    return Verdict(
        decision=worst.decision,
        code=worst.code,
        challenge=worst.challenge,
        parameters=worst.parameters,
        objections=tuple(objections),
    )


def wants(rules: Iterable[AnyRule], subject: Subject, kind: Kind) -> bool:
    """Whether any rule looks at the history of this subject."""
    return subject == "account" or any(
        kind in rule.kinds and getattr(rule, "subject", None) == subject and not isinstance(rule, Novelty)
        for rule in rules
    )


_Found = dict[str, int | str] | None


def _within(seen: Iterable[Seen], request: RiskRequest, now: datetime, window_s: float) -> list[Seen]:
    """Of the same kind, young enough, and neither this request itself nor another part of its group."""
    since = now - timedelta(seconds=window_s)
    return [
        each
        for each in seen
        if each.kind == request.kind
        and each.at > since
        and each.ref != request.ref
        and not (request.group and each.group == request.group)
    ]


def _frequency(rule: Frequency, history: History, request: RiskRequest, now: datetime) -> _Found:
    if rule.at_most_fen is not None and request.amount_fen > rule.at_most_fen:
        return None
    if getattr(request, rule.subject) is None:
        return None
    counted = [
        each
        for each in _within(getattr(history, rule.subject), request, now, rule.window_s)
        if (rule.at_most_fen is None or each.amount_fen <= rule.at_most_fen)
        and (not rule.only_troubled or each.decision != "allow")
    ]
    # The parts of a group are one payment, however many they are; that one may be small while its sum is not.
    count = 1 + len({each.group or each.ref for each in counted if rule.at_most_fen is None or not each.group})
    if (request.group and rule.at_most_fen is not None) or count <= rule.most:
        return None
    return {"count": count, "most": rule.most, "window_s": int(rule.window_s)}


def _amount(rule: Amount, history: History, request: RiskRequest, now: datetime) -> _Found:
    return {"amount_fen": request.amount_fen} if request.amount_fen > rule.above_fen else None


def _unusual(rule: Unusual, history: History, request: RiskRequest, now: datetime) -> _Found:
    past = [
        each.amount_fen
        for each in _within(history.account, request, now, rule.window_s)
        if each.decision in ("allow", "challenge")
    ]
    if len(past) < rule.least or request.amount_fen <= rule.above_fen:
        return None
    mean_fen = sum(past) // len(past)
    is_much_more = request.amount_fen > rule.times * mean_fen
    return {"amount_fen": request.amount_fen, "usual_fen": mean_fen} if is_much_more else None


def _novelty(rule: Novelty, history: History, request: RiskRequest, now: datetime) -> _Found:
    here = getattr(request, rule.subject)
    known = {getattr(each, rule.subject) for each in _within(history.account, request, now, rule.window_s)} - {None}
    is_new = here is not None and known and here not in known and request.amount_fen > rule.above_fen
    return {"amount_fen": request.amount_fen} if is_new else None


def _sharing(rule: Sharing, history: History, request: RiskRequest, now: datetime) -> _Found:
    if getattr(request, rule.subject) is None:
        return None
    past = _within(getattr(history, rule.subject), request, now, rule.window_s)
    accounts = {request.account, *(each.account for each in past)}
    return {"accounts": len(accounts), "most": rule.most} if len(accounts) > rule.most else None


def _frozen(rule: Frozen, history: History, request: RiskRequest, now: datetime) -> _Found:
    held = [each for each in history.account if each.is_open and each.kind == "pay" and each.ref != request.ref]
    return {"since_ms": int(held[-1].at.timestamp() * 1000)} if held else None


def _coupon_once(rule: CouponOnce, history: History, request: RiskRequest, now: datetime) -> _Found:
    had = [
        each
        for each in _within(history.account, request, now, HISTORY_S)
        if each.incident == request.incident and each.decision == "allow"
    ]
    return {"incident": request.incident} if had else None


def _coupon_budget(rule: CouponBudget, history: History, request: RiskRequest, now: datetime) -> _Found:
    if history.coupons_today_fen + request.amount_fen <= rule.daily_fen:
        return None
    return {"given_fen": history.coupons_today_fen, "daily_fen": rule.daily_fen}


_CHECKS: dict[type, Callable[[Any, History, RiskRequest, datetime], _Found]] = {
    Frequency: _frequency,
    Amount: _amount,
    Unusual: _unusual,
    Novelty: _novelty,
    Sharing: _sharing,
    Frozen: _frozen,
    CouponOnce: _coupon_once,
    CouponBudget: _coupon_budget,
}
