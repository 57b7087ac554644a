"""The journal on disk: one SQLite file, appended to and read back, so that a restart loses nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from payments.simulator.events import AnyEvent

_decoder = msgspec.json.Decoder(AnyEvent)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class JournalUnreadable(Exception):
    """The file is not a simulator's journal, or another simulator holds it."""


class Journal:
    """Appends events and small named values. A simulator is one process: it holds the file for itself."""

    def __init__(self, path: Path | None = None) -> None:
        """Without a path it lives in memory."""
        target = ":memory:" if path is None else str(path)
        try:
            if path is not None and not path.exists():
                # There will be private keys in it, if nobody's real ones.
                path.touch(mode=0o600)
            self._file = sqlite3.connect(target, isolation_level=None, timeout=1.0)
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.executescript(_SCHEMA)
            # Two simulators on one file would each believe its own half: the lock is taken now, not at the first order.
            self._file.execute("BEGIN EXCLUSIVE")
            self._file.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise JournalUnreadable(f"{target}: {error}") from error

    def append(self, at: datetime, *events: AnyEvent) -> None:
        """Write events that are true together; they are all on disk, or none is."""
        at_us = round(at.timestamp() * 1_000_000)
        rows = [(at_us, msgspec.json.encode(event)) for event in events]
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO journal (at_us, event) VALUES (?, ?)", rows)
        self._file.execute("COMMIT")

    def events(self) -> Iterator[tuple[datetime, AnyEvent]]:
        """Everything, in its order."""
        for at_us, text in self._file.execute("SELECT at_us, event FROM journal ORDER BY seq"):
            try:
                yield datetime.fromtimestamp(at_us / 1_000_000, UTC), _decoder.decode(text)
            except msgspec.DecodeError as error:
                raise JournalUnreadable(f"a line of the journal is of another version: {error}") from error

    def keep(self, name: str, value: bytes) -> None:
        """Remember a small value under its name."""
        self._file.execute("INSERT OR REPLACE INTO kept (name, value) VALUES (?, ?)", (name, value))

    def kept(self, name: str) -> bytes | None:
        """The value of that name."""
        row = self._file.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
