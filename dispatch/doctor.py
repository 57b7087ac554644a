"""`dispatch doctor`: looks at everything that a server needs, and says of each what is wrong and what to do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import resource
import shutil
import sqlite3
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from dispatch.certificate import days_left
from dispatch.embedded import LEAST_VERSION, RedisUnavailable, answers, find_redis_binary, redis_version, running_socket
from dispatch.keys import load_secrets, secrets_folder, unsafe_modes
from dispatch.live.connect import connect
from dispatch.parts import store_of
from dispatch.settings import Settings
from dispatch.store.store import Store
from payments.terms_settings import in_words

GIB = 2**30
NETWORK_DEADLINE_S = 5.0
LATENCY_WARN_MS = 5.0
CLOCK_WARN_S, CLOCK_FAIL_S = 1.0, 30.0
PING_COUNT = 20
# RFC 6455: appended to the client's key before hashing.
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STATIC = Path(__file__).resolve().parent / "web" / "static"
NEEDED_PAGES = ("console.html", "track.html", "runner.html", "vendor/leaflet/leaflet.js",
                "vendor/swagger-ui/swagger-ui-bundle.js")  # fmt: skip


class Level(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``advice`` says what to do unless all is well."""

    check: str
    level: Level
    text: str
    advice: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Every check, each on its own: one that breaks is a finding and does not keep the others from running."""
    checks: tuple[tuple[str, Callable[[Settings], Awaitable[list[Finding]]]], ...] = (
        ("redis", _redis),
        ("sql", _sql),
        ("upgrade", _upgrade),
        ("clock", _clock),
        ("disk", _disk),
        ("secrets", _secrets),
        ("pages", _pages),
        ("sms", _sms),
        ("channels", _channels),
        ("tls", _tls),
        ("limits", _limits),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += await check(settings)
        except Exception as fault:  # a check is there to find what nobody thought of
            text = f"{type(fault).__name__}: {fault}"
            findings.append(Finding(name, Level.FAIL, text, f"see what the {name} settings in .env.example say"))
    return findings


def show(findings: Sequence[Finding], *, as_json: bool = False) -> int:
    """Print the findings; gives the exit code, 1 when one of them is a failure."""
    if as_json:
        sys.stdout.write(orjson.dumps([asdict(each) for each in findings], option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        for each in findings:
            print(f"{each.level:<5} {each.check:<9} {each.text}")
            if each.advice:
                print(f"{'':<15} → {each.advice}")
    return int(any(each.level is Level.FAIL for each in findings))


# --- Redis, SQL, clocks -----------------------------------------------------------------------------------------------


async def _redis_url(settings: Settings) -> str | None:
    """The Redis that a server of these settings uses now, if there is one."""
    if settings.redis_url:
        return settings.redis_url
    embedded = running_socket(settings.data_dir / "run")
    return f"unix://{embedded}" if embedded is not None and await answers(embedded) else None


async def _redis(settings: Settings) -> list[Finding]:
    url = await _redis_url(settings)
    if url is None:
        try:
            binary = find_redis_binary()
        except RedisUnavailable as fault:
            return [Finding("redis", Level.FAIL, "none to start", str(fault))]
        version = ".".join(map(str, redis_version(binary)))
        return [Finding("redis", Level.OK, f"the server will start a private one: {binary} ({version})")]
    client = connect(url)
    try:
        async with asyncio.timeout(NETWORK_DEADLINE_S):
            described: Any = await client.info("server")
            first = next(iter(described.values())) if "redis_version" not in described else described
            version = str(first["redis_version"])
            took_ms = []
            for _ in range(PING_COUNT):
                began = time.perf_counter()
                await client.ping()
                took_ms.append((time.perf_counter() - began) * 1000)
    except Exception as fault:
        text = f"does not answer: {type(fault).__name__}: {fault}"
        return [Finding("redis", Level.FAIL, text, "start it, or mend REDIS_URL")]
    finally:
        await client.aclose()
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        wanted = ".".join(map(str, LEAST_VERSION))
        return [Finding("redis", Level.FAIL, f"version {version} is too old", f"install {wanted} or newer")]
    median_ms = sorted(took_ms)[PING_COUNT // 2]
    text = f"version {version}, answers in {median_ms:.2f} ms"
    if median_ms > LATENCY_WARN_MS:
        return [Finding("redis", Level.WARN, text, "move it nearer: every position passes through it")]
    return [Finding("redis", Level.OK, text)]


async def _sql(settings: Settings) -> list[Finding]:
    findings = []
    urls = {"orders": settings.effective_database_url, "payments": settings.effective_payments_database_url}
    for name, url in urls.items():
        if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
            findings.append(Finding("sql", Level.OK, f"{name}: the database will be made at the first start"))
        elif name == "orders":
            store = store_of(settings, load_secrets(settings), settings.clock())
            present = await asyncio.to_thread(store.schema_version)
            findings.append(_version_finding(name, present, Store.LATEST))
        else:
            findings.append(await asyncio.to_thread(_answering_finding, name, url))
    return findings


def _answering_finding(name: str, url: str) -> Finding:
    began = time.perf_counter()
    if url.startswith("postgresql"):
        _postgres_skew_s(url)
    else:
        with contextlib.closing(
            sqlite3.connect(url.removeprefix("sqlite:///"), timeout=NETWORK_DEADLINE_S)
        ) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return Finding("sql", Level.OK, f"{name}: answers in {(time.perf_counter() - began) * 1000:.1f} ms")


def _version_finding(name: str, present: int, latest: int) -> Finding:
    if present == latest:
        return Finding("sql", Level.OK, f"{name}: tables are at version {present}")
    if present < latest:
        text = f"{name}: tables are at version {present}, this program's at {latest}"
        return Finding("sql", Level.WARN, text, "run `dispatch migrate`, or start the server, which does")
    text = f"{name}: tables are at version {present}, newer than this program's {latest}"
    return Finding("sql", Level.FAIL, text, "install the newer program again")


async def _clock(settings: Settings) -> list[Finding]:
    findings = []
    if settings.time_scale != 1.0:
        text = f"business time runs {settings.time_scale:g} times as fast"
        findings.append(Finding("clock", Level.WARN, text, "set DISPATCH_TIME_SCALE=1 where real people order"))
    skews = []
    if url := await _redis_url(settings):
        client = connect(url)
        try:
            told: Any = await client.time()
            skews.append(("Redis", float(told[0]) + float(told[1]) / 1e6 - time.time()))
        finally:
            await client.aclose()
    if settings.database_url.startswith("postgresql"):
        skews.append(("PostgreSQL", await asyncio.to_thread(_postgres_skew_s, settings.database_url)))
    for name, skew_s in skews:
        if abs(skew_s) < CLOCK_WARN_S:
            findings.append(Finding("clock", Level.OK, f"agrees with {name} to {abs(skew_s) * 1000:.0f} ms"))
        else:
            level = Level.FAIL if abs(skew_s) > CLOCK_FAIL_S else Level.WARN
            text = f"{name} is {skew_s:+.1f} s apart from this machine"
            findings.append(Finding("clock", level, text, "let NTP set the clock of both machines"))
    return findings or [Finding("clock", Level.OK, "nothing else to compare with")]


def _postgres_skew_s(url: str) -> float:
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), connect_timeout=5) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    return float(row[0]) - time.time()


# --- the way in -------------------------------------------------------------------------------------------------------


async def _upgrade(settings: Settings) -> list[Finding]:
    """Whether a WebSocket opens at the address that people use, through whatever stands before the server."""
    url = settings.effective_public_url
    try:
        async with asyncio.timeout(NETWORK_DEADLINE_S):
            status, accept_is_right = await _handshake(url)
    except ssl.SSLCertVerificationError as fault:
        text = f"{url}: the certificate is not trusted ({fault.verify_message})"
        return [Finding("upgrade", Level.WARN, text, "fine for a self-signed one; else install the whole chain")]
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
        text = f"{url} does not answer ({fault or type(fault).__name__})"
        return [Finding("upgrade", Level.WARN, text, "start the server, or mend DISPATCH_PUBLIC_URL and the proxy")]
    if status == 101 and accept_is_right:
        return [Finding("upgrade", Level.OK, f"{url}/ws opens a WebSocket")]
    advice = "let the proxy pass Upgrade and Connection on (docs/deploy/nginx.conf shows how)"
    if status == 403:
        advice = "the server refuses this origin: DISPATCH_PUBLIC_URL must be the address that people see"
    return [Finding("upgrade", Level.FAIL, f"{url}/ws answers {status} where 101 belongs", advice)]


async def _handshake(url: str) -> tuple[int, bool]:
    """The status of an opening handshake, and whether the answer was made for it."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=is_tls or None)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {url}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: campus.v1.json\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    finally:
        writer.close()
    status = int(head.split(" ", 2)[1])
    # The standard fixes SHA-1 here; nothing is kept secret by it.
    wanted = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode(), usedforsecurity=False).digest()).decode()
    return status, any(
        name.strip().lower() == "sec-websocket-accept" and said.strip() == wanted
        for name, _, said in (line.partition(":") for line in head.splitlines())
    )


