"""People around several web hosts: they come back through another host, and their consoles note what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgpack
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from tests.host_town import PORT, Town

FIX_EVERY_S = 0.2
DUTY_EVERY_S = 0.15
LOST = (OSError, TimeoutError, WebSocketException, aiohttp.ClientError)


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


def _connected(address: tuple[str, int]) -> socket.socket:
    made = socket.create_connection(address, 5)
    made.setblocking(False)
    return made


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
