"""The jobs process: relay, commands to payments, what payments reports, due jobs, sweeps and retention."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ..flow.apply_payments import apply_payments
from ..flow.apply_withdrawals import apply_withdrawals
from ..flow.compare_intents import compare_intents
from ..flow.context import Context
from ..flow.learn_arrivals import ArrivalLearner
from ..flow.look_after_orders import LOOK_EVERY_S, Lookout
from ..flow.payment_health import TELL_S, tell_ways
from ..flow.publish_events import Streams, publish_events
from ..flow.record_crossings import end_stays_of_absent
from ..flow.run_due_jobs import run_due_jobs
from ..flow.send_commands import send_commands
from .loop import Loop

log = logging.getLogger(__name__)

#: Real seconds between looks when nobody wakes us.
POLL_S, SWEEP_S, STAYS_S, COMPARE_S, RETENTION_S = 0.25, 5.0, 60.0, 300.0, 3_600.0

#: Business seconds between two looks at what is under way, to learn from how it arrives.
LEARN_S = 60.0

Work = Callable[[], Awaitable[int]]


class Background:
    """All loops of the jobs process. Several such may run: leases and ids keep them apart."""

    def __init__(self, ctx: Context, streams: Streams, payments_work: Work, holder: str) -> None:
        self._ctx = ctx
        self._absent: dict[str, set[str]] = {}
        clock = ctx.clock
        # Nobody wakes us for what falls due; where business time runs faster, so do the looks for it.
        due_s = min(POLL_S, max(0.05, clock.real_s(1.0)))
        self._payments_work = payments_work
        self.relay = Loop("relay", lambda: publish_events(ctx, streams), POLL_S)
        self.commands = Loop("commands", self._send, POLL_S)
        self.payments = Loop("payments", self._pay, due_s)
        self.ways = Loop("ways", self._tell_ways, TELL_S)
        self.results = Loop("results", self._apply, POLL_S)
        self.withdrawals = Loop("withdrawals", self._apply_withdrawals, POLL_S)
        self.due = Loop("due", lambda: run_due_jobs(ctx, holder), due_s)
        self.sweep = Loop("sweep", self._sweep, min(SWEEP_S, max(0.5, clock.real_s(30.0))))
        look_s = min(LOOK_EVERY_S, max(2.0, clock.real_s(LOOK_EVERY_S)))
        self._lookout = Lookout(ctx)
        self.lookout = Loop("lookout", self._look, look_s)
        self.stays = Loop("stays", self._end_stays, STAYS_S)
        self.learner = ArrivalLearner(ctx, holder)
        self.arrivals = Loop("arrivals", self._learn, max(1.0, clock.real_s(LEARN_S)))
        self.compare = Loop("compare", self._compare, COMPARE_S)
        self.retention = Loop("retention", self._retention, RETENTION_S)
        self.loops = (
            self.relay, self.commands, self.payments, self.results, self.withdrawals, self.due, self.sweep,
            self.lookout, self.stays, self.compare, self.retention, self.arrivals, self.ways,
        )  # fmt: skip

    def start(self) -> None:
        self._ctx.bus.on_wake("outbox", lambda _: self.wake())
        for loop in self.loops:
            loop.start()

    def wake(self) -> None:
        """Something was committed: it may be an event, a command or a payment that was reported."""
        for loop in (self.relay, self.commands, self.payments, self.results, self.withdrawals):
            loop.wake()

    async def stop(self) -> None:
        for loop in self.loops:
            await loop.stop()
        await self.learner.stop()

    async def _send(self) -> int:
        sent = await send_commands(self._ctx)
        if sent:
            self.payments.wake()
            self.results.wake()
            self.withdrawals.wake()
        return sent

    async def _pay(self) -> int:
        done = await self._payments_work()
        if done:
            self.results.wake()
            self.withdrawals.wake()
        return done

    async def _tell_ways(self) -> int:
        await tell_ways(self._ctx)
        return 0

    async def _apply(self) -> int:
        applied = await apply_payments(self._ctx)
        if applied:
            self.relay.wake()
            await self._ctx.bus.wake("planner")
        return applied

    async def _apply_withdrawals(self) -> int:
        applied = await apply_withdrawals(self._ctx)
        if applied:
            self.relay.wake()
        return applied

    async def _sweep(self) -> int:
        """Forget runners who have not been heard of, and tell those who watch."""
        before = self._ctx.clock.now() - self._ctx.options.presence_ttl
        for campus in await self._ctx.store.read_global(lambda unit: unit.campuses.all()):
            gone = await self._ctx.presence.sweep(campus.id, round(before.timestamp() * 1000))
            await self._ctx.bus.publish_gone(campus.id, gone)
        return 0

    async def _look(self) -> int:
        """Look after the orders under way; what was found makes no further look due."""
        await self._lookout.look()
        return 0

    async def _end_stays(self) -> int:
        """Whoever is in a geofence and nowhere on the map, at two looks, is not in it any more."""
        for campus in await self._ctx.store.read_global(lambda unit: unit.campuses.all()):
            before = self._absent.get(campus.id, set())
            self._absent[campus.id] = await end_stays_of_absent(self._ctx, campus.id, before)
        return 0

    async def _learn(self) -> int:
        await self.learner.look()
        return 0

    async def _compare(self) -> int:
        await compare_intents(self._ctx)
        return 0

    async def _retention(self) -> int:
        counts = await self._ctx.store.run_global(lambda unit: unit.retention(unit.now))
        if any(counts.values()):
            log.info("retention", extra={"fields": {name: count for name, count in counts.items() if count}})
        return 0
