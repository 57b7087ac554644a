"""What RFC 6455 asks of the server, as a table: what a client sends and what has to come back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LIMIT = 65_536
_MASK = b"\x0a\x0b\x0c\x0d"


@dataclass(frozen=True)
class Case:
    """What is ``sent`` frame by frame; the hub's answers, those to pings apart, and the code it closes with, if any."""

    name: str
    sent: Sequence[bytes]
    answers: Sequence[str] = ()  # "pong 7", "error malformed"
    pongs: Sequence[bytes] = ()
    close: int | None = None

    @property
    def stream(self) -> bytes:
        return b"".join(self.sent)


class Speech:
    """How a subprotocol writes the hub's frames."""

    def __init__(self, subprotocol: str) -> None:
        self.subprotocol = subprotocol
        self.is_json = subprotocol.endswith("json")
        self.opcode = TEXT if self.is_json else BINARY
        self.other = BINARY if self.is_json else TEXT

    def pack(self, frame: dict[str, Any]) -> bytes:
        return json.dumps(frame, ensure_ascii=False).encode() if self.is_json else msgpack.packb(frame)

    def ask(self, number: int) -> bytes:
        """A question that the hub answers with ``pong``."""
        return self.pack({"t": "ping", "re": number})

    def padded(self, size: int) -> tuple[bytes, str]:
        """A message of that size and its answer."""
        if self.is_json:
            return self.ask(1).ljust(size), "pong 1"
        return self.ask(1).ljust(size, b"\x00"), "error malformed"

    def summary(self, payload: bytes) -> str:
        """A frame of the hub's in two words."""
        frame = json.loads(payload) if self.is_json else msgpack.unpackb(payload)
        return f"{frame['t']} {frame.get('re', frame.get('code', ''))}".strip()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    mask: bytes | None = _MASK,
    reserved: int = 0,
    form: int = 0,
) -> bytes:
    """A client's frame; ``form`` forces the length into 16 or 64 bits."""
    length = len(payload)
    form = form or (7 if length < 126 else 16 if length < 65_536 else 64)
    bit = 0 if mask is None else 0x80
    head = bytes(((0x80 if final else 0) | reserved | opcode,))
    if form == 7:
        head += bytes((bit | length,))
    elif form == 16:
        head += bytes((bit | 126,)) + length.to_bytes(2, "big")
    else:
        head += bytes((bit | 127,)) + length.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def fragments(opcode: int, *parts: bytes) -> list[bytes]:
    last = len(parts) - 1
    return [
        frame(opcode if index == 0 else CONTINUATION, part, final=index == last) for index, part in enumerate(parts)
    ]


def cases(speech: Speech) -> list[Case]:
    """Every case, in this subprotocol."""
    every = [
        *_sizes(speech), *_masks(speech), *_reserved(speech), *_fragmented(speech), *_controls(speech),
        *_closing(speech), *_text(speech),
    ]  # fmt: skip
    assert len({case.name for case in every}) == len(every)
    return every


def _sizes(speech: Speech) -> Iterator[Case]:
    kind, ask = speech.opcode, speech.ask
    yield Case("a message of no bytes", [frame(kind)], ["error malformed"])
    for size in (125, 126, 127, 65_535, LIMIT):
        payload, answer = speech.padded(size)
        yield Case(f"a message of {size}", [frame(kind, payload)], [answer])
    yield Case("a message over the limit", [frame(kind, bytes(LIMIT + 1))], close=4503)
    yield Case("a length that nobody could send", [b"\x82\xff" + (2**62).to_bytes(8, "big") + _MASK], close=4503)
    yield Case("a length with its highest bit", [b"\x82\xff" + (2**63).to_bytes(8, "big") + _MASK], close=1002)
    yield Case("7 bits written as 16", [frame(kind, ask(1), form=16)], close=1002)
    yield Case("7 bits written as 64", [frame(kind, ask(1), form=64)], close=1002)
    yield Case("16 bits written as 64", [frame(kind, bytes(300), form=64)], close=1002)
    yield Case("many frames", [frame(kind, ask(n)) for n in range(9)], [f"pong {n}" for n in range(9)])


