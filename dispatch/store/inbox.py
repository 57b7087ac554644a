"""The inbox in SQL: which of payments' events were applied, so that each is applied once."""

from __future__ import annotations

from .scope import CampusScope
from .tables import inbox as t


class Inbox:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope

    def accept(self, event_id: str) -> bool:
        """True the first time; False when this event was applied before. Commits with what the event does."""
        values = {"event_id": event_id, "campus_id": self._scope.campus_id, "accepted_at": self._scope.now}
        return self._scope.insert_new(t, values, ("event_id", "campus_id"))