async def _tls(settings: Settings) -> list[Finding]:
    if settings.tls_cert is None:
        if settings.effective_public_url.startswith("https://"):
            return [Finding("tls", Level.OK, "ended by the proxy before the server")]
        local = "fine on this machine alone; phones give their position only to HTTPS"
        return [Finding("tls", Level.WARN, "the server speaks plain HTTP", local)]
    left = days_left(settings.tls_cert)
    text = f"the certificate is valid for {left:.0f} more days"
    if left <= 0:
        return [Finding("tls", Level.FAIL, "the certificate has expired", "renew it and send SIGHUP")]
    if left < 14:
        return [Finding("tls", Level.WARN, text, "renew it and send SIGHUP")]
    return [Finding("tls", Level.OK, text)]


# --- this machine -----------------------------------------------------------------------------------------------------


async def _disk(settings: Settings) -> list[Finding]:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free at {settings.data_dir}"
    if not os.access(folder, os.W_OK):
        return [Finding("disk", Level.FAIL, f"{folder} cannot be written", "give it to the server's user")]
    if free < 0.2 * GIB:
        return [Finding("disk", Level.FAIL, text, "make room: without it no order can be kept")]
    if free < 2 * GIB:
        return [Finding("disk", Level.WARN, text, "make room soon")]
    return [Finding("disk", Level.OK, text)]


