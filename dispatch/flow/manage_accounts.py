"""Accounts: one's own, and those of the campus that its team reviews, blocks and gives roles to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from ..access.passwords import hash_password
from ..access.permissions import Permission
from ..access.phones import normal_phone
from ..access.principal import Principal
from ..model import ids
from ..model.account import Account, Membership, Role, RunnerStatus
from ..model.errors import InvalidInput, NotFound, NotPermitted, WrongState
from ..model.event import EventKind
from ..model.operator_views import AccountPage
from ..model.requests import BlockAccount, EditProfile, ReviewRunner, SetRoles
from ..model.views import AccountView
from ..store.unit_of_work import GlobalUnit, UnitOfWork
from .account_view import account_view
from .context import Context
from .search_text import search_text
from .sign_in import end_all_sessions
from .tell import tell_about_account

_STAFF = frozenset({Role.OPERATOR, Role.ADMIN})


# --- one's own --------------------------------------------------------------------------------------------------------


async def me(ctx: Context, who: Principal) -> AccountView:
    """One's own account at this campus, in the roles of this session."""
    account, membership = await ctx.store.read(who.campus_id, lambda uow: _both(uow, who.account_id))
    return await _own_view(ctx, who, account, membership)


async def edit_profile(ctx: Context, who: Principal, request: EditProfile) -> AccountView:
    """Change one's own name or language."""
    if isinstance(request.name, str) and not request.name.strip():
        raise InvalidInput("a name has letters", field="name")

    def change(unit: GlobalUnit) -> None:
        account = unit.accounts.get(who.account_id)
        if request.name is not UNSET:
            account = replace(account, name=request.name.strip())
        if request.language is not UNSET:
            account = replace(account, language=request.language)
        unit.accounts.save(account)

    await ctx.store.run_global(change)
    return await me(ctx, who)


async def apply_as_runner(ctx: Context, who: Principal) -> AccountView:
    """Ask to become a runner; the campus team decides."""

    def apply(uow: UnitOfWork) -> tuple[Account, Membership]:
        account, membership = _both(uow, who.account_id)
        if membership.runner_status is RunnerStatus.REMOVED:
            raise WrongState(
                "you were removed as a runner; talk to the campus team", status=str(membership.runner_status)
            )
        if membership.runner_status is RunnerStatus.NONE:
            membership = replace(membership, runner_status=RunnerStatus.APPLIED)
            uow.memberships.save(membership)
        return account, membership

    account, membership = await ctx.store.run(who.campus_id, apply)
    return await _own_view(ctx, who, account, membership)


async def _own_view(ctx: Context, who: Principal, account: Account, membership: Membership) -> AccountView:
    campus = (await ctx.grounds.get(who.campus_id)).campus
    return account_view(account, membership, campus.name, roles=who.roles, is_own=True)


# --- the campus team's ------------------------------------------------------------------------------------------------


async def list_accounts(
    ctx: Context, who: Principal, *, q: str | None, role: str | None, limit: int, before: str | None
) -> AccountPage:
    """The accounts of the campus; ``q`` is a name's beginning, a whole phone number or an id."""
    who.require(Permission.ACCOUNTS_MANAGE)
    campus = (await ctx.grounds.get(who.campus_id)).campus
    wanted = Role(role) if role else None
    found = await ctx.store.read(
        who.campus_id, lambda uow: uow.memberships.page(q=search_text(q), role=wanted, limit=limit, before=before)
    )
    views = [account_view(account, membership, campus.name, roles=membership.roles) for membership, account in found]
    return AccountPage(accounts=views, next_before=views[-1].id if len(views) == limit else None)


async def block_account(ctx: Context, who: Principal, account_id: str, request: BlockAccount) -> AccountView:
    """Block or unblock somebody of this campus: their sessions end, their sockets close."""
    who.require(Permission.ACCOUNTS_MANAGE)
    now = ctx.tokens.now()

    def block(unit: GlobalUnit) -> tuple[Account, Membership]:
        uow = unit.at(who.campus_id)
        before, membership = _both(uow, account_id)
        check_rank(who, membership)
        if any(one.roles & _STAFF for one in unit.memberships_of(account_id) if one.campus_id != who.campus_id):
            # A block holds on every campus.
            raise NotPermitted("this account is on the team of another campus, where the block would hold too")
        after = replace(before, is_blocked=request.is_blocked)
        unit.accounts.save(after)
        if request.is_blocked:
            end_all_sessions(unit, account_id, now, actor_id=who.account_id)
            membership = _off_duty(uow, membership, who)
            tell_about_account(uow, EventKind.ACCOUNT_BLOCKED, account_id, actor_id=who.account_id)
        uow.audit.add(
            who.account_id, "block_account", account_id, request.reason,
            {"is_blocked": before.is_blocked}, {"is_blocked": after.is_blocked},
        )  # fmt: skip
        return after, membership

    account, membership = await ctx.store.run_global(block)
    ctx.announce()
    return await _team_view(ctx, who, account, membership)


async def review_runner(ctx: Context, who: Principal, account_id: str, request: ReviewRunner) -> AccountView:
    """Approve an application, take it back to ``applied``, or remove a runner."""
    who.require(Permission.ACCOUNTS_MANAGE)
    status = RunnerStatus(request.status)

    def review(uow: UnitOfWork) -> tuple[Account, Membership]:
        account, before = _both(uow, account_id)
        check_rank(who, before)
        if before.runner_status is RunnerStatus.NONE and status is not RunnerStatus.REMOVED:
            raise WrongState("this account has not applied", status=str(before.runner_status))
        is_runner = status is RunnerStatus.APPROVED
        roles = before.roles | {Role.RUNNER} if is_runner else before.roles - {Role.RUNNER}
        after = replace(before, runner_status=status, roles=roles)
        uow.memberships.save(after)
        if not is_runner:
            after = _off_duty(uow, after, who)
        tell_about_account(uow, EventKind.ACCESS_CHANGED, account_id, actor_id=who.account_id)
        uow.audit.add(who.account_id, "review_runner", account_id, request.reason, _standing(before), _standing(after))
        return account, after

    account, membership = await ctx.store.run(who.campus_id, review)
    ctx.announce()
    return await _team_view(ctx, who, account, membership)


