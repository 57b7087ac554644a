"""Readers of a setting's text: each gives the typed value, or a ValueError that says what would be legal."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

T = TypeVar("T")
Reader = Callable[[str], T]


def text(said: str) -> str:
    return said


def spoken(longest: int) -> Reader[str]:
    """A name that people read: something other than spaces, on one line."""

    def read(said: str) -> str:
        name = said.strip()
        if not name or len(name) > longest or not name.isprintable():
            raise ValueError(f"must be a name of 1 to {longest} characters")
        return name

    return read


def phone(said: str) -> str:
    """The same form that the sign-in pages take."""
    compact = re.sub(r"[ -]", "", said)
    if not re.fullmatch(r"\+?[0-9]{8,15}", compact):
        raise ValueError("must be a phone number, as 13800000000 or +8613800000000")
    return compact


def time_zone(said: str) -> str:
    try:
        ZoneInfo(said)
    except (ValueError, OSError, LookupError):
        raise ValueError("must be a time zone's name, as Asia/Shanghai") from None
    return said


def boolean(said: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[said.lower()]
    except KeyError:
        raise ValueError("must be 1 or 0") from None


def integer(low: int, high: int) -> Reader[int]:
    def read(said: str) -> int:
        try:
            number_said = int(said)
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}") from None
        if not low <= number_said <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number_said

    return read


def number(low: float, high: float) -> Reader[float]:
    def read(said: str) -> float:
        try:
            number_said = float(said)
        except ValueError:
            raise ValueError(f"must be a number from {low:g} to {high:g}") from None
        # Written so that not-a-number fails too.
        if not low <= number_said <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return number_said

    return read


def one_of(*legal: str) -> Reader[str]:
    def read(said: str) -> str:
        if said not in legal:
            raise ValueError(f"must be {', '.join(legal[:-1])} or {legal[-1]}")
        return said

    return read


def each(read_one: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list separated by commas, without repeats."""

    def read(said: str) -> tuple[T, ...]:
        found = tuple(read_one(part.strip()) for part in said.split(",") if part.strip())
        if not found:
            raise ValueError("must name at least one")
        if len(set(found)) != len(found):
            raise ValueError("names the same twice")
        return found

    return read


def folder(said: str) -> Path:
    path = Path(said).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError("must be a folder, but is a file")
    return path


def readable_file(said: str) -> Path:
    """An absolute path of a file that this user may read."""
    path = Path(said).expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path, so that it means the same wherever the server is started")
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        path.open("rb").close()
    except OSError:
        raise ValueError("the file may not be read by this user") from None
    return path


def instant(said: str) -> datetime:
    wanted = "must be a moment with its offset, as 2026-03-02T11:00:00+08:00"
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise ValueError(wanted) from None
    if at.tzinfo is None:
        raise ValueError(wanted)
    return at


def web_url(said: str) -> str:
    """Scheme, host and port, without a path: an origin."""
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path not in ("", "/"):
        raise ValueError("must be an address as https://errands.example.edu, without a path")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def database_url(said: str) -> str:
    if said.startswith(("sqlite:////", "postgresql://", "postgresql+psycopg://")):
        return said
    raise ValueError("must be postgresql://user:password@host/name or sqlite:////absolute/path.db")


def redis_url(said: str) -> str:
    if said.startswith(("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://")):
        return said
    raise ValueError("must begin with redis://, rediss://, unix:// or redis+cluster://")


def network(said: str) -> str:
    try:
        return str(ipaddress.ip_network(said, strict=False))
    except ValueError:
        raise ValueError("must be an address or network, as 10.0.0.0/8") from None
