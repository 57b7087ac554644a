"""What every repository of one unit of work shares: its connection, its campus, its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, Update, bindparam, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..model.errors import NotFound, StaleVersion
from ..model.ids import NewId
from .vault import Vault

# Building a statement costs more than running it, so those of the busiest tables are built once.


def by_id(table: Table) -> Select[Any]:
    """One row of one campus; for :meth:`CampusScope.find`."""
    return select(table).where(table.c.campus_id == bindparam("_campus_id"), table.c.id == bindparam("_id"))


def next_version(table: Table) -> Update:
    """A change of the row that is at one certain version; for :meth:`CampusScope.save_next`."""
    return update(table).where(
        table.c.campus_id == bindparam("_campus_id"),
        table.c.id == bindparam("_id"),
        table.c.version == bindparam("_version"),
    )


def upsert(table: Table, dialect: str) -> Any:
    """An INSERT that knows ON CONFLICT; both dialects spell it alike but offer it apart."""
    return sqlite_insert(table) if dialect == "sqlite" else postgres_insert(table)


@cache
def _insert_new(table: Table, dialect: str, key: tuple[str, ...]) -> Any:
    # The count of inserted rows is no dependable answer of a driver; a returned row is.
    return upsert(table, dialect).on_conflict_do_nothing(index_elements=list(key)).returning(literal(1))


@dataclass(frozen=True, slots=True)
class Scope:
    """Lives as long as one transaction. ``now`` stands still within it."""

    connection: Connection
    now: datetime
    new_id: NewId
    vault: Vault

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    def upsert(self, table: Table) -> Any:
        return upsert(table, self.dialect)

    def insert_new(self, table: Table, values: dict[str, Any], key: tuple[str, ...]) -> bool:
        """Whether the row is new; False, with nothing changed, where ``key`` was there before."""
        return self.connection.execute(_insert_new(table, self.dialect, key), values).first() is not None


@dataclass(frozen=True, slots=True)
class CampusScope(Scope):
    """A scope that sees one campus and nothing else."""

    campus_id: str

    def find(self, statement: Select[Any], row_id: str) -> Row[Any] | None:
        """The row that :func:`by_id` looks for, if this campus has it."""
        return self.connection.execute(statement, {"_campus_id": self.campus_id, "_id": row_id}).first()

    def save_next(self, statement: Update, row_id: str, version: int, values: dict[str, Any]) -> bool:
        """Whether the row was at the version before ``version`` and is now changed."""
        where = {"_campus_id": self.campus_id, "_id": row_id, "_version": version - 1}
        return self.connection.execute(statement, values | where).rowcount == 1

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
