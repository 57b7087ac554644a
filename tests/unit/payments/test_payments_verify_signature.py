"""``verify-signature`` names what is wrong: the key, the algorithm, the byte, the encoding; in both languages."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, HashAlgorithm

from payments.__main__ import main
from payments.signature.mistakes import repaired_signatures
from payments.signature.report import first_difference
from payments.signature.words import HELP, LINES, LOOKS, MISTAKES
from tests import wechat_counter as wx

VECTORS = Path(__file__).parents[2] / "vectors"
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


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, capsys)


def over(body: bytes) -> str:
    """The platform's signature of an answer with this body."""
    return signed(wx.PLATFORM_KEY, f"{TIMESTAMP}\n{NONCE}\n".encode() + body + b"\n")


def test_the_official_vectors_are_right(desk: Desk) -> None:
    answer = WECHAT["response_verify"][0]
    headers = {
        "Wechatpay-Timestamp": answer["timestamp"],
        "Wechatpay-Nonce": answer["nonce"],
        "Wechatpay-Serial": answer["serial"],
        "Wechatpay-Signature": answer["signature"],
    }
    key = desk.file("wechatpay.pem", WECHAT["wechatpay_test_public_key_pem"])
    head = desk.file("head.json", json.dumps(headers))
    code, said = desk.run("wechat", "--headers", head, "--body", desk.file("b", answer["body"]), "--key", key)
    assert code == 0 and said.startswith("RIGHT: signed with") and "seconds away from now" in said

    callback = WECHAT["callback"][0]
    head = desk.file("head.json", json.dumps(callback["headers"]))
    key = desk.file("cert.pem", callback["platform_cert_pem"])
    code, _ = desk.run("wechat", "--headers", head, "--body", desk.file("b", callback["body"]), "--key", key)
    assert code == 0

    for each in WECHAT["request_sign"]:
        code, said = request(desk, each["method"], each["url"], each["body"], each["signature"], key="vector")
        assert code == 0, said


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


@pytest.mark.parametrize(
    ("was_signed", "arrived", "words"),
    [
        (BODY, b"\xef\xbb\xbf" + BODY, "byte order mark (EF BB BF) was put before"),
        (b"\xef\xbb\xbf" + BODY, BODY, "byte order mark (EF BB BF) was signed"),
        (BODY, BODY + b"\n", "a line end was added"),
        (BODY + b"\n", BODY, "line end at its end was signed"),
        (b'{\r\n"a":1}', b'{\n"a":1}', "line ends were changed"),
        (b'{\n"a":1}', b'{\r\n"a":1}', "line ends were changed"),
        (BODY, json.dumps(json.loads(BODY)).encode(), "parsed and written again"),
        (BODY, json.dumps(json.loads(BODY), ensure_ascii=False, separators=(",", ":")).encode(), "written again"),
        (BODY.replace("¥".encode(), "￥".encode()), BODY, "yuan sign was changed"),
        (BODY.replace("¥".encode(), b"%C2%A5"), BODY, "yuan sign was changed"),
        (BODY.decode().encode("gb18030"), BODY, "another encoding than UTF-8"),
        (BODY, BODY.decode().encode("gb18030"), "another encoding than UTF-8"),
        (BODY, BODY.decode("latin-1").encode(), "encoded twice"),
        (BODY, BODY.replace(b"&", b"&amp;"), "HTML escapes"),
        (BODY, quote(BODY).encode(), "URL encoding"),
        (b"", BODY, "the body was not signed"),
    ],
)
def test_the_mistake_in_the_body_is_named(desk: Desk, was_signed: bytes, arrived: bytes, words: str) -> None:
    code, said = desk.answer(arrived, over(was_signed))
    assert code == 1 and said.startswith("WRONG") and "The key is right" in said
    assert words in said, said
    assert "First difference: byte " in said


