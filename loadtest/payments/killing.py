"""Who is killed while payments are made, and when: the whole server, one of its processes, or a provider."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Sequence
from random import Random

import aiohttp

from ..own_server import OwnServer
from .providers import Provider

#: Real seconds between two kills, drawn between these.
KILL_S = (6.0, 14.0)
#: Victims, by how often; the server is all of its processes at once, its Redis among them.
VICTIMS = {"server": 6, "web": 1, "jobs": 2, "redis": 1, "provider": 2}
#: Real seconds for which a provider is not there.
AWAY_S = (0.1, 3.0)


class Killing:
    """Kills with SIGKILL, again and again, and sees to it that what was killed comes back. ``kills`` counts them."""

    def __init__(
        self, session: aiohttp.ClientSession, server: OwnServer, providers: Sequence[Provider], luck: Random
    ) -> None:
        self._session = session
        self._server = server
        self._providers = providers
        self._luck = luck
        self.kills: Counter[str] = Counter()

    async def go_on(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._luck.uniform(*KILL_S))
            (victim,) = self._luck.choices(list(VICTIMS), list(VICTIMS.values()))
            await self.kill(victim)

    async def kill(self, victim: str) -> None:
        """One of ``VICTIMS``. The server's supervisor starts a lost process again by itself."""
        if victim == "server":
            await self._server.kill()
            await self._server.start()
        elif victim == "provider":
            provider = self._luck.choice(self._providers)
            await provider.kill()
            await asyncio.sleep(self._luck.uniform(*AWAY_S))
            await provider.start()
        else:
            await self._kill_process(victim)
        self.kills[victim] += 1

    async def _kill_process(self, role: str) -> None:
        async with self._session.get(self._server.processes_url) as response:
            pids = [int(row["pid"]) for row in await response.json(content_type=None) if row["role"] == role]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._luck.choice(pids), signal.SIGKILL)

    async def put_right(self) -> None:
        """Whatever was being killed when it was cancelled is there again."""
        await self._server.stop()
        await self._server.start()
        for provider in self._providers:
            if not provider.is_running:
                await provider.start()
