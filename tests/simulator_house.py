"""A simulator in this process, and a merchant's server that it calls."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
from aiohttp import ClientSession, web

from payments.channels import wechat_signing as signing
from payments.channels.signing_keys import private_key
from payments.simulator.faults import read
from payments.simulator.house import House, Plan

DEADLINE_S = 10.0


@lru_cache(maxsize=1)
def keys_made() -> Path:
    """A state file with keys in it: making them takes longer than most tests."""
    path = Path(mkdtemp(prefix="simulator-keys-")) / "state.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    House(Plan(state=path)).close()
    return path


def state_with_keys(folder: Path) -> Path:
    """A fresh state with the keys that all tests share."""
    target = folder / "simulator.db"
    shutil.copy(keys_made(), target)
    return target


async def until(is_so: Callable[[], Any], what: str = "it") -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come to pass"
        await asyncio.sleep(0.01)


class Caller:
    """A merchant that signs by hand, so that it can also sign wrongly."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.given = house.settings()["wechat"]
        self.key = private_key("private_key", self.given["private_key"])

    async def ask(
        self, method: str, target: str, words: Any = None, *, base: str = "", key_named: str = "", **twist: str
    ) -> tuple[int, Any, dict[str, str]]:
        body = b"" if words is None else json.dumps(words).encode()
        timestamp = twist.pop("timestamp", str(int(self.house.clock.wall_s())))
        fields = {"mchid": self.given["mchid"], "serial": self.given["serial_no"], "nonce": "n0nce", **twist}
        header = signing.authorization(self.key, method=method, target=target, body=body, timestamp=timestamp, **fields)
        serial = {"Wechatpay-Serial": key_named} if key_named else {}
        async with (
            ClientSession() as session,
            session.request(
                method, (base or self.house.base_url) + target, data=body, headers={"Authorization": header} | serial
            ) as response,
        ):
            text = await response.read()
            return response.status, msgspec.json.decode(text) if text else None, dict(response.headers)

    async def order(self, number: str, url: str, fen: int = 1000, **more: Any) -> tuple[int, Any]:
        words = {
            "appid": self.given["appid"],
            "mchid": self.given["mchid"],
            "description": "奶茶",
            "out_trade_no": number,
            "notify_url": url,
            "amount": {"total": fen},
            **more,
        }
        status, said, _ = await self.ask("POST", "/v3/pay/transactions/native", words)
        return status, said


class Merchant:
    """A merchant's callback server: it keeps what came, and answers as it was told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        #: The next answers; then 204.
        self.answers: list[int] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/notify", self._hear)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self.url = f"http://127.0.0.1:{port}/notify"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _hear(self, request: web.Request) -> web.Response:
        self.heard.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 204)


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[House]:
    """A started house."""
    house = House(plan)
    await house.start()
    try:
        yield house
    finally:
        await house.stop()


@asynccontextmanager
async def merchant_server() -> AsyncIterator[Merchant]:
    """A started merchant."""
    merchant = Merchant()
    await merchant.start()
    try:
        yield merchant
    finally:
        await merchant.stop()


async def admin(house: House, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """Ask the administration: status and JSON."""
    async with ClientSession() as session:
        kwargs = {} if body is None else {"json": body}
        async with session.request(method, house.base_url + path, **kwargs) as response:
            return response.status, msgspec.json.decode(await response.read())


def wrong(house: House, *faults: str) -> None:
    """Let these go wrong."""
    for text in faults:
        house.faults.add(read(text))
