"""Alarms, pure: what is wrong now, and what of it is to be told. Each opens once, is repeated seldom, and closes by
itself when its cause is gone. A kind is a code with parameters; the words are the page's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta, tzinfo
from typing import Literal

import msgspec

from payments.reconcile.business_day import CHINA

AlarmKind = Literal[
    "quiet",  # nobody has paid for a while, and somebody should have
    "suspicious_payments",  # payments that need a person
    "callbacks_missing",  # payments come in and their callbacks do not: notify_url, firewall, allow-list
    "callbacks_refused",  # callbacks come in that are not proved to be the provider's: keys, clock, an attack
    "breaker_open",  # a channel is passed over
    "provider_refuses",  # a provider does not know our signature, withholds a right, or calls us too often
    "reconciliation_differs",  # items of work wait
    "bill_missing",  # a day could not be reconciled
    "certificate_expires",
    "hold_expires",  # money is held so long that the institution will soon let it go
    "refund_overdue",  # a payer waits for money
]

#: Seconds after which an open alarm is told again.
REPEAT_S: Mapping[AlarmKind, float] = {
    "quiet": 1800.0,
    "suspicious_payments": 14400.0,
    "callbacks_missing": 3600.0,
    "callbacks_refused": 3600.0,
    "breaker_open": 1800.0,
    "provider_refuses": 3600.0,
    "reconciliation_differs": 86400.0,
    "bill_missing": 86400.0,
    "certificate_expires": 86400.0,
    "hold_expires": 43200.0,
    "refund_overdue": 14400.0,
}

#: What only one process sees may be unseen for so long before it counts as over: others look, too.
LINGER_S: Mapping[AlarmKind, float] = {"breaker_open": 180.0, "provider_refuses": 180.0}

#: How a callback may fare that was not taken for the provider's own.
REFUSED = frozenset({"bad", "unknown", "error"})

#: Days before a certificate's end at which it is told anew.
CERTIFICATE_DAYS = (30, 14, 7, 1, 0)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something is an alarm; seconds, unless the name says otherwise."""

    quiet_s: float = 900.0
    #: So long a payer may take without being counted as one who tried in vain; and how many must have.
    time_to_pay_s: float = 300.0
    asked: int = 1
    #: More payments of an hour without their callback than this.
    ghosts: int = 3
    #: More refused callbacks of an hour than this.
    refused_callbacks: int = 5
    breaker_open_s: float = 300.0
    #: More complaints of a provider's within a quarter of an hour than this.
    complaints: int = 3
    bill_missing_s: float = 86400.0
    hold_days: int = 25
    #: How long a refund or a release may take.
    refund_s: float = 86400.0


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong now. ``campus_id`` "" means all of them; a higher ``step`` is worse, and told at once."""

    kind: AlarmKind
    campus_id: str = ""
    subject: str = ""
    step: int = 0
    parameters: dict[str, str | int] = {}

    @property
    def key(self) -> tuple[AlarmKind, str, str]:
        return self.kind, self.campus_id, self.subject


class AlarmView(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it stands. ``times``: how often it was told so far."""

    id: str
    kind: AlarmKind
    campus_id: str
    subject: str
    step: int
    parameters: dict[str, str | int]
    times: int
    opened_at: datetime
    told_at: datetime
    seen_at: datetime
    closed_at: datetime | None = None

    @property
    def key(self) -> tuple[AlarmKind, str, str]:
        return self.kind, self.campus_id, self.subject


# -- the facts ----------------------------------------------------------------------------------------------------


class ServiceHours(msgspec.Struct, frozen=True, kw_only=True):
    """When a campus is served, by its own clocks: the begin counts, the end does not. Over midnight is possible; from
    an hour to the same one is always."""

    campus_id: str
    zone: tzinfo = CHINA
    opens: time = time(7, 0)
    closes: time = time(23, 0)

    def is_open(self, at: datetime) -> bool:
        clock = at.astimezone(self.zone).time()
        if self.opens < self.closes:
            return self.opens <= clock < self.closes
        return clock >= self.opens or clock < self.closes


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What a campus's payers did in the last while, and in the same while a week ago."""

    campus_id: str
    asked: int
    paid: int
    paid_last_week: int


