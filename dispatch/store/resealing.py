"""Key rotation: seals anew, with the current key, what was sealed with an older one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, select, update

from .scope import Scope
from .tables import accounts, idempotency, orders

#: The sealed columns of each table.
_SEALED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (accounts, ("name_sealed", "phone_sealed")),
    (orders, ("stops_sealed",)),
    (idempotency, ("answer",)),
)


def context_of(*key: str) -> str:
    """What a value is sealed with besides the key: its row's primary key, so that it opens in no other row."""
    return "/".join(key)


class Resealing:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def step(self, limit: int = 500) -> int:
        """Seal up to ``limit`` rows of each table anew; how many there were. Call it until it gives 0: then nothing
        needs the older keys any more."""
        return sum(self._reseal(table, columns, limit) for table, columns in _SEALED)

    def _reseal(self, table: Table, columns: Iterable[str], limit: int) -> int:
        scope, vault = self._scope, self._scope.vault
        query = select(table).where(table.c.key_id.is_not(None), table.c.key_id != vault.current).limit(limit)
        rows = scope.connection.execute(query).all()
        for row in rows:
            key = {column: str(row._mapping[column]) for column in table.primary_key}
            context = context_of(*key.values())
            fresh = {name: vault.seal_bytes(vault.open_bytes(row._mapping[name], context), context) for name in columns}
            where = [column == value for column, value in key.items()]
            scope.connection.execute(update(table).where(*where).values(**fresh, key_id=vault.current))
        return len(rows)
