"""``python -m payments serve``: payments in a process of their own, with their own database, keys and channels."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from payments.assembly import assemble, vault_of
from payments.guards.code_post import CodePost
from payments.guards.vault import rotate
from payments.service.internal_signing import Keys
from payments.service.server import PaymentsServer
from payments.settings import Settings, SettingsError, add_env_file, read_settings
from payments.store.unit_of_work import Store

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 after a stop that was asked for, 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(prog="python -m payments serve")
    parser.add_argument("--host", help="address to listen on (PAYMENTS_HOST)")
    parser.add_argument("--port", type=int, help="port to listen on, 0: a free one (PAYMENTS_PORT)")
    add_env_file(parser)
    told = parser.parse_args(arguments)
    try:
        settings = read_settings(env_file=told.env_file)
        given = {name: value for name in ("host", "port") if (value := getattr(told, name)) is not None}
        settings = replace(settings, **given)
        if faults := list(settings.contradictions()):
            raise SettingsError(faults)
    except SettingsError as error:
        print(f"payments do not start:\n{error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    asyncio.run(serve(settings, lambda port: print(f"payments listen on {settings.host}:{port}", flush=True)))
    return 0


async def serve(settings: Settings, tell: Callable[[int], None], stop: asyncio.Event | None = None) -> None:
    """Run until a signal comes or ``stop`` is set; ``tell`` hears the port once calls are taken."""
    stopped = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    keys = Keys(settings.keys("internal_keys"))
    send_code = CodePost(settings.code_url, keys) if settings.code_url else None
    payments = assemble(settings, send_code=send_code)
    server = PaymentsServer(payments, keys, host=settings.host, port=settings.port, tls=tls_of(settings))
    try:
        await payments.start(is_driving=True)
        await server.start()
        log.info("payments of the %s environment, channels %s", settings.environment, settings.channel_names)
        tell(server.port)
        await stopped.wait()
    finally:
        await server.stop()
        await payments.stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """The server's side of TLS; None on the loopback without a certificate."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def vault_main(arguments: Sequence[str]) -> int:
    """``python -m payments vault rotate``: seal everything with the newest key, while others use the vault."""
    parser = argparse.ArgumentParser(prog="python -m payments vault")
    parser.add_argument("what", choices=("rotate", "keys"), help="rotate: seal anew · keys: which are still needed")
    add_env_file(parser)
    told = parser.parse_args(arguments)
    try:
        settings = read_settings(env_file=told.env_file)
        vault = vault_of(settings)
    except ValueError as error:
        print(f"the vault cannot be opened:\n{error}", file=sys.stderr)
        return 2
    asyncio.run(_vault(settings, told.what))
    print(f"current key · 当前密钥: {vault.current}")
    return 0


async def _vault(settings: Settings, what: str) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.effective_database_url)
    try:
        await store.migrate()
        if what == "rotate":
            print(f"sealed anew · 已重新加密: {await rotate(store, vault_of(settings))}")
        for key_id, count in sorted((await store.read(lambda uow: uow.vault.count_by_key())).items()):
            print(f"  {key_id}: {count}")
    finally:
        store.close()
