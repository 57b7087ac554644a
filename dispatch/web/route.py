"""A route: one URL and method as data - who may use it, what it takes, what it answers, which flow it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from ..access.permissions import Permission
from ..access.principal import Principal
from ..model.errors import NotPermitted, NotSignedIn
from ..model.requests import Request
from ..model.views import View

if TYPE_CHECKING:
    from ..flow.context import Context
    from .documents import Documents

#: Bytes that a JSON body, a callback of a provider and a photo may have.
JSON_LIMIT, CALLBACK_LIMIT, PHOTO_LIMIT = 65_536, 65_536, 2_000_000


class Anyone(StrEnum):
    """Routes that ask for no particular permission."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


#: What a route asks for; of several permissions one is enough.
Needs = Anyone | Permission | tuple[Permission, ...]

#: Whose thing it must be besides the permission; the flow checks it against the books.
Party = Literal["", "owner", "party", "carrier", "offered", "self"]


class Nothing(Request, frozen=True, kw_only=True):
    """A request that says everything by its URL: no body, or ``{}``."""


class NoQuery(Request, frozen=True, kw_only=True):
    """A URL that takes no query parameters."""


class Accepted(View, frozen=True, kw_only=True):
    """Taken on; what comes of it is heard elsewhere."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not JSON made from a view."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One request on its way to its flow: everything in it has been checked for form and permission."""

    ctx: Context
    documents: Documents
    who: Principal | None
    path: Mapping[str, str]
    query: Any
    body: Any
    key: str | None
    ip: str
    headers: Mapping[str, str]
    #: The slot that the page named in ``X-Session-Slot``, None for clients that carry their tokens themselves.
    slot: str | None
    #: The refresh token from the slot's cookie.
    refresh_cookie: str | None
    #: The name of the browser, from its cookie; None for clients that carry their tokens themselves.
    device: str | None = None
    #: Set by the session routes: the answer's tokens go into cookies (True) or the cookies end (False).
    cookies: bool | None = None
    #: Whether what is remembered of this session no longer counts.
    is_session_changed: bool = False

    @property
    def me(self) -> Principal:
        """Who asks; only for routes that are not public."""
        assert self.who is not None, "a route that asks for nobody has no principal"
        return self.who

    @property
    def id(self) -> str:
        """The id in the URL."""
        return self.path["id"]


Run = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table in ``routes``. ``path`` is under ``/api/v1`` and names its parts ``{so}``.

    ``key``: whether ``Idempotency-Key`` is ``optional`` (the edge keeps the answer), ``flow`` (required, and the flow
    keeps the answer in its own transaction) or not taken. ``media``: what the body may be made of.
    """

    method: str
    path: str
    needs: Needs
    run: Run
    answer: Any
    summary: str
    request: type[Request] = Nothing
    query: type[Request] = NoQuery
    party: Party = ""
    status: int = 200
    key: Literal["", "optional", "flow"] = ""
    media: tuple[str, ...] = ("application/json",)
    limit: int = JSON_LIMIT

    @property
    def takes_json(self) -> bool:
        return self.media == ("application/json",)

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """The permissions of which one is enough; empty: none is asked for."""
        if isinstance(self.needs, Anyone):
            return ()
        return self.needs if isinstance(self.needs, tuple) else (self.needs,)


def check_permission(needs: Needs, who: Principal | None) -> None:
    """Raises :class:`NotSignedIn` or :class:`NotPermitted`; looks at nothing that the caller sent."""
    if needs is Anyone.PUBLIC:
        return
    if who is None:
        raise NotSignedIn()
    if isinstance(needs, Anyone):
        return
    wanted = needs if isinstance(needs, tuple) else (needs,)
    if not any(who.may(permission) for permission in wanted):
        raise NotPermitted(permission=str(wanted[0]))
