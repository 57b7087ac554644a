"""Many client connections in one process: opened together, read with one epoll, closed together."""

from __future__ import annotations

import contextlib
import errno
import random
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ..pauses import asked_by_reason_s, may_return
from ..websocket_bytes import (
    CLOSE,
    HEAD_END,
    PING,
    PONG,
    Unframer,
    answer_of,
    ending_of,
    masked,
    upgrade_request,
)

READ_BYTES = 262_144
TOLD_TO_WAIT = "asked to come back (503)"
#: Clients per made-up address: a campus does not come from one phone.
PER_ADDRESS = 50


class Heard(msgspec.Struct):
    """What the bench reads of a hub's frame; everything else is skipped by the decoder."""

    t: str
    topic: str = ""
    code: str = ""
    epoch: str = ""
    offset: int = 0
    now_ms: int = 0
    recovered: bool = False
    p: list[tuple[object, ...]] = msgspec.field(default_factory=list)
    at: int = 0


heard = msgspec.msgpack.Decoder(Heard).decode


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One connection to be: its path, and the frames that it sends once the handshake is over."""

    path: str
    first: bytes = b""
    name: str = ""


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Connections to one server. A connection is open once it has heard ``answers`` frames of the kinds ``awaited``
    (as msgpack's ``t``); none: once the handshake is over."""

    host: str
    port: int
    links: tuple[LinkSpec, ...]
    subprotocol: str = ""
    awaited: tuple[str, ...] = ()
    answers: int = 0
    at_once: int = 100
    within_s: float = 60.0
    comes_back: bool = False
    """Whether a connection that is closed while it opens comes back, as clients do, unless the code forbids it."""


class Link:
    """One connection."""

    __slots__ = (
        "closed_by", "data", "due_s", "index", "opened_s", "reader", "retry_s", "sock", "spec", "stage", "wanted",
    )  # fmt: skip

    def __init__(self, index: int, spec: LinkSpec) -> None:
        self.index, self.spec = index, spec
        self.sock: socket.socket | None = None
        self.stage = "new"  # new, connecting, shaking, greeting, open, closed
        self.data = b""
        self.reader = Unframer()
        self.wanted = 0
        self.due_s = self.opened_s = self.retry_s = 0.0
        self.closed_by = 0


@dataclass(slots=True)
class Opening:
    """How the opening of a fleet went."""

    opened: int = 0
    took_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    now_ms: int = 0


Take = Callable[["Link", int, bytes], None]


