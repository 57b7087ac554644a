"""The ledger's entries, as rows that are only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.ledger import FLOORED, Entry, changes, check_floors
from payments.money import Fen, Party
from payments.port import EntryView, StatementLine
from payments.store import tables as t
from payments.store.rows import IntentRow, to_record

_e = t.entries.c
_VIEW = tuple(_e[name] for name in EntryView.__struct_fields__)
_ADD = sa.insert(t.entries)


_PARTIES = ("runner", "campus", "platform")
_GROUPS = ("bank", "student", "escrow", "runner", "campus", "returning", "debt", "owed")


def _group(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """What stands before an account's colon; the whole of one without."""
    return sa.case(*((column.like(f"{group}:%"), sa.literal_column(f"'{group}'")) for group in _GROUPS), else_=column)


class Books:
    """The ledger of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def post(self, intent: IntentRow, entries: Iterable[Entry], now: datetime) -> None:
        """Append the entries, all or none. The same posting again violates a unique constraint; a floor raises."""
        posting = list(entries)
        after: dict[str, Fen] = {}
        for account, change_fen in changes(posting).items():
            # Only where there is a floor: the institution's account sums up everything that ever happened.
            if change_fen < 0 and account.startswith(FLOORED):
                after[account] = Fen(self.balance_fen(account) + change_fen)
        check_floors(after)
        self._connection.execute(
            _ADD,
            [
                {
                    "at": now,
                    "campus_id": intent.campus_id,
                    "intent_id": intent.id,
                    "order_ref": intent.order_ref,
                    "attempt_id": entry.attempt_id,
                    "debit": entry.debit,
                    "credit": entry.credit,
                    "amount_fen": entry.amount_fen,
                    "kind": entry.kind,
                    "ref": entry.ref,
                }
                for entry in posting
            ],
        )

    def balance_fen(self, *accounts: str) -> Fen:
        """What came in less what went out, of all these accounts together."""
        gained = self._sum(_e.credit.in_(accounts))
        lost = self._sum(_e.debit.in_(accounts))
        return Fen(gained - lost)

    def debited_fen(self, kind: str, *accounts: str) -> Fen:
        """What left these accounts by entries of one kind."""
        return Fen(self._sum(sa.and_(_e.debit.in_(accounts), _e.kind == kind)))

    def balances(self) -> dict[str, Fen]:
        """Every account with an entry, derived from all entries."""
        result: dict[str, Fen] = {}
        for column, sign in ((_e.credit, 1), (_e.debit, -1)):
            query = sa.select(column, sa.func.sum(_e.amount_fen)).group_by(column)
            for account, sum_fen in self._connection.execute(query):
                result[account] = Fen(result.get(account, 0) + sign * int(sum_fen))
        return result

    def check(self) -> dict[str, Fen]:
        """All balances; LedgerError when an account owes that may not. That they add up to zero is in their form."""
        balances = self.balances()
        check_floors(balances)
        return balances

    def statement(self, accounts: Sequence[str], limit: int, before_seq: int | None) -> list[StatementLine]:
        """The newest movements of these accounts before ``before_seq``, newest first."""
        signed = sa.case((_e.credit.in_(accounts), _e.amount_fen), else_=-_e.amount_fen)
        lines = sa.select(
            _e.seq,
            _e.at,
            _e.kind,
            _e.order_ref,
            signed.label("amount_fen"),
            sa.func.sum(signed).over(order_by=_e.seq).label("balance_after_fen"),
        ).where(sa.or_(_e.credit.in_(accounts), _e.debit.in_(accounts)))
        page = lines.subquery()
        query = sa.select(page).order_by(page.c.seq.desc()).limit(limit)
        if before_seq is not None:
            query = query.where(page.c.seq < before_seq)
        return [
            StatementLine(
                seq=row.seq,
                at=row.at,
                kind=row.kind,
                order_ref=row.order_ref,
                amount_fen=Fen(int(row.amount_fen)),
                balance_after_fen=Fen(int(row.balance_after_fen)),
            )
            for row in self._connection.execute(query)
        ]

    def of_order(self, order_ref: str) -> list[EntryView]:
        """An order's entries, oldest first."""
        query = sa.select(*_VIEW).where(_e.order_ref == order_ref).order_by(_e.seq)
        return [to_record(EntryView, row) for row in self._connection.execute(query)]

    def captured_by(self, intent_id: str) -> dict[tuple[Party, str], int]:
        """What each receiver got of an intent's money: captured, less what it left to others as a subsidy's payer."""
        query = sa.select(_e.debit, _e.credit, _e.amount_fen).where(
            _e.intent_id == intent_id, _e.kind.in_(["capture", "subsidy_borne"])
        )
        result: dict[tuple[Party, str], int] = {}
        for debit, credit, amount_fen in self._connection.execute(query):
            for account, sign in ((credit, 1), (debit, -1)):
                party, _, account_ref = account.partition(":")
                if party in _PARTIES:
                    key = (party, account_ref or account)
                    result[key] = result.get(key, 0) + sign * amount_fen
        return result

    def split_of(self, attempt_id: str, account: str) -> str:
        """The number of the split by which an account was paid its part of an order."""
        query = sa.select(_e.ref).where(
            _e.attempt_id == attempt_id, _e.kind == "capture", _e.credit == account, _e.ref.like(f"{attempt_id}S%")
        )
        return str(self._connection.execute(query.order_by(_e.seq.desc()).limit(1)).scalar_one())

    def by_attempt(self) -> dict[str, dict[tuple[str, str, str], Fen]]:
        """For every attempt: (kind, debited group, credited group) → sum; a group is what stands before the colon."""
        names = (_e.attempt_id, _e.kind, _group(_e.debit), _group(_e.credit))
        query = sa.select(*names, sa.func.sum(_e.amount_fen)).group_by(*names)
        result: dict[str, dict[tuple[str, str, str], Fen]] = {}
        for attempt_id, kind, debit, credit, sum_fen in self._connection.execute(query):
            result.setdefault(attempt_id, {})[kind, debit, credit] = Fen(int(sum_fen))
        return result

    def transferred(self, account: str, kinds: Sequence[str]) -> dict[str, Fen]:
        """What persons were paid through an institution by entries of these kinds, by number."""
        query = sa.select(_e.ref, _e.amount_fen).where(_e.credit == account, _e.kind.in_(kinds))
        return {ref: Fen(amount_fen) for ref, amount_fen in self._connection.execute(query)}

    def sums_of_campus(self, campus_id: str) -> dict[tuple[str, str, str], Fen]:
        """(kind, debited group, credited group) → sum of a campus's entries."""
        names = (_e.kind, _group(_e.debit), _group(_e.credit))
        query = sa.select(*names, sa.func.sum(_e.amount_fen)).where(_e.campus_id == campus_id).group_by(*names)
        return {
            (kind, debit, credit): Fen(int(sum_fen)) for kind, debit, credit, sum_fen in self._connection.execute(query)
        }

    def _sum(self, condition: sa.ColumnElement[bool]) -> int:
        total = sa.select(sa.func.coalesce(sa.func.sum(_e.amount_fen), 0)).where(condition)
        return int(self._connection.execute(total).scalar_one())
