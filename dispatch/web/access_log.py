"""One line per request, without what should not be written down: no query, no header, no id of a session."""

from __future__ import annotations

import logging

from tornado.web import RequestHandler

_log = logging.getLogger("dispatch.access_log")
_QUIET = ("/static/", "/healthz", "/readyz")


def log_request(handler: RequestHandler) -> None:
    """Tornado's ``log_function``. Slow and failed requests stand out; files and health checks stay quiet."""
    request, status = handler.request, handler.get_status()
    if status >= 500:
        level = logging.ERROR
    elif request.path.startswith(_QUIET):
        level = logging.DEBUG
    else:
        level = logging.INFO
    if not _log.isEnabledFor(level):
        return
    took_ms = round(1000.0 * request.request_time(), 1)
    _log.log(
        level, "%s %s %d", request.method, request.path[:200], status,
        extra={"took_ms": took_ms, "remote_ip": request.remote_ip},
    )  # fmt: skip
