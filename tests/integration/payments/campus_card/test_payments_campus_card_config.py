"""How the campus card is set up, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from payments.channels import campus_card_signing as signing
from payments.channels.signing_keys import BadSetting
from tests.payments_campus_card import SECRET, config, with_rsa
from tests.payments_keys import public_pem

URL = "https://card.example.edu.cn/campus-card/v1"
NOTIFY = "https://pay.example.edu.cn/callbacks/campus_card"


def test_a_live_card_centre(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    made = config(
        URL, environment="live", notify_url=NOTIFY, secret=str(path), backup_url="https://b.edu.cn/campus-card/v1"
    )
    assert made.signer().sign(b"x") == signing.HmacSigner(SECRET.encode()).sign(b"x")
    assert "secret" not in repr(made)
    path.chmod(0o644)
    with pytest.raises(BadSetting, match="^secret: others may read"):
        made.signer()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "C"}, "code: "),
        ({"merchant": "a b"}, "merchant: "),
        ({"base_url": "http://card.example.edu.cn"}, "base_url: must begin with https"),
        ({"base_url": "card"}, "base_url: "),
        ({"backup_url": "https://b.edu.cn/v2"}, "backup_url: must have the path"),
        ({"backup_url": "http://b.edu.cn/campus-card/v1"}, "backup_url: must begin with https"),
        ({"notify_url": "https://10.0.0.1/x"}, "notify_url: "),
        ({"life_s": 5}, "life_s: "),
        ({"expiry_margin_s": 5}, "expiry_margin_s: "),
        ({"limit_fen": 0}, "limit_fen: "),
        ({"secret": "short"}, "secret: at least 32"),
        ({"secret": "/nowhere/secret"}, "secret: the file cannot be read"),
        ({"private_key": "x"}, "private_key: is not used"),
        ({"algorithm": "MD5"}, "algorithm: "),
        ({"algorithm": "RSA-SHA256"}, "secret: is not used"),
        ({"algorithm": "RSA-SHA256", "secret": ""}, "private_key: "),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    fields = {"environment": "live", "notify_url": NOTIFY, **changes}
    with pytest.raises(BadSetting, match=f"^{why}"):
        config(fields.pop("base_url", URL), **fields)


def test_ones_own_public_key_is_not_the_centres() -> None:
    with pytest.raises(BadSetting, match="^card_public_key: is your own"):
        with_rsa(URL, card_public_key=public_pem("merchant"))
