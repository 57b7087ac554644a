"""However a stream of frames is cut into reads, the same comes of it, by the short ways for whole frames or without."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from dispatch.hub.frames import CODECS
from dispatch.wire.protocol import HubSocket
from dispatch.wire.websocket import Message, Parser
from tests.hub_world import JSON, MSGPACK, Server
from tests.wire_cases import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Case, Speech, cases, frame

SPEECHES = [Speech(JSON), Speech(MSGPACK)]
EVERY = [(speech, case) for speech in SPEECHES for case in cases(speech)]
SHORT = 400
Outcome = tuple[list[Message], int | None]


# --- the parser


def parsed(pieces: Sequence[bytes]) -> Outcome:
    """The messages up to a close, and the code of the fault."""
    parser = Parser(too_large_code=4503)
    messages: list[Message] = []
    for piece in pieces:
        messages += parser.feed(piece)
        if parser.error is not None or (messages and messages[-1][0] == CLOSE):
            break
    return messages, parser.error.code if parser.error is not None else None


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.subprotocol)
def test_every_case_cut_at_every_byte(speech: Speech) -> None:
    for case in cases(speech):
        data = case.stream
        whole = parsed([data])
        assert parsed(case.sent) == whole, case.name
        places = range(1, len(data)) if len(data) <= SHORT else [1, 2, 3, 7, 8, 13, 14, 15, 1_000, len(data) - 1]
        for place in places:
            assert parsed(cut(data, [place])) == whole, (case.name, place)
        if len(data) <= SHORT:
            assert parsed([data[n : n + 1] for n in range(len(data))]) == whole, case.name


masks = st.binary(min_size=4, max_size=4)
wild_frames = st.builds(
    frame,
    st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 15]),
    st.binary(max_size=140) | st.text(max_size=40).map(str.encode),
    final=st.integers(0, 3).map(bool),
    mask=masks | masks | masks | st.none(),
    reserved=st.sampled_from([0] * 9 + [0x40]),
    form=st.sampled_from([0] * 9 + [64]),
)


@given(st.lists(wild_frames, max_size=8), st.data())
def test_any_stream_cut_anywhere(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert parsed(cut(stream, places)) == parsed([stream]) == parsed(frames)


@given(
    st.lists(st.tuples(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4), st.binary(max_size=125))),
    st.data(),
)
def test_what_an_independent_library_writes_is_understood(
    said: list[tuple[bytes, list[int], bytes]], data: st.DataObject
) -> None:
    stream, wanted = b"", []
    for payload, places, ping in said:
        parts = cut(payload, [min(place, len(payload)) for place in places]) or [b""]
        for index, part in enumerate(parts):
            opcode, is_last = Opcode.BINARY if index == 0 else Opcode.CONT, index == len(parts) - 1
            stream += Frame(opcode, part, fin=is_last).serialize(mask=True)
            if not is_last:
                stream += Frame(Opcode.PING, ping).serialize(mask=True)
                wanted.append((PING, ping))
        wanted.append((BINARY, payload))
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert parsed(cut(stream, places)) == (wanted, None)


# --- the socket, which has a short way of its own


class Wire:
    """The other end of a transport: what the server wrote on it, until it closed or ended it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_closed = self.is_finished = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed and not self.is_finished
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.is_finished
        self.is_finished = True

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...

    def frames(self) -> Iterator[tuple[int, bytes]]:
        data = bytes(self.written)
        while data:
            length, start = data[1], 2
            assert data[0] & 0x70 == 0 and length < 127
            if length == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
            yield data[0] & 0x0F, data[start : start + length]
            data = data[start + length :]


def outcome(server: Server, speech: Speech, account: str, pieces: Sequence[bytes]) -> Case:
    """What comes of these reads on a connection that has said hello."""
    wire = Wire()
    socket = HubSocket(server.hub, CODECS[speech.subprotocol], b"")
    socket.start(wire)
    hello = speech.pack({"t": "hello", "token": f"{account}/student"})
    for piece in (frame(speech.opcode, hello), *pieces):
        if wire.is_closed:
            break  # nobody reads from a transport that was closed
        socket.data_received(piece)
    answers, pongs, close = [], [], None
    for opcode, payload in wire.frames():
        assert close is None, "nothing follows a close frame"
        if opcode == CLOSE:
            close = int.from_bytes(payload[:2], "big")
        elif opcode == PONG:
            pongs.append(payload)
        else:
            answers.append(speech.summary(payload))
    assert answers.pop(0).startswith("welcome")
    assert (wire.is_closed or wire.is_finished) is (close is not None)
    socket.connection_lost(None)
    return Case("", (), answers, pongs, close)


def by_frame(case: Case) -> list[bytes]:
    return list(case.sent)


def by_byte(case: Case) -> list[bytes]:
    step = 1 if len(case.stream) <= 10 * SHORT else 997
    return cut(case.stream, range(0, len(case.stream), step))


def by_frame_and_a_bit(case: Case) -> list[bytes]:
    """Each read ends one byte into the next frame."""
    ends, total = [], 0
    for one in case.sent[:-1]:
        total += len(one)
        ends.append(total + 1)
    return cut(case.stream, ends)


def as_one(case: Case) -> list[bytes]:
    return [case.stream]


@pytest.mark.parametrize("reads", [by_frame, by_byte, by_frame_and_a_bit, as_one], ids=lambda reads: reads.__name__)
async def test_the_socket_does_the_same(server: Server, reads: Callable[[Case], list[bytes]]) -> None:
    wrong = {}
    for number, (speech, case) in enumerate(EVERY):
        got = outcome(server, speech, f"acc_{number}", reads(case))
        wanted = Case("", (), list(case.answers), list(case.pongs), case.close)
        if got != wanted:
            wrong[f"{speech.subprotocol}: {case.name}"] = (got, wanted)
    assert not wrong
