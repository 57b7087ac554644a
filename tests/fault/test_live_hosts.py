"""Two web hosts beside one with the database, Redis and the jobs, each in a network of its own: one is cut off while
runners report and consoles watch. Its people come back through the other host; nothing is missed or told twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import psycopg
import pytest
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from tests import net_lab
from tests.e2e_server import ROOT, wait_until
from tests.net_lab import LabPostgres, NetHost, NetLab
from tests.redis_nodes import redis_binaries

IS_LONG = bool(os.environ.get("SOAK"))
#: How often a host is cut off, and for how long.
_luck = random.Random(5)
CUTS_S = [_luck.uniform(2, 40) for _ in range(12)] if IS_LONG else [6.0]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(2400 if IS_LONG else 180),
    pytest.mark.skipif(net_lab.why_not() is not None, reason=str(net_lab.why_not())),
]

PORT = 8888
FIX_EVERY_S = 0.2
DUTY_EVERY_S = 0.15
LOST = (OSError, TimeoutError, WebSocketException, aiohttp.ClientError)


@dataclass
class Town:
    """The hosts, and who may come."""

    lab: NetLab
    database_url: str
    plan: dict[str, Any]

    @property
    def webs(self) -> list[str]:
        return [self.lab.hosts[name].address for name in ("one", "two")]

    def phones(self, role: str) -> list[str]:
        return [account["phone"] for account in self.plan["accounts"] if account["role"] == role]


def _serve(host: NetHost, folder: Path, roles: str, urls: dict[str, str]) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DISPATCH_")} | urls
    environ |= {
        "DISPATCH_DATA_DIR": str(folder), "DISPATCH_HOST": "0.0.0.0", "DISPATCH_PORT": str(PORT),
        "DISPATCH_ROLES": roles, "DISPATCH_DEMO": "1", "DISPATCH_SMS": "print", "PYTHONPATH": str(ROOT),
        "DISPATCH_PUBLIC_URL": f"http://{host.address}:{PORT}", "DISPATCH_GRACE_S": "3",
    }  # fmt: skip
    if roles != "web":
        plan = folder / "plan.json"
        arguments = ["demo-setup", "--plan", plan, "--students", "1", "--runners", "7"]
        host.run([sys.executable, "-m", "dispatch", "--inherit", *arguments], env=environ, cwd=ROOT)
    host.start([sys.executable, "-m", "dispatch", "serve"], folder / "log", env=environ, cwd=ROOT)


def _can_connect(host: NetHost, address: str, port: int) -> bool:
    def act() -> bool:
        try:
            with socket.create_connection((address, port), 1):
                return True
        except OSError:
            return False

    return host.do(act)


def _is_ready(host: NetHost, port: int, path: str) -> bool:
    def act() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                said = answer.read()
                return path == "/readyz" or all(one["is_ready"] for one in json.loads(said))
        except OSError:
            return False

    return host.do(act)


@pytest.fixture
def town() -> Iterator[Town]:
    folder = Path(tempfile.mkdtemp(prefix="tn-"))
    with contextlib.ExitStack() as ends:
        lab = NetLab(["books", "one", "two", "people"])
        ends.callback(lab.close)
        books = lab.hosts["books"]
        postgres = LabPostgres(books)
        ends.callback(postgres.close)
        redis = [next(iter(redis_binaries().values())), "--protected-mode", "no", "--bind", "0.0.0.0"]
        books.start([*redis, "--save", "", "--dir", str(folder)], folder / "redis")
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://{books.address}:6379"}
        for port in (5432, 6379):
            wait_until(lambda port=port: _can_connect(books, books.address, port), 30, f"port {port}")  # type: ignore[misc]
        for name, roles in (("books", "planner,jobs"), ("one", "web"), ("two", "web")):
            home = folder / name
            home.mkdir()
            if name != "books":  # the hosts of one service share its secrets
                _copy_secrets(folder / "books", home)
            _serve(lab.hosts[name], home, roles, urls)
        try:
            for name in ("one", "two"):
                wait_until(lambda name=name: _is_ready(lab.hosts[name], PORT, "/readyz"), 60, name)  # type: ignore[misc]
            wait_until(lambda: _is_ready(books, 8889, "/processes"), 60, "jobs")
        except AssertionError:
            print(*((folder / name / "log").read_text()[-2000:] for name in ("books", "one")), sep="\n")
            raise
        plan = json.loads((folder / "books" / "plan.json").read_text())
        yield Town(lab, postgres.url, plan)


def _copy_secrets(source: Path, target: Path) -> None:
    kept = target / "secrets"
    kept.mkdir(mode=0o700)
    for secret in (source / "secrets").iterdir():
        copy = kept / secret.name
        copy.touch(0o600)
        copy.write_bytes(secret.read_bytes())


# --- people -----------------------------------------------------------------------------------------------------------


class Person:
    """Somebody with an account: HTTP to whichever host answers, and sockets that come back through another host."""

    def __init__(self, town: Town, session: aiohttp.ClientSession, phone: str, first: int) -> None:
        self.town = town
        self.session = session
        self.phone = phone
        self.hosts = itertools.cycle(town.webs[first:] + town.webs[:first])
        self.host = next(self.hosts)
        self.access = ""
        self.comings = 0

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        url = f"http://{self.host}:{PORT}/api/v1{path}"
        async with self.session.post(url, json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise aiohttp.ClientError(f"{path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def sign_in(self, known: dict[str, str]) -> None:
        """Once per account: hashing passwords is slow on purpose."""
        self.access = known.get(self.phone, "")
        if self.access:
            return
        body = {"phone": self.phone, "campus_id": self.town.plan["campus_id"], "password": self.town.plan["password"]}
        known[self.phone] = self.access = (await self.post("/auth/sign-in", body))["access_token"]

    async def token(self) -> str:
        return str((await self.post("/auth/socket-token", {}))["token"])

    @contextlib.asynccontextmanager
    async def dial(self) -> Any:
        """A signed-in socket; a peer that does not answer for two seconds is gone."""
        url = f"ws://{self.host}:{PORT}/ws"
        protocols = [Subprotocol("campus.v1.msgpack")]
        async with ws_connect(
            url, subprotocols=protocols, open_timeout=3, ping_interval=1, ping_timeout=2, close_timeout=1,
            max_queue=None,
        ) as connection:  # fmt: skip
            await connection.send(msgpack.packb({"t": "hello", "token": await self.token()}))
            self.comings += 1
            yield connection

    async def keep(self, work: Callable[[Any], Any]) -> None:
        """Do this on a socket for ever, through the other host when one does not answer."""
        while True:
            with contextlib.suppress(*LOST):
                async with self.dial() as connection:
                    await work(connection)
            self.host = next(self.hosts)
            await asyncio.sleep(random.uniform(0.1, 0.4))


@dataclass
class Console:
    """What a careful console keeps, and what it would complain about."""

    topic: str
    at: dict[str, Any] = field(default_factory=dict)
    #: offset → event id
    events: dict[int, str] = field(default_factory=dict)
    first: int = -1
    began_anew: int = 0
    newest_ms: dict[str, int] = field(default_factory=dict)
    #: Through another host, a fix may be missing that the first one showed and could not pass on any more: clients keep
    #: the newer one (and so does the page). On one connection nothing goes back.
    shown_ms: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    async def watch(self, connection: Any) -> None:
        self.shown_ms.clear()
        await connection.send(msgpack.packb({"t": "follow", "topic": self.topic, **self.at}))
        async for raw in connection:
            self.take(msgpack.unpackb(raw))

    def take(self, frame: dict[str, Any]) -> None:
        match frame["t"]:
            case "followed":
                if not frame["recovered"]:
                    self.began_anew += 1
                    self.at = {"offset": frame["offset"], "epoch": frame["epoch"]}
                    self.first = frame["offset"]
                    self.events.clear()
                elif frame["epoch"] != self.at["epoch"]:
                    self.complaints.append(f"another epoch: {frame}")
            case "event":
                if frame["offset"] != self.at["offset"] + 1:
                    self.complaints.append(f"{frame['offset']} after {self.at['offset']}")
                self.at["offset"] = frame["offset"]
                self.events[frame["offset"]] = frame["id"]
            case "pos":
                for row in frame["p"]:
                    if row[3] < self.shown_ms.get(row[0], 0):
                        self.complaints.append(f"{row[0]} went back from {self.shown_ms[row[0]]} to {row[3]}")
                    self.shown_ms[row[0]] = row[3]
                    self.newest_ms[row[0]] = max(row[3], self.newest_ms.get(row[0], 0))
            case "err":
                self.complaints.append(str(frame))


async def report(person: Person, number: int, connection: Any) -> None:
    async def send() -> None:
        while True:
            at = int(time.time() * 1000)
            lat = 30.5137 + (at % 100_000) / 1e9
            fix = {"t": "fix", "at": at, "lat": lat, "lon": 114.413 + number / 1e4, "acc": 5}
            await connection.send(msgpack.packb(fix))
            await asyncio.sleep(FIX_EVERY_S)

    sending = asyncio.create_task(send())
    try:
        async for _ in connection:
            pass
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, *LOST):
            await sending


async def toggle_duty(person: Person, is_on: bool = False) -> None:
    """Each change is an event; an answer that does not come leaves open whether it was one."""
    while True:
        try:
            await person.post("/runner/duty", {"is_on": is_on, "vehicle": "walk"})
        except LOST:
            person.host = next(person.hosts)
        is_on = not is_on
        await asyncio.sleep(DUTY_EVERY_S)


class People:
    """Everybody who takes part; they live in a network of their own, the residents in the host that is cut off."""

    def __init__(self, town: Town, session: aiohttp.ClientSession) -> None:
        self.town = town
        topic = f"console:{town.plan['campus_id']}"
        (operator,) = town.phones("operator")
        runners = town.phones("runner")
        self.roaming = [(Person(town, session, operator, n % 2), Console(topic)) for n in range(6)]
        self.runners = [Person(town, session, phone, n % 2) for n, phone in enumerate(runners[:4])]
        self.togglers = [Person(town, session, phone, n % 2) for n, phone in enumerate(runners[4:6])]
        self.residents: list[tuple[Person, Console]] = []
        self.known: dict[str, str] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        for person in (*self.runners, *self.togglers, *(one for one, _ in self.roaming)):
            await person.sign_in(self.known)
        for runner in self.runners:
            await runner.post("/runner/duty", {"is_on": True, "vehicle": "walk"})
        tasks = [person.keep(console.watch) for person, console in self.roaming]
        tasks += [
            person.keep(lambda connection, person=person, n=n: report(person, n, connection))  # type: ignore[misc]
            for n, person in enumerate(self.runners)
        ]
        self._tasks = [asyncio.create_task(task) for task in tasks]
        self._togglers = [asyncio.create_task(toggle_duty(person)) for person in self.togglers]

    async def stop_events(self) -> None:
        for task in self._togglers:
            task.cancel()
        await asyncio.gather(*self._togglers, return_exceptions=True)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def consoles(self) -> list[Console]:
        return [console for _, console in (*self.roaming, *self.residents)]


async def until(holds: Callable[[], Any], seconds: float, what: str) -> float:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < seconds, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


def _is_fresh(consoles: Sequence[Console], within_s: float = 1.0) -> bool:
    """Whether everybody is shown where each of the four runners was a moment ago."""
    since_ms = (time.time() - within_s) * 1000
    return all(len(one.newest_ms) == 4 and min(one.newest_ms.values()) > since_ms for one in consoles)


async def scenario(town: Town) -> list[Console]:
    timeout = aiohttp.ClientTimeout(total=3)
    # Residents live in the host that is cut off and talk to it over its own loopback: their sockets stay up.
    inside = aiohttp.TCPConnector(socket_factory=lambda info: town.lab.hosts["one"].do(_socket, info))
    async with aiohttp.ClientSession(timeout=timeout) as session, aiohttp.ClientSession(
        timeout=timeout, connector=inside
    ) as local:  # fmt: skip
        people = People(town, session)
        await people.start()
        for _ in range(2):
            resident = Resident(town, local, town.phones("operator")[0], 0)
            people.residents.append((resident, Console(people.roaming[0][1].topic)))
            await resident.sign_in(people.known)
        residing = [asyncio.create_task(person.keep(console.watch)) for person, console in people.residents]
        try:
            await until(lambda: _is_fresh(people.consoles), 30, "everybody to see everybody")
            await until(lambda: all(len(one.events) > 5 for one in people.consoles), 30, "events")
            for number, cut_s in enumerate(CUTS_S):
                await _cut(town, people, "one" if number % 2 == 0 else "two", cut_s)
            await people.stop_events()
            top = await asyncio.to_thread(_published, town)
            await until(lambda: all(one.at["offset"] == top for one in people.consoles), 20, "everybody to know it all")
        finally:
            for task in residing:
                task.cancel()
            await people.stop_events()
            await people.stop()
        assert [person.comings for person, _ in people.residents] == [1, 1], "who stayed inside was cut as well"
        return people.consoles


class Resident(Person):
    """Somebody inside the host that is cut off."""

    @contextlib.asynccontextmanager
    async def dial(self) -> Any:
        inside = self.town.lab.hosts["one"].do(_connected, (self.host, PORT))
        async with ws_connect(
            f"ws://{self.host}:{PORT}/ws", sock=inside, subprotocols=[Subprotocol("campus.v1.msgpack")], max_queue=None
        ) as connection:
            await connection.send(msgpack.packb({"t": "hello", "token": await self.token()}))
            self.comings += 1
            yield connection


def _socket(info: Any) -> socket.socket:
    return socket.socket(*info[:3])


def _connected(address: tuple[str, int]) -> socket.socket:
    made = socket.create_connection(address, 5)
    made.setblocking(False)
    return made


async def _cut(town: Town, people: People, name: str, cut_s: float) -> None:
    """Cut a host off for so long, and join it again."""
    outside = [console for _, console in people.roaming]
    other = next(web for web in town.webs if web != town.lab.hosts[name].address)
    began_s = time.monotonic()
    town.lab.cut(name)

    def is_elsewhere() -> bool:
        everybody = [person for person, _ in people.roaming] + people.runners
        return all(person.host == other for person in everybody) and _is_fresh(outside)

    if cut_s > 5:
        moved_s = await until(is_elsewhere, 25, "its people to come back through the other host")
        print(f"{name} was cut off; everybody sees everybody through the other host after {moved_s:.1f} s")
    await asyncio.sleep(max(0.0, cut_s - (time.monotonic() - began_s)))
    offsets = [console.at["offset"] for console in outside]
    town.lab.join(name)
    healed_s = await until(
        lambda: _is_fresh(people.consoles) and all(one.at["offset"] > max(offsets) for one in people.consoles),
        30,
        "the host that was cut off to be whole",
    )
    print(f"joined again {time.monotonic() - began_s - healed_s:.1f} s after the cut; healed {healed_s:.1f} s later")


def _published(town: Town) -> int:
    """How many events of the campus there are, when all of them have been published."""

    def count() -> tuple[int, int]:
        with psycopg.connect(town.database_url) as books:
            row = books.execute("SELECT count(*), count(*) FILTER (WHERE published_at IS NULL) FROM events").fetchone()
            assert row is not None
            return row[0], row[1]

    wait_until(lambda: town.lab.hosts["books"].do(count)[1] == 0, 20, "the relay")
    return town.lab.hosts["books"].do(count)[0]


def test_a_host_is_cut_off_and_joined_again(town: Town) -> None:
    consoles = town.lab.hosts["people"].do(lambda: asyncio.run(scenario(town)))
    for console in consoles:
        assert console.complaints == []
        assert console.began_anew == 1, "somebody had to begin anew"
        top = max(console.events)
        assert sorted(console.events) == list(range(console.first + 1, top + 1))
        assert len(set(console.events.values())) == len(console.events)
    with_most = max(consoles, key=lambda one: len(one.events))
    for console in consoles:
        assert all(with_most.events.get(offset, event) == event for offset, event in console.events.items())

    def published_ids() -> set[str]:
        with psycopg.connect(town.database_url) as books:
            return {row[0] for row in books.execute("SELECT id FROM events")}

    assert set(with_most.events.values()) <= town.lab.hosts["books"].do(published_ids)
    print(f"{len(with_most.events)} events, {len(consoles)} consoles: none missed, none twice")
