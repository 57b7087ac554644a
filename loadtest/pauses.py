"""Whether a client comes back, and when: after a growing pause, by full jitter, never sooner than the server asked."""

from __future__ import annotations

import re
from random import Random

#: Ceiling of the first pause and of every later one, real seconds: after a connection that was lost, and after one that
#: never came about (the server is down, or answered 503).
LOST_S = (1.0, 30.0)
REFUSED_S = (2.0, 60.0)
LONGEST_ASKED_S = 300.0

_RETRY_MS = re.compile(r"\bretry_ms=(\d+)")


def may_return(code: int | None) -> bool:
    """4000-4499 and lost connections: come back; 4500-4999: stay away."""
    return code is None or not 4500 <= code <= 4999


def asked_by_reason_s(reason: str) -> float:
    """The seconds that a close reason such as ``server_drain retry_ms=2500`` asks for."""
    found = _RETRY_MS.search(reason)
    return min(LONGEST_ASKED_S, int(found[1]) / 1000) if found else 0.0


def asked_by_header_s(retry_after: str | None) -> float:
    """The seconds of a ``Retry-After`` that counts them; 0 for none, and for a date, which nobody here sends."""
    return min(LONGEST_ASKED_S, float(retry_after)) if retry_after is not None and retry_after.isdecimal() else 0.0


class Pauses:
    """A thousand clients that lost the same server must not come back in the same instant."""

    __slots__ = ("_attempt", "_luck")

    def __init__(self, luck: Random) -> None:
        self._luck = luck
        self._attempt = 0

    def reset(self) -> None:
        """It went well for a while: begin anew with short pauses."""
        self._attempt = 0

    def next_s(self, *, is_refused: bool = False, asked_s: float = 0.0) -> float:
        """The next pause. ``asked_s``: what the server asked for is the least of it."""
        first_s, most_s = REFUSED_S if is_refused else LOST_S
        ceiling_s = min(most_s, first_s * 2.0 ** min(self._attempt, 16))
        self._attempt += 1
        return asked_s + self._luck.uniform(0.0, ceiling_s)
