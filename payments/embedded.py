"""The payments port embedded in the caller's process: its own database, its own driver, the channels it is given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from payments import commands, failover, ledger
from payments.account import (
    AccountCommand,
    AccountEvent,
    ConfirmationView,
    RefundView,
    ReviewWithdrawal,
    Withdraw,
    WithdrawalView,
)
from payments.attempt import AttemptState
from payments.books import checks
from payments.books.booking import Booking, NewId
from payments.books.deadlines import keep_deadlines
from payments.books.group_books import current_child
from payments.books.statements import (
    MOST_LISTED,
    balances_of,
    book_of,
    confirmation_view,
    refund_view,
    totals_of,
    withdrawal_view,
)
from payments.callbacks import Callbacks
from payments.channels.base import Channel, OpenBooks, Reveal
from payments.driver import Driver
from payments.guards.binding import BindingPayments
from payments.health import HealthView
from payments.port import (
    AnyCommand,
    AnyEvent,
    Balances,
    CallbackReply,
    CallbackTally,
    ChannelView,
    IntentView,
    OrderBook,
    StatementLine,
    SwitchRefused,
    TimelineEntry,
    Totals,
    UnknownChannel,
    UnknownIntent,
)
from payments.store.unit_of_work import Store, UnitOfWork
from payments.terms import Terms
from payments.timeline import MOST_SHOWN, ExchangeBuffer, row_of_exchange
from payments.upkeep.upkeep import Upkeep, UpkeepConfig
from payments.upkeep.upkept import UpkeptPayments
from payments.views import view_of

log = logging.getLogger(__name__)

#: Real seconds between two looks for work when nothing wakes the loop.
POLL_S = 0.25


class EmbeddedPayments(BindingPayments, UpkeptPayments):
    """One process's body of the port. Several processes may share a database; each may drive, or only one."""

    def __init__(
        self,
        database_url: str,
        now: Callable[[], datetime],
        new_id: NewId,
        channels: Sequence[Channel],
        real_s: Callable[[float], float] = float,
        *,
        reveal: Reveal | None = None,
        exchanges: ExchangeBuffer | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        upkeep: UpkeepConfig | None = None,
        terms: Terms | None = None,
    ) -> None:
        self._store = Store(database_url, terms)
        self._now = now
        self._new_id = new_id
        self._channels = {channel.shape.code: channel for channel in channels}
        self._shapes = {code: channel.shape for code, channel in self._channels.items()}
        self._driver = Driver(self._store, self._channels, now, new_id, real_s, reveal or self.reveal, monotonic_s)
        self._callbacks = Callbacks(self._store, now, new_id)
        #: Reconciliation, alarms and the webhook: for pages to look at, and working while this process drives.
        self.upkeep = Upkeep(
            self._store,
            self._channels,
            now,
            new_id,
            real_s,
            self._driver.health.view,
            upkeep or UpkeepConfig(),
            reveal or self.reveal,
        )
        #: Where channels tell of their calls (``observe``); written down with the next pass.
        self.exchanges = exchanges if exchanges is not None else ExchangeBuffer(now)
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    # -- life -------------------------------------------------------------------------------------------------------

    async def migrate(self) -> int:
        """Bring the schema up to date, under a lock; the version."""
        return await self._store.migrate()

    async def start(self, *, is_driving: bool = False) -> None:
        """Ready the schema; with ``is_driving`` also work in the background. What a crash left is due: a lease runs
        out, and the row says how far it had come. Whatever sleeps without an end is looked at again, too."""
        await self.migrate()
        asleep = await self._store.run(lambda uow: uow.intents.wake_unfinished(self._now()))
        if asleep:
            log.warning("%d unfinished payments were asleep and are looked at again", asleep)
        for channel in self._channels.values():
            await channel.start()
        if is_driving:
            self._loop = asyncio.create_task(self._work_for_ever(), name="payments-driver")
            self.upkeep.start()

    async def stop(self) -> None:
        """Finish the step under way and let go of the database."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        await self.upkeep.stop()
        await self._driver.stop()
        for channel in self._channels.values():
            await channel.stop()
        self._store.close()

    async def _work_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                taken = await self.work()
            except Exception:
                log.exception("a pass of payments failed; the next one follows")
                taken = 0
            if taken == 0:
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._woken.wait()
                except TimeoutError:
                    continue

    async def work(self) -> int:
        """One pass: everything due, once. How many things were done; 0 means that there is nothing to do now."""
        done = await self._driver.work()
        done += await keep_deadlines(self._store, self._now, self._new_id)
        await self._write_down()
        await self.clean()
        for channel in self._channels.values():
            done += await channel.work()
        return done

    # -- the port ---------------------------------------------------------------------------------------------------

    async def submit(self, command: AnyCommand | AccountCommand) -> None:
        commands.check(command, self._channels)
        of_intent = None if isinstance(command, Withdraw | ReviewWithdrawal) else command
        is_proved = of_intent is not None and await self.is_proved(of_intent)

        def apply(uow: UnitOfWork) -> None:
            booking = Booking(uow, self._now(), self._new_id)
            self.require_code(uow, command)
            commands.apply(booking, command, self._shapes)
            if of_intent is not None:
                self.screen(booking, of_intent, is_proved=is_proved)

        await self._store.run(apply)
        self._woken.set()

    async def events(self, limit: int = 100) -> list[AnyEvent]:
        return await self._store.read(lambda uow: uow.outbox.waiting(limit))

    async def account_events(self, limit: int = 100) -> list[AccountEvent]:
        return await self._store.read(lambda uow: uow.outbox.waiting_of_accounts(limit))

    async def acknowledge(self, event_ids: Iterable[str]) -> None:
        ids = list(event_ids)
        if ids:
            await self._store.run(lambda uow: uow.outbox.acknowledge(ids, self._now()))

    async def view(self, intent_id: str) -> IntentView | None:
        return await self._store.read(partial(view_of, intent_id))

    async def switch_channel(self, intent_id: str, channel: str) -> None:
        if channel not in self._channels or not self._driver.is_healthy(channel):
            raise UnknownChannel(channel)

        def ask(uow: UnitOfWork) -> None:
            whole = uow.intents.get(intent_id)
            if whole is None:
                raise UnknownIntent(intent_id)
            if whole.is_stopped:
                raise SwitchRefused(f"intent {intent_id} is stopped by risk")
            # A group is switched part by part: the one that is to be paid now.
            intent = current_child(uow.intents.children(intent_id)) if whole.part == 0 else whole
            attempts = uow.attempts.of(intent)
            if not failover.may_switch(intent, attempts, self._now()):
                raise SwitchRefused(f"intent {intent_id} takes no payment any more")
            if not failover.takes(self._shapes[channel], intent.amount_fen):
                raise SwitchRefused(f"{channel} takes no order of {intent.amount_fen} fen")
            live = next((attempt for attempt in attempts if attempt.is_live), None)
            if live is not None and live.channel == channel and live.state is not AttemptState.CLOSING:
                return  # It is on that channel already.
            # What is wished for now comes first; if it does not work, others are tried as before.
            channels = (channel, *(code for code in intent.channels if code != channel))
            changes = {"phase": "open", "reason": "", "switch_to": channel, "channels": channels}
            uow.intents.change(intent.id, **changes, due_at=self._now())
            if whole.part == 0:
                uow.intents.wake(whole.id, self._now())

        await self._store.run(ask)
        self._woken.set()

    async def callback(self, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
        if channel not in self._channels:
            return CallbackReply(404, b"no such channel")
        reply = await self._callbacks.take(self._channels[channel], headers, body)
        self._woken.set()
        return reply

    async def balances(self, account_ref: str) -> Balances:
        return await self._store.read(partial(balances_of, account_ref))

    async def statement(self, account_ref: str, limit: int = 50, before_seq: int | None = None) -> list[StatementLine]:
        accounts = (*ledger.accounts_of(account_ref), *ledger.owed_to(account_ref))
        return await self._store.read(lambda uow: uow.books.statement(accounts, limit, before_seq))

    async def withdrawals(
        self,
        *,
        account_ref: str | None = None,
        campus_id: str | None = None,
        state: str | None = None,
        withdrawal_id: str | None = None,
        limit: int = 50,
    ) -> list[WithdrawalView]:
        def read(uow: UnitOfWork) -> list[WithdrawalView]:
            found = uow.withdrawals.listed(account_ref, campus_id, state, min(limit, MOST_LISTED), withdrawal_id)
            return [withdrawal_view(each, uow.withdrawals.parts(each.id)) for each in found]

        return await self._store.read(read)

    async def confirmations(self, account_ref: str, limit: int = MOST_LISTED) -> list[ConfirmationView]:
        waiting = await self._store.read(lambda uow: uow.instructions.to_confirm(account_ref, min(limit, MOST_LISTED)))
        return [confirmation_view(each) for each in waiting]

    async def refunds(
        self,
        *,
        order_ref: str | None = None,
        campus_id: str | None = None,
        is_open: bool | None = None,
        limit: int = 50,
    ) -> list[RefundView]:
        def read(uow: UnitOfWork) -> list[RefundView]:
            found = uow.refunds.listed(order_ref, campus_id, is_open, min(limit, MOST_LISTED))
            return [refund_view(refund) for refund in found]

        return await self._store.read(read)

    async def totals(self, campus_id: str) -> Totals:
        return await self._store.read(partial(totals_of, campus_id))

    def channels(self) -> list[ChannelView]:
        return [
            ChannelView(
                code=code,
                name_zh=channel.shape.name_zh,
                name_en=channel.shape.name_en,
                is_available=self._driver.is_healthy(code),
                is_demo=channel.shape.is_demo,
                pays_to=channel.shape.pays_to,
                needs=channel.shape.needs,
                binding=channel.shape.binding,
            )
            for code, channel in self._channels.items()
        ]

    async def timeline(self, order_ref: str, limit: int = 500) -> list[TimelineEntry]:
        def read(uow: UnitOfWork) -> list[TimelineEntry]:
            ids = [intent.id for intent in uow.intents.of_order(order_ref)]
            return uow.timeline.of_intents(ids, min(limit, MOST_SHOWN))

        return await self._store.read(read)

    async def book(self, order_ref: str) -> OrderBook:
        return await self._store.read(partial(book_of, order_ref))

    # -- watching -----------------------------------------------------------------------------------------------------

    def health(self) -> HealthView:
        """The breakers and complaints of this process, for metrics and alarms."""
        return self._driver.health.view()

    async def callback_tallies(self, since: datetime) -> list[CallbackTally]:
        """How callbacks fared, in every process, in the hours from ``since`` on."""
        return await self._store.read(lambda uow: uow.timeline.tallies(since))

    async def _write_down(self) -> None:
        """What channels told of their calls, and how callbacks fared, in one transaction."""
        exchanges = self.exchanges.take()
        await self._callbacks.write_down()
        if not exchanges:
            return
        for exchange in exchanges:
            self._driver.health.exchanged(exchange)

        def write(uow: UnitOfWork) -> None:
            intents = uow.timeline.intents_of(exchange.subject for exchange in exchanges)
            for exchange in exchanges:
                if exchange.subject in intents:
                    uow.timeline.add(row_of_exchange(exchange, intents[exchange.subject]))

        await self._store.run(write)

    # -- examining --------------------------------------------------------------------------------------------------

    async def check(self) -> list[checks.Difference]:
        """The ledger against itself and against every institution's own books; empty when all agrees."""
        found = await checks.check_ledger(self._store)
        for channel in self._channels.values():
            if isinstance(channel, OpenBooks):
                found += await checks.compare_mirror(self._store, channel)
        return found
