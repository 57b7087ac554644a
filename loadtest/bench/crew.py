"""The bench's own processes and what they are asked to do: one that sends, others that watch."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frames import Tracks
from .links import FleetSpec, Opening
from .machine import allow_many_files, end_with_parent, pin, wake_precisely

ANSWER_S = 300.0


@dataclass(frozen=True, slots=True)
class SendPlan:
    """An open loop: ``rate`` fixes a second from all connections in turn, from ``start_ms`` (wall clock) on. A fix
    carries the time that it is due at, plus ``offset_ms``: the server's business time. ``together``: so many, each of
    another connection, are due at the same moment; 1 spaces them evenly, and each may wake the server."""

    start_ms: float
    seconds: float
    rate: float
    tracks: Tracks
    offset_ms: int = 0
    together: int = 1


@dataclass(frozen=True, slots=True)
class SentReport:
    """What became of a plan. ``late``: sent more than 5 ms after they were due."""

    due: int
    sent: int
    late: int
    unsent: int
    worst_late_ms: float
    frame_bytes: int
    read_frames: int
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class WatchReport:
    """What watchers received of the fixes that were due within a window: how many, and how old they were."""

    deliveries: int
    frames: int
    ages_ms: NDArray[np.float32]
    faults: Counter[str] = field(default_factory=Counter)
    events: int = 0

    def age_ms(self, percent: float) -> float | None:
        return float(np.percentile(self.ages_ms, percent)) if len(self.ages_ms) else None


class CrewFault(Exception):
    """A process of the bench could not do what it was asked; the text is its own."""


class Hand:
    """One process of the bench, told what to do over a pipe. It dies with the bench."""

    def __init__(self, worker: Callable[..., Any], cores: Iterable[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(worker, theirs), daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        pin(self.pid, cores)

    def tell(self, what: str, *words: Any) -> None:
        """Ask for something without waiting; ``answer`` must be called for each."""
        self._pipe.send((what, words))

    def answer(self, within_s: float = ANSWER_S) -> Any:
        if not self._pipe.poll(within_s):
            raise CrewFault(f"no answer within {within_s:.0f} s")
        is_well, said = self._pipe.recv()
        if not is_well:
            raise CrewFault(said)
        return said

    def ask(self, what: str, *words: Any, within_s: float = ANSWER_S) -> Any:
        self.tell(what, *words)
        return self.answer(within_s)

    def open(self, name: str, spec: FleetSpec, *words: Any) -> Opening:
        """Open a fleet there; raises CrewFault unless every connection is open."""
        opening: Opening = self.ask("open", name, spec, *words, within_s=spec.within_s + 30)
        if opening.opened != len(spec.links):
            raise CrewFault(f"{name}: {opening.opened} of {len(spec.links)} connections opened; {dict(opening.faults)}")
        return opening

    def stop(self) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _run(worker: Callable[[], Any], pipe: Connection) -> None:
    """The life of a hand: do what is told until the pipe is closed, and ``idle`` in between."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    wake_precisely()
    allow_many_files()
    hand = worker()
    while True:
        try:
            while not pipe.poll(0):
                hand.idle()
            what, words = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((True, getattr(hand, what)(*words)))
        except Exception as fault:  # the bench is told what went wrong, whatever it was
            pipe.send((False, f"{type(fault).__name__}: {fault}"))


def wall_ms() -> float:
    return time.time_ns() / 1e6
