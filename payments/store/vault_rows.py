"""Tokens and the sealed secrets behind them, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.store.rows import to_record
from payments.store.vault_tables import vault


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A secret at rest."""

    token: str
    kind: str
    account_ref: str
    #: The same for the same secret, and useless to whoever has no look-up key.
    fingerprint: str
    key_id: str
    sealed: str
    created_at: datetime


_COLUMNS = [vault.c[name] for name in Sealed.__struct_fields__]


class VaultRows:
    """The sealed secrets of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: Sealed) -> None:
        self._connection.execute(sa.insert(vault).values(**msgspec.structs.asdict(row)))

    def get(self, token: str) -> Sealed | None:
        return self._first(vault.c.token == token)

    def find(self, kind: str, account_ref: str, fingerprint: str) -> Sealed | None:
        """The row of a secret that this account gave before."""
        c = vault.c
        return self._first(sa.and_(c.kind == kind, c.account_ref == account_ref, c.fingerprint == fingerprint))

    def newest(self, kind: str, account_ref: str) -> Sealed | None:
        """What the account gave last of this kind."""
        rows = self._of(kind, account_ref, 1)
        return rows[0] if rows else None

    def touch(self, token: str, now: datetime) -> None:
        """It was given again."""
        self._connection.execute(sa.update(vault).where(vault.c.token == token).values(created_at=now))

    def keep_newest(self, kind: str, account_ref: str, most: int) -> None:
        """Forget all but the newest of a kind."""
        kept = [row.token for row in self._of(kind, account_ref, most)]
        c = vault.c
        old = sa.and_(c.kind == kind, c.account_ref == account_ref, c.token.not_in(kept))
        self._connection.execute(sa.delete(vault).where(old))

    def _of(self, kind: str, account_ref: str, most: int) -> list[Sealed]:
        c = vault.c
        query = (
            sa.select(*_COLUMNS)
            .where(c.kind == kind, c.account_ref == account_ref)
            .order_by(c.created_at.desc(), c.token)
            .limit(most)
        )
        return [to_record(Sealed, row) for row in self._connection.execute(query)]

    def not_sealed_with(self, key_id: str, limit: int) -> list[Sealed]:
        """Rows that still need an older key."""
        query = sa.select(*_COLUMNS).where(vault.c.key_id != key_id).order_by(vault.c.token).limit(limit)
        return [to_record(Sealed, row) for row in self._connection.execute(query)]

    def reseal(self, token: str, was_key_id: str, *, key_id: str, sealed: str) -> None:
        """Replace what is behind the token, unless somebody did already."""
        self._connection.execute(
            sa.update(vault)
            .where(vault.c.token == token, vault.c.key_id == was_key_id)
            .values(key_id=key_id, sealed=sealed)
        )

    def count_by_key(self) -> dict[str, int]:
        """How many secrets each key still seals."""
        query = sa.select(vault.c.key_id, sa.func.count()).group_by(vault.c.key_id)
        return {str(key_id): int(count) for key_id, count in self._connection.execute(query)}

    def kinds(self, account_ref: str) -> list[str]:
        """Which kinds of secrets an account has."""
        query = sa.select(vault.c.kind).where(vault.c.account_ref == account_ref).distinct().order_by(vault.c.kind)
        return [str(kind) for (kind,) in self._connection.execute(query)]

    def forget(self, account_ref: str, kinds: Iterable[str] | None = None) -> int:
        """Remove an account's secrets, of some kinds or all; how many there were."""
        mine = vault.c.account_ref == account_ref
        if kinds is not None:
            mine = sa.and_(mine, vault.c.kind.in_(list(kinds)))
        return self._connection.execute(sa.delete(vault).where(mine)).rowcount

    def _first(self, condition: sa.ColumnElement[bool]) -> Sealed | None:
        row = self._connection.execute(sa.select(*_COLUMNS).where(condition)).first()
        return None if row is None else to_record(Sealed, row)