class GhostHour(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's payments of the hour from ``begins_at`` on; ``ghosts`` were proved by a query or a bill alone."""

    channel: str
    begins_at: datetime
    payments: int
    ghosts: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Things of one kind that wait too long, per campus or channel: how many, and the oldest."""

    of: str
    count: int
    oldest_at: datetime
    oldest: str


class OpenBreaker(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a channel that is passed over, and for how many seconds so far."""

    channel: str
    operation: str
    open_s: float


class Complaining(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that would not serve us in the last quarter of an hour, why, and how often."""

    channel: str
    reason: str
    count: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate or key in use, and its end."""

    name: str
    expires_at: datetime


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the rules look at."""

    hours: Sequence[ServiceHours] = ()
    flows: Sequence[Flow] = ()
    suspicious: Sequence[Waiting] = ()
    ghosts: Sequence[GhostHour] = ()
    refused_callbacks: Mapping[str, int] = {}
    breakers: Sequence[OpenBreaker] = ()
    complaints: Sequence[Complaining] = ()
    items: Mapping[str, int] = {}
    bills: Sequence[Waiting] = ()
    certificates: Sequence[Certificate] = ()
    holds: Sequence[Waiting] = ()
    refunds: Sequence[Waiting] = ()


# -- the rules ----------------------------------------------------------------------------------------------------


def causes(facts: Facts, limits: Limits, now: datetime, already: Collection[tuple[AlarmKind, str, str]]) -> list[Cause]:
    """Everything that is wrong now; ``already``: the alarms that are open."""
    return [
        *_quiet(facts, limits, now, already),
        *_waiting("suspicious_payments", facts.suspicious, now),
        *_callbacks(facts, limits),
        *_breakers(facts.breakers, limits),
        *_complaints(facts.complaints, limits),
        *(
            Cause(kind="reconciliation_differs", subject=channel, parameters={"channel": channel, "items": count})
            for channel, count in facts.items.items()
            if count
        ),
        *(
            Cause(kind="bill_missing", subject=late.of, parameters=_counted(late, now) | {"channel": late.of})
            for late in facts.bills
        ),
        *_certificates(facts.certificates, now),
        *_waiting("hold_expires", facts.holds, now),
        *_waiting("refund_overdue", facts.refunds, now),
    ]


def _quiet(
    facts: Facts, limits: Limits, now: datetime, already: Collection[tuple[AlarmKind, str, str]]
) -> Iterable[Cause]:
    flows = {flow.campus_id: flow for flow in facts.flows}
    for hours in facts.hours:
        # The whole time must lie in the service hours: one that has just opened was not quiet, it was closed.
        if not (hours.is_open(now) and hours.is_open(now - timedelta(seconds=limits.quiet_s))):
            continue
        flow = flows.get(hours.campus_id) or Flow(campus_id=hours.campus_id, asked=0, paid=0, paid_last_week=0)
        # Once it is open only a payment or the end of the day ends it: people who gave up prove nothing.
        is_open = ("quiet", hours.campus_id, "") in already
        if flow.paid == 0 and (flow.asked >= limits.asked or flow.paid_last_week or is_open):
            yield Cause(
                kind="quiet",
                campus_id=hours.campus_id,
                parameters={
                    "minutes": int(limits.quiet_s // 60),
                    "asked": flow.asked,
                    "paid_last_week": flow.paid_last_week,
                },
            )


def _callbacks(facts: Facts, limits: Limits) -> Iterable[Cause]:
    for hour in facts.ghosts:
        if hour.ghosts > limits.ghosts:
            yield Cause(
                kind="callbacks_missing",
                subject=hour.channel,
                parameters={
                    "channel": hour.channel,
                    "ghosts": hour.ghosts,
                    "payments": hour.payments,
                    "advice": "notify_url,firewall,allow_list",
                },
            )
    for channel, count in facts.refused_callbacks.items():
        if count > limits.refused_callbacks:
            yield Cause(
                kind="callbacks_refused",
                subject=channel,
                parameters={"channel": channel, "refused": count, "advice": "platform_key,clock,sender"},
            )


def _breakers(breakers: Iterable[OpenBreaker], limits: Limits) -> Iterable[Cause]:
    for breaker in breakers:
        if breaker.open_s >= limits.breaker_open_s:
            yield Cause(
                kind="breaker_open",
                subject=f"{breaker.channel}:{breaker.operation}",
                parameters={
                    "channel": breaker.channel,
                    "operation": breaker.operation,
                    "minutes": int(breaker.open_s // 60),
                },
            )


def _complaints(complaints: Iterable[Complaining], limits: Limits) -> Iterable[Cause]:
    by_channel: dict[str, list[Complaining]] = {}
    for each in complaints:
        by_channel.setdefault(each.channel, []).append(each)
    for channel, found in by_channel.items():
        refused = sum(each.count for each in found)
        if refused > limits.complaints:
            most = max(found, key=lambda each: each.count)
            yield Cause(
                kind="provider_refuses",
                subject=channel,
                parameters={"channel": channel, "refused": refused, "reason": most.reason},
            )


def _certificates(certificates: Iterable[Certificate], now: datetime) -> Iterable[Cause]:
    for certificate in certificates:
        left_days = (certificate.expires_at - now) / timedelta(days=1)
        step = sum(left_days <= days for days in CERTIFICATE_DAYS)
        if step:
            yield Cause(
                kind="certificate_expires",
                subject=certificate.name,
                step=step,
                parameters={"name": certificate.name, "days": max(0, int(left_days)), "is_over": int(left_days <= 0)},
            )


def _waiting(kind: AlarmKind, found: Iterable[Waiting], now: datetime) -> Iterable[Cause]:
    for waiting in found:
        yield Cause(kind=kind, campus_id=waiting.of, parameters=_counted(waiting, now))


def _counted(waiting: Waiting, now: datetime) -> dict[str, str | int]:
    hours = int((now - waiting.oldest_at).total_seconds() // 3600)
    return {"count": waiting.count, "oldest": waiting.oldest, "hours": hours}


# -- what is told -------------------------------------------------------------------------------------------------


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it is from now on, and what is said of it: nothing, when only its figures changed."""

    alarm: AlarmView
    what: Literal["opened", "repeated", "over", "nothing"]


def judge(found: Iterable[Cause], open_alarms: Iterable[AlarmView], now: datetime, new_id: str) -> list[Telling]:
    """What becomes of the alarms; a new one's id begins with ``new_id``."""
    still = {alarm.key: alarm for alarm in open_alarms}
    tellings: list[Telling] = []
    for cause in {cause.key: cause for cause in found}.values():
        alarm = still.pop(cause.key, None)
        if alarm is None:
            opened = AlarmView(
                id=f"{new_id}-{len(tellings) + 1}",
                kind=cause.kind,
                campus_id=cause.campus_id,
                subject=cause.subject,
                step=cause.step,
                parameters=cause.parameters,
                times=1,
                opened_at=now,
                told_at=now,
                seen_at=now,
            )
            tellings.append(Telling(alarm=opened, what="opened"))
            continue
        is_worse = cause.step > alarm.step
        is_time = now >= alarm.told_at + timedelta(seconds=REPEAT_S[alarm.kind])
        is_told = is_worse or is_time
        changed = msgspec.structs.replace(
            alarm,
            step=max(cause.step, alarm.step),
            parameters=cause.parameters,
            times=alarm.times + is_told,
            told_at=now if is_told else alarm.told_at,
            seen_at=now,
        )
        tellings.append(Telling(alarm=changed, what="repeated" if is_told else "nothing"))
    for alarm in still.values():
        if now >= alarm.seen_at + timedelta(seconds=LINGER_S.get(alarm.kind, 0.0)):
            tellings.append(Telling(alarm=msgspec.structs.replace(alarm, closed_at=now), what="over"))
    return tellings
