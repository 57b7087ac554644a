"""A runner's fixes that the server has not acknowledged: live first, and after a gap the rest behind it in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: So many are kept: 72 minutes at one every 3 seconds. Beyond it every second one of the older half is let go.
KEPT = 1440
#: What one frame may carry.
BATCH = 240

Frame = dict[str, Any]


@dataclass(slots=True)
class _Kept:
    fix: Frame
    seq: int = 0  # 0: not sent on this connection


class FixQueue:
    """``send`` gives whether a frame could be handed to a connection. ``is_acked``: the server was asked to
    acknowledge; otherwise a fix that was sent counts as arrived."""

    __slots__ = ("_batch", "_is_acked", "_is_open", "_kept", "_send", "_seq", "thinned")

    def __init__(self, send: Callable[[Frame], bool], *, is_acked: bool) -> None:
        self._send = send
        self._is_acked = is_acked
        self._kept: list[_Kept] = []
        self._seq = 0
        self._batch = 0  # the number of the batch that is on its way; the next one follows its acknowledgement
        self._is_open = False
        self.thinned = 0

    def __len__(self) -> int:
        """How many have not been acknowledged."""
        return len(self._kept)

    def report(self, fix: Frame) -> bool:
        """Send a fix, or keep it for later; gives whether it went out now."""
        self._kept.append(_Kept(fix))
        if len(self._kept) > KEPT:
            self._thin()
        return self._is_open and self._send_newest()

    def pause(self) -> None:
        """The connection is lost: whatever was not acknowledged is sent again on the next one."""
        self._is_open = False
        self._batch = 0
        for one in self._kept:
            one.seq = 0

    def resume(self) -> None:
        """There is a connection: the dot on the map is right before the track is whole."""
        self.pause()
        self._is_open = True
        if self._kept:
            self._send_newest()
        self._send_batch()

    def acknowledge(self, seq: int) -> None:
        """Everything up to ``seq`` was judged."""
        self._kept = [one for one in self._kept if one.seq == 0 or one.seq > seq]
        if self._batch <= seq:
            self._batch = 0
        self._send_batch()

    def _send_newest(self) -> bool:
        newest = self._kept[-1]
        seq = self._next_seq()
        if not self._send({"t": "fix", "seq": seq, **newest.fix}):
            return False
        newest.seq = seq
        if not self._is_acked:
            self._kept.pop()
        return True

    def _send_batch(self) -> None:
        """One at a time where they are acknowledged: what is live never queues behind a long backlog."""
        while self._is_open and not self._batch:
            waiting = [one for one in self._kept if one.seq == 0][-BATCH:]
            seq = self._next_seq() if waiting else 0
            fixes = [one.fix for one in reversed(waiting)]
            if not waiting or not self._send({"t": "fixes", "seq": seq, "fixes": fixes}):
                return
            if not self._is_acked:
                del self._kept[-len(waiting) :]
                continue
            self._batch = seq
            for one in waiting:
                one.seq = seq

    def _thin(self) -> None:
        half, before = KEPT // 2, len(self._kept)
        self._kept = [*self._kept[:half:2], *self._kept[half:]]
        self.thinned += before - len(self._kept)

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq
