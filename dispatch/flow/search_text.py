"""What people type into a search box, in the form in which the books look it up."""

from __future__ import annotations

from ..access.phones import normal_phone


def search_text(q: str | None) -> str | None:
    """A phone number in its one form, anything else as it is; None for nothing."""
    text = (q or "").strip()
    joined = text.replace(" ", "").replace("-", "")
    if joined.removeprefix("+").isdecimal():
        return normal_phone(joined)
    return text or None
