"""Accounts and memberships in SQL: name and phone are sealed, the phone can be looked up by its keyed hash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, Select, Text, func, insert, select, type_coerce, update
from sqlalchemy.exc import IntegrityError

from ..model.account import Account, Membership, Role, RunnerStatus
from ..model.errors import InvalidInput, NotFound
from ..model.ids import ACCOUNT, is_id
from .scope import CampusScope, Scope
from .tables import accounts as t
from .tables import memberships as m

#: A search by name opens sealed names one by one; no campus of ours has more members than this.
_NAMES_SEARCHED = 50_000
_MEMBERSHIP = tuple(Membership.__dataclass_fields__)
#: Only a line of its history moves the score: whoever saves a membership may have read it before that.
_CREDIT = ("credit", "credit_lines")


class Accounts:
    """The accounts that are members of one campus."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def get(self, account_id: str) -> Account:
        """The account; raises :class:`NotFound` unless it is a member here."""
        found = self.many([account_id])
        if account_id not in found:
            raise NotFound("there is no such account here")
        return found[account_id]

    def many(self, account_ids: Iterable[str]) -> dict[str, Account]:
        """Those of the accounts that are members here."""
        wanted = list(dict.fromkeys(account_ids))
        query = select(t).join(m, m.c.account_id == t.c.id).where(self._scope.mine(m), t.c.id.in_(wanted))
        return {row.id: _account(self._scope, row) for row in self._sql.execute(query)}


class Memberships:
    """What accounts are at one campus."""

    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def get(self, account_id: str) -> Membership:
        """The membership; raises :class:`NotFound`."""
        row = self._sql.execute(select(m).where(self._scope.mine(m), m.c.account_id == account_id)).first()
        if row is None:
            raise NotFound("there is no such account here")
        return _membership(row)

    def insert(self, membership: Membership) -> None:
        """Raises :class:`InvalidInput` when the account is a member already."""
        self._scope.check(membership.campus_id)
        try:
            self._sql.execute(insert(m).values(_membership_values(membership)))
        except IntegrityError as error:
            raise InvalidInput("this account is a member already, or is none", field="account_id") from error

    def save(self, membership: Membership) -> None:
        """Everything but the credit, which its history moves; raises :class:`NotFound`."""
        self._scope.check(membership.campus_id)
        values = {name: value for name, value in _membership_values(membership).items() if name not in _CREDIT}
        changed = self._sql.execute(
            update(m).where(self._scope.mine(m), m.c.account_id == membership.account_id).values(values)
        )
        if changed.rowcount != 1:
            raise NotFound("there is no such account here")

    def runners(self, on_duty_only: bool = False) -> list[tuple[Membership, Account]]:
        """Approved runners, in order of their ids."""
        query = self._pairs().where(m.c.runner_status == RunnerStatus.APPROVED).order_by(t.c.id)
        if on_duty_only:
            query = query.where(m.c.is_on_duty)
        return self._all(query)

    def on_duty(self) -> list[Membership]:
        """Approved runners on duty whose account is not blocked, in order of their ids; nothing personal is opened."""
        return [_membership(row) for row in self._sql.execute(self._on_duty(select(m)).order_by(m.c.account_id))]

    def count_on_duty(self) -> int:
        """How many of them there are."""
        return int(self._sql.scalar(self._on_duty(select(func.count()).select_from(m))) or 0)

    def _on_duty(self, query: Select[Any]) -> Select[Any]:
        return query.join(t, t.c.id == m.c.account_id).where(
            self._scope.mine(m), m.c.runner_status == RunnerStatus.APPROVED, m.c.is_on_duty, ~t.c.is_blocked
        )

    def page(
        self, q: str | None = None, role: Role | None = None, limit: int = 50, before: str | None = None
    ) -> list[tuple[Membership, Account]]:
        """Newest first; ``before`` is the account id of the last pair of the page before.

        ``q`` finds by account id, by whole phone number, or by a part of the name.
        """
        query = self._pairs().order_by(t.c.id.desc())
        if role is not None:
            query = query.where(type_coerce(m.c.roles, Text).contains(f'"{Role(role).value}"', autoescape=True))
        if before is not None:
            query = query.where(t.c.id < before)
        q = (q or "").strip()
        if not q:
            return self._all(query.limit(limit))
        if is_id(ACCOUNT, q):
            return self._all(query.where(t.c.id == q).limit(limit))
        if q.lstrip("+").isdecimal():
            return self._all(query.where(t.c.phone_hash == self._scope.vault.lookup_hash(q)).limit(limit))
        return self._named(query, q.casefold(), limit)

    def _named(self, query: Select[Any], part: str, limit: int) -> list[tuple[Membership, Account]]:
        found: list[tuple[Membership, Account]] = []
        for row in self._sql.execute(query.limit(_NAMES_SEARCHED)):
            if part in self._scope.vault.open(row.name_sealed, row.id).casefold():
                found.append((_membership(row), _account(self._scope, row)))
                if len(found) == limit:
                    break
        return found

    def _pairs(self) -> Select[Any]:
        return select(m, t).join(t, t.c.id == m.c.account_id).where(self._scope.mine(m))

    def _all(self, query: Select[Any]) -> list[tuple[Membership, Account]]:
        return [(_membership(row), _account(self._scope, row)) for row in self._sql.execute(query)]


