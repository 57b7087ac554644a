"""Records of ticks in files: one per campus, hour and planner, appended to; a torn end spoils nothing before it.

A file is a head and then records, each with a frame around it: mark, length, checksum, kind, the tick's id. A record is
deflated against the ids of the last whole one before it, since most runners and many tasks are in both.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from ..model.ids import made_at_ms
from .record import BadRecord, TickRecord, pack, unpack

SUFFIX, MAP_SUFFIX = ".ticks", ".map"
_HEAD_MARK, _MARK = b"TICKS\x00\x01\n", b"tick"
_HEAD = struct.Struct("<8sI")
_FRAME = struct.Struct("<4sIIB31s")
_WHOLE, _AGAINST = 0, 1
#: A whole record every so many; a spoilt one costs those that lean on it.
WHOLE_EVERY = 30
#: How far back a deflater looks.
_LOOKS_BACK = 32_768
#: No record is as long: a length beyond it is a torn one.
MOST_BYTES = 64 * 1024 * 1024
#: Level 1 is three times as fast as 6 and gives a tenth more bytes.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Head:
    """What is said once per file: by which versions, on which map its ticks were planned."""

    campus_id: str
    map_id: str
    versions: dict[str, str]


class Frame(NamedTuple):
    """Where a record lies in a file."""

    offset: int
    length: int
    checksum: int
    kind: int
    tick_id: str


class NoTicks(ValueError):
    """This file holds no records of ticks."""


def hour_of(now_ms: int) -> str:
    """The hour, in UTC, that names a file."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H")


