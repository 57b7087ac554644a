"""The rules of alarms: when something is wrong, how often it is told, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec
import pytest

from payments.reconcile.business_day import CHINA
from payments.upkeep.alarms import (
    REPEAT_S,
    AlarmView,
    Cause,
    Certificate,
    Complaining,
    Facts,
    Flow,
    GhostHour,
    Limits,
    OpenBreaker,
    ServiceHours,
    Waiting,
    causes,
    judge,
)

#: Noon in China.
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
CAMPUS = ServiceHours(campus_id="nu")
LIMITS = Limits()


def kinds(facts: Facts, now: datetime = NOON, already: Sequence[Cause] = ()) -> list[str]:
    return [cause.kind for cause in causes(facts, LIMITS, now, {cause.key for cause in already})]


def flow(asked: int = 0, paid: int = 0, paid_last_week: int = 0) -> list[Flow]:
    return [Flow(campus_id="nu", asked=asked, paid=paid, paid_last_week=paid_last_week)]


@pytest.mark.parametrize(
    ("flows", "is_alarm"),
    [
        ([], False),
        (flow(), False),
        (flow(asked=1), True),
        (flow(paid_last_week=1), True),
        (flow(asked=5, paid=1, paid_last_week=9), False),
        (flow(paid=1), False),
    ],
)
def test_quiet_needs_somebody_who_should_have_paid(flows: list[Flow], is_alarm: bool) -> None:
    assert kinds(Facts(hours=[CAMPUS], flows=flows)) == ["quiet"] * is_alarm


@pytest.mark.parametrize(
    ("clock", "is_alarm"),
    [
        (time(3, 0), False),
        (time(7, 0), False),
        (time(7, 14, 59), False),
        (time(7, 15), True),
        (time(22, 59, 59), True),
        (time(23, 0), False),
    ],
)
def test_quiet_nights_are_normal(clock: time, is_alarm: bool) -> None:
    """The hours include their begin and not their end; what has just opened was closed, not quiet."""
    now = datetime.combine(NOON.date(), clock, CHINA)
    assert kinds(Facts(hours=[CAMPUS], flows=flow(asked=3)), now) == ["quiet"] * is_alarm


def test_service_hours_may_run_over_midnight() -> None:
    hours = ServiceHours(campus_id="nu", opens=time(18, 0), closes=time(2, 0))
    open_at = {hour: hours.is_open(datetime.combine(NOON.date(), time(hour), CHINA)) for hour in (1, 2, 12, 17, 18, 23)}
    assert open_at == {1: True, 2: False, 12: False, 17: False, 18: True, 23: True}


def test_an_open_quiet_alarm_ends_with_a_payment_or_with_the_day() -> None:
    """That nobody tries any more is no sign of health."""
    already = [Cause(kind="quiet", campus_id="nu")]
    assert kinds(Facts(hours=[CAMPUS], flows=[]), NOON, already) == ["quiet"]
    assert kinds(Facts(hours=[CAMPUS], flows=flow(paid=1)), NOON, already) == []
    night = datetime.combine(NOON.date(), time(23, 1), CHINA)
    assert kinds(Facts(hours=[CAMPUS], flows=[]), night, already) == []


def test_more_than_a_few_callbacks_that_do_not_come() -> None:
    def hour(ghosts: int) -> Facts:
        return Facts(ghosts=[GhostHour(channel="wechat", begins_at=NOON, payments=50, ghosts=ghosts)])

    assert kinds(hour(3)) == []
    (cause,) = causes(hour(4), LIMITS, NOON, set())
    assert (cause.kind, cause.subject, cause.campus_id) == ("callbacks_missing", "wechat", "")
    assert cause.parameters["advice"] == "notify_url,firewall,allow_list"
    assert kinds(Facts(refused_callbacks={"wechat": 5})) == []
    assert kinds(Facts(refused_callbacks={"wechat": 6})) == ["callbacks_refused"]


def test_a_breaker_that_stays_open() -> None:
    def open_for(seconds: float) -> Facts:
        return Facts(breakers=[OpenBreaker(channel="wechat", operation="create", open_s=seconds)])

    assert kinds(open_for(299)) == []
    (cause,) = causes(open_for(660), LIMITS, NOON, set())
    assert (cause.subject, cause.parameters["minutes"]) == ("wechat:create", 11)


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (timedelta(days=31), 0),
        (timedelta(days=30), 1),
        (timedelta(days=14), 2),
        (timedelta(days=7), 3),
        (timedelta(days=1), 4),
        (timedelta(seconds=-1), 5),
    ],
)
def test_certificates_are_told_at_thirty_fourteen_seven_days_and_one(left: timedelta, step: int) -> None:
    found = causes(Facts(certificates=[Certificate(name="wechat", expires_at=NOON + left)]), LIMITS, NOON, set())
    assert [cause.step for cause in found] == [step] * (step > 0)
    assert all(cause.parameters["is_over"] == int(step == 5) for cause in found)


def test_what_waits_is_counted_with_its_oldest() -> None:
    waiting = [Waiting(of="nu", count=2, oldest_at=NOON - timedelta(hours=30), oldest="ord_7")]
    found = causes(
        Facts(
            suspicious=waiting,
            holds=waiting,
            refunds=waiting,
            bills=[msgspec.structs.replace(waiting[0], of="wechat")],
            items={"wechat": 2, "alipay": 0},
        ),
        LIMITS,
        NOON,
        set(),
    )
    assert [(cause.kind, cause.campus_id, cause.subject) for cause in found] == [
        ("suspicious_payments", "nu", ""),
        ("reconciliation_differs", "", "wechat"),
        ("bill_missing", "", "wechat"),
        ("hold_expires", "nu", ""),
        ("refund_overdue", "nu", ""),
    ]
    assert found[0].parameters == {"count": 2, "oldest": "ord_7", "hours": 30}


# -- telling ----------------------------------------------------------------------------------------------------------


class Room:
    """The alarms over time, as rows would keep them."""

    def __init__(self) -> None:
        self.open: list[AlarmView] = []
        self.at = NOON
        self.looks = 0

    def look(self, *found: Cause, after_s: float = 60) -> list[str]:
        self.at += timedelta(seconds=after_s)
        self.looks += 1
        tellings = judge(found, self.open, self.at, f"alarm_{self.looks}")
        changed = {telling.alarm.id: telling.alarm for telling in tellings}
        kept = {alarm.id: alarm for alarm in self.open} | changed
        self.open = [alarm for alarm in kept.values() if alarm.closed_at is None]
        return [telling.what for telling in tellings]


QUIET = Cause(kind="quiet", campus_id="nu")


def test_an_alarm_opens_once_is_repeated_seldom_and_closes_by_itself() -> None:
    room = Room()
    assert room.look(QUIET, QUIET) == ["opened"]
    whats = [room.look(QUIET) for _ in range(70)]
    assert whats.count(["repeated"]) == int(70 * 60 // REPEAT_S["quiet"]) == 2
    assert whats.count(["nothing"]) == 68
    assert [alarm.times for alarm in room.open] == [3]
    assert room.look() == ["over"]
    assert room.look() == []
    assert room.look(QUIET) == ["opened"]
    assert room.open[0].id != "alarm_1-1"


def test_worse_is_told_at_once_and_better_is_not() -> None:
    room = Room()
    certificate = Cause(kind="certificate_expires", subject="wechat", step=1)
    worse = msgspec.structs.replace(certificate, step=2, parameters={"days": 14})
    assert room.look(certificate) == ["opened"]
    assert room.look(worse) == ["repeated"]
    assert room.look(certificate) == ["nothing"]
    assert room.look(worse) == ["nothing"]
    assert room.open[0].parameters == {"days": 14}


def test_what_only_one_process_sees_is_not_over_when_another_looks() -> None:
    room = Room()
    breaker = Cause(kind="breaker_open", subject="wechat:create")
    assert room.look(breaker) == ["opened"]
    assert room.look() == []
    assert room.look(breaker) == ["nothing"]
    assert [room.look(), room.look(), room.look()] == [[], [], ["over"]]


def test_alarms_of_one_kind_stand_apart_by_campus_and_subject() -> None:
    room = Room()
    other = Cause(kind="quiet", campus_id="tj")
    assert room.look(QUIET, other) == ["opened", "opened"]
    assert len({alarm.id for alarm in room.open}) == 2
    assert room.look(other) == ["nothing", "over"]


def test_a_provider_that_refuses_us_now_and_then_is_none_that_refuses_us() -> None:
    def of(*counts: int) -> list[Cause]:
        found = [
            Complaining(channel="wechat", reason=f"http_{status}", count=count)
            for status, count in zip((401, 429), counts, strict=False)
        ]
        return causes(Facts(complaints=found), LIMITS, NOON, set())

    assert of() == of(3) == of(2, 1) == []
    (cause,) = of(2, 3)
    assert (cause.kind, cause.subject, cause.campus_id) == ("provider_refuses", "wechat", "")
    assert cause.parameters == {"channel": "wechat", "refused": 5, "reason": "http_429"}
