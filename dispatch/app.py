"""One process of the server: builds its parts, joins them for its role, and starts, drains and stops them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_network

from tornado.httpserver import HTTPServer

from dispatch.administration import (
    admin_create,
    campus_import,
    campus_list,
    campus_show,
    demo_setup,
    load_accounts,
    migrate,
)
from dispatch.assign.params import Params
from dispatch.flow.follow_topic import may_follow_many, read_topics
from dispatch.flow.planning import Desk
from dispatch.flow.service_hours import service_hours
from dispatch.flow.sign_in import ask_standings
from dispatch.flow.track_runner import LiveTable
from dispatch.flow.watch_geofences import FenceWatch
from dispatch.flow.watch_stops import StopWatch
from dispatch.hub_metrics import HubMetrics
from dispatch.jobs.background import Background
from dispatch.jobs.planner import Planner
from dispatch.parts import Parts, open_parts
from dispatch.payment_metrics import PaymentMetrics
from dispatch.planner_metrics import PlannerMetrics
from dispatch.processes import spare_what_stays
from dispatch.settings import Settings
from dispatch.ticks.recorder import recorder_of
from dispatch.ticks.variant import parse_variant
from dispatch.web.application import make_application
from dispatch.web.client_address import client_address
from dispatch.web.headers import WebSettings
from dispatch.web.under_way import UnderWay
from dispatch.wire.hub_server import HubOptions, HubServer, Rooms
from dispatch.wire.porch import Porch
from dispatch.wire.rooms import Fences
from dispatch.wire.upgrade import UpgradeHandler
from dispatch.wire.watches import Watches
from geo.redis_index import RedisGeoIndex

log = logging.getLogger(__name__)

__all__ = [
    "admin_create",
    "campus_import",
    "campus_list",
    "campus_show",
    "demo_setup",
    "load_accounts",
    "migrate",
    "run_child",
]

_LAST_ANSWERS_S = 2.0
MAX_HEADER_BYTES, MAX_BODY_BYTES = 32_768, 2_200_000


def run_child(settings: Settings, *, role: str, index: int, listen_fd: int | None, ready: Callable[[], None]) -> None:
    """Run one process until SIGTERM or SIGINT; returns when it has drained. ``ready`` is called once it serves."""
    runners = {"web": _web, "planner": _planner, "jobs": _jobs}
    run = runners[role]

    async def main() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stopping.set)
        # For a process that seems to hang: kill -USR1 PID, and the log says what every task waits for.
        loop.add_signal_handler(signal.SIGUSR1, _log_tasks)
        async with open_parts(settings, f"{role}-{index}") as parts:
            await run(parts, listen_fd, ready, stopping)

    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(main())


def _log_tasks() -> None:
    for task in asyncio.all_tasks():
        where = [f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in task.get_stack(limit=8)]
        log.warning("task %s waits at %s", task.get_name(), " < ".join(reversed(where)))


def _new_loop() -> asyncio.AbstractEventLoop:
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


async def _web(parts: Parts, listen_fd: int | None, ready: Callable[[], None], stopping: asyncio.Event) -> None:
    """Pages, API and the hub's sockets."""
    settings = parts.settings
    assert listen_fd is not None, "the supervisor binds the socket"
    fences, stops = FenceWatch(parts.ctx), StopWatch(parts.ctx)
    hub = hub_of(parts, Watches(fences, stops))
    metrics = HubMetrics(hub)
    under_way = UnderWay()
    application = make_application(
        parts.ctx,
        under_way=under_way,
        settings=WebSettings(
            is_tls=settings.effective_public_url.startswith("https"), trusted_proxies=settings.trusted_proxies
        ),
        extra_routes=[(r"/ws", UpgradeHandler, {"server": hub})],
        checks={
            "database": lambda: parts.ctx.store.read_global(lambda unit: unit.campuses.all()),
            "redis": parts.redis.ping,
        },
    )
    server = HTTPServer(
        application,
        ssl_options=_tls(settings),
        max_header_size=MAX_HEADER_BYTES,
        max_body_size=MAX_BODY_BYTES,
        idle_connection_timeout=75,
        body_timeout=30,
    )
    stop_listening = _listen(listen_fd, server, hub, settings)
    await fences.start()
    await stops.start()
    await hub.start()
    metrics.start()
    spare_what_stays()
    ready()
    await stopping.wait()
    stop_listening()
    under_way.drain()
    await hub.drain()
    await hub.stop()
    await fences.stop()
    await stops.stop()
    await metrics.stop()
    # Whoever is being answered gets the answer; who sits on an open connection is sent to another process.
    await under_way.idle(_LAST_ANSWERS_S)
    with suppress(TimeoutError):
        await asyncio.wait_for(server.close_all_connections(), 2.0)
    await under_way.idle(_LAST_ANSWERS_S)


