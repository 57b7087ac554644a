"""The dots that one watcher is shown: the newest of each runner, and whether any of them stepped back in time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .histories import Shown

MOST_NOTED = 20


class Dots:
    """While a topic is followed no dot may go back. A new ``followed`` begins the map anew, with the newest at once;
    what it begins with may be older than what was last seen before it (whoever knew better was killed), and is counted.
    """

    __slots__ = ("_ever", "older_after_return", "shown", "steps_back")

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        self._ever: dict[str, dict[str, int]] = {}
        self.steps_back: list[str] = []
        self.older_after_return = 0

    def begin(self, topic: str) -> None:
        """The topic was followed: its map is empty, and what it shows comes next."""
        ever = self._ever.setdefault(topic, {})
        for runner_id, (at_ms, _, _) in self.shown.pop(topic, {}).items():
            ever[runner_id] = max(at_ms, ever.get(runner_id, 0))

    def show(self, topic: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, int]]:
        """Rows as a ``pos`` frame carries them; gives the dots that moved. A first one is where somebody has been for
        a while, so it says nothing about freshness."""
        shown = self.shown.setdefault(topic, {})
        moved: list[tuple[str, int]] = []
        for runner_id, lat, lon, at_ms, *_ in rows:
            known = shown.get(runner_id)
            if known is None:
                before_ms = self._ever.get(topic, {}).get(runner_id, 0)
                self.older_after_return += at_ms < before_ms
            elif at_ms < known[0]:
                if len(self.steps_back) < MOST_NOTED:
                    self.steps_back.append(f"{topic}: {runner_id} from {known[0]} back to {at_ms}")
                continue
            else:
                moved.append((runner_id, at_ms))
            shown[runner_id] = (at_ms, lat, lon)
        return moved

    def gone(self, topic: str, runner_ids: Iterable[str]) -> None:
        for runner_id in runner_ids:
            self.shown.get(topic, {}).pop(runner_id, None)
