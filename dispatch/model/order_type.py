"""Order types are data: what a kind of errand asks for and where its price starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .money import Fen
from .stop import StopRole


@dataclass(frozen=True, slots=True)
class OrderType:
    """A kind of errand.

    ``stops``: the roles that an order of this type names, in the order in which they are visited;
    ``has_goods``: the runner lays out money for goods, up to a cap; ``is_timed``: priced by minutes, not by distance;
    ``handling_s``: minutes spent at each stop, in seconds.
    """

    code: str
    name_zh: str
    name_en: str
    stops: tuple[StopRole, ...]
    base_fen: Fen
    has_goods: bool = False
    is_timed: bool = False
    handling_s: int = 120


_P, _D, _Q = StopRole.PICKUP, StopRole.DROPOFF, StopRole.PLACE
_TYPES = (
    OrderType("parcel", "代取快递", "Fetch a parcel", (_P, _D), Fen(300)),
    OrderType("meal", "代买餐食", "Buy a meal", (_P, _D), Fen(400), has_goods=True, handling_s=180),
    OrderType("carry", "代送物品", "Carry something", (_P, _D), Fen(300)),
    OrderType("queue", "代排队", "Queue for me", (_Q,), Fen(300), is_timed=True),
    OrderType("shop", "代购商品", "Buy goods", (_P, _D), Fen(500), has_goods=True, handling_s=240),
    OrderType("help", "校内帮忙", "Lend a hand", (), Fen(500), is_timed=True),
)
#: What a new campus offers; a campus's settings may replace it.
DEFAULT_TYPES: Mapping[str, OrderType] = {kind.code: kind for kind in _TYPES}
