"""Close codes: each carries the verdict whether to come back (4000-4499, with jitter) or not (4500-4999)."""

from __future__ import annotations

from enum import IntEnum

from dispatch.model.errors import Refusal


class CloseCode(IntEnum):
    """Why the server ends a connection; the lower-case name is sent as the reason."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    INTERNAL_ERROR = 1011
    SERVER_DRAIN = 4000
    SLOW_CONSUMER = 4001
    TOKEN_EXPIRED = 4002
    HELLO_TIMEOUT = 4003
    DEAD_PEER = 4004
    BAD_TOKEN = 4500
    ACCOUNT_BLOCKED = 4501
    PROTOCOL_VIOLATION = 4502
    FRAME_TOO_LARGE = 4503
    TOO_MANY_CONNECTIONS = 4505

    @property
    def reason(self) -> str:
        return self.name.lower()


#: Real milliseconds among which each of those who are closed for such a reason is given a time to stay away. It is
#: seldom one alone: a frozen network makes a thousand slow and then dead in the same second.
STAY_AWAY_MS = {
    CloseCode.SERVER_DRAIN: 3_000,
    CloseCode.SLOW_CONSUMER: 3_000,
    CloseCode.TOKEN_EXPIRED: 1_000,
    CloseCode.HELLO_TIMEOUT: 3_000,
    CloseCode.DEAD_PEER: 2_000,
}


def closing_reason(code: CloseCode, retry_ms: int | None = None) -> str:
    """The reason as it is sent: the code's name, and how long to wait at least before coming back."""
    if retry_ms is None or not 4000 <= code <= 4499:
        return code.reason
    return f"{code.reason} retry_ms={retry_ms}"


def verdict_on(refusal: Refusal) -> CloseCode:
    """How a connection ends whose speaker is refused."""
    if refusal.code == "account_blocked":
        return CloseCode.ACCOUNT_BLOCKED
    if refusal.code == "token_expired" or refusal.detail.get("reason") == "expired":
        return CloseCode.TOKEN_EXPIRED
    return CloseCode.BAD_TOKEN


def may_return(code: int) -> bool:
    """Whether a client that was closed with ``code`` should connect again."""
    return not (4500 <= code <= 4999 or code in (CloseCode.NORMAL, CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_TEXT))
