"""Alipay's one gateway: requests go out signed, answers are believed only with Alipay's signature on the raw bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from payments.channels import alipay_signing as signing
from payments.channels.alipay_config import AlipayConfig
from payments.channels.china import beijing_text
from payments.channels.http import CALL_S, HttpReply, HttpRequest, HttpSilence, ProviderHttp
from payments.outcomes import OVERLOAD

PATH = "/gateway.do"
_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}

#: ok · waiting: the payer is still at it · denied: certainly not done · unsure: nobody knows, ask.
Verdict = Literal["ok", "waiting", "denied", "unsure"]

#: Codes, and ends of sub-codes, that say nothing about what was done.
_UNSURE_CODES = frozenset({"20000"})
_UNSURE_ENDS = ("SYSTEM_ERROR", "UNKNOW-ERROR", "UNKNOWN-ERROR", "UNKNOW_ERROR", "SERVICE-UNAVAILABLE")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call. ``content`` is empty unless Alipay's signature proves it; the codes of an answer without a
    signature (Alipay cannot sign for a key that it does not know) are kept, and are believed only as "nothing came"."""

    code: str = ""
    sub_code: str = ""
    content: Mapping[str, Any] = {}
    is_proved: bool = False

    @property
    def verdict(self) -> Verdict:
        """What the answer proves."""
        if not self.is_proved or self.code in _UNSURE_CODES or self.sub_code.upper().endswith(_UNSURE_ENDS):
            return "unsure"
        return "ok" if self.code == "10000" else "waiting" if self.code == "10003" else "denied"

    @property
    def reason(self) -> str:
        """A short text for logs and people."""
        return self.sub_code or self.code or "no_answer"

    def text(self, name: str) -> str:
        """A member of the content as text; "" when there is none."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""


class AlipayGateway:
    """One merchant's way to the gateway."""

    def __init__(self, config: AlipayConfig, http: ProviderHttp, wall_s: Callable[[], float] = time.time) -> None:
        self._config = config
        self._http = http
        self._wall_s = wall_s
        self._keys = config.keys(self.now())
        self.alipay_key = self._keys.alipay

    def now(self) -> datetime:
        """The time that requests are stamped with."""
        return datetime.fromtimestamp(self._wall_s(), UTC)

    async def call(
        self,
        method: str,
        content: Mapping[str, Any],
        *,
        operation: str,
        subject: str,
        total_s: float = CALL_S,
        **more: str,
    ) -> Answer:
        """Call a method; never raises for what came back."""
        params = self._signed(method, content, **more)
        body = urlencode({"biz_content": params.pop("biz_content")}).encode()
        request = HttpRequest(
            method="POST",
            target=f"{PATH}?{urlencode(params)}",
            operation=operation,
            subject=subject,
            headers=_FORM,
            body=body,
        )
        return self._read(method, await self._http.send(request, total_s=total_s))

    def page_url(self, method: str, content: Mapping[str, Any], **more: str) -> str:
        """The address of Alipay's own page for a request that the payer's browser makes."""
        return f"{self._config.gateway_url}{PATH}?{self.order_text(method, content, **more)}"

    def order_text(self, method: str, content: Mapping[str, Any], **more: str) -> str:
        """A signed request as the text that Alipay's app takes."""
        return urlencode(self._signed(method, content, **more))

    def _signed(self, method: str, content: Mapping[str, Any], **more: str) -> dict[str, str]:
        return signing.signed_request(
            {
                "app_id": self._config.app_id,
                "method": method,
                "format": "JSON",
                "charset": "utf-8",
                "timestamp": beijing_text(self.now()),
                "version": "1.0",
                **self._keys.serials,
                "biz_content": msgspec.json.encode(content).decode(),
                **more,
            },
            self._keys.own,
        )

    def _read(self, method: str, answer: HttpReply | HttpSilence) -> Answer:
        if isinstance(answer, HttpSilence):
            return Answer(sub_code=OVERLOAD if answer.kind == "overload" else answer.kind)
        if answer.status != 200:
            return Answer(sub_code=f"http_{answer.status}")
        reply = signing.take_apart(answer.body, method)
        if reply is None:
            return Answer(sub_code="not_understood")
        try:
            content = msgspec.json.decode(reply.content, type=dict[str, Any])
        except msgspec.DecodeError:
            return Answer(sub_code="not_understood")
        why = signing.why_reply_not_proved(reply, self.alipay_key)
        code, sub_code = (content.get(name) for name in ("code", "sub_code"))
        return Answer(
            code=code if isinstance(code, str) else "",
            sub_code=sub_code if isinstance(sub_code, str) else "" if why is None else why,
            content=content if why is None else {},
            is_proved=why is None,
        )
