"""What a channel must know of a runner to pay their part to themselves: nothing, where the part stays with the team."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.payments_town import RUNNER, town


@pytest.mark.parametrize(
    ("code", "need"), [("wechat_native", "openid"), ("edupay", "openid"), ("alipay_qr", "alipay_user_id")]
)
async def test_a_runner_is_asked_only_where_the_provider_pays_them(tmp_path: Path, code: str, need: str) -> None:
    kind = code.partition("_")[0]
    for payout, asked in (("team", ()), ("personal", (need,))):
        folder = tmp_path / payout
        folder.mkdir()
        # What 校园轻松付 pays out is the business of the WeChat Pay merchant behind it.
        async with town(folder, code, **{f"{kind}_runner_payout": payout}) as one:
            (channel,) = one.payments.channels()
            assert channel.pays_to == asked
            # By one of these names the town's runner is known there.
            assert {need, f"payout_{need}"} & set(await one.payments.entrusted(RUNNER))
