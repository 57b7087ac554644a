"""Several hosts on this machine: network namespaces on a bridge of their own, whose links a test may cut.

Needs root and iproute2 (Linux). Whatever runs in a host is started by a thread that lives there, and dies with the lab.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x4000_0000
_NETWORK = "10.77.0"


def why_not() -> str | None:
    """Why this machine cannot have such hosts, if it cannot."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root: run the tests as root to include this one"
    if shutil.which("ip") is None:
        return "no ip command: install iproute2"
    probe = f"cd{os.getpid()}x"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return "this machine does not allow network namespaces (a container without NET_ADMIN?)"
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return None


class NetHost:
    """One host: an address, and a thread in which everything of it is done."""

    def __init__(self, namespace: str, address: str) -> None:
        self.namespace = namespace
        self.address = address
        self.processes: list[subprocess.Popen[bytes]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=namespace, initializer=self._move_in)

    def _move_in(self) -> None:
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        with open(f"/run/netns/{self.namespace}", "rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def do(self, act: Callable[..., T], *args: Any, **named: Any) -> T:
        """Call something in this host: what it opens is opened there."""
        return self._thread.submit(act, *args, **named).result()

    def start(self, command: Sequence[str | Path], log: Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program here; it ends with the lab, or with this process."""

        def act() -> subprocess.Popen[bytes]:
            with log.open("ab") as out:
                return subprocess.Popen(
                    ["nice", "-n", "5", *command], stdout=out, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent,
                    **options,
                )  # fmt: skip

        process = self.do(act)
        self.processes.append(process)
        return process

    def run(self, command: Sequence[str | Path], **options: Any) -> None:
        """Run a program here to its end; AssertionError with what it said when it fails."""
        done = self.do(subprocess.run, command, capture_output=True, check=False, timeout=120, **options)
        assert done.returncode == 0, f"{command}: {done.stdout.decode()}{done.stderr.decode()}"

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._thread.shutdown()


class NetLab:
    """The hosts and the bridge between them, all of it in namespaces: this machine's own network is left alone."""

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"cd{os.getpid()}"
        self._switch = f"{self._prefix}sw"
        self.hosts: dict[str, NetHost] = {}
        try:
            _ip("netns", "add", self._switch)
            self._in_switch("link", "add", "br0", "type", "bridge")
            self._in_switch("link", "set", "br0", "up")
            for number, name in enumerate(names, start=10):
                self._add(name, f"{_NETWORK}.{number}")
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, address: str) -> None:
        namespace = f"{self._prefix}{name}"
        _ip("netns", "add", namespace)
        self._in_switch("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self._in_switch("link", "set", name, "master", "br0", "up")
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        _ip("-n", namespace, "link", "set", "lo", "up")
        self.hosts[name] = NetHost(namespace, address)

    def cut(self, name: str) -> None:
        """Pull the host's cable: nothing arrives, and nobody is told."""
        self._in_switch("link", "set", name, "down")

    def join(self, name: str) -> None:
        self._in_switch("link", "set", name, "up")

    def close(self) -> None:
        for host in reversed(self.hosts.values()):
            host.close()
        for namespace in (*(host.namespace for host in self.hosts.values()), self._switch):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)

    def _in_switch(self, *command: str) -> None:
        _ip("-n", self._switch, *command)


def _ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True, timeout=20)


def _die_with_parent() -> None:
    # The parent is the host's thread, which lives as long as the host.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class LabPostgres:
    """A throw-away PostgreSQL in a host, which the other hosts may use."""

    def __init__(self, host: NetHost) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
        assert binaries, "PostgreSQL is missing (no /usr/lib/postgresql/*/bin): install postgresql"
        self._folder = Path(tempfile.mkdtemp(prefix="tn-"))
        account = pwd.getpwnam("postgres")
        os.chown(self._folder, account.pw_uid, account.pw_gid)
        who = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": self._folder}
        data = self._folder / "data"
        host.run(
            [binaries[-1] / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
             "--locale=C.UTF-8", "--no-sync"], **who,
        )  # fmt: skip
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {_NETWORK}.0/24 trust\n")
        settings = {
            "listen_addresses": "*", "unix_socket_directories": self._folder, "fsync": "off",
            "full_page_writes": "off", "max_connections": 100, "shared_buffers": "32MB",
        }  # fmt: skip
        options = [text for name, setting in settings.items() for text in ("-c", f"{name}={setting}")]
        host.start([binaries[-1] / "postgres", "-D", data, *options], self._folder / "log", **who)
        self.url = f"postgresql://postgres@{host.address}:5432/postgres"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)
