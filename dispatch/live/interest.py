"""Who follows whom, told among the workers, so that only positions that somebody elsewhere looks at travel the bus.

Each worker says what it follows when that changes and every two seconds that it still does; a worker that was not heard
of for seven seconds follows nothing. Whoever has missed something, or is new, asks, and everybody says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

#: runner id, lat, lon (WGS-84), fixed_at_ms, bearing, speed, accuracy, received_at_ms; as in a ``pos`` frame.
PositionRow: TypeAlias = tuple[str, float, float, int, float | None, float | None, float | None, int]

#: Anything that begins with a runner id.
Row = TypeVar("Row", bound=tuple[Any, ...])

#: More runners than this are "everybody": a longer list costs more than what it saves.
MOST_RUNNERS = 5_000
REPEAT_S = 2.0
FORGET_S = 7.0
#: Changes within this time are told together; a long list waits longer.
GATHER_S = 0.05
_LONG_LIST = 500
_GATHER_LONG_S = 0.3
#: Who asks does not ask again before this, per campus.
_ASK_AGAIN_S = 0.5


class _Said(NamedTuple):
    """What one other worker follows."""

    sequence: int
    is_everybody: bool
    runner_ids: frozenset[str]
    heard_s: float


class _Elsewhere(NamedTuple):
    """What all the others follow, together."""

    is_everybody: bool
    runner_ids: frozenset[str]


class _Own:
    """What this worker follows in a campus. The collection is not copied: it is read when it is told."""

    __slots__ = ("asks", "is_told", "runner_ids", "sequence", "told_s")

    def __init__(self) -> None:
        self.runner_ids: Collection[str] | None = ()
        self.sequence = 0
        self.is_told = True
        self.told_s = float("-inf")
        self.asks = False

    @property
    def is_something(self) -> bool:
        return self.runner_ids is None or len(self.runner_ids) > 0

    @property
    def gather_s(self) -> float:
        is_long = self.runner_ids is not None and len(self.runner_ids) > _LONG_LIST
        return _GATHER_LONG_S if is_long else GATHER_S


#: origin, sequence, is everybody, runner ids (None: as last said under this sequence), whether it asks the others.
_Message: TypeAlias = tuple[str, int, bool, list[str] | None, bool]
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Message] = msgspec.msgpack.Decoder(_Message)


class Interest:
    """One worker's books of it. Pure: it is handed the time and the messages, and says what is to be told."""

    def __init__(self, origin: str, now_s: Callable[[], float]) -> None:
        """``origin`` is unique per process; ``now_s`` is monotonic real time."""
        self._origin = origin
        self._now_s = now_s
        self._sequence = 0  # of all campuses, so that one that was left and joined again says nothing twice
        self._own: dict[str, _Own] = {}
        self._said: dict[str, dict[str, _Said]] = {}
        self._elsewhere: dict[str, _Elsewhere] = {}
        self._asked_s: dict[str, float] = {}

    # --- what this worker follows

    def want(self, campus_id: str, runner_ids: Collection[str] | None) -> None:
        """Follow these runners from now on (None: everybody, empty: nobody)."""
        own = self._own.setdefault(campus_id, _Own())
        own.runner_ids = runner_ids
        own.is_told = False

    def is_wanting(self, campus_id: str) -> bool:
        own = self._own.get(campus_id)
        return own is not None and own.is_something

    def ask(self, campus_id: str) -> None:
        """Ask the others what they follow, as after joining; they learn what we follow at once."""
        own = self._own.setdefault(campus_id, _Own())
        own.asks, own.is_told = True, False

    def leave(self, campus_id: str) -> bytes | None:
        """Forget the campus; what the others are to be told, if anything."""
        own = self._own.pop(campus_id, None)
        self._said.pop(campus_id, None)
        self._elsewhere.pop(campus_id, None)
        self._asked_s.pop(campus_id, None)
        if own is None or own.told_s == float("-inf"):
            return None
        return _encoder.encode((self._origin, self._next(), False, [], False))

    def due(self, campus_ids: Iterable[str]) -> list[tuple[str, bytes]]:
        """What is to be told now, of these campuses; whatever it returns counts as told."""
        now_s = self._now_s()
        told = []
        for campus_id in campus_ids:
            own = self._own.get(campus_id)
            if own is None:
                continue
            if not own.is_told and now_s >= own.told_s + own.gather_s:
                told.append((campus_id, self._announcement(own)))
            elif own.is_told and own.is_something and now_s >= own.told_s + REPEAT_S:
                told.append((campus_id, _encoder.encode((self._origin, own.sequence, False, None, False))))
            else:
                continue
            own.told_s = now_s
        return told

    def next_due_s(self) -> float | None:
        """When ``due`` next has something, in ``now_s`` time."""
        times = [
            own.told_s + (REPEAT_S if own.is_told else own.gather_s)
            for own in self._own.values()
            if own.is_something or not own.is_told
        ]
        return min(times, default=None)

    def _announcement(self, own: _Own) -> bytes:
        ids = own.runner_ids
        is_everybody = ids is None or len(ids) > MOST_RUNNERS
        own.sequence = self._next()
        asks, own.asks, own.is_told = own.asks, False, True
        listed = [] if is_everybody or ids is None else list(ids)
        return _encoder.encode((self._origin, own.sequence, is_everybody, listed, asks))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    # --- what the others follow

    def wanted(self, campus_id: str, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows (runner id first) of runners that somebody elsewhere follows."""
        elsewhere = self._elsewhere.get(campus_id)
        if elsewhere is None:
            return ()
        if elsewhere.is_everybody:
            return rows
        runner_ids = elsewhere.runner_ids
        return [row for row in rows if row[0] in runner_ids]

    def hear(self, campus_id: str, message: bytes) -> bool:
        """Another worker said something; whether there is something to tell now. Raises msgspec.DecodeError."""
        origin, sequence, is_everybody, runner_ids, asks = _decoder.decode(message)
        if origin == self._origin:
            return False
        now_s = self._now_s()
        said = self._said.setdefault(campus_id, {})
        known = said.get(origin)
        if known is not None and sequence < known.sequence:
            return False  # overtaken on its way
        if runner_ids is None:
            if known is None or known.sequence != sequence:
                return self._ask_again(campus_id, now_s)
            said[origin] = known._replace(heard_s=now_s)
        else:
            if is_everybody or runner_ids:
                said[origin] = _Said(sequence, is_everybody, frozenset(runner_ids), now_s)
            else:
                said.pop(origin, None)
            self._add_up(campus_id)
        own = self._own.get(campus_id)
        if asks and own is not None and own.is_something:
            own.is_told = False
            return True
        return False

    def forget_silent(self) -> None:
        """Workers that were not heard of for a while follow nothing."""
        before_s = self._now_s() - FORGET_S
        for campus_id, said in self._said.items():
            silent = [origin for origin, one in said.items() if one.heard_s < before_s]
            for origin in silent:
                del said[origin]
            if silent:
                self._add_up(campus_id)

    def _ask_again(self, campus_id: str, now_s: float) -> bool:
        if now_s < self._asked_s.get(campus_id, float("-inf")) + _ASK_AGAIN_S:
            return False
        self._asked_s[campus_id] = now_s
        self.ask(campus_id)
        return True

    def _add_up(self, campus_id: str) -> None:
        said = self._said[campus_id].values()
        if said:
            is_everybody = any(one.is_everybody for one in said)
            ids: frozenset[str] = frozenset() if is_everybody else frozenset().union(*(one.runner_ids for one in said))
            self._elsewhere[campus_id] = _Elsewhere(is_everybody, ids)
        else:
            self._elsewhere.pop(campus_id, None)
