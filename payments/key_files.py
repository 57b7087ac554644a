"""Files of secrets: named by an absolute path, open to their owner alone, never shown."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

KEY_BYTES = 32
#: Nothing that is configured is larger.
MOST_BYTES = 1 << 20

_LINE = re.compile(r"([0-9A-Za-z_-]{1,32})[ \t]+([0-9a-fA-F]{64,128})")


def why_unsafe(path: Path) -> str | None:
    """Why a secret should not be read from there; None when it may."""
    if not path.is_absolute():
        return "must be an absolute path, so that it means the same wherever the process is started"
    try:
        found = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISREG(found.st_mode):
        return "is no file"
    if found.st_mode & 0o077:
        return f"is open to other users: chmod 600 {path}"
    if found.st_uid not in (os.geteuid(), 0):
        return "belongs to another user"
    return None


def read_secret(path: Path) -> str:
    """The text of a secret file. ValueError says why not, and never what is in it."""
    reason = why_unsafe(path)
    if reason is not None:
        raise ValueError(reason)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if len(raw) > MOST_BYTES:
        raise ValueError("is too large for a secret")
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is no text") from None


def read_keys(path: Path) -> dict[str, bytes]:
    """Keys by id, in the order of their lines ``id hex``; a line that begins with # says nothing. ValueError."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(read_secret(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"line {number} is not an id and at least {KEY_BYTES} bytes as hex")
        if match[1] in keys:
            raise ValueError(f"line {number}: the id {match[1]} is there already")
        keys[match[1]] = bytes.fromhex(match[2])
    if not keys:
        raise ValueError("has no key")
    return keys


def make_keys(path: Path) -> dict[str, bytes]:
    """The keys of the file, which is made with one new key if it is not there; two that come at once get the same."""
    if path.exists():
        return read_keys(path)
    # Written whole beside it and then linked: nobody ever reads half a file.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"k1 {secrets.token_hex(KEY_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    return read_keys(path)
