"""What the operating system knows: where a process runs, how much processor time and memory it has used."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
#: Open files that a run with 9,000 connections needs in one process.
MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the server under test alone on one core, everybody else on the rest."""

    server: frozenset[int]
    others: frozenset[int]

    @property
    def are_apart(self) -> bool:
        return not self.server & self.others


def share_out() -> Cores:
    """The first core for the server, the others for the rest; on a machine with one core all share it."""
    usable = sorted(os.sched_getaffinity(0))
    rest = usable[1:] or usable
    return Cores(frozenset(usable[:1]), frozenset(rest))


def pin(pid: int, cores: Iterable[int]) -> None:
    """Keep every thread of a process on these cores; one that has ended meanwhile is nobody's loss."""
    wanted = set(cores)
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, wanted)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def cpu_ns(pid: int) -> int:
    """Processor time of a process's threads since it began: the scheduler's own count in nanoseconds."""
    total = 0
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_bytes().split()[0])
    return total


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def children(pid: int) -> list[int]:
    """The processes that a process started and that still live."""
    found = []
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            found += [int(one) for one in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    return found


def end_with_parent() -> None:
    """Between fork and exec: a bench that is killed takes what it started with it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wake_precisely() -> None:
    """Let this process's sleeps end within a microsecond of their time instead of fifty."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)


def allow_many_files() -> None:
    """As many open files as the system lets this process have, up to what the largest row needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _first_line(*command: str) -> str:
    """What a program says of itself, on either stream."""
    if shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") is None:
        return "not installed"
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - names given below
    lines = (said.stdout or said.stderr).strip().splitlines()
    return lines[0] if lines else "silent"


def find_program(*names: str) -> str | None:
    """The first of these programs that is installed, administrators' folders included."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def description() -> dict[str, str]:
    """The machine and the versions that a figure depends on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    nginx = find_program("nginx")
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory[1]) / 1_048_576:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "uvloop": _package("uvloop"),
        "tornado": _package("tornado"),
        "msgspec": _package("msgspec"),
        "redis-py": _package("redis"),
        "hiredis": _package("hiredis"),
        "redis-server": _first_line("redis-server", "--version"),
        "nginx": _first_line(nginx, "-v") if nginx else "not installed",
        "cc": _first_line("cc", "--version"),
    }
