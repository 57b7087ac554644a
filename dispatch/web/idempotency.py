"""The same write sent again gets the answer of the first time (``Idempotency-Key``)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..access.principal import Principal

if TYPE_CHECKING:
    from ..flow.context import Context


def request_hash(method: str, path: str, body: bytes) -> str:
    """What must be equal for two requests to be the same."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.hexdigest()


class KeptAnswers:
    """Keeps the answers of routes whose flow does not keep them itself.

    Two requests with one key wait for each other within a process. Between processes, and when the server dies between
    the act and the note of it, the acts themselves stand guard: each is bound to a state or a version.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        # (account, key) -> its lock and how many hold or await it.
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    async def once(self, who: Principal, key: str, digest: str, act: Callable[[], Awaitable[bytes]]) -> bytes:
        """The stored answer, or that of ``act``; raises ``KeyReused`` for another request under the same key."""
        name = (who.account_id, key)
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = (lock, users + 1)
        try:
            async with lock:
                return await self._once(who, key, digest, act)
        finally:
            lock, users = self._locks.pop(name)
            if users > 1:
                self._locks[name] = (lock, users - 1)

    async def _once(self, who: Principal, key: str, digest: str, act: Callable[[], Awaitable[bytes]]) -> bytes:
        account = who.account_id
        stored = await self._ctx.store.read(who.campus_id, lambda uow: uow.idempotency.stored(account, key, digest))
        if stored is not None:
            return stored
        answer = await act()
        await self._ctx.store.run(who.campus_id, lambda uow: uow.idempotency.store(account, key, digest, answer))
        return answer
