"""Garbage: bytes that no client sends. Each lot must end in a named refusal or a close, within seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import msgspec

from ..websocket_bytes import (
    BINARY,
    CLOSE,
    HEAD_END,
    SUBPROTOCOL,
    TEXT,
    Unframer,
    answer_of,
    ending_of,
    masked,
    upgrade_request,
)
from .accounts import House, Member

#: The server closes whoever says no hello within 5 s.
ANSWER_S = 8.0
_pack = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Thrown:
    """What was thrown, how it ended, and what should not have been."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def note(self) -> str:
        return ", ".join(f"{name} x {count}" for name, count in sorted(self.ends.items()))


def lots(luck: Random) -> dict[str, tuple[bytes, frozenset[str]]]:
    """Name → bytes after the handshake, and the ways in which it may end; ``error`` stays open and says why."""
    noise = luck.randbytes(2048)
    wrong = masked(BINARY, _pack({"t": "fix", "at": "now", "lat": "north", "lon": None}))
    unknown = masked(BINARY, _pack({"t": "delete_everything"}))
    number = masked(BINARY, _pack(42))
    not_utf8 = masked(TEXT, b"\xff\xfe\xc3\x28")
    return {
        "noise": (b"\x83\xff" + noise, _CLOSED),
        "unmasked": (b"\x82\x05hello", frozenset({"1002"})),
        "half a frame": (masked(BINARY, _pack({"t": "ping"}))[:5], _CLOSED),
        "huge length": (b"\x82\xff" + (2**63 - 1).to_bytes(8, "big") + b"\0\0\0\0", _TOO_LARGE),
        "too large": (b"\x82\xff" + (70_000).to_bytes(8, "big") + b"\0\0\0\0", _TOO_LARGE),
        "bad UTF-8": (not_utf8, frozenset({"1007", "4502", "error"})),
        "reserved bits": (b"\xf2" + masked(BINARY, b"x")[1:], frozenset({"1002"})),
        "wrong types": (wrong, _REFUSED),
        "unknown kind": (unknown, _REFUSED),
        "a number": (number, _REFUSED),
        "thirty wrong ones": (wrong * 30, frozenset({"4502"})),
        "a text frame": (masked(TEXT, b'{"t":"ping"}'), _REFUSED),
    }


_CLOSED = frozenset({"1002", "1007", "4003", "4502", "4503"})
_TOO_LARGE = frozenset({"1002", "1009", "4503"})
_REFUSED = frozenset({"4502", "error"})


async def throw_garbage(house: House, somebody: Member, luck: Random) -> Thrown:
    """Every lot on a socket that has not said hello, and on one that is signed in."""
    thrown = Thrown()
    token = await somebody.socket_token()

    async def throw(name: str, data: bytes, ends: frozenset[str], hello: bytes) -> None:
        whose = "signed in" if hello else "nobody"
        try:
            end = await _end_of(house, hello + data, is_signed_in=bool(hello))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
            end = type(fault).__name__
        thrown.ends[end] += 1
        # A socket that is signed in may wait for the rest of half a frame as long as it likes.
        allowed = ends | {"silence"} if hello and name in ("half a frame", "noise") else ends
        if end not in allowed:
            thrown.faults.append(f"{name} ({whose}) ended as {end}, not as {' or '.join(sorted(allowed))}")

    hello = masked(BINARY, _pack({"t": "hello", "token": token}))
    for said in (b"", hello):
        await asyncio.gather(*(throw(name, data, ends, said) for name, (data, ends) in lots(luck).items()))
    await asyncio.gather(*(_not_even_http(house, luck) for _ in range(3)))
    return thrown


async def _end_of(house: House, data: bytes, *, is_signed_in: bool) -> str:
    """The close code, ``error`` when the server only answered, ``silence`` when it said nothing."""
    reader, writer = await asyncio.open_connection(house.host, house.port)
    try:
        writer.write(upgrade_request("/ws", house.address, SUBPROTOCOL))
        head = await asyncio.wait_for(reader.readuntil(HEAD_END), ANSWER_S)
        if (status := answer_of(head).status) != 101:
            return f"http {status}"
        writer.write(data)
        return await _answer(reader, 2.0 if is_signed_in else ANSWER_S)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, longest_s: float) -> str:
    heard, frames = "silence", Unframer()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            while data := await reader.read(65_536):
                for opcode, payload in frames.feed(data):
                    if opcode == CLOSE:
                        return str(ending_of(payload)[0])
                    if opcode == BINARY and msgspec.msgpack.decode(payload).get("t") == "error":
                        heard = "error"
            return "lost without a code"
    return heard


async def _not_even_http(house: House, luck: Random) -> None:
    _, writer = await asyncio.open_connection(house.host, house.port)
    with contextlib.suppress(OSError):
        writer.write(luck.randbytes(4096))
        await writer.drain()
    writer.close()
