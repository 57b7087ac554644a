"""Who may open a socket now, who waits a moment at the door, and who is told to come back later."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

#: Of a flush interval: a flush that is later than this had too much beside it, one that is less late had room.
_LATE, _ON_TIME = 0.5, 0.2
#: This share of the most is let in however late the flushes are: a busy worker is slow, never shut.
_LEAST_SHARE = 0.2


class Door:
    """After a cut thousands come back within a second. Between two flushes as many are let in as leave the flush on
    time - that is measured, and the number follows it - and the others wait with their handshake unanswered, in the
    order in which they came: a page that is refused knows neither why nor for how long, one that waits a few seconds
    is let in. Only when too many wait does somebody get 503, with a ``Retry-After`` that spreads them."""

    def __init__(
        self,
        *,
        per_s: int = 1_500,
        per_address_per_s: int = 1_500,
        at_once: int = 12_000,
        most_waiting: int = 6_000,
        longest_wait_s: float = 8.0,
        flush_s: float = 0.05,
    ) -> None:
        """A whole campus may come from one address, so an address's share is all there is."""
        self._per_address_per_s = per_address_per_s
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._flush_s = flush_s
        self._most = max(1, round(per_s * flush_s))
        self._least = max(1, round(self._most * _LEAST_SHARE))
        self._allowed = self._most
        self._left = self._most
        self._waiting: deque[tuple[float, asyncio.Future[int | None]]] = deque()
        self._second = -1
        self._by_address: Counter[str] = Counter()
        self._refused = 0
        self._is_shut = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def allowed(self) -> int:
        """How many are let in between two flushes now."""
        return self._allowed

    def knock(self, address: str, open_now: int, now_s: float) -> int | asyncio.Future[int | None] | None:
        """None: come in; a number: try again after so many seconds; a future: wait for one or the other."""
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._by_address.clear()
        if self._is_shut:
            return self._spread(1)
        if open_now + len(self._waiting) >= self._at_once:
            return self._spread(15, 16)
        if self._by_address[address] >= self._per_address_per_s:
            return self._spread(1)
        self._by_address[address] += 1
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return None
        if len(self._waiting) >= self._most_waiting:
            return self._spread(2)
        turn: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((now_s, turn))
        return turn

    def flushed(self, late_s: float, now_s: float) -> None:
        """A flush is done, so late: let the next ones in."""
        if late_s > _LATE * self._flush_s:
            self._allowed = max(self._least, self._allowed * 3 // 4)
        elif late_s < _ON_TIME * self._flush_s:
            self._allowed = min(self._most, self._allowed + max(1, self._most // 20))
        self._left = self._allowed
        while self._waiting and self._left > 0:
            _, turn = self._waiting.popleft()
            if not turn.done():  # one who did not wait takes nobody's turn
                self._left -= 1
                turn.set_result(None)
        while self._waiting and now_s - self._waiting[0][0] > self._longest_wait_s:
            self._turn_away(self._waiting.popleft()[1])

    def shut(self) -> None:
        """The worker ends: nobody comes in any more."""
        self._is_shut = True
        while self._waiting:
            self._turn_away(self._waiting.popleft()[1])

    def _turn_away(self, turn: asyncio.Future[int | None]) -> None:
        if not turn.done():
            turn.set_result(self._spread(1))

    def _spread(self, least_s: int, width_s: int = 4) -> int:
        # One after the other, so that they come back spread out: evenly, which luck would not do.
        self._refused += 1
        return least_s + self._refused % width_s
