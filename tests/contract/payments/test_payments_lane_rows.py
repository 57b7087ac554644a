"""Who waits for a channel that is asked nothing more: payments it would be asked about now, and none besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from payments.attempt import LIVE, AttemptState, open_attempt
from payments.failover import LAST_LOOK
from payments.outcomes import Capabilities
from payments.store.rows import IntentRow
from payments.store.unit_of_work import Store, UnitOfWork

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
FULL, OTHER = (Capabilities(code=code, name_zh=code, name_en=code) for code in ("full", "other"))


def _fill(uow: UnitOfWork, attempts: list[tuple[Capabilities, dict[str, Any]]], **changes: Any) -> None:
    """A payment that is due, and its attempts."""
    uow.intents.add(
        IntentRow(
            id="int_1", campus_id="nu", order_ref="ord_1", payer_ref="student", amount_fen=100, description="errand",
            channels=("full", "other"), expires_at=NOW + timedelta(hours=1), created_at=NOW,
        ),
        NOW,
    )  # fmt: skip
    if changes:
        uow.intents.change("int_1", **changes)
    for number, (shape, values) in enumerate(attempts, 1):
        opened = open_attempt(
            intent_id="int_1", number=number, amount_fen=100, intent_expires_at=NOW + timedelta(hours=1), shape=shape,
            now=NOW - values.pop("age", timedelta(minutes=1)),
        )  # fmt: skip
        uow.attempts.add(msgspec.structs.replace(opened, **values))


@pytest.mark.parametrize(
    ("state", "seen", "ask_in_s", "hours", "intent", "is_held_up"),
    [
        ("issued", "", 0, 0, {}, True),
        ("issued", "", 60, 0, {}, False),
        # What nobody wants to pay any more is closed before its next question is due.
        ("issued", "", 60, 0, {"phase": "cancelling"}, True),
        ("issued", "", 60, 0, {"switch_to": "other"}, True),
        ("issued", "", 60, 0, {"risk_verdict": "block"}, True),
        ("issued", "", 60, 0, {"risk_verdict": "allow"}, False),
        ("closing", "", 0, 0, {}, True),
        ("closing", "", 60, 0, {}, False),
        ("unknown", "", 0, 0, {}, True),
        ("unknown", "", 60, 0, {}, False),
        ("abandoned", "", 0, 0, {}, True),
        ("abandoned", "", 300, 0, {}, False),
        ("abandoned", "", -900, 25, {}, False),
        ("closed", LAST_LOOK, 0, 0, {}, True),
        ("closed", LAST_LOOK, 60, 0, {}, False),
        ("closed", "", -60, 0, {}, False),
        ("declined", "", -60, 0, {}, False),
    ],
)
async def test_only_what_a_full_channel_would_be_asked_now_waits_for_it(
    ready_sql_url: str, state: str, seen: str, ask_in_s: int, hours: int, intent: dict[str, Any], is_held_up: bool
) -> None:
    tried = AttemptState(state)
    there = {"state": tried, "seen": seen, "ask_at": NOW + timedelta(seconds=ask_in_s)}
    attempts = [(FULL, there | {"age": timedelta(hours=hours, minutes=1)})]
    if tried not in LIVE:
        # The payer has something else to pay with by now, and it is time to ask about that.
        attempts.append((OTHER, {"state": AttemptState.ISSUED, "ask_at": NOW}))
    store = Store(ready_sql_url)
    try:
        await store.migrate()
        await store.run(lambda uow: _fill(uow, attempts, **intent))
        assert await store.read(lambda uow: uow.intents.due_asked(NOW, 9)) == ["int_1"]
        found = await store.read(lambda uow: uow.intents.due_asked(NOW, 9, ("full",)))
        assert found == ([] if is_held_up else ["int_1"])
    finally:
        store.database.close()
