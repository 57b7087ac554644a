"""RFC 6455 frame by frame: what the parser makes of legal and illegal bytes."""

from __future__ import annotations

import pytest

from dispatch.wire import websocket as ws
from dispatch.wire.websocket import Parser, close_frame, control_frame, parse_close

MASK = b"\x11\x22\x33\x44"


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes | None = MASK, reserved: int = 0
) -> bytes:
    """A client's frame."""
    first = (0x80 if final else 0) | reserved | opcode
    length = len(payload)
    bit = 0x80 if mask is not None else 0
    if length < 126:
        header = bytes((first, bit | length))
    elif length < 65_536:
        header = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    if mask is None:
        return header + payload
    return header + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [ws.TEXT, ws.BINARY])
def test_a_message_of_any_length_form(opcode: int, size: int) -> None:
    payload = b"a" * size
    assert Parser().feed(frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("step", [1, 2, 7])
def test_bytes_may_come_in_any_pieces(step: int) -> None:
    data = frame(ws.TEXT, b"one") + frame(ws.PING, b"?") + frame(ws.BINARY, bytes(300))
    parser = Parser()
    got = [message for start in range(0, len(data), step) for message in parser.feed(data[start : start + step])]
    assert got == [(ws.TEXT, b"one"), (ws.PING, b"?"), (ws.BINARY, bytes(300))]


def test_several_frames_in_one_segment() -> None:
    assert Parser().feed(frame(ws.TEXT, b"a") * 3) == [(ws.TEXT, b"a")] * 3


def test_fragments_are_joined_with_control_frames_between() -> None:
    parser = Parser()
    data = (
        frame(ws.TEXT, "校园".encode()[:4], final=False) + frame(ws.PING, b"!")
        + frame(ws.CONTINUATION, b"", final=False) + frame(ws.CONTINUATION, "校园".encode()[4:])
    )  # fmt: skip
    assert parser.feed(data) == [(ws.PING, b"!"), (ws.TEXT, "校园".encode())]
    assert parser.feed(frame(ws.BINARY, b"next")) == [(ws.BINARY, b"next")]
    assert parser.error is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(ws.TEXT, b"x", reserved=0x40), 1002),
        (frame(ws.TEXT, b"x", reserved=0x20), 1002),
        (frame(ws.TEXT, b"x", reserved=0x10), 1002),
        (frame(0x3, b"x"), 1002),
        (frame(0xB, b"x"), 1002),
        (frame(ws.TEXT, b"x", mask=None), 1002),
        (frame(ws.PING, b"x" * 126), 1002),
        (frame(ws.PING, b"x", final=False), 1002),
        (frame(ws.CLOSE, b"", final=False), 1002),
        (frame(ws.CONTINUATION, b"x"), 1002),
        (frame(ws.TEXT, b"a", final=False) + frame(ws.TEXT, b"b"), 1002),
        (b"\x82\xfe\x00\x05" + MASK + b"abcde", 1002),  # 5 bytes written as a 16-bit length
        (b"\x82\xff" + (300).to_bytes(8, "big") + MASK, 1002),  # 300 written as a 64-bit length
        (b"\x82\xff" + (2**63 + 1).to_bytes(8, "big") + MASK, 1002),
        (frame(ws.TEXT, b"\xff\xfe"), 1007),
        (frame(ws.TEXT, b"\xc3", final=False) + frame(ws.CONTINUATION, b"("), 1007),
        (frame(ws.TEXT, "\ud800".encode("utf-8", "surrogatepass")), 1007),
        (frame(ws.BINARY, bytes(65_537)), 1009),
        (frame(ws.BINARY, bytes(40_000), final=False) + frame(ws.CONTINUATION, bytes(40_000)), 1009),
        (frame(ws.BINARY, b"", final=False) + frame(ws.CONTINUATION, b"", final=False) * 1_001, 1009),
    ],
)  # fmt: skip
def test_broken_rules_are_named(data: bytes, code: int) -> None:
    parser = Parser()
    assert parser.feed(frame(ws.TEXT, b"before") + data) == [(ws.TEXT, b"before")]
    assert parser.error is not None
    assert parser.error.code == code
    assert parser.feed(frame(ws.TEXT, b"after")) == []


def test_a_huge_length_is_refused_before_its_bytes_come() -> None:
    parser = Parser(too_large_code=4503)
    parser.feed(b"\x82\xff" + (2**40).to_bytes(8, "big"))
    assert parser.error is not None
    assert parser.error.code == 4503


def test_nothing_behind_a_close_frame_is_looked_at() -> None:
    parser = Parser()
    assert parser.feed(frame(ws.CLOSE) + frame(ws.TEXT, b"late")) == [(ws.CLOSE, b"")]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    assert parse_close(code.to_bytes(2, "big") + "再见".encode()) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_close_codes_that_may_not(code: int) -> None:
    with pytest.raises(ws.WireError, match="not for use"):
        parse_close(code.to_bytes(2, "big"))


def test_close_payloads_that_are_malformed() -> None:
    assert parse_close(b"") == 1005
    with pytest.raises(ws.WireError) as short:
        parse_close(b"\x03")
    assert short.value.code == 1002
    with pytest.raises(ws.WireError) as text:
        parse_close(b"\x03\xe8\xff")
    assert text.value.code == 1007


def test_frames_of_the_server() -> None:
    assert control_frame(ws.PONG, b"x") == b"\x8a\x01x"
    assert close_frame(4000, "server_drain") == b"\x88\x0e\x0f\xa0server_drain"
    cut = close_frame(1000, "校" * 60)
    assert len(cut) <= 127
    cut[4:].decode()
