"""The supervisor with real processes, of a small program in place of the server's: start, restart, replace, drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
import textwrap
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest
import redis

from dispatch.settings import read_settings
from dispatch.supervisor import FIRST_PAUSE_S, StartFailed, Supervisor

# Answers every connection with its process id; told by files in the data folder how to misbehave.
PROGRAM = """
    import argparse, os, pathlib, select, signal, socket, sys, time
    sys.path.insert(0, {root!r})
    from dispatch.processes import follow_parent
    folder = pathlib.Path(os.environ["DISPATCH_DATA_DIR"])
    if sys.argv[1] == "migrate":
        (folder / "migrated").write_text(os.environ["REDIS_URL"])
        sys.exit((folder / "migration fails").exists())
    parser = argparse.ArgumentParser()
    parser.add_argument("worker")
    parser.add_argument("--role")
    for name in ("--index", "--parent", "--listen-fd", "--ready-fd"):
        parser.add_argument(name, type=int)
    told = parser.parse_args()
    follow_parent(told.parent)
    if (folder / f"{{told.role}} is broken").exists():
        sys.exit(3)
    asked = []
    def drain(*_):
        if not (folder / "stubborn").exists():
            asked.append(True)
    signal.signal(signal.SIGTERM, drain)
    while (folder / "slow start").exists() and not asked:
        time.sleep(0.02)
    os.write(told.ready_fd, b"1")
    os.close(told.ready_fd)
    listeners = [] if told.listen_fd is None else [socket.socket(fileno=told.listen_fd)]
    for listener in listeners:
        listener.setblocking(False)
    while not asked:
        for listener in select.select(listeners, [], [], 0.05)[0]:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            connection.sendall(str(os.getpid()).encode())
            connection.close()
    (folder / f"drained {{os.getpid()}}").touch()
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that ended and was not yet waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def make(tmp_path, free_port):
    """Builds a supervisor on ``tmp_path``; ``make(DISPATCH_WORKERS="2")`` adds settings."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM.format(root=str(Path(__file__).parents[2]))))
    made: list[Supervisor] = []

    def build(**settings: str) -> Supervisor:
        environ = {
            "PATH": os.environ["PATH"],
            "DISPATCH_DATA_DIR": str(tmp_path / "data"),
            "DISPATCH_PORT": "0",
            "DISPATCH_METRICS_PORT": str(free_port),
            "DISPATCH_GRACE_S": "5",
            **settings,
        }
        made.append(Supervisor(read_settings(environ, env_file=None), environ, (sys.executable, str(program))))
        return made[-1]

    yield build
    for supervisor in made:
        for report in supervisor.reports():
            assert report.pid == os.getpid(), f"{report} was left behind"


async def ask(port: int) -> int:
    """The process that answers."""

    def connect() -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return int(connection.recv(20))

    return await asyncio.to_thread(connect)


async def fetch(port: int, path: str) -> bytes:
    def read() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bytes(answer.read())

    return await asyncio.to_thread(read)


def by_role(supervisor: Supervisor) -> dict[str, int]:
    return {report.role: report.pid for report in supervisor.reports()}


async def test_starts_every_role_and_leaves_nothing(make, tmp_path):
    supervisor = make()
    await supervisor.start()
    await supervisor.wait_ready()
    pids = by_role(supervisor)
    assert set(pids) == {"supervisor", "redis", "web", "planner", "jobs"}
    assert await ask(supervisor.port) == pids["web"]
    with redis.Redis.from_url((tmp_path / "data" / "migrated").read_text()) as client:
        assert client.ping()
    await supervisor.stop()
    assert all((tmp_path / "data" / f"drained {pids[role]}").exists() for role in ("web", "planner", "jobs"))
    assert not any(is_alive(pids[role]) for role in ("redis", "web", "planner", "jobs"))
    assert not (tmp_path / "data" / "run" / "redis.sock").exists()


async def test_a_killed_process_is_started_again_and_counted(make, eventually):
    supervisor = make()
    await supervisor.start()
    await supervisor.wait_ready()
    first = by_role(supervisor)["web"]
    os.kill(first, signal.SIGKILL)
    assert await eventually(lambda: by_role(supervisor).get("web", first) != first)
    # The listening socket outlived the process: nobody was refused, the new one answers.
    assert await ask(supervisor.port) == by_role(supervisor)["web"]
    assert next(report.restarts for report in supervisor.reports() if report.role == "web") == 1
    await supervisor.stop()


async def test_a_killed_redis_is_started_again_at_the_same_address(make, tmp_path, eventually):
    supervisor = make()
    await supervisor.start()
    await supervisor.wait_ready()
    first = by_role(supervisor)["redis"]
    os.kill(first, signal.SIGKILL)
    url = (tmp_path / "data" / "migrated").read_text()

    def answers() -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    assert await eventually(answers)
    assert by_role(supervisor)["redis"] != first
    await supervisor.stop()


async def test_replacing_goes_on_answering(make):
    supervisor = make(DISPATCH_WORKERS="2")
    await supervisor.start()
    await supervisor.wait_ready()
    before = {report.pid for report in supervisor.reports() if report.role == "web"}
    replacing = asyncio.create_task(supervisor.replace_children())
    while not replacing.done():
        assert await ask(supervisor.port)
    await replacing
    after = {report.pid for report in supervisor.reports() if report.role == "web"}
    assert len(after) == 2
    assert not before & after
    assert not any(is_alive(pid) for pid in before)
    assert all(report.restarts == 0 for report in supervisor.reports())
    await supervisor.stop()


def children() -> set[int]:
    """The processes that this one has started and that run."""
    found = set()
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat_file.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.add(int(stat_file.parent.name))
    return found


async def test_a_process_that_dies_while_it_is_replaced_is_replaced_once(make, tmp_path, eventually):
    """And two rounds at once replace one after the other: nobody serves outside the supervisor's list."""
    supervisor = make(DISPATCH_ROLES="web")
    await supervisor.start()
    await supervisor.wait_ready()
    already = children()
    (tmp_path / "data" / "slow start").touch()
    rounds = [asyncio.create_task(supervisor.replace_children()) for _ in range(2)]
    await eventually(lambda: len(children()) > len(already))
    os.kill(by_role(supervisor)["web"], signal.SIGKILL)
    with pytest.raises(AssertionError):  # none comes beside the one that is on its way
        await eventually(lambda: len(children()) > len(already), timeout_s=4 * FIRST_PAUSE_S)
    (tmp_path / "data" / "slow start").unlink()
    await asyncio.gather(*rounds)
    assert await eventually(lambda: len(children()) == len(already))
    assert {report.pid for report in supervisor.reports()} - {os.getpid()} <= children()
    await supervisor.stop()


