"""Idempotency keys in SQL: the same request again gets the stored answer, another request under the key is refused.

An answer shows what its caller may see - doors, phone numbers - so it is sealed like the rows that it was made from.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from ..model.errors import KeyReused
from .resealing import context_of
from .scope import CampusScope
from .tables import idempotency as t

#: A key may be used anew after this time.
KEY_KEPT = timedelta(hours=24)


class Idempotency:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def stored(self, account_id: str, key: str, request_hash: bytes | str) -> bytes | None:
        """The answer that this account got under this key; None when the key is new. Raises :class:`KeyReused`."""
        row = self._sql.execute(
            select(t.c.request_hash, t.c.answer, t.c.key_id).where(
                self._scope.mine(t),
                t.c.account_id == account_id,
                t.c.key == key,
                t.c.stored_at > self._scope.now - KEY_KEPT,
            )
        ).first()
        if row is None:
            return None
        if bytes(row.request_hash) != _as_bytes(request_hash):
            raise KeyReused(field="Idempotency-Key")
        if row.key_id is None:
            return bytes(row.answer)  # kept by a version that did not seal
        return self._scope.vault.open_bytes(bytes(row.answer), self._context(account_id, key))

    def store(self, account_id: str, key: str, request_hash: bytes | str, answer: bytes) -> None:
        """Keep the answer, in the transaction that made it true. Raises :class:`KeyReused` when another request has
        stored one under this key meanwhile; the same request's first answer stays."""
        vault = self._scope.vault
        fresh = {
            "request_hash": _as_bytes(request_hash),
            "answer": vault.seal_bytes(answer, self._context(account_id, key)),
            "key_id": vault.current,
            "stored_at": self._scope.now,
        }
        self._sql.execute(
            self._scope.upsert(t)
            .values(campus_id=self._scope.campus_id, account_id=account_id, key=key, **fresh)
            .on_conflict_do_update(
                index_elements=["campus_id", "account_id", "key"],
                set_=fresh,
                where=t.c.stored_at <= self._scope.now - KEY_KEPT,
            )
        )
        self.stored(account_id, key, request_hash)

    def _context(self, account_id: str, key: str) -> str:
        return context_of(self._scope.campus_id, account_id, key)


def _as_bytes(request_hash: bytes | str) -> bytes:
    return request_hash.encode() if isinstance(request_hash, str) else request_hash
