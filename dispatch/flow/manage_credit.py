"""Credit as people deal with it: a runner reads and appeals, the campus team reads, corrects, takes back, decides."""

from __future__ import annotations

from dataclasses import replace

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model import ids
from ..model.account import Role
from ..model.campus import CampusSettings
from ..model.credit import (
    FINAL,
    AppealStatus,
    CreditAppeal,
    CreditCause,
    CreditEntry,
    CreditReason,
    can_appeal,
    of_incident,
)
from ..model.credit_views import (
    AppealCredit,
    CreditLineView,
    CreditView,
    DecideAppeal,
    RecordCredit,
    ReverseCredit,
)
from ..model.errors import InvalidInput, NotFound, TooMany, WrongState
from ..model.event import EventKind
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .credit_view import LINES, credit_view, line_view
from .manage_accounts import check_rank
from .move_credit import move, reverse
from .raise_alert import raise_alert

#: The kind of the alert.
APPEALED = "credit_appeal"
_GIVEN = frozenset({EventKind.TASK_ASSIGNED, EventKind.TASK_REASSIGNED})


async def own_credit(ctx: Context, who: Principal, *, limit: int = LINES, before: int | None = None) -> CreditView:
    """One's own score and what moved it; somebody who was removed reads and appeals still."""
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings
    return await ctx.store.read(
        who.campus_id, lambda uow: credit_view(uow, who.account_id, settings, limit, before, is_own=True)
    )


async def credit_of(
    ctx: Context, who: Principal, account_id: str, *, limit: int = LINES, before: int | None = None
) -> CreditView:
    """Anybody's, for the campus team."""
    who.require(Permission.ACCOUNTS_MANAGE)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings
    return await ctx.store.read(who.campus_id, lambda uow: credit_view(uow, account_id, settings, limit, before))


async def record(ctx: Context, who: Principal, account_id: str, request: RecordCredit) -> CreditView:
    """Correct a score, or record an incident; audited."""
    who.require(Permission.ACCOUNTS_MANAGE)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings
    reason = CreditReason(request.kind)

    def change(uow: UnitOfWork) -> CreditView:
        member = uow.memberships.get(account_id)
        check_rank(who, member)
        if Role.RUNNER not in member.roles and not member.credit_lines:
            raise InvalidInput("this account has never been a runner", field="kind")
        if request.order_id is not None and not _had(uow, request.order_id, account_id):
            raise InvalidInput("this runner never had that order", field="order_id")
        entry = move(
            uow, settings, account_id, _cause(request, reason, settings), order_id=request.order_id,
            subject_id=request.order_id if reason is not CreditReason.CORRECTED and request.order_id
            else uow.new_id(ids.CREDIT),
            actor_id=who.account_id, note=request.reason.strip(),
        )  # fmt: skip
        if entry is None:
            raise WrongState("that is on record already, or the score cannot move any further that way")
        _audit(uow, who, f"credit.{reason}", entry, request.reason)
        return credit_view(uow, account_id, settings)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _cause(request: RecordCredit, reason: CreditReason, settings: CampusSettings) -> CreditCause:
    if reason is CreditReason.CORRECTED:
        if not request.delta:
            raise InvalidInput("say by how many points", field="delta")
        return CreditCause(reason, request.delta)
    if request.delta is not None:
        raise InvalidInput("what an incident costs is a rule; correct the score besides", field="delta")
    if request.order_id is None:
        raise InvalidInput("say with which order", field="order_id")
    return of_incident(settings.credit, reason)


def _had(uow: UnitOfWork, order_id: str, account_id: str) -> bool:
    order = uow.orders.find(order_id)
    if order is None:
        return False
    return account_id in {order.runner_id, order.goods_runner_id} or any(
        event.runner_id == account_id and event.kind in _GIVEN for event in uow.outbox.timeline(order_id, limit=200)
    )


