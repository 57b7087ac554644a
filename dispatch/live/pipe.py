"""The way of what each flush writes: many commands in one write, their answers in order, one batch at a time.

The client library's pipeline does the same for any caller and costs six times as much; at twenty flushes a second that
is a tenth of what a position costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError, ResponseError

from .cluster import ClusterClient
from .connect import RedisClient
from .link import Link

#: Of these errors Redis will say the same again; any other passes when the server is well.
_FINAL = ("ERR ", "WRONGTYPE ", "NOPERM ")


class Pipe:
    """Opened with the first batch, and again with the next one after it was lost."""

    def __init__(self, redis: RedisClient, *, timeout_s: float = 5.0) -> None:
        self._redis = redis
        self._timeout_s = timeout_s
        self._link: Link | None = None
        self._answers: list[Any] = []
        self._awaited = 0
        self._done: asyncio.Future[None] | None = None
        self._lock = asyncio.Lock()

    async def send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """An answer to each command, errors among them. Raises a Redis error or TimeoutError when the answers do not
        come; what was sent may have been done or not."""
        if isinstance(self._redis, ClusterClient):
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return await pipeline.execute(raise_on_error=False)
        async with self._lock:
            link = self._link
            if link is None or link.lost.done():
                link = self._link = await Link.open(self._redis, self._take)
            self._answers, self._awaited = [], len(commands)
            done = self._done = asyncio.get_running_loop().create_future()
            link.lost.add_done_callback(self._lost)
            link.send(*map(tuple, commands))
            try:
                async with asyncio.timeout(self._timeout_s):
                    await done
            except BaseException:
                # Answers that come later would be taken for those of the next batch.
                link.close()
                raise
            finally:
                link.lost.remove_done_callback(self._lost)
            return self._answers

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def _take(self, answer: Any) -> None:
        if isinstance(answer, hiredis.ReplyError):
            text = str(answer)
            answer = ResponseError(text) if text.startswith(_FINAL) else RedisError(text)
        self._answers.append(answer)
        if len(self._answers) == self._awaited and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _lost(self, _: asyncio.Future[None]) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(LostConnection("the connection was lost before Redis had answered"))
