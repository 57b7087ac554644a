"""Who may open a socket now, who waits a moment at the door, and who is told to come back later."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from typing import TypeAlias

#: Of a flush interval: a flush that is later than this had too much beside it, one that is less late had room.
_LATE, _ON_TIME = 1.0, 0.4
#: This share of the most is let in however late the flushes are: a busy worker is slow, never shut.
_LEAST_SHARE = 1 / 3

#: None: come in; a number: try again after so many seconds.
Answer: TypeAlias = int | None
Turn: TypeAlias = asyncio.Future[Answer]


class Door:
    """After a cut thousands come back within a second. Between two flushes as many are let in as leave the flush on
    time - that is measured, and the number follows it - and the others wait with their handshake unanswered: a page
    that is refused knows neither why nor for how long, one that waits a few seconds is let in. Each address has a line
    of its own and they take turns, so that nobody's thousand keeps another's one waiting, while a campus that comes
    from one address has it all. Only when too many wait does somebody get 503, with a ``Retry-After`` that spreads
    them."""

    def __init__(
        self,
        *,
        per_s: int = 1_500,
        per_address_per_s: int = 10_000,
        at_once: int = 12_000,
        most_waiting: int = 8_000,
        longest_wait_s: float = 12.0,
        flush_s: float = 0.05,
    ) -> None:
        self._per_address_per_s = per_address_per_s
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._flush_s = flush_s
        self._most = max(1, round(per_s * flush_s))
        self._least = max(1, round(self._most * _LEAST_SHARE))
        self._allowed = self._most
        self._left = self._most
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._by_age: deque[tuple[float, Turn]] = deque()
        self.waiting = 0
        self._refused = 0
        self._second = -1
        self._by_address: Counter[str] = Counter()
        self._is_shut = False

    @property
    def allowed(self) -> int:
        """How many are let in between two flushes now."""
        return self._allowed

    def knock(self, address: str, open_now: int, now_s: float) -> Answer | Turn:
        """An answer, or the turn that will bring it; whoever has gone meanwhile resolves it as they like."""
        if self._is_shut:
            return self._spread(1)
        if open_now + self.waiting >= self._at_once:
            return self._spread(15, 16)
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._by_address.clear()
        self._by_address[address] += 1
        if self._by_address[address] > self._per_address_per_s:
            return self._spread(1)
        if self._left > 0 and not self.waiting:
            self._left -= 1
            return None
        line = self._lines.get(address)
        if self.waiting >= self._most_waiting and len(line or ()) >= self._most_waiting // max(1, len(self._lines)):
            return self._spread(2)
        if line is None:
            line = self._lines[address] = deque()
        turn: Turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        self._by_age.append((now_s, turn))
        self.waiting += 1
        return turn

    def flushed(self, late_s: float, now_s: float) -> None:
        """A flush is done, so late: let the next ones in."""
        if late_s > _LATE * self._flush_s:
            self._allowed = max(self._least, self._allowed * 3 // 4)
        elif late_s < _ON_TIME * self._flush_s:
            self._allowed = min(self._most, self._allowed + max(1, self._most // 10))
        self._left = self._allowed
        while self.waiting and self._left > 0:
            if not (turn := self._next()).done():  # one who did not wait takes nobody's turn
                self._left -= 1
                turn.set_result(None)
        oldest = self._by_age
        while oldest and (oldest[0][1].done() or now_s - oldest[0][0] > self._longest_wait_s):
            self._turn_away(oldest.popleft()[1])

    def shut(self) -> None:
        """The worker ends: nobody comes in any more."""
        self._is_shut = True
        while self.waiting:
            self._turn_away(self._next())
        self._by_age.clear()

    def _next(self) -> Turn:
        address, line = self._lines.popitem(last=False)
        turn = line.popleft()
        self.waiting -= 1
        if line:
            self._lines[address] = line
        return turn

    def _turn_away(self, turn: Turn) -> None:
        if not turn.done():
            turn.set_result(self._spread(1))

    def _spread(self, least_s: int, width_s: int = 4) -> int:
        # One after the other, so that they come back spread out: evenly, which luck would not do.
        self._refused += 1
        return least_s + self._refused % width_s
