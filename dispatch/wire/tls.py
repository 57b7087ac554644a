"""A transport over Tornado's TLS stream, for the same protocol: an encrypted socket cannot be handed over bare."""

from __future__ import annotations

import asyncio
import contextlib

from tornado.iostream import IOStream, StreamClosedError

from .protocol import HubSocket

_CHUNK_BYTES = 64 * 1024


class StreamTransport:
    """Reads on behalf of a socket's protocol and keeps count of what it has not yet been able to write."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        # A flush is one write, and the next must not wait until the peer has acknowledged it.
        stream.set_nodelay(True)
        self._high = self._low = 0
        self._gathered: list[bytes] = []
        self._pending_bytes = 0
        self._is_paused = False
        self._is_closing = False
        self._socket: HubSocket | None = None

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def write(self, data: bytes) -> None:
        if self._is_closing or self._stream.closed():
            return
        # What is written in one round of the loop becomes one record and one call, as asyncio's transports do it.
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._write_gathered)
        self._gathered.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > self._high and not self._is_paused and self._socket is not None:
            self._is_paused = True
            self._socket.pause_writing()

    def _write_gathered(self) -> None:
        gathered, self._gathered = b"".join(self._gathered), []
        if not gathered:
            return
        try:
            written = self._stream.write(gathered)
        except StreamClosedError:
            self._pending_bytes -= len(gathered)
            return
        written.add_done_callback(lambda future: self._written(future, len(gathered)))

    def _written(self, future: asyncio.Future[None], size: int) -> None:
        if not future.cancelled():
            future.exception()  # a closed stream is noticed by the reading side
        self._pending_bytes -= size
        if self._is_paused and self._pending_bytes <= self._low and self._socket is not None:
            self._is_paused = False
            self._socket.resume_writing()
        if self._is_closing and not self._pending_bytes:
            self._stream.close()

    def close(self) -> None:
        """Close once what is pending has been written."""
        self._is_closing = True
        if not self._pending_bytes:
            self._stream.close()

    def can_write_eof(self) -> bool:
        return False  # TLS has no half of an end

    def write_eof(self) -> None: ...

    def abort(self) -> None:
        self._is_closing = True
        self._stream.close()

    async def run(self, socket: HubSocket) -> None:
        """Feed ``socket`` until the peer or the server is done."""
        self._socket = socket
        socket.start(self)
        error: Exception | None = None
        try:
            while True:
                socket.data_received(await self._stream.read_bytes(_CHUNK_BYTES, partial=True))
        except StreamClosedError as closed:
            error = closed.real_error if isinstance(closed.real_error, Exception) else None
        finally:
            with contextlib.suppress(StreamClosedError):
                self._stream.close()
            socket.connection_lost(error)
