"""The hall: what a runner may grab, as the server answers it."""

from __future__ import annotations

from .views import StopView, View


class HallItem(View, frozen=True, kw_only=True):
    """A takeable order as runners see it before they take it."""

    order_id: str
    type_code: str
    pay_fen: int
    pickup_m: int | None
    trip_m: int
    weight_g: int
    volume_ml: int
    goods_cap_fen: int
    promised_at_ms: int
    stops: list[StopView]
    description: str
    version: int


class HallView(View, frozen=True, kw_only=True):
    items: list[HallItem]
    mode: str
