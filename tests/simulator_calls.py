"""Calls of a merchant to the simulated WeChat Pay, and the ways of its interface."""

from __future__ import annotations

from typing import Any

from payments.simulator.order_book import OrderBook
from tests.simulator_house import Caller

NOWHERE = "http://127.0.0.1:1/notify"
REFUNDS, SPLITS = "/v3/refund/domestic/refunds", "/v3/profitsharing"


async def paid(caller: Caller, number: str = "ORDER001", **more: Any) -> OrderBook:
    assert (await caller.order(number, NOWHERE, **more))[0] == 200
    order = caller.house.books.orders_of_number("wechat", number)[0]
    assert caller.house.desk.pay(order, "oPayer") == "paid"
    return order


async def refused(caller: Caller, method: str, target: str, words: Any = None) -> tuple[int, str, str]:
    """Status, code and message."""
    status, said, _ = await caller.ask(method, target, words)
    return status, said["code"], said["message"]
