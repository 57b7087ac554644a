"""The audit log as the campus team reads it."""

from __future__ import annotations

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.audit import AuditEntry
from ..model.operator_views import AuditPage, AuditRow
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .order_view import ms


async def audit(ctx: Context, who: Principal, *, limit: int = 50, before: str | None = None) -> AuditPage:
    """A page of the campus's audit log, newest first."""
    who.require(Permission.AUDIT_READ)

    def read(uow: UnitOfWork) -> list[AuditRow]:
        entries = uow.audit.page(limit, before)
        names = {
            account.id: account.name for account in uow.accounts.many({entry.actor_id for entry in entries}).values()
        }
        return [_row(entry, names.get(entry.actor_id, entry.actor_id)) for entry in entries]

    rows = await ctx.store.read(who.campus_id, read)
    return AuditPage(rows=rows, next_before=rows[-1].id if len(rows) == limit else None)


def _row(entry: AuditEntry, actor: str) -> AuditRow:
    return AuditRow(
        id=entry.id, at_ms=ms(entry.at), actor=actor, action=entry.action, subject=entry.subject, reason=entry.reason,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
    )  # fmt: skip
