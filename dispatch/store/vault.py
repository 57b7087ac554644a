"""Personal data at rest: AES-GCM values that name their key, and a keyed hash by which they can be looked up."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = 1
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value cannot be opened: its key is not here, or it was changed or moved to another row."""


class Vault:
    """Seals with the current key, opens with any key that it was given.

    ``keys`` maps a short key id to 16, 24 or 32 bytes. To rotate, add a key, make it ``current`` and let the store
    seal every row anew; then the old key can be dropped. ``lookup_key`` must stay: looking up depends on it.
    """

    def __init__(self, keys: Mapping[str, bytes], current: str, lookup_key: bytes) -> None:
        if current not in keys:
            raise ValueError(f"the current key {current!r} is not among the keys")
        if len(lookup_key) < 16:
            raise ValueError("the look-up key is shorter than 16 bytes")
        if any(not 0 < len(key_id.encode()) < 256 for key_id in keys):
            raise ValueError("a key id has 1 to 255 bytes")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._lookup_key = lookup_key
        self.current = current

    def seal(self, text: str, context: str = "") -> bytes:
        """``text``, encrypted. It opens only with the same ``context`` (say, the row's id), so a value that somebody
        copies into another row is noticed."""
        return self.seal_bytes(text.encode(), context)

    def open(self, sealed: bytes, context: str = "") -> str:
        """The text; raises :class:`SealBroken`."""
        return self.open_bytes(sealed, context).decode()

    def seal_bytes(self, plain: bytes, context: str = "") -> bytes:
        """As :meth:`seal`, for what is no text."""
        key_id = self.current.encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, plain, context.encode())
        return bytes((_FORM, len(key_id))) + key_id + nonce + sealed

    def open_bytes(self, sealed: bytes, context: str = "") -> bytes:
        """As :meth:`open`, for what is no text."""
        try:
            key_id = self.key_id(sealed)
            start = 2 + len(key_id.encode())
            nonce, rest = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
            return self._ciphers[key_id].decrypt(nonce, rest, context.encode())
        except KeyError:
            raise SealBroken(f"the key {key_id!r} that this value was sealed with is not here") from None
        except (InvalidTag, ValueError, IndexError):
            raise SealBroken("the value was changed, moved, or sealed with another key of the same name") from None

    @staticmethod
    def key_id(sealed: bytes) -> str:
        """Which key a value was sealed with."""
        if len(sealed) < 2 or sealed[0] != _FORM:
            raise SealBroken("this is no sealed value")
        return sealed[2 : 2 + sealed[1]].decode()

    def lookup_hash(self, text: str) -> bytes:
        """The same 32 bytes for the same text, useless to whoever has no look-up key."""
        return hmac.new(self._lookup_key, text.encode(), hashlib.sha256).digest()
