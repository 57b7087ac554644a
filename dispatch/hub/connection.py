"""One connection's protocol: bytes of a frame in, calls to its host and frames to its queue out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatch.model.errors import Refusal
from geo.filters import Reason, Verdict
from geo.fix import Fix

from .codes import CloseCode, verdict_on
from .frames import (
    Ack,
    BadFrame,
    Codec,
    ErrorFrame,
    Follow,
    Hello,
    Ping,
    Pong,
    Reading,
    Refused,
    ReportEvery,
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
from .reporting import Reporting
from .rules import Principal, Sink, Standing
from .send_queue import SendQueue
from .topic import Topic, is_topic_name

#: Real milliseconds for which the newest fix of somebody who is not on duty is kept in memory, for when they come on.
HELD_MS = 10_000

FOLLOW_WINDOW_S = 10

OFF_DUTY = "off_duty"
NO_MAP = "only a console has a part of the map"

_LIVE, _LATE = Verdict.LIVE, Verdict.LATE


class Connection:
    """From the first frame to the last; the socket is somebody else's."""

    __slots__ = (
        "_accepted",
        "_ack_seq",
        "_bad_frames",
        "_follow_window",
        "_follows",
        "_frames_in_second",
        "_held",
        "_host",
        "_judge_live",
        "_refused",
        "_refused_in_second",
        "_reporting",
        "_second",
        "_sink",
        "account_id",
        "campus_id",
        "codec",
        "doomed_by",
        "expires_s",
        "id",
        "is_busy",
        "is_lagging",
        "is_on_duty",
        "is_runner",
        "is_touched",
        "is_tracked",
        "look",
        "principal",
        "queue",
        "roles",
        "stage",
        "topics",
        "waiting",
        "wants_acks",
    )  # fmt: skip

    def __init__(self, host: Host, sink: Sink, codec: Codec, connection_id: str) -> None:
        self._host = host
        self._sink = sink
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
        self.is_runner = False
        self.is_on_duty = self.is_tracked = True
        self.is_busy = False
        self._reporting: Reporting | None = None  # what this runner was told last
        self._held: Fix | None = None  # the newest that came while not tracked
        self.wants_acks = False
        self.expires_s = 0
        self.topics: list[Topic] = []  # followed or asked for; a few
        self.is_lagging = False
        self.is_touched = False
        self.doomed_by: CloseCode | None = None
        #: fixes that wait until it is known where this runner was last seen (None: nothing to wait for)
        self.waiting: list[Fix] | None = None
        self._follow_window = self._follows = 0
        self._ack_seq = self._accepted = self._refused = 0
        self._second = self._frames_in_second = self._refused_in_second = self._bad_frames = 0

        #: judges a fix at once; None while there is anything else to consider about this speaker's fixes
        self._judge_live: Callable[[Fix], Verdict | Reason] | None = None

    # --- what arrives

    def receive(self, opcode: int, payload: bytes) -> None:
        """One whole data frame."""
        host = self._host
        if host.second != self._second:
            host.frames += self._frames_in_second
            self._second = host.second
            self._frames_in_second = self._refused_in_second = 0
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
            if (judge := self._judge_live) is not None:
                # The whole of what is done with a fix before its flush, in one place: it runs for every fix there is.
                lat, lon = frame.lat, frame.lon
                if not self.look.is_wgs84:
                    lat, lon = self.look.inside(lat, lon)
                fix = Fix(lat, lon, frame.at, frame.acc, frame.spd, frame.brg, frame.bat, frame.seq, host.now_ms)
                verdict = judge(fix)
                if verdict is _LIVE or verdict is _LATE:
                    if self.wants_acks:
                        self._acknowledge(fix)
                else:
                    self._refuse(verdict.value, fix)
                return
            if self.is_runner and self.stage is Stage.OPEN:
                self._judge_or_wait(self._fix(frame))
                return
        elif self.stage is Stage.OPEN and type(frame) is not Hello:
            self._receive_other(frame)
            return
        self._before_hello(frame)

    def _receive_other(self, frame: Any) -> None:
        match frame:
            case ReportFixes():
                self._report_many(frame)
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
            self._error("not_permitted", "only a runner reports fixes")

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
            self.is_runner = "runner" in principal.roles
            if (refused := host.admit(self, principal)) is not None:
                self.close(refused)
                return
            self.stage = Stage.OPEN
        elif (principal.account_id, principal.campus_id) != (self.account_id, self.campus_id):
            self.close(CloseCode.PROTOCOL_VIOLATION, "a connection speaks for one account")
            return
        self.principal = principal
        self.wants_acks = frame.acks
        if (look := look_of(self.codec, frame.datum)) is not self.look:
            self.look = look
            host.change_look(self)
        lasts_s = min(rules.hello_lasts_s, host.lasts_s(principal))
        self.expires_s = host.second + lasts_s
        self._reporting = None  # ``welcome`` says something else
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
        self.is_runner = "runner" in roles
        if not (self.is_runner and standing.is_tracked):
            self._host.release(self)
        self.is_on_duty = standing.is_on_duty
        was_tracked, self.is_tracked = self.is_tracked, standing.is_tracked
        if not self.is_runner:
            return
        self.is_busy = standing.is_busy
        self.tell_reporting()
        if was_tracked and not self.is_tracked:
            self._host.hide(self)
        held, self._held = self._held, None
        if self.is_tracked and held is not None:
            age_ms = self._host.now_ms - held.received_at_ms
            if age_ms <= HELD_MS * self._host.rules.time_scale:
                self._judge(held)

    def tell_reporting(self) -> None:
        """Tell a runner how often to report, if that has changed."""
        if self.is_runner and self.roles is not None and self.stage is Stage.OPEN:
            reporting = self._host.reporting(is_busy=self.is_busy)
            if reporting != self._reporting:
                self._reporting = reporting
                self.put(ReportEvery(*reporting))

    # --- fixes

    def _fix(self, frame: ReportFix | Reading) -> Fix:
        lat, lon = frame.lat, frame.lon
        if not self.look.is_wgs84:
            lat, lon = self.look.inside(lat, lon)
        return Fix(lat, lon, frame.at, frame.acc, frame.spd, frame.brg, frame.bat, frame.seq, self._host.now_ms)

    def _judge_or_wait(self, fix: Fix) -> None:
        if self.waiting is not None:
            self._wait(fix)
        else:
            self._judge(fix)

    def _report_many(self, frame: ReportFixes) -> None:
        if not self.is_runner:
            self._error("not_permitted", "only a runner reports fixes")
            return
        fixes = [self._fix(reading) for reading in frame.fixes]
        # Live first: the newest is on the maps at once, the rest fills the track behind it.
        fixes.sort(key=lambda fix: fix.fixed_at_ms, reverse=True)
        for fix in fixes:
            self._judge_or_wait(fix)
        if self.wants_acks and frame.seq is not None and frame.seq > self._ack_seq:
            self._ack_seq = frame.seq

    def _wait(self, fix: Fix) -> None:
        assert self.waiting is not None, "only while the runner's last position is being fetched"
        if len(self.waiting) < 1_000:
            self.waiting.append(fix)
        else:
            self._host.count("fixes_dropped")

    def ready(self) -> None:
        """It is known where this runner was last seen: judge what has arrived meanwhile."""
        waiting, self.waiting = self.waiting, None
        if self.stage is Stage.OPEN:
            for fix in waiting or ():
                self._judge(fix)

    def _judge(self, fix: Fix) -> None:
        if not self.is_tracked:
            if self._held is None or fix.fixed_at_ms > self._held.fixed_at_ms:
                self._held = fix
            self._refuse(OFF_DUTY, fix)
            return
        if self._judge_live is None:
            self._judge_live = self._host.judge_of(self)
        verdict = self._judge_live(fix)
        if verdict is not _LIVE and verdict is not _LATE:
            self._refuse(verdict.value, fix)
        elif self.wants_acks:
            self._acknowledge(fix)

    def _acknowledge(self, fix: Fix) -> None:
        self._accepted += 1
        if fix.seq is not None and fix.seq > self._ack_seq:
            self._ack_seq = fix.seq
        if not self.is_touched:
            self._host.touch(self)

    def stop_judging(self) -> bool:
        """From now on each fix is considered anew; whether fixes were judged at once until now."""
        was_judging, self._judge_live = self._judge_live is not None, None
        return was_judging

    def _refuse(self, code: str, fix: Fix) -> None:
        self._refused += 1
        if fix.seq is not None and fix.seq > self._ack_seq:
            self._ack_seq = fix.seq
        self._refused_in_second += 1
        if self._refused_in_second <= self._host.rules.refused_per_s:
            self.put(Refused(code, fix.fixed_at_ms, fix.seq))
        elif self.wants_acks:
            self._host.touch(self)

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
        """Queue the bytes of a frame; over the bound the connection is let go at the end of the flush."""
        if not self.queue.put(raw) and self.doomed_by is None:
            self.doomed_by = CloseCode.SLOW_CONSUMER
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
        if self.wants_acks and (self._accepted or self._refused):
            ack = Ack(self._ack_seq, self._accepted, self._refused)
            self._accepted = self._refused = 0
            self.queue.put(self.codec.encode(ack))
        if not self.is_lagging and (data := self.queue.take()):
            self._sink.write(data)

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