class TickWriter:
    """Appends records to one file that it makes. Each is handed to the system in one piece."""

    def __init__(self, path: Path, head: Head) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.head = head
        self.bytes = 0
        self._count = 0
        self._dictionary = b""
        # Positions of people are in it.
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        body = msgspec.msgpack.encode(head)
        self._write(_HEAD.pack(_HEAD_MARK, len(body)) + body)

    def append(self, record: TickRecord) -> int:
        """How many bytes it took."""
        raw = pack(record)
        kind = _AGAINST if self._count % WHOLE_EVERY and self._dictionary else _WHOLE
        if kind == _WHOLE:
            self._dictionary = raw[-_LOOKS_BACK:]
            packer = zlib.compressobj(_LEVEL)
        else:
            packer = zlib.compressobj(_LEVEL, zdict=self._dictionary)
        body = packer.compress(raw) + packer.flush()
        self._count += 1
        frame = _FRAME.pack(_MARK, len(body), zlib.crc32(body), kind, record.id.encode("ascii")[:31])
        return self._write(frame + body)

    def _write(self, piece: bytes) -> int:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]
        self.bytes += len(piece)
        return len(piece)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class TickReader:
    """Reads one file, also while it is being written. ``torn`` counts the places where something was not readable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self._file: BinaryIO = path.open("rb")
        try:
            self.head = self._read_head()
        except (NoTicks, OSError):
            self._file.close()
            raise
        self._first = self._file.tell()
        self._whole: tuple[int, bytes] | None = None

    def _read_head(self) -> Head:
        start = self._file.read(_HEAD.size)
        if len(start) < _HEAD.size or not start.startswith(_HEAD_MARK):
            raise NoTicks(f"{self.path} holds no records of ticks")
        length = _HEAD.unpack(start)[1]
        try:
            return msgspec.msgpack.decode(self._file.read(min(length, 65_536)), type=Head)
        except msgspec.MsgspecError as fault:
            raise NoTicks(f"{self.path}: its head is not readable") from fault

    def close(self) -> None:
        self._file.close()

    def frames(self) -> Iterator[Frame]:
        """Where the records lie, in order; what is torn is passed over."""
        offset = self._first
        while True:
            self._file.seek(offset)
            piece = self._file.read(_FRAME.size)
            if not piece:
                return
            frame = self._frame(offset, piece)
            if frame is None:
                self.torn += 1
                found = self._next_mark(offset + 1)
                if found is None:
                    return
                offset = found
                continue
            yield frame
            offset += _FRAME.size + frame.length

    def _frame(self, offset: int, piece: bytes) -> Frame | None:
        """The frame that begins here; None unless the whole record is there."""
        if len(piece) < _FRAME.size:
            return None
        mark, length, checksum, kind, name = _FRAME.unpack(piece)
        end = offset + _FRAME.size + length
        if mark != _MARK or length > MOST_BYTES or end > os.fstat(self._file.fileno()).st_size:
            return None
        return Frame(offset, length, checksum, kind, name.rstrip(b"\0").decode("ascii", "replace"))

    def _next_mark(self, offset: int) -> int | None:
        """Where the next frame may begin, from ``offset`` on."""
        before = b""
        self._file.seek(offset)
        while piece := self._file.read(65_536):
            at = (before + piece).find(_MARK)
            if at >= 0:
                return offset - len(before) + at
            offset += len(piece)
            before = piece[-len(_MARK) + 1 :]
        return None

    def records(self) -> Iterator[TickRecord]:
        """Every record that can be read, in order."""
        for frame in self.frames():
            record = self._record(frame)
            if record is not None:
                yield record

    def find(self, tick_id: str) -> TickRecord | None:
        """The record of one tick."""
        whole: Frame | None = None
        for frame in self.frames():
            if frame.kind == _WHOLE:
                whole = frame
            if frame.tick_id == tick_id:
                if whole is not None and whole is not frame:
                    self._record(whole)
                return self._record(frame)
        return None

    def last(self) -> TickRecord | None:
        """The newest record of the file."""
        whole = last = None
        for frame in self.frames():
            whole = frame if frame.kind == _WHOLE else whole
            last = frame
        if last is None:
            return None
        if whole is not None and whole is not last:
            self._record(whole)
        return self._record(last)

    def _record(self, frame: Frame) -> TickRecord | None:
        self._file.seek(frame.offset + _FRAME.size)
        body = self._file.read(frame.length)
        if zlib.crc32(body) != frame.checksum:
            self.torn += 1
            self._whole = None if frame.kind == _WHOLE else self._whole
            return None
        try:
            raw = self._inflated(frame, body)
            return None if raw is None else unpack(raw)
        except (zlib.error, BadRecord):
            self.torn += 1
            return None

    def _inflated(self, frame: Frame, body: bytes) -> bytes | None:
        if frame.kind == _WHOLE:
            raw = zlib.decompress(body)
            self._whole = (frame.offset, raw[-_LOOKS_BACK:])
            return raw
        if self._whole is None:
            self.torn += 1
            return None
        return zlib.decompressobj(zdict=self._whole[1]).decompress(body)


class TickFiles:
    """The folder of all records: ``campus/hour-writer.ticks`` and, beside them, the maps that they were planned on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of_campus(self, campus_id: str) -> list[Path]:
        """Oldest hour first."""
        return sorted((self.folder / campus_id).glob(f"*{SUFFIX}"))

    def map_path(self, campus_id: str, map_id: str) -> Path:
        return self.folder / campus_id / f"{map_id}{MAP_SUFFIX}"

    def keep_map(self, campus_id: str, map_id: str, body: bytes) -> None:
        """Keep the map that ticks are planned on; a map is written whole or not at all."""
        path = self.map_path(campus_id, map_id)
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(zlib.compress(body, 6))
        draft.replace(path)

    def find(self, campus_id: str, tick_id: str) -> TickRecord | None:
        """The record of one tick, as long as it is kept. Its id says the hour."""
        made_ms = made_at_ms(tick_id)
        if made_ms is None:
            return None
        # A tick has its id a moment before its file is chosen: at the full hour it is in the next one.
        for hour in dict.fromkeys((hour_of(made_ms), hour_of(made_ms + 60_000))):
            for path in sorted((self.folder / campus_id).glob(f"{hour}-*{SUFFIX}")):
                try:
                    reader = TickReader(path)
                except (NoTicks, OSError):
                    continue
                try:
                    if (record := reader.find(tick_id)) is not None:
                        return record
                finally:
                    reader.close()
        return None

    def latest(self, campus_id: str) -> TickRecord | None:
        """The newest record of a campus: that of whoever recorded last."""
        paths = [path for path in self.of_campus(campus_id) if path.exists()]
        for path in sorted(paths, key=lambda path: (path.stat().st_mtime, path.name), reverse=True):
            try:
                reader = TickReader(path)
            except (NoTicks, OSError):
                continue
            try:
                if (record := reader.last()) is not None:
                    return record
            finally:
                reader.close()
        return None

    def sweep(self, campus_id: str, oldest_s: float, most_bytes: int) -> int:
        """Delete files changed last before ``oldest_s`` (Unix time), and the oldest while there are more bytes than
        that; maps that no file needs; how many files went."""
        paths = self.of_campus(campus_id)
        stats = {path: path.stat() for path in paths if path.exists()}
        total, gone = sum(stat.st_size for stat in stats.values()), 0
        for path, stat in sorted(stats.items(), key=lambda each: (each[1].st_mtime, each[0].name)):
            if stat.st_mtime >= oldest_s and total <= most_bytes:
                continue
            path.unlink(missing_ok=True)
            total -= stat.st_size
            gone += 1
        if gone:
            self._drop_maps(campus_id)
        return gone

    def _drop_maps(self, campus_id: str) -> None:
        needed = set()
        for path in self.of_campus(campus_id):
            try:
                reader = TickReader(path)
            except (NoTicks, OSError):
                continue
            needed.add(reader.head.map_id)
            reader.close()
        for path in (self.folder / campus_id).glob(f"*{MAP_SUFFIX}"):
            if path.name.removesuffix(MAP_SUFFIX) not in needed:
                path.unlink(missing_ok=True)


def map_id_of(body: bytes) -> str:
    """The same for the same map."""
    return blake2b(body, digest_size=12).hexdigest()


def read_map(path: Path) -> bytes:
    """A kept map; raises :class:`NoTicks` where it is not readable."""
    try:
        return zlib.decompress(path.read_bytes())
    except (OSError, zlib.error) as fault:
        raise NoTicks(f"{path}: the map that these ticks were planned on is not readable") from fault
