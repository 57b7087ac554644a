"""A whole server for end-to-end tests: started by its own command, spoken to over its real edges."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Server:
    """A started server: where it listens, where its data lies, and the people that were made for it."""

    data_dir: Path
    port: int
    metrics_port: int
    environ: dict[str, str]
    plan: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``dispatch …`` against this server's data."""
        return subprocess.run(
            [sys.executable, "-m", "dispatch", *arguments],
            env=self.environ, cwd=ROOT, capture_output=True, text=True, check=check, timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        log = (self.data_dir / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dispatch", "serve"], env=self.environ, cwd=ROOT, stdout=log, stderr=log
        )
        wait_until(self.is_ready, 120, "the server to be ready")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                if answer.status != 200:
                    return False
        except OSError:
            return False
        return {"web", "planner", "jobs"} <= {one["role"] for one in self.processes() if one["is_ready"]}

    def processes(self) -> list[dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/processes", timeout=2) as answer:
                found: list[dict[str, Any]] = json.load(answer)
                return found
        except OSError:
            return []

    def pid_of(self, role: str) -> int:
        return next(int(one["pid"]) for one in self.processes() if one["role"] == role)

    def kill(self, role: str) -> None:
        """kill -9 one of the server's processes."""
        os.kill(self.pid_of(role), signal.SIGKILL)

    def stop(self, sign: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(30)
            self.process = None


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_server(folder: Path, *, students: int, runners: int, time_scale: float, **extra: str) -> Iterator[Server]:
    """A server that runs, with the demo campus, its people and nobody simulated; ``plan["path"]``: who they are.
    ``{port}`` in a further setting is the server's own."""
    made = _set_up(folder / "data", time_scale=time_scale, **extra)
    plan = folder / "plan.json"
    people = ("--students", str(students), "--runners", str(runners))
    made.command("--inherit", "demo-setup", "--plan", str(plan), *people)
    made.plan = json.loads(plan.read_text()) | {"path": str(plan)}
    try:
        made.start()
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.stop()


def _set_up(data_dir: Path, *, time_scale: float, **extra: str) -> Server:
    """A server that is set up and not started."""
    port, metrics_port = free_port(), free_port()
    # Servers and browsers are what the tests wait for: what they run is counted where it is tested more closely.
    left_out = ("DISPATCH_", "COVERAGE_")
    environ = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    for name in ("REDIS_URL", "DATABASE_URL", "PAYMENTS_DATABASE_URL"):
        environ.pop(name, None)
    environ |= {
        "DISPATCH_DATA_DIR": str(data_dir),
        "DISPATCH_PORT": str(port),
        "DISPATCH_METRICS_PORT": str(metrics_port),
        "DISPATCH_DEMO": "1",
        "DISPATCH_SMS": "print",
        "DISPATCH_TIME_SCALE": f"{time_scale:g}",
        "DISPATCH_TIME_START": "2026-03-02T10:00:00+08:00",
        "PYTHONPATH": str(ROOT),
        **{name: text.replace("{port}", str(port)) for name, text in extra.items()},
    }
    data_dir.mkdir(parents=True, exist_ok=True)
    return Server(data_dir, port, metrics_port, environ)
