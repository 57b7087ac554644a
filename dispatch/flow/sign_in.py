"""Somebody signs in - by SMS code, password or one-time link - stays signed in, and signs out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..access.codes import SMS_CODE_TTL, new_link_code, new_sms_code
from ..access.passwords import hash_password, is_outdated, is_password
from ..access.permissions import effective_roles, roles_today
from ..access.phones import normal_phone
from ..access.principal import Principal
from ..model import ids
from ..model.account import Account, Membership, Role
from ..model.errors import (
    AccountBlocked,
    InvalidInput,
    LockedOut,
    NotFound,
    NotSignedIn,
    Refusal,
    SignInFailed,
    TooMany,
)
from ..model.event import EventKind
from ..model.requests import AskCode, ExchangeLink, SetPassword, SignIn
from ..model.session import Session
from ..model.views import SessionView, SocketTokenView
from ..notify.sms import SIGN_IN_CODE
from ..store.sessions import Holder
from ..store.tasks import InHand
from ..store.unit_of_work import GlobalUnit
from .account_view import account_view
from .context import Context
from .tell import tell_about_account

#: What somebody is called who signed in for the first time and has not said their name.
NEW_NAME = "同学"


#: Wrong codes or passwords before a phone is locked, and for how long.
MAX_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)


async def ask_code(ctx: Context, request: AskCode, ip: str) -> None:
    """Send a sign-in code. Whoever asks learns nothing about whether the phone is known."""
    await ctx.grounds.get(request.campus_id)
    phone = normal_phone(request.phone)
    for key, limit in (
        (f"code:phone:{ctx.tokens.digest('phone', phone).hex()}", ctx.options.limits.codes_per_phone_hour),
        (f"code:ip:{ip}", ctx.options.limits.codes_per_ip_hour),
        (f"code:campus:{request.campus_id}", ctx.options.limits.codes_per_campus_hour),
    ):
        if not await ctx.counters.hit(key, limit, 3600):
            raise TooMany("too many codes were asked for", retry_after_s=ctx.counters.retry_after_s(3600))
    code = new_sms_code()
    digest = _code_hash(ctx, phone, request.campus_id, code)
    now = ctx.tokens.now()

    def put(unit: GlobalUnit) -> None:
        sent_at = unit.codes.sent_at(phone, request.campus_id)
        if sent_at is not None and now < sent_at + ctx.options.limits.resend_gap:
            wait_s = (sent_at + ctx.options.limits.resend_gap - now).total_seconds()
            raise TooMany("a code was sent a moment ago; wait and ask again", retry_after_s=max(1, round(wait_s)))
        unit.codes.put(phone, request.campus_id, digest, now + SMS_CODE_TTL, now)

    await ctx.store.run_global(put)
    await ctx.sms.send(phone, SIGN_IN_CODE, {"code": code})


async def sign_in(ctx: Context, request: SignIn, ip: str) -> SessionView:
    """Sign in. A first sign-in by code makes the account, and a first one at a campus makes it a student there."""
    if (request.code is None) == (request.password is None):
        raise InvalidInput("give the code or the password", field="code")
    await ctx.grounds.get(request.campus_id)
    if not await ctx.counters.hit(
        f"signin:ip:{ip}", ctx.options.limits.tries_per_ip, ctx.options.limits.tries_per_ip_window_s
    ):
        raise TooMany(retry_after_s=ctx.counters.retry_after_s(ctx.options.limits.tries_per_ip_window_s))
    phone = normal_phone(request.phone)
    await _refuse_locked(ctx, phone)
    if request.code is not None:
        account = await _by_code(ctx, phone, request.campus_id, request.code)
    else:
        assert request.password is not None
        account = await _by_password(ctx, phone, request.campus_id, request.password)
    if account.is_blocked:
        raise AccountBlocked()
    return await open_session(ctx, account.id, request.campus_id)


async def _by_code(ctx: Context, phone: str, campus_id: str, code: str) -> Account:
    now = ctx.tokens.now()
    digest = _code_hash(ctx, phone, campus_id, code)

    def take(unit: GlobalUnit) -> Account | None:
        if not unit.codes.take(phone, campus_id, digest, now):
            _count_failure(unit, phone, now)
            return None
        unit.lockouts.clear(phone)
        account = _known_or_new(unit, phone)
        if all(one.campus_id != campus_id for one in unit.memberships_of(account.id)):
            student = Membership(account.id, campus_id, frozenset({Role.STUDENT}))
            unit.at(campus_id).memberships.insert(student)
        return account

    account = await ctx.store.run_global(take)
    if account is None:
        raise SignInFailed()
    return account


def _known_or_new(unit: GlobalUnit, phone: str) -> Account:
    account = unit.accounts.by_phone(phone)
    if account is None:
        account = Account(unit.new_id(ids.ACCOUNT), NEW_NAME, phone, "zh-CN", False, unit.now)
        unit.accounts.insert(account)
    return account


async def _by_password(ctx: Context, phone: str, campus_id: str, password: str) -> Account:
    def read(unit: GlobalUnit) -> Account | None:
        account = unit.accounts.by_phone(phone)
        if account is None or all(one.campus_id != campus_id for one in unit.memberships_of(account.id)):
            return None
        return account

    account = await ctx.store.read_global(read)
    stored = account.password_hash if account else None
    # Without an account the same work is done, so that the time it takes tells nothing.
    is_right = await asyncio.to_thread(is_password, stored, password)
    if account is None or stored is None or not is_right:
        await _fail(ctx, phone)
        raise SignInFailed()
    if is_outdated(stored):
        await _store_password(ctx, account.id, password)
    await ctx.store.run_global(lambda unit: unit.lockouts.clear(phone))
    return account


async def _fail(ctx: Context, phone: str) -> None:
    now = ctx.tokens.now()
    await ctx.store.run_global(lambda unit: _count_failure(unit, phone, now))


def _count_failure(unit: GlobalUnit, phone: str, now: datetime) -> None:
    lock_s = LOCKED_FOR.total_seconds()
    unit.lockouts.fail(phone, lock_after=MAX_FAILURES, lock_s=lock_s, window_s=lock_s, now=now)


async def _refuse_locked(ctx: Context, phone: str) -> None:
    # Also for phones that nobody has: a lock says nothing about an account.
    now = ctx.tokens.now()
    until = await ctx.store.read_global(lambda unit: unit.lockouts.locked_until(phone, now))
    if until is not None:
        raise LockedOut(retry_after_s=max(1, round((until - now).total_seconds())))


def _code_hash(ctx: Context, phone: str, campus_id: str, code: str) -> bytes:
    return ctx.tokens.digest("code", phone, campus_id, code)


# --- one-time links ---------------------------------------------------------------------------------------------------


async def create_link(
    ctx: Context, account_id: str, campus_id: str, roles: frozenset[Role] | None = None, ttl: timedelta | None = None
) -> str:
    """A code that opens one session for this account, narrowed to ``roles``; for the command line, never over HTTP."""
    code = new_link_code()
    digest = ctx.tokens.digest("link", code)
    expires_at = ctx.tokens.now() + (ttl or ctx.options.link_ttl)
    await ctx.store.run_global(lambda unit: unit.links.put(digest, account_id, campus_id, expires_at, roles))
    return code


async def exchange_link(ctx: Context, request: ExchangeLink) -> SessionView:
    """Exchange a one-time code for a session."""
    digest = ctx.tokens.digest("link", request.code)
    now = ctx.tokens.now()
    link = await ctx.store.run_global(lambda unit: unit.links.take(digest, now))
    if link is None:
        raise SignInFailed("this link was used before or is too old")
    return await open_session(ctx, link.account_id, link.campus_id, link.roles)


# --- sessions ---------------------------------------------------------------------------------------------------------


async def open_session(
    ctx: Context, account_id: str, campus_id: str, roles: frozenset[Role] | None = None
) -> SessionView:
    """A new session of somebody whose identity is proved."""
    now = ctx.tokens.now()
    session_id = ctx.new_id(ids.SESSION)
    refresh_token, refresh_hash = ctx.tokens.new_refresh(session_id)
    session = Session(
        session_id,
        account_id,
        campus_id,
        refresh_hash,
        now,
        now + timedelta(seconds=ctx.tokens.refresh_ttl_s),
        roles=roles,
    )

    def open_it(unit: GlobalUnit) -> tuple[Account, Membership]:
        account, membership = _standing(unit, session)
        unit.sessions.insert(session)
        return account, membership

    account, membership = await ctx.store.run_global(open_it)
    return await _view(ctx, session, account, membership, refresh_token)


async def refresh(ctx: Context, refresh_token: str) -> SessionView:
    """New tokens for the one refresh token that is good now. A spent one that comes again was stolen, or its thief
    came first: the session ends for both."""
    given = ctx.tokens.refresh(refresh_token)
    token, new_hash = ctx.tokens.new_refresh(given.session_id)
    now = ctx.tokens.now()

    def rotate(unit: GlobalUnit) -> tuple[Session, Account, Membership] | None:
        try:
            session = unit.sessions.get(given.session_id)
        except NotFound:
            return None
        if not session.is_good(now):
            return None
        account, membership = _standing(unit, session)
        if not unit.sessions.rotate(session.id, given.secret_hash, new_hash):
            _end_session(unit, session.id, session.account_id, session.campus_id, now)
            return None
        return session, account, membership

    rotated = await ctx.store.run_global(rotate)
    if rotated is None:
        raise NotSignedIn("this session has ended; sign in again", reason="session_ended")
    return await _view(ctx, *rotated, token)


def _standing(unit: GlobalUnit, session: Session) -> tuple[Account, Membership]:
    """The account and what it is at the session's campus; raises where it may not have a session."""
    account = unit.accounts.get(session.account_id)
    if account.is_blocked:
        raise AccountBlocked()
    for membership in unit.memberships_of(account.id):
        if membership.campus_id == session.campus_id:
            return account, membership
    raise _no_member()