def _masks(speech: Speech) -> Iterator[Case]:
    kind, ask = speech.opcode, speech.ask
    yield Case(
        "each frame its own mask",
        [frame(kind, ask(n), mask=bytes((n, 255 - n, 0, 17 * n))) for n in range(4)],
        [f"pong {n}" for n in range(4)],
    )
    yield Case("a mask of zeros", [frame(kind, ask(1), mask=bytes(4))], ["pong 1"])
    for name, opcode in (("message", kind), ("ping", PING), ("pong", PONG), ("close", CLOSE)):
        payload = b"" if opcode == CLOSE else ask(1)
        yield Case(f"a {name} without a mask", [frame(opcode, payload, mask=None)], close=1002)
    yield Case(
        "a continuation without a mask",
        [frame(kind, ask(1), final=False), frame(CONTINUATION, mask=None)],
        close=1002,
    )


def _reserved(speech: Speech) -> Iterator[Case]:
    kind, ask = speech.opcode, speech.ask
    for bit in (0x40, 0x20, 0x10, 0x70):
        for name, opcode in (("message", kind), ("ping", PING), ("close", CLOSE)):
            yield Case(f"reserved bits {bit:#x} of a {name}", [frame(opcode, reserved=bit)], close=1002)
    yield Case(
        "a reserved bit of a continuation",
        [frame(kind, ask(1), final=False), frame(CONTINUATION, reserved=0x40)],
        close=1002,
    )
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case(f"reserved opcode {opcode}", [frame(opcode, b"x")], close=1002)
    yield Case("an empty frame of a reserved opcode", [frame(3)], close=1002)


def _fragmented(speech: Speech) -> Iterator[Case]:
    kind, ask = speech.opcode, speech.ask
    message = ask(1)
    yield Case("two fragments", fragments(kind, message[:5], message[5:]), ["pong 1"])
    yield Case(
        "a byte in each fragment", fragments(kind, *(message[n : n + 1] for n in range(len(message)))), ["pong 1"]
    )
    yield Case("empty fragments", fragments(kind, b"", message[:3], b"", b"", message[3:], b""), ["pong 1"])
    yield Case("only empty fragments", fragments(kind, b"", b"", b""), ["error malformed"])
    first, second, third = fragments(kind, message[:2], message[2:6], message[6:])
    yield Case(
        "control frames between fragments",
        [first, frame(PING, b"a"), frame(PONG, b"?"), second, frame(PING), frame(PING, b"b"), third],
        ["pong 1"],
        [b"a", b"", b"b"],
    )
    yield Case(
        "one message after the other in fragments", [*fragments(kind, message[:1], message[1:])] * 3, ["pong 1"] * 3
    )
    size = LIMIT // 2
    payload, answer = speech.padded(LIMIT)
    yield Case("fragments up to the limit", fragments(kind, payload[:size], payload[size:]), [answer])
    yield Case(
        "a long ping between fragments at the limit",
        [
            frame(kind, payload[: LIMIT - 9], final=False), frame(PING, b"p" * 125),
            frame(CONTINUATION, payload[LIMIT - 9 :]),
        ],
        [answer],
        [b"p" * 125],
    )  # fmt: skip
    yield Case("fragments over the limit", fragments(kind, payload[:size], payload[size:] + b" "), close=4503)
    many, answer = speech.padded(1_000)
    yield Case("a thousand fragments", fragments(kind, *(many[n : n + 1] for n in range(1_000))), [answer])
    yield Case("a flood of fragments", fragments(kind, *[b""] * 1_002), close=4503)
    yield Case("a continuation of nothing", [frame(CONTINUATION, message)], close=1002)
    yield Case("a fragment of nothing", [frame(CONTINUATION, message, final=False)], close=1002)
    yield Case(
        "a continuation after the end", [*fragments(kind, message, b""), frame(CONTINUATION)], ["pong 1"], close=1002
    )
    yield Case("a message within a message", [first, frame(kind, message)], close=1002)
    yield Case("a message begun within a message", [first, frame(kind, message, final=False)], close=1002)
    yield Case("a close within a message", [first, frame(CLOSE, b"\x03\xe8")], close=1000)


