"""Puts the HTTP edge together: API, pages, files, health, documents, and whatever the process adds (the hub's door)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from tornado.web import Application

from ..flow.context import Context
from ..hub import asyncapi
from . import openapi
from .access_log import log_request
from .api import ApiHandler
from .client_address import ProxiedApplication
from .documents import Documents
from .headers import WebSettings
from .health import Check, HealthHandler, ReadyHandler
from .idempotency import KeptAnswers
from .pages import PAGES, FileHandler, LostHandler, PageHandler, reader_routes
from .route import Route
from .routes import ROUTES
from .sessions import LiveSessions
from .under_way import UnderWay


def make_application(
    ctx: Context,
    *,
    settings: WebSettings,
    extra_routes: Sequence[tuple[Any, ...]] = (),
    checks: Mapping[str, Check] | None = None,
    under_way: UnderWay | None = None,
) -> Application:
    """The application of one process. ``extra_routes`` come first; ``checks`` are what ``/readyz`` asks, by name;
    ``under_way`` knows when the API's requests have come to their end."""
    document = orjson.dumps(openapi.build(ROUTES, settings.version))
    static = str(settings.static_dir)
    handlers: list[Any] = [
        *extra_routes,
        *_api(ctx, settings, under_way or UnderWay()),
        ("/healthz", HealthHandler),
        ("/readyz", ReadyHandler, {"checks": dict(checks or {})}),
        *reader_routes(document, orjson.dumps(asyncapi.build(settings.version))),
        *((url, PageHandler, {"path": static, "page": page}) for url, page in PAGES.items()),
        (r"/static/(.*)", FileHandler, {"path": static}),
    ]
    return ProxiedApplication(
        handlers, settings.trusted_proxies,
        default_handler_class=LostHandler, log_function=log_request, web=settings, websocket_ping_interval=0,
    )  # fmt: skip


def url_pattern(path: str) -> str:
    """A route's path as the regular expression that Tornado matches; ids have letters, digits, ``_`` and ``-``."""
    return openapi.PREFIX + re.sub(r"{(\w+)}", r"(?P<\1>[A-Za-z0-9_-]{1,64})", path)


def _api(
    ctx: Context, settings: WebSettings, under_way: UnderWay
) -> list[tuple[str, type[ApiHandler], dict[str, Any]]]:
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    shared = {
        "ctx": ctx, "settings": settings, "live": LiveSessions(ctx), "kept": KeptAnswers(ctx), "documents": Documents(),
        "under_way": under_way,
    }  # fmt: skip
    return [(url_pattern(path), ApiHandler, {"routes": routes, **shared}) for path, routes in by_path.items()]
