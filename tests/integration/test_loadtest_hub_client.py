"""The load test's connection against a real hub: what it asked for lasts beyond the renewal of its token."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Any

import aiohttp

from dispatch.wire.hub_server import HubOptions
from loadtest.figures import Figures
from loadtest.hub_client import HubClient
from tests.hub_world import Server, World, now_ms


async def test_fixes_are_acknowledged_after_the_token_was_renewed(redis_url: str) -> None:
    server = Server(redis_url, World(), HubOptions(hello_lasts_s=4))
    await server.start()
    heard: list[dict[str, Any]] = []

    async def token() -> str:
        return "acc_r/runner"

    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}"
            figures = Figures(time.perf_counter)
            client = HubClient(session, url, token, heard.append, figures, Random(1), wants_acks=True)
            running = asyncio.create_task(client.run())
            async with asyncio.timeout(20):
                while sum(frame["t"] == "welcome" for frame in heard) < 2:
                    await asyncio.sleep(0.01)
                welcomes = {frame["connection"] for frame in heard if frame["t"] == "welcome"}
                assert len(welcomes) == 1, "renewed, not connected again"
                heard.clear()
                client.send({"t": "fix", "seq": 7, "at": now_ms(server), "lat": 30.5, "lon": 114.4})
                while not any(frame["t"] == "ack" and frame["accepted"] == 1 for frame in heard):
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await server.stop()
