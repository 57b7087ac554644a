"""A breaker for one operation of one channel: when it fails, new orders go elsewhere, and a few probes find out when it
works again; a call under way that is slow counts as failing before it has ended."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

#: Failures in a row (slow calls under way among them) that open it.
FAILURES_TO_OPEN = 5
#: Or this share of the newest calls, once there are so many of them.
FAILING_SHARE = 0.5
NEWEST = 20
#: Seconds for which it stays open; doubled each time that a probe fails.
OPEN_S, LONGEST_OPEN_S = 10.0, 120.0
#: Calls that are let through to find out, at a time; as many have to succeed.
PROBES = 2
#: A probe that was promised and never called is forgotten after so long.
PROBE_S = 2.0
#: Calls under way that are watched; more of them are counted only when they end.
MOST_WATCHED = 1024

BreakerState = Literal["closed", "open", "half_open"]
#: neutral: says nothing about the provider, as when we had no connection free.
Verdict = Literal["worked", "failed", "neutral"]


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker as metrics and alarms see it. ``slow``: calls under way for longer than they should be;
    ``open_s``: since it opened, however many probes have failed since."""

    channel: str
    operation: str
    state: BreakerState
    failures: int
    under_way: int
    slow: int
    open_s: float
    calls: int
    failed_calls: int


class Breaker:
    """Whoever calls tells it when a call begins and ends. Times are real seconds of one clock, handed in."""

    def __init__(self, slow_s: float) -> None:
        #: Half of a budget: a burst of one second is over before its first call runs into its limit.
        self._slow_s = slow_s
        self._under_way: dict[int, float] = {}
        self._newest: deque[bool] = deque(maxlen=NEWEST)
        self._failures = 0
        self._open_since: float | None = None
        self._in_trouble_since = 0.0
        self._open_s = OPEN_S
        self._probes: dict[int, float] = {}
        self._promised: deque[float] = deque(maxlen=PROBES)
        self._good_probes = 0
        self._numbers = 0
        self._calls = 0
        self._failed_calls = 0

    def state(self, now_s: float) -> BreakerState:
        """How it stands; looking may open it, when calls under way have become slow."""
        if self._open_since is None:
            slow = self.slow(now_s)
            share = self._newest.count(False) / NEWEST if len(self._newest) == NEWEST else 0.0
            if self._failures + slow < FAILURES_TO_OPEN and share < FAILING_SHARE:
                return "closed"
            self._open(now_s)
        assert self._open_since is not None
        return "open" if now_s < self._open_since + self._open_s else "half_open"

    def admits(self, now_s: float) -> bool:
        """Whether a new order may use it now. In doubt one of the few probes is promised to whoever asks."""
        state = self.state(now_s)
        if state != "half_open":
            return state == "closed"
        while self._promised and self._promised[0] <= now_s - PROBE_S:
            self._promised.popleft()
        if len(self._promised) + len(self._probes) >= PROBES:
            return False
        self._promised.append(now_s)
        return True

    def begin(self, now_s: float) -> int:
        """A call begins; its number goes back to ``end``."""
        self._numbers += 1
        if len(self._under_way) < MOST_WATCHED:
            self._under_way[self._numbers] = now_s
        if self.state(now_s) == "half_open":
            if self._promised:
                self._promised.popleft()
            self._probes[self._numbers] = now_s
        return self._numbers

    def end(self, number: int, verdict: Verdict, now_s: float) -> None:
        """The call ended, or somebody stopped waiting for it."""
        self._under_way.pop(number, None)
        was_probe = self._probes.pop(number, None) is not None
        if verdict == "neutral":
            return
        is_failure = verdict == "failed"
        self._calls += 1
        self._failed_calls += is_failure
        if self._open_since is None:
            self._newest.append(not is_failure)
            self._failures = self._failures + 1 if is_failure else 0
        elif was_probe and is_failure:
            self._open_s = min(2 * self._open_s, LONGEST_OPEN_S)
            self._open(now_s)
        elif was_probe:
            self._good_probes += 1
            if self._good_probes >= PROBES:
                self._close()

    def slow(self, now_s: float) -> int:
        """Calls under way that have taken too long already."""
        return sum(began <= now_s - self._slow_s for began in self._under_way.values())

    def view(self, channel: str, operation: str, now_s: float) -> BreakerView:
        """Everything about it at this moment."""
        state = self.state(now_s)
        return BreakerView(
            channel=channel,
            operation=operation,
            state=state,
            failures=self._failures,
            under_way=len(self._under_way),
            slow=self.slow(now_s),
            open_s=0.0 if self._open_since is None else now_s - self._in_trouble_since,
            calls=self._calls,
            failed_calls=self._failed_calls,
        )

    def _open(self, now_s: float) -> None:
        if self._open_since is None:
            self._in_trouble_since = now_s
        self._open_since = now_s
        self._good_probes = 0
        self._probes.clear()
        self._promised.clear()
        # What began before says nothing about what comes after.
        self._under_way.clear()

    def _close(self) -> None:
        self._open_since = None
        self._open_s = OPEN_S
        self._failures = 0
        self._newest.clear()