async def test_a_replacement_that_cannot_serve_leaves_the_old_one(make, tmp_path):
    supervisor = make()
    await supervisor.start()
    await supervisor.wait_ready()
    before = by_role(supervisor)
    (tmp_path / "data" / "web is broken").touch()
    await supervisor.replace_children()
    assert by_role(supervisor) == before
    await supervisor.stop()


async def test_a_process_that_never_serves_ends_the_start(make, tmp_path):
    supervisor = make(DISPATCH_METRICS_PORT="0")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "planner is broken").touch()
    await supervisor.start()
    with pytest.raises(StartFailed, match="planner process ended 3 times before it served"):
        await supervisor.wait_ready()
    await supervisor.stop()


async def test_a_failed_migration_ends_the_start(make, tmp_path):
    supervisor = make()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "migration fails").touch()
    with pytest.raises(StartFailed, match="migrate"):
        await supervisor.start()
    await supervisor.stop()


async def test_a_stubborn_process_is_killed_after_the_grace_time(make, tmp_path):
    supervisor = make(DISPATCH_GRACE_S="0.2")
    await supervisor.start()
    await supervisor.wait_ready()
    (tmp_path / "data" / "stubborn").touch()
    pids = by_role(supervisor)
    await supervisor.stop()
    assert not is_alive(pids["web"])


async def test_a_second_server_on_the_same_folder_is_refused(make):
    first, second = make(), make()
    await first.start()
    with pytest.raises(StartFailed, match=f"process {os.getpid()}"):
        await second.start()
    await second.stop()
    await first.stop()


async def test_a_taken_port_is_named(make, free_port):
    supervisor = make(DISPATCH_PORT=str(free_port), DISPATCH_METRICS_PORT="0")
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(StartFailed, match=f"127.0.0.1:{free_port}"):
        await supervisor.start()
    await supervisor.stop()


