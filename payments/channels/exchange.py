"""What is told of one call to a provider: enough for a timeline and for alarms, and nothing that must stay secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

#: replied: an answer came, whatever it said · connect: it was never reached · timeout: reached, no answer in time ·
#: reset: the connection broke · too_large: more came than is read · overload: we had no free connection to it ·
#: cancelled: the caller went away.
ExchangeOutcome = Literal["replied", "connect", "timeout", "reset", "too_large", "overload", "cancelled"]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request on one host. Never a body, a header, a query string or a secret."""

    at_ms: int
    channel: str
    #: What was wanted, in the channel's own words: ``create``, ``query``, ``close``, ``split`` …
    operation: str
    #: Our own number of the thing: an attempt's or an instruction's.
    subject: str
    method: str
    host: str
    path: str
    status: int | None
    ms: float
    outcome: ExchangeOutcome
    #: The provider's own name for the call, for its support desk.
    request_id: str = ""


Observe = Callable[[Exchange], None]


def unobserved(_: Exchange) -> None:
    """For whoever wants to know nothing."""
