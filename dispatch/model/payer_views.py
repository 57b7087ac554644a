"""Making oneself known to a channel: what is sent, and where the browser goes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .money_views import CodeId
from .requests import Request
from .views import View


class BindChannel(Request, frozen=True, kw_only=True):
    """What a channel's page gave (``code`` with its ``state``), or the word that the card centre gave for a card, with
    the agreement to debits. ``code_id``: a confirmed code, where another account than before is told."""

    code: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    state: Annotated[str, Meta(max_length=128)] | None = None
    card_token: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    is_agreed: bool = False
    code_id: CodeId | None = None

    def __repr__(self) -> str:
        return "BindChannel(…)"


class UnbindChannel(Request, frozen=True, kw_only=True):
    """``code_id``: a confirmed code, where what is forgotten may be paid to."""

    code_id: CodeId | None = None


class BindPageView(View, frozen=True, kw_only=True):
    """The page that knows whoever opens it; it sends back to the student's page with ``code`` and ``state``."""

    url: str
