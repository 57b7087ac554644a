"""Alipay's signatures: official notifications, an independent SDK both ways, and whatever must not be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from alipay import AliPay
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.channels import alipay_signing as signing
from payments.channels.rsa_signing import private_key, public_key, sign_sha256
from tests.payments_keys import private_pem, public_pem, rsa_key

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "alipay.json").read_text(encoding="utf-8")
)["notify"]


def sdk(sign_type: str = "RSA2") -> AliPay:
    """An independent merchant whose Alipay is our "alipay" key."""
    return AliPay(
        appid="2021000000000001",
        app_private_key_string=private_pem("merchant"),
        alipay_public_key_string=public_pem("alipay"),
        sign_type=sign_type,
    )


@pytest.mark.parametrize("vector", VECTORS, ids=["without sign_type", "with sign_type"])
def test_official_notifications_are_proved(vector: dict[str, Any]) -> None:
    key = public_key("alipay_public_key", vector["public_key"])
    assert signing.why_notice_not_proved(vector["params"], key) is None
    drop = set(vector["drop"])
    text = signing.text_to_sign(vector["params"], drop)
    assert ("sign_type=" in text) is ("sign_type" not in drop)


@pytest.mark.parametrize("vector", VECTORS, ids=["without sign_type", "with sign_type"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("notify_id", "1"), ("sign_type", "RSA"), ("sign_type", ""), ("sign", ""), ("sign", "????"), ("new", "x")],
)
def test_a_changed_notification_is_not_proved(vector: dict[str, Any], name: str, value: str) -> None:
    key = public_key("alipay_public_key", vector["public_key"])
    assert signing.why_notice_not_proved({**vector["params"], name: value}, key) is not None


@pytest.mark.parametrize("covers_sign_type", [False, True])
def test_our_notifications_are_proved_by_ourselves(covers_sign_type: bool) -> None:
    notice = signing.signed_notice({"a": "语", "empty": ""}, rsa_key("alipay"), covers_sign_type=covers_sign_type)
    assert signing.why_notice_not_proved(notice, rsa_key("alipay").public_key()) is None
    assert signing.why_notice_not_proved(notice, rsa_key("merchant").public_key()) == "sign: wrong"


def test_our_notifications_are_proved_by_the_sdk() -> None:
    notice = signing.signed_notice({"trade_status": "TRADE_SUCCESS", "subject": "跑腿"}, rsa_key("alipay"))
    sign = notice.pop("sign")
    assert sdk().verify(notice, sign)


def test_a_request_of_the_sdk_is_proved() -> None:
    query = sdk().api_alipay_trade_page_pay(subject="奶茶 ¥ & =", out_trade_no="A1", total_amount="0.01")
    params = dict(parse_qsl(query, keep_blank_values=True))
    assert signing.why_request_not_proved(params, rsa_key("merchant").public_key()) is None
    assert signing.why_request_not_proved({**params, "method": "x"}, rsa_key("merchant").public_key()) == "sign: wrong"


def test_sha1_is_not_believed_even_when_right() -> None:
    params = dict(parse_qsl(sdk("RSA").api_alipay_trade_page_pay(subject="x", out_trade_no="A1", total_amount="0.01")))
    assert signing.why_request_not_proved(params, rsa_key("merchant").public_key()) == "sign_type: only RSA2"


def test_our_request_is_the_sdks_request() -> None:
    params = {
        "app_id": "1",
        "method": "alipay.trade.query",
        "biz_content": '{"out_trade_no":"奶茶"}',
        "charset": "utf-8",
    }
    ours = signing.signed_request(params, rsa_key("merchant"))
    theirs = dict(parse_qsl(sdk().sign_data({**params, "sign_type": "RSA2"})))
    assert ours == theirs


METHOD = "alipay.trade.query"


def test_our_reply_is_proved_by_the_sdk() -> None:
    content = json.dumps({"code": "10000", "subject": "跑腿/奶茶"}, ensure_ascii=False).encode()
    body = signing.signed_reply(METHOD, content, rsa_key("alipay")).decode()
    answer = sdk()._verify_and_return_sync_response(body, signing.reply_member(METHOD))
    assert answer == {"code": "10000", "subject": "跑腿/奶茶"}


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8), st.text(max_size=12) | st.integers() | st.lists(st.text(max_size=5), max_size=3)
    ),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_the_signed_part_comes_back_byte_by_byte(content: dict[str, Any], indent: int | None, is_ascii: bool) -> None:
    raw = json.dumps(content, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return
    reply = signing.take_apart(signing.signed_reply(METHOD, raw, rsa_key("alipay")), METHOD)
    assert reply is not None
    assert reply.content == raw
    assert signing.why_reply_not_proved(reply, rsa_key("alipay").public_key()) is None


def test_braces_slashes_and_spaces_inside_a_reply_are_kept() -> None:
    content = b'{ "code":"10000","msg":"a}\\/{\\"b","nested":{"x":[1,{"y":"}"}]} }'
    signature = sign_sha256(rsa_key("alipay"), content)
    body = b'{ "sign" : "%s" , "alipay_trade_query_response" : %s , "alipay_cert_sn":"1"}' % (
        signature.encode(),
        content,
    )
    reply = signing.take_apart(body, METHOD)
    assert reply is not None
    assert signing.why_reply_not_proved(reply, rsa_key("alipay").public_key()) is None


def test_a_reply_that_names_its_content_twice_is_none() -> None:
    body = signing.signed_reply(METHOD, b'{"code":"10000"}', rsa_key("alipay"))
    forged = body[:-1] + b',"alipay_trade_query_response":{"code":"10000","trade_status":"TRADE_SUCCESS"}}'
    assert signing.take_apart(forged, METHOD) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"{", b'{"a"', b'{"a":1 "b":2}', b'{1:2}', b'{"other_response":{}}', b"\xff", b'{"a":1}x',
     b'{"alipay_trade_query_response":}', b"<html>"],
)  # fmt: skip
def test_what_is_no_reply(body: bytes) -> None:
    assert signing.take_apart(body, METHOD) is None


def test_an_error_without_a_signature_is_not_proved() -> None:
    reply = signing.take_apart(b'{"error_response":{"code":"40002","sub_code":"isv.invalid-signature"}}', METHOD)
    assert reply is not None
    assert signing.why_reply_not_proved(reply, rsa_key("alipay").public_key()) == "sign: missing"
    assert signing.take_apart(b'{"alipay_trade_query_response":{},"sign":7}', METHOD) == signing.SignedReply(b"{}", "")


# -- keys ---------------------------------------------------------------------------------------------------------


def bare(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def test_keys_come_as_pem_as_base64_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "app.pem"
    path.write_text(private_pem("merchant"))
    path.chmod(0o600)
    for given_key in (private_pem("merchant"), bare(private_pem("merchant")), str(path)):
        assert private_key("app_private_key", given_key).private_numbers() == rsa_key("merchant").private_numbers()
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    old = rsa_key("merchant").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert private_key("app_private_key", bare(old)).private_numbers() == rsa_key("merchant").private_numbers()
    path.write_text(bare(old) + "\n")
    assert private_key("app_private_key", str(path)).private_numbers() == rsa_key("merchant").private_numbers()
    path.write_text("not a key")
    with pytest.raises(ValueError, match="^app_private_key: is not a key"):
        private_key("app_private_key", str(path))
    path.write_text(bare(public_pem("alipay")))
    for given_key in (public_pem("alipay"), bare(public_pem("alipay")), str(path)):
        key = public_key("alipay_public_key", given_key)
        assert key.public_numbers() == rsa_key("alipay").public_key().public_numbers()


def test_wrong_keys_are_refused_by_name_and_never_quoted(tmp_path: Path) -> None:
    readable = tmp_path / "open.pem"
    readable.write_text(private_pem("merchant"))
    readable.chmod(0o644)
    for value, why in [
        ("", "is empty"),
        ("keys/app.pem", "absolute path"),
        ("./app.pem", "absolute path"),
        (str(tmp_path / "none.pem"), "cannot be read"),
        (str(readable), "chmod 600"),
        ("secretsecret", "absolute path"),
        ("MIIsecretsecret", "is not an unencrypted private key"),
        (public_pem("merchant"), "is not an unencrypted private key"),
    ]:
        with pytest.raises(ValueError, match=rf"^app_private_key: .*{why}") as caught:
            private_key("app_private_key", value)
        assert "secretsecret" not in str(caught.value)
    with pytest.raises(ValueError, match="^alipay_public_key: is neither a public key"):
        public_key("alipay_public_key", private_pem("merchant"))


def test_keys_of_other_kinds_and_short_ones_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    curve = ec.generate_private_key(ec.SECP256R1())
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key, why in ((curve, "is not an RSA key"), (short, "has 1024 bits")):
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(ValueError, match=f"^app_private_key: {why}"):
            private_key("app_private_key", text)
    text = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="^alipay_public_key: is not an RSA key"):
        public_key("alipay_public_key", text)
