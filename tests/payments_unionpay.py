"""UnionPay's channel on its own: how it is set up, and what its tests ask for by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from payments.channels.unionpay_config import UnionpayConfig
from tests.payments_keys import certificate, pem

NO = "01J8ZQ4Y5T6V7W8X9Y0Z1A2B3CA01"
MERCHANT = "777290058110048"
#: 11:00 in Beijing.
WRITTEN = datetime(2026, 10, 3, 3, 0, 0, tzinfo=UTC)
PAY, ASK, UNDO, REFUND, FILE = "01", "00", "31", "04", "76"


class Books:
    """When numbers were written down; everything else at one moment."""

    def __init__(self) -> None:
        self.at: dict[str, datetime | None] = {}

    async def first_written(self, number: str) -> datetime | None:
        return self.at.get(number, WRITTEN)


def config(address: str, key_file: str, **fields: Any) -> UnionpayConfig:
    return UnionpayConfig(
        **{
            "environment": "simulator",
            "product": "page",
            "mer_id": MERCHANT,
            "sign_pfx": key_file,
            "sign_pfx_password": "000000",
            "issuers": (pem(certificate("cfca", "cfca", "cfca")),),
            "notify_url": "http://127.0.0.1/callbacks/unionpay",
            "algorithm": "5.1.0/01",
            "base_url": address,
            "file_url": f"{address}/files",
            **fields,
        }
    )
