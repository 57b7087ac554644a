"""What every repository of one unit of work shares: its connection, its campus, its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, literal
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..model.errors import NotFound, StaleVersion
from ..model.ids import NewId
from .vault import Vault


@dataclass(frozen=True, slots=True)
class Scope:
    """Lives as long as one transaction. ``now`` stands still within it."""

    connection: Connection
    now: datetime
    new_id: NewId
    vault: Vault

    def upsert(self, table: Table) -> Any:
        """An INSERT that knows ON CONFLICT; both dialects spell it alike but offer it apart."""
        return sqlite_insert(table) if self.connection.dialect.name == "sqlite" else postgres_insert(table)

    def insert_new(self, table: Table, values: dict[str, Any], key: Sequence[str]) -> bool:
        """Whether the row is new; False, with nothing changed, where ``key`` was there before."""
        statement = self.upsert(table).values(values).on_conflict_do_nothing(index_elements=list(key))
        # The count of inserted rows is no dependable answer of a driver; a returned row is.
        return self.connection.execute(statement.returning(literal(1))).first() is not None


@dataclass(frozen=True, slots=True)
class CampusScope(Scope):
    """A scope that sees one campus and nothing else."""

    campus_id: str

    def mine(self, table: Table) -> ColumnElement[bool]:
        """The condition that every query on a campus's rows carries."""
        return table.c.campus_id == self.campus_id

    def check(self, campus_id: str) -> None:
        assert campus_id == self.campus_id, "a unit of work writes rows of its own campus only"

    def missed(self, table: Table, row_id: str, what: str) -> NotFound | StaleVersion:
        """Why a conditional UPDATE found no row: there is none here, or somebody else was faster."""
        found = table.select().with_only_columns(table.c.id).where(self.mine(table), table.c.id == row_id)
        if self.connection.execute(found).first() is None:
            return NotFound(f"there is no such {what} here")
        return StaleVersion(f"somebody else changed this {what} first; fetch it again")
