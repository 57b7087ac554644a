"""The bytes of a lean WebSocket client: what it says can be read, and what servers send is taken apart as sent."""

from __future__ import annotations

import random

import msgspec
import pytest

from dispatch.hub.frames import MSGPACK, framed
from loadtest.websocket_bytes import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Answer,
    Unframer,
    answer_of,
    ending_of,
    masked,
    upgrade_request,
)


@pytest.mark.parametrize("length", [0, 5, 125, 126, 70_000])
def test_a_masked_frame_of_any_length_carries_its_payload(length: int) -> None:
    payload = random.Random(length).randbytes(length)
    frame = masked(TEXT, payload)
    head = 6 if length < 126 else 8 if length < 65_536 else 14
    mask = frame[head - 4 : head]
    assert bytes(byte ^ mask[k % 4] for k, byte in enumerate(frame[head:])) == payload


def test_server_frames_are_taken_apart_wherever_they_are_cut() -> None:
    luck = random.Random(3)
    payloads = [luck.randbytes(length) for length in (0, 1, 125, 126, 300, 65_535, 65_536, 7)]
    stream = b"".join(framed(BINARY, payload) for payload in payloads)
    for _ in range(20):
        reader, found, at = Unframer(), [], 0
        while at < len(stream):
            size = luck.choice((1, 2, 3, 9, 500, 40_000))
            found += list(reader.feed(stream[at : at + size]))
            at += size
        assert found == [(BINARY, payload) for payload in payloads]


def test_the_handshake_names_its_subprotocol() -> None:
    request = upgrade_request("/ws", "127.0.0.1:1", MSGPACK.subprotocol).decode()
    assert request.startswith("GET /ws HTTP/1.1\r\n")
    assert "Sec-WebSocket-Protocol: campus.v1.msgpack\r\n" in request
    assert "Protocol" not in upgrade_request("/pub/a", "127.0.0.1:1").decode()


def test_the_masks_do_not_change_what_is_said() -> None:
    body = {"t": "hello", "token": "x" * 300}
    frame = masked(BINARY, msgspec.msgpack.encode(body), b"\x00\x00\x00\x00")
    assert msgspec.msgpack.decode(frame[8:]) == body


def test_a_message_in_parts_is_joined_and_what_comes_between_is_not() -> None:
    parts = [bytes((0x02, 2)) + b"ab", bytes((0x89, 1)) + b"?", bytes((0x00, 1)) + b"c", bytes((0x80, 2)) + b"de"]
    reader = Unframer()
    assert list(reader.feed(b"".join(parts))) == [(PING, b"?"), (BINARY, b"abcde")]
    assert list(reader.feed(framed(TEXT, b"next"))) == [(TEXT, b"next")]


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket", Answer(101, 0.0)),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3", Answer(503, 3.0)),
        (b"HTTP/1.1 503\r\nretry-after: soon", Answer(503, 0.0)),
        (b"SSH-2.0", Answer(0, 0.0)),
        (b"HTTP/1.1 ", Answer(0, 0.0)),
    ],
)
def test_the_answer_to_a_handshake(head: bytes, answer: Answer) -> None:
    assert answer_of(head) == answer


def test_how_a_connection_ended() -> None:
    ((opcode, payload),) = Unframer().feed(framed(CLOSE, b"\x0f\xa0server_drain retry_ms=9"))
    assert (opcode, ending_of(payload)) == (CLOSE, (4000, "server_drain retry_ms=9"))
    assert ending_of(b"") == (None, "")
