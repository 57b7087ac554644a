"""What a connection asks of the hub that it belongs to, and the stages of its life."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from geo.filters import Reason, Verdict
from geo.fix import Fix

from .codes import CloseCode
from .frames import Follow, View
from .reporting import Reporting
from .rules import Principal, Rules

if TYPE_CHECKING:
    from .connection import Connection
    from .reporter import Reporter
    from .topic import Topic


class Host(Protocol):
    """The hub, as its connections see it."""

    rules: Rules
    now_ms: int
    """Business time of what is being received."""
    second: int
    """Real time in whole seconds, for limits."""
    frames: int
    """Data frames received; each connection adds its own when a second has passed."""

    def verify(self, token: str) -> Principal: ...

    def admit(self, connection: Connection, principal: Principal) -> CloseCode | None: ...

    def lasts_s(self, principal: Principal) -> int:
        """Real seconds until the right to speak ends."""

    def check(self, connection: Connection) -> None:
        """Have the books asked who this is today; ``stand`` or ``close`` brings the answer."""

    def hide(self, connection: Connection) -> None:
        """Take this runner off the maps."""

    def reporting(self, *, is_busy: bool) -> Reporting:
        """How often such a runner is to report now."""

    def seat(self, connection: Connection) -> Reporter:
        """The connection speaks for a runner: give it its reporter."""

    def judge_of(self, connection: Connection) -> Callable[[Fix], Verdict | Reason]:
        """What judges this runner's fixes, until ``release``."""

    def release(self, connection: Connection) -> None:
        """The connection has no more fixes to be judged at once."""

    def follow(self, connection: Connection, frame: Follow) -> None: ...

    def unfollow(self, connection: Connection, topic: Topic) -> None: ...

    def view(self, connection: Connection, topic: Topic, frame: View) -> None: ...

    def change_look(self, connection: Connection) -> None:
        """The connection wants its frames in another datum than before."""

    def touch(self, connection: Connection) -> None:
        """The connection has something to write at the end of this flush."""

    def count(self, what: str, times: int = 1) -> None: ...

    def closing_reason(self, code: CloseCode) -> str:
        """What a connection that ends so is told; where others may end with it, to each a time of its own."""


class Stage(Enum):
    NEW = 0
    OPEN = 1
    CLOSING = 2
