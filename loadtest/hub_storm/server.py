"""The server that a storm is raised against: its processes, their sizes, its log, and the signals that hurt it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from ..own_server import OwnServer
from ..redis_look import socket_of
from .histories import ProcessSize
from .truth import newest_seq

#: Processes that answer SIGUSR1 with a line of the log for every task they have.
_TELLS_TASKS = ("web", "planner", "jobs")
READY_S = 45.0
#: What is said while Redis is killed or frozen; that a pool of connections ran out is not among it.
_REDIS_AWAY = tuple(f"redis.exceptions.{name}Error" for name in ("Connection", "Timeout", "BusyLoading"))


class StormServer:
    """One ``dispatch serve`` of two workers or more, and what may be done to it."""

    def __init__(self, own: OwnServer, session: aiohttp.ClientSession) -> None:
        self.own, self._session = own, session

    @property
    def data_dir(self) -> Path:
        return self.own.folder

    @property
    def redis_socket(self) -> Path:
        socket = socket_of(self.data_dir)
        if socket is None:
            raise ValueError(f"{self.data_dir}: no Redis of its own")
        return socket

    async def processes(self) -> list[dict[str, Any]]:
        try:
            async with self._session.get(self.own.processes_url) as response:
                found: list[dict[str, Any]] = await response.json(content_type=None)
                return found
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return []

    async def pids(self, *roles: str) -> list[int]:
        return [int(one["pid"]) for one in await self.processes() if one["role"] in roles]

    async def cpu_s(self) -> dict[int, tuple[str, float]]:
        """Processor seconds so far: process → (role, seconds)."""
        return {int(one["pid"]): (str(one["role"]), float(one["cpu_s"])) for one in await self.processes()}

    async def rss_bytes(self, role: str) -> int:
        return sum(int(one["rss"]) for one in await self.processes() if one["role"] == role)

    async def until_filled(self, role: str, without: set[int], count: int) -> bool:
        """Wait until so many processes of a role serve, none of them one of ``without``."""
        end_s = time.monotonic() + READY_S
        while time.monotonic() < end_s:
            ready = {int(one["pid"]) for one in await self.processes() if one["role"] == role and one["is_ready"]}
            if len(ready) >= count and not ready & without:
                return True
            await asyncio.sleep(0.1)
        return False

    def waiting(self) -> int:
        """Events of the books that are not published yet."""
        return newest_seq(self.data_dir)[1]

    async def counted(self, what: str) -> float:
        """One of the hub's own counters, over all workers; 0 while it was never counted."""
        url = self.own.processes_url.replace("/processes", "/metrics")
        try:
            async with self._session.get(url) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0.0
        found = re.findall(rf'^dispatch_hub_events_total{{[^}}]*what="{what}"[^}}]*}} (\S+)', text, re.MULTILINE)
        return sum(map(float, found))

    async def replace(self) -> None:
        """SIGHUP: every process is replaced, one after the other."""
        for pid in await self.pids("supervisor"):
            os.kill(pid, signal.SIGHUP)

    # --- sizes

    async def sizes(self) -> list[ProcessSize]:
        """Every process now, with the number of its tasks."""
        rows = await self.processes()
        tasks = await self._tasks([int(one["pid"]) for one in rows if one["role"] in _TELLS_TASKS])
        found = []
        for one in rows:
            pid = int(one["pid"])
            rss = int(one["rss"])
            files = len(os.listdir(f"/proc/{pid}/fd")) if Path(f"/proc/{pid}/fd").is_dir() else -1
            found.append(ProcessSize(str(one["role"]), int(one["index"]), pid, rss, files, tasks.get(pid, -1)))
        return found

    async def strays(self) -> list[str]:
        """Children of the supervisor that it does not list; nothing where there is no /proc."""
        rows = await self.processes()
        listed = {int(one["pid"]) for one in rows}
        parents = {int(one["pid"]) for one in rows if one["role"] == "supervisor"}
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) in parents and fields[0] != "Z" and int(stat.parent.name) not in listed:
                    command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"{stat.parent.name} {command}".strip())
        return found

    async def _tasks(self, pids: list[int]) -> dict[int, int]:
        start = self.own.log_path.stat().st_size
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        await asyncio.sleep(0.5)
        counts: Counter[int] = Counter()
        for line in self._lines(start):
            if str(line.get("message", "")).startswith("task "):
                counts[int(line["pid"])] += 1
        return dict(counts)

    # --- the log

    def log_faults(self) -> list[str]:
        """What the server logged with an exception: a fault of its code, not of the day."""
        found: Counter[str] = Counter()
        for line in self._lines(0):
            if "exception" in line:
                last = str(line["exception"]).rstrip().rpartition("\n")[2]
                if last.startswith(_REDIS_AWAY):
                    continue
                found[f"{line.get('process', '')}: {line.get('message', '')}: {last}"] += 1
        return [f"{count} x {text}" for text, count in found.most_common()]

    def _lines(self, start: int) -> list[dict[str, Any]]:
        found = []
        with self.own.log_path.open("rb") as log:
            log.seek(start)
            for raw in log:
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"message": raw.decode(errors="replace"), "exception": raw} if b"Traceback" in raw else {}
                if isinstance(line, dict):
                    found.append(line)
        return found
