"""A Redis Cluster of three primaries and three replicas for tests, which may kill its nodes and move its slots."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

SLOTS = 16_384
SHARDS = 3
_DEADLINE_S = 30.0


def _version(binary: str) -> tuple[int, ...]:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)


def redis_binaries() -> dict[tuple[int, ...], str]:
    """Every redis-server (or valkey-server) on PATH by its version, the newest first."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    found: dict[tuple[int, ...], str] = {}
    for folder in folders:
        for name in ("redis-server", "valkey-server"):
            path = Path(folder) / name
            if os.access(path, os.X_OK):
                found.setdefault(_version(str(path)), str(path))
    return dict(sorted(found.items(), reverse=True))


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with their bus port, which Redis puts 10,000 above."""
    found: list[int] = []
    for port in range(20_000 + os.getpid() % 1_000 * 7, 50_000, 7):
        with socket.socket() as plain, socket.socket() as bus:
            try:
                plain.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        with contextlib.suppress(redis_py.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < deadline, f"{what}: not within {_DEADLINE_S} s"
        time.sleep(0.05)


class Node:
    """One server of the cluster."""

    def __init__(self, binary: str, folder: Path, port: int, node_timeout_ms: int) -> None:
        self.port = port
        self._command = [
            "nice", "-n", "5", binary, "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
            "--save", "", "--appendonly", "no", "--cluster-config-file", f"{port}.conf", "--dir", str(folder),
            "--cluster-node-timeout", str(node_timeout_ms), "--cluster-require-full-coverage", "no",
            "--repl-diskless-sync-delay", "0",
        ]  # fmt: skip
        self.client = redis_py.Redis(port=port, socket_timeout=5, protocol=2)
        self.client.response_callbacks.clear()  # answers as they are, whatever the library makes of them
        self.process: subprocess.Popen[bytes] | None = None
        self._is_frozen = False
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        wait_for(lambda: bool(self.do("PING")), f"redis-server on {self.port}")
        self.id = self.do("CLUSTER", "MYID").decode()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None and not self._is_frozen

    def kill(self) -> None:
        """As kill -9 does: nothing is said, nothing it held survives."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It is there, and says nothing any more: as a machine whose cable is pulled."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self._is_frozen = True

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._is_frozen = False

    def do(self, *command: Any) -> Any:
        return self.client.execute_command(*command)

    def lines(self, *command: Any) -> list[str]:
        return self.do(*command).decode().split("\n")

    def info(self, section: str) -> dict[str, str]:
        return dict(line.strip().split(":", 1) for line in self.lines("INFO", section) if ":" in line)


class RedisNodes:
    """The six of them; the first three begin as primaries, the fourth is the first's replica, and so on."""

    def __init__(self, binary: str | None = None, *, node_timeout_ms: int = 1_500) -> None:
        binaries = redis_binaries()
        if not binaries:
            pytest.fail("no redis-server on PATH: install redis-server", pytrace=False)
        self.version = next((v for v, path in binaries.items() if path == binary), next(iter(binaries)))
        self._folder = Path(tempfile.mkdtemp(prefix="tc-"))
        self.nodes: list[Node] = []
        try:
            for port in _free_ports(2 * SHARDS):
                self.nodes.append(Node(binaries[self.version], self._folder, port, node_timeout_ms))
            self._join()
        except BaseException:
            self.close()
            raise
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[::3])

    def _join(self) -> None:
        bounds = [SLOTS * shard // SHARDS for shard in range(SHARDS + 1)]
        for number, node in enumerate(self.nodes):
            node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < SHARDS:
                # One by one: ranges came with Redis 7, and the least version is 6.2.
                node.do("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
            else:
                node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes[1:SHARDS]:
            node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        everybody = 2 * SHARDS
        wait_for(
            lambda: all(len(node.lines("CLUSTER", "NODES")) == everybody + 1 for node in self.nodes),
            "the nodes know each other",
        )
        for primary, replica in zip(self.nodes[:SHARDS], self.nodes[SHARDS:], strict=True):
            replica.do("CLUSTER", "REPLICATE", primary.id)
        wait_for(self.is_whole, "the cluster is whole")

    def is_whole(self) -> bool:
        """Everybody is there and sees the same map, and every primary has a replica that is up to date."""
        maps = set()
        for node in self.nodes:
            if "cluster_state:ok" not in node.do("CLUSTER", "INFO").decode():
                return False
            maps.add(str([(first, last, primary[1]) for first, last, primary, *_ in node.do("CLUSTER", "SLOTS")]))
            replication = node.info("replication")
            if replication["role"] == "slave" and replication["master_link_status"] != "up":
                return False
            if replication["role"] == "master" and replication["connected_slaves"] == "0":
                return False
        return len(maps) == 1

    def primary_of(self, key: str) -> Node:
        """Who has this key, in the eyes of those that are alive."""
        slot = int(self._alive().do("CLUSTER", "KEYSLOT", key))
        for line in self._alive().lines("CLUSTER", "NODES"):
            parts = line.split(" ")
            if len(parts) > 8 and "master" in parts[2] and "fail" not in parts[2]:
                for span in parts[8:]:
                    first, _, last = span.partition("-")
                    if first.isdigit() and int(first) <= slot <= int(last or first):
                        found = next(node for node in self.nodes if node.id == parts[0])
                        if found.is_alive:
                            return found
        raise LookupError(f"nobody has slot {slot}")

    def _alive(self) -> Node:
        return next(node for node in self.nodes if node.is_alive)

    def close(self) -> None:
        for node in self.nodes:
            node.client.close()
            if node.process is not None:
                node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
