"""A lean WebSocket for thousands of simulated people in one process: bytes in, frames out, plain calls, no task."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

from ..pauses import asked_by_reason_s, may_return
from ..websocket_bytes import (
    BINARY,
    CLOSE,
    HEAD_END,
    PING,
    PONG,
    SUBPROTOCOL,
    Unframer,
    answer_of,
    ending_of,
    masked,
    upgrade_request,
)

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
        return may_return(self.code)


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
        self._head = b""
        self._frames = Unframer()
        self._ended = Ended()
        self.heard_s = 0.0

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(upgrade_request("/ws", self._host, SUBPROTOCOL))

    def data_received(self, data: bytes) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        if not self._is_open:
            self._head += data
            head, mark, data = self._head.partition(HEAD_END)
            if not mark or not self._welcome(head):
                return
            self._head = b""
        for opcode, payload in self._frames.feed(data):
            if opcode >= CLOSE:
                self._control(opcode, payload)
            else:
                self._on_frame(payload)

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
        answer = answer_of(head)
        if answer.status != 101:
            self._ended = Ended(status=answer.status, wait_s=answer.asked_s)
            self.abort()
            return False
        self._is_open = True
        self._on_open()
        return True

    def _control(self, opcode: int, payload: bytes) -> None:
        if self._transport is None:
            return
        if opcode == PING:
            self._transport.write(masked(PONG, payload))
        elif opcode == CLOSE:
            code, reason = ending_of(payload)
            self._ended = Ended(code, reason, wait_s=asked_by_reason_s(reason))
            self._transport.write(masked(CLOSE, payload[:2]))
            self._transport.close()
