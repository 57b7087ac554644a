"""A decision: why a task went to this runner, kept with what the alternatives would have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Decision:
    """``mode``: optimizer | greedy | grab | forced. ``regret_s``: what the runner-up would have cost more, in seconds.

    ``candidates`` holds the chosen, the runner-up and the best of the rest, each with its cost terms in seconds or the
    rule that excluded it. ``tick_id``: the record of the tick that it was made in, as long as that is kept.
    """

    id: str
    campus_id: str
    task_id: str
    order_id: str
    at: datetime
    mode: str
    runner_id: str | None
    regret_s: float | None
    fence: int
    candidates: Sequence[Mapping[str, Any]] = ()
    note: str = ""
    tick_id: str | None = None
