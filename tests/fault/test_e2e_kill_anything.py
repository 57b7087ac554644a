"""Every process of a busy server is killed with -9, Redis is wiped, the server dies: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from tests.e2e_server import ROOT, Server, running_server, wait_until

#: Real seconds of trouble; the long form is for `make soak`.
TROUBLE_S = 600 if os.environ.get("SOAK") else 20
SCALE = 20


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which students order and runners carry, over the real interfaces. It outlives one trouble after the
    other, and so do its people."""
    folder = tmp_path_factory.mktemp("busy")
    with running_server(folder, students=12, runners=8, time_scale=SCALE, DISPATCH_OFFER_TTL_S="60") as server:
        people = subprocess.Popen(
            [sys.executable, "-m", "loadtest", "demo", "--plan", server.plan["path"], "--url", server.url, "--seed=7"],
            env=server.environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: count(server, "order_delivered") >= 1, 60, "the first delivery")
            yield server
        finally:
            people.terminate()
            people.wait(20)


def count(server: Server, kind: str) -> int:
    with sqlite3.connect(f"file:{server.data_dir / 'dispatch.db'}?mode=ro", uri=True, timeout=10) as books:
        found: int = books.execute("SELECT count(*) FROM events WHERE kind = ?", (kind,)).fetchone()[0]
        return found


def redis_of(server: Server) -> redis_py.Redis:
    environ = Path(f"/proc/{server.pid_of('jobs')}/environ").read_bytes().split(b"\0")
    told = next(text for text in environ if text.startswith(b"REDIS_URL=")).decode()
    return redis_py.Redis.from_url(told.removeprefix("REDIS_URL="))


def check_books(server: Server) -> str:
    """The checker that shares no code with the server."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "check", "--data-dir", str(server.data_dir)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(max(300, TROUBLE_S * 3))
def test_killing_any_process_loses_and_doubles_nothing(busy: Server) -> None:
    luck = random.Random(11)
    until = time.monotonic() + TROUBLE_S
    killed: dict[str, int] = {}
    while time.monotonic() < until:
        role = luck.choice(["web", "planner", "jobs", "redis", "jobs", "web"])
        running = {one["role"]: one for one in busy.processes()}
        if role in running:
            os.kill(running[role]["pid"], signal.SIGKILL)
            killed[role] = killed.get(role, 0) + 1
        time.sleep(luck.uniform(0.5, 2.0))
    assert sum(killed.values()) >= 5
    wait_until(busy.is_ready, 60, "the server to be ready again")
    delivered = count(busy, "order_delivered")
    wait_until(lambda: count(busy, "order_delivered") >= delivered + 2, 90, "deliveries to go on after the trouble")
    check_books(busy)


@pytest.mark.slow
def test_a_wiped_redis_costs_no_order_and_positions_come_back(busy: Server) -> None:
    client = redis_of(busy)
    campus = busy.plan["campus_id"]
    wait_until(lambda: client.zcard(f"{{{campus}}}:geo") >= 6, 30, "runners in the index")
    delivered = count(busy, "order_delivered")
    client.flushall()
    # A runner reports at least every 30 s of business time; then everybody is back.
    wait_until(lambda: client.zcard(f"{{{campus}}}:geo") >= 6, 10, "positions to come back")
    wait_until(lambda: count(busy, "order_delivered") >= delivered + 2, 60, "deliveries to go on")
    check_books(busy)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_server_finishes_what_was_begun(busy: Server) -> None:
    assert busy.process is not None
    busy.process.kill()
    busy.process.wait(10)
    before = count(busy, "order_delivered")
    check_books(busy)
    busy.start()
    wait_until(lambda: count(busy, "order_delivered") >= before + 2, 90, "deliveries to go on after the restart")
    with sqlite3.connect(f"file:{busy.data_dir / 'dispatch.db'}?mode=ro", uri=True) as books:
        stuck = books.execute("SELECT count(*) FROM commands WHERE sent_at IS NULL").fetchone()[0]
    assert stuck <= 2, "commands to payments were left behind"
    check_books(busy)
