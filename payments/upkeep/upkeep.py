"""Everything that is done beside driving payments: reconciliation each day, the watch each minute, the webhook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

import msgspec

from payments.books.booking import NewId
from payments.channels.base import Channel, Reveal, reveal_nothing
from payments.health import HealthView
from payments.reconcile.desk import ReconciliationDesk
from payments.reconcile.run import Reconciler
from payments.store.unit_of_work import Store
from payments.upkeep.alarms import Certificate, Complaining, Limits, OpenBreaker
from payments.upkeep.background import Rounds
from payments.upkeep.service_hours import AskHours, no_hours
from payments.upkeep.watch import Sources, Watch
from payments.upkeep.webhook import Webhook, WebhookConfig


class UpkeepConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the house around payments knows. ``hours`` is asked at each look; ``zones`` are the calendars of bills that
    are not China's."""

    hours: AskHours = no_hours
    zones: Mapping[str, tzinfo] = {}
    certificates: tuple[Certificate, ...] = ()
    limits: Limits = Limits()
    webhook: WebhookConfig | None = None


class Upkeep:
    """One process's; several may share the database."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        now: Callable[[], datetime],
        new_id: NewId,
        real_s: Callable[[float], float],
        health: Callable[[], HealthView],
        config: UpkeepConfig,
        reveal: Reveal = reveal_nothing,
    ) -> None:
        self.reconciler = Reconciler(store, channels, now, new_id, real_s, config.zones, reveal)
        self.reconciliation = ReconciliationDesk(store, now)
        sources = Sources(
            hours=config.hours,
            breakers=lambda: open_breakers(health()),
            complaints=lambda: recent_complaints(health()),
            certificates=lambda: config.certificates,
        )
        shapes = {code: channel.shape for code, channel in channels.items()}
        has_webhook = config.webhook is not None
        self.watch = Watch(store, shapes, now, new_id, sources, config.limits, has_webhook=has_webhook)
        self.webhook = None if config.webhook is None else Webhook(store, config.webhook, now, real_s)
        self._rounds = [
            Rounds("payments-reconciliation", self.reconciler.work),
            Rounds("payments-watch", self.watch.work),
        ]
        if self.webhook is not None:
            self._rounds.append(Rounds("payments-webhook", self.webhook.work))

    def start(self, hours: AskHours | None = None) -> None:
        """Begin; ``hours``, where given, in place of those of the settings."""
        if hours is not None:
            self.watch.ask_hours(hours)
        for rounds in self._rounds:
            rounds.start()

    async def stop(self) -> None:
        for rounds in self._rounds:
            await rounds.stop()
        if self.webhook is not None:
            await self.webhook.stop()


def recent_complaints(health: HealthView) -> list[Complaining]:
    """What providers held against us lately."""
    return [
        Complaining(channel=complaint.channel, reason=complaint.reason, count=complaint.recent)
        for complaint in health.complaints
        if complaint.recent
    ]


def open_breakers(health: HealthView) -> list[OpenBreaker]:
    """The operations that are passed over, or tried out again, after failures."""
    return [
        OpenBreaker(channel=breaker.channel, operation=breaker.operation, open_s=breaker.open_s)
        for breaker in health.breakers
        if breaker.state != "closed"
    ]
