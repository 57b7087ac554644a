"""Lua scripts by their hash: sent whole only to a server that does not know them, as after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from .connect import RedisClient


class Script:
    """A script's text and hash."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def run_script(redis: RedisClient, script: Script, calls: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
    """Run ``script`` once per call, pipelined; a call is the number of its keys, then keys and arguments.

    A server that lacks the script is given it and asked again, calls that had worked included: scripts run here must
    not mind being repeated.
    """
    try:
        return await _pipelined(redis, "EVALSHA", script.sha, calls)
    except ResponseError as error:
        if not isinstance(error, NoScriptError) and "NOSCRIPT" not in str(error):
            raise
        return await _pipelined(redis, "EVAL", script.text, calls)


async def _pipelined(
    redis: RedisClient, command: str, script: str, calls: Sequence[tuple[int, Sequence[Any]]]
) -> list[Any]:
    if len(calls) == 1:
        count, args = calls[0]
        return [await redis.execute_command(command, script, count, *args)]
    pipe = redis.pipeline(transaction=False)
    for count, args in calls:
        pipe.execute_command(command, script, count, *args)
    return await pipe.execute()
