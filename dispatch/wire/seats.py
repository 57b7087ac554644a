"""Finds out where runners who just connected were last seen, many at a time, and then lets them report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dispatch.flow.track_runner import LiveTable
from dispatch.hub.codes import CloseCode
from dispatch.hub.connection import Connection
from dispatch.live.connect import RedisTrouble
from dispatch.live.presence import Presence

from .standing_checks import StandingChecks

log = logging.getLogger(__name__)

#: Runners asked about in one round trip.
BATCH = 500
_ANSWER_S = 1.0


class Seats:
    """What another worker knew of a runner keeps an older fix from moving the dot back. When Redis does not say it in
    time, the runner's first fix is believed."""

    def __init__(self, presence: Presence, table: LiveTable, checks: StandingChecks, stamp: Callable[[], None]) -> None:
        """``stamp`` says what time it is to the hub."""
        self._presence = presence
        self._table = table
        self._checks = checks
        self._stamp = stamp
        self._waiting: dict[Connection, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, connection: Connection) -> None:
        """Find out about this runner, then call the connection's ``ready``."""
        self._waiting[connection] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="seats")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)

    async def _run(self) -> None:
        while self._waiting:
            batch = list(self._waiting)[:BATCH]
            for connection in batch:
                del self._waiting[connection]
                # Answers come for many at once: for most of a batch this is no wait.
                await self._checks.done(connection)
            await self._seed(batch)
            self._stamp()
            for connection in batch:
                try:
                    connection.ready()
                except Exception:
                    log.exception("connection %s", connection.id)
                    connection.close(CloseCode.INTERNAL_ERROR)

    async def _seed(self, batch: list[Connection]) -> None:
        by_campus: dict[str, list[str]] = {}
        for connection in batch:
            if connection.is_tracked:
                by_campus.setdefault(connection.campus_id, []).append(connection.account_id)
        for campus_id, runner_ids in by_campus.items():
            try:
                async with asyncio.timeout(_ANSWER_S):
                    fixes = await self._presence.get(campus_id, runner_ids)
            except RedisTrouble as error:
                log.info("where %d runners were last seen is not known: %r", len(runner_ids), error)
                continue
            for runner_id, fix in fixes.items():
                self._table.seed(campus_id, runner_id, fix)
