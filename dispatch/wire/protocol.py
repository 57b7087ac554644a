"""One socket: bytes from its transport to the connection's protocol and back, and the closing handshake."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol, cast

from dispatch.hub.codes import CloseCode
from dispatch.hub.frames import Codec

from .websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    Parser,
    WireError,
    close_frame,
    control_frame,
    parse_close,
    unmask,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatch.hub.connection import Connection
    from dispatch.hub.core import Hub

log = logging.getLogger(__name__)

HIGH_WATER_BYTES, LOW_WATER_BYTES = 64 * 1024, 16 * 1024
#: Pings of a peer that are answered between two of our own; a flood of them is not worth an answer each.
_PONGS_PER_ROUND = 50
#: The first byte of a binary message in one frame.
_WHOLE_BINARY = 0x80 | BINARY


class Transport(Protocol):
    """What a socket needs of its transport: asyncio's own, or the one over Tornado's TLS stream."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def can_write_eof(self) -> bool: ...

    def write_eof(self) -> None: ...

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...


class Owner(Protocol):
    """The server that the socket belongs to."""

    def opened(self, socket: HubSocket) -> Connection: ...

    hub: Hub
    reads: int
    now_ms: Callable[[], int]
    """Business time; what is received now carries it."""

    def set_lagging(self, socket: HubSocket, is_lagging: bool) -> None: ...

    def closing(self, socket: HubSocket) -> None:
        """A close frame was sent; the peer has a few seconds to answer."""

    def lost(self, socket: HubSocket) -> None: ...


class HubSocket(asyncio.Protocol):
    """The frames of one connection over one transport, from the answer to its handshake on."""

    __slots__ = (
        "_answer",
        "_early",
        "_is_closing",
        "_owner",
        "_parser",
        "_pongs",
        "codec",
        "connection",
        "is_heard",
        "transport",
    )

    def __init__(self, owner: Owner, codec: Codec, answer: bytes, early: bytes = b"") -> None:
        """``answer``: the handshake's response, written first; ``early``: what the client sent before it."""
        self._owner = owner
        self._answer = answer
        self._early = early
        self._parser: Parser | None = None  # while a message has begun and not ended: an idle socket needs none
        self._is_closing = False
        self._pongs = 0
        self.codec = codec
        self.connection: Connection | None = None
        self.transport: Transport | None = None
        self.is_heard = True

    # --- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.start(cast(Transport, transport))

    def start(self, transport: Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        transport.write(self._answer)
        self._answer = b""
        self.connection = self._owner.opened(self)
        self.connection.write_to(transport.write)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        self.is_heard = True
        connection = self.connection
        if connection is None:
            return
        owner = self._owner
        owner.reads += 1
        owner.hub.now_ms = owner.now_ms()
        try:
            # By far the most reads bring one short binary frame and nothing else; it takes the shortest way there is.
            if (
                data[0] == _WHOLE_BINARY
                and self._parser is None
                and 0x80 <= (head := data[1] if len(data) > 1 else 0) < 0xFE
                and len(data) == head - 0x7A
                and not self._is_closing
            ):
                connection.receive(BINARY, unmask(data[2:6], data[6:]))
            else:
                self._take(connection, data)
        except Exception:
            # A bug of ours ends this connection, never the worker.
            log.exception("connection %s", connection.id)
            connection.close(CloseCode.INTERNAL_ERROR)

    def _take(self, connection: Connection, data: bytes) -> None:
        parser = self._parser or Parser(too_large_code=CloseCode.FRAME_TOO_LARGE)
        messages = parser.feed(data)
        self._parser = None if parser.is_between else parser
        for opcode, payload in messages:
            if opcode < CLOSE:
                if not self._is_closing:
                    connection.receive(opcode, payload)
            elif opcode != PONG:
                self._control(connection, opcode, payload)
        if parser.error is not None:
            self._fail(connection, parser.error)

    def pause_writing(self) -> None:
        self._owner.set_lagging(self, True)

    def resume_writing(self) -> None:
        self._owner.set_lagging(self, False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self.transport = None
        self._owner.lost(self)

    # --- the connection's sink

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self._is_closing:
            self.transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's answer; the owner sees to it that this ends."""
        if self.transport is None or self._is_closing:
            return
        self._is_closing = True
        if self.connection is not None:
            self.connection.stop_writing()  # nothing follows a close frame
        self.transport.write(close_frame(code, reason))
        self._owner.closing(self)

    # --- called by the owner

    def ping(self) -> None:
        """Whoever is there answers, and is heard."""
        self.is_heard = False
        self._pongs = 0
        self.write(control_frame(PING))

    def abort(self) -> None:
        """End it without further words."""
        if self.transport is not None:
            self.transport.abort()

    def _control(self, connection: Connection, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._pongs += 1
            if self._pongs <= _PONGS_PER_ROUND:
                self.write(control_frame(PONG, payload))
            return
        try:
            code = parse_close(payload)
        except WireError as error:
            self._fail(connection, error)
            return
        if not self._is_closing:
            connection.write_now()  # what came before, perhaps in the same read, has its answer
            self.close(code if code != 1005 else CloseCode.NORMAL, "")
        # The handshake is complete: it is the server that closes first.
        if self.transport is not None:
            self.transport.close()

    def _fail(self, connection: Connection, error: WireError) -> None:
        """End it, and go on reading what is ignored: a socket that is closed with bytes unread resets the connection,
        and the peer never learns why. The peer's own end, or the owner's patience, ends that."""
        if self._is_closing:
            return
        connection.close(CloseCode(error.code), error.reason)
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()
