"""Whether this process lives, and whether it can serve: asked by whoever sends traffic here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import orjson
from tornado.web import RequestHandler

from .headers import WebSettings, set_security_headers

#: A check that takes longer has failed.
CHECK_S = 2.0

#: Raises when the part it looks at cannot be used.
Check = Callable[[], Awaitable[object]]


class HealthHandler(RequestHandler):
    """``/healthz``: the process answers."""

    def set_default_headers(self) -> None:
        set_security_headers(self, cast(WebSettings, self.application.settings["web"]))
        self.set_header("Cache-Control", "no-store")

    def get(self) -> None:
        self.finish({"status": "ok"})

    head = get


class ReadyHandler(RequestHandler):
    """``/readyz``: every part that a request needs answers; 503 names those that do not."""

    def initialize(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    def set_default_headers(self) -> None:
        set_security_headers(self, cast(WebSettings, self.application.settings["web"]))
        self.set_header("Cache-Control", "no-store")

    async def get(self) -> None:
        outcomes = await asyncio.gather(*(_passes(check) for check in self._checks.values()))
        parts = {name: "ok" if is_ok else "failed" for name, is_ok in zip(self._checks, outcomes, strict=True)}
        is_ready = all(outcomes)
        self.set_status(200 if is_ready else 503)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(orjson.dumps({"status": "ready" if is_ready else "not_ready", "parts": parts}))

    head = get


async def _passes(check: Check) -> bool:
    try:
        return await asyncio.wait_for(_called(check), CHECK_S) is not False
    except Exception:
        # Whatever it was, the part cannot be used; what exactly is the business of the log and of the doctor.
        return False


async def _called(check: Check) -> object:
    return await check()
