"""The generator: an open loop of fixes, built in advance, one frame and one segment each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from .crew import SendPlan, SentReport, wall_ms
from .frames import fix_frames, frame_bytes
from .links import Fleet, FleetSpec, Link, Opening

LATE_MS = 5.0
#: What servers answer is read this often while fixes go out.
READ_EVERY_MS = 10.0


class Publisher:
    """Runs in a process of its own; see ``crew.Hand``."""

    def __init__(self) -> None:
        self._fleets: dict[str, Fleet] = {}
        self._read = 0
        self._seq = 1

    def idle(self) -> None:
        """Answer pings and take what comes."""
        for fleet in self._fleets.values():
            fleet.poll(0)
        time.sleep(0.005)

    def open(self, name: str, spec: FleetSpec) -> Opening:
        self.close(name)
        fleet = self._fleets[name] = Fleet(spec, self._take)
        return fleet.open()

    def close(self, name: str) -> None:
        if (fleet := self._fleets.pop(name, None)) is not None:
            fleet.close()

    def _take(self, link: Link, opcode: int, payload: bytes) -> None:
        self._read += 1

    def send(self, name: str, plan: SendPlan) -> SentReport:
        """Carry a plan out. Frames are built before the first is due; a socket that is full loses its fix."""
        fleet = self._fleets[name]
        links, count = fleet.links, round(plan.rate * plan.seconds)
        order = np.arange(count, dtype=np.int64)
        runner = order % len(links)
        due_ms = plan.start_ms + order // plan.together * (1000.0 * plan.together / plan.rate)
        at_ms = np.round(due_ms).astype(np.int64) + plan.offset_ms
        frames = fix_frames(plan.tracks, runner, at_ms, self._seq + order)
        self._seq += count
        size = frames.shape[1]
        raw = memoryview(frames.tobytes())
        before, self._read = self._read, 0
        sends = [link.sock.send if link.sock is not None else None for link in links]
        sent, late, unsent, worst = _loop(fleet, sends, raw, size, due_ms.tolist())
        read, self._read = self._read, before
        return SentReport(count, sent, late, unsent, worst, frame_bytes(), read, Counter(fleet.faults))


def _loop(
    fleet: Fleet, sends: Sequence[Callable[[memoryview], int] | None], raw: memoryview, size: int, due_ms: list[float]
) -> tuple[int, int, int, float]:
    """Sent, late, unsent, and by how many milliseconds the latest was late."""
    sent = late = unsent = 0
    worst = 0.0
    now, sleep, clients = wall_ms, time.sleep, len(sends)
    read_ms = now()
    begin = 0
    for index, due in enumerate(due_ms):
        at = now()
        while at < due:
            if at - read_ms >= READ_EVERY_MS:
                read_ms = at
                fleet.poll(0)
            else:
                sleep((due - at) / 1000.0)
            at = now()
        if at - due > LATE_MS:
            late += 1
            worst = max(worst, at - due)
        send = sends[index % clients]
        try:
            if send is not None and send(raw[begin : begin + size]) == size:
                sent += 1
            else:
                unsent += 1
        except OSError:
            unsent += 1
        begin += size
    return sent, late, unsent, worst
