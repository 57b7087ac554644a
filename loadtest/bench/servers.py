"""The servers under test and what the bench asks of each: its processes, its connections, what it counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ..own_server import free_port
from ..websocket_bytes import SUBPROTOCOL
from .links import FleetSpec, LinkSpec
from .machine import Cores, children, end_with_parent, find_program, pin

HERE = Path(__file__).parent
READY_S = 20.0


class NotMeasured(Exception):
    """This server cannot be run here; the text says what is missing."""


class Server(Protocol):
    """A server under test. ``offset_ms``: its business time minus the wall clock."""

    name: str
    kind: str
    offset_ms: int

    async def start(self, cores: Cores) -> None:
        """Start it, wait until it serves, and put its processes on their cores. Raises NotMeasured."""

    async def stop(self) -> None: ...

    def processes(self) -> dict[str, list[int]]:
        """Process ids by column: ``server`` (what handles the connections), ``redis``, helpers by their names."""

    async def runners(self, count: int) -> FleetSpec:
        """Connections that send fixes, one of each runner."""

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        """``each`` connections for every runner that receive its positions."""

    async def counts(self) -> dict[str, float]:
        """What the server counted since its start, by the bench's names; what it cannot say is missing."""


def fetch(url: str, within_s: float = 5.0) -> bytes:
    with urllib.request.urlopen(url, timeout=within_s) as answer:  # noqa: S310 - our own server
        body: bytes = answer.read()
        return body


async def until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Raises NotMeasured when it does not."""
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise NotMeasured(f"{process.args!r} ended with code {process.returncode}")
        with contextlib.suppress(OSError):
            await asyncio.to_thread(fetch, url, 1.0)
            return
        await asyncio.sleep(0.05)
    raise NotMeasured(f"{process.args!r} did not answer within {READY_S:.0f} s")


def launch(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as said:
        return subprocess.Popen(  # noqa: S603 - the bench's own commands
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=end_with_parent
        )


def end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class PrivateRedis:
    """A redis-server of the bench's own, set as the server sets its private one: a unix socket, nothing kept."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._folder / 'redis.sock'}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "start it first"
        return self._process.pid

    async def start(self) -> None:
        """Raises NotMeasured where there is no redis-server."""
        binary = find_program("redis-server", "valkey-server")
        if binary is None:
            raise NotMeasured("no redis-server on PATH")
        path = self._folder / "redis.sock"
        command = [
            binary, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no",
            "--dir", str(self._folder), "--loglevel", "warning",
        ]  # fmt: skip
        self._process = launch(command, self._folder / "redis.log")
        until_s = time.monotonic() + READY_S
        while not path.exists():
            if time.monotonic() > until_s or self._process.poll() is not None:
                raise NotMeasured("redis-server did not start")
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)


class BareEpoll:
    """A loop in C that only receives."""

    name, kind, offset_ms = "C epoll loop", "none", 0

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-c-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, cores: Cores) -> None:
        compiler = find_program("cc", "gcc", "clang")
        if compiler is None:
            raise NotMeasured("no C compiler")
        program = self._folder / "bare_epoll"
        made = await asyncio.to_thread(
            subprocess.run, [compiler, "-O2", "-o", str(program), str(HERE / "bare_epoll.c")], capture_output=True
        )
        if made.returncode:
            raise NotMeasured(f"it does not compile: {made.stderr.decode(errors='replace')[:200]}")
        self._process = launch([str(program), str(self._port)], self._folder / "log")
        await until_it_answers(f"http://127.0.0.1:{self._port}/stats", self._process)
        pin(self._process.pid, cores.server)

    async def stop(self) -> None:
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def processes(self) -> dict[str, list[int]]:
        return {"server": [self._process.pid] if self._process else []}

    async def runners(self, count: int) -> FleetSpec:
        return FleetSpec("127.0.0.1", self._port, tuple(LinkSpec("/ws") for _ in range(count)))

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        raise NotMeasured("it delivers nothing")

    async def counts(self) -> dict[str, float]:
        reads, size = (await asyncio.to_thread(fetch, f"http://127.0.0.1:{self._port}/stats")).split()
        from .frames import frame_bytes

        frames = int(size) / frame_bytes()
        return {"reads": int(reads), "frames": frames, "accepted": frames}


