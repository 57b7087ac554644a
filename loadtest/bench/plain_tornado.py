"""The server that one would write first: Tornado's WebSocketHandler on uvloop, with our decoder and our Redis batch.

No tokens, no filters, no geofences, no metrics, no resume. A runner's connection (`/ws?runner=ID`) sends fixes; the
newest of each is written to Redis every 50 ms in one pipeline, and passed on to the connections that follow the runner
(`/ws?follow=ID`), built once for all of them. `GET /stats` answers what it counted as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import msgspec
import tornado.web
import tornado.websocket
import uvloop

from dispatch.hub.frames import MSGPACK, Positions, ReportFix
from dispatch.live.connect import RedisClient, connect
from dispatch.processes import raise_open_files

from .machine import end_with_parent

FLUSH_S = 0.05
_pack = msgspec.msgpack.Encoder().encode


class Table:
    """The newest fix of each runner since the last flush, and who follows whom."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self.newest: dict[str, ReportFix] = {}
        self.followers: dict[str, set[Socket]] = {}
        self.counts = {"fixes": 0, "members": 0, "deliveries": 0, "flushes": 0}

    async def run(self) -> None:
        """Flush for ever. Redis is written to after the watchers, one write at a time."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + FLUSH_S
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s = max(due_s + FLUSH_S, loop.time())
            newest, self.newest = self.newest, {}
            if newest:
                self._tell(newest)
                await self._write(newest)

    def _tell(self, newest: dict[str, ReportFix]) -> None:
        now_ms = time.time_ns() // 1_000_000
        for runner_id, fix in newest.items():
            if followers := self.followers.get(runner_id):
                row = (runner_id, fix.lat, fix.lon, fix.at, fix.brg, fix.spd, fix.acc, now_ms)
                payload = _pack(Positions(f"runner:{runner_id}", (row,)))
                for follower in followers:
                    follower.write_message(payload, binary=True)
                    self.counts["deliveries"] += 1

    async def _write(self, newest: dict[str, ReportFix]) -> None:
        now_ms = time.time_ns() // 1_000_000
        places: list[Any] = []
        seen: list[Any] = []
        rows: list[Any] = []
        for runner_id, fix in newest.items():
            places += (fix.lon, fix.lat, runner_id)
            seen += (now_ms, runner_id)
            rows += (runner_id, _pack((fix.lat, fix.lon, fix.at, fix.brg, fix.spd, fix.acc, now_ms)))
        pipe = self._redis.pipeline(transaction=False)
        pipe.execute_command("GEOADD", "plain:geo", *places)
        pipe.execute_command("ZADD", "plain:seen", "GT", *seen)
        pipe.execute_command("HSET", "plain:fix", *rows)
        await pipe.execute()
        self.counts["members"] += len(newest)
        self.counts["flushes"] += 1


class Socket(tornado.websocket.WebSocketHandler):
    """One connection of either kind."""

    def initialize(self, table: Table) -> None:
        self._table = table
        self._runner = self._follows = ""

    def check_origin(self, origin: str) -> bool:
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return MSGPACK.subprotocol if MSGPACK.subprotocol in subprotocols else None

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self._runner = self.get_argument("runner", "")
        self._follows = self.get_argument("follow", "")
        if self._follows:
            self._table.followers.setdefault(self._follows, set()).add(self)

    def on_message(self, message: str | bytes) -> None:
        frame = MSGPACK.decode(message if isinstance(message, bytes) else message.encode())
        if type(frame) is ReportFix:
            self._table.newest[self._runner] = frame
            self._table.counts["fixes"] += 1

    def on_close(self) -> None:
        if self._follows:
            self._table.followers.get(self._follows, set()).discard(self)


class Stats(tornado.web.RequestHandler):
    """What was counted."""

    def initialize(self, table: Table) -> None:
        self._table = table

    def get(self) -> None:
        self.write(dict(self._table.counts))


async def serve(port: int, redis_url: str) -> None:
    """Listen on 127.0.0.1 until the process is ended."""
    table = Table(connect(redis_url))
    words = {"table": table}
    tornado.web.Application([(r"/ws", Socket, words), (r"/stats", Stats, words)]).listen(
        port, "127.0.0.1", backlog=4096
    )
    await table.run()


def main() -> None:
    """Serve until ended; dies with the bench."""
    parser = argparse.ArgumentParser(description="Plain Tornado, for comparison with the hub.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis", required=True)
    told = parser.parse_args()
    end_with_parent()
    raise_open_files()
    uvloop.run(serve(told.port, told.redis))


if __name__ == "__main__":
    main()
