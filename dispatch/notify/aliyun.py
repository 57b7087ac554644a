"""Alibaba Cloud's SMS (Dysmsapi ``SendSms``, version 2017-05-25), signed with ACS3-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from ..model.errors import TooMany, Unavailable

_log = logging.getLogger(__name__)

#: Of the SMS interface.
API_VERSION = "2017-05-25"

_ALGORITHM = "ACS3-HMAC-SHA256"
_EMPTY_BODY = hashlib.sha256(b"").hexdigest()
_MAX_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class AliyunAccount:
    """An access to the provider. ``templates``: the provider's template code for each of our template names."""

    key_id: str
    key_secret: str = field(repr=False)
    sign_name: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    url: str = "https://dysmsapi.aliyuncs.com"


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def canonical_query(params: Mapping[str, str]) -> str:
    """The query as it is signed and sent: sorted by name, RFC 3986 encoded."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(params.items()))


def signed_headers(
    account: AliyunAccount,
    *,
    host: str,
    path: str,
    query: str,
    action: str,
    now: datetime,
    nonce: str,
    version: str = API_VERSION,
) -> dict[str, str]:
    """The headers of one bodiless POST, ``Authorization`` included (source: the provider's page on signature V3)."""
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": _EMPTY_BODY,
        "x-acs-date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(("POST", path, query, lines, names, _EMPTY_BODY))
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(account.key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={account.key_id},SignedHeaders={names},Signature={signature}"
    return {**headers, "Authorization": f"{_ALGORITHM} {credential}"}


class AliyunSender:
    """Sends by the provider's HTTP interface. ``now_real``: real time, aware UTC; ``new_nonce``: no value twice."""

    def __init__(
        self,
        account: AliyunAccount,
        *,
        now_real: Callable[[], datetime],
        new_nonce: Callable[[], str],
        timeout_s: float = 5.0,
    ) -> None:
        self._account = account
        self._now_real = now_real
        self._new_nonce = new_nonce
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(2.0, timeout_s))
        self._session: aiohttp.ClientSession | None = None

    async def send(self, phone: str, template: str, params: Mapping[str, str]) -> None:
        code = self._account.templates.get(template)
        if code is None:
            raise Unavailable(f"no SMS template is set up for {template}")
        answer = await self._call("SendSms", {
            "PhoneNumbers": phone.removeprefix("+86").removeprefix("+"),
            "SignName": self._account.sign_name,
            "TemplateCode": code,
            "TemplateParam": json.dumps(dict(params), ensure_ascii=False, separators=(",", ":")),
        })  # fmt: skip
        said = str(answer.get("Code", ""))
        if said == "OK":
            return
        # The provider's own message may repeat what we sent: only its code is logged.
        _log.warning("the SMS provider refused: %s (request %s)", said, answer.get("RequestId"))
        if said in {"isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "Throttling.User"}:
            raise TooMany("no more messages to this phone for now")
        raise Unavailable("the message could not be sent; try again later")

    async def _call(self, action: str, params: Mapping[str, str]) -> dict[str, object]:
        base = urlsplit(self._account.url)
        path = base.path or "/"
        query = canonical_query(params)
        headers = signed_headers(
            self._account, host=base.netloc, path=path, query=query, action=action,
            now=self._now_real(), nonce=self._new_nonce(),
        )  # fmt: skip
        # ``encoded``: what was signed is what is sent, byte by byte.
        url = URL(f"{base.scheme}://{base.netloc}{path}?{query}", encoded=True)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=20))
        try:
            async with self._session.post(url, headers=headers, skip_auto_headers=["Content-Type"]) as response:
                body = await response.content.read(_MAX_ANSWER_BYTES)
            answer = json.loads(body)
        except (TimeoutError, aiohttp.ClientError, ValueError) as fault:
            _log.warning("the SMS provider did not answer: %s", type(fault).__name__)
            raise Unavailable("the SMS provider does not answer; try again") from None
        return answer if isinstance(answer, dict) else {}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
