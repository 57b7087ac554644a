"""A hub that each test has to itself, and a certificate for those that come over TLS."""

from __future__ import annotations

from tests.hub_fixtures import server, tls_context, world

__all__ = ["server", "tls_context", "world"]
