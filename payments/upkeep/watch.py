"""The watch: looks at the rows once a minute, lets the rules judge, and tells: as an event, and to the webhook."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from payments.books.booking import NewId
from payments.outcomes import Capabilities
from payments.port import Alarm, AlarmOver
from payments.reconcile.business_day import CHINA, bounds, day_of
from payments.reconcile.run import RUN_AT
from payments.store.unit_of_work import Store, UnitOfWork
from payments.upkeep.alarms import (
    REFUSED,
    AlarmView,
    Certificate,
    Complaining,
    Facts,
    Flow,
    GhostHour,
    Limits,
    OpenBreaker,
    ServiceHours,
    Telling,
    Waiting,
    causes,
    judge,
)
from payments.upkeep.service_hours import AskHours, no_hours

log = logging.getLogger(__name__)

#: Business seconds between two looks.
LOOK_S = 60.0
#: A callback may come after the query that proved the payment; only then it is missed.
GHOST_GRACE = timedelta(minutes=10)
HOUR = timedelta(hours=1)
BILLS_BACK = timedelta(days=14)


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows do not know, as plain values asked for at each look."""

    hours: AskHours = no_hours
    breakers: Callable[[], Sequence[OpenBreaker]] = tuple
    complaints: Callable[[], Sequence[Complaining]] = tuple
    certificates: Callable[[], Sequence[Certificate]] = tuple


