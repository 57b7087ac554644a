"""A process that ends lets those who are being answered have their answer, and sends the others elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

HEAD = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
Eventually = Callable[..., Awaitable[object]]


async def test_a_process_that_ends_waits_for_its_last_answers(house: Any, eventually: Eventually) -> None:
    at = urlsplit(house.url)
    assert await house.under_way.idle(0.0)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        writer.write(HEAD + b"{")  # half of what it says
        await eventually(lambda: house.under_way.count == 1)
        house.under_way.drain()
        assert not await house.under_way.idle(0.05)
        writer.write(b"}")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5.0)
        assert answer.startswith(b"HTTP/1.1 4") and b"Connection: close" in answer
        assert await house.under_way.idle(1.0)
    finally:
        writer.close()


async def test_who_leaves_in_the_middle_is_not_waited_for(house: Any, eventually: Eventually) -> None:
    at = urlsplit(house.url)
    _, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(HEAD + b"{")
    await eventually(lambda: house.under_way.count == 1)
    writer.close()
    assert await house.under_way.idle(5.0)