class PlainTornado:
    """``plain_tornado.py`` with a Redis of its own."""

    name, kind, offset_ms = "plain Tornado", "hub", 0

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-tornado-"))
        self._port = free_port()
        self._redis = PrivateRedis()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, cores: Cores) -> None:
        await self._redis.start()
        pin(self._redis.pid, cores.others)
        words = ["--port", str(self._port), "--redis", self._redis.url]
        command = [sys.executable, "-m", "loadtest.bench.plain_tornado", *words]
        self._process = launch(command, self._folder / "log")
        await until_it_answers(f"http://127.0.0.1:{self._port}/stats", self._process)
        pin(self._process.pid, cores.server)

    async def stop(self) -> None:
        end(self._process)
        self._redis.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def processes(self) -> dict[str, list[int]]:
        return {"server": [self._process.pid] if self._process else [], "redis": [self._redis.pid]}

    async def runners(self, count: int) -> FleetSpec:
        links = tuple(LinkSpec(f"/ws?runner=runner{number:05d}") for number in range(count))
        return FleetSpec("127.0.0.1", self._port, links, SUBPROTOCOL)

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        links = tuple(LinkSpec(f"/ws?follow=runner{number:05d}") for number in range(runners) for _ in range(each))
        return FleetSpec("127.0.0.1", self._port, links, SUBPROTOCOL)

    async def counts(self) -> dict[str, float]:
        said = json.loads(await asyncio.to_thread(fetch, f"http://127.0.0.1:{self._port}/stats"))
        return {"accepted": said["fixes"], "members": said["members"], "delivered": said["deliveries"]}


class Nchan:
    """nginx with nchan: one worker, one channel per runner, publisher and subscribers over WebSocket."""

    name, kind, offset_ms = "nchan", "plain", 0

    def __init__(self, kept: int = 1) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-nchan-"))
        self._port = free_port()
        self._kept = kept
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, cores: Cores) -> None:
        nginx = find_program("nginx")
        if nginx is None:
            raise NotMeasured("nginx is not installed")
        self._folder.chmod(0o755)
        for modules in ("load_module modules/ngx_nchan_module.so;", ""):
            config = self._write_config(modules)
            checked = await asyncio.to_thread(
                subprocess.run, [nginx, "-t", "-e", str(self._folder / "error.log"), "-c", str(config)],
                capture_output=True,
            )  # fmt: skip
            if checked.returncode == 0:
                break
        else:
            raise NotMeasured("nginx has no nchan (Debian: libnginx-mod-nchan)")
        command = [nginx, "-e", str(self._folder / "error.log"), "-c", str(config)]
        self._process = launch(command, self._folder / "log")
        await until_it_answers(f"http://127.0.0.1:{self._port}/stats", self._process)
        for pid in self.processes()["server"]:
            pin(pid, cores.server)

    def _write_config(self, modules: str) -> Path:
        text = (HERE / "nchan.conf").read_text()
        for mark, value in (
            ("modules", modules), ("folder", str(self._folder)), ("port", str(self._port)), ("kept", str(self._kept)),
            ("files", str(min(20_000, os.sysconf("SC_OPEN_MAX")))),
        ):  # fmt: skip
            text = text.replace(f"@{mark}@", value)
        path = self._folder / "nginx.conf"
        path.write_text(text)
        return path

    async def stop(self) -> None:
        end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def processes(self) -> dict[str, list[int]]:
        if self._process is None:
            return {"server": []}
        return {"server": children(self._process.pid), "nginx master": [self._process.pid]}

    async def runners(self, count: int) -> FleetSpec:
        links = tuple(LinkSpec(f"/pub/runner{number:05d}") for number in range(count))
        return FleetSpec("127.0.0.1", self._port, links)

    async def watchers(self, runners: int, each: int) -> FleetSpec:
        links = tuple(LinkSpec(f"/sub/runner{number:05d}") for number in range(runners) for _ in range(each))
        return FleetSpec("127.0.0.1", self._port, links)

    async def counts(self) -> dict[str, float]:
        said = (await asyncio.to_thread(fetch, f"http://127.0.0.1:{self._port}/stats")).decode()
        rows = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
        return {"accepted": float(rows["total published messages"])}
