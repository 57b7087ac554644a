"""Key rotation: seals anew, with the current key, what was sealed with an older one."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, select, update

from .scope import Scope
from .tables import accounts, orders

#: The sealed columns of each table, all sealed with the row's id as context.
_SEALED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (accounts, ("name_sealed", "phone_sealed")),
    (orders, ("stops_sealed",)),
)


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
            fresh = {name: vault.seal(vault.open(row._mapping[name], row.id), row.id) for name in columns}
            scope.connection.execute(update(table).where(table.c.id == row.id).values(**fresh, key_id=vault.current))
        return len(rows)
