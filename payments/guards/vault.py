"""The vault: a token for an openid, a bank account or a card, and the secret behind it sealed with AES-256-GCM.

A token is a random word that says nothing. A sealed secret opens only together with its token, its kind and its
account, so a row that somebody copies onto another account is noticed. Tokens are opened for one call and not before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payments.store.unit_of_work import Store, UnitOfWork
from payments.store.vault_rows import Sealed

KEY_BYTES = 32
_NONCE_BYTES = 12
#: Secrets of one kind that an account may have; an older one is forgotten.
MOST_OF_A_KIND = 10
#: How many rows one transaction seals anew.
BATCH = 200


class UnknownToken(LookupError):
    """There is no such token, or it is another account's: the two look the same from outside."""


class SealBroken(Exception):
    """A sealed secret cannot be opened: its key is not here, or it was changed or moved."""


class Vault:
    """Seals with the current key, opens with any that it was given. ``keys`` maps short ids to 32 bytes each;
    ``lookup_key`` finds a secret that was given before, and must stay when keys are rotated."""

    def __init__(self, keys: Mapping[str, bytes], current: str, lookup_key: bytes) -> None:
        if current not in keys:
            raise ValueError(f"the current key {current!r} is not among the keys")
        if len(lookup_key) < KEY_BYTES or any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._lookup_key = lookup_key
        self.current = current

    def __repr__(self) -> str:
        return f"Vault({len(self._ciphers)} keys)"

    def tokenize(self, uow: UnitOfWork, kind: str, account_ref: str, secret: str, now: datetime) -> str:
        """The token of this account's secret; the same one when it was given before."""
        fingerprint = self.fingerprint(f"{kind}\n{account_ref}", secret)
        known = uow.vault.find(kind, account_ref, fingerprint)
        if known is not None:
            uow.vault.touch(known.token, now)
            return known.token
        token = f"tok_{secrets.token_hex(16)}"
        sealed = self._seal(token, kind, account_ref, secret)
        uow.vault.add(
            Sealed(
                token=token,
                kind=kind,
                account_ref=account_ref,
                fingerprint=fingerprint,
                key_id=self.current,
                sealed=sealed,
                created_at=now,
            )
        )
        uow.vault.keep_newest(kind, account_ref, MOST_OF_A_KIND)
        return token

    def newest(self, uow: UnitOfWork, account_ref: str, kinds: Iterable[str]) -> dict[str, str]:
        """What an account entrusted last, by kind; only for a call, and kept nowhere."""
        rows = {kind: uow.vault.newest(kind, account_ref) for kind in kinds}
        return {kind: self._open(row) for kind, row in rows.items() if row is not None}

    def reveal(self, uow: UnitOfWork, token: str, account_ref: str) -> str:
        """What is behind an account's token: only for a call, and kept nowhere. UnknownToken, SealBroken."""
        row = uow.vault.get(token)
        if row is None or row.account_ref != account_ref:
            raise UnknownToken(token)
        return self._open(row)

    def fingerprint(self, kind: str, text: str) -> str:
        """The same for the same text; without the look-up key it says nothing, not even to one who guesses."""
        return hmac.new(self._lookup_key, f"{kind}\n{text}".encode(), hashlib.sha256).hexdigest()[:32]

    def _seal(self, token: str, kind: str, account_ref: str, secret: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, secret.encode(), _bound_to(token, kind, account_ref))
        return base64.b64encode(nonce + sealed).decode()

    def _open(self, row: Sealed) -> str:
        cipher = self._ciphers.get(row.key_id)
        if cipher is None:
            raise SealBroken(f"the key {row.key_id!r} is not here")
        try:
            sealed = base64.b64decode(row.sealed, validate=True)
            bound = _bound_to(row.token, row.kind, row.account_ref)
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise SealBroken(f"{row.token} was changed, moved, or sealed with another key of the same name") from None

    def reseal(self, uow: UnitOfWork, row: Sealed) -> None:
        """Seal what an older key sealed with the current one."""
        sealed = self._seal(row.token, row.kind, row.account_ref, self._open(row))
        uow.vault.reseal(row.token, row.key_id, key_id=self.current, sealed=sealed)


def _bound_to(token: str, kind: str, account_ref: str) -> bytes:
    return "\n".join((token, kind, account_ref)).encode()


async def rotate(store: Store, vault: Vault) -> int:
    """Seal everything with the current key, in transactions of their own; how much was. It may be stopped and begun
    again at any time, and others may use the vault meanwhile; once it returns, the older keys can be dropped."""
    done = 0

    def some(uow: UnitOfWork) -> int:
        rows = uow.vault.not_sealed_with(vault.current, BATCH)
        for row in rows:
            vault.reseal(uow, row)
        return len(rows)

    while count := await store.run(some):
        done += count
    return done
