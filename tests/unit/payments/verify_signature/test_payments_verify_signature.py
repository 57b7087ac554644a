"""``verify-signature`` names what is wrong in WeChat Pay: the key, the algorithm, the byte, the encoding."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.hashes import SHA1, SHA384

from payments.signature.mistakes import repaired_signatures
from payments.signature.report import first_difference
from tests import wechat_counter as wx
from tests.payments_verify import BODY, NONCE, TIMESTAMP, WECHAT, Desk, over, request, signed


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
