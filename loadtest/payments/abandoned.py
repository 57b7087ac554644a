"""Calls that never come back, by the thousand, and then as many good ones: does anything of the first remain?

Payments run in this process, over two simulated providers in processes of their own. So many payments get a credential;
then the first provider falls silent: it takes every call and never answers. As many payments that know no other way
are tried and given up. Then the first ones' questions come due, none of which is answered, while as many new payments
come that may go the other way. At last the provider is mended, everything in doubt is asked about and ended, and as
many good ones come again. What they take, and what the process holds on to, is compared with the beginning.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil

from payments.assembly import AssembledPayments, assemble
from payments.port import IntentFailed, IntentReady, OpenIntent
from payments.settings import read_settings

from ..api_client import open_session
from ..figures import Durations
from ..own_server import new_folder
from .providers import Provider
from .rehearsal import CREDENTIAL_P95_MS, MAIN, SPARE

#: It takes a call and never answers: ten minutes are longer than anybody waits.
SILENCE = {"fault": "delay", "value": "600000"}
#: Business time after which the newest credentials are asked about, and all that was given up.
ASKED_S, GIVEN_UP_S = 30.0, 400.0
#: Good ones may take so many times as long as before, in time and in CPU, and this long anyhow.
SLOWER, ANYHOW_S, ANYHOW_MS = 2.0, 2.0, CREDENTIAL_P95_MS
#: What the process may hold on to.
MOST_GROWTH_MB = 40.0
MOST_FILES = 64
#: New payments come at this rate while the first provider is silent.
PER_S = 50.0
LOST_AFTER_S = 180.0


@dataclass(frozen=True, slots=True)
class Options:
    """``payments``: of each kind."""

    payments: int = 1000
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds on to, and what its database says is somebody's or somebody's turn."""

    tasks: int = 0
    files: int = 0
    memory_mb: float = 0.0
    leases: int = 0
    due: int = 0


@dataclass(slots=True)
class Phase:
    """So many payments: ``ready`` have a credential, ``failed`` have none and never will; ``seconds`` until all had
    ended, ``cpu_ms`` of this process for each."""

    name: str
    seconds: float = 0.0
    cpu_ms: float = 0.0
    ready: int = 0
    failed: int = 0
    ready_ms: Durations = field(default_factory=Durations)
    held: Held = Held()

    def line(self) -> str:
        """For the table."""
        one, held = self.ready_ms.summary(), self.held
        return (
            f"{self.name:34} {self.ready:6} {self.failed:6} {self.seconds:8.1f} {one['p50']:8.0f} {one['p95']:8.0f}"
            f" {self.cpu_ms:8.1f} {held.tasks:6} {held.files:6} {held.leases:6} {held.memory_mb:8.1f}"
        )


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    options: Options
    phases: list[Phase] = field(default_factory=list)
    ended_s: float = 0.0
    at_rest: Held = Held()

    def faults(self) -> list[str]:
        """What should not have happened."""
        before, silent, meanwhile, after = self.phases
        wanted, found = self.options.payments, []
        for phase in (before, meanwhile, after):
            if phase.ready != wanted:
                found.append(f"{phase.name}: {wanted - phase.ready} of {wanted} got no credential")
        if silent.failed != wanted:
            found.append(f"{silent.name}: {wanted - silent.failed} of {wanted} did not end")
        p95_ms = meanwhile.ready_ms.percentile(0.95)
        if p95_ms > max(SLOWER * before.ready_ms.percentile(0.95), ANYHOW_MS):
            found.append(f"while calls hung, 95 % had a credential only after {p95_ms:.0f} ms")
        if after.seconds > max(SLOWER * before.seconds, ANYHOW_S) or after.cpu_ms > SLOWER * before.cpu_ms:
            found.append(
                f"good ones took {before.seconds:.1f} s and {before.cpu_ms:.1f} ms of CPU each before, "
                f"{after.seconds:.1f} s and {after.cpu_ms:.1f} ms afterwards"
            )
        return found + self._left()

    def _left(self) -> list[str]:
        first, last, found = self.phases[0].held, self.at_rest, []
        if last.leases or last.due:
            found.append(f"{last.leases} payments are still held by somebody, {last.due} are due")
        if last.tasks > first.tasks or last.files > first.files + MOST_FILES:
            found.append(f"tasks {first.tasks} → {last.tasks}, open files {first.files} → {last.files}")
        if last.memory_mb > first.memory_mb + MOST_GROWTH_MB:
            found.append(f"memory {first.memory_mb:.0f} → {last.memory_mb:.0f} MB")
        return found

    def text(self) -> str:
        """The report, as printed."""
        rest = self.at_rest
        return "\n".join(
            [
                f"== abandoned: {self.options.payments} payments of each kind",
                f"{'':34}  ready failed  seconds   p50 ms   p95 ms   CPU ms  tasks  files leased       MB",
                *(phase.line() for phase in self.phases),
                f"all in doubt ended {self.ended_s:.1f} s after the provider was mended",
                f"{'at rest':34} {'':49} {rest.tasks:6} {rest.files:6} {rest.leases:6} {rest.memory_mb:8.1f}",
            ]
        )


