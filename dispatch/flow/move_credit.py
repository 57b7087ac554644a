"""What happened to an errand moves its runner's credit, in the transaction in which it happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ..model import credit as rule
from ..model import ids
from ..model.account import Membership, Role, RunnerStatus
from ..model.campus import CampusSettings
from ..model.credit import CreditCause, CreditEntry, CreditLevel, CreditReason, CreditRules
from ..model.event import EventKind
from ..model.offer import Offer, OfferStatus
from ..model.order import Order
from ..store.unit_of_work import UnitOfWork
from .raise_alert import raise_alert
from .tell import tell_about_account

#: The kind of the job by which a quiet time fades a score.
FADE = "fade_credit"
#: Whoever the rules act for.
SYSTEM = "system"
#: Small gains are heard of with the event that brought them.
_QUIET = frozenset({CreditReason.ON_TIME, CreditReason.WELL_RATED, CreditReason.FADED})
_WATCHED = frozenset({CreditLevel.LIMITED, CreditLevel.REMOVED})
_TOLD = {
    "limited": ("接单已受限", "takes fewer orders from now on"),
    "removed": ("已停止派单，请处理", "gets no orders until somebody decides"),
    "ended": ("已被自动清退", "was removed by rule"),
}


# --- the events -------------------------------------------------------------------------------------------------------


def credit_delivery(
    uow: UnitOfWork, order: Order, runner_id: str, settings: CampusSettings, *, distance_m: float | None = None
) -> None:
    """Handed over, in time or late; ``distance_m``: how far from the stop the button was pressed, where that is known.

    Call it with the delivered order.
    """
    assert order.delivered_at is not None, "a delivered order knows when"
    rules = settings.credit
    cause = rule.of_delivery(rules, order.delivered_at, order.promised_at, _fair_at(uow, order, runner_id, rules))
    if cause is not None:
        move(uow, settings, runner_id, cause, subject_id=order.id, order_id=order.id)
    if distance_m is not None:
        credit_tap(uow, order, runner_id, settings, distance_m)


def credit_tap(uow: UnitOfWork, order: Order, runner_id: str, settings: CampusSettings, distance_m: float) -> None:
    """A button was pressed this far from where it should be; once per order."""
    cause = rule.of_tap(settings.credit, distance_m)
    if cause is not None:
        move(uow, settings, runner_id, cause, subject_id=order.id, order_id=order.id)


def credit_rating(uow: UnitOfWork, order: Order, settings: CampusSettings) -> None:
    """The student rated the order. Call it with the rated order."""
    if order.rating is None or order.runner_id is None or order.delivered_at is None:
        return
    cause = rule.of_rating(settings.credit, order.rating, is_late=order.delivered_at > order.promised_at)
    if cause is not None:
        move(uow, settings, order.runner_id, cause, subject_id=order.id, order_id=order.id)


def credit_answer(uow: UnitOfWork, offer: Offer, status: OfferStatus, settings: CampusSettings) -> None:
    """An offer was declined or ran out. Call it after the offer was saved."""
    cause = None
    if status is OfferStatus.DECLINED:
        cause = rule.of_declined(settings.credit)
    elif status is OfferStatus.EXPIRED:
        since = day_start(settings, uow.now)
        cause = rule.of_ignored(settings.credit, uow.offers.count_of_runner(offer.runner_id, status, since))
    if cause is not None:
        move(uow, settings, offer.runner_id, cause, subject_id=offer.id, order_id=offer.order_id)


def credit_taken_back(uow: UnitOfWork, order: Order, why: str, settings: CampusSettings) -> None:
    """An operator takes the order from its runner, for this reason. Call it with the order as the runner had it."""
    cause = rule.of_taken_back(settings.credit, why)
    if cause is not None and order.runner_id is not None:
        move(uow, settings, order.runner_id, cause, subject_id=_handing(order.id, order.version), order_id=order.id)


def credit_given_back(
    uow: UnitOfWork, order: Order, runner_id: str, version: int, settings: CampusSettings, actor_id: str
) -> None:
    """The taking back at this version of the order was itself taken back: it costs nothing."""
    entry = uow.credit.find(runner_id, CreditReason.TAKEN_BACK, _handing(order.id, version))
    if entry is not None:
        reverse(uow, settings, entry, actor_id=actor_id, note="undo")


def fade_credit(uow: UnitOfWork, account_id: str, settings: CampusSettings) -> None:
    """A quiet time brings the score a step nearer to where it began."""
    last = uow.credit.last(account_id)
    if last is None:
        return
    due_at = last.at + timedelta(days=settings.credit.fade_after_days)
    cause = rule.of_quiet_time(settings.credit, last.balance)
    if cause is None:
        return
    if uow.now < due_at:
        uow.jobs.schedule(FADE, account_id, due_at)
    else:
        move(uow, settings, account_id, cause, subject_id=f"{account_id}/{last.number}")


# --- writing a line ---------------------------------------------------------------------------------------------------


def move(
    uow: UnitOfWork,
    settings: CampusSettings,
    account_id: str,
    cause: CreditCause,
    *,
    subject_id: str,
    order_id: str | None = None,
    actor_id: str | None = None,
    note: str = "",
) -> CreditEntry | None:
    """Write the line, once per reason and subject; the line, or None where nothing moved."""
    if uow.credit.find(account_id, cause.reason, subject_id) is not None:
        return None
    member = _opened(uow, uow.memberships.get(account_id), settings.credit)
    moved_today = 0
    if cause.daily is not None:
        moved_today = uow.credit.moved_since(account_id, cause.reason, day_start(settings, uow.now))
    delta = rule.bounded_delta(cause, member.credit, moved_today)
    if not delta and cause.reason is not CreditReason.REVERSED:
        return None
    bounded = replace(cause, delta=delta)
    entry = _append(
        uow, member, bounded, settings.credit, subject_id=subject_id, order_id=order_id, actor_id=actor_id, note=note
    )
    _schedule_fading(uow, entry, settings.credit)
    before, after = settings.credit.level_of(member.credit), settings.credit.level_of(entry.balance)
    if before is not after:
        _cross(uow, replace(member, credit=entry.balance, credit_lines=entry.number), before, after, settings, entry)
    if before is not after or cause.reason not in _QUIET:
        tell_about_account(
            uow, EventKind.CREDIT_CHANGED, account_id, actor_id=actor_id, credit=entry.balance, delta=delta,
            reason=str(cause.reason), level=str(after), former_level=str(before),
        )  # fmt: skip
    return entry


def reverse(
    uow: UnitOfWork, settings: CampusSettings, entry: CreditEntry, *, actor_id: str, note: str
) -> CreditEntry | None:
    """Take a line back by a line of its own; None where that was done before."""
    cause = CreditCause(CreditReason.REVERSED, -entry.delta, facts={"number": entry.number, "of": str(entry.reason)})
    return move(
        uow, settings, entry.account_id, cause, subject_id=entry.id, order_id=entry.order_id, actor_id=actor_id,
        note=note,
    )  # fmt: skip


def day_start(settings: CampusSettings, now: datetime) -> datetime:
    """Midnight at the campus."""
    return now.astimezone(ZoneInfo(settings.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def _opened(uow: UnitOfWork, member: Membership, rules: CreditRules) -> Membership:
    """The membership with a history: its first line carries the score that was there."""
    if member.credit_lines:
        return member
    opening = CreditCause(CreditReason.OPENING, member.credit)
    _append(uow, replace(member, credit=0), opening, rules, subject_id=member.account_id)
    return replace(member, credit_lines=1)


def _append(
    uow: UnitOfWork,
    member: Membership,
    cause: CreditCause,
    rules: CreditRules,
    *,
    subject_id: str,
    order_id: str | None = None,
    actor_id: str | None = None,
    note: str = "",
) -> CreditEntry:
    entry = CreditEntry(
        id=uow.new_id(ids.CREDIT),
        campus_id=uow.campus_id,
        account_id=member.account_id,
        number=member.credit_lines + 1,
        at=uow.now,
        delta=cause.delta,
        balance=member.credit + cause.delta,
        reason=cause.reason,
        subject_id=subject_id,
        rule_version=rules.version,
        order_id=order_id,
        facts=cause.facts,
        note=note,
        actor_id=actor_id,
    )
    uow.credit.append(entry)
    return entry


def _schedule_fading(uow: UnitOfWork, entry: CreditEntry, rules: CreditRules) -> None:
    if rule.of_quiet_time(rules, entry.balance) is None:
        uow.jobs.cancel(FADE, entry.account_id)
    else:
        uow.jobs.schedule(FADE, entry.account_id, entry.at + timedelta(days=rules.fade_after_days))


def _cross(
    uow: UnitOfWork,
    member: Membership,
    before: CreditLevel,
    after: CreditLevel,
    settings: CampusSettings,
    entry: CreditEntry,
) -> None:
    """Another level: a line that says so, and where it is a low one, a person hears of it."""
    facts = {"level": str(after), "former": str(before)}
    if after is CreditLevel.GOOD:
        # Once a month: a reward is not earned again by going down and up.
        month = f"{uow.now.astimezone(ZoneInfo(settings.time_zone)):%Y-%m}"
        if uow.credit.find(member.account_id, CreditReason.REWARDED, month) is None:
            _append(uow, member, CreditCause(CreditReason.REWARDED, 0, facts=facts), settings.credit, subject_id=month)
        return
    order = list(CreditLevel)
    if order.index(after) < order.index(before):
        return
    _append(
        uow, member, CreditCause(CreditReason.LEVEL_DOWN, 0, facts=facts), settings.credit, subject_id=entry.id,
        order_id=entry.order_id,
    )  # fmt: skip
    if after not in _WATCHED:
        return
    is_ended = after is CreditLevel.REMOVED and settings.credit.is_removal_automatic and _remove(uow, member, entry)
    name = uow.accounts.get(member.account_id).name
    zh, en = _TOLD["ended" if is_ended else str(after)]
    raise_alert(
        uow,
        f"credit_{after}",
        f"{member.account_id}:{entry.number}",
        f"骑手 {name} 信用分降至 {entry.balance}，{zh}",
        f"Runner {name}: credit fell to {entry.balance}, {en}",
    )


def _remove(uow: UnitOfWork, member: Membership, entry: CreditEntry) -> bool:
    """End the runner's role, unless something is in their hands: that has to be brought first, and a person decides."""
    if uow.tasks.held_by(member.account_id):
        return False
    now = uow.memberships.get(member.account_id)
    uow.memberships.save(
        replace(now, runner_status=RunnerStatus.REMOVED, roles=now.roles - {Role.RUNNER}, is_on_duty=False)
    )
    if now.is_on_duty:
        tell_about_account(uow, EventKind.RUNNER_OFF_DUTY, member.account_id, actor_id=None)
    tell_about_account(uow, EventKind.ACCESS_CHANGED, member.account_id, actor_id=None)
    uow.audit.add(
        SYSTEM, "credit.remove", member.account_id, f"the score fell to {entry.balance}",
        {"runner_status": str(now.runner_status)}, {"runner_status": str(RunnerStatus.REMOVED)},
    )  # fmt: skip
    return True


def _handing(order_id: str, version: int) -> str:
    return f"{order_id}@{version}"


def _fair_at(uow: UnitOfWork, order: Order, runner_id: str, rules: CreditRules) -> datetime:
    """By when this runner could have been there, counted from when the order was theirs and ready."""
    assert order.delivered_at is not None, "asked of delivered orders only"
    if order.delivered_at <= order.promised_at:
        return order.promised_at
    began = order.assigned_at or order.placed_at
    # What changed hands on its way began for this runner when they got it.
    given = [one.at for one in uow.decisions.for_order(order.id) if one.runner_id == runner_id]
    began = max([began, *given[:1], *([order.pickup_after] if order.pickup_after else [])])
    return began + timedelta(seconds=order.quote.duration_s * rules.fair_factor)
