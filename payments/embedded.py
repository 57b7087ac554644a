"""The payments port embedded in the caller's process: its own database, its own driver, the channels it is given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from payments import checks, commands, failover, ledger
from payments.attempt import Attempt, AttemptState
from payments.booking import Booking, NewId
from payments.callbacks import take_callback
from payments.channels.base import Channel, OpenBooks
from payments.driver import Driver
from payments.money import Fen
from payments.port import (
    AnyCommand,
    AnyEvent,
    AttemptView,
    Balances,
    CallbackReply,
    ChannelView,
    IntentView,
    OrderBook,
    StatementLine,
    SwitchRefused,
    Totals,
    UnknownChannel,
    UnknownIntent,
)
from payments.store.unit_of_work import Store, UnitOfWork

log = logging.getLogger(__name__)

#: Real seconds between two looks for work when nothing wakes the loop.
POLL_S = 0.25


class EmbeddedPayments:
    """One process's body of the port. Several processes may share a database; each may drive, or only one."""

    def __init__(
        self,
        database_url: str,
        now: Callable[[], datetime],
        new_id: NewId,
        channels: Sequence[Channel],
        real_s: Callable[[float], float] = float,
    ) -> None:
        self._store = Store(database_url)
        self._now = now
        self._new_id = new_id
        self._channels = {channel.shape.code: channel for channel in channels}
        self._driver = Driver(self._store, self._channels, now, new_id, real_s)
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    # -- life -------------------------------------------------------------------------------------------------------

    async def migrate(self) -> int:
        """Bring the schema up to date, under a lock; the version."""
        return await self._store.migrate()

    async def start(self, *, is_driving: bool = False) -> None:
        """Ready the schema; with ``is_driving`` also work in the background. What a crash left is simply due: a lease
        runs out, and the row says how far it had come."""
        await self.migrate()
        for channel in self._channels.values():
            await channel.start()
        if is_driving:
            self._loop = asyncio.create_task(self._work_for_ever(), name="payments-driver")

    async def stop(self) -> None:
        """Finish the step under way and let go of the database."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
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
        for channel in self._channels.values():
            done += await channel.work()
        return done

    # -- the port ---------------------------------------------------------------------------------------------------

    async def submit(self, command: AnyCommand) -> None:
        commands.check(command, self._channels)
        await self._store.run(lambda uow: commands.apply(Booking(uow, self._now(), self._new_id), command))
        self._woken.set()

    async def events(self, limit: int = 100) -> list[AnyEvent]:
        return await self._store.read(lambda uow: uow.outbox.waiting(limit))

    async def acknowledge(self, event_ids: Iterable[str]) -> None:
        ids = list(event_ids)
        if ids:
            await self._store.run(lambda uow: uow.outbox.acknowledge(ids, self._now()))

    async def view(self, intent_id: str) -> IntentView | None:
        return await self._store.read(partial(_view, intent_id))

    async def switch_channel(self, intent_id: str, channel: str) -> None:
        if channel not in self._channels or not self._channels[channel].is_available:
            raise UnknownChannel(channel)

        def ask(uow: UnitOfWork) -> None:
            intent = uow.intents.get(intent_id)
            if intent is None:
                raise UnknownIntent(intent_id)
            attempts = uow.attempts.of(intent)
            if not failover.may_switch(intent, attempts, self._now()):
                raise SwitchRefused(f"intent {intent_id} takes no payment any more")
            live = next((attempt for attempt in attempts if attempt.is_live), None)
            if live is not None and live.channel == channel and live.state is not AttemptState.CLOSING:
                return  # It is on that channel already.
            uow.intents.change(intent_id, phase="open", reason="", switch_to=channel, due_at=self._now())

        await self._store.run(ask)
        self._woken.set()

    async def callback(self, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackReply:
        if channel not in self._channels:
            return CallbackReply(404, b"no such channel")
        reply = await take_callback(self._store, self._channels[channel], headers, body, self._now, self._new_id)
        self._woken.set()
        return reply

    async def balances(self, account_ref: str) -> Balances:
        accounts = ledger.accounts_of(account_ref)

        def read(uow: UnitOfWork) -> Balances:
            pending_fen = sum(
                receiver.amount_fen
                for order in uow.instructions.unfinished("split")
                for receiver in order.receivers
                if receiver.account_ref == account_ref
                and ledger.receiver(receiver.party, receiver.account_ref) not in order.finished
            )
            return Balances(
                pending_fen=Fen(pending_fen),
                available_fen=uow.books.balance_fen(*accounts),
                withdrawn_fen=uow.books.debited_fen("withdraw", *accounts),
            )

        return await self._store.read(read)

    async def statement(self, account_ref: str, limit: int = 50, before_seq: int | None = None) -> list[StatementLine]:
        accounts = ledger.accounts_of(account_ref)
        return await self._store.read(lambda uow: uow.books.statement(accounts, limit, before_seq))

    async def totals(self, campus_id: str) -> Totals:
        sums = await self._store.read(lambda uow: uow.books.sums_of_campus(campus_id))

        def total(kind: str, *groups: str) -> Fen:
            return Fen(
                sum(fen for (name, group), fen in sums.items() if name == kind and group in (groups or (group,)))
            )

        return Totals(
            held_fen=total("hold"),
            captured_fen=total("capture"),
            released_fen=total("release"),
            refunded_fen=total("refund"),
            campus_fen=total("capture", "campus"),
            platform_fen=Fen(total("capture", "platform") - total("refund")),
            runner_fen=total("capture", "runner"),
        )

    def channels(self) -> list[ChannelView]:
        return [
            ChannelView(
                code=code,
                name_zh=channel.shape.name_zh,
                name_en=channel.shape.name_en,
                is_available=self._driver.is_healthy(code),
                is_demo=channel.shape.is_demo,
            )
            for code, channel in self._channels.items()
        ]

    async def book(self, order_ref: str) -> OrderBook:
        return await self._store.read(partial(_book, order_ref))

    # -- examining --------------------------------------------------------------------------------------------------

    async def check(self) -> list[checks.Difference]:
        """The ledger against itself and against every institution's own books; empty when all agrees."""
        found = await checks.check_ledger(self._store)
        for channel in self._channels.values():
            if isinstance(channel, OpenBooks):
                found += await checks.compare_mirror(self._store, channel)
        return found


