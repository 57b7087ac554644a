"""Alipay's channel on its own: how it is set up, and what its tests ask for by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from payments.channels.alipay import AlipayChannel
from payments.channels.alipay_config import AlipayConfig
from tests.payments_keys import private_pem, public_pem
from tests.payments_providers import Alipay

NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
SELLER = "2088123412341234"
QUERY, REFUND = "alipay.trade.query", "alipay.trade.refund"


def config(base_url: str, **fields: Any) -> AlipayConfig:
    return AlipayConfig(
        **{
            "environment": "simulator",
            "product": "qr",
            "app_id": "2021000000000001",
            "seller_id": SELLER,
            "app_private_key": private_pem("merchant"),
            "alipay_public_key": public_pem("alipay"),
            "notify_url": "http://127.0.0.1/callbacks/alipay",
            "algorithm": "RSA2",
            "base_url": base_url,
            **fields,
        }
    )


async def opened(alipay: Alipay, **fields: Any) -> AsyncIterator[AlipayChannel]:
    channel = AlipayChannel(config(alipay.base_url, **fields))
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


def paid(**changes: str) -> dict[str, str]:
    return {
        "notify_id": "N1", "notify_type": "trade_status_sync", "app_id": "2021000000000001", "seller_id": SELLER,
        "out_trade_no": NO, "trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "12.05",
        "charset": "utf-8", "subject": "奶茶", **changes,
    }  # fmt: skip
