"""Signed tokens: who somebody is, for a while, without asking a database."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
import msgspec

from ..model.account import Role
from ..model.errors import NotSignedIn
from .principal import Principal

#: Real seconds that each kind of token lives.
ACCESS_TTL_S, SOCKET_TTL_S, REFRESH_TTL_S = 900, 900, 30 * 86_400
MAX_TOKEN_CHARS = 2_000

_ALGORITHM = "HS256"
_ACCESS, _SOCKET = "access", "socket"
_REFRESH = re.compile(r"(ses_[0-9A-HJKMNP-TV-Z]{26})\.([A-Za-z0-9_-]{43})")


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Anything else in a header (``crit``, say) asks for something that is not done here."""

    alg: str
    kid: str
    typ: str = "JWT"


class _Claims(msgspec.Struct):
    typ: str
    sub: str
    cam: str
    rol: frozenset[Role]
    sid: str
    exp: int


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a refresh token says: its session, and the hash under which its secret is stored."""

    session_id: str
    secret_hash: bytes


class Tokens:
    """Issues and checks tokens.

    ``keys``: signing keys by key id, at least 32 bytes each; ``current``: the one that signs (others still verify, so
    that a key can be replaced without signing everybody out). ``now_real``: real time, aware UTC; sessions do not run
    at the rate of business time.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        now_real: Callable[[], datetime],
        *,
        access_ttl_s: int = ACCESS_TTL_S,
        socket_ttl_s: int = SOCKET_TTL_S,
        refresh_ttl_s: int = REFRESH_TTL_S,
    ) -> None:
        if current not in keys:
            raise ValueError(f"the current signing key {current!r} is not among the keys")
        if any(len(key) < 32 for key in keys.values()):
            raise ValueError("a signing key has at least 32 bytes")
        self._keys = dict(keys)
        self._current = current
        self._now_real = now_real
        self.access_ttl_s = access_ttl_s
        self.socket_ttl_s = socket_ttl_s
        self.refresh_ttl_s = refresh_ttl_s

    def now(self) -> datetime:
        return self._now_real()

    def issue_access(self, account_id: str, campus_id: str, roles: frozenset[Role], session_id: str) -> str:
        """A token for HTTP requests."""
        return self._issue(_ACCESS, account_id, campus_id, roles, session_id, self.access_ttl_s)

    def issue_socket(self, who: Principal) -> str:
        """A token for a socket's first frame; no HTTP endpoint takes it. It opens connections within ``socket_ttl_s``:
        long enough that a thousand clients that lost theirs come back without asking over HTTP first, while the hub
        asks the books after each hello. A connection may stay as long as an access token lives: the principal's
        ``expires_at`` says until when."""
        return self._issue(_SOCKET, who.account_id, who.campus_id, who.roles, who.session_id, self.socket_ttl_s)

    def access(self, token: str) -> Principal:
        """Who sent this access token; raises :class:`NotSignedIn`."""
        return self._read(_ACCESS, token)

    def socket(self, token: str) -> Principal:
        """Who opened a socket with this token; raises :class:`NotSignedIn`."""
        return self._read(_SOCKET, token)

    def _issue(
        self, kind: str, account_id: str, campus_id: str, roles: frozenset[Role], session_id: str, ttl_s: int
    ) -> str:
        now_s = int(self._now_real().timestamp())
        claims = {
            "typ": kind, "sub": account_id, "cam": campus_id, "rol": sorted(map(str, roles)), "sid": session_id,
            "iat": now_s, "exp": now_s + ttl_s,
        }  # fmt: skip
        return jwt.encode(claims, self._keys[self._current], _ALGORITHM, headers={"kid": self._current})

    def _read(self, kind: str, token: str) -> Principal:
        claims = self._verified(token)
        if claims.typ != kind:
            raise NotSignedIn("this is a token of another kind", reason="wrong_kind")
        try:
            expires_at = datetime.fromtimestamp(claims.exp, UTC)
        except (ValueError, OverflowError):
            raise _bad_token() from None
        if self._now_real() >= expires_at:
            raise NotSignedIn("this token's time is over; get a new one", reason="expired")
        if kind == _SOCKET:
            expires_at += timedelta(seconds=self.access_ttl_s - self.socket_ttl_s)
        return Principal(claims.sub, claims.cam, claims.rol, claims.sid, expires_at)

    def _verified(self, token: str) -> _Claims:
        # A thousand clients that come back in one second are read here, so the three parts of a JWT are taken apart by
        # hand. The signature is compared in the form in which it travels: there is one way to write it.
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise _bad_token()
        signed, _, signature = token.encode().rpartition(b".")
        head, _, payload = signed.partition(b".")
        try:
            header = _header.decode(_unpadded(head))
            key = self._keys.get(header.kid)
            if header.alg != _ALGORITHM or key is None:
                raise _bad_token()
            good = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
            if not hmac.compare_digest(good, signature):
                raise _bad_token()
            # Nothing of the payload is looked at before its signature. Expiry is checked by our own clock.
            return _claims.decode(_unpadded(payload))
        except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
            raise _bad_token() from None

    # --- refresh tokens: opaque, one use; the store holds the hash of the one that is good now ------------------------

    def new_refresh(self, session_id: str) -> tuple[str, bytes]:
        """A fresh refresh token of that session and the hash to store: ``(token, secret_hash)``."""
        secret = secrets.token_urlsafe(32)
        return f"{session_id}.{secret}", _hashed(secret)

    def refresh(self, token: str) -> RefreshToken:
        """What a refresh token says; raises :class:`NotSignedIn`. Whether it is still good the store knows."""
        match = _REFRESH.fullmatch(token)
        if match is None:
            raise NotSignedIn("this is not a token of this server", reason="bad_token")
        return RefreshToken(match[1], _hashed(match[2]))

    # --- keyed digests ------------------------------------------------------------------------------------------------

    def digest(self, purpose: str, *parts: str) -> bytes:
        """A keyed hash of ``parts`` for ``purpose``: what is stored of a 6-digit code cannot be tried out off-line."""
        return _keyed(self._keys[self._current], purpose, parts)

    def csrf(self, session_id: str) -> str:
        """The token that a page of this session sends in ``X-CSRF-Token``."""
        return self.digest("csrf", session_id).hex()

    def is_csrf(self, session_id: str, given: str) -> bool:
        """Whether a page of this session sent it, also when the signing key was replaced since."""
        wanted = (_keyed(key, "csrf", (session_id,)) for key in self._keys.values())
        return any(hmac.compare_digest(one.hex().encode(), given.encode()) for one in wanted)


def _bad_token() -> NotSignedIn:
    # One message for every fault: a forger learns nothing from the difference.
    return NotSignedIn("this is not a token of this server", reason="bad_token")


def _unpadded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _hashed(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode()).digest()


def _keyed(key: bytes, purpose: str, parts: tuple[str, ...]) -> bytes:
    text = "\x1f".join((purpose, *parts))
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
