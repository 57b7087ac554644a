"""One simulated person's life moved by hand, for the tests of the actors."""

from __future__ import annotations

from random import Random
from typing import Any

from geo.point import Point
from loadtest.actors.protocol import Action, Call, Frame

NOW = 1_700_000_000_000
HOME = Point(30.5, 114.4)
PLACES = [{"id": f"p{i}", "lat": 30.5 + i * 0.001, "lon": 114.4} for i in range(8)]
ORDER = "ord_1"


class Life:
    """One person's state, moved by hand."""

    def __init__(self, module: Any, state: Any, seed: int = 1) -> None:
        self.module, self.state, self.luck, self.now = module, state, Random(seed), NOW

    def gets(self, arrived: Any, after_ms: int = 0) -> tuple[Action, ...]:
        self.now += after_ms
        self.state, actions = self.module.step(self.state, arrived, self.now, self.luck)
        return actions  # type: ignore[no-any-return]


def of(kind: type, actions: tuple[Action, ...]) -> list[Any]:
    return [action for action in actions if isinstance(action, kind)]


def calls(actions: tuple[Action, ...]) -> list[str]:
    return [call.name for call in of(Call, actions)]


def order(status: str, version: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": ORDER, "status": status, "version": version, "quote": {"goods_cap_fen": 0}, "stops": []} | more


def event(kind: str, topic: str = f"order:{ORDER}", **data: Any) -> Frame:
    return Frame({"t": "event", "topic": topic, "kind": kind, "at": NOW, "data": {"order_id": ORDER} | data})
