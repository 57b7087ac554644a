"""Pages and their files, the OpenAPI reader, and the answer for URLs that are none of these."""

from __future__ import annotations

import hashlib
import html
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from tornado.web import RequestHandler, StaticFileHandler

from .errors import failure_of
from .headers import PAGE_CSP, PAYING_CSP, READER_CSP, WebSettings, set_security_headers

#: The pages by URL.
PAGES = {"/": "index.html", "/console": "console.html", "/track": "track.html", "/runner": "runner.html"}
PAYING_PAGE = "track.html"

_LOST = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status}</title>
<h1>{status}</h1>
<p lang="zh-CN">这里没有您要找的页面。</p>
<p lang="en">{message}</p>
<p><a href="/">校园跑腿 · Campus errands</a></p>
</html>
"""
_READER = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Campus errands: HTTP interface</title>
<link rel="icon" href="/static/mark.svg">
<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">
<div id="reader"><p>The reader needs JavaScript; the document is at <a href="/openapi.json">/openapi.json</a>.</p></div>
<p>The hub's WebSocket: <a href="/asyncapi.json">/asyncapi.json</a> (AsyncAPI 3.0).</p>
<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/docs/reader.js"></script>
</html>
"""
_READER_SCRIPT = """"use strict";
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reader", deepLinking: true, tryItOutEnabled: false });
"""


@lru_cache(maxsize=512)
def _tag(path: str, mtime_ns: int, size: int) -> str:
    return f'"{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]}"'


def settings_of(handler: RequestHandler) -> WebSettings:
    return cast(WebSettings, handler.application.settings["web"])


class FileHandler(StaticFileHandler):
    """Files of the pages. Browsers ask each time whether theirs is still good: a new release is seen at once."""

    def set_default_headers(self) -> None:
        set_security_headers(self, settings_of(self))

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")

    def compute_etag(self) -> str | None:
        """A hash of the content, which follows a file that is replaced while the server runs."""
        if not self.absolute_path:
            return None
        stat = os.stat(self.absolute_path)
        return _tag(self.absolute_path, stat.st_mtime_ns, stat.st_size)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        answer_lost(self, status_code, **kwargs)


class PageHandler(FileHandler):
    """One page at its short URL."""

    def initialize(self, path: str, page: str) -> None:  # type: ignore[override]
        super().initialize(path)
        self._page = page

    def set_default_headers(self) -> None:
        # Called before initialize: the URL alone says which page it will be.
        is_paying = PAGES.get(self.request.path) == PAYING_PAGE
        set_security_headers(self, settings_of(self), PAYING_CSP if is_paying else PAGE_CSP)

    async def get(self, path: str = "", include_body: bool = True) -> None:
        await super().get(self._page, include_body)

    async def head(self, path: str = "") -> None:
        await self.get(include_body=False)


class FixedHandler(RequestHandler):
    """A document that is made once, at start."""

    def initialize(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._content_type = content_type

    def set_default_headers(self) -> None:
        set_security_headers(self, settings_of(self), READER_CSP)

    def get(self) -> None:
        self.set_header("Content-Type", self._content_type)
        self.set_header("Cache-Control", "no-cache")
        self.finish(self._body)

    head = get

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        answer_lost(self, status_code, **kwargs)


class LostHandler(RequestHandler):
    """Every URL that is no other's."""

    def set_default_headers(self) -> None:
        set_security_headers(self, settings_of(self))

    async def prepare(self) -> None:
        answer_lost(self, 404)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        answer_lost(self, status_code, **kwargs)


def answer_lost(handler: RequestHandler, status: int, **kwargs: Any) -> None:
    """The error as JSON, or as a small page for somebody who typed the address into a browser."""
    exc_info = kwargs.get("exc_info")
    failure = failure_of(exc_info[1] if exc_info else None, status=status)
    handler.set_status(failure.status)
    is_for_eyes = "text/html" in handler.request.headers.get("Accept", "") and not handler.request.path.startswith(
        "/api"
    )
    if is_for_eyes:
        page = _LOST.format(status=failure.status, message=html.escape(failure.view.error.message))
        handler.set_header("Content-Type", "text/html; charset=utf-8")
        handler.finish(page)
        return
    handler.set_header("Content-Type", "application/json; charset=utf-8")
    handler.finish(failure.body())


def reader_routes(document: bytes, hub_document: bytes) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """``/openapi.json``, the page to read it, and ``/asyncapi.json`` for the hub."""
    made = (
        ("/openapi.json", document, "application/json; charset=utf-8"),
        ("/asyncapi.json", hub_document, "application/json; charset=utf-8"),
        ("/docs", _READER.encode(), "text/html; charset=utf-8"),
        ("/docs/reader.js", _READER_SCRIPT.encode(), "text/javascript; charset=utf-8"),
    )
    return [(url, FixedHandler, {"body": body, "content_type": kind}) for url, body, kind in made]