async def _secrets(settings: Settings) -> list[Finding]:
    if not secrets_folder(settings).is_dir():
        return [Finding("secrets", Level.OK, "will be made at the first start")]
    if faults := unsafe_modes(settings):
        return [Finding("secrets", Level.FAIL, fault.split(": ")[0], fault.split(": ")[1]) for fault in faults]
    return [Finding("secrets", Level.OK, f"{secrets_folder(settings)} is closed to other users")]


async def _pages(settings: Settings) -> list[Finding]:
    if lacking := [name for name in NEEDED_PAGES if not (STATIC / name).is_file()]:
        return [Finding("pages", Level.FAIL, f"not built: {', '.join(lacking)}", "run `make pages`")]
    return [Finding("pages", Level.OK, "built")]


async def _sms(settings: Settings) -> list[Finding]:
    if settings.sms == "aliyun":
        return [Finding("sms", Level.OK, f"text messages go out by {settings.sms_url}")]
    if settings.sms == "print":
        return [Finding("sms", Level.WARN, "sign-in codes are printed, not sent", "set DISPATCH_SMS=aliyun for people")]
    advice = "set DISPATCH_SMS=aliyun and what it needs; until then people sign in by password or link"
    return [Finding("sms", Level.WARN, "nobody sends text messages", advice)]


async def _channels(settings: Settings) -> list[Finding]:
    if settings.payments_url:
        return [Finding("channels", Level.OK, f"payments run in a process of their own, at {settings.payments_url}")]
    names = ", ".join(settings.channel_names)
    payout = Finding("payout", Level.OK, in_words(settings.terms)[0])
    if settings.is_sandbox_only:
        return [Finding("channels", Level.WARN, f"{names}: no real money moves", "fine for a trial"), payout]
    if not settings.may_move_money:
        return [Finding("channels", Level.WARN, f"{names}: rehearsed, no real money moves", "fine for a trial"), payout]
    return [Finding("channels", Level.OK, names, "look at `python -m payments doctor` too"), payout]


async def _limits(settings: Settings) -> list[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.connections_per_worker + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        advice = f"raise the limit to {needed} (systemd: LimitNOFILE), or lower DISPATCH_CONNECTIONS_PER_WORKER"
        return [Finding("limits", Level.WARN, f"a process may open {hard} files, sockets included", advice)]
    return [Finding("limits", Level.OK, f"a process may hold {settings.connections_per_worker} sockets")]
