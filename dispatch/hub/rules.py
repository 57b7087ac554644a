"""The bounds of every connection, and the two things that a connection is handed: who speaks, and where bytes go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Principal(Protocol):
    """Who a token speaks for."""

    @property
    def account_id(self) -> str: ...
    @property
    def campus_id(self) -> str: ...
    @property
    def roles(self) -> frozenset[Any]: ...
    @property
    def session_id(self) -> str: ...


class Standing(Protocol):
    """What the books say today of somebody who speaks on a socket."""

    @property
    def principal(self) -> Principal:
        """In today's roles."""

    @property
    def is_on_duty(self) -> bool: ...
    @property
    def is_tracked(self) -> bool:
        """On duty, or with an errand in their hands: only then is a runner's position anybody's business."""

    @property
    def is_busy(self) -> bool:
        """With an errand or an offer in their hands."""


class Sink(Protocol):
    """Where a connection's bytes go; none of the calls waits."""

    def write(self, data: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of every connection; times are real."""

    topics: int = 50
    frames_per_s: int = 100
    follows_per_window: int = 100
    """Each follow asks the books; a window is ten seconds."""
    bad_frames: int = 20
    refused_per_s: int = 5
    queue_bytes: int = 512 * 1024
    hello_lasts_s: int = 900
    report_every_ms: int = 5_000
    time_scale: float = 1.0
    flush_ms: int = 50
    console_every_ms: int = 250
    """How often a console is shown who moved, unless it asks for another rhythm."""
