"""Variables of payments as a team would set them, and the files that they name."""

from __future__ import annotations

from pathlib import Path

from tests.payments_keys import certificate, pem, pfx, private_pem, public_pem

API_KEY = "an api key of v3, 32 characters!"
PASSWORD = "the password of the key"
MERCHANT_CERTIFICATE = certificate("merchant", "wechat", "1900000109")


def key_folder(tmp_path: Path) -> Path:
    """A folder of the files that variables name."""
    folder = tmp_path / "keys"
    folder.mkdir(0o700)
    for name, text in {
        "wechat.pem": private_pem("merchant"),
        "api_key": API_KEY + "\n",
        "internal": f"i1 {'11' * 32}\n",
        "vault": f"# two keys\nv1 {'22' * 32}\nv2 {'33' * 32}\n",
        "lookup": f"l {'44' * 32}\n",
        "card": "a secret between us and the cards of the campus",
    }.items():
        write_key(folder / name, text.encode())
    issuer = certificate("unionpay root", "unionpay root", "root")
    write_key(
        folder / "acp.pfx", pfx("merchant", certificate("merchant", "unionpay root", "777290058110048"), PASSWORD)
    )
    write_key(folder / "root.pem", pem(issuer).encode(), 0o644)
    return folder


def write_key(path: Path, raw: bytes, mode: int = 0o600) -> None:
    path.write_bytes(raw)
    path.chmod(mode)


def wechat(secret: Path, **changes: str) -> dict[str, str]:
    return {
        "PAYMENTS_WECHAT_MCHID": "1900000109",
        "PAYMENTS_WECHAT_APPID": "wx2421b1c4370ec43b",
        "PAYMENTS_WECHAT_SERIAL_NO": f"{MERCHANT_CERTIFICATE.serial_number:X}",
        "PAYMENTS_WECHAT_PRIVATE_KEY": str(secret / "wechat.pem"),
        "PAYMENTS_WECHAT_API_V3_KEY_FILE": str(secret / "api_key"),
        "PAYMENTS_WECHAT_CERTIFICATE": pem(MERCHANT_CERTIFICATE).replace("\n", "\\n"),
        "PAYMENTS_WECHAT_NOTIFY_URL": "https://errands.example.org/callbacks/wechat",
        "PAYMENTS_WECHAT_ALGORITHM": "WECHATPAY2-SHA256-RSA2048",
        **changes,
    }


def others(secret: Path) -> dict[str, str]:
    return {
        "PAYMENTS_ALIPAY_PRODUCT": "qr",
        "PAYMENTS_ALIPAY_APP_ID": "2021000000000001",
        "PAYMENTS_ALIPAY_SELLER_ID": "2088123412341234",
        "PAYMENTS_ALIPAY_APP_PRIVATE_KEY": private_pem("merchant"),
        "PAYMENTS_ALIPAY_ALIPAY_PUBLIC_KEY": public_pem("alipay"),
        "PAYMENTS_ALIPAY_NOTIFY_URL": "http://127.0.0.1/callbacks/alipay",
        "PAYMENTS_ALIPAY_ALGORITHM": "RSA2",
        "PAYMENTS_ALIPAY_BASE_URL": "http://127.0.0.1:9700/alipay",
        "PAYMENTS_ALIPAY_ACCOUNTS": '{"nu": "2088000000000001"}',
        "PAYMENTS_ALIPAY_LIMIT_FEN": "100000",
        "PAYMENTS_ALIPAY_DISABLED_PAY_CHANNELS": "creditCard, pcredit",
        "PAYMENTS_UNIONPAY_PRODUCT": "wap",
        "PAYMENTS_UNIONPAY_MER_ID": "777290058110048",
        "PAYMENTS_UNIONPAY_SIGN_PFX": str(secret / "acp.pfx"),
        "PAYMENTS_UNIONPAY_SIGN_PFX_PASSWORD": PASSWORD,
        "PAYMENTS_UNIONPAY_ISSUERS": str(secret / "root.pem"),
        "PAYMENTS_UNIONPAY_NOTIFY_URL": "http://127.0.0.1/callbacks/unionpay",
        "PAYMENTS_UNIONPAY_ALGORITHM": "5.1.0/01",
        "PAYMENTS_UNIONPAY_BASE_URL": "http://127.0.0.1:9700/unionpay",
        "PAYMENTS_UNIONPAY_FILE_URL": "http://127.0.0.1:9700/unionpay/files/",
        "PAYMENTS_UNIONPAY_SIGNERS": "simulator",
        "PAYMENTS_CAMPUS_CARD_MERCHANT": "errands",
        "PAYMENTS_CAMPUS_CARD_BASE_URL": "http://127.0.0.1:9700/card",
        "PAYMENTS_CAMPUS_CARD_NOTIFY_URL": "http://127.0.0.1/callbacks/campus_card",
        "PAYMENTS_CAMPUS_CARD_ALGORITHM": "HMAC-SHA256",
        "PAYMENTS_CAMPUS_CARD_SECRET_FILE": str(secret / "card"),
    }


def simulated(secret: Path) -> dict[str, str]:
    urls = {"PAYMENTS_WECHAT_BASE_URL": "http://127.0.0.1:9700/wechat", "PAYMENTS_WECHAT_BACKUP_URL": ""}
    edupay = {name.replace("_WECHAT_", "_EDUPAY_"): text for name, text in wechat(secret, **urls).items()}
    edupay |= {
        "PAYMENTS_EDUPAY_SCHOOL_ID": "nu",
        "PAYMENTS_EDUPAY_SCENE_TYPE": "ERRAND",
        "PAYMENTS_EDUPAY_DEVICE_IP": "203.0.113.7",
    }
    return {
        "PAYMENTS_ENVIRONMENT": "simulator",
        "PAYMENTS_CHANNELS": "wechat,wechat_native,edupay,alipay,unionpay,campus_card,sandbox",
        "PAYMENTS_WECHAT_NATIVE_TRADE_TYPE": "native",
        **wechat(secret, **urls),
        **edupay,
        **others(secret),
    }


def live(secret: Path, **changes: str) -> dict[str, str]:
    return {
        "PAYMENTS_ENVIRONMENT": "live",
        "PAYMENTS_CHANNELS": "wechat",
        "PAYMENTS_INTERNAL_KEYS_FILE": str(secret / "internal"),
        "PAYMENTS_VAULT_KEYS_FILE": str(secret / "vault"),
        "PAYMENTS_LOOKUP_KEY_FILE": str(secret / "lookup"),
        "PAYMENTS_DATA_DIR": str(secret.parent / "data"),
        **wechat(secret),
        **changes,
    }
