"""Who sends a request: bearer tokens, page cookies by slot, CSRF, and sessions that end before their tokens do."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.cookies import Morsel
from typing import TYPE_CHECKING

import msgspec
from tornado.web import RequestHandler

from ..access.principal import Principal
from ..access.tokens import Tokens
from ..flow.sign_in import Standing, ask_standings
from ..model.errors import InvalidInput, NotPermitted, NotSignedIn, Refusal
from ..model.views import SessionView

if TYPE_CHECKING:
    from ..flow.context import Context

SLOT_HEADER, CSRF_HEADER = "X-Session-Slot", "X-CSRF-Token"
ACCESS, REFRESH, CSRF = "dispatch_access", "dispatch_refresh", "dispatch_csrf"
#: Of a browser, whoever signs in with it; nobody's page can read it, and it says nothing by itself.
DEVICE = "dispatch_device"
_DEVICE_LIFE_S = 400 * 86_400
_DEVICE = re.compile(r"[0-9A-Za-z_-]{32}")
DEFAULT_SLOT = "main"

#: Real seconds after which a session is looked up again: so long a revoked one may still read over HTTP.
RECHECK_S = 5.0
_MAX_SEEN = 50_000
_SLOT = re.compile(r"[a-z]{1,12}")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """What the headers say about who sends a request."""

    who: Principal | None
    #: The slot that was named, None where none was.
    slot: str | None
    refresh_cookie: str | None
    #: Why nobody is signed in, to be raised where somebody must be.
    refusal: NotSignedIn | None = None


def read_caller(
    tokens: Tokens, headers: Mapping[str, str], cookies: Mapping[str, Morsel[str]], method: str, *, is_public: bool
) -> Caller:
    """Who sends it. A bearer token counts before cookies; cookies on anything but a read ask for the CSRF token. A
    public route asks nobody who they are: an old cookie must not keep anybody from signing in."""
    slot = headers.get(SLOT_HEADER)
    if slot is not None and _SLOT.fullmatch(slot) is None:
        raise InvalidInput("1 to 12 letters a-z", field=SLOT_HEADER)
    name = slot or DEFAULT_SLOT
    refresh = cookies.get(f"{REFRESH}_{name}")
    refresh_cookie = refresh.value if refresh is not None else None
    if is_public:
        return Caller(None, slot, refresh_cookie)
    authorization = headers.get("Authorization")
    access = cookies.get(f"{ACCESS}_{name}")
    try:
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise NotSignedIn("send a bearer token", reason="bad_token")
            return Caller(tokens.access(token.strip()), slot, refresh_cookie)
        if access is not None:
            who = tokens.access(access.value)
            if method not in _SAFE:
                check_csrf(tokens, who.session_id, headers)
            return Caller(who, slot, refresh_cookie)
    except NotSignedIn as refusal:
        return Caller(None, slot, refresh_cookie, refusal)
    return Caller(None, slot, refresh_cookie)


def check_csrf(tokens: Tokens, session_id: str, headers: Mapping[str, str]) -> None:
    """Raises :class:`NotPermitted` unless a page of this session sent the request."""
    if not tokens.is_csrf(session_id, headers.get(CSRF_HEADER, "")):
        raise NotPermitted(f"the header {CSRF_HEADER} is missing or wrong", reason="csrf", field=CSRF_HEADER)


class LiveSessions:
    """Whether a token's session still stands, and in which roles: asked of the books at most every ``RECHECK_S``.

    A token alone would let somebody blocked go on for a quarter of an hour, and a new runner wait as long.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._seen: OrderedDict[str, tuple[float, Standing | Refusal]] = OrderedDict()

    async def current(self, who: Principal) -> Principal:
        """``who`` in today's roles; raises :class:`NotSignedIn` or :class:`AccountBlocked`."""
        now_s = self._ctx.clock.monotonic_s()
        seen = self._seen.get(who.session_id)
        if seen is None or now_s - seen[0] >= RECHECK_S:
            (standing,) = await ask_standings(self._ctx, [who])
            self._seen[who.session_id] = seen = (now_s, standing)
            self._seen.move_to_end(who.session_id)
            if len(self._seen) > _MAX_SEEN:
                self._seen.popitem(last=False)
        if isinstance(seen[1], Refusal):
            raise seen[1]
        return replace(who, roles=seen[1].principal.roles)

    def forget(self, session_id: str) -> None:
        """Ask again at the next request: this session has just changed."""
        self._seen.pop(session_id, None)


def put_cookies(
    handler: RequestHandler, tokens: Tokens, slot: str, view: SessionView, *, is_secure: bool
) -> SessionView:
    """Moves the answer's tokens into the slot's cookies; what is left for the page's script is the CSRF token."""
    for name, text, path, max_age in (
        (ACCESS, view.access_token, "/api", tokens.access_ttl_s),
        (REFRESH, view.refresh_token, "/api/v1/auth", tokens.refresh_ttl_s),
        (CSRF, view.csrf_token, "/", tokens.refresh_ttl_s),
    ):
        is_hidden = name != CSRF
        handler.set_cookie(
            f"{name}_{slot}", text, path=path, max_age=max_age, httponly=is_hidden, secure=is_secure, samesite="Strict"
        )
    return msgspec.structs.replace(view, access_token="", refresh_token="")


def device_of(cookies: Mapping[str, Morsel[str]]) -> str | None:
    """The browser's own name, if it has one that we may have given."""
    said = cookies.get(DEVICE)
    return said.value if said is not None and _DEVICE.fullmatch(said.value) else None


def name_device(handler: RequestHandler, *, is_secure: bool) -> None:
    """Gives the browser its name, or keeps the one it has for longer."""
    name = device_of(handler.request.cookies) or secrets.token_urlsafe(24)
    handler.set_cookie(
        DEVICE, name, path="/api", max_age=_DEVICE_LIFE_S, httponly=True, secure=is_secure, samesite="Strict"
    )


def end_cookies(handler: RequestHandler, slot: str) -> None:
    """Makes the browser forget the slot's session."""
    for name, path in ((ACCESS, "/api"), (REFRESH, "/api/v1/auth"), (CSRF, "/")):
        handler.clear_cookie(f"{name}_{slot}", path=path, samesite="Strict")
