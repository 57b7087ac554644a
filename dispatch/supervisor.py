"""The parent of the server's processes: binds once, starts, watches and replaces them, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from dispatch.clock import ScaledClock
from dispatch.clock_file import ClockFile
from dispatch.embedded import EmbeddedRedis
from dispatch.keys import load_secrets, prepare_data_dir
from dispatch.metrics import FOLDER_VARIABLE, ProcessReport, forget_process, fresh_folder
from dispatch.metrics_port import MetricsPort
from dispatch.processes import usage
from dispatch.settings import Settings

log = logging.getLogger(__name__)

# What a process of the server runs, up to its arguments.
PROGRAM = (sys.executable, "-m", "dispatch", "--inherit")
BACKLOG = 4096
READY_DEADLINE_S = 60.0
STEADY_S = 30.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# A process that never once became ready is broken, not unlucky: the start fails instead of trying for ever.
TRIES_BEFORE_FIRST_READY = 3


class StartFailed(RuntimeError):
    """The server cannot start; the text says why and what to do."""


@dataclass(slots=True, eq=False)
class Child:
    """One started process."""

    process: asyncio.subprocess.Process
    began_s: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    is_replaced: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """A place that is always to be filled by a process of one role."""

    role: str
    index: int
    child: Child | None = None
    restarts: int = 0
    was_ready: bool = False
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)  # one process at a time comes into the place


class Supervisor:
    """``environ`` is the whole environment that ``settings`` were read from; the processes get it with what the
    supervisor decided (bound port, private Redis, clock)."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], program: Sequence[str] = PROGRAM) -> None:
        self._settings = settings
        self._program = tuple(program)
        # A process that dies in compiled code then leaves its Python stack in the log.
        self._environ = {"PYTHONFAULTHANDLER": "1", **environ}
        self._run_dir = settings.data_dir / "run"
        self._lock: IO[str] | None = None
        self._listener: socket.socket | None = None
        self._redis: EmbeddedRedis | None = None
        self._clock_file = ClockFile(settings.data_dir / "clock.json")
        self._clock: ScaledClock | None = None
        self._metrics_dir = self._run_dir / "metrics"
        self._metrics_port = MetricsPort(self._metrics_dir, self.reports)
        self._slots = _slots(settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._is_hurried = asyncio.Event()
        self._asked_to_stop = asyncio.Event()
        self._fault: str | None = None

    # --- what others ask ---

    @property
    def port(self) -> int:
        """The port that people reach; known once started."""
        return int(self._listener.getsockname()[1]) if self._listener is not None else self._settings.port

    @property
    def metrics_port(self) -> int:
        return self._metrics_port.port

    @property
    def child_environ(self) -> dict[str, str]:
        """The environment of a process of this server."""
        return self._environ

    def reports(self) -> list[ProcessReport]:
        """Every process of the server as it is now."""
        known = [("supervisor", 0, os.getpid(), 0, True)]
        if self._redis is not None and self._redis.pid is not None:
            known.append(("redis", 0, self._redis.pid, self._redis.restarts, True))
        for slot in self._slots:
            if slot.child is not None and slot.child.process.returncode is None:
                is_ready = slot.child.ready.is_set()
                known.append((slot.role, slot.index, slot.child.process.pid, slot.restarts, is_ready))
        reports = []
        for role, index, pid, restarts, is_ready in known:
            if (used := usage(pid)) is not None:
                reports.append(ProcessReport(role, index, pid, used.cpu_s, used.rss_bytes, restarts, is_ready))
        return reports

    # --- the life of a server ---

    async def run(self) -> int:
        """Start, stay until a signal asks to stop or the start fails, and end everything. Returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask_to_stop)
        loop.add_signal_handler(signal.SIGINT, self.ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self.replace_children()))
        try:
            await self.start()
            await self._asked_to_stop.wait()
        except StartFailed as fault:
            self._fault = str(fault)
        finally:
            await self.stop()
        if self._fault is not None:
            log.error("%s", self._fault)
            return 1
        return 0

    def ask_to_stop(self) -> None:
        """Begin to end; asked a second time, do not wait for anybody."""
        if self._asked_to_stop.is_set():
            self._is_hurried.set()
        self._asked_to_stop.set()

    async def wait_stop(self) -> None:
        """Until somebody asked to stop, or the server gave up."""
        await self._asked_to_stop.wait()

    async def start(self) -> None:
        prepare_data_dir(self._settings)
        self._run_dir.mkdir(mode=0o700, exist_ok=True)
        self._take_lock()
        load_secrets(self._settings)
        self._bind()
        await self._start_redis()
        self._start_clock()
        await self.run_once("migrate")
        fresh_folder(self._run_dir)
        self._environ[FOLDER_VARIABLE] = str(self._metrics_dir)
        if self._settings.metrics_port:
            await self._start_metrics_port()
        for slot in self._slots:
            self._spawn(self._keep_filled(slot))

    async def wait_ready(self, timeout_s: float = READY_DEADLINE_S) -> None:
        """Until every process has said once that it serves; raises StartFailed when one cannot."""
        deadline = time.monotonic() + timeout_s
        while not all(slot.was_ready for slot in self._slots):
            if self._asked_to_stop.is_set():
                raise StartFailed(self._fault or "stopped while starting")
            if time.monotonic() > deadline:
                waiting = ", ".join(f"{slot.role} {slot.index}" for slot in self._slots if not slot.was_ready)
                raise StartFailed(f"not ready within {timeout_s:g} s: {waiting}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Ask every process to finish, wait for the grace time, kill the rest; Redis goes last, for they need it."""
        self._is_stopping = True
        await asyncio.gather(*(self._end(slot.child) for slot in self._slots if slot.child is not None))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._metrics_port.stop()
        if self._redis is not None:
            await self._redis.stop()
        if self._clock is not None:
            self._clock_file.keep(self._clock, is_last=True)
        if self._listener is not None:
            self._listener.close()
        if self._lock is not None:
            self._lock.close()

    async def replace_children(self) -> None:
        """Put a new process into each place, one by one: the old one leaves when the new one serves. A new one that
        does not come to serve ends the round, and the old ones stay."""
        for slot in self._slots:
            async with slot.filling:
                old = slot.child
                if old is None or old.process.returncode is not None or self._is_stopping:
                    continue
                new = await self._launch(slot)
                try:
                    is_ready = await self._becomes_ready(new)
                except asyncio.CancelledError:
                    new.process.kill()
                    raise
                if is_ready:
                    old.is_replaced = True
                    slot.child = new
                    self._spawn(self._keep_filled(slot, new))
            if not is_ready:
                log.error("a replacement does not serve; the old process stays", extra={"role": slot.role})
                await self._end(new)
                return
            await self._end(old)
            log.info("replaced a process", extra={"role": slot.role, "index": slot.index, "old": old.process.pid})

    async def run_once(self, *arguments: str) -> None:
        """Run ``dispatch <arguments>`` as a process of this server to its end; raises StartFailed when it fails."""
        process = await asyncio.create_subprocess_exec(
            *self._program, *arguments, env=self._environ, start_new_session=True
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise
        if code != 0:
            raise StartFailed(f"`dispatch {arguments[0]}` failed; what it said stands above")

    # --- the steps of a start ---

    def _take_lock(self) -> None:
        path = self._run_dir / "lock"
        self._lock = path.open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = path.read_text().strip()
            self._lock.close()
            self._lock = None
            raise StartFailed(
                f"another server (process {holder}) uses {self._settings.data_dir}: stop it, or set DISPATCH_DATA_DIR"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _bind(self) -> None:
        if "web" not in self._settings.roles:
            return
        host, port = self._settings.host, self._settings.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as fault:
            raise StartFailed(
                f"cannot listen on {host}:{port}: {fault.strerror or fault}; set DISPATCH_HOST or DISPATCH_PORT"
            ) from None
        self._environ["DISPATCH_PORT"] = str(self.port)

    async def _start_redis(self) -> None:
        if self._settings.redis_url:
            return
        self._redis = EmbeddedRedis(self._run_dir)
        try:
            await self._redis.start()
        except (RuntimeError, OSError) as fault:
            raise StartFailed(str(fault)) from fault
        self._environ["REDIS_URL"] = self._redis.url

    def _start_clock(self) -> None:
        self._clock = self._clock_file.begin(self._settings.time_scale, self._settings.time_start, time.time())
        self._environ["DISPATCH_CLOCK_START"] = self._clock.start.isoformat()
        self._environ["DISPATCH_CLOCK_ORIGIN_S"] = repr(self._clock.origin_s)
        self._clock_file.keep(self._clock)
        self._spawn(self._keep_clock(self._clock))

    async def _keep_clock(self, clock: ScaledClock) -> None:
        while True:
            await asyncio.sleep(self._clock_file.every_s)
            self._clock_file.keep(clock)

    async def _start_metrics_port(self) -> None:
        try:
            await self._metrics_port.start(self._settings.metrics_port)
        except OSError as fault:
            raise StartFailed(
                f"cannot listen on 127.0.0.1:{self._settings.metrics_port}: {fault.strerror or fault}; "
                "set DISPATCH_METRICS_PORT (0: none)"
            ) from None

    # --- the processes ---

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _launch(self, slot: Slot) -> Child:
        ready_read, ready_write = os.pipe()
        passed = [ready_write]
        command = [
            *self._program, "worker", "--role", slot.role, "--index", str(slot.index),
            "--parent", str(os.getpid()), "--ready-fd", str(ready_write),
        ]  # fmt: skip
        if slot.role == "web":
            assert self._listener is not None
            passed.append(self._listener.fileno())
            command += ["--listen-fd", str(self._listener.fileno())]
        try:
            # A session of its own: Ctrl-C at the terminal reaches the supervisor alone, which ends them in order.
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=passed, env=self._environ, start_new_session=True
            )
        finally:
            os.close(ready_write)
        child = Child(process, time.monotonic())
        self._spawn(_hear_ready(ready_read, child, slot))
        return child

    async def _keep_filled(self, slot: Slot, child: Child | None = None) -> None:
        """Start a process in a place, wait for its end, and again, with growing pauses while it keeps dying."""
        pause_s, tries, ended = FIRST_PAUSE_S, 0, slot.child
        while not self._is_stopping:
            if child is None:
                async with slot.filling:
                    if slot.child is not ended:
                        return  # it was being replaced when it died
                    child = slot.child = await self._launch(slot)
                if self._is_stopping:
                    await self._end(child)
                    return
            code = await child.process.wait()
            forget_process(child.process.pid, self._metrics_dir)
            if child.is_replaced or self._is_stopping:
                return
            tries += 1
            if not slot.was_ready and tries >= TRIES_BEFORE_FIRST_READY:
                self._fault = f"the {slot.role} process ended {tries} times before it served (exit code {code})"
                self._asked_to_stop.set()
                return
            pause_s = (
                FIRST_PAUSE_S if time.monotonic() - child.began_s > STEADY_S else min(pause_s * 2, LONGEST_PAUSE_S)
            )
            slot.restarts += 1
            extra = {"role": slot.role, "index": slot.index, "code": code, "pause_s": pause_s}
            log.error("a process ended; starting it again", extra=extra)
            await asyncio.sleep(pause_s)
            ended, child = child, None

    async def _becomes_ready(self, child: Child) -> bool:
        """Whether a process says in time that it serves, rather than end or stay silent."""
        waits = {asyncio.ensure_future(child.ready.wait()), asyncio.ensure_future(child.process.wait())}
        try:
            await asyncio.wait(waits, timeout=READY_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return child.ready.is_set()

    async def _end(self, child: Child) -> None:
        """Ask a process to finish; kill it when the grace time is over or somebody is in a hurry."""
        with contextlib.suppress(ProcessLookupError):
            child.process.terminate()
        ended = asyncio.ensure_future(child.process.wait())
        hurried = asyncio.ensure_future(self._is_hurried.wait())
        await asyncio.wait({ended, hurried}, timeout=self._settings.grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            log.warning("killing a process that did not finish", extra={"child": child.process.pid})
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            await ended


def _slots(settings: Settings) -> list[Slot]:
    slots = []
    if "web" in settings.roles:
        slots += [Slot("web", index) for index in range(settings.workers)]
    return slots + [Slot(role, 0) for role in ("planner", "jobs") if role in settings.roles]


async def _hear_ready(read_fd: int, child: Child, slot: Slot) -> None:
    """Wait until the process writes to its pipe that it serves (or closes it without a word)."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(read_fd, heard.set)
    try:
        await heard.wait()
        if os.read(read_fd, 1):
            child.ready.set()
            slot.was_ready = True
    finally:
        loop.remove_reader(read_fd)
        os.close(read_fd)
