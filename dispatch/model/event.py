"""Events: what became true, who hears of it, and what that does to whom they watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    ORDER_PLACED = "order_placed"
    PAYMENT_READY = "payment_ready"  # a credential waits to be paid
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_JUDGED = "payment_judged"  # risk objects to a payment, or does not any more
    ORDER_PAID = "order_paid"
    TASK_OFFERED = "task_offered"
    OFFER_DECLINED = "offer_declined"
    OFFER_EXPIRED = "offer_expired"
    OFFER_WITHDRAWN = "offer_withdrawn"
    TASK_ASSIGNED = "task_assigned"
    TASK_REASSIGNED = "task_reassigned"
    TASK_REOPENED = "task_reopened"  # taken from a runner, waits again
    RUNNER_ARRIVING = "runner_arriving"  # will be at the drop-off within a minute
    RUNNER_AT_STOP = "runner_at_stop"  # by position; the runner is asked to confirm
    RUNNER_ARRIVED = "runner_arrived"
    ORDER_PICKED_UP = "order_picked_up"
    ORDER_DELIVERED = "order_delivered"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_SETTLED = "order_settled"
    ORDER_CLOSED = "order_closed"
    ORDER_REFUNDED = "order_refunded"  # money of it is back with its student
    ORDER_RATED = "order_rated"
    MONEY_ALERT = "money_alert"  # a release, refund or payout failed: a person looks
    ORDER_LATE = "order_late"  # the promise is broken, or will be by what is expected now
    ALERT_RAISED = "alert_raised"  # a person of the campus team should look
    RUNNER_ON_DUTY = "runner_on_duty"
    RUNNER_OFF_DUTY = "runner_off_duty"
    ACCOUNT_BLOCKED = "account_blocked"
    GEOFENCE_ENTERED = "geofence_entered"
    GEOFENCE_LEFT = "geofence_left"
    GEOFENCE_DWELLED = "geofence_dwelled"  # was inside for as long as the fence asks
    CREDIT_CHANGED = "credit_changed"
    ORDER_ESCALATED = "order_escalated"  # nobody took it for so long that the next step began
    ORDER_CALLED = "order_called"  # whoever is free is called to it
    ORDER_FREED = "order_freed"  # it is not kept for one runner any more
    ORDER_HELD = "order_held"  # the campus team keeps it for one runner
    WAIT_OR_CANCEL = "wait_or_cancel"  # nobody comes: the student may wait on or have everything back
    COUPON_GRANTED = "coupon_granted"  # to the order's student
    RUNNER_PAUSED = "runner_paused"  # a break began or ended
    WITHDRAWAL_HELD = "withdrawal_held"  # a person looks at it before it is paid
    WITHDRAWAL_APPROVED = "withdrawal_approved"  # somebody has, and it is on its way
    WITHDRAWAL_TO_CONFIRM = "withdrawal_to_confirm"  # its runner has to say yes in the provider's app
    WITHDRAWAL_PAID = "withdrawal_paid"
    WITHDRAWAL_FAILED = "withdrawal_failed"  # not all of it could be paid, or it was refused
    ACCESS_CHANGED = "access_changed"  # a session ended or roles changed: every worker asks the books again


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox. ``subject_id`` is the order (or account) it is about, ``version`` that thing's version:
    events of one subject are published in the order of (version, id). ``payload`` is public to the order's parties;
    ``private`` maps an audience (``student`` | ``runner`` | ``operator``) to what only it may see."""

    id: str
    campus_id: str
    kind: EventKind
    subject_id: str
    version: int
    at: datetime
    payload: Mapping[str, Any]
    actor_id: str | None = None
    student_id: str | None = None
    runner_id: str | None = None
    former_runner_id: str | None = None
    private: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """What one topic hears of an event.

    ``watch``: whose position the topic's state lane carries from now on (``""``: nobody's, None: unchanged);
    ``close``: the topic ends after this event, with this code.
    """

    topic: str
    kind: EventKind
    data: Mapping[str, Any]
    watch: str | None = None
    close: str | None = None


def order_topic(order_id: str) -> str:
    return f"order:{order_id}"


def runner_topic(account_id: str) -> str:
    return f"runner:{account_id}"


def hall_topic(campus_id: str) -> str:
    return f"hall:{campus_id}"


def console_topic(campus_id: str) -> str:
    return f"console:{campus_id}"


