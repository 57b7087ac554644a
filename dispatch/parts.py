"""Builds the objects that a process of this server is made of, from its settings; nothing here decides anything."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dispatch.access.tokens import Tokens
from dispatch.assign.params import Params
from dispatch.clock import Clock
from dispatch.flow.campus_ground import CampusGrounds
from dispatch.flow.context import Context, Options, SignInLimits
from dispatch.flow.money_codes import CodeDoor, code_sender
from dispatch.keys import Secrets, load_secrets
from dispatch.live.bus import Bus
from dispatch.live.connect import RedisClient, connect
from dispatch.live.counters import Counters
from dispatch.live.notes import Notes
from dispatch.live.presence import Presence
from dispatch.live.resume_streams import ResumeStreams
from dispatch.live.tracks import Tracks
from dispatch.model.ids import NewId, make_id
from dispatch.notify.aliyun import AliyunAccount, AliyunSender
from dispatch.notify.sms import MONEY_CODE, SIGN_IN_CODE, NoSender, PrintingSender, SmsSender
from dispatch.paying import Paying, paying_of
from dispatch.settings import Settings
from dispatch.store.store import Store
from dispatch.store.vault import Vault
from dispatch.ticks.archive import TickArchive
from dispatch.ticks.files import TickFiles
from dispatch.ticks.variant import parse_variant
from payments.guards.second_factor import SendCode
from payments.key_files import read_keys
from payments.service.internal_signing import Keys


@dataclass(frozen=True, slots=True)
class Parts:
    """What every role of the server shares."""

    settings: Settings
    secrets: Secrets
    ctx: Context
    redis: RedisClient
    streams: ResumeStreams
    paying: Paying
    holder: str


def ids_of(clock: Clock) -> NewId:
    """Ids that sort by business time."""
    return lambda prefix: make_id(prefix, clock.now(), os.urandom(10))


def store_of(settings: Settings, keys: Secrets, clock: Clock) -> Store:
    data_keys = {str(key_id): key for key_id, key in keys.data_keys.items()}
    vault = Vault(data_keys, str(keys.current_data_key), keys.lookup_key)
    return Store(settings.effective_database_url, now=clock.now, new_id=ids_of(clock), vault=vault)


def sms_of(settings: Settings) -> SmsSender:
    """The sender that the settings name; printing is for demonstrations only, and settings refuse it elsewhere."""
    match settings.sms:
        case "print":
            return PrintingSender()
        case "aliyun":
            assert settings.sms_access_key_secret_file is not None, "settings check that a provider is complete"
            account = AliyunAccount(
                url=settings.sms_url,
                key_id=settings.sms_access_key_id,
                key_secret=settings.sms_access_key_secret_file.read_text().strip(),
                sign_name=settings.sms_sign_name,
                templates={
                    SIGN_IN_CODE: settings.sms_code_template,
                    MONEY_CODE: settings.sms_money_template or settings.sms_code_template,
                },
            )
            return AliyunSender(account, now_real=lambda: datetime.now(UTC), new_nonce=lambda: secrets.token_hex(16))
        case _:
            return NoSender()


def code_door_of(settings: Settings, send_code: SendCode) -> CodeDoor | None:
    """Where a payments process hands over codes; there is none while payments are in this server."""
    if settings.payments_keys_file is None:
        return None
    return CodeDoor(Keys(read_keys(settings.payments_keys_file)), send_code)


@asynccontextmanager
async def open_parts(settings: Settings, name: str, announce: Callable[[], None] | None = None) -> AsyncIterator[Parts]:
    """Open everything, hand it over, and close it again in the reverse order. ``name`` tells processes apart."""
    clock = settings.clock()
    keys = load_secrets(settings)
    holder = f"{name}:{os.getpid()}:{secrets.token_hex(4)}"
    # The command line works beside a server whose private Redis it cannot know, and sends it nothing.
    redis = connect(settings.redis_url or f"unix://{settings.data_dir / 'run' / 'no-redis'}")
    store = store_of(settings, keys, clock)
    sms = sms_of(settings)
    send_code = None if isinstance(sms, NoSender) else code_sender(store, sms)
    paying = paying_of(settings, keys, clock, ids_of(clock), send_code)
    bus = Bus(redis, holder)
    waker = _Waker(bus)
    ctx = Context(
        store=store,
        payments=paying.port,
        presence=Presence(redis),
        tracks=Tracks(redis, ttl_s=settings.track_days * 86_400),
        counters=Counters(redis, time.time),
        notes=Notes(redis),
        bus=bus,
        grounds=CampusGrounds(store, clock),
        clock=clock,
        new_id=ids_of(clock),
        tokens=Tokens(
            {"1": keys.token_key},
            "1",
            lambda: datetime.now(UTC),
            access_ttl_s=round(settings.access_ttl_s),
            refresh_ttl_s=round(settings.refresh_ttl_s),
        ),
        sms=sms,
        options=_options(settings),
        sandbox=paying.bank,
        code_door=None if send_code is None else code_door_of(settings, send_code),
        announce=announce or waker.wake,
        ticks=TickArchive(TickFiles(settings.effective_record_dir)) if settings.record_days else None,
    )
    await store.start()
    await paying.body.start()
    await bus.start()
    try:
        yield Parts(settings, keys, ctx, redis, ResumeStreams(redis), paying, holder)
    finally:
        await waker.stop()
        await bus.stop()
        await sms.close()
        await paying.body.stop()
        await store.stop()
        await redis.aclose()


def _options(settings: Settings) -> Options:
    return Options(
        offer_ttl=timedelta(seconds=settings.offer_ttl_s),
        channels=settings.channel_names,
        public_url=settings.effective_public_url,
        has_job_hint=settings.has_job_hint,
        link_ttl=timedelta(seconds=settings.link_ttl_s),
        params=parse_variant(settings.plan_params).params(Params()),
        limits=SignInLimits(
            codes_per_phone_hour=settings.codes_per_phone_hour,
            codes_per_ip_hour=settings.codes_per_ip_hour,
            codes_per_campus_hour=settings.codes_per_campus_hour,
        ),
    )


class _Waker:
    """Tells the relay's process that something was committed. Calls that come before the last was sent count as one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._task: asyncio.Task[None] | None = None
        self._is_asked = False

    def wake(self) -> None:
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def stop(self) -> None:
        if self._task is not None:
            await self._task

    async def _send(self) -> None:
        while self._is_asked:
            self._is_asked = False
            await self._bus.wake("outbox")