class Fleet:
    """The connections of one ``FleetSpec``. ``take``: what is done with each frame that comes once a link is open."""

    def __init__(self, spec: FleetSpec, take: Take | None = None, on_greeting: Take | None = None) -> None:
        self.spec = spec
        self.links = [Link(index, one) for index, one in enumerate(spec.links)]
        self.faults: Counter[str] = Counter()
        self.now_ms = 0
        self._take = take
        self._on_greeting = on_greeting
        self._epoll = select.epoll()
        self._by_fd: dict[int, Link] = {}
        self._luck = random.Random(len(spec.links))

    @property
    def open_count(self) -> int:
        return sum(link.stage == "open" for link in self.links)

    # --- opening

    def open(self) -> Opening:
        """Open them all, not too many at once; one that is asked to come back later does."""
        began_s = time.monotonic()
        waiting = [link for link in self.links if link.stage in ("new", "closed")]
        for link in waiting:
            link.stage = "new"
        self.open_some(waiting, began_s + self.spec.within_s)
        return Opening(self.open_count, time.monotonic() - began_s, Counter(self.faults), self.now_ms)

    def open_some(self, waiting: list[Link], until_s: float) -> None:
        pending = list(reversed(waiting))
        later: list[Link] = []
        busy: set[int] = set()
        while (pending or later or busy) and time.monotonic() < until_s:
            now_s = time.monotonic()
            if later:
                pending += [link for link in later if link.due_s <= now_s]
                later = [link for link in later if link.due_s > now_s]
            while pending and len(busy) < self.spec.at_once:
                link = pending.pop()
                self._connect(link)
                busy.add(link.index)
            self.poll(0.01)
            for index in list(busy):
                link = self.links[index]
                if link.stage in ("open", "closed"):
                    busy.discard(index)
                elif link.stage == "new":
                    busy.discard(index)
                    later.append(link)

    def _connect(self, link: Link) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        group = link.index // PER_ADDRESS
        with contextlib.suppress(OSError):  # where the loopback has one address only, that one will do
            sock.bind((f"127.{1 + group // 62_500}.{group // 250 % 250}.{1 + group % 250}", 0))
        link.sock, link.stage, link.reader = sock, "connecting", Unframer()
        link.wanted, link.data = self.spec.answers, b""
        status = sock.connect_ex((self.spec.host, self.spec.port))
        if status not in (0, errno.EINPROGRESS):
            self._lose(link, f"connect: {errno.errorcode.get(status, status)}")
            return
        self._by_fd[sock.fileno()] = link
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _connected(self, link: Link) -> None:
        assert link.sock is not None
        status = link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            self._lose(link, f"connect: {errno.errorcode.get(status, status)}")
            return
        self._epoll.modify(link.sock.fileno(), select.EPOLLIN)
        link.stage = "shaking"
        host = f"{self.spec.host}:{self.spec.port}"
        link.sock.send(upgrade_request(link.spec.path, host, self.spec.subprotocol))

    def _shaken(self, link: Link, data: bytes) -> None:
        link.data += data
        head, mark, rest = link.data.partition(HEAD_END)
        if not mark:
            return
        link.data = b""
        status, asked_s = answer_of(head)
        if status == 503:
            self.faults[TOLD_TO_WAIT] += 1
            self._come_back(link, asked_s or 1.0)
            return
        if status != 101:
            self._lose(link, f"handshake: {status}")
            return
        assert link.sock is not None
        if link.spec.first:
            link.sock.send(link.spec.first)
        link.stage = "greeting" if link.wanted else "open"
        link.opened_s = time.monotonic()
        if rest:
            self._arrived(link, rest)

    # --- reading

    def poll(self, wait_s: float) -> int:
        """Read whatever has come; how many connections had something."""
        events = self._epoll.poll(wait_s)
        for fd, event in events:
            link = self._by_fd.get(fd)
            if link is None:
                continue
            if link.stage == "connecting":
                self._connected(link)
                continue
            assert link.sock is not None
            try:
                data = link.sock.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as fault:
                self._lose(link, f"read: {errno.errorcode.get(fault.errno or 0, '?')}")
                continue
            if not data or event & select.EPOLLHUP:
                self._lose(link, f"closed by the server ({link.closed_by or 'no code'}) while {link.stage}")
            elif link.stage == "shaking":
                self._shaken(link, data)
            else:
                self._arrived(link, data)
        return len(events)

    def _arrived(self, link: Link, data: bytes) -> None:
        take = self._take
        for opcode, payload in link.reader.feed(data):
            if link.sock is None:
                return
            if opcode >= CLOSE:
                self._control(link, opcode, payload)
            elif link.stage == "greeting":
                self._greeted(link, opcode, payload)
            elif take is not None:
                take(link, opcode, payload)

    def _greeted(self, link: Link, opcode: int, payload: bytes) -> None:
        frame = heard(payload)
        if frame.t == "welcome":
            self.now_ms = frame.now_ms
        if frame.t == "error":
            self.faults[f"error frame: {frame.code}"] += 1
            if frame.code == "unavailable":  # try again, it says
                self._come_back(link, 1.0)
                return
        if self._on_greeting is not None:
            self._on_greeting(link, opcode, payload)
        if frame.t in self.spec.awaited:
            link.wanted -= 1
            if link.wanted == 0:
                link.stage = "open"
                link.opened_s = time.monotonic()

    def _control(self, link: Link, opcode: int, payload: bytes) -> None:
        if opcode == PING and link.sock is not None:
            with contextlib.suppress(OSError):
                link.sock.send(masked(PONG, payload))
        elif opcode == CLOSE:
            code, reason = ending_of(payload)
            link.closed_by, link.retry_s = code or 0, asked_by_reason_s(reason)

    # --- ending

    def _lose(self, link: Link, why: str) -> None:
        self.faults[why] += 1
        was_opening, code, link.closed_by = link.stage != "open", link.closed_by, 0
        if self.spec.comes_back and was_opening and may_return(code or None):
            self._come_back(link, link.retry_s or 1.0)
            return
        self._drop(link)
        link.stage = "closed"

    def _come_back(self, link: Link, after_s: float) -> None:
        """Not before the server wants, and not all at once: up to half as long again."""
        self._drop(link)
        link.stage, link.due_s = "new", time.monotonic() + after_s * (1.0 + self._luck.random() / 2)

    def _drop(self, link: Link) -> None:
        if link.sock is not None:
            fd = link.sock.fileno()
            if self._by_fd.pop(fd, None) is not None:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
            link.sock.close()
            link.sock = None

    def cut(self) -> None:
        """End every connection at once and without a word, as a power cut would (RST, so that no port stays busy)."""
        for link in self.links:
            if link.sock is not None:
                with contextlib.suppress(OSError):
                    link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(link)
            link.stage = "closed"

    def close(self) -> None:
        self.cut()
        self._epoll.close()