class _Shop:
    """Payments in this process, on a clock that can be moved on."""

    def __init__(self, folder: Path, providers: list[Provider]) -> None:
        told = {
            "PAYMENTS_ENVIRONMENT": "simulator",
            "PAYMENTS_CHANNELS": f"{MAIN},{SPARE}",
            "PAYMENTS_DATA_DIR": str(folder / "payments"),
        }
        for provider in providers:
            told |= provider.settings("http://127.0.0.1:9/nobody")
        self._database = folder / "payments" / "payments.db"
        self._ahead = timedelta()
        self.payments: AssembledPayments = assemble(read_settings(told, None), self.now, _new_id)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def pass_by(self, seconds: float) -> None:
        """So much business time passes at once."""
        self._ahead += timedelta(seconds=seconds)

    def held(self) -> Held:
        process = psutil.Process()
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as database:
            (leases,) = database.execute("SELECT COUNT(*) FROM intents WHERE lease_until IS NOT NULL").fetchone()
            now_us = round(self.now().timestamp() * 1_000_000)
            (due,) = database.execute("SELECT COUNT(*) FROM intents WHERE due_at <= ?", (now_us,)).fetchone()
        memory_mb = process.memory_info().rss / 2**20
        return Held(len(asyncio.all_tasks()), process.num_fds(), memory_mb, leases, due)

    async def phase(self, name: str, count: int, channels: tuple[str, ...], per_s: float = 0.0) -> Phase:
        """So many payments from opening to their credential or their end; ``per_s`` 0: all at once."""
        phase, opened_s = Phase(name), dict[str, float]()
        loop, began_s, cpu_s = asyncio.get_running_loop(), time.perf_counter(), time.process_time()

        async def open_one(number: int) -> None:
            await asyncio.sleep(number / per_s if per_s else 0)
            intent_id = f"int_{uuid.uuid4().hex}"
            opened_s[intent_id] = time.perf_counter()
            await self.payments.submit(self._command(intent_id, channels))

        opening = [loop.create_task(open_one(number)) for number in range(count)]
        while phase.ready + phase.failed < count and time.perf_counter() < began_s + LOST_AFTER_S:
            await self._hear(phase, opened_s)
            await asyncio.sleep(0.02)
        await asyncio.gather(*opening)
        phase.seconds = time.perf_counter() - began_s
        phase.cpu_ms = 1000 * (time.process_time() - cpu_s) / count
        phase.held = self.held()
        return phase

    async def _hear(self, phase: Phase, opened_s: dict[str, float]) -> None:
        events = await self.payments.events(500)
        for event in events:
            began_s = opened_s.pop(event.intent_id, None)
            if began_s is None:
                continue
            if isinstance(event, IntentReady):
                phase.ready += 1
                phase.ready_ms.add(1000 * (time.perf_counter() - began_s))
            elif isinstance(event, IntentFailed):
                phase.failed += 1
        await self.payments.acknowledge(event.id for event in events)

    def _command(self, intent_id: str, channels: tuple[str, ...]) -> OpenIntent:
        return OpenIntent(
            id=f"open_{intent_id}",
            intent_id=intent_id,
            campus_id="campus",
            order_ref=f"order_{intent_id}",
            payer_ref=f"student_{intent_id}",
            amount_fen=1250,
            description="奶茶",
            channels=channels,
            expires_at=self.now() + timedelta(minutes=45),
        )

    async def rest(self, is_so: Callable[[Held], bool]) -> Held:
        """Wait for it, or until it is certain enough that it never comes."""
        until_s = time.monotonic() + LOST_AFTER_S
        while True:
            held = self.held()
            if is_so(held) or time.monotonic() > until_s:
                return held
            await asyncio.sleep(0.2)


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


async def abandon(options: Options) -> Outcome:
    """The whole of it."""
    folder = new_folder("abandoned", options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    providers = [Provider(code, folder, students=0.0) for code in (MAIN, SPARE)]
    outcome = Outcome(options)
    try:
        for provider in providers:
            await provider.start()
        shop = _Shop(folder, providers)
        await shop.payments.start(is_driving=True)
        try:
            async with open_session(most=10) as session:
                await _play(outcome, shop, providers, session)
        finally:
            await shop.payments.stop()
    finally:
        for provider in providers:
            await provider.stop()
    return outcome


async def _play(outcome: Outcome, shop: _Shop, providers: list[Provider], session: aiohttp.ClientSession) -> None:
    count, main = outcome.options.payments, providers[0]

    async def pass_by(seconds: float) -> None:
        shop.pass_by(seconds)
        for provider in providers:
            await provider.set_calendar(session, round(shop.now().timestamp() * 1000))

    outcome.phases.append(await shop.phase("good, before", count, (MAIN,)))
    await main.add_fault(session, SILENCE)
    outcome.phases.append(await shop.phase("no answer, no other way", count, (MAIN,)))
    await pass_by(ASKED_S)
    outcome.phases.append(await shop.phase("good, while the first ones hang", count, (MAIN, SPARE), PER_S))
    await main.mend(session)
    await pass_by(GIVEN_UP_S)
    began_s = time.monotonic()
    await shop.rest(lambda held: not held.leases and not held.due)
    outcome.ended_s = time.monotonic() - began_s
    outcome.phases.append(await shop.phase("good, afterwards", count, (MAIN,)))
    first = outcome.phases[0].held
    outcome.at_rest = await shop.rest(lambda held: not held.leases and not held.due and held.tasks <= first.tasks)
