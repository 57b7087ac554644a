"""What reaches a simulated person, and what a simulated person can do; drivers carry it over the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

Body = Mapping[str, Any]


# --- what arrives


@dataclass(frozen=True, slots=True)
class Started:
    """Signed in and connected for the first time."""


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that the person asked to be woken at has come."""


@dataclass(frozen=True, slots=True)
class Wish:
    """This student wants something now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the call of that name; status 0 when there was none. ``body`` is what the JSON said."""

    name: str
    status: int
    body: Any
    subject: str = ""

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The stable code of an error."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return str(error.get("code", "")) if isinstance(error, dict) else ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the student at the door answered: the order's hand-over code, or None when they had none to tell."""

    order_id: str
    pin: str | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the hub: snapshots, events, closed topics, how often to report. Positions go to the figures, not to
    the person."""

    frame: Body


Arrived = Started | Woke | Wish | Answer | Heard | Frame


# --- what is done


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request under /api/v1. ``name`` groups it in the figures; ``subject`` comes back with the answer;
    ``expected``: statuses that are part of the game, such as losing a grab."""

    name: str
    method: str
    path: str
    body: Body | None = None
    key: str | None = None
    subject: str = ""
    expected: tuple[int, ...] = ()
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class Follow:
    topic: str


@dataclass(frozen=True, slots=True)
class Unfollow:
    topic: str


@dataclass(frozen=True, slots=True)
class SendFix:
    """One reading of the person's device."""

    at_ms: int
    lat: float
    lon: float
    acc: float
    spd: float | None = None
    brg: float | None = None


@dataclass(frozen=True, slots=True)
class Wake:
    """Wake me then (business time); replaces what was asked before."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Say an order's hand-over code to whoever stands at the door."""

    order_id: str
    pin: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the student at the door for the code; answered by ``Heard``."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the report. ``value``: seconds or a count, by kind; ``subject``: an order."""

    kind: str
    subject: str = ""
    value: float | None = None
    text: str = ""


Action = Call | Follow | Unfollow | SendFix | Wake | Tell | Ask | Note

S = TypeVar("S")
#: A person: what they know and want, moved by what arrives. The state is a frozen record.
Step = Callable[[S, Arrived, int, Random], tuple[S, tuple[Action, ...]]]


def event_of(frame: Body) -> tuple[str, Body] | None:
    """Kind and data of an event frame."""
    if frame.get("t") != "event":
        return None
    data = frame.get("data")
    return str(frame.get("kind", "")), data if isinstance(data, dict) else {}


def snapshot_of(frame: Body) -> Body | None:
    """The data of a snapshot frame."""
    data = frame.get("data") if frame.get("t") == "snapshot" else None
    return data if isinstance(data, dict) else None
