"""Several watches over where runners go, as the one that the hub knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geo.fix import Fix

from .rooms import Fences


class Watches:
    """Each is told of everything, in their order."""

    def __init__(self, *watches: Fences) -> None:
        self._watches = watches

    def observe(self, campus_id: str, fixes: Sequence[tuple[str, Fix]]) -> None:
        for watch in self._watches:
            watch.observe(campus_id, fixes)

    def forget(self, campus_id: str, runner_id: str) -> None:
        for watch in self._watches:
            watch.forget(campus_id, runner_id)

    def release(self, campus_id: str, runner_id: str) -> None:
        for watch in self._watches:
            watch.release(campus_id, runner_id)

    def metrics(self) -> Mapping[str, float]:
        return {name: figure for watch in self._watches for name, figure in watch.metrics().items()}
