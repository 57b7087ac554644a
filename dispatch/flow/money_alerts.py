"""What payments wants a person to look at, as alerts of the console: raised once, at once, and closed by themselves."""

from __future__ import annotations

import logging

import msgspec

from payments import port
from payments.money import yuan
from payments.upkeep.alarms import CERTIFICATE_DAYS

from ..model import ids
from ..model.event import Event, EventKind
from ..model.order import Order
from ..store.unit_of_work import GlobalUnit, UnitOfWork
from .alarm_words import alarm_words
from .context import Context
from .raise_alert import alert_view, raise_alert

#: The kind of alert that stands for an alarm of payments, and for a payment that risk holds back.
ALARM, RISK_HELD = "money_alarm", "risk_held"
#: Who has taken note of an alert whose cause is gone.
NOBODY = "payments"
log = logging.getLogger(__name__)

OrderEvent = port.RefundOverdue | port.HoldExpiring | port.SubsidyOwed | port.RiskJudged


async def apply_alarms(ctx: Context, events: list[port.AnyEvent]) -> tuple[list[str], Exception | None]:
    """Apply what is about no order, in its order; the ids of what was applied, and what went wrong with the next."""
    names = {channel.code: (channel.name_zh, channel.name_en) for channel in ctx.payments.channels()}
    applied: list[str] = []
    for event in events:
        try:
            if isinstance(event, port.Alarm | port.AlarmOver):
                await ctx.store.run_global(lambda unit, told=event: _tell_campuses(unit, told, names))  # type: ignore[misc]
        except Exception as error:
            log.exception("a payments alarm could not be shown", extra={"fields": {"event": event.id}})
            return applied, error
        applied.append(event.id)
    return applied, None


def _tell_campuses(unit: GlobalUnit, event: port.Alarm | port.AlarmOver, names: dict[str, tuple[str, str]]) -> None:
    for campus in unit.campuses.all():
        if event.campus_id not in ("", campus.id):
            continue
        uow = unit.at(campus.id)
        if not uow.inbox.accept(event.id):
            continue
        if isinstance(event, port.AlarmOver):
            _close_steps(uow, event.alarm_id, len(CERTIFICATE_DAYS) + 1)
            continue
        words = alarm_words(event.kind, event.parameters, names)
        # Told again and not worse, it is the alert that somebody sees or has seen.
        if raise_alert(uow, ALARM, _subject(event.alarm_id, event.step), words.text_zh, words.text_en):
            _close_steps(uow, event.alarm_id, event.step)


def _subject(alarm_id: str, step: int) -> str:
    return f"{alarm_id}:{step}"


def _close_steps(uow: UnitOfWork, alarm_id: str, before: int) -> None:
    for step in range(before):
        close_alert(uow, ALARM, _subject(alarm_id, step))


def close_alert(uow: UnitOfWork, kind: str, subject_id: str, actor_id: str = NOBODY) -> None:
    """It leaves every console at once, if nobody has taken note of it before: its cause is gone, or somebody acted."""
    alert = uow.alerts.find(kind, subject_id)
    if alert is None or alert.is_acknowledged:
        return
    closed = uow.alerts.acknowledge(alert.id, actor_id)
    uow.outbox.add(
        Event(
            id=uow.new_id(ids.EVENT),
            campus_id=uow.campus_id,
            kind=EventKind.ALERT_RAISED,
            subject_id=subject_id,
            version=1,
            at=uow.now,
            payload={"alert": msgspec.to_builtins(alert_view(closed))},
        )
    )


def refund_arrived(uow: UnitOfWork, order: Order, refund_id: str) -> None:
    """The money is with its payer: nobody has to look any more."""
    close_alert(uow, "refund_overdue", _refund_subject(order, refund_id))


def _refund_subject(order: Order, refund_id: str) -> str:
    return f"{order.id}:{refund_id}"


def alert_order(uow: UnitOfWork, order: Order, event: OrderEvent) -> None:
    """An alert about an order's money, or the end of one."""
    code = order.id[-6:]
    match event:
        case port.RefundOverdue(amount_fen=fen):
            subject = _refund_subject(order, event.refund_id)
            text_zh = f"订单 {code} 的退款 ¥{yuan(fen)} 逾期未到账"
            raise_alert(
                uow, "refund_overdue", subject, text_zh, f"The refund of ¥{yuan(fen)} of {code} is overdue", order
            )
        case port.HoldExpiring(held_fen=fen, is_settled=False):
            day = event.expires_at.date().isoformat()
            text_zh = f"订单 {code} 冻结的 ¥{yuan(fen)} 将于 {day} 到期，尚未结算"
            text_en = f"The hold of ¥{yuan(fen)} of {code} ends on {day} and is not settled"
            raise_alert(uow, "hold_expiring", order.id, text_zh, text_en, order)
        case port.SubsidyOwed(amount_fen=fen):
            subject = f"{order.id}:{event.ref}:{event.receiver_ref}"
            text_zh = f"订单 {code}：补贴方 {event.account_ref} 尚欠 {event.receiver_ref} ¥{yuan(fen)}"
            text_en = f"{code}: {event.account_ref} owes {event.receiver_ref} ¥{yuan(fen)} of a subsidy"
            raise_alert(uow, "subsidy_owed", subject, text_zh, text_en, order)
        case port.RiskJudged(decision="hold"):
            text_zh = f"订单 {code} 的付款被风控暂停，请联系付款人并复核"
            text_en = f"Risk holds the payment of {code}: call the payer and review it"
            raise_alert(uow, RISK_HELD, order.id, text_zh, text_en, order)
        case port.RiskJudged():
            close_alert(uow, RISK_HELD, order.id)
