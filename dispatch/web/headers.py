"""Headers of every answer: what a browser may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tornado.web import RequestHandler

_CSP = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: The OpenAPI reader sets styles on its elements; no page of ours does.
READER_CSP = _CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
PAGE_CSP = _CSP
#: The student's page hands forms over to providers' cashiers, whose addresses the channels know; those without TLS are
#: simulators on this machine.
PAYING_CSP = _CSP.replace("form-action 'self'", "form-action 'self' https: http://127.0.0.1:* http://localhost:*")

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "geolocation=(self), camera=(self), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the HTTP edge is told by the process that runs it.

    ``is_tls``: people reach it by HTTPS (here or at a proxy), so cookies are Secure and browsers are told to insist.
    ``static_dir``: the folder of the pages. ``version`` is shown in the OpenAPI document. ``trusted_proxies``: networks
    whose X-Forwarded-For is believed.
    """

    is_tls: bool = False
    static_dir: Path = Path(__file__).parent / "static"
    version: str = "0.1.0"
    trusted_proxies: tuple[str, ...] = ()


def set_security_headers(handler: RequestHandler, settings: WebSettings, csp: str = PAGE_CSP) -> None:
    """Sets them; called for errors too."""
    for name, value in _ALWAYS.items():
        handler.set_header(name, value)
    handler.set_header("Content-Security-Policy", csp)
    # Versions of the framework are nobody's business.
    handler.clear_header("Server")
    if settings.is_tls:
        handler.set_header("Strict-Transport-Security", "max-age=31536000")