def test_the_first_differing_byte_is_named(desk: Desk) -> None:
    arrived = BODY.replace(b"1200", b"3451")
    claim = desk.file("signed.txt", f"{TIMESTAMP}\n{NONCE}\n".encode() + BODY + b"\n")
    code, said = desk.answer(arrived, over(BODY))
    assert code == 1 and "Something else was signed" in said and "--signed" in said
    assert "a ¥ (U+00A5) at byte" in said, "the suspicious sign is named with its place"
    code, said = desk.answer(arrived, over(BODY), "--signed", claim)
    at = len(f"{TIMESTAMP}\n{NONCE}\n") + arrived.index(b"3451")
    assert code == 1 and f"First difference: byte {at} (line 3, column {arrived.index(b'3451') + 1})" in said
    assert "[31]" in said and "[33]" in said and "It is indeed what was signed." in said
    other = desk.file("other.txt", "something else")
    assert "its digest is another one" in desk.answer(arrived, over(BODY), "--signed", other)[1]
    same = desk.file("same.txt", f"{TIMESTAMP}\n{NONCE}\n".encode() + arrived + b"\n")
    assert "byte by byte what should be signed" in desk.answer(arrived, over(BODY), "--signed", same)[1]
    shorter = desk.file("short.txt", f"{TIMESTAMP}\n")
    assert "(it ends here)" in desk.answer(arrived, over(BODY), "--signed", shorter)[1]


@pytest.mark.parametrize(
    "arrived", [BODY.replace(b"1200", b"1201"), BODY.replace(b"1200", b"120"), BODY[:9] + b"x" + BODY[9:]]
)
def test_a_single_byte_is_found_without_being_told(desk: Desk, arrived: bytes) -> None:
    code, said = desk.answer(arrived, over(BODY))
    at = len(f"{TIMESTAMP}\n{NONCE}\n") + first_difference(BODY, arrived)
    assert code == 1 and "a single byte was changed" in said and f"First difference: byte {at} " in said, said


def test_a_long_message_is_not_searched(desk: Desk) -> None:
    long = b"x" * 4000
    code, said = desk.answer(long + b"yz", over(long + b"YZ"))
    assert code == 1 and "Something else was signed" in said


def test_a_key_mismatch_is_told_from_a_changed_message(desk: Desk) -> None:
    by_merchant = signed(wx.MERCHANT_KEY, f"{TIMESTAMP}\n{NONCE}\n".encode() + BODY + b"\n")
    code, said = desk.answer(BODY, by_merchant)
    assert code == 1 and "Key mismatch" in said and "public key of this id" in said
    assert "serial number" in desk.answer(BODY, by_merchant, serial="5157F09E")[1]
    code, said = desk.answer(BODY, by_merchant, "--own-key", desk.merchant)
    assert code == 1 and "made with your own key" in said and "Key mismatch" not in said
    short = base64.b64encode(b"x" * 128).decode()
    assert "has 128 bytes" in desk.answer(BODY, short)[1]


def test_a_wrong_algorithm_is_named(desk: Desk) -> None:
    message = f"{TIMESTAMP}\n{NONCE}\n".encode() + BODY + b"\n"
    code, said = desk.answer(BODY, signed(wx.PLATFORM_KEY, message, SHA1()))
    assert code == 1 and "signed with sha1WithRSA; sha256WithRSA is expected" in said
    assert "unknownWithRSA" in desk.answer(BODY, signed(wx.PLATFORM_KEY, message, SHA384()))[1]
    said = desk.answer(BODY + b"\n", signed(wx.PLATFORM_KEY, message, SHA1()))[1]
    assert "sha1WithRSA" in said and "a line end was added" in said


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace("+", " "), "became a space"),
        (lambda text: "\n".join((text[:76], text[76:])), "broken into lines"),
        (lambda text: quote(text, safe=""), "still URL-encoded"),
        (lambda text: text.replace("+", "-").replace("/", "_"), "URL-safe alphabet"),
        (lambda text: text.rstrip("="), "= at the end"),
    ],
)
def test_a_damaged_signature_is_mended_and_the_damage_named(
    desk: Desk, damage: Callable[[str], str], words: str
) -> None:
    text = over(BODY)
    number = 0
    while "+" not in text or "/" not in text:
        number += 1
        text = over(BODY.replace(b"1200", str(number).encode()))
    damaged = damage(text)
    if "\n" in damaged:
        assert ("signature_line_ends", text.encode()) in list(repaired_signatures(damaged))
        return
    body = BODY.replace(b"1200", str(number).encode()) if number else BODY
    code, said = desk.answer(body, damaged)
    assert code == 1 and words in said and "The key is right" not in said