class AllAccounts:
    """Accounts across campuses: what signing in needs."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def insert(self, account: Account) -> None:
        """Raises :class:`InvalidInput` when the phone has an account already."""
        try:
            self._sql.execute(insert(t).values(_values(self._scope, account)))
        except IntegrityError as error:
            raise InvalidInput("this phone number has an account already", field="phone") from error

    def get(self, account_id: str) -> Account:
        """The account; raises :class:`NotFound`."""
        row = self._sql.execute(select(t).where(t.c.id == account_id)).first()
        if row is None:
            raise NotFound("there is no such account")
        return _account(self._scope, row)

    def by_phone(self, phone: str) -> Account | None:
        row = self._sql.execute(select(t).where(t.c.phone_hash == self._scope.vault.lookup_hash(phone))).first()
        return None if row is None else _account(self._scope, row)

    def save(self, account: Account) -> None:
        """Raises :class:`NotFound`, and :class:`InvalidInput` when another account has the phone."""
        values = _values(self._scope, account)
        try:
            changed = self._sql.execute(update(t).where(t.c.id == account.id).values(values))
        except IntegrityError as error:
            raise InvalidInput("this phone number has an account already", field="phone") from error
        if changed.rowcount != 1:
            raise NotFound("there is no such account")

    def memberships_of(self, account_id: str) -> list[Membership]:
        """In order of the campuses' ids."""
        query = select(m).where(m.c.account_id == account_id).order_by(m.c.campus_id)
        return [_membership(row) for row in self._sql.execute(query)]


def _values(scope: Scope, account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name_sealed": scope.vault.seal(account.name, account.id),
        "phone_sealed": scope.vault.seal(account.phone, account.id),
        "phone_hash": scope.vault.lookup_hash(account.phone),
        "key_id": scope.vault.current,
        "language": account.language,
        "is_blocked": account.is_blocked,
        "created_at": account.created_at,
        "password_hash": account.password_hash,
    }


def _account(scope: Scope, row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=scope.vault.open(row.name_sealed, row.id),
        phone=scope.vault.open(row.phone_sealed, row.id),
        language=row.language,
        is_blocked=row.is_blocked,
        created_at=row.created_at,
        password_hash=row.password_hash,
    )


def _membership_values(membership: Membership) -> dict[str, Any]:
    return {name: getattr(membership, name) for name in _MEMBERSHIP}


def _membership(row: Row[Any]) -> Membership:
    stored = row._mapping
    return Membership(**{name: stored[name] for name in _MEMBERSHIP})
