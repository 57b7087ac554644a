"""``verify-signature`` with the forms of Alipay and UnionPay, and as a command in both languages."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.hashes import SHA1

from payments.__main__ import main
from payments.signature.report import first_difference
from payments.signature.words import HELP, LINES, LOOKS, MISTAKES
from tests import wechat_counter as wx
from tests.payments_verify import BODY, NONCE, TIMESTAMP, VECTORS, Desk, over, signed

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
    for each in json.loads((VECTORS / "alipay.json").read_text(encoding="utf-8"))["notify"]:
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
        (["alipay", "--params", "{form}"], "--params: there is no sign in it"),
        (["unionpay", "--params", "{form}"], "there is no signature in it"),
        (["alipay", "--params", "{signed}"], "--key is needed: the file"),
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
            env={"LANG": lang, "PYTHONPATH": str(Path(__file__).parents[4])},
        )

    shown = run("verify-signature", "--help")
    assert shown.returncode == 0 and "Exit code: 0" in shown.stdout and "--own-key" in shown.stdout
    assert "退出码" in run("verify-signature", "--help", lang="zh_CN.UTF-8").stdout
    shown = run("--help")
    assert shown.returncode == 0 and "verify-signature" in shown.stdout


def test_an_unknown_command_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2 and main(["nonsense"]) == 2
    assert "verify-signature" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["explore", "states"])
def test_every_command_has_help_and_refuses_what_it_does_not_know(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for arguments, code in ((["--help"], 0), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as end:
            main([command, *arguments])
        assert end.value.code == code
    shown = capsys.readouterr()
    assert f"python -m payments {command}" in shown.out and "nonsense" in shown.err


def test_the_first_difference_of_a_beginning_is_its_end() -> None:
    assert first_difference(b"ab", b"abc") == 2
    assert first_difference(b"", b"") == 0
