"""An account as itself or as the campus team sees it."""

from __future__ import annotations

from ..access.permissions import effective_roles, permissions_of
from ..model.account import Account, Membership, Role, masked_phone
from ..model.views import AccountView


def account_view(
    account: Account,
    membership: Membership,
    campus_name: str,
    *,
    roles: frozenset[Role] | None = None,
    is_own: bool = False,
) -> AccountView:
    """``roles``: those of the session, where it is narrower than the membership. Others see the phone masked."""
    counted = effective_roles(membership) if roles is None else roles
    return AccountView(
        id=account.id,
        name=account.name,
        phone=account.phone if is_own else masked_phone(account.phone),
        language=account.language,
        campus_id=membership.campus_id,
        campus_name=campus_name,
        roles=sorted(map(str, counted)),
        permissions=sorted(map(str, permissions_of(counted))),
        runner_status=str(membership.runner_status),
        is_blocked=account.is_blocked,
    )