async def reverse_line(ctx: Context, who: Principal, entry_id: str, request: ReverseCredit) -> CreditView:
    """Take a line back; audited. An appeal against it that waits is granted with it."""
    who.require(Permission.ACCOUNTS_MANAGE)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings

    def change(uow: UnitOfWork) -> CreditView:
        entry = uow.credit.get(entry_id)
        check_rank(who, uow.memberships.get(entry.account_id))
        _reverse(uow, who, entry, settings, request.reason)
        appeal = uow.credit_appeals.of_entries([entry.id]).get(entry.id)
        if appeal is not None and appeal.status is AppealStatus.OPEN:
            _decide(uow, appeal, entry, who, AppealStatus.GRANTED, request.reason)
        return credit_view(uow, entry.account_id, settings)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _reverse(uow: UnitOfWork, who: Principal, entry: CreditEntry, settings: CampusSettings, reason: str) -> None:
    if entry.reason in FINAL:
        raise WrongState(f"a line of the kind {entry.reason} cannot be taken back", reason=str(entry.reason))
    if uow.credit.reversed_among([entry]):
        raise WrongState("this line was taken back before")
    line = reverse(uow, settings, entry, actor_id=who.account_id, note=reason.strip())
    if line is None:
        raise WrongState("the score cannot move any further that way")
    _audit(uow, who, "credit.reverse", line, reason)


async def appeal(ctx: Context, who: Principal, entry_id: str, request: AppealCredit) -> CreditLineView:
    """A runner says why one of their lines is wrong; the console hears of it."""
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings

    def change(uow: UnitOfWork) -> CreditLineView:
        entry = uow.credit.get(entry_id)
        if entry.account_id != who.account_id:
            raise NotFound("there is no such line here")
        if not can_appeal(entry, settings.credit, uow.now) or uow.credit.reversed_among([entry]):
            raise WrongState("this line cannot be appealed any more")
        if uow.credit_appeals.count_open(who.account_id) >= settings.credit.open_appeals:
            raise TooMany("wait for what is decided about your other appeals", limit=settings.credit.open_appeals)
        made = CreditAppeal(
            id=uow.new_id(ids.APPEAL), campus_id=uow.campus_id, account_id=who.account_id, entry_id=entry.id,
            made_at=uow.now, text=request.text.strip(),
        )  # fmt: skip
        if not uow.credit_appeals.insert(made):
            raise WrongState("this line has been appealed before")
        name = uow.accounts.get(who.account_id).name
        raise_alert(
            uow,
            APPEALED,
            _alert_subject(entry),
            f"骑手 {name} 申诉信用记录第 {entry.number} 条",
            f"Runner {name} appeals line {entry.number} of their credit",
        )
        return line_view(entry, made, {}, settings, uow, is_reversed=False, is_own=True)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


async def decide_appeal(ctx: Context, who: Principal, appeal_id: str, request: DecideAppeal) -> CreditView:
    """Grant it, which takes the line back, or refuse it with an answer; audited."""
    who.require(Permission.ACCOUNTS_MANAGE)
    settings = (await ctx.grounds.get(who.campus_id)).campus.settings

    def change(uow: UnitOfWork) -> CreditView:
        found = uow.credit_appeals.get(appeal_id)
        check_rank(who, uow.memberships.get(found.account_id))
        if found.status is not AppealStatus.OPEN:
            raise WrongState("this appeal has been decided", status=str(found.status))
        status = AppealStatus.GRANTED if request.is_granted else AppealStatus.REFUSED
        entry = uow.credit.get(found.entry_id)
        _decide(uow, found, entry, who, status, request.answer)
        if request.is_granted:
            _reverse(uow, who, entry, settings, request.answer)
        uow.audit.add(
            who.account_id, "credit.appeal", found.account_id, request.answer, {"status": str(found.status)},
            {"status": str(status), "line": entry.number},
        )  # fmt: skip
        return credit_view(uow, found.account_id, settings)

    view = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return view


def _decide(
    uow: UnitOfWork, appeal: CreditAppeal, entry: CreditEntry, who: Principal, status: AppealStatus, answer: str
) -> None:
    """Write the decision; whoever decides has taken note of the alert."""
    uow.credit_appeals.decide(
        replace(appeal, status=status, decided_at=uow.now, decided_by=who.account_id, answer=answer.strip())
    )
    alert = uow.alerts.find(APPEALED, _alert_subject(entry))
    if alert is not None:
        uow.alerts.acknowledge(alert.id, who.account_id)


def _alert_subject(entry: CreditEntry) -> str:
    return f"{entry.account_id}:{entry.number}"


def _audit(uow: UnitOfWork, who: Principal, action: str, entry: CreditEntry, reason: str) -> None:
    uow.audit.add(
        who.account_id, action, entry.account_id, reason, {"credit": entry.balance - entry.delta},
        {"credit": entry.balance, "line": entry.number, "order_id": entry.order_id},
    )  # fmt: skip