def test_a_probe_and_nonsense(desk: Desk) -> None:
    code, said = desk.answer(BODY, "WECHATPAY/SIGNTEST/" + over(BODY))
    assert code == 1 and "must be refused" in said
    code, said = desk.answer(BODY, "abc!")
    assert code == 1 and "character 4 is '!'" in said


@pytest.mark.parametrize(
    ("method", "url", "body", "message", "words"),
    [
        ("GET", "/v3/x?a=1", "", "GET\n/v3/x\n{}\n\n", "the query"),
        ("GET", "/v3/x?a=1", "", "GET\nhttps://api.mch.weixin.qq.com/v3/x?a=1\n{}\n\n", "the host was signed"),
        ("GET", "/v3/x", "", "GET\nv3/x\n{}\n\n", "first /"),
        ("GET", "/v3/x?a=%7B", "", "GET\n/v3/x?a={{\n{}\n\n", "URL encoding"),
        ("GET", "/v3/x", "", "get\n/v3/x\n{}\n\n", "small letters"),
        ("GET", "/v3/x", "", "GET\n/v3/x\n{}\n{{}}\n", "a body was signed"),
        ("POST", "/v3/x", '{"a":1}', "POST\n/v3/x\n{}\n{{\"a\": 1}}\n", "written again"),
        ("POST", "/v3/x", '{"a":1}', "POST\n/v3/x\n{}\n{{\"a\":1}}", "last line end"),
        ("POST", "/v3/x", '{"a":1}', "POST\n/v3/x\n{}\n\n", "the body was not signed"),
    ],
)  # fmt: skip
def test_the_mistake_in_a_request_is_named(
    desk: Desk, method: str, url: str, body: str, message: str, words: str
) -> None:
    text = message.format(f"{TIMESTAMP}\n{NONCE}").encode()
    code, said = request(desk, method, url, body, signed(wx.MERCHANT_KEY, text))
    assert code == 1 and words in said, said


def test_the_order_of_the_lines_counts(desk: Desk) -> None:
    text = f"GET\n/v3/x\n{NONCE}\n{TIMESTAMP}\n\n".encode()
    assert "wrong order" in request(desk, "GET", "/v3/x", "", signed(wx.MERCHANT_KEY, text))[1]
    text = f"{NONCE}\n{TIMESTAMP}\n".encode() + BODY + b"\n"
    assert "wrong order" in desk.answer(BODY, signed(wx.PLATFORM_KEY, text))[1]


# -- Alipay and UnionPay -------------------------------------------------------------------------------------------

PARAMS = {
    "out_trade_no": "A1",
    "app_id": "2019073166072302",
    "subject": "奶茶 ¥12+&",
    "total_amount": "12.00",
    "empty": "",
    "Zebra": "1",
}


def joined(params: dict[str, str], **changes: str) -> str:
    whole = {name: value for name, value in {**params, **changes}.items() if value}
    return "&".join(f"{name}={whole[name]}" for name in sorted(whole))


def alipay(desk: Desk, text: str, *more: str, sign_type: str = "RSA2", algorithm: Any = None) -> tuple[int, str]:
    sign = signed(wx.PLATFORM_KEY, text.encode(), algorithm)
    form = urlencode({**PARAMS, "sign_type": sign_type, "sign": sign})
    return desk.run("alipay", "--params", desk.file("form.txt", form), "--key", desk.platform, "--lang=en", *more)


