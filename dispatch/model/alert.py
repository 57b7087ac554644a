"""An alert: something that a person of the campus team should look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """``subject_id`` is the order, account or job that it is about, or an order and its runner, ``order:runner``, or a
    runner and a line of their credit, ``account:number``; it is raised once per (kind, subject)."""

    id: str
    campus_id: str
    kind: str
    subject_id: str
    raised_at: datetime
    text_zh: str
    text_en: str
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged_at is not None

    @property
    def order_id(self) -> str | None:
        """The order that it is about, if it is about one."""
        return self.subject_id.partition(":")[0] if self.subject_id.startswith("ord_") else None

    @property
    def account_id(self) -> str | None:
        """The runner that it is about, if it is about one rather than about an order."""
        return self.subject_id.partition(":")[0] if self.subject_id.startswith("acc_") else None