def _no_member() -> SignInFailed:
    return SignInFailed("this account does not belong to the campus")


async def _view(
    ctx: Context, session: Session, account: Account, membership: Membership, refresh_token: str
) -> SessionView:
    roles = effective_roles(membership)
    if session.roles is not None:
        roles &= session.roles
    campus = (await ctx.grounds.get(session.campus_id)).campus
    return SessionView(
        account=account_view(account, membership, campus.name, roles=roles, is_own=True),
        access_token=ctx.tokens.issue_access(account.id, session.campus_id, roles, session.id),
        refresh_token=refresh_token,
        expires_in_s=ctx.tokens.access_ttl_s,
        csrf_token=ctx.tokens.csrf(session.id),
    )


async def sign_out(ctx: Context, who: Principal) -> None:
    """End this session; within seconds its tokens are worth nothing and its sockets close."""
    now = ctx.tokens.now()
    await ctx.store.run_global(lambda unit: _end_session(unit, who.session_id, who.account_id, who.campus_id, now))
    ctx.announce()


def _end_session(unit: GlobalUnit, session_id: str, account_id: str, campus_id: str, now: datetime) -> None:
    if unit.sessions.revoke(session_id, now):
        tell_about_account(unit.at(campus_id), EventKind.ACCESS_CHANGED, account_id, actor_id=account_id)