def test_alipays_notifications_of_the_vectors_are_right(desk: Desk) -> None:
    for each in json.loads((Path(__file__).parents[2] / "vectors" / "alipay.json").read_text(encoding="utf-8"))[
        "notify"
    ]:
        if each["valid"]:
            files = ("--params", desk.file("p.json", json.dumps(each["params"])))
            assert desk.run("alipay", *files, "--key", desk.file("key.txt", each["public_key"]))[0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("&".join(f"{name}={value}" for name, value in PARAMS.items() if value), "not sorted"),
        ("&".join(f"{n}={PARAMS[n]}" for n in sorted(PARAMS, key=str.lower) if PARAMS[n]), "without regard to case"),
        ("&".join(f"{name}={PARAMS[name]}" for name in sorted(PARAMS)), "empty parameters"),
        (joined(PARAMS, total_amount=""), "total_amount was not signed"),
        (joined(PARAMS, subject=quote(PARAMS["subject"], safe="")), "URL-encoded before signing"),
        (joined(PARAMS, subject=PARAMS["subject"].replace("¥", "￥")), "yuan sign"),
    ],
)
def test_the_mistake_in_a_form_is_named(desk: Desk, text: str, words: str) -> None:
    code, said = alipay(desk, text)
    assert code == 1 and words in said, said


def test_alipays_sign_type(desk: Desk) -> None:
    assert alipay(desk, joined(PARAMS))[0] == 0
    assert alipay(desk, joined(PARAMS, sign_type="RSA2"))[0] == 0
    assert alipay(desk, joined(PARAMS, sign_type="RSA2"), "--request")[0] == 0
    code, said = alipay(desk, joined(PARAMS), "--request")
    assert code == 1 and "sign_type was treated the wrong way" in said
    assert alipay(desk, joined(PARAMS), sign_type="RSA", algorithm=SHA1())[0] == 0


def test_alipays_replies_are_signed_as_they_were_written(desk: Desk) -> None:
    content = b'{"code":"10000","msg":"Success"}'
    body = b'{"alipay_trade_query_response":%s,"sign":"%s"}'
    sign = signed(wx.PLATFORM_KEY, content).encode()
    head = ("alipay", "--reply", "alipay.trade.query", "--key", desk.platform, "--body")
    assert desk.run(*head, desk.file("r.json", body % (content, sign)))[0] == 0
    spaced = content.replace(b":", b": ")
    code, said = desk.run(*head, desk.file("r.json", body % (spaced, sign)))
    assert code == 1 and "written again" in said
    code, said = desk.run(*head, desk.file("r.json", b"{}"))
    assert code == 2 and "alipay_trade_query_response" in said


def unionpay(desk: Desk, message: bytes, version: str = "5.1.0", algorithm: Any = None, **more: str) -> tuple[int, str]:
    params = {**PARAMS, "version": version, "signMethod": "01", **more}
    params["signature"] = signed(wx.PLATFORM_KEY, message, algorithm)
    return desk.run("unionpay", "--params", desk.file("p.txt", urlencode(params)), "--key", desk.platform)