def _controls(speech: Speech) -> Iterator[Case]:
    every = [b"", b"x", b"\x00\xff\xfe", bytes(range(125)), "校园".encode()]
    yield Case("pings", [frame(PING, payload) for payload in every], pongs=every)
    yield Case("pongs that nobody asked for", [frame(PONG), frame(PONG, b"x" * 125)])
    for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        yield Case(f"a {name} of 126 bytes", [frame(opcode, b"\x03\xe8" + b"x" * 124)], close=1002)
        yield Case(f"a {name} in fragments", [frame(opcode, final=False)], close=1002)
        yield Case(f"a {name} with its length in 16 bits", [frame(opcode, form=16)], close=1002)
        yield Case(f"a {name} with its length in 64 bits", [frame(opcode, form=64)], close=1002)


def _closing(speech: Speech) -> Iterator[Case]:
    def code(number: int, reason: bytes = b"") -> list[bytes]:
        return [frame(CLOSE, number.to_bytes(2, "big") + reason)]

    yield Case("a close without a code", [frame(CLOSE)], close=1000)
    for number in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield Case(f"a close with {number}", code(number), close=number)
    for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield Case(f"a close with {number}, which nobody may send", code(number), close=1002)
    yield Case("a close of one byte", [frame(CLOSE, b"\x03")], close=1002)
    yield Case("a close with a reason", code(1000, "再见".encode()), close=1000)
    yield Case("a close with the longest reason", code(1000, b"x" * 123), close=1000)
    yield Case("a close whose reason is no text", code(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"), close=1007)
    yield Case("a close whose reason ends within a character", code(1000, "见".encode()[:2]), close=1007)
    yield Case("a message after the close", [*code(1000), frame(speech.opcode, speech.ask(1))], close=1000)
    yield Case("a ping after the close", [*code(1000), frame(PING, b"x")], close=1000)
    yield Case("a fault after the close", [*code(1000), frame(3, b"x", reserved=0x40)], close=1000)
    yield Case("a close after the close", [*code(1000), *code(999)], close=1000)
    yield Case("a message before the close", [frame(speech.opcode, speech.ask(1)), *code(1001)], ["pong 1"], close=1001)
    yield Case("a message before a fault", [frame(speech.opcode, speech.ask(1)), frame(3)], ["pong 1"], close=1002)


#: Not UTF-8: overlong, surrogates, beyond the last character, alone, cut off.
NO_TEXT = (
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80", b"\x80", b"\xbf", b"\xfe", b"\xff", b"\xe2\x82", b"\xf0\x9f\x9a", b"a\xce\xba\xe1",
)  # fmt: skip


def _text(speech: Speech) -> Iterator[Case]:
    for payload in NO_TEXT:
        yield Case(f"no text: {payload.hex()}", [frame(TEXT, payload)], close=1007)
        for cut in range(1, len(payload)):
            yield Case(
                f"no text: {payload[:cut].hex()} + {payload[cut:].hex()}",
                fragments(TEXT, payload[:cut], payload[cut:]),
                close=1007,
            )
    # Whether text is text is known when the message is whole: nothing is refused before its last fragment.
    yield Case(
        "no text, found at the end",
        [frame(TEXT, b"\xff", final=False), frame(PING, b"x"), frame(CONTINUATION, b"a")],
        pongs=[b"x"],
        close=1007,
    )
    yield Case("text in a binary message is nobody's business", [frame(BINARY, b"\xc1\xff")],
               ["error wrong_frame_kind" if speech.is_json else "error malformed"])  # fmt: skip
    yield Case("the other kind of frame", [frame(speech.other, b"{}")], ["error wrong_frame_kind"])
    if not speech.is_json:
        return
    for character in ("é", "校", "🚲", "\ufffe", "\uffff", "\U0010ffff"):
        text = speech.pack({"t": "ping", character: 1})
        start = text.index(character.encode())
        width = len(character.encode())
        yield Case(f"text with {character!a}", [frame(TEXT, text)], ["error invalid_input"])
        for cut in range(start + 1, start + width):
            yield Case(
                f"text with {character!a} cut at {cut - start}",
                fragments(TEXT, text[:cut], text[cut:]),
                ["error invalid_input"],
            )
