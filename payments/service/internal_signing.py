"""The internal interface's proof: HMAC-SHA256 over every request and every answer, fresh, and each request once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

KEY, TIMESTAMP, NONCE, SIGNATURE = (
    "X-Payments-Key",
    "X-Payments-Timestamp",
    "X-Payments-Nonce",
    "X-Payments-Signature",
)

#: Real seconds by which the two clocks and the way between them may differ.
FRESH_S = 30.0
#: Requests of the last minute whose nonces are known; more than that at once are turned away.
MOST_NONCES = 200_000
LEAST_KEY_BYTES = 32
#: Where the interface may be used without TLS.
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_NONCE = re.compile(r"[0-9a-f]{32}")
_MOMENT = re.compile(r"[0-9]{1,16}")

#: What is wrong with a request; whoever sent it is told no more than that it is not proved.
Fault = Literal["unsigned", "unknown_key", "wrong_signature", "stale", "replayed", "busy"]


def is_private(url: str) -> bool:
    """Whether nobody else can read on the way: over TLS, or on this machine alone."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


class Keys:
    """One or two keys, by id; the first signs, all prove. While keys are changed both sides know both."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not 1 <= len(keys) <= 2:
            raise ValueError("one key, or two while they are changed")
        if any(len(key) < LEAST_KEY_BYTES for key in keys.values()):
            raise ValueError(f"a key has at least {LEAST_KEY_BYTES} bytes")
        self._keys = dict(keys)
        self.current = next(iter(keys))

    def __repr__(self) -> str:
        return f"Keys({', '.join(self._keys)})"

    def sign(self, key_id: str, *said: str | bytes) -> str:
        """The signature over what is said, part by part; KeyError for a key that is not here."""
        digest = hmac.new(self._keys[key_id], digestmod=hashlib.sha256)
        for part in said:
            raw = part.encode() if isinstance(part, str) else part
            # Each part with its length, so that no two requests are the same bytes.
            digest.update(f"{len(raw)}:".encode() + raw)
        return digest.hexdigest()

    def has(self, key_id: str) -> bool:
        """Whether this key is here."""
        return key_id in self._keys

    def proves(self, signature: str, key_id: str, *said: str | bytes) -> bool:
        """Whether the signature is right, in a time that tells nothing."""
        return hmac.compare_digest(self.sign(key_id, *said).encode(), signature.encode())


def sign_request(keys: Keys, method: str, path: str, body: bytes, wall_s: float) -> dict[str, str]:
    """The headers of one request; sent again it needs new ones."""
    timestamp, nonce = str(int(wall_s * 1000)), secrets.token_hex(16)
    signature = keys.sign(keys.current, "request", method, path, timestamp, nonce, body)
    return {KEY: keys.current, TIMESTAMP: timestamp, NONCE: nonce, SIGNATURE: signature}


def sign_answer(keys: Keys, key_id: str, nonce: str, status: int, body: bytes) -> dict[str, str]:
    """The header of the answer to the request with this nonce."""
    return {SIGNATURE: keys.sign(key_id, "answer", nonce, str(status), body)}


def is_answer(keys: Keys, request: Mapping[str, str], signature: str, status: int, body: bytes) -> bool:
    """Whether this is the answer to the request with these headers, from one who has the key."""
    return keys.proves(signature, request[KEY], "answer", request[NONCE], str(status), body)


class Gate:
    """Lets in what is signed, fresh and new. What was signed before this gate was built is not, for it knows no older
    nonces."""

    def __init__(self, keys: Keys, wall_s: Callable[[], float], most_nonces: int = MOST_NONCES) -> None:
        self._keys = keys
        self._wall_s = wall_s
        self._most_nonces = most_nonces
        self._since_ms = int(wall_s() * 1000)
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def fault_of(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> Fault | None:
        """What is wrong; None lets in, once."""
        key_id, timestamp, nonce, signature = (headers.get(name, "") for name in (KEY, TIMESTAMP, NONCE, SIGNATURE))
        if not _MOMENT.fullmatch(timestamp) or not _NONCE.fullmatch(nonce) or not signature.isascii():
            return "unsigned"
        if not self._keys.has(key_id):
            return "unknown_key"
        if not self._keys.proves(signature, key_id, "request", method, path, timestamp, nonce, body):
            return "wrong_signature"
        now_s = self._wall_s()
        if abs(now_s - int(timestamp) / 1000) > FRESH_S or int(timestamp) < self._since_ms:
            return "stale"
        return self._remember((key_id, nonce), now_s)

    def _remember(self, name: tuple[str, str], now_s: float) -> Fault | None:
        while self._seen and next(iter(self._seen.values())) < now_s:
            self._seen.popitem(last=False)
        if name in self._seen:
            return "replayed"
        if len(self._seen) >= self._most_nonces:
            return "busy"
        # From one end of the window to the other.
        self._seen[name] = now_s + 2 * FRESH_S
        return None