def test_unionpay_signs_the_digest_of_the_digest(desk: Desk) -> None:
    text = joined(PARAMS, version="5.1.0", signMethod="01").encode()
    digest = hashlib.sha256(text).hexdigest().encode()
    assert unionpay(desk, digest)[0] == 0
    assert "not its SHA-256 in hex" in unionpay(desk, text)[1]
    assert "capital letters" in unionpay(desk, digest.upper())[1]
    old = hashlib.sha1(joined(PARAMS, version="5.0.0", signMethod="01").encode()).hexdigest().encode()
    assert unionpay(desk, old, "5.0.0", SHA1())[0] == 0
    assert "sha1WithRSA; sha256WithRSA is expected" in unionpay(desk, digest, algorithm=SHA1())[1]
    # The message may bring its certificate along.
    pem = wx.certificate_pem(wx.certificate_of(wx.PLATFORM_KEY, 7))
    whole = {**PARAMS, "version": "5.1.0", "signMethod": "01", "signPubKeyCert": pem}
    whole["signature"] = signed(wx.PLATFORM_KEY, hashlib.sha256(joined(whole).encode()).hexdigest().encode())
    code, said = desk.run("unionpay", "--params", desk.file("p.txt", urlencode(whole)))
    assert code == 0 and "signPubKeyCert" in said


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wechat"], "--headers"),
        (["wechat", "--headers", "none.txt"], "none.txt"),
        (["wechat", "--headers", "{empty}"], "Wechatpay-Timestamp"),
        (["wechat", "--headers", "{json}"], "--headers"),
        (["wechat", "--url", "https://x/v3", "--headers", "{empty}"], "--url"),
        (["wechat", "--url", "/v3", "--headers", "{auth}"], "WECHATPAY2-SHA256-RSA2048"),
        (["alipay", "--params", "{empty}"], "--params"),
        (["alipay", "--params", "{form}"], "sign"),
        (["unionpay", "--params", "{form}"], "signature"),
        (["alipay", "--params", "{signed}"], "--key"),
        (["alipay", "--params", "{signed}", "--key", "none.pem"], "none.pem"),
        (["alipay", "--params", "{signed}", "--key", "{empty}"], "no key"),
        (["alipay", "--params", "{signed}", "--key", "{form}"], "--key"),
    ],
)
def test_what_cannot_begin_says_why(desk: Desk, arguments: list[str], words: str) -> None:
    files = {
        "empty": desk.file("empty", ""),
        "json": desk.file("json", "{"),
        "auth": desk.file("auth", "Authorization: Bearer x"),
        "form": desk.file("form", "a=1"),
        "signed": desk.file("signed", "a=1&sign=x"),
    }
    code, said = desk.run(*(each.format(**files) for each in arguments))
    assert code == 2 and said.startswith("Cannot begin: ") and words in said, said


def test_it_reads_standard_input_and_shows_the_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    head = {"Wechatpay-Timestamp": TIMESTAMP, "Wechatpay-Nonce": NONCE, "Wechatpay-Serial": "A"}
    file = desk.file("head.json", json.dumps(head | {"Wechatpay-Signature": over(BODY)}))
    code, said = desk.run("wechat", "--headers", file, "--body", "-", "--key", desk.platform, "--show")
    assert code == 0 and "What should be signed:" in said and f"b'{NONCE}\\n'" in said


def test_it_speaks_chinese_by_option_and_by_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.answer(BODY + b"\n", over(BODY), "--lang", "zh")[1].startswith("错误")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    code, said = desk.run("wechat")
    assert code == 2 and said.startswith("无法开始")
    for words in (MISTAKES, LINES, LOOKS, HELP):
        for english, chinese in words.values():
            assert english and chinese
            assert set(_fields(english)) == set(_fields(chinese))


def _fields(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]


def test_help_helps() -> None:
    def run(*arguments: str, lang: str = "C.UTF-8") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "payments", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"LANG": lang, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    shown = run("verify-signature", "--help")
    assert shown.returncode == 0 and "Exit code: 0" in shown.stdout and "--own-key" in shown.stdout
    assert "退出码" in run("verify-signature", "--help", lang="zh_CN.UTF-8").stdout
    shown = run("--help")
    assert shown.returncode == 0 and "verify-signature" in shown.stdout


def test_an_unknown_command_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2 and main(["nonsense"]) == 2
    assert "verify-signature" in capsys.readouterr().err


def test_the_first_difference_of_a_beginning_is_its_end() -> None:
    assert first_difference(b"ab", b"abc") == 2
    assert first_difference(b"", b"") == 0
