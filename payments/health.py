"""The health of every channel as this process sees it: a breaker per operation, and what providers held against us."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from payments.breaker import Breaker, BreakerView, Verdict
from payments.channels.exchange import Exchange
from payments.outcomes import (
    OVERLOAD,
    Capabilities,
    CloseAnswer,
    CreateAnswer,
    DebitAnswer,
    MoneyAnswer,
    NotIssued,
    QueryAnswer,
    SplitAnswer,
    Unknown,
)

#: Real seconds after which a call under way counts as failing, by operation: half of what it may take.
SLOW_S: Mapping[str, float] = {"create": 0.4, "debit": 1.5}
SLOW_ELSE_S = 2.5
#: Not our signature, or too often.
_COMPLAINING = (401, 429)

Answer = CreateAnswer | DebitAnswer | QueryAnswer | CloseAnswer | SplitAnswer | MoneyAnswer


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """A provider would not serve us for a reason that a person has to remove: our keys, our rights, our rate.
    ``recent``: how many of them within the last quarter of an hour, as far as they are counted."""

    channel: str
    reason: str
    count: int
    recent: int


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """What metrics and alarms are made of."""

    breakers: tuple[BreakerView, ...]
    complaints: tuple[Complaint, ...]


def operation_of_new_orders(shape: Capabilities) -> str:
    """The call whose health decides whether new orders go to this channel. A credential that is signed here says
    nothing about the provider, so there it is the questions about earlier orders."""
    return "debit" if shape.is_direct_debit else "query" if shape.creates_locally else "create"


def verdict_on(answer: Answer) -> Verdict:
    """What an answer says about the provider's health; "no" is an answer, silence is not."""
    match answer:
        case NotIssued(reason=reason) | Unknown(reason=reason) if reason == OVERLOAD:
            return "neutral"
        case NotIssued(may_switch=True) | Unknown() | QueryAnswer(standing="no_answer") | "no_answer":
            return "failed"
        case MoneyAnswer(standing="no_answer") | SplitAnswer(receivers=()):
            return "failed"
        case _:
            return "worked"


class Health:
    """One process's view. Transactions ask it from the writing thread, calls report to it from the loop."""

    #: More kinds of complaint than any provider has words for are counted as one.
    MOST_COMPLAINTS = 64
    #: For how many seconds a complaint is a recent one, and so many of a kind are remembered by their time.
    RECENT_S, MOST_RECENT = 900.0, 1000

    def __init__(self, shapes: Mapping[str, Capabilities], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._shapes = shapes
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._complaints: dict[tuple[str, str], int] = {}
        self._complained_at: dict[tuple[str, str], deque[float]] = {}

    def admits(self, code: str) -> bool:
        """Whether a new order may go to this channel; half-open, that takes up one of its probes."""
        with self._lock:
            return self._gate(code).admits(self._monotonic_s())

    def is_open(self, code: str) -> bool:
        """Whether new orders stay away from this channel; asking takes up nothing."""
        with self._lock:
            return self._gate(code).state(self._monotonic_s()) == "open"

    def begin(self, code: str, operation: str) -> int:
        """A call begins."""
        with self._lock:
            return self._breaker(code, operation).begin(self._monotonic_s())

    def end(self, code: str, operation: str, number: int, answer: Answer | None) -> None:
        """The call ended with this answer; None: it was given up for a reason of ours."""
        with self._lock:
            verdict = "neutral" if answer is None else verdict_on(answer)
            self._breaker(code, operation).end(number, verdict, self._monotonic_s())
            if isinstance(answer, NotIssued) and answer.is_alarm:
                self._complain(code, answer.reason)

    def exchanged(self, exchange: Exchange) -> None:
        """A call on the network. That a provider does not know our signature, or thinks that we ask too often, is a
        complaint whatever was asked; of a new order its answer tells as much, and is counted there."""
        if exchange.status in _COMPLAINING and exchange.operation != "create" and exchange.channel in self._shapes:
            with self._lock:
                self._complain(exchange.channel, f"http_{exchange.status}")

    def _complain(self, code: str, reason: str) -> None:
        key = (code, reason)
        if key not in self._complaints and len(self._complaints) >= self.MOST_COMPLAINTS:
            key = (code, "other")
        self._complaints[key] = self._complaints.get(key, 0) + 1
        self._complained_at.setdefault(key, deque(maxlen=self.MOST_RECENT)).append(self._monotonic_s())

    def view(self) -> HealthView:
        """Everything at this moment, in a steady order."""
        with self._lock:
            now_s = self._monotonic_s()
            return HealthView(
                breakers=tuple(self._breakers[key].view(*key, now_s) for key in sorted(self._breakers)),
                complaints=tuple(
                    Complaint(channel=code, reason=reason, count=count, recent=self._recent((code, reason), now_s))
                    for (code, reason), count in sorted(self._complaints.items())
                ),
            )

    def _recent(self, key: tuple[str, str], now_s: float) -> int:
        return sum(at > now_s - self.RECENT_S for at in self._complained_at[key])

    def _gate(self, code: str) -> Breaker:
        return self._breaker(code, operation_of_new_orders(self._shapes[code]))

    def _breaker(self, code: str, operation: str) -> Breaker:
        key = (code, operation)
        if key not in self._breakers:
            self._breakers[key] = Breaker(SLOW_S.get(operation, SLOW_ELSE_S))
        return self._breakers[key]
