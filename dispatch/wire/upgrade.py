"""The WebSocket handshake: Tornado reads the request, this answers it and takes the socket over."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.web import RequestHandler

from dispatch.hub.frames import CODECS, JSON, Codec

from .door import Turn
from .protocol import HubSocket
from .tls import StreamTransport

if TYPE_CHECKING:
    from .hub_server import HubServer

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refusal(Exception):
    """The request cannot become a WebSocket."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    @property
    def body(self) -> bytes:
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})


def shake_hands(header: Callable[[str], str | None], allowed_origins: Container[str]) -> tuple[Codec, bytes]:
    """The codec and the answer to a good handshake; raises :class:`Refusal`. ``header``: a field's text by its name in
    lower case."""
    if (header("upgrade") or "").lower() != "websocket" or "upgrade" not in _tokens(header("connection") or ""):
        raise _no_websocket()
    if header("sec-websocket-version") != "13":
        raise Refusal(
            426, "upgrade_required", "only version 13 of WebSocket is spoken", **{"Sec-WebSocket-Version": "13"}
        )
    key = header("sec-websocket-key") or ""
    if not _is_key(key):
        raise Refusal(400, "invalid_input", "Sec-WebSocket-Key is 16 bytes in base64")
    _check_origin(header("origin"), header("host") or "", allowed_origins)
    codec, subprotocol = _choose_codec(header("sec-websocket-protocol"))
    return codec, _answer(key, subprotocol)


def _no_websocket() -> Refusal:
    return Refusal(426, "upgrade_required", "this address speaks WebSocket", Upgrade="websocket")


def _check_origin(origin: str | None, host: str, allowed_origins: Container[str]) -> None:
    # Only browsers send it, and only they can be made to connect by a page of somebody else's.
    if origin is None or origin in allowed_origins:
        return
    from_host = urlsplit(origin).netloc.lower()
    if not from_host or from_host != host.lower():
        raise Refusal(403, "not_permitted", "pages of that origin may not connect")


def too_many(retry_s: int) -> Refusal:
    return Refusal(503, "too_many", "too many connections; come back later", **{"Retry-After": str(retry_s)})


class UpgradeHandler(RequestHandler):
    """``GET`` on the hub's address. Refusals are JSON with the same shape as everywhere else."""

    def initialize(self, server: HubServer) -> None:
        self._server = server
        self._turn: Turn | None = None

    async def get(self, *_: Any) -> None:
        try:
            if self.request.version == "HTTP/1.0":
                raise _no_websocket()
            codec, answer = shake_hands(self.request.headers.get, self._server.allowed_origins)
            await self._wait_turn()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        stream = self.detach()
        # The handler's one cycle: with it each handshake would leave its connection, request and headers, three dozen
        # objects, to the collector, which stops the loop for them.
        self.ui.clear()
        if stream.closed():
            return  # gone while it waited
        if isinstance(stream, SSLIOStream):
            self._server.run_stream(StreamTransport(stream), HubSocket(self._server, codec, answer))
            return
        early = _early_bytes(stream)
        try:
            bare = stream.socket.dup()
        except OSError:
            return  # the client has gone again
        finally:
            stream.close()
        socket = HubSocket(self._server, codec, answer, early)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: socket, bare)

    async def _wait_turn(self) -> None:
        answer = self._server.knock(self.request.remote_ip or "")
        if isinstance(answer, asyncio.Future):
            self._turn = answer
            answer = await answer
        if answer is not None:
            raise too_many(answer)

    def on_connection_close(self) -> None:
        # Whoever does not wait any more takes nobody's turn.
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _log(self) -> None:
        # Of a storm's refusals the metrics tell; a line for each would be a storm of its own.
        if self.get_status() != 503:
            super()._log()

    def _refuse(self, refusal: Refusal) -> None:
        self._server.hub.count("upgrades_refused")
        self.set_status(refusal.status)
        for name, value in refusal.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(refusal.body)


def _early_bytes(stream: IOStream) -> bytes:
    """What the client sent before it had our answer; the new transport would never see it."""
    parts: list[bytes] = []
    try:
        # A read that cannot be answered at once ends with the stream, which is closed next.
        while (reading := asyncio.ensure_future(stream.read_bytes(65_536, partial=True))).done():
            parts.append(reading.result())
    except StreamClosedError:
        return b"".join(parts)
    return b"".join(parts)


def _tokens(header: str) -> list[str]:
    return [token.strip().lower() for token in header.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _choose_codec(offered: str | None) -> tuple[Codec, str | None]:
    """The first subprotocol in the client's order that we speak; JSON for one that names none."""
    if offered is None:
        return JSON, None
    for name in (token.strip() for token in offered.split(",")):
        if name in CODECS:
            return CODECS[name], name
    raise Refusal(400, "unknown_subprotocol", f"spoken here: {', '.join(CODECS)}")


def _answer(key: str, subprotocol: str | None) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest())
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept + b"\r\n" + chosen.encode() + b"\r\n"
    )  # fmt: skip
