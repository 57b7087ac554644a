"""One order the whole way over the real edges: placed, paid, offered, accepted, carried, handed over, confirmed."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import websockets

from tests.e2e_server import Server


class Person:
    """Somebody with an account: HTTP with a bearer token, and one socket."""

    def __init__(self, server: Server, account: dict[str, Any], http: aiohttp.ClientSession) -> None:
        self.server, self.account, self.http = server, account, http
        self.token = ""
        self.socket: Any = None
        self.heard: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    async def sign_in(self) -> None:
        body = {
            "phone": self.account["phone"],
            "campus_id": self.server.plan["campus_id"],
            "password": self.server.plan["password"],
        }
        self.token = (await self.call("POST", "/auth/sign-in", body))["access_token"]

    async def call(self, method: str, path: str, body: Any = None, expect: int | None = None, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **headers} if self.token else dict(headers)
        url = f"{self.server.url}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == expect if expect else answer.status < 300, (
                f"{method} {path}: {answer.status} {text}"
            )
            return json.loads(text) if text else None

    async def connect(self, stack: AsyncExitStack, *topics: str) -> None:
        token = (await self.call("POST", "/auth/socket-token", {}))["token"]
        self.socket = await stack.enter_async_context(
            websockets.connect(f"ws://127.0.0.1:{self.server.port}/ws", subprotocols=["campus.v1.json"])
        )
        await self.send(t="hello", token=token, acks=True)
        reader = asyncio.create_task(self._read())
        stack.callback(reader.cancel)
        await self.wait(lambda frame: frame["t"] == "welcome")
        for number, topic in enumerate(topics):
            await self.send(t="follow", re=number, topic=topic)
            await self.wait(lambda frame, topic=topic: frame["t"] == "followed" and frame["topic"] == topic)

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def _read(self) -> None:
        async for message in self.socket:
            self.heard.append(json.loads(message))
            self._changed.set()

    async def wait(self, fits: Any, seconds: float = 20) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while True:
                self._changed.clear()
                for frame in self.heard:
                    if fits(frame):
                        return frame
                await self._changed.wait()

    async def event(self, kind: str, topic: str) -> dict[str, Any]:
        return await self.wait(
            lambda frame: frame["t"] == "event" and frame["kind"] == kind and frame["topic"] == topic
        )


async def people_of(server: Server, http: aiohttp.ClientSession, role: str, count: int) -> list[Person]:
    accounts = [one for one in server.plan["accounts"] if one["role"] == role][:count]
    people = [Person(server, account, http) for account in accounts]
    for person in people:
        await person.sign_in()
    return people


async def place(student: Person, **more: Any) -> dict[str, Any]:
    """Quote and place a parcel errand between two quick addresses."""
    campus = student.server.plan["campus_id"]
    places = await student.call("GET", f"/campuses/{campus}/places?q=&limit=10")
    wish = {
        "type_code": "parcel",
        "stops": [{"place_id": places[0]["id"]}, {"place_id": places[3]["id"], "detail": "312 室"}],
        "weight_g": 1500,
        **more,
    }
    quote = await student.call("POST", "/quotes", wish)
    body = {**wish, "description": "菜鸟驿站 8-2-3041", "expected_total_fen": quote["total_fen"]}
    order: dict[str, Any] = await student.call("POST", "/orders", body, **{"Idempotency-Key": uuid.uuid4().hex})
    return order


async def pay(student: Person, order_id: str) -> None:
    async with asyncio.timeout(15):
        while True:
            payment = (await student.call("GET", f"/orders/{order_id}"))["payment"]
            if payment and payment["credential"]:
                break
            await asyncio.sleep(0.05)
    await student.call("POST", "/sandbox/pay", {"token": payment["credential"]["token"]})


async def report(runner: Person, welcome: dict[str, Any], lat: float, lon: float) -> None:
    """A phone that says twice a second where it is, in business time."""
    began = time.monotonic()
    for number in itertools.count(1):
        at = welcome["now_ms"] + round((time.monotonic() - began) * 1000 * welcome["time_scale"])
        await runner.send(t="fix", seq=number, at=at, lat=lat + number * 1e-7, lon=lon, acc=8.0)
        await asyncio.sleep(0.5)


async def test_an_order_goes_the_whole_way(server: Server) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        campus = server.plan["campus_id"]
        (student,) = await people_of(server, http, "student", 1)
        (runner,) = await people_of(server, http, "runner", 1)
        (operator,) = await people_of(server, http, "operator", 1)
        await operator.connect(stack, f"console:{campus}")
        await runner.call("POST", "/runner/duty", {"is_on": True})
        await runner.connect(stack, f"runner:{runner.account['account_id']}")
        welcome = await runner.wait(lambda frame: frame["t"] == "welcome")
        view = await runner.call("GET", f"/campuses/{campus}")
        phone = asyncio.create_task(report(runner, welcome, view["lat"], view["lon"]))
        stack.callback(phone.cancel)
        await runner.wait(lambda frame: frame["t"] == "ack" and frame["accepted"] >= 1)
        await operator.wait(lambda frame: frame["t"] == "pos")

        order = await place(student)
        topic = f"order:{order['id']}"
        await student.connect(stack, topic)
        await pay(student, order["id"])
        await student.event("order_paid", topic)

        offer = (await runner.event("task_offered", f"runner:{runner.account['account_id']}"))["data"]["offer"]
        assert offer["order_id"] == order["id"]
        await runner.call("POST", f"/offers/{offer['id']}/accept", {})
        assigned = await student.event("task_assigned", topic)
        assert assigned["data"]["runner_id"] == runner.account["account_id"]
        position = await student.wait(lambda frame: frame["t"] == "pos" and frame["topic"] == topic)
        assert position["p"][0][0] == runner.account["account_id"]

        await runner.call("POST", f"/orders/{order['id']}/arrived", {})
        await runner.call("POST", f"/orders/{order['id']}/picked-up", {})
        seen = await student.call("GET", f"/orders/{order['id']}")
        refused = await runner.call(
            "POST", f"/orders/{order['id']}/delivered", {"pin": f"{(int(seen['pin']) + 1) % 10000:04d}"}, expect=422
        )
        assert refused["error"]["code"] == "wrong_pin"
        await runner.call("POST", f"/orders/{order['id']}/delivered", {"pin": seen["pin"]})
        await student.event("order_delivered", topic)
        await student.call("POST", f"/orders/{order['id']}/confirm", {})
        await student.call("POST", f"/orders/{order['id']}/rating", {"stars": 5, "text": "很快"})
        why = await operator.call("GET", f"/orders/{order['id']}/why")
        assert why["decisions"][0]["runner_id"] == runner.account["account_id"]
        timeline = await student.call("GET", f"/orders/{order['id']}/timeline")
        kinds = [event["kind"] for event in timeline["events"]]
        assert kinds[:3] == ["order_placed", "payment_ready", "order_paid"]
        assert kinds[-2:] == ["order_confirmed", "order_rated"]
