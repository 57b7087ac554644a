"""An audit entry: who changed what, why, and how it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Append-only. ``actor_id`` is an account, or ``system`` for what the server did by itself."""

    id: str
    campus_id: str
    at: datetime
    actor_id: str
    action: str
    subject: str
    reason: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
