"""Payment providers of the load test's own: simulators as processes, one for each channel, so that one can be in
trouble while the other is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from dotenv import dotenv_values

from ..own_server import ServerFailed, free_port

READY_S = 30.0
STOP_S = 10.0
PAGE = 1000


@dataclass(slots=True)
class Provider:
    """One simulated provider behind one channel of the server. ``students``: the share of its orders that are paid by
    themselves, after ``think`` seconds. Its books outlive it in ``folder``."""

    code: str
    folder: Path
    options: tuple[str, ...] = ()
    students: float = 1.0
    think: str = "0.1-0.5"
    port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and wait until it has said what a merchant configures."""
        told = self.folder / f"{self.code}.env"
        told.unlink(missing_ok=True)
        with (self.folder / f"{self.code}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "payments.simulator", "--channels", "wechat", "--port", str(self.port)),
                *("--backup-port", "0", "--students", f"{self.students:g}", "--think", self.think),
                *("--state", str(self.folder / f"{self.code}.books"), "--env", str(told), *self.options),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        loop = asyncio.get_running_loop()
        until = loop.time() + READY_S
        while not told.exists() or not told.read_text().endswith("\n"):
            if self._process.returncode is not None or loop.time() > until:
                text = (self.folder / f"{self.code}.log").read_text(errors="replace")
                raise ServerFailed(f"the provider {self.code} did not start:\n{text[-2000:]}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """End it as a power cut would; ``start`` goes on from its books."""
        assert self._process is not None, "started before it is killed"
        self._process.kill()
        await self._process.wait()

    def settings(self, callback_url: str) -> dict[str, str]:
        """What the server is told to reach it: the provider's own words, under the name of this channel."""
        said = dotenv_values(self.folder / f"{self.code}.env", interpolate=False)
        own = "PAYMENTS_WECHAT_"
        named = {
            f"PAYMENTS_{self.code.upper()}_{name.removeprefix(own)}": text or ""
            for name, text in said.items()
            if name.startswith(own)
        }
        mine = f"PAYMENTS_{self.code.upper()}_"
        return named | {f"{mine}TRADE_TYPE": "native", f"{mine}NOTIFY_URL": f"{callback_url}/{self.code}"}

    async def books(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """Every order that it knows."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            async with session.get(f"{self.url}/admin/books?after={after}&limit={PAGE}") as response:
                response.raise_for_status()
                page = await response.json()
            found += page["orders"]
            after = page["next"]
        return found

    async def add_fault(self, session: aiohttp.ClientSession, fault: dict[str, Any]) -> None:
        """Let something go wrong from now on."""
        async with session.post(f"{self.url}/admin/faults", json=fault) as response:
            response.raise_for_status()

    async def set_calendar(self, session: aiohttp.ClientSession, now_ms: int) -> None:
        """Its calendar is the server's, whose noon need not be ours."""
        async with session.post(f"{self.url}/admin/clock", json={"now_ms": now_ms}) as response:
            response.raise_for_status()

    async def mend(self, session: aiohttp.ClientSession) -> None:
        """Nothing goes wrong any more."""
        async with session.delete(f"{self.url}/admin/faults") as response:
            response.raise_for_status()
