"""What must have been published, read from the server's books by plain SQL and the published rules of the topics.

Nothing of the server's code is used: who hears of an event is written down here again, from ``docs/PROTOCOL.md``.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ON_ORDER = frozenset({
    "order_placed", "payment_ready", "payment_failed", "payment_judged", "order_paid", "task_assigned",
    "task_reassigned", "task_reopened", "runner_arriving", "runner_at_stop", "runner_arrived", "order_picked_up",
    "order_delivered", "order_confirmed", "order_rated", "order_cancelled", "order_settled", "order_closed",
    "order_late", "order_refunded", "coupon_granted",
})  # fmt: skip
ON_RUNNER = frozenset({
    "task_offered", "offer_declined", "offer_expired", "offer_withdrawn", "task_assigned", "task_reassigned",
    "runner_at_stop", "runner_arrived", "order_picked_up", "order_delivered", "order_confirmed", "order_rated",
    "order_cancelled", "order_settled", "order_late", "runner_on_duty", "runner_off_duty", "account_blocked",
})  # fmt: skip
ON_HALL = frozenset({"order_paid", "task_assigned", "task_reassigned", "task_reopened", "order_cancelled"})
_GIVES, _TAKES = ("task_assigned", "task_reassigned"), ("task_reopened", "order_delivered", "order_cancelled")


class Fact(NamedTuple):
    """One event that became true."""

    seq: int
    id: str
    kind: str
    subject: str
    version: int
    at_ms: int


class Stand(NamedTuple):
    """How an order stood from one version on; ``holder``: the runner who carried it then, "" for nobody."""

    version: int
    at_ms: int
    status: str
    task_status: str
    holder: str


@dataclass(slots=True)
class Truth:
    """Per topic what it must have told, in the order of the books; per order how it stood."""

    topics: dict[str, list[Fact]] = field(default_factory=dict)
    stands: dict[str, list[Stand]] = field(default_factory=dict)
    unpublished: int = 0

    def holder_of(self, order_id: str) -> str:
        """Who carries the order now."""
        stands = self.stands.get(order_id)
        return stands[-1].holder if stands else ""


def read_truth(data_dir: Path, campus_id: str) -> Truth:
    """Raises ValueError when there are no books."""
    path = data_dir / "dispatch.db"
    if not path.is_file():
        raise ValueError(f"{path}: no such database")
    books = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    books.row_factory = sqlite3.Row
    try:
        rows = books.execute(
            "SELECT seq, id, kind, subject_id, version, at, payload, runner_id, former_runner_id, published_at"
            " FROM events WHERE campus_id = ? ORDER BY seq",
            (campus_id,),
        ).fetchall()
    finally:
        books.close()
    return truth_of([dict(row) for row in rows], campus_id)


def newest_seq(data_dir: Path) -> tuple[int, int]:
    """The number of the newest event of the books, and how many wait to be published."""
    books = sqlite3.connect(f"file:{data_dir / 'dispatch.db'}?mode=ro", uri=True, timeout=30)
    try:
        seq, waiting = books.execute("SELECT max(seq), sum(published_at IS NULL) FROM events").fetchone()
        return int(seq or 0), int(waiting or 0)
    finally:
        books.close()


def truth_of(rows: list[dict[str, Any]], campus_id: str) -> Truth:
    """Pure: the rows of the table of events, as they lie."""
    truth = Truth(unpublished=sum(row["published_at"] is None for row in rows))
    holders: dict[str, str] = {}
    # A subject's events follow each other by version; between two of one version the books' order holds.
    for row in sorted(rows, key=lambda one: (one["subject_id"], one["version"], one["seq"])):
        payload = json.loads(row["payload"])
        order_id = row["subject_id"]
        if not order_id.startswith("ord_"):
            continue
        if row["kind"] in _GIVES:
            holders[order_id] = str(row["runner_id"])
        elif row["kind"] in _TAKES:
            holders[order_id] = ""
        truth.stands.setdefault(order_id, []).append(
            Stand(
                row["version"],
                _ms(row["at"]),
                str(payload.get("status", "")),
                str(payload.get("task_status") or ""),
                holders.get(order_id, ""),
            )
        )
    for row in rows:
        event = Fact(row["seq"], row["id"], row["kind"], row["subject_id"], row["version"], _ms(row["at"]))
        for topic in _topics(row, campus_id):
            truth.topics.setdefault(topic, []).append(event)
    return truth


def _topics(row: dict[str, Any], campus_id: str) -> list[str]:
    """Who hears of it."""
    kind, subject, runner, former = row["kind"], row["subject_id"], row["runner_id"], row["former_runner_id"]
    found = [f"console:{campus_id}"]
    if subject.startswith("ord_") and kind in ON_ORDER:
        found.append(f"order:{subject}")
    if kind in ON_RUNNER and runner:
        found.append(f"runner:{runner}")
    if former and former != runner:
        found.append(f"runner:{former}")
    if kind in ON_HALL:
        payload = json.loads(row["payload"])
        if payload.get("task_status", "") is not None:
            found.append(f"hall:{campus_id}")
    return found


def _ms(at_us: int) -> int:
    """The books keep instants as microseconds since 1970."""
    return at_us // 1000
