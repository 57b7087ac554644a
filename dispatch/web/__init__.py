"""The HTTP edge: routes, their one handler, errors, pages; everything typed before it walks in."""

from .application import make_application
from .headers import WebSettings

__all__ = ["WebSettings", "make_application"]
