"""Waiting for a condition, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(is_so: Callable[[], bool], longest_s: float, every_s: float = 0.25) -> bool:
    """Wait for a condition, at most ``longest_s`` real seconds; whether it came true."""
    end_s = time.perf_counter() + longest_s
    while not is_so():
        if time.perf_counter() >= end_s:
            return False
        await asyncio.sleep(every_s)
    return True
