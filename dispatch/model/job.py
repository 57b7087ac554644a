"""A job: work that falls due for one subject, carried out by whoever holds its lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """At most one per (campus, kind, subject). ``fence`` grows with every lease and every rescheduling, so that a
    holder whose lease ran out cannot complete what somebody else has begun; ``tries`` counts the leases so far."""

    kind: str
    campus_id: str
    subject_id: str
    payload: Mapping[str, Any]
    fence: int
    tries: int
    due_at: datetime
