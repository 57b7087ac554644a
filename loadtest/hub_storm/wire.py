"""A lean WebSocket for thousands of simulated people in one process: bytes in, frames out, plain calls, no task."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

SUBPROTOCOL = "campus.v1.msgpack"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_encode = msgspec.msgpack.Encoder().encode


class Ended:
    """How a connection ended. ``code`` None: without a close frame; ``status``: of a refused handshake, 0: none came;
    ``wait_s``: how long the server asks to stay away."""

    __slots__ = ("code", "reason", "status", "wait_s")

    def __init__(self, code: int | None = None, reason: str = "", status: int = 0, wait_s: float = 0.0) -> None:
        self.code, self.reason, self.status, self.wait_s = code, reason, status, wait_s

    @property
    def name(self) -> str:
        if self.code is not None:
            return f"{self.code} {self.reason.partition(' ')[0]}".strip()
        return f"http {self.status}" if self.status else "lost"

    @property
    def may_return(self) -> bool:
        """4000-4499, lost connections and faults of the server: come back; 4500-4999: stay away."""
        return self.code is None or not 4500 <= self.code <= 4999


def masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def handshake(host: str, path: str = "/ws") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def narrow_socket() -> socket.socket:
    """One that takes little in advance, as over a real network: on loopback megabytes wait in the system unseen."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    narrow.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
    narrow.setblocking(False)
    return narrow


class Wire(asyncio.Protocol):
    """One connection from its handshake to its end."""

    def __init__(
        self, host: str, on_open: Callable[[], None], on_frame: Callable[[bytes], None], on_end: Callable[[Ended], None]
    ) -> None:
        self._host = host
        self._on_open, self._on_frame, self._on_end = on_open, on_frame, on_end
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._rest = b""
        self._parts: list[bytes] = []
        self._ended = Ended()
        self.heard_s = 0.0
        self.received_bytes = 0

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(handshake(self._host))

    def data_received(self, data: bytes) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        self.received_bytes += len(data)
        if self._rest:
            data = self._rest + data
        if not self._is_open:
            head, mark, rest = data.partition(b"\r\n\r\n")
            if not mark:
                self._rest = data
                return
            if not self._welcome(head):
                return
            data = rest
        self._rest = self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_end(self._ended)

    # --- what its owner does

    def send(self, frame: dict[str, Any]) -> None:
        if self._transport is not None and self._is_open:
            self._transport.write(masked(BINARY, _encode(frame)))

    def stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def read_again(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            if self._is_open:
                self._transport.write(masked(CLOSE, (1000).to_bytes(2, "big")))
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- bytes

    def _welcome(self, head: bytes) -> bool:
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status != 101:
            headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
            self._ended = Ended(status=status, wait_s=float(headers.get("retry-after", 0) or 0))
            self.abort()
            return False
        self._is_open = True
        self._on_open()
        return True

    def _take(self, data: bytes) -> bytes:
        """Hand on every whole frame; gives what is left over."""
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1] & 0x7F
            start = at + 2
            if length == 126:
                start += 2
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            elif length == 127:
                start += 8
                if size < start:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            if size < start + length:
                break
            at = start + length
            self._frame(first, data[start:at])
        return data[at:] if at else data

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode >= CLOSE:
            self._control(opcode, payload)
        elif first & 0x80 and not self._parts:
            self._on_frame(payload)
        else:
            self._parts.append(payload)
            if first & 0x80:
                whole, self._parts = b"".join(self._parts), []
                self._on_frame(whole)

    def _control(self, opcode: int, payload: bytes) -> None:
        if self._transport is None:
            return
        if opcode == PING:
            self._transport.write(masked(PONG, payload))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
            reason = payload[2:].decode(errors="replace")
            self._ended = Ended(code, reason, wait_s=_retry_s(reason))
            self._transport.write(masked(CLOSE, payload[:2]))
            self._transport.close()


def _retry_s(reason: str) -> float:
    """``server_drain retry_ms=1200`` → 1.2"""
    for word in reason.split(" ")[1:]:
        name, _, text = word.partition("=")
        if name == "retry_ms" and text.isdigit():
            return int(text) / 1000
    return 0.0
