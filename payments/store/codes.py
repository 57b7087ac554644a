"""One-time codes, as rows: only hashes, bounded per account and by age."""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.store.risk_tables import one_time_codes as t
from payments.store.rows import to_record


class CodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A code that was sent; neither the code nor the act can be read from it."""

    id: str
    account_ref: str
    act_hash: str
    salt: str
    code_hash: str
    created_at: datetime
    expires_at: datetime
    tries: int = 0
    used_at: datetime | None = None
    confirmed_at: datetime | None = None
    used_for: str | None = None


_COLUMNS = [t.c[name] for name in CodeRow.__struct_fields__]


class Codes:
    """The one-time codes of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: CodeRow) -> None:
        self._connection.execute(sa.insert(t).values(**msgspec.structs.asdict(row)))

    def get(self, code_id: str) -> CodeRow | None:
        row = self._connection.execute(sa.select(*_COLUMNS).where(t.c.id == code_id)).first()
        return None if row is None else to_record(CodeRow, row)

    def count_since(self, account_ref: str, since: datetime) -> int:
        """How many codes an account was sent."""
        query = sa.select(sa.func.count()).where(t.c.account_ref == account_ref, t.c.created_at > since)
        return int(self._connection.execute(query).scalar_one())

    def take_try(self, code_id: str, most: int) -> bool:
        """Use up one try; False when none is left or the code was used."""
        changed = self._connection.execute(
            sa.update(t).where(t.c.id == code_id, t.c.tries < most, t.c.used_at.is_(None)).values(tries=t.c.tries + 1)
        )
        return changed.rowcount == 1

    def use(self, code_id: str, now: datetime, used_for: str = "") -> bool:
        """Use the code up; False when it was used before."""
        changed = self._connection.execute(
            sa.update(t).where(t.c.id == code_id, t.c.used_at.is_(None)).values(used_at=now, used_for=used_for)
        )
        return changed.rowcount == 1

    def confirm(self, code_id: str, now: datetime, expires_at: datetime) -> None:
        """Its person gave it back."""
        self._connection.execute(sa.update(t).where(t.c.id == code_id).values(confirmed_at=now, expires_at=expires_at))

    def purge(self, before: datetime) -> int:
        """Remove what expired before; how many."""
        return self._connection.execute(sa.delete(t).where(t.c.expires_at < before)).rowcount