_K = EventKind
_STUDENT_SEES = frozenset(EventKind) - {
    _K.TASK_OFFERED, _K.OFFER_DECLINED, _K.OFFER_EXPIRED, _K.OFFER_WITHDRAWN, _K.MONEY_ALERT,
    _K.RUNNER_ON_DUTY, _K.RUNNER_OFF_DUTY, _K.ACCOUNT_BLOCKED, _K.ACCESS_CHANGED, _K.CREDIT_CHANGED,
    _K.GEOFENCE_ENTERED, _K.GEOFENCE_LEFT, _K.GEOFENCE_DWELLED, _K.ORDER_ESCALATED, _K.ORDER_CALLED, _K.ORDER_FREED,
    _K.ORDER_HELD, _K.RUNNER_PAUSED, _K.ALERT_RAISED, _K.WITHDRAWAL_HELD, _K.WITHDRAWAL_APPROVED, _K.WITHDRAWAL_PAID,
    _K.WITHDRAWAL_TO_CONFIRM, _K.WITHDRAWAL_FAILED,
}  # fmt: skip
_RUNNER_SEES = frozenset({
    _K.TASK_OFFERED, _K.OFFER_EXPIRED, _K.OFFER_WITHDRAWN, _K.OFFER_DECLINED, _K.TASK_ASSIGNED, _K.TASK_REASSIGNED,
    _K.RUNNER_AT_STOP, _K.RUNNER_ARRIVED, _K.ORDER_PICKED_UP, _K.ORDER_DELIVERED, _K.ORDER_CONFIRMED,
    _K.ORDER_CANCELLED, _K.ORDER_SETTLED, _K.ORDER_RATED, _K.ORDER_LATE, _K.RUNNER_ON_DUTY, _K.RUNNER_OFF_DUTY,
    _K.ACCOUNT_BLOCKED, _K.CREDIT_CHANGED, _K.RUNNER_PAUSED, _K.WITHDRAWAL_HELD, _K.WITHDRAWAL_APPROVED,
    _K.WITHDRAWAL_TO_CONFIRM, _K.WITHDRAWAL_PAID, _K.WITHDRAWAL_FAILED,
})  # fmt: skip
_HALL_SEES = frozenset({
    _K.ORDER_PAID, _K.TASK_REOPENED, _K.TASK_ASSIGNED, _K.TASK_REASSIGNED, _K.ORDER_CANCELLED, _K.ORDER_CALLED,
    _K.ORDER_FREED,
})  # fmt: skip
#: The hall learns that an order may be taken or is gone; who took it and why it was cancelled is its parties' business.
_HALL_KEYS = ("order_id", "version", "status")
_STARTS_WATCH = frozenset({_K.TASK_ASSIGNED, _K.TASK_REASSIGNED})
_ENDS_WATCH = frozenset({_K.TASK_REOPENED, _K.ORDER_DELIVERED, _K.ORDER_CANCELLED})


def is_for_parties(kind: EventKind) -> bool:
    """Whether the student of an order may read of it; the search for a runner is the campus team's business."""
    return kind in _STUDENT_SEES


def publications(event: Event) -> Iterator[Publication]:
    """Everybody who hears of ``event``. Pure: the relay, a replay and a test get the same answer."""
    private = event.private or {}
    base = dict(event.payload)

    def told(audience: str) -> dict[str, Any]:
        return base | dict(private.get(audience, {}))

    watch = event.runner_id if event.kind in _STARTS_WATCH else "" if event.kind in _ENDS_WATCH else None
    is_about_order = event.subject_id.startswith("ord_")
    if is_about_order and event.kind in _STUDENT_SEES:
        ended = event.kind in (_K.ORDER_SETTLED, _K.ORDER_CLOSED)
        yield Publication(
            order_topic(event.subject_id), event.kind, told("student"), watch, "order_ended" if ended else None
        )
    if event.kind in _RUNNER_SEES and event.runner_id:
        yield Publication(runner_topic(event.runner_id), event.kind, told("runner"))
    if event.former_runner_id and event.former_runner_id != event.runner_id:
        yield Publication(runner_topic(event.former_runner_id), event.kind, {**base, "taken_away": True})
    if event.kind in _HALL_SEES and not _is_unpaid(event):
        data = {name: base[name] for name in _HALL_KEYS if name in base} | dict(private.get("hall", {}))
        yield Publication(hall_topic(event.campus_id), event.kind, data)
    yield Publication(console_topic(event.campus_id), event.kind, told("operator"))


def _is_unpaid(event: Event) -> bool:
    """Whether the order has no task: nobody paid for it, so no hall ever showed it."""
    return event.payload.get("task_status", "") is None
