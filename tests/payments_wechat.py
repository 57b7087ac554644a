"""What the tests of WeChat Pay's channel ask for by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from payments.money import Fen
from payments.outcomes import OrderToCreate
from tests import wechat_counter as wx

ATTEMPT = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
ORDERS = "/v3/pay/transactions"


def order(**changes: Any) -> OrderToCreate:
    return msgspec.structs.replace(
        OrderToCreate(
            attempt_id=ATTEMPT,
            amount_fen=Fen(1000),
            description="代取快递 ¥10 & 更多\n\x00",
            order_ref="ord_1",
            payer_ref="acc_1",
            expires_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            payer={"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "client_ip": "192.0.2.7"},
        ),
        **changes,
    )


def wx_nowhere(counter: wx.Counter) -> wx.Counter:
    nowhere = wx.Counter()
    nowhere.url = "http://127.0.0.1:9"
    return nowhere
