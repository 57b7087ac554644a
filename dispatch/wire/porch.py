"""Where connections arrive: a plain WebSocket handshake is answered on the spot, all else goes to Tornado's server.

Tornado spends 250 µs and a hundred objects on a handshake. When thousands come back within a second that is what they
wait for, so the head of a request is looked at where it lies in the socket (nothing is taken out): if it is a whole,
good handshake it costs a tenth and, while it waits for its turn, nothing but its socket. Everything else - other
requests, bad handshakes, heads that are not here yet, TLS - is Tornado's, from its first byte on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from dispatch.hub.frames import Codec

from .protocol import HubSocket
from .upgrade import Refusal, shake_hands, too_many

if TYPE_CHECKING:
    from .hub_server import HubServer

log = logging.getLogger(__name__)

#: Accepted in one turn of the loop; whoever is left wakes it again at once.
_AT_ONCE = 32
_MOST_HEAD_BYTES = 8_192
#: Linux hands a connection over when its request is here, or after so many seconds.
_DEFER_S = 5
_REQUEST_LINE = b"GET /ws HTTP/1.1"
_END = b"\r\n\r\n"
#: What makes a request more than a plain handshake.
_NOT_PLAIN = frozenset({"content-length", "transfer-encoding", "expect"})


class Porch:
    """The listening socket of one process, without TLS."""

    def __init__(
        self, listener: socket.socket, server: HTTPServer, hub: HubServer, address_of: Callable[[str, str], str]
    ) -> None:
        """``address_of`` says whose connection it is, from the peer's address and X-Forwarded-For."""
        self._listener = listener
        self._server = server
        self._hub = hub
        self._address_of = address_of
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        self._listener.setblocking(False)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            with contextlib.suppress(OSError):
                self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_S)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        """Accept nobody any more."""
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                arrived, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                log.warning("a connection cannot be accepted: %s", error)
                return
            try:
                arrived.setblocking(False)
                self._receive(arrived, address)
            except Exception:
                log.exception("a connection was given up")
                arrived.close()

    def _receive(self, arrived: socket.socket, address: Any) -> None:
        try:
            head = arrived.recv(_MOST_HEAD_BYTES, socket.MSG_PEEK)
        except OSError:
            head = b""
        headers = read_head(head) if head.startswith(_REQUEST_LINE) else None
        if headers is not None:
            try:
                codec, answer = shake_hands(headers.get, self._hub.allowed_origins)
            except Refusal:
                pass  # in Tornado's words
            else:
                arrived.recv(head.index(_END) + len(_END))
                peer = address[0] if isinstance(address, tuple) else ""
                if forwarded := headers.get("x-forwarded-for", ""):
                    peer = self._address_of(peer, forwarded)
                self._ask(arrived, codec, answer, peer)
                return
        server = self._server
        stream = IOStream(arrived, max_buffer_size=server.max_buffer_size, read_chunk_size=server.read_chunk_size)
        server.handle_stream(stream, address)

    def _ask(self, arrived: socket.socket, codec: Codec, answer: bytes, address: str) -> None:
        turn = self._hub.knock(address)
        if isinstance(turn, asyncio.Future):
            turn.add_done_callback(lambda done: self._answer(arrived, codec, answer, done.result()))
        else:
            self._answer(arrived, codec, answer, turn)

    def _answer(self, arrived: socket.socket, codec: Codec, answer: bytes, retry_s: int | None) -> None:
        if retry_s is not None:
            self._refuse(arrived, too_many(retry_s))
            return
        bound = HubSocket(self._hub, codec, answer)
        task = asyncio.create_task(self._bind(bound, arrived))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, bound: HubSocket, arrived: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: bound, arrived)
        except OSError:
            arrived.close()  # the client has gone again

    def _refuse(self, arrived: socket.socket, refusal: Refusal) -> None:
        self._hub.hub.count("upgrades_refused")
        body = refusal.body
        lines = [
            f"HTTP/1.1 {refusal.status} Service Unavailable",
            "Content-Type: application/json; charset=utf-8",
            f"Content-Length: {len(body)}",
            *(f"{name}: {text}" for name, text in refusal.headers.items()),
            "Connection: close",
        ]
        with contextlib.suppress(OSError):
            # What lies unread when a socket is closed makes the system cut it, answer and all.
            while arrived.recv(65_536):
                pass
        with contextlib.suppress(OSError):
            arrived.send("\r\n".join(lines).encode() + _END + body)
            arrived.shutdown(socket.SHUT_WR)
        arrived.close()


def read_head(head: bytes) -> dict[str, str] | None:
    """The fields of a whole request head by their names in lower case; None for one that is not plain."""
    end = head.find(_END)
    if end < 0 or not head.startswith(_REQUEST_LINE + b"\r\n"):
        return None
    headers: dict[str, str] = {}
    for line in head[len(_REQUEST_LINE) + 2 : end].decode("latin-1").split("\r\n"):
        name, mark, text = line.partition(":")
        name = name.lower()
        # No blanks around a name (a folded line begins with one), no field twice, nothing that no text contains.
        if not mark or not _is_token(name) or name in headers or not text.replace("\t", " ").isprintable():
            return None
        headers[name] = text.strip(" \t")
    return None if _NOT_PLAIN & headers.keys() or "host" not in headers else headers


def _is_token(name: str) -> bool:
    return name.replace("-", "").isalnum() and name.isascii()
