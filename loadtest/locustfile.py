"""The same simulated people under locust, with its own web page; the only file that imports locust.

    locust -f loadtest/locustfile.py --host http://127.0.0.1:8888     with LOADTEST_PLAN=plan.json

The plan holds the accounts that ``dispatch load-accounts`` made; each locust user becomes one of them.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import gevent
import msgspec
import websocket
from gevent.queue import Empty, Queue
from locust import HttpUser, events, task
from locust.env import Environment

from geo.point import Point
from loadtest.actors import operator, runner, runner_state, student
from loadtest.actors.protocol import (
    Answer,
    Arrived,
    Ask,
    Call,
    Follow,
    Frame,
    Heard,
    Note,
    SendFix,
    Started,
    Tell,
    Unfollow,
    Wake,
    Wish,
    Woke,
)  # fmt: skip
from loadtest.asyncio_driver import Blackboard
from loadtest.crowd import small_png
from loadtest.figures import Figures
from loadtest.people import Account, PlanFile, read_plan
from loadtest.server_clock import ServerClock, first_answer
from loadtest.websocket_bytes import SUBPROTOCOL

MOST_ARRIVALS = 1000
ORDERS_PER_STUDENT_HOUR = 2.0

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Any])


class Shared:
    """What all users of this process share."""

    plan: ClassVar[PlanFile | None] = None
    free: ClassVar[dict[str, deque[Account]]] = {}
    blackboard: ClassVar[Blackboard] = Blackboard()
    figures: ClassVar[Figures] = Figures(time.perf_counter)
    clock: ClassVar[ServerClock | None] = None
    homes: ClassVar[list[Point]] = []


@events.test_start.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def read_accounts(environment: Environment, **_: Any) -> None:
    """Take the accounts of the plan; users beyond their number idle."""
    Shared.plan = read_plan(Path(os.environ.get("LOADTEST_PLAN", "plan.json")))
    Shared.free = {role: deque(Shared.plan.of_role(role)) for role in ("student", "runner", "operator")}
    Shared.figures = Figures(time.perf_counter)
    Shared.figures.begin()
    Shared.clock = None


class Actor(HttpUser):  # type: ignore[misc, unused-ignore]
    """A locust user that carries one actor's moves over the wire."""

    abstract = True
    role = ""

    def on_start(self) -> None:
        self.luck = Random()
        self.arrivals: Queue = Queue(MOST_ARRIVALS)
        self.timer: Any = None
        self.socket: Any = None
        self.topics: dict[str, None] = {}
        self.state: Any = None
        self.headers: dict[str, str] = {}
        queue = Shared.free.get(self.role)
        if Shared.plan is None or not queue:
            return
        self.plan, self.account = Shared.plan, queue.popleft()
        if not self._sign_in():
            return
        self.clock = Shared.clock = Shared.clock or self._clock()
        self.state = self.make(self.account_id)
        gevent.spawn(self._stay_connected)

    def on_stop(self) -> None:
        self.state = None
        if self.socket is not None:
            self.socket.close()

    def make(self, account_id: str) -> Any:
        """The actor's first state."""
        return None

    def step(self) -> Callable[..., Any]:
        """The actor's moves."""
        raise AssertionError("every role has its own")

    @task
    def live(self) -> None:
        """Move on with what arrived; locust calls it again and again."""
        try:
            arrived: Arrived = self.arrivals.get(timeout=1.0)
        except Empty:
            return
        if self.state is None:
            return
        now_ms = self.clock.now_ms()
        self.state, actions = self.step()(self.state, arrived, now_ms, self.luck)
        for action in actions:
            self._do(action, now_ms)

    def _do(self, action: Any, now_ms: int) -> None:
        match action:
            case Call():
                gevent.spawn(self._call, action)
            case SendFix():
                fix = {"t": "fix", "at": action.at_ms, "lat": action.lat, "lon": action.lon, "acc": action.acc}
                if self._send(fix):
                    Shared.figures.fix_sent(self.account_id, action.at_ms)
            case Wake(at_ms):
                if self.timer is not None:
                    self.timer.kill(block=False)
                self.timer = gevent.spawn_later(self.clock.real_s(at_ms), self.arrive, Woke())
            case Follow(topic):
                self.topics[topic] = None
                self._send({"t": "follow", "topic": topic})
            case Unfollow(topic):
                self.topics.pop(topic, None)
                self._send({"t": "unfollow", "topic": topic})
            case Tell(order_id, pin):
                Shared.blackboard.tell(order_id, pin)
            case Ask(order_id):
                self.arrive(Heard(order_id, Shared.blackboard.ask(order_id)))
            case Note(kind, subject, value, text):
                Shared.figures.note(kind, subject, value, text, now_ms)

    def arrive(self, arrived: Arrived) -> None:
        if not self.arrivals.full():
            self.arrivals.put_nowait(arrived)

    # --- HTTP

    def _sign_in(self) -> bool:
        body = {"phone": self.account.phone, "campus_id": self.plan.campus_id, "password": self.plan.password}
        with self.client.post("/api/v1/auth/sign-in", json=body, name="sign_in", catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code}")
                return False
            session = response.json()
        self.headers = {"Authorization": f"Bearer {session['access_token']}"}
        self.account_id = session["account"]["id"]
        return True

    def _clock(self) -> ServerClock:
        asked_s = time.perf_counter()
        campus = self.client.get(f"/api/v1/campuses/{self.plan.campus_id}", name="campus").json()
        places = self.client.get(f"/api/v1/campuses/{self.plan.campus_id}/places?limit=100", name="places").json()
        Shared.homes = [Point(place["lat"], place["lon"]) for place in places] or [Point(campus["lat"], campus["lon"])]
        return first_answer(asked_s, time.perf_counter(), campus["now_ms"], campus["time_scale"])

    def _call(self, call: Call) -> None:
        self.arrive(self._carried_out(call))

    def _carried_out(self, call: Call) -> Answer:
        headers = dict(self.headers)
        if call.key:
            headers["Idempotency-Key"] = call.key
        told: dict[str, Any] = {"json": call.body or {}} if call.method != "GET" else {}
        if call.image is not None:
            told = {"data": call.image}
            headers["Content-Type"] = "image/png"
        with self.client.request(
            call.method, f"/api/v1{call.path}", name=call.name, headers=headers, catch_response=True, **told
        ) as response:
            if response.status_code in call.expected:
                response.success()
            if response.status_code == 401:
                self._sign_in()
            try:
                body = response.json() if response.content else None
            except ValueError:
                body = None
            return Answer(call.name, int(response.status_code), body, call.subject)

    # --- the socket

    def _stay_connected(self) -> None:
        is_first = True
        while self.state is not None:
            try:
                self._connected(is_first)
            except (OSError, websocket.WebSocketException) as fault:
                self.environment.events.request.fire(
                    request_type="WS",
                    name="connection",
                    response_time=0,
                    response_length=0,
                    exception=fault,
                    context={},
                )
            is_first = False
            gevent.sleep(self.luck.uniform(0.5, 3.0))

    def _connected(self, is_first: bool) -> None:
        token = self._carried_out(Call("socket_token", "POST", "/auth/socket-token", {}))
        if not token.is_ok:
            return
        url = str(self.host).replace("http", "ws", 1).rstrip("/") + "/ws"
        self.socket = websocket.create_connection(url, subprotocols=[SUBPROTOCOL], timeout=90)
        self._send({"t": "hello", "token": token.body["token"]})
        while self.state is not None:
            code, raw = self.socket.recv_data()
            if code != websocket.ABNF.OPCODE_BINARY:
                return
            frame = _decoder.decode(raw)
            kind = frame.get("t")
            if kind == "welcome":
                for topic in self.topics:
                    self._send({"t": "follow", "topic": topic})
                if is_first:
                    self.arrive(Started())
                    is_first = False
            if kind == "pos":
                self._seen(frame)
            elif kind in ("event", "snapshot", "welcome", "closed", "report"):
                self.arrive(Frame(frame))

    def _send(self, frame: dict[str, Any]) -> bool:
        if self.socket is None or not self.socket.connected:
            return False
        try:
            self.socket.send_binary(_encoder.encode(frame))
        except (OSError, websocket.WebSocketException):
            return False
        return True

    def _seen(self, frame: dict[str, Any]) -> None:
        """Each position is a sample of locust's own table: the time from the sending of the fix to here."""
        for row in frame["p"]:
            age_ms = Shared.figures.seen(row[0], row[3])
            if age_ms is not None:
                self._report("fix to viewer", age_ms, None)

    def _report(self, name: str, took_ms: float, fault: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="WS", name=name, response_time=took_ms, response_length=0, exception=fault, context={}
        )


class StudentUser(Actor):
    """Orders a few times an hour."""

    weight = 60
    role = "student"

    def make(self, account_id: str) -> student.Student:
        gevent.spawn(self._wish)
        return student.Student(account_id, self.plan.campus_id)

    def step(self) -> Callable[..., Any]:
        return student.step

    def _wish(self) -> None:
        while True:
            gevent.sleep(self.luck.expovariate(ORDERS_PER_STUDENT_HOUR / 3600) / self.clock.rate)
            if self.state is None:
                return
            self.arrive(Wish())


class RunnerUser(Actor):
    """Streams fixes and carries."""

    weight = 35
    role = "runner"

    def make(self, account_id: str) -> runner_state.Runner:
        home = self.luck.choice(Shared.homes)
        made = runner_state.new_runner(account_id, self.plan.campus_id, home, self.luck, self.account.vehicle)
        return runner_state.with_photo(made, small_png(), self.clock.rate)

    def step(self) -> Callable[..., Any]:
        return runner.step


class OperatorUser(Actor):
    """Watches the console."""

    weight = 5
    role = "operator"

    def make(self, account_id: str) -> operator.Operator:
        return operator.Operator(account_id, self.plan.campus_id)

    def step(self) -> Callable[..., Any]:
        return operator.step