async def set_roles(ctx: Context, who: Principal, account_id: str, request: SetRoles) -> AccountView:
    """Give an account its roles here; the role of a runner comes with an approved application."""
    who.require(Permission.CAMPUS_MANAGE)
    roles = frozenset(Role(role) for role in request.roles)
    if account_id == who.account_id and Role.ADMIN not in roles:
        raise NotPermitted("an admin cannot take this role from themselves; ask another admin")

    def change(uow: UnitOfWork) -> tuple[Account, Membership]:
        account, before = _both(uow, account_id)
        after = replace(before, roles=roles, runner_status=_status_with(before, roles))
        uow.memberships.save(after)
        if Role.RUNNER not in roles:
            after = _off_duty(uow, after, who)
        tell_about_account(uow, EventKind.ACCESS_CHANGED, account_id, actor_id=who.account_id)
        uow.audit.add(who.account_id, "set_roles", account_id, "", _standing(before), _standing(after))
        return account, after

    account, membership = await ctx.store.run(who.campus_id, change)
    ctx.announce()
    return await _team_view(ctx, who, account, membership)


def _status_with(membership: Membership, roles: frozenset[Role]) -> RunnerStatus:
    if Role.RUNNER in roles:
        return RunnerStatus.APPROVED
    return RunnerStatus.NONE if membership.runner_status is RunnerStatus.APPROVED else membership.runner_status


def _off_duty(uow: UnitOfWork, membership: Membership, who: Principal) -> Membership:
    """Gets no more offers; what is being carried stays theirs until an operator gives it to somebody else."""
    if not membership.is_on_duty:
        return membership
    membership = replace(membership, is_on_duty=False)
    uow.memberships.save(membership)
    tell_about_account(uow, EventKind.RUNNER_OFF_DUTY, membership.account_id, actor_id=who.account_id)
    return membership


def check_rank(who: Principal, membership: Membership) -> None:
    """Raises :class:`NotPermitted` unless this operator may decide about this member."""
    if membership.account_id == who.account_id:
        raise NotPermitted("nobody decides about themselves; ask somebody else of the campus team")
    if membership.roles & _STAFF and not who.may(Permission.CAMPUS_MANAGE):
        raise NotPermitted("only an admin decides about members of the campus team")


def _standing(membership: Membership) -> Mapping[str, Any]:
    return {"roles": sorted(map(str, membership.roles)), "runner_status": str(membership.runner_status)}


def _both(uow: UnitOfWork, account_id: str) -> tuple[Account, Membership]:
    return uow.accounts.get(account_id), uow.memberships.get(account_id)


async def _team_view(ctx: Context, who: Principal, account: Account, membership: Membership) -> AccountView:
    campus = (await ctx.grounds.get(who.campus_id)).campus
    return account_view(account, membership, campus.name, roles=membership.roles)


# --- the command line's -----------------------------------------------------------------------------------------------


async def create_account(
    ctx: Context,
    campus_id: str,
    phone: str,
    name: str,
    roles: frozenset[Role],
    *,
    password: str | None = None,
    password_hash: str | None = None,
    language: str = "zh-CN",
    vehicle: str = "walk",
) -> Account:
    """An account with these roles at the campus; one that has the phone already gets them added. A runner created so
    is approved. For the command line and demonstrations: over HTTP people sign in themselves."""
    await ctx.grounds.get(campus_id)
    if password is not None:
        password_hash = await asyncio.to_thread(hash_password, password)
    wanted = normal_phone(phone)

    def create(unit: GlobalUnit) -> Account:
        account = unit.accounts.by_phone(wanted)
        if account is None:
            account = Account(unit.new_id(ids.ACCOUNT), name, wanted, language, False, unit.now, password_hash)
            unit.accounts.insert(account)
        elif password_hash is not None:
            account = replace(account, password_hash=password_hash)
            unit.accounts.save(account)
        _join(unit.at(campus_id), account.id, roles, vehicle)
        return account

    return await ctx.store.run_global(create)


def _join(uow: UnitOfWork, account_id: str, roles: frozenset[Role], vehicle: str) -> None:
    try:
        before = uow.memberships.get(account_id)
    except NotFound:
        status = RunnerStatus.APPROVED if Role.RUNNER in roles else RunnerStatus.NONE
        uow.memberships.insert(Membership(account_id, uow.campus_id, roles, status, vehicle=vehicle))
        return
    both = before.roles | roles
    uow.memberships.save(replace(before, roles=both, runner_status=_status_with(before, both)))


async def create_admin(ctx: Context, campus_id: str, phone: str, name: str, password: str | None = None) -> Account:
    """The first account of a campus; everybody else's roles come from it."""
    password_hash = None if password is None else await asyncio.to_thread(hash_password, password)
    account = await create_account(ctx, campus_id, phone, name, frozenset({Role.ADMIN}), password_hash=password_hash)
    await ctx.store.run(
        campus_id,
        lambda uow: uow.audit.add(
            "system", "create_admin", account.id, "from the command line", None, {"roles": ["admin"]}
        ),
    )
    return account
