"""The operators' own port on 127.0.0.1: /metrics of all processes and /processes, never on the public port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import orjson
from prometheus_client import CONTENT_TYPE_LATEST

from dispatch.metrics import ProcessReport, merged_page

log = logging.getLogger(__name__)

REQUEST_DEADLINE_S = 5.0
LONGEST_REQUEST = 8192


class MetricsPort:
    """Answers two plain GETs; one answer per connection is all that a scraper needs."""

    def __init__(self, folder: Path, reports: Callable[[], list[ProcessReport]]) -> None:
        self._folder = folder
        self._reports = reports
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", port, limit=LONGEST_REQUEST)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), REQUEST_DEADLINE_S)
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, content_type, body = self._page(head.split(b"\r\n", 1)[0].decode("latin-1"))
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("a connection of the metrics port ended without a whole request")
        finally:
            writer.close()

    def _page(self, request_line: str) -> tuple[str, str, bytes]:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method != "GET":
            return "405 Method Not Allowed", "text/plain", b"only GET\n"
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, merged_page(self._folder, self._reports())
        if path == "/processes":
            return "200 OK", "application/json", orjson.dumps([asdict(report) for report in self._reports()])
        return "404 Not Found", "text/plain", b"/metrics or /processes\n"
