"""What every use case is handed: the books, the present, the money, the time and the campus maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from payments.port import PaymentsPort

from ..access.codes import LINK_CODE_TTL
from ..access.tokens import Tokens
from ..assign.params import Params
from ..clock import Clock
from ..live.bus import Bus
from ..live.counters import Counters
from ..live.notes import Notes
from ..live.presence import Presence
from ..live.tracks import Tracks
from ..model.ids import NewId
from ..notify.sms import SmsSender
from ..store.store import Store
from ..ticks.archive import TickArchive
from .campus_ground import CampusGrounds
from .thinking import Thinking


class CodeReceiver(Protocol):
    """Where payments that run apart hand over one-time codes."""

    async def take(self, headers: Mapping[str, str], path: str, body: bytes) -> None: ...


class SandboxWallet(Protocol):
    """The student's side of the demonstration channel: what a phone's wallet does with a real one."""

    async def pay(self, token: str, outcome: Literal["ok", "insufficient"] = "ok") -> str: ...


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How often, in real seconds. The phone's protect a person's inbox; a whole campus may share one IP address."""

    resend_gap: timedelta = timedelta(seconds=60)
    codes_per_phone_hour: int = 5
    codes_per_ip_hour: int = 120
    codes_per_campus_hour: int = 6_000
    tries_per_ip: int = 3_000
    tries_per_ip_window_s: int = 300


@dataclass(frozen=True, slots=True)
class Options:
    """The few settings that rules of the business depend on."""

    offer_ttl: timedelta = timedelta(seconds=15)
    undo_ttl: timedelta = timedelta(seconds=10)
    presence_ttl: timedelta = timedelta(minutes=2)
    report_every_s: float = 5.0
    channels: tuple[str, ...] = ("sandbox",)
    public_url: str = "http://127.0.0.1:8888"
    #: Whether who has too little money to pay is told that runners are looked for.
    has_job_hint: bool = True
    #: Real time: how long a one-time link may wait for its click.
    link_ttl: timedelta = LINK_CODE_TTL
    limits: SignInLimits = field(default_factory=SignInLimits)
    #: What the planner goes by; whoever asks what it would do goes by the same.
    params: Params = field(default_factory=Params)


@dataclass(frozen=True, slots=True)
class Context:
    """The rooms that a use case may enter. Made once per process by ``dispatch.app``."""

    store: Store
    payments: PaymentsPort
    presence: Presence
    tracks: Tracks
    counters: Counters
    notes: Notes
    bus: Bus
    grounds: CampusGrounds
    clock: Clock
    new_id: NewId
    tokens: Tokens
    sms: SmsSender
    options: Options = Options()
    sandbox: SandboxWallet | None = None
    #: Wakes the relay after a commit that left events or commands; losing the call costs a poll interval, no event.
    announce: Callable[[], None] = lambda: None
    #: Where codes to be sent arrive, if payments run apart.
    code_door: CodeReceiver | None = None
    #: What the planner saw and did lately; None where it is not recorded.
    ticks: TickArchive | None = None
    #: For questions about plans that people ask.
    thinking: Thinking = field(default_factory=Thinking)
