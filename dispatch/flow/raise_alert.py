"""Raises an alert: once per kind and subject, on the console at once."""

from __future__ import annotations

import msgspec

from ..model import ids
from ..model.alert import Alert
from ..model.event import Event, EventKind
from ..model.operator_views import AlertView
from ..model.order import Order
from ..store.unit_of_work import UnitOfWork
from .instants import ms
from .tell import tell


def raise_alert(
    uow: UnitOfWork, kind: str, subject_id: str, text_zh: str, text_en: str, order: Order | None = None
) -> bool:
    """Whether it is new. ``order``: the order that it is about, if it is about one."""
    if not uow.alerts.raise_once(kind, subject_id, text_zh, text_en):
        return False
    alert = uow.alerts.find(kind, subject_id)
    assert alert is not None, "it was raised in this transaction"
    shown = msgspec.to_builtins(alert_view(alert))
    if order is not None:
        tell(uow, EventKind.ALERT_RAISED, order, uow.tasks.by_order(order.id), alert=shown)
        return True
    uow.outbox.add(
        Event(
            id=uow.new_id(ids.EVENT),
            campus_id=uow.campus_id,
            kind=EventKind.ALERT_RAISED,
            subject_id=subject_id,
            version=0,
            at=uow.now,
            payload={"alert": shown},
        )
    )
    return True


def alert_view(alert: Alert) -> AlertView:
    return AlertView(
        id=alert.id,
        kind=alert.kind,
        at_ms=ms(alert.raised_at),
        order_id=alert.order_id,
        text_zh=alert.text_zh,
        text_en=alert.text_en,
        is_acknowledged=alert.is_acknowledged,
        account_id=alert.account_id,
    )
