"""What a hub is handed: the rooms that it works with, and its bounds and rhythms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dispatch.clock import Clock
from dispatch.flow.track_runner import LiveTable
from dispatch.hub.rules import Principal, Rules, Standing
from dispatch.live.bus import Bus
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import ResumeStreams
from dispatch.live.tracks import Tracks
from dispatch.model.errors import Refusal
from geo.fix import Fix

from .position_writer import IndexFactory


class TopicGrant(Protocol):
    """What somebody may see of a topic."""

    @property
    def snapshot(self) -> Any:
        """The topic's subject as it is now, where it was asked for: anything that msgspec encodes, in the datum that
        was named."""

    @property
    def watch(self) -> str | None:
        """Whose position the topic shows: a runner's id, ``""`` nobody's, None: unchanged or not that kind."""


#: Whether each may follow that topic, for people of one campus, ``(principal, topic)``; the answer has no snapshot.
MayFollow = Callable[[Sequence[tuple[Any, str]]], Awaitable[Sequence[TopicGrant | Refusal]]]
#: The same with snapshots, ``(principal, topic, datum)``; all that it tells was read after it was called.
ReadTopics = Callable[[Sequence[tuple[Any, str, str]]], Awaitable[Sequence[TopicGrant | Refusal]]]
VerifyToken = Callable[[str], Principal]
#: Who these are today, as the books say: one answer for each, in their order; raises when the books do not answer.
AskStandings = Callable[[Sequence[Any]], Awaitable[Sequence[Standing | Refusal]]]


class Fences(Protocol):
    """Who watches where runners go; none of the calls waits or raises."""

    def observe(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        """The newest fix of each runner that moved since the last flush."""

    def forget(self, campus_id: str, runner_id: str) -> None:
        """The runner is off duty or gone."""

    def release(self, campus_id: str, runner_id: str) -> None:
        """The runner's connection to this worker has ended; they may go on at another."""

    def metrics(self) -> Mapping[str, float]: ...


class NoFences:
    """Nobody watches."""

    def observe(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None: ...

    def forget(self, campus_id: str, runner_id: str) -> None: ...

    def release(self, campus_id: str, runner_id: str) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        return {}


_RULES = Rules()


@dataclass(frozen=True, slots=True)
class HubOptions:
    """Bounds and rhythms; all times are real."""

    allowed_origins: frozenset[str] = frozenset()
    flush_s: float = 0.05
    hello_timeout_s: int = 5
    close_timeout_s: int = 5
    ping_every_s: int = 25
    drain_s: float = 3.0
    max_connections: int = 12_000
    max_per_account: int = 20
    upgrades_per_s: int = 1_500
    upgrades_per_address_per_s: int = 10_000
    """A whole campus may come from one address; this is against a flood, the line at the door is what is fair."""
    upgrades_waiting: int = 8_000
    """Handshakes that wait for their turn, at most so long."""
    upgrade_wait_s: float = 12.0
    topics_per_connection: int = _RULES.topics
    frames_per_s: int = _RULES.frames_per_s
    follows_per_window: int = _RULES.follows_per_window
    queue_bytes: int = _RULES.queue_bytes
    hello_lasts_s: int = _RULES.hello_lasts_s
    report_every_ms: int = _RULES.report_every_ms
    fetches_at_once: int = 100
    silent_every_s: int = 5
    """How often silent runners are looked for."""
    presence_s: float = 120.0
    """Business seconds after which a runner who was not heard of is on no map."""
    state_kept_s: float = 900.0
    """Business seconds for which a silent runner's filter state is kept."""

    def rules(self, time_scale: float) -> Rules:
        return Rules(
            topics=self.topics_per_connection,
            # Simulated people in fast time talk fast.
            frames_per_s=max(self.frames_per_s, round(4 * time_scale)),
            follows_per_window=max(self.follows_per_window, round(4 * time_scale)),
            queue_bytes=self.queue_bytes,
            hello_lasts_s=self.hello_lasts_s,
            report_every_ms=self.report_every_ms,
            time_scale=time_scale,
            flush_ms=round(self.flush_s * 1000),
        )


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts of the house that a hub works with."""

    clock: Clock
    bus: Bus
    presence: Presence
    tracks: Tracks
    streams: ResumeStreams
    index_of: IndexFactory
    table: LiveTable
    verify_token: VerifyToken
    may_follow: MayFollow
    read_topics: ReadTopics
    ask_standings: AskStandings
    lasts_s: Callable[[Any], float]
    """Real seconds until a principal's right to speak ends."""
    new_connection_id: Callable[[], str]
    fences: Fences = NoFences()
