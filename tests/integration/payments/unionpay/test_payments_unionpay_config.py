"""How UnionPay's channel is set up, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from payments.channels.signing_keys import BadSetting
from tests.payments_keys import certificate, pem
from tests.payments_unionpay import MERCHANT, config

LIVE = {"environment": "live", "mer_id": "898000000000001", "base_url": "", "file_url": "",
        "notify_url": "https://pay.example.edu.cn/x"}  # fmt: skip


def test_a_live_account_meets_the_live_gateway(key_file: str) -> None:
    made = config("", key_file, **LIVE)
    assert (made.gateway_url, made.files_url) == (
        "https://gateway.95516.com", "https://filedownload.95516.com/",
    )  # fmt: skip
    assert "password" not in repr(made)
    sandbox = config("", key_file, **{**LIVE, "environment": "sandbox", "mer_id": MERCHANT})
    assert sandbox.gateway_url == "https://gateway.test.95516.com"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "Union"}, "code: "),
        ({"algorithm": "5.0.0/01"}, "algorithm: must be declared as"),
        ({"mer_id": "1"}, "mer_id: must be fifteen"),
        ({"mer_id": MERCHANT}, "mer_id: .* test environment"),
        ({"environment": "sandbox"}, "mer_id: .* no merchant of the test"),
        ({"environment": "simulator"}, "base_url: is needed"),
        ({"base_url": "https://gateway.test.95516.com"}, "base_url: .* not a gateway of the live"),
        ({"file_url": "http://filedownload.95516.com/"}, "file_url: must begin with https"),
        ({"notify_url": "http://pay.example.edu.cn/x"}, "notify_url: "),
        ({"return_url": "x"}, "return_url: "),
        ({"life_s": 1}, "life_s: "),
        ({"expiry_margin_s": 1}, "expiry_margin_s: "),
        ({"limit_fen": -1}, "limit_fen: "),
        ({"sign_pfx": "acp.pfx"}, "sign_pfx: must be an absolute path"),
        ({"sign_pfx_password": "1"}, "sign_pfx: .* password"),
        ({"issuers": ()}, "issuers: at least one"),
        ({"issuers": ("cfca.cer",)}, "issuers: must be PEM text or an absolute path"),
        ({"issuers": ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----",)}, "issuers: is not"),
    ],
)
def test_what_cannot_work_is_refused_by_name(key_file: str, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadSetting, match=f"^{why}"):
        config("", key_file, **{**LIVE, **changes})


def test_an_expired_issuer_is_refused(key_file: str) -> None:
    old = pem(certificate("cfca", "cfca", "cfca", days=0.5))
    with pytest.raises(BadSetting, match="^issuers: expired on"):
        config("", key_file, **{**LIVE, "issuers": (old,)})
