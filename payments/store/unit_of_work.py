"""Everything one transaction may touch, and the store that runs plain functions with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection

from payments.store.alarm_rows import AlarmRows, WebhookQueue
from payments.store.books import Books
from payments.store.boxes import Inbox, Outbox
from payments.store.codes import Codes
from payments.store.database import Database, migrate
from payments.store.instructions import Instructions
from payments.store.intents import Attempts, Intents
from payments.store.migrations import MIGRATIONS
from payments.store.money_out import Deadlines, Dues, Refunds, Subsidies, Withdrawals
from payments.store.reconciliations import Reconciliations
from payments.store.timeline import Timeline
from payments.store.vault_rows import VaultRows
from payments.store.verdicts import Verdicts
from payments.terms import Terms

T = TypeVar("T")

SCHEMA = "payments"


class UnitOfWork:
    """The repositories of one transaction."""

    def __init__(self, connection: Connection, terms: Terms) -> None:
        self.terms = terms
        self.timeline = Timeline(connection)
        self.intents = Intents(connection)
        self.attempts = Attempts(connection, self.timeline)
        self.instructions = Instructions(connection, self.timeline)
        self.books = Books(connection)
        self.subsidies = Subsidies(connection)
        self.dues = Dues(connection)
        self.withdrawals = Withdrawals(connection)
        self.refunds = Refunds(connection)
        self.deadlines = Deadlines(connection)
        self.inbox = Inbox(connection)
        self.outbox = Outbox(connection)
        self.vault = VaultRows(connection)
        self.codes = Codes(connection)
        self.verdicts = Verdicts(connection)
        self.reconciliations = Reconciliations(connection)
        self.alarms = AlarmRows(connection)
        self.webhook = WebhookQueue(connection)


class Store:
    """Payments' database."""

    def __init__(self, url: str, terms: Terms | None = None) -> None:
        self.database = Database(url, SCHEMA)
        #: On what terms money leaves; every transaction has them at hand.
        self.terms = terms or Terms()

    async def migrate(self) -> int:
        """Bring the schema up to date, safe to call from several processes at once; the version."""
        return await self.database.run(lambda connection: migrate(connection, MIGRATIONS, schema=SCHEMA))

    async def run(self, fn: Callable[[UnitOfWork], T]) -> T:
        """``fn`` in a write transaction. It must be repeatable and free of other effects."""

        def work(connection: Connection) -> T:
            uow = UnitOfWork(connection, self.terms)
            result = fn(uow)
            uow.timeline.flush()
            return result

        return await self.database.run(work)

    async def read(self, fn: Callable[[UnitOfWork], T]) -> T:
        """``fn`` in a read-only transaction."""
        return await self.database.read(lambda connection: fn(UnitOfWork(connection, self.terms)))

    def close(self) -> None:
        self.database.close()
