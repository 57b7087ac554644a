"""The server's secrets: files of the data folder that only its user may read, made on the first start."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dispatch.settings import Settings, SettingsError

KEY_BYTES = 32
FOLDER = "secrets"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Keys of 32 bytes each. ``data_keys`` holds every key that personal columns may still be sealed with, by its id;
    ``current_data_key`` is the id of the one that seals new ones."""

    token_key: bytes
    data_keys: Mapping[int, bytes]
    current_data_key: int
    lookup_key: bytes
    sandbox_key: bytes

    def __repr__(self) -> str:
        return "Secrets(…)"


def secrets_folder(settings: Settings) -> Path:
    return settings.data_dir / FOLDER


def load_secrets(settings: Settings) -> Secrets:
    """Read the secrets, making those that are not there yet; several processes may do so at once and get the same."""
    prepare_data_dir(settings)
    data_keys = _read_keys("data_key", settings.data_key_file, settings)
    return Secrets(
        token_key=_only("token_key", settings.token_key_file, settings),
        data_keys=MappingProxyType(data_keys),
        current_data_key=max(data_keys),
        lookup_key=_only("lookup_key", settings.lookup_key_file, settings),
        sandbox_key=_only("sandbox_key", settings.sandbox_key_file, settings),
    )


def prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, open to the server's user alone; it holds personal data and secrets."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def unsafe_modes(settings: Settings) -> list[str]:
    """Paths of the data folder that other users could read, each with the command that mends it."""
    folder = secrets_folder(settings)
    checked = [(settings.data_dir, 0o022, 0o700), (folder, 0o077, 0o700)]
    if folder.is_dir():
        checked += [(path, 0o077, 0o600) for path in sorted(folder.iterdir())]
    return [
        f"{path} is open to other users: chmod {wanted:o} {path}"
        for path, forbidden, wanted in checked
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & forbidden
    ]


def _only(name: str, elsewhere: Path | None, settings: Settings) -> bytes:
    keys = _read_keys(name, elsewhere, settings)
    return keys[max(keys)]


def _read_keys(name: str, elsewhere: Path | None, settings: Settings) -> dict[int, bytes]:
    """Lines of ``id hex``; the highest id is the one in use. Adding a line rotates the key, old ones stay readable."""
    path = elsewhere or secrets_folder(settings) / name
    if elsewhere is None:
        _make_unless_there(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError([f"{path} is a secret that other users may read: chmod 600 {path}"])
    keys: dict[int, bytes] = {}
    for line in path.read_text().splitlines():
        try:
            key_id, key = line.split()
            keys[int(key_id)] = bytes.fromhex(key)
        except ValueError:
            raise SettingsError(
                [f"{path}: each line must be a number, a space and {KEY_BYTES * 2} hex digits"]
            ) from None
    if not keys or any(len(key) != KEY_BYTES for key in keys.values()):
        raise SettingsError([f"{path}: must hold a number, a space and {KEY_BYTES * 2} hex digits"])
    return keys


def _make_unless_there(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written whole beside it and then linked: of two processes that start at once, one wins and both read the same.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w") as out:
            out.write(f"1 {secrets.token_hex(KEY_BYTES)}\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
