"""Writes records of ticks off the planner's path: a thread with a bounded queue; what finds no room is counted."""

from __future__ import annotations

import logging
import platform
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy
import scipy

import geo

from .. import __version__, assign
from .files import SUFFIX, Head, TickFiles, TickWriter, hour_of, map_id_of
from .record import TickRecord

log = logging.getLogger(__name__)

#: Ticks that may wait to be written.
MOST_WAITING = 16
#: Real seconds: a stopping planner lets what waits be written for so long.
CLOSING_S = 5.0
#: Real seconds without a tick after which old records are looked for.
SWEEP_S = 3_600.0
#: A file takes at most this part of what may be kept, so that making room loses little.
PARTS = 8
_DAY_S = 86_400.0


@dataclass(slots=True)
class Counts:
    """What became of the records."""

    written: int = 0
    dropped: int = 0
    failed: int = 0
    bytes: int = 0


def versions() -> dict[str, str]:
    """What a plan depends on beside its input."""
    return {
        "dispatch": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "sources": _sources(),
    }


@cache
def _sources() -> str:
    """Of the modules that make a plan: what they do may change between two releases."""
    found = blake2b(digest_size=8)
    for package in (assign, geo):
        for path in sorted(Path(package.__file__ or "").parent.glob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


class Recorder:
    """``writer`` tells processes apart that record the same campus; ``days`` and ``most_bytes`` (per campus) bound what
    is kept. A fault of the disk costs records, never a tick."""

    def __init__(
        self,
        files: TickFiles,
        writer: str,
        *,
        days: float = 2.0,
        most_bytes: int = 256 * 1024 * 1024,
        now_s: Callable[[], float] = time.time,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self.files = files
        self.counts = Counts()
        self._writer_name = "".join(letter if letter.isalnum() else "-" for letter in writer)
        self._kept_s = days * _DAY_S
        self._most_bytes = most_bytes
        self._now_s = now_s
        self._sweep_s = sweep_s
        self._waiting: queue.Queue[TickRecord | None] = queue.Queue(MOST_WAITING)
        self._open: dict[str, TickWriter] = {}
        self._maps: dict[str, tuple[object, str]] = {}
        self._is_failing = False
        self._files_made = 0
        self._thread = threading.Thread(target=self._run, name="tick-recorder", daemon=True)
        self._thread.start()

    def map_id(self, campus_id: str, of: object) -> str | None:
        """The name of the map that this object was made from; None where its bytes must be handed over first."""
        known = self._maps.get(campus_id)
        return known[1] if known is not None and known[0] is of else None

    def keep_map(self, campus_id: str, of: object, body: bytes) -> str:
        """Its name, once it is kept. Blocks; call it in a thread."""
        map_id = map_id_of(body)
        self._maps[campus_id] = (of, map_id)
        try:
            self.files.keep_map(campus_id, map_id, body)
        except OSError as fault:
            self._failed(fault)
        return map_id

    def put(self, record: TickRecord) -> bool:
        """Whether the record will be written; never waits."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.counts.dropped += 1
            return False
        return True

    def flush(self) -> None:
        """Wait until all that was put is written."""
        self._waiting.join()

    def close(self) -> None:
        """Write what waits, then end; blocks for at most a few seconds."""
        try:
            self._waiting.put(None, timeout=CLOSING_S)
        except queue.Full:
            return
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        while (record := self._next()) is not None:
            try:
                self.counts.bytes += self._writer(record).append(record)
                self.counts.written += 1
                self._is_failing = False
            except OSError as fault:
                self._failed(fault)
                self._shut(record.campus_id)
            except Exception:
                # A bug of ours in a record must not silence all that come after it.
                self.counts.failed += 1
                log.exception("a tick was not recorded")
            finally:
                self._waiting.task_done()
        for campus_id in list(self._open):
            self._shut(campus_id)
        self._waiting.task_done()

    def _next(self) -> TickRecord | None:
        """What is to be written next. Where nothing comes for long, what is too old goes all the same."""
        while True:
            try:
                return self._waiting.get(timeout=self._sweep_s)
            except queue.Empty:
                self._sweep_all()

    def _sweep_all(self) -> None:
        try:
            for folder in self.files.folder.iterdir():
                self._sweep(folder.name)
        except OSError as fault:
            log.warning("old ticks cannot be looked for: %s", fault)

    def _sweep(self, campus_id: str) -> None:
        self.files.sweep(campus_id, self._now_s() - self._kept_s, self._most_bytes)

    def _writer(self, record: TickRecord) -> TickWriter:
        name = f"{hour_of(record.now_ms)}-{self._writer_name}"
        writer = self._open.get(record.campus_id)
        if writer is not None and self._fits(writer, name, record):
            return writer
        self._shut(record.campus_id)
        self._files_made += 1
        path = self.files.folder / record.campus_id / f"{name}-{self._files_made:04d}{SUFFIX}"
        writer = TickWriter(path, Head(record.campus_id, record.map_id, versions()))
        self._open[record.campus_id] = writer
        # After the new file is there: its map is needed now.
        self._sweep(record.campus_id)
        return writer

    def _fits(self, writer: TickWriter, name: str, record: TickRecord) -> bool:
        is_same = writer.path.name.startswith(f"{name}-") and writer.head.map_id == record.map_id
        return is_same and writer.bytes < self._most_bytes / PARTS

    def _shut(self, campus_id: str) -> None:
        writer = self._open.pop(campus_id, None)
        if writer is not None:
            writer.close()

    def _failed(self, fault: OSError) -> None:
        self.counts.failed += 1
        if not self._is_failing:
            log.error("ticks are not recorded: %s", fault)
        self._is_failing = True


def recorder_of(folder: Path, writer: str, days: int, megabytes: int) -> Recorder | None:
    """The recorder that the settings describe; None where nothing is to be recorded."""
    if days == 0:
        return None
    return Recorder(TickFiles(folder), writer, days=days, most_bytes=megabytes * 1024 * 1024)