def _listen(listen_fd: int, server: HTTPServer, hub: HubServer, settings: Settings) -> Callable[[], None]:
    """Let connections arrive; what is returned ends that."""
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(False)
    if settings.tls_cert is not None:
        server.add_socket(listener)
        return server.stop
    trusted = [ip_network(each) for each in settings.trusted_proxies]
    porch = Porch(listener, server, hub, lambda peer, forwarded: client_address(peer, forwarded, trusted))
    porch.start()
    return porch.stop


def hub_of(parts: Parts, fences: Fences) -> HubServer:
    """The hub of this process, joined with the flows that it serves."""
    settings, ctx = parts.settings, parts.ctx
    rooms = Rooms(
        clock=ctx.clock,
        bus=ctx.bus,
        presence=ctx.presence,
        tracks=ctx.tracks,
        streams=parts.streams,
        index_of=lambda campus_id: RedisGeoIndex(parts.redis, campus_id),
        table=LiveTable(),
        verify_token=ctx.tokens.socket,
        ask_standings=lambda whos: ask_standings(ctx, whos),
        lasts_s=lambda who: (who.expires_at - ctx.tokens.now()).total_seconds(),
        may_follow=lambda asked: may_follow_many(ctx, asked),
        read_topics=lambda asked: read_topics(ctx, asked),
        new_connection_id=lambda: secrets.token_hex(8),
        fences=fences,
    )
    options = HubOptions(
        allowed_origins=frozenset(settings.allowed_origins),
        flush_s=settings.flush_ms / 1000,
        drain_s=min(3.0, settings.grace_s * 0.4),
        max_connections=settings.connections_per_worker,
        max_per_account=settings.connections_per_account,
        presence_s=ctx.options.presence_ttl.total_seconds(),
        report_every_ms=max(200, round(ctx.clock.real_s(ctx.options.report_every_s) * 1000)),
    )
    return HubServer(rooms, options)


async def _planner(parts: Parts, listen_fd: int | None, ready: Callable[[], None], stopping: asyncio.Event) -> None:
    settings = parts.settings
    shadow, params = parse_variant(settings.shadow_params), parse_variant(settings.plan_params)
    desk = Desk(
        parts.ctx,
        deadline_s=settings.plan_deadline_s,
        recorder=recorder_of(settings.effective_record_dir, parts.holder, settings.record_days, settings.record_mb),
        shadow=shadow if settings.shadow_params else None,
        method=params.method,
    )
    planner = Planner(
        parts.ctx, parts.holder, settings.planning_tick_s, params.params(Params()), desk, PlannerMetrics(desk).on_tick
    )
    parts.ctx.bus.on_wake("planner", lambda _: planner.loop.wake())
    planner.start()
    ready()
    await stopping.wait()
    await planner.stop()


async def _jobs(parts: Parts, listen_fd: int | None, ready: Callable[[], None], stopping: asyncio.Event) -> None:
    metrics = PaymentMetrics(parts.paying.health)

    async def pay() -> int:
        done = await parts.paying.work()
        metrics.look()
        return done

    background = Background(parts.ctx, parts.streams, pay, parts.holder)
    parts.paying.start_upkeep(partial(service_hours, parts.ctx))
    background.start()
    ready()
    await stopping.wait()
    await background.stop()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
