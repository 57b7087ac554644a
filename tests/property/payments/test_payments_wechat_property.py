"""Whatever arrives in WeChat Pay's name, nothing raises that is not a refusal, and nothing is believed unsigned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from payments.channels import wechat_signing as signing
from payments.channels.wechat import WechatChannel
from payments.channels.wechat_bills import BadBill, fen_of, read_flows, read_trades
from payments.money import Fen
from payments.outcomes import BadNotice, MoneyNotice, OtherNotice, PaidNotice
from payments.signature.report import first_difference
from payments.signature.verify import main
from tests import wechat_counter as wx

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=12,
)
WORDS = st.fixed_dictionaries(
    {},
    optional={
        "mchid": st.sampled_from([wx.MCHID, "1"]) | JSON,
        "out_trade_no": st.just("A1") | JSON,
        "trade_state": st.sampled_from(["SUCCESS", "NOTPAY", ""]) | JSON,
        "transaction_id": st.just("42") | JSON,
        "amount": st.fixed_dictionaries({"total": st.integers() | JSON, "currency": st.just("CNY")}) | JSON,
        "out_refund_no": st.just("R1") | JSON,
        "out_order_no": st.just("S1F") | JSON,
    },
)


@lru_cache(maxsize=1)
def a_channel() -> WechatChannel:
    return WechatChannel(wx.config_for("http://127.0.0.1:9"))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["Wechatpay-Serial", "Wechatpay-Nonce", "X"]), st.text()), st.binary())
def test_nothing_is_believed_unsigned(headers: dict[str, str], body: bytes) -> None:
    assert isinstance(a_channel().read_callback(headers, body), BadNotice)


@settings(deadline=None)
@given(JSON | WORDS)
def test_whatever_was_signed_is_read_or_refused(words: Any) -> None:
    notice = a_channel().read_callback(*wx.Counter().callback("TRANSACTION.SUCCESS", "transaction", words))
    assert isinstance(notice, PaidNotice | MoneyNotice | OtherNotice | BadNotice)
    if isinstance(notice, PaidNotice):
        assert (words["mchid"], words["trade_state"]) == (wx.MCHID, "SUCCESS")
        assert (notice.attempt_id, notice.amount_fen) == (words["out_trade_no"], words["amount"]["total"])
        assert notice.amount_fen > 0


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 299), st.integers(1, 255))
def test_one_changed_byte_is_seen(body: bytes, at: int, by: int) -> None:
    headers = wx.Counter().headers(body)
    known = signing.PlatformKeys({wx.PUBLIC_KEY_ID: wx.PLATFORM_KEY.public_key()})
    wall_s = float(headers["Wechatpay-Timestamp"])
    assert signing.why_not_proved(known, headers, body, wall_s) is None
    if body:
        at %= len(body)
        changed = body[:at] + bytes([(body[at] + by) % 256]) + body[at + 1 :]
        assert signing.why_not_proved(known, headers, changed, wall_s) == "bad_signature"
        assert first_difference(body, changed) == at


@settings(deadline=None)
@given(st.integers(-(10**11), 10**11))
def test_yuan_become_fen_exactly(fen: int) -> None:
    sign = "-" if fen < 0 else ""
    assert fen_of(f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}") == Fen(fen)


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_a_bill_is_read_or_refused(file: bytes) -> None:
    for read in (read_trades, read_flows):
        try:
            read(file)
        except BadBill:
            continue
        raise AssertionError("no such file has totals that agree")


@lru_cache(maxsize=1)
def a_folder() -> Path:
    folder = Path(mkdtemp(prefix="verify-signature-"))
    (folder / "key.pem").write_text(wx.PLATFORM_PUBLIC_PEM)
    return folder


def ran(*arguments: str, files: Mapping[str, bytes]) -> int:
    for name, content in files.items():
        (a_folder() / name).write_bytes(content)
    return main([*arguments, "--key", str(a_folder() / "key.pem")])


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60), st.text(max_size=60), st.binary(max_size=60))
def test_the_checking_tool_takes_anything(body: bytes, signature: str, claim: bytes) -> None:
    head = {
        "Wechatpay-Timestamp": "1",
        "Wechatpay-Nonce": "n",
        "Wechatpay-Serial": "s",
        "Wechatpay-Signature": signature,
    }
    files = {"head": json.dumps(head).encode(), "body": body, "claim": claim}
    at = {name: str(a_folder() / name) for name in files}
    assert ran("wechat", "--headers", at["head"], "--body", at["body"], "--signed", at["claim"], files=files) in (1, 2)
    assert ran("alipay", "--params", at["body"], files=files) in (1, 2)
    assert ran("unionpay", "--params", at["body"], files=files) in (1, 2)
    assert ran("alipay", "--reply", "alipay.trade.query", "--body", at["body"], files=files) in (1, 2)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_it_names_the_first_byte_that_differs(signed: bytes, arrived: bytes) -> None:
    headers = wx.Counter().headers(signed)
    files = {"head": json.dumps(headers).encode(), "body": arrived}
    at = {name: str(a_folder() / name) for name in files}
    code = ran("wechat", "--headers", at["head"], "--body", at["body"], files=files)
    assert code == (0 if signed == arrived else 1)
