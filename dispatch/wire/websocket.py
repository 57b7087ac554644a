"""RFC 6455 from the server's side, without a socket: bytes in, whole messages out.

``permessage-deflate`` is never agreed to, so reserved bits are always a fault.
"""

from __future__ import annotations

from typing import TypeAlias

try:
    from tornado.speedups import websocket_mask as _unmask
except ImportError:  # a Tornado without its C extension

    def _unmask(mask: bytes, data: bytes) -> bytes:
        """XOR as one big number: slower than C, much faster than byte by byte."""
        length = len(data)
        key = (mask * ((length + 3) >> 2))[:length]
        return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")


unmask = _unmask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MAX_MESSAGE_BYTES = 64 * 1024
_MAX_FRAGMENTS = 1_000

Message: TypeAlias = tuple[int, bytes]

_RESERVED_CODES = frozenset((1004, 1005, 1006, 1015))


class WireError(Exception):
    """The peer broke the protocol; ``code`` goes into the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Parser:
    """Turns what arrives into messages: ``(opcode, payload)``, fragments joined, control frames as they come.

    After a fault ``error`` is set, what came before it is still returned, and everything behind it is ignored.
    """

    __slots__ = ("_buffer", "_fragments", "_max_bytes", "_opcode", "_size", "_too_large_code", "error", "is_between")

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES, too_large_code: int = 1009) -> None:
        self._buffer = b""
        self._max_bytes = max_bytes
        self._too_large_code = too_large_code
        self._opcode = 0  # of the message whose fragments are being gathered; 0: none
        self._fragments: list[bytes] = []
        self._size = 0
        self.error: WireError | None = None
        #: no message has begun and not ended: nothing is remembered here
        self.is_between = True

    def feed(self, data: bytes) -> list[Message]:
        """All messages that ``data`` completes."""
        if self.error is not None:
            return []
        self._buffer = self._buffer + data if self._buffer else data
        messages: list[Message] = []
        try:
            self._parse(messages)
        except WireError as error:
            self.error = error
            self._buffer = b""
            self._fragments = []
        self.is_between = not self._buffer and not self._opcode and self.error is None
        return messages

    def _parse(self, messages: list[Message]) -> None:
        start = 0
        buffer = self._buffer
        while True:
            header = self._header(buffer, start)
            if header is None:
                break
            opcode, is_final, body_at, length = header
            end = body_at + 4 + length
            if end > len(buffer):
                break
            payload = unmask(buffer[body_at : body_at + 4], buffer[body_at + 4 : end])
            start = end
            if opcode >= CLOSE:
                messages.append((opcode, payload))
                if opcode == CLOSE:
                    break  # nothing behind a close frame is looked at
            else:
                self._join(opcode, is_final, payload, messages)
        self._buffer = buffer[start:]

    def _header(self, buffer: bytes, at: int) -> tuple[int, bool, int, int] | None:
        """Opcode, whether final, where the mask is, and the payload's length; None: more bytes are needed."""
        available = len(buffer) - at
        if available < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode, is_final = first & 0x0F, first >= 0x80
        if first & 0x70:
            raise WireError(1002, "reserved bits are set and no extension was agreed on")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise WireError(1002, f"unknown opcode {opcode}")
        if second < 0x80:
            raise WireError(1002, "a client masks its frames")
        length = second & 0x7F
        if opcode >= CLOSE and (not is_final or length > 125):
            raise WireError(1002, "a control frame is short and whole")
        if opcode < CLOSE and (opcode == CONTINUATION) != bool(self._opcode):
            raise WireError(1002, "fragments out of order")
        mask_at = at + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            if available < 2 + wide:
                return None
            length = int.from_bytes(buffer[mask_at : mask_at + wide], "big")
            if length < 126 or (wide == 8 and (length < 65_536 or length >> 63)):
                raise WireError(1002, "the length is not written in its shortest form")
            mask_at += wide
        if opcode < CLOSE and length + self._size > self._max_bytes:
            raise WireError(self._too_large_code, f"a message has at most {self._max_bytes} bytes")
        if len(buffer) < mask_at + 4:
            return None
        return opcode, is_final, mask_at, length

    def _join(self, opcode: int, is_final: bool, payload: bytes, messages: list[Message]) -> None:
        if opcode != CONTINUATION and is_final:
            _require_text(opcode, payload)
            messages.append((opcode, payload))
            return
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._fragments.append(payload)
        self._size += len(payload)
        if len(self._fragments) > _MAX_FRAGMENTS:
            raise WireError(self._too_large_code, f"a message has at most {_MAX_FRAGMENTS} fragments")
        if is_final:
            whole = b"".join(self._fragments)
            _require_text(self._opcode, whole)
            messages.append((self._opcode, whole))
            self._opcode, self._size = 0, 0
            self._fragments = []


def _require_text(opcode: int, payload: bytes) -> None:
    if opcode == TEXT and not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise WireError(1007, "text frames are UTF-8") from None


def parse_close(payload: bytes) -> int:
    """The code of a peer's close frame (1005: it gave none); raises WireError for one that is not allowed."""
    if not payload:
        return 1005
    if len(payload) == 1:
        raise WireError(1002, "a close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if code in _RESERVED_CODES or not (1000 <= code <= 1014 or 3000 <= code <= 4999):
        raise WireError(1002, f"the close code {code} is not for use")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise WireError(1007, "a close reason is UTF-8") from None
    return code


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A whole control frame, as a server sends it."""
    assert len(payload) <= 125, "a control frame is short"
    return bytes((0x80 | opcode, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; a long reason is cut at a character, not within one."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return control_frame(CLOSE, code.to_bytes(2, "big") + text)
