"""What a process asks the operating system about processes: to die with its parent, and what others use."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
MOST_OPEN_FILES = 65_536
#: New objects before the young are looked at, and how often the older generations are beside them.
_COLLECT_AFTER = (5_000, 10, 20)
_IS_LINUX = sys.platform == "linux"
# Loaded before any fork: a child between fork and exec should do as little as it can.
_LIBC = ctypes.CDLL(None) if _IS_LINUX else None


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds and resident bytes of a process since it began."""

    cpu_s: float
    rss_bytes: int


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; for use between fork and exec, too."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def follow_parent(parent_pid: int) -> None:
    """End this process when ``parent_pid`` is no longer its parent: at once on Linux, within a second elsewhere."""
    die_with_parent()
    # The parent may have ended before the kernel was asked.
    if os.getppid() != parent_pid:
        os._exit(1)
    if not _IS_LINUX:
        threading.Thread(target=watch_parent, args=(parent_pid, lambda: os._exit(1)), daemon=True).start()


def watch_parent(parent_pid: int, on_gone: Callable[[], None], every_s: float = 1.0) -> None:
    """Wait until ``parent_pid`` is no longer this process's parent, then call ``on_gone``."""
    while os.getppid() == parent_pid:
        time.sleep(every_s)
    on_gone()


def raise_open_files() -> None:
    """Allow this process as many open files as the system lets it; every socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spare_what_stays() -> None:
    """Tell the collector of cycles that what lives now stays: code, types, statements, maps. It would otherwise walk
    over a quarter of a million objects again and again while connections come, and the loop stands still meanwhile."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def usage(pid: int) -> Usage | None:
    """What a process uses, or None when there is no such process."""
    return _usage_by_proc(pid) if Path("/proc/self/stat").exists() else usage_by_ps(pid)


def _usage_by_proc(pid: int) -> Usage | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    # The name, in brackets, may hold spaces; the figures begin after it with field 3.
    figures = stat.rpartition(")")[2].split()
    ticks = int(figures[11]) + int(figures[12])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), resident_pages * os.sysconf("SC_PAGE_SIZE"))


def usage_by_ps(pid: int) -> Usage | None:
    """The same where there is no /proc."""
    asked = subprocess.run(["ps", "-o", "rss=,time=", "-p", str(pid)], capture_output=True, text=True, check=False)
    parts = asked.stdout.split()
    if len(parts) != 2:
        return None
    days, _, clock = parts[1].rpartition("-")
    cpu_s = 0.0
    for part in clock.split(":"):
        cpu_s = cpu_s * 60 + float(part)
    return Usage(cpu_s + int(days or 0) * 86_400, int(parts[0]) * 1024)


def command_of(pid: int) -> str:
    """The command line of a process, or nothing when there is no such process or it has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    asked = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