def _view(intent_id: str, uow: UnitOfWork) -> IntentView | None:
    intent = uow.intents.get(intent_id)
    if intent is None:
        return None
    attempts = uow.attempts.of(intent)
    payable = next((attempt for attempt in attempts if attempt.state is AttemptState.ISSUED), None)
    credential: dict[str, Any] | None = payable.credential if payable and intent.wants_payment else None
    paying = next((attempt for attempt in attempts if attempt.id == intent.paid_attempt), None)
    newest = paying or next((attempt for attempt in attempts if attempt.is_live), attempts[-1] if attempts else None)
    return IntentView(
        intent_id=intent.id,
        campus_id=intent.campus_id,
        order_ref=intent.order_ref,
        amount_fen=intent.amount_fen,
        state=failover.intent_state(intent, attempts),
        hold_state=intent.hold_state,
        channel=newest.channel if newest else None,
        credential=credential,
        captured_fen=intent.captured_fen,
        released_fen=intent.released_fen,
        refunded_fen=intent.refunded_fen,
        expires_at=intent.expires_at,
        reason=intent.reason,
        attempts=tuple(_attempt_view(attempt) for attempt in attempts),
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt_id=attempt.id,
        channel=attempt.channel,
        state=attempt.state.value,
        created_at=attempt.created_at,
        changed_at=attempt.changed_at,
        reason=attempt.reason,
    )


def _book(order_ref: str, uow: UnitOfWork) -> OrderBook:
    entries = uow.books.of_order(order_ref)
    intents = uow.intents.of_order(order_ref)

    def total(kind: str) -> Fen:
        return Fen(sum(entry.amount_fen for entry in entries if entry.kind == kind))

    escrow_fen = uow.books.balance_fen(*(ledger.escrow(intent.id) for intent in intents))
    return OrderBook(
        order_ref=order_ref,
        held_fen=total("hold"),
        captured_fen=total("capture"),
        released_fen=total("release"),
        refunded_fen=total("refund"),
        escrow_balance_fen=escrow_fen,
        entries=tuple(entries),
    )
