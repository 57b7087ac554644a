"""Business time across restarts: the latest moment shown is kept in a file, and the next start is not before it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dispatch.clock import ScaledClock

# A clock this close to the real one needs no file: the machine's own clock keeps the promise.
REAL_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ClockFile:
    """The file, and how often (real seconds) it is written while the server runs."""

    path: Path
    every_s: float = 2.0

    def begin(self, rate: float, time_start: datetime | None, real_now_s: float) -> ScaledClock:
        """The clock of a new start: from ``time_start``, else from the real time, but never before what was shown."""
        start = time_start or datetime.fromtimestamp(real_now_s, UTC)
        shown = self._read()
        if shown is not None and shown > start:
            start = shown
        return ScaledClock(start.astimezone(UTC), real_now_s, rate)

    def keep(self, clock: ScaledClock, *, is_last: bool = False) -> None:
        """Note the time; between two notes a killed server may have shown more, so a note looks ahead."""
        if not is_scaled(clock):
            self.path.unlink(missing_ok=True)
            return
        ahead_s = 0.0 if is_last else 2 * self.every_s * clock.rate
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({"shown": (clock.now() + timedelta(seconds=ahead_s)).isoformat()}))
        os.replace(draft, self.path)

    def _read(self) -> datetime | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            shown = datetime.fromisoformat(json.loads(self.path.read_text())["shown"])
            return shown if shown.tzinfo is not None else None
        return None


def is_scaled(clock: ScaledClock) -> bool:
    """Whether a clock is anything else than the real one."""
    return clock.rate != 1.0 or abs(clock.start.timestamp() - clock.origin_s) > REAL_WITHIN_S
