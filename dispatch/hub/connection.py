"""One connection's protocol: bytes of a frame in, calls to its host and frames to its queue out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatch.model.errors import Refusal

from .codes import CloseCode, verdict_on
from .frames import (
    BadFrame,
    Codec,
    ErrorFrame,
    Follow,
    Hello,
    Ping,
    Pong,
    ReportFix,
    ReportFixes,
    ServerFrame,
    Unfollow,
    Unfollowed,
    View,
    Welcome,
)  # fmt: skip
from .host import Host, Stage
from .look import look_of
from .reporter import Reporter
from .rules import Principal, Sink, Standing
from .send_queue import SendQueue
from .topic import Topic, is_topic_name

FOLLOW_WINDOW_S = 10

NO_RUNNER = "only a runner reports fixes"
NO_MAP = "only a console has a part of the map"


class Connection:
    """From the first frame to the last; the socket is somebody else's."""

    __slots__ = (
        "_bad_frames",
        "_follow_window",
        "_follows",
        "_frames_in_second",
        "_host",
        "_second",
        "_sink",
        "_write",
        "account_id",
        "campus_id",
        "codec",
        "doomed_by",
        "expires_s",
        "id",
        "is_lagging",
        "is_on_duty",
        "is_touched",
        "look",
        "principal",
        "queue",
        "reporter",
        "roles",
        "stage",
        "topics",
        "wants_acks",
        "write_at_once",
    )  # fmt: skip

    def __init__(self, host: Host, sink: Sink, codec: Codec, connection_id: str) -> None:
        self._host = host
        self._sink = sink
        self._write: Callable[[bytes], None] | None = sink.write
        #: writes a frame; None while frames must wait, or have nowhere to go
        self.write_at_once: Callable[[bytes], None] | None = sink.write
        self.id = connection_id
        self.codec = codec
        self.look = look_of(codec, "wgs84")
        self.queue = SendQueue(host.rules.queue_bytes)
        self.stage = Stage.NEW
        self.principal: Principal | None = None
        self.account_id = ""
        self.campus_id = ""
        #: as the books say; None until they were asked
        self.roles: frozenset[Any] | None = None
        self.reporter: Reporter | None = None  # of a runner
        self.wants_acks = False
        self.is_on_duty = True
        self.expires_s = 0
        self.topics: list[Topic] = []  # followed or asked for; a few
        self.is_lagging = False
        self.is_touched = False
        self.doomed_by: CloseCode | None = None
        self._follow_window = self._follows = 0
        self._second = self._frames_in_second = self._bad_frames = 0

    # --- what arrives

    def receive(self, opcode: int, payload: bytes) -> None:
        """One whole data frame."""
        host = self._host
        if host.second != self._second:
            host.frames += self._frames_in_second
            self._second = host.second
            self._frames_in_second = 0
        self._frames_in_second += 1
        if self._frames_in_second > host.rules.frames_per_s:
            self._over_rate()
            return
        codec = self.codec
        if opcode != codec.opcode:
            kind = "text" if codec.opcode == 1 else "binary"
            self._bad(BadFrame("wrong_frame_kind", f"{codec.subprotocol} travels in {kind} frames"))
            return
        try:
            frame = codec.decode_raw(payload)
        except codec.faults as error:
            self._bad(codec.explain(error))
            return
        if type(frame) is ReportFix:  # by far the most frequent
            if self.reporter is not None and self.stage is Stage.OPEN:
                self.reporter.report(frame)
                return
        elif self.stage is Stage.OPEN and type(frame) is not Hello:
            self._receive_other(frame)
            return
        self._before_hello(frame)

    def _receive_other(self, frame: Any) -> None:
        match frame:
            case ReportFixes():
                if self.reporter is None:
                    self._error("not_permitted", NO_RUNNER)
                else:
                    self.reporter.report_many(frame)
            case Follow():
                self._follow(frame)
            case View():
                self._view(frame)
            case Unfollow():
                self._unfollow(frame)
            case Ping():
                self.put(Pong(self._host.now_ms, frame.re))

    def _before_hello(self, frame: Any) -> None:
        if type(frame) is Hello:
            self._hello(frame)
        elif self.stage is Stage.NEW:
            self.close(CloseCode.PROTOCOL_VIOLATION, "the first frame is hello")
        elif self.stage is Stage.OPEN:
            self._error("not_permitted", NO_RUNNER)

    def _hello(self, frame: Hello) -> None:
        host = self._host
        if self.stage is Stage.CLOSING:
            return
        try:
            principal = host.verify(frame.token)
        except Refusal as refusal:
            self.close(verdict_on(refusal))
            return
        rules = host.rules
        if self.principal is None:
            self.principal = principal
            self.account_id, self.campus_id = principal.account_id, principal.campus_id
            if (refused := host.admit(self, principal)) is not None:
                self.close(refused)
                return
            self.stage = Stage.OPEN
        elif (principal.account_id, principal.campus_id) != (self.account_id, self.campus_id):
            self.close(CloseCode.PROTOCOL_VIOLATION, "a connection speaks for one account")
            return
        self.principal = principal
        if (look := look_of(self.codec, frame.datum)) is not self.look:
            self.look = look
            host.change_look(self)
        lasts_s = min(rules.hello_lasts_s, host.lasts_s(principal))
        self.expires_s = host.second + lasts_s
        self.wants_acks = frame.acks
        if self.reporter is not None:
            self.reporter.begin(wants_acks=frame.acks)
        # A token is believed for what cannot wait; who was signed out, blocked or lost a role since, the books know.
        host.check(self)
        self.put(
            Welcome(
                account=self.account_id, campus=self.campus_id, roles=sorted(str(role) for role in principal.roles),
                connection=self.id, now_ms=host.now_ms, time_scale=rules.time_scale,
                report_every_ms=rules.report_every_ms, flush_ms=rules.flush_ms, renew_ms=lasts_s * 1000,
                re=frame.re,
            )
        )  # fmt: skip

    def stand(self, standing: Standing) -> None:
        """The books have answered. What was granted under other roles than today's ends with the connection."""
        if self.stage is not Stage.OPEN:
            return
        roles = standing.principal.roles
        if self.roles is not None and roles != self.roles:
            self.close(CloseCode.TOKEN_EXPIRED, "the roles of this account have changed")
            return
        self.roles = roles
        self.principal = standing.principal
        self.is_on_duty = standing.is_on_duty
        if "runner" not in roles:
            self._host.release(self)
            self.reporter = None
        else:
            # The role may be younger than the token.
            reporter = self.reporter or self._host.seat(self)
            reporter.wants_acks = self.wants_acks
            reporter.stand(standing)

    def tell_reporting(self) -> None:
        """The worker's lateness has changed: tell a runner how often to report."""
        if self.reporter is not None and self.roles is not None and self.stage is Stage.OPEN:
            self.reporter.tell_rhythm()

    def ready(self) -> None:
        """It is known where this runner was last seen."""
        if self.reporter is not None and self.stage is Stage.OPEN:
            self.reporter.ready()

    @property
    def is_tracked(self) -> bool:
        """Whether this speaker's position is anybody's business."""
        return self.reporter is not None and self.reporter.is_tracked

    # --- topics

    def _follow(self, frame: Follow) -> None:
        topic = self._topic(frame.topic)
        if not is_topic_name(frame.topic, self.campus_id):
            self._error("not_found", "there is no such topic here", frame.re, "topic", frame.topic)
        elif len(self.topics) >= self._host.rules.topics and topic is None:
            self._error(
                "too_many_topics", f"at most {self._host.rules.topics} at a time", frame.re, "topic", frame.topic
            )
        elif (frame.offset is None) != (frame.epoch is None):
            missing = "offset" if frame.offset is None else "epoch"
            self._error("invalid_input", "offset and epoch belong together", frame.re, missing, frame.topic)
        elif frame.box is not None and not frame.topic.startswith("console:"):
            self._error("invalid_input", NO_MAP, frame.re, "box", frame.topic)
        elif topic is not None and self in topic.joining:
            self._error("too_many", "wait for the answer to the first follow", frame.re, "topic", frame.topic)
        elif not self._may_follow():
            self._error("too_many", "too many follows; wait a few seconds", frame.re, "topic", frame.topic)
        else:
            self._host.follow(self, frame)

    def _may_follow(self) -> bool:
        window = self._host.second // FOLLOW_WINDOW_S
        if window != self._follow_window:
            self._follow_window, self._follows = window, 0
        self._follows += 1
        return self._follows <= self._host.rules.follows_per_window

    def _view(self, frame: View) -> None:
        topic = self._topic(frame.topic)
        if topic is None:
            self._error("not_found", "this topic is not followed here", frame.re, "topic", frame.topic)
        elif frame.box is not None and topic.kind != "console":
            self._error("invalid_input", NO_MAP, frame.re, "box", frame.topic)
        else:
            self._host.view(self, topic, frame)

    def _unfollow(self, frame: Unfollow) -> None:
        topic = self._topic(frame.topic)
        if topic is not None:
            self._host.unfollow(self, topic)
        self.put(Unfollowed(frame.topic, frame.re))

    def _topic(self, name: str) -> Topic | None:
        return next((topic for topic in self.topics if topic.name == name), None)

    def refuse_topic(self, name: str, refusal: Refusal, re: int | None) -> None:
        """The topic may not be followed, or not any more."""
        self._error(refusal.code, refusal.message, re, "topic", name)

    # --- what goes out

    def put(self, frame: ServerFrame) -> None:
        self.put_raw(self.codec.encode(frame))

    def put_raw(self, raw: bytes) -> None:
        """Write the bytes of a frame, or queue them while the watcher's socket is full; over the bound the connection
        is let go at the end of the flush.

        The transport gathers what is written in one round of the loop, so that writing at once costs no call more."""
        if (write := self.write_at_once) is not None:
            write(raw)
            return
        if self.stage is Stage.CLOSING:
            return
        if not self.queue.put(raw) and self.doomed_by is None:
            self.doomed_by = CloseCode.SLOW_CONSUMER
        if not self.is_touched:
            self._host.touch(self)

    def touch(self) -> None:
        """There is something to say at the end of this flush."""
        if not self.is_touched:
            self._host.touch(self)

    def flush(self) -> None:
        """Write what waits, in one call; the host calls it for each touched connection."""
        self.is_touched = False
        if self.stage is Stage.CLOSING:
            return
        if self.doomed_by is not None:
            self.close(self.doomed_by)
            return
        if self.reporter is not None and (ack := self.reporter.take_ack()) is not None:
            self.queue.put(self.codec.encode(ack))
        if not self.is_lagging:
            # Before the write: it may fill the socket, and then what comes has to wait again.
            self.write_at_once = self._write
            if data := self.queue.take():
                self._sink.write(data)

    def write_to(self, write: Callable[[bytes], None]) -> None:
        """The shortest way to the socket, from now on."""
        self._write = self.write_at_once = write

    def lag(self) -> None:
        """The socket is full: what comes waits until ``flush`` finds it well again."""
        self.is_lagging = True
        self.write_at_once = None

    def stop_writing(self) -> None:
        """Nothing more reaches the socket."""
        self._write = self.write_at_once = None

    def write_now(self) -> None:
        """Write what waits without waiting for the end of the flush: somebody asked and wants the answer."""
        if not self.is_lagging and self.stage is not Stage.CLOSING and (data := self.queue.take()):
            self._sink.write(data)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """End it with a code that says whether to come back."""
        if self.stage is Stage.CLOSING:
            return
        if not self.is_lagging and (data := self.queue.take()):
            self._sink.write(data)
        self.stage = Stage.CLOSING
        self.stop_writing()
        self._host.release(self)
        self._host.count(f"closed_{int(code)}")
        self._sink.close(code, reason or self._host.closing_reason(code))

    def _error(
        self, code: str, message: str, re: int | None = None, field: str | None = None, topic: str | None = None
    ) -> None:
        self._host.count("errors")
        self.put(ErrorFrame(code, message, re, field, topic))

    def _bad(self, error: BadFrame) -> None:
        self._host.count("bad_frames")
        if self.stage is Stage.NEW:
            self.close(CloseCode.PROTOCOL_VIOLATION, "the first frame is hello")
            return
        self._bad_frames += 1
        if self._bad_frames > self._host.rules.bad_frames:
            self.close(CloseCode.PROTOCOL_VIOLATION, "too many bad frames")
        else:
            self._error(error.code, error.message, None, error.field)

    def _over_rate(self) -> None:
        self._host.count("frames_over_rate")
        if self._frames_in_second == self._host.rules.frames_per_s + 1:
            self._error("too_many", f"at most {self._host.rules.frames_per_s} frames a second")
