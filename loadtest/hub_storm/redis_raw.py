"""What a campus's Redis holds, asked in its own protocol, so that it is read by other code than wrote it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from .histories import Shown

_ASK_S = 5.0


async def presence(socket: Path, campus_id: str) -> Shown:
    """Every runner's newest fix: the first three of a short msgpack array are latitude, longitude and its time."""
    flat = await ask(socket, "HGETALL", f"{{{campus_id}}}:fix")
    found: Shown = {}
    for name, packed in zip(flat[::2], flat[1::2], strict=True):
        lat, lon, at_ms, *_ = msgspec.msgpack.decode(packed)
        found[name.decode()] = (at_ms, lat, lon)
    return found


async def places(socket: Path, campus_id: str, runner_ids: list[str]) -> dict[str, tuple[float, float]]:
    """Where the index has them; Redis says longitude first."""
    if not runner_ids:
        return {}
    found = await ask(socket, "GEOPOS", f"{{{campus_id}}}:geo", *runner_ids)
    return {
        runner_id: (float(place[1]), float(place[0]))
        for runner_id, place in zip(runner_ids, found, strict=True)
        if place is not None
    }


async def ask(socket: Path, *words: str) -> Any:
    """One command; raises ValueError with what Redis says against it."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**24)
    try:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words]
        writer.write(b"".join(parts))
        await writer.drain()
        async with asyncio.timeout(_ASK_S):
            return await _answer(reader)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> Any:
    line = (await reader.readline()).rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    match kind:
        case b"*":
            return None if rest == b"-1" else [await _answer(reader) for _ in range(int(rest))]
        case b"$":
            return None if rest == b"-1" else (await reader.readexactly(int(rest) + 2))[:-2]
        case b":":
            return int(rest)
        case b"+":
            return rest
        case _:
            raise ValueError(f"Redis answered {line!r}")
