"""The bytes of a lean WebSocket client: its half of the handshake, masked frames, the server's frames taken apart."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import NamedTuple

from .pauses import asked_by_header_s

SUBPROTOCOL = "campus.v1.msgpack"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
HEAD_END = b"\r\n\r\n"


def upgrade_request(path: str, host: str, subprotocol: str = "") -> bytes:
    """The client's half of the handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Answer(NamedTuple):
    """The server's half of the handshake: 101 opens the connection; ``asked_s``: stay away for so long."""

    status: int
    asked_s: float


def answer_of(head: bytes) -> Answer:
    """``head``: what came before ``HEAD_END``. Status 0: that was no HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    _, _, rest = first.partition(" ")
    status = rest[:3]
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    is_http = first.startswith("HTTP/1.1 ") and status.isdecimal()
    return Answer(int(status) if is_http else 0, asked_by_header_s(headers.get("retry-after")))


def masked(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """A whole frame as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    mask = mask or os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class Unframer:
    """Takes what a server sent on one connection apart; keeps what is not whole yet."""

    __slots__ = ("_opcode", "_parts", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._opcode = 0
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each whole message; control frames come between the parts of another."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while end - at >= 2:
            first, length, begin = data[at], data[at + 1] & 0x7F, at + 2
            if length == 126:
                if end - at < 4:
                    break
                length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                if end - at < 10:
                    break
                length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if begin + length > end:
                break
            at = begin + length
            if first > 0x80:  # a whole message: the last frame of it, and not a continuation
                yield first & 0x0F, data[begin:at]
            elif (whole := self._joined(first, data[begin:at])) is not None:
                yield self._opcode, whole
        if at < end:
            self._rest = data[at:]

    def _joined(self, first: int, part: bytes) -> bytes | None:
        """The message that this fragment is the last of."""
        self._opcode = first & 0x0F or self._opcode
        self._parts.append(part)
        if first < 0x80:
            return None
        whole, self._parts = b"".join(self._parts), []
        return whole


def ending_of(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a close frame."""
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
    return code, payload[2:].decode(errors="replace")
