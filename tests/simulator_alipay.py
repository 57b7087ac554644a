"""An independent SDK that talks to the simulated Alipay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from alipay import AliPay

from tests.simulator_channels import Rig


def sdk_of(one: Rig, **other: str) -> AliPay:
    given = {**one.house.settings()["alipay"], **other}
    made = AliPay(
        appid=given["app_id"],
        app_notify_url=one.server.url,
        app_private_key_string=given["app_private_key"],
        alipay_public_key_string=given["alipay_public_key"],
    )
    made._gateway = f"{one.house.base_url}/gateway.do"
    return made


async def call(do: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The SDK is synchronous, and the simulator runs in this loop."""
    return await asyncio.to_thread(do, *given, **named)
