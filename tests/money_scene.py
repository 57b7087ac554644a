"""Money that does not agree, for tests of what the campus team sees: items of reconciliation, runs, cases of risk."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from payments.embedded import EmbeddedPayments
from payments.guards.guarded import Guards
from payments.guards.risk import RuleBook
from payments.guards.vault import Vault
from payments.money import Fen
from payments.reconcile.view import ReconciliationView, WorkItemView, run_id
from payments.store.money_rows import Withdrawal
from payments.store.verdicts import VerdictRow

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 3, 3, 0, tzinfo=UTC)
RUN = run_id("sandbox", DAY)


def guard(payments: EmbeddedPayments, rules: RuleBook) -> None:
    """Risk and the vault, without a way to meet challenges."""
    payments.guard(Guards(vault=Vault({"k1": b"v" * 32}, "k1", b"l" * 32), salt_key=b"s" * 32, rules=rules))


async def add_run(payments: EmbeddedPayments) -> str:
    """A day that does not agree."""
    run = ReconciliationView(
        id=RUN, channel="sandbox", day=DAY, state="differing", tries=1, lines=2, mismatches=1, ran_at=AT
    )
    await payments._store.run(lambda uow: uow.reconciliations.add(run))
    return RUN


async def add_item(payments: EmbeddedPayments, campus_id: str, **more: Any) -> WorkItemView:
    """A payment there that is none here, which waits for a person."""
    name = uuid.uuid4().hex
    item = WorkItemView(
        id=f"item_{name[:26]}", run_id=RUN, channel="sandbox", day=DAY, kind="paid_there_not_here",
        cause="unknown_number", what="paid", number=name, attempt_id="", intent_id="", campus_id=campus_id,
        order_ref="", ours_fen=Fen(0), theirs_fen=Fen(880), transaction_id="t1", repair="person", state="open",
        found_at=AT, changed_at=AT,
    )  # fmt: skip
    item = msgspec.structs.replace(item, **more)
    await payments._store.run(lambda uow: uow.reconciliations.add_item(item))
    return item


async def add_case(payments: EmbeddedPayments, campus_id: str, account: str) -> str:
    """A refund that risk holds until somebody decides."""
    row = VerdictRow(
        id=f"risk_{uuid.uuid4().hex[:26]}", at=AT, campus_id=campus_id, kind="refund", ref=uuid.uuid4().hex,
        account=account, amount_fen=1200, decision="hold", code="many_refunds", standing="open",
        parameters={"most": 5},
    )  # fmt: skip
    await payments._store.run(lambda uow: uow.verdicts.add(row))
    return row.id


async def add_withdrawal(payments: EmbeddedPayments, campus_id: str, account: str, **more: Any) -> str:
    """A withdrawal that waits for a review."""
    row = Withdrawal(
        id=f"wdr_{uuid.uuid4().hex[:26].upper()}", campus_id=campus_id, account_ref=account, amount_fen=Fen(60_000),
        state="held", requested_at=AT, created_at=AT, reason="over_threshold",
    )  # fmt: skip
    row = msgspec.structs.replace(row, **more)
    await payments._store.run(lambda uow: uow.withdrawals.add(row))
    return row.id
