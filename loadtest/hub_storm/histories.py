"""What everybody saw and did during a storm, as it is recorded, kept in a file and handed to the checker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field


class Snapshot(Struct, array_like=True):
    """``versions``: the version of every order that it shows; ``at_ms``: the server's time when it was received."""

    at_ms: int
    versions: dict[str, int]


class Span(Struct, array_like=True):
    """A topic from one ``followed`` to the next. ``asked``: the (epoch, offset) that the watcher came back with, None
    when it had none or was not the one who asked; ``offsets`` and ``ids``: the events that followed."""

    is_recovered: bool
    epoch: str
    offset: int
    asked: tuple[str, int] | None = None
    is_asked: bool = False
    snapshot: Snapshot | None = None
    offsets: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    closed: str = ""


#: runner → (fixed_at_ms, lat, lon)
Shown = dict[str, tuple[int, float, float]]


class Seen(Struct):
    """What one watcher saw. ``shown``: per topic the dots as they stood at the end."""

    name: str
    account_id: str
    topics: dict[str, list[Span]] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)
    positions: int = 0
    steps_back: list[str] = field(default_factory=list)
    older_after_return: int = 0
    connections: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    is_connected: bool = False


class Reported(Struct):
    """What one runner reported. ``accepted``: the newest fix that the server said it accepted (at, lat, lon);
    ``unexpected``: refusals of fixes that were all right, by code."""

    runner_id: str
    sent: int = 0
    answered: int = 0
    accepted: tuple[int, float, float] | None = None
    refused: dict[str, int] = field(default_factory=dict)
    unexpected: dict[str, int] = field(default_factory=dict)
    stuck_after_jump: list[str] = field(default_factory=list)


class ProcessSize(Struct):
    """One process of the server at one moment. ``tasks``: -1 where they were not counted."""

    role: str
    index: int
    pid: int
    rss_bytes: int
    open_files: int
    tasks: int = -1


class Ages(Struct):
    """Ages in ms of what was seen in one part of the storm: positions send → receipt, events true → receipt."""

    part: str
    kind: str
    count: int
    p50: float
    p95: float
    p99: float
    highest: float


class Happened(Struct):
    """One injected fault: what was done, and how long until everybody was back. ``cpu_s``: what the processes that
    lived through it used meanwhile, by role."""

    fault: str
    at_s: float
    took_s: float
    back_s: float | None = None
    note: str = ""
    faults: list[str] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)


class History(Struct):
    """A whole storm. ``first_seq``: events of the books up to this one are older than any watcher; ``strays``:
    processes of the server that it does not know of any more."""

    campus_id: str
    runners: int
    watchers: int
    seed: int
    first_seq: int = 0
    seen: list[Seen] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    ages: list[Ages] = field(default_factory=list)
    presence: Shown = field(default_factory=dict)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    before: list[ProcessSize] = field(default_factory=list)
    between: list[ProcessSize] = field(default_factory=list)
    after: list[ProcessSize] = field(default_factory=list)
    log_faults: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def keep(history: History, path: Path) -> None:
    path.write_bytes(msgspec.msgpack.encode(history))


def read(path: Path) -> History:
    """Raises ValueError when the file holds no history."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=History)
    except (OSError, msgspec.DecodeError) as fault:
        raise ValueError(f"{path}: no history of a storm ({fault})") from None