def end_all_sessions(unit: GlobalUnit, account_id: str, now: datetime, *, actor_id: str) -> None:
    """End every session of an account, at every campus, and have its sockets closed."""
    unit.sessions.revoke_all(account_id, now)
    for membership in unit.memberships_of(account_id):
        tell_about_account(unit.at(membership.campus_id), EventKind.ACCESS_CHANGED, account_id, actor_id=actor_id)


async def socket_token(ctx: Context, who: Principal) -> SocketTokenView:
    """A short-lived token for the first frame of a socket."""
    return SocketTokenView(token=ctx.tokens.issue_socket(who), expires_in_s=ctx.tokens.socket_ttl_s)


# --- who somebody is today --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What the books say today of somebody with a token: the roles that count, and whether their position does."""

    principal: Principal
    is_on_duty: bool
    is_tracked: bool
    is_busy: bool = False


async def ask_standings(ctx: Context, whos: Sequence[Principal]) -> list[Standing | Refusal]:
    """Who these are today, one answer for each: a token alone would let somebody who was signed out go on."""
    now = ctx.tokens.now()
    return await ctx.store.read_global(lambda unit: _standings_today(unit, whos, now))


def _standings_today(unit: GlobalUnit, whos: Sequence[Principal], now: datetime) -> list[Standing | Refusal]:
    """Two questions for all of them: their sessions, and what the runners among them have in hand."""
    holders = unit.sessions.holders(who.session_id for who in whos)
    answers: list[Standing | Refusal] = []
    runners: dict[str, set[str]] = {}
    for who in whos:
        answer = _standing_today(who, holders.get(who.session_id), now)
        answers.append(answer)
        if isinstance(answer, Standing) and Role.RUNNER in answer.principal.roles:
            runners.setdefault(who.campus_id, set()).add(who.account_id)
    in_hand = {campus_id: unit.at(campus_id).tasks.in_hand(asked) for campus_id, asked in runners.items()}
    return [
        _with_hands(answer, in_hand.get(who.campus_id)) if isinstance(answer, Standing) else answer
        for who, answer in zip(whos, answers, strict=True)
    ]


