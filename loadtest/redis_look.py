"""One question to a Redis in its own protocol, so that what the index holds is read by other code than wrote it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from geo.point import Point


async def geo_position(socket: Path, campus_id: str, runner_id: str) -> Point | None:
    """Where a campus's index has a runner; None when it has none of that name."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        words = ("GEOPOS", f"{{{campus_id}}}:geo", runner_id)
        writer.write(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in words)
        )
        await writer.drain()
        async with asyncio.timeout(5):
            return await _position(reader)
    finally:
        writer.close()


async def _position(reader: asyncio.StreamReader) -> Point | None:
    """``*1`` holds either ``*-1`` (no such member) or ``*2`` with longitude and latitude as texts."""
    first = await reader.readline()
    if not first.startswith(b"*1"):
        raise ValueError(f"Redis answered {first!r}")
    if (await reader.readline()).strip() != b"*2":
        return None
    values: list[float] = []
    for _ in range(2):
        length = int((await reader.readline())[1:])
        values.append(float((await reader.readexactly(length + 2))[:length]))
    return Point(values[1], values[0])


def socket_of(data_dir: Path) -> Path | None:
    """The socket of the private Redis that a server with this folder runs."""
    try:
        return Path(json.loads((data_dir / "run" / "redis.pid").read_text())["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