async def test_a_taken_metrics_port_is_named(make, free_port):
    supervisor = make()
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(StartFailed, match="DISPATCH_METRICS_PORT"):
        await supervisor.start()
    await supervisor.stop()


async def test_the_operators_port_shows_processes_and_metrics(make):
    supervisor = make()
    await supervisor.start()
    await supervisor.wait_ready()
    processes = json.loads(await fetch(supervisor.metrics_port, "/processes"))
    assert {each["role"] for each in processes} == {"supervisor", "redis", "web", "planner", "jobs"}
    assert all(each["rss"] > 0 and each["cpu_s"] >= 0 for each in processes)
    page = (await fetch(supervisor.metrics_port, "/metrics")).decode()
    assert 'dispatch_process_ready{index="0",role="web"} 1.0' in page
    with pytest.raises(urllib.error.HTTPError, match="404"):
        await fetch(supervisor.metrics_port, "/")
    await supervisor.stop()


async def test_only_the_asked_roles_run(make, redis_url):
    supervisor = make(DISPATCH_ROLES="jobs", REDIS_URL=redis_url)
    await supervisor.start()
    await supervisor.wait_ready()
    assert set(by_role(supervisor)) == {"supervisor", "jobs"}
    await supervisor.stop()


async def test_the_data_folder_is_private(make, tmp_path):
    supervisor = make()
    await supervisor.start()
    data = tmp_path / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (data / "secrets").iterdir()} == {0o600}
    await supervisor.stop()


async def test_signals_replace_the_processes_and_end_the_server(make, eventually):
    supervisor = make()
    running = asyncio.create_task(supervisor.run())
    assert await eventually(lambda: supervisor.reports() and all(each.is_ready for each in supervisor.reports()[2:]))
    assert await eventually(lambda: set(by_role(supervisor)) >= {"web", "planner", "jobs"})
    await supervisor.wait_ready()
    before = by_role(supervisor)
    os.kill(os.getpid(), signal.SIGHUP)
    replaced = ("web", "planner", "jobs")
    assert await eventually(lambda: all(by_role(supervisor).get(role, 0) not in (0, before[role]) for role in replaced))
    assert await eventually(lambda: not any(is_alive(before[role]) for role in replaced))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_second_signal_does_not_wait_for_the_grace_time(make, tmp_path):
    supervisor = make(DISPATCH_GRACE_S="60")
    running = asyncio.create_task(supervisor.run())
    await supervisor.wait_ready()
    (tmp_path / "data" / "stubborn").touch()
    supervisor.ask_to_stop()
    supervisor.ask_to_stop()
    assert await asyncio.wait_for(running, 10) == 0


async def test_a_server_that_gives_up_says_why(make, tmp_path, caplog):
    supervisor = make(DISPATCH_METRICS_PORT="0")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jobs is broken").touch()
    assert await asyncio.wait_for(supervisor.run(), 20) == 1
    assert "the jobs process ended 3 times before it served" in caplog.text


async def test_a_server_that_cannot_start_says_why(make, tmp_path, caplog):
    supervisor = make()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "migration fails").touch()
    assert await asyncio.wait_for(supervisor.run(), 20) == 1
    assert "`dispatch migrate` failed" in caplog.text


async def test_business_time_goes_on_over_a_restart(make):
    first = make(DISPATCH_TIME_SCALE="100", DISPATCH_TIME_START="2026-03-02T11:00:00+08:00")
    await first.start()
    await first.wait_ready()
    began = datetime.fromisoformat(first.child_environ["DISPATCH_CLOCK_START"])
    await first.stop()
    second = make(DISPATCH_TIME_SCALE="100", DISPATCH_TIME_START="2026-03-02T11:00:00+08:00")
    await second.start()
    assert datetime.fromisoformat(second.child_environ["DISPATCH_CLOCK_START"]) > began
    await second.stop()


async def test_a_request_that_is_none_costs_the_operators_port_nothing(make):
    supervisor = make()
    await supervisor.start()
    for raw in (b"", b"GET /metrics", b"x" * 20_000, b"POST /metrics HTTP/1.1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", supervisor.metrics_port)
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 405") if raw.startswith(b"POST") else answer == b""
        writer.close()
    assert await fetch(supervisor.metrics_port, "/processes")
    await supervisor.stop()