class Watch:
    """One process's; several may share the database, and an alarm is told once all the same."""

    def __init__(
        self,
        store: Store,
        shapes: Mapping[str, Capabilities],
        now: Callable[[], datetime],
        new_id: NewId,
        sources: Sources | None = None,
        limits: Limits | None = None,
        *,
        has_webhook: bool = False,
    ) -> None:
        self._store = store
        self._direct_debits = sorted(code for code, shape in shapes.items() if shape.is_direct_debit)
        self._now = now
        self._new_id = new_id
        self._sources = sources or Sources()
        self._limits = limits or Limits()
        self._has_webhook = has_webhook
        self._hours: Sequence[ServiceHours] = ()
        self._look_at: datetime | None = None

    def ask_hours(self, hours: AskHours) -> None:
        """Whom to ask for the campuses' service hours from now on."""
        self._sources = msgspec.structs.replace(self._sources, hours=hours)

    async def work(self) -> int:
        """One look, when it is time; how many alarms were told."""
        now = self._now()
        if self._look_at is not None and now < self._look_at:
            return 0
        self._look_at = now + timedelta(seconds=LOOK_S)
        await self._hear_hours()
        facts = await self._store.read(partial(self._facts, now))
        open_alarms = await self._store.read(lambda uow: uow.alarms.open())
        found = causes(facts, self._limits, now, {alarm.key for alarm in open_alarms})
        if not found and not open_alarms:
            return 0
        name = self._new_id("alarm")

        def tell(uow: UnitOfWork) -> int:
            tellings = judge(found, uow.alarms.open(), now, name)
            return sum(self._tell(uow, telling, now) for telling in tellings)

        return await self._store.run(tell)

    async def alarms(self, limit: int = 100, *, only_open: bool = False) -> list[AlarmView]:
        """Open ones and, unless ``only_open``, old ones, the newest first."""
        most = max(1, min(limit, 1000))
        return await self._store.read(lambda uow: uow.alarms.open(most) if only_open else uow.alarms.newest(most))

    async def ghosts(self, hours: int = 24) -> list[GhostHour]:
        """Payments per channel and hour, and those whose callback never came; of the newest it may come yet."""
        now = self._now()
        since = now - max(1, min(hours, 24 * 31)) * HOUR
        until, judged_until = now + timedelta(seconds=1), now - GHOST_GRACE
        return await self._store.read(lambda uow: uow.alarms.ghosts(since, until, self._direct_debits, judged_until))

    # -- looking --------------------------------------------------------------------------------------------------

    def _facts(self, now: datetime, uow: UnitOfWork) -> Facts:
        limits, rows = self._limits, uow.alarms
        flows = rows.flows(now, timedelta(seconds=limits.quiet_s), timedelta(seconds=limits.time_to_pay_s))
        return Facts(
            hours=self._hours_of(flows, rows.open()),
            flows=flows,
            suspicious=rows.suspicious(),
            ghosts=self._newest_ghosts(uow, now),
            refused_callbacks=_refused(uow, now - HOUR),
            breakers=self._sources.breakers(),
            complaints=self._sources.complaints(),
            items=uow.reconciliations.count_unfinished(),
            bills=_late_bills(uow, now, limits),
            certificates=self._sources.certificates(),
            holds=rows.old_holds(now - timedelta(days=limits.hold_days)),
            refunds=rows.overdue_refunds(now - timedelta(seconds=limits.refund_s)),
        )

    async def _hear_hours(self) -> None:
        """Whoever knows the hours may be away for a while; those heard last go on."""
        try:
            self._hours = await self._sources.hours()
        except Exception:
            log.exception("the campuses' service hours could not be asked for")

    def _hours_of(self, flows: Iterable[Flow], open_alarms: Iterable[AlarmView]) -> list[ServiceHours]:
        """The hours of every campus where something happens, or is quiet already."""
        known = {hours.campus_id: hours for hours in self._hours}
        usual = known.pop("", ServiceHours(campus_id=""))
        for campus_id in {*(flow.campus_id for flow in flows), *(alarm.campus_id for alarm in open_alarms)} - {""}:
            known.setdefault(campus_id, msgspec.structs.replace(usual, campus_id=campus_id))
        return [known[campus_id] for campus_id in sorted(known)]

    def _newest_ghosts(self, uow: UnitOfWork, now: datetime) -> list[GhostHour]:
        """The last sixty minutes as one, whatever the clock's hours: two thin halves of an hour are one full one."""
        until = now - GHOST_GRACE
        sums: dict[str, GhostHour] = {}
        for part in uow.alarms.ghosts(until - HOUR, until, self._direct_debits, until):
            before = sums.get(part.channel)
            sums[part.channel] = GhostHour(
                channel=part.channel,
                begins_at=until - HOUR,
                payments=part.payments + (before.payments if before else 0),
                ghosts=part.ghosts + (before.ghosts if before else 0),
            )
        return list(sums.values())

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, uow: UnitOfWork, telling: Telling, now: datetime) -> int:
        alarm = telling.alarm
        uow.alarms.put(alarm)
        if telling.what == "nothing":
            return 0
        head: dict[str, Any] = {
            "seq": 0,
            "id": f"{alarm.id}-over" if telling.what == "over" else f"{alarm.id}-{alarm.times}",
            "intent_id": "",
            "campus_id": alarm.campus_id,
            "order_ref": "",
            "at": now,
            "alarm_id": alarm.id,
            "kind": alarm.kind,
            "subject": alarm.subject,
            "parameters": alarm.parameters,
        }
        event: Alarm | AlarmOver
        if telling.what == "over":
            event = AlarmOver(**head)
            uow.alarms.forget()
        else:
            event = Alarm(**head, step=alarm.step, times=alarm.times, opened_at=alarm.opened_at)
        uow.outbox.add(event)
        if self._has_webhook:
            uow.webhook.add(event.id, msgspec.json.encode(event).decode(), now)
        return 1


def _refused(uow: UnitOfWork, since: datetime) -> dict[str, int]:
    refused: dict[str, int] = {}
    for tally in uow.timeline.tallies(since):
        if tally.outcome in REFUSED:
            refused[tally.channel] = refused.get(tally.channel, 0) + tally.count
    return refused


def _late_bills(uow: UnitOfWork, now: datetime, limits: Limits) -> list[Waiting]:
    """Per channel, the days whose bill should have come long ago. A day that nobody could get a bill of in two weeks
    is history."""
    expected_from = now - timedelta(seconds=limits.bill_missing_s, hours=RUN_AT.hour, minutes=RUN_AT.minute)
    before = day_of(expected_from, CHINA)
    late: dict[str, list[date]] = {}
    for run in uow.reconciliations.without_bill(before - BILLS_BACK, before):
        late.setdefault(run.channel, []).append(run.day)
    return [
        Waiting(of=channel, count=len(days), oldest_at=bounds(days[0], CHINA)[1], oldest=days[0].isoformat())
        for channel, days in late.items()
    ]
