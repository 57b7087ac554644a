"""The payments that this server is told to have: in its own processes with the sandbox or real channels, or in one of
their own, asked over the signed interface."""

from __future__ import annotations

from dataclasses import dataclass

from dispatch.clock import Clock
from dispatch.keys import Secrets
from dispatch.settings import Settings
from payments.assembly import assemble, guards_of
from payments.books.booking import NewId
from payments.channels.sandbox_bank import SandboxBank
from payments.embedded import EmbeddedPayments
from payments.guards.risk import read_rules
from payments.guards.second_factor import SendCode
from payments.health import HealthView
from payments.port import PaymentsPort
from payments.sandboxed import DEFAULT_SHAPES, SandboxedPayments
from payments.service.remote import RemotePayments, as_port, open_remote
from payments.upkeep.service_hours import AskHours


@dataclass(frozen=True, slots=True)
class Paying:
    """One body of the payments port, and what this process has to do for it. ``bank``: the demonstration institution,
    where there is one here."""

    body: EmbeddedPayments | RemotePayments
    bank: SandboxBank | None = None

    @property
    def port(self) -> PaymentsPort:
        """What flows see of it."""
        return as_port(self.body) if isinstance(self.body, RemotePayments) else self.body

    async def migrate(self) -> None:
        """Bring its tables up to date; a process of its own sees to that itself."""
        if isinstance(self.body, EmbeddedPayments):
            await self.body.migrate()

    async def work(self) -> int:
        """One pass over everything due; a process of its own does that itself."""
        return await self.body.work() if isinstance(self.body, EmbeddedPayments) else 0

    def health(self) -> HealthView:
        """How its channels fare; of a process of its own nothing is known here."""
        return self.body.health() if isinstance(self.body, EmbeddedPayments) else HealthView(breakers=(), complaints=())

    def start_upkeep(self, hours: AskHours) -> None:
        """Reconcile, watch and raise alarms from now on, in this process, by the campuses' ``hours``; stopping the body
        ends it. A process of its own is told hours by its own settings."""
        if isinstance(self.body, EmbeddedPayments):
            self.body.upkeep.start(hours)


#: A demonstration is many people at one machine: what tells a thief's phone from a student's there is how fast it pays.
DEMO_RULES = read_rules('{"*": {"shared_device": {"most": 150}, "device_rush": {"most": 180}}}')


def paying_of(
    settings: Settings, keys: Secrets, clock: Clock, new_id: NewId, send_code: SendCode | None = None
) -> Paying:
    """Joined as the settings say; nothing is opened yet. ``send_code``: the way to people's phones, where there is
    one."""
    if settings.payments_url:
        assert settings.payments_keys_file is not None, "the settings check that they come together"
        return Paying(open_remote(settings.payments_url, settings.payments_keys_file))
    rules = DEMO_RULES if settings.is_demo else None
    if settings.payments is not None:
        assembled = assemble(settings.payments, clock.now, new_id, clock.real_s, send_code=send_code, rules=rules)
        return Paying(assembled, assembled.bank)
    url = settings.effective_payments_database_url
    bank_url = f"sqlite:///{settings.data_dir / 'sandbox_bank.db'}" if url.startswith("sqlite") else url
    shapes = [each for each in DEFAULT_SHAPES if each.code in settings.channels]
    shapes.sort(key=lambda each: settings.channels.index(each.code))
    # Its books stand apart from ours, as a real institution's do.
    sandboxed = SandboxedPayments(
        url, bank_url, clock.now, new_id, keys.sandbox_key, clock.real_s, shapes, terms=settings.terms
    )
    sandboxed.guard(guards_of(settings.guarded, send_code, rules=rules, pace=clock.rate))
    return Paying(sandboxed, sandboxed.bank)
