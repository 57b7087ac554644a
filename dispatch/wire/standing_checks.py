"""Asks the books who the speakers of connections are today, many at a time, and again until the books answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dispatch.hub.connection import Connection
from dispatch.hub.host import Stage
from dispatch.hub.rules import Principal, Standing
from dispatch.model.errors import Refusal

from .lines import Slices

log = logging.getLogger(__name__)

#: Speakers asked about in one transaction.
BATCH = 100
_ANSWER_S = 3.0
_PAUSE_S = 1.0

Ask = Callable[[Sequence[Any]], Awaitable[Sequence[Standing | Refusal]]]
Answer = Callable[[Connection, Principal, Standing | Refusal], None]


@dataclass(slots=True)
class _Waiting:
    """What goes on once a connection's question is answered, or ``until_s`` is over."""

    until_s: float
    then: list[Callable[[], None]] = field(default_factory=list)


class StandingChecks:
    """One question after the other. Whoever waits for an answer waits no longer than a few seconds: while the books
    are away a connection goes on with what its token says, and is asked about until they are back."""

    def __init__(self, ask: Ask, answer: Answer, is_heard: Callable[[str], Awaitable[None]]) -> None:
        """``is_heard`` waits until the campus's events are heard here, so that no change falls between."""
        self._ask = ask
        self._answer = answer
        self._is_heard = is_heard
        self._asked: dict[Connection, None] = {}
        self._waiting: dict[Connection, _Waiting] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, connection: Connection) -> None:
        """Ask about this connection soon; one that is being asked about already is asked about again."""
        self._asked[connection] = None
        if connection not in self._waiting:
            self._waiting[connection] = _Waiting(asyncio.get_running_loop().time() + 2 * _ANSWER_S)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="standing-checks")

    def then(self, connection: Connection, go_on: Callable[[], None]) -> None:
        """Go on once what was asked about this connection is answered, or cannot be for now; at once if nothing was."""
        waiting = self._waiting.get(connection)
        if waiting is None:
            go_on()
        else:
            waiting.then.append(go_on)

    async def done(self, connection: Connection) -> None:
        """Wait until what was asked about this connection is answered, or cannot be for now."""
        if connection in self._waiting:
            is_done = asyncio.Event()
            self.then(connection, is_done.set)
            await is_done.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1.0)

    async def _run(self) -> None:
        while self._asked:
            batch = list(islice(self._asked, BATCH))
            for connection in batch:
                del self._asked[connection]
            asked = [(one, one.principal) for one in batch if one.principal is not None and one.stage is Stage.OPEN]
            if await self._ask_about(asked):
                for connection in batch:
                    if connection not in self._asked:
                        self._go_on(connection)
                self._release_overdue()
            else:
                self._asked.update(dict.fromkeys(connection for connection, _ in asked))
                # Those behind would only find the same.
                for connection in list(self._waiting):
                    self._go_on(connection)
                await asyncio.sleep(_PAUSE_S)

    def _release_overdue(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._waiting:
            connection, waiting = next(iter(self._waiting.items()))
            if waiting.until_s > now_s:
                return
            self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        waiting = self._waiting.pop(connection, None)
        for go_on in waiting.then if waiting is not None else ():
            try:
                go_on()
            except Exception:
                log.exception("connection %s", connection.id)

    async def _ask_about(self, asked: list[tuple[Connection, Principal]]) -> bool:
        if not asked:
            return True
        for campus_id in {connection.campus_id for connection, _ in asked}:
            await self._is_heard(campus_id)
        try:
            async with asyncio.timeout(_ANSWER_S):
                answers = await self._ask([principal for _, principal in asked])
        except Exception as error:
            log.warning("who %d connections speak for is not known yet: %r", len(asked), error)
            return False
        slices = Slices()
        for (connection, principal), answer in zip(asked, answers, strict=True):
            try:
                self._answer(connection, principal, answer)
            except Exception:
                # A bug of ours costs one connection, not the answers of the others.
                log.exception("connection %s", connection.id)
            await slices.breathe()
        return True