def _with_hands(answer: Standing, in_hand: InHand | None) -> Standing:
    """The standing of somebody of whom it is known what they have in hand; None: of no runner of their campus."""
    who = answer.principal
    if in_hand is None or Role.RUNNER not in who.roles:
        return answer
    is_carrying = who.account_id in in_hand.carriers
    is_busy = is_carrying or who.account_id in in_hand.asked
    return replace(answer, is_tracked=answer.is_on_duty or is_carrying, is_busy=is_busy)


def _standing_today(who: Principal, holder: Holder | None, now: datetime) -> Standing | Refusal:
    if holder is None or holder.revoked_at is not None or now >= holder.expires_at:
        return NotSignedIn("this session has ended; sign in again", reason="session_ended")
    if holder.is_blocked:
        return AccountBlocked()
    if holder.member_roles is None:
        return _no_member()
    roles = roles_today(holder.member_roles, holder.runner_status)
    if holder.roles is not None:
        roles &= holder.roles
    is_on_duty = bool(holder.is_on_duty)
    return Standing(replace(who, roles=roles), is_on_duty, is_on_duty)


# --- passwords --------------------------------------------------------------------------------------------------------


async def set_password(ctx: Context, who: Principal, request: SetPassword) -> None:
    """Set a first password, or change it against the old one; a change ends all sessions with their sockets, this one
    too, so that somebody who knew the old password is out."""
    account = await ctx.store.read_global(lambda unit: unit.accounts.get(who.account_id))
    if account.password_hash is None:
        await _store_password(ctx, who.account_id, request.new_password)
        return
    if request.old_password is None:
        # Not a guess: whoever left it out has not tried anything.
        raise InvalidInput("give the old password too", field="old_password")
    await _refuse_locked(ctx, account.phone)
    if not await asyncio.to_thread(is_password, account.password_hash, request.old_password):
        await _fail(ctx, account.phone)
        raise SignInFailed(field="old_password")
    password_hash = await asyncio.to_thread(hash_password, request.new_password)
    now = ctx.tokens.now()

    def change(unit: GlobalUnit) -> None:
        unit.accounts.save(replace(unit.accounts.get(who.account_id), password_hash=password_hash))
        end_all_sessions(unit, who.account_id, now, actor_id=who.account_id)

    await ctx.store.run_global(change)
    ctx.announce()


async def _store_password(ctx: Context, account_id: str, password: str) -> None:
    password_hash = await asyncio.to_thread(hash_password, password)
    await ctx.store.run_global(
        lambda unit: unit.accounts.save(replace(unit.accounts.get(account_id), password_hash=password_hash))
    )
