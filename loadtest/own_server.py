"""A server of the load test's own, in a folder of its own, started and ended through the ``dispatch`` command."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from .people import PlanFile, read_plan

READY_S = 60.0
STOP_S = 40.0


class ServerFailed(Exception):
    """The server could not be prepared, started or ended; the text says what it printed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Between fork and exec: a load test that is killed takes its server with it (Linux; elsewhere Ctrl-C does)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@dataclass(slots=True)
class OwnServer:
    """``time_start``: an ISO instant at which business time begins, or "" for now."""

    folder: Path
    time_scale: float = 10.0
    time_start: str = ""
    workers: int = 1
    extra: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/processes"

    @property
    def log_path(self) -> Path:
        return self.folder / "server.log"

    def environ(self) -> dict[str, str]:
        """What its commands are told: nothing of a real server's settings."""
        foreign = ("DATABASE_URL", "PAYMENTS_DATABASE_URL", "REDIS_URL")
        told = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_") and k not in foreign}
        told |= {
            "DISPATCH_DATA_DIR": str(self.folder),
            "DISPATCH_PORT": str(self.port),
            "DISPATCH_METRICS_PORT": str(self.metrics_port),
            "DISPATCH_WORKERS": str(self.workers),
            "DISPATCH_TIME_SCALE": f"{self.time_scale:g}",
            "DISPATCH_LOG_LEVEL": "warning",
            "PYTHONUNBUFFERED": "1",
        }
        if self.time_start:
            told["DISPATCH_TIME_START"] = self.time_start
        return told | self.extra

    def command(self, *words: str) -> str:
        """Run one command of ``dispatch`` to its end; gives what it printed."""
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "dispatch", *words], env=self.environ(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ServerFailed(f"dispatch {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def prepare(self, campus_file: Path | None, name: str, *, students: int, runners: int, operators: int) -> PlanFile:
        """Import the campus, or add the made-up one where no file is given, and make the accounts."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = ("demo",) if campus_file is None else ("import", str(campus_file))
        print(self.command("campus", *source, "--name", name).strip(), flush=True)
        plan = self.folder / "plan.json"
        counts = ("--students", str(students), "--runners", str(runners), "--operators", str(operators))
        self.command("load-accounts", *counts, "--plan", str(plan))
        return read_plan(plan)

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "dispatch",
                "serve",
                env=self.environ(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            loop = asyncio.get_running_loop()
            until = loop.time() + READY_S
            while loop.time() < until:
                if self._process.returncode is not None:
                    raise ServerFailed(f"the server ended with code {self._process.returncode}:\n{self.last_log()}")
                if await _is_ready(session, self.url):
                    return
                await asyncio.sleep(0.2)
        await self.stop()
        raise ServerFailed(f"the server was not ready within {READY_S:.0f} s:\n{self.last_log()}")

    async def stop(self) -> None:
        """End it as Ctrl-C would, and harder only if that does not help."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        process = self._process
        assert process is not None, "started before it is killed"
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def last_log(self, lines: int = 30) -> str:
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def new_folder(name: str, given: Path | None) -> Path:
    """The folder that was given, or a new one among the temporary files. A short path: sockets live in it."""
    return given if given is not None else Path(tempfile.mkdtemp(prefix=f"{name}-"))
