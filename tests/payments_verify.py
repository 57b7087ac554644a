"""The command ``verify-signature`` as one sits before it, and messages to give it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

from payments.__main__ import main
from tests import wechat_counter as wx

VECTORS = Path(__file__).parent / "vectors"
WECHAT: dict[str, Any] = json.loads((VECTORS / "wechat_v3.json").read_text(encoding="utf-8"))
NONCE, TIMESTAMP = "593BEC0C930BF1AFEB40B4A08C8FB242", "1554208460"
BODY = '{"description": "奶茶 ¥12 & 更多", "amount": {"total": 1200}, "id": "a/b"}'.encode()


def signed(key: rsa.RSAPrivateKey, message: bytes, algorithm: HashAlgorithm | None = None) -> str:
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), algorithm or SHA256())).decode()


class Desk:
    """Files, and what the command said of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys
        self.platform = self.file("platform.pem", wx.public_pem(wx.PLATFORM_KEY))
        self.merchant = self.file("apiclient_key.pem", wx.private_pem(wx.MERCHANT_KEY))

    def file(self, name: str, content: str | bytes) -> str:
        path = self._folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main(["verify-signature", *arguments])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def answer(self, body: bytes, signature: str, *more: str, serial: str = "PUB_KEY_ID_1") -> tuple[int, str]:
        headers = {
            "Wechatpay-Timestamp": TIMESTAMP,
            "Wechatpay-Nonce": NONCE,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": signature,
        }
        text = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        files = ("--headers", self.file("head.txt", text), "--body", self.file("body.json", body))
        return self.run("wechat", *files, "--key", self.platform, "--lang", "en", *more)


def over(body: bytes) -> str:
    """The platform's signature of an answer with this body."""
    return signed(wx.PLATFORM_KEY, f"{TIMESTAMP}\n{NONCE}\n".encode() + body + b"\n")


def request(
    desk: Desk, method: str, url: str, body: str, signature: str, *more: str, key: str = "merchant"
) -> tuple[int, str]:
    pem = WECHAT["merchant_test_key_pem"].replace("TESTING", "PRIVATE") if key == "vector" else ""
    path = desk.file("vector.pem", pem) if pem else desk.merchant
    header = (
        f'Authorization: WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="{NONCE}",timestamp="{TIMESTAMP}",'
        f'serial_no="AB",signature="{signature}"'
    )
    files = ["--headers", desk.file("head.txt", header)]
    files += ["--body", desk.file("body.json", body)] if body else []
    return desk.run("wechat", "--method", method, "--url", url, *files, "--key", path, "--lang", "en", *more)
