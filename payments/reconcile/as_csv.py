"""Runs and items of work as CSV that a spreadsheet opens without running anything that somebody wrote into it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import msgspec

from payments.money import yuan
from payments.reconcile.view import ReconciliationView, WorkItemView

#: What makes a spreadsheet take a text for a formula, or hides such a sign from a naive look.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")

ITEM_COLUMNS = (
    "id",
    "run_id",
    "channel",
    "day",
    "kind",
    "cause",
    "what",
    "number",
    "attempt_id",
    "transaction_id",
    "order_ref",
    "campus_id",
    "ours_yuan",
    "theirs_yuan",
    "repair",
    "state",
    "tries",
    "reason",
    "handler",
    "found_at",
    "changed_at",
)
RUN_COLUMNS = (
    "id",
    "channel",
    "day",
    "state",
    "lines",
    "mismatches",
    "theirs_paid_yuan",
    "ours_paid_yuan",
    "theirs_refunded_yuan",
    "ours_refunded_yuan",
    "theirs_split_yuan",
    "ours_split_yuan",
    "theirs_transferred_yuan",
    "ours_transferred_yuan",
    "digest",
    "reason",
    "ran_at",
)


def safe(text: str) -> str:
    """The text as a cell that stays a text.

    >>> safe("=1+1"), safe("ord_7")
    ("'=1+1", 'ord_7')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_DANGEROUS) else text


def items_csv(items: Iterable[WorkItemView]) -> str:
    """Items of work, one per line; amounts in yuan, as the providers' bills have them."""
    rows = []
    for item in items:
        cells = msgspec.to_builtins(item)
        cells |= {"ours_yuan": yuan(item.ours_fen), "theirs_yuan": yuan(item.theirs_fen)}
        rows.append([_cell(name, cells[name]) for name in ITEM_COLUMNS])
    return _csv(ITEM_COLUMNS, rows)


def runs_csv(runs: Iterable[ReconciliationView]) -> str:
    """Runs, one per line."""
    rows = []
    for run in runs:
        cells = msgspec.to_builtins(run)
        for side in ("theirs", "ours"):
            sums = getattr(run.sums, side)
            for name in ("paid", "refunded", "split", "transferred"):
                cells[f"{side}_{name}_yuan"] = yuan(getattr(sums, f"{name}_fen"))
        rows.append([_cell(name, cells[name]) for name in RUN_COLUMNS])
    return _csv(RUN_COLUMNS, rows)


def _cell(name: str, value: object) -> str:
    text = "" if value is None else str(value)
    # Amounts are made here, out of numbers: a sum below zero stays one.
    return text if name.endswith("_yuan") else safe(text)


def _csv(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
