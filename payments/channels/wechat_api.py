"""Calls to WeChat Pay v3: signed as they are sent, proved before they are believed, and never an exception."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cryptography import x509

from payments.channels import wechat_signing as signing
from payments.channels.exchange import Observe, unobserved
from payments.channels.http import CALL_S, HttpReply, HttpRequest, HttpSilence, ProviderHttp
from payments.channels.signing_keys import BadSetting, certificate
from payments.channels.wechat_config import WechatConfig, WechatKeys, read_keys
from payments.channels.wechat_signing import PlatformKeys, Resource
from payments.outcomes import OVERLOAD

log = logging.getLogger(__name__)

CERTIFICATES = "/v3/certificates"
#: Real seconds between two fetches of the platform's certificates: as a rule, and at least.
CERTIFICATES_EVERY_S = 12 * 3600.0
CERTIFICATES_AT_LEAST_S = 60.0

_SILENCE = {"connect": "unreachable", "overload": OVERLOAD}
_CODES = {401: "SIGN_ERROR", 403: "NO_AUTH", 429: "FREQUENCY_LIMITED"}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is proved, or an error that may come unsigned. ``code`` is empty when the call was accepted."""

    status: int
    code: str
    message: str
    body: bytes

    @property
    def is_accepted(self) -> bool:
        return not self.code

    @property
    def reason(self) -> str:
        """The code as our own reason."""
        return self.code.lower()

    @property
    def is_final(self) -> bool:
        """Whether the same call would be refused again: it was judged, and nothing was done."""
        return bool(self.code) and self.status < 500 and self.status not in (401, 429)


class Unheard(msgspec.Struct, frozen=True, kw_only=True):
    """No answer, or none that is proved; whether the call had its effect is not known when ``was_sent``."""

    reason: str
    was_sent: bool


Answer = Said | Unheard


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _ListedCertificate(msgspec.Struct, frozen=True):
    serial_no: str
    encrypt_certificate: Resource


class _ListOfCertificates(msgspec.Struct, frozen=True):
    data: list[_ListedCertificate]


class WechatApi:
    """One merchant's connection to WeChat Pay."""

    def __init__(
        self,
        config: WechatConfig,
        *,
        observe: Observe = unobserved,
        wall_s: Callable[[], float] = time.time,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.config = config
        self.keys: WechatKeys = read_keys(config)
        self.wall_s = wall_s
        self.new_nonce = new_nonce
        self._http = ProviderHttp(
            config.code, config.base_url, config.backup_url or None, observe=observe, tls=tls, wall_s=wall_s
        )
        self._fetching = asyncio.Lock()
        self._fetched_at: float | None = None
        self._is_fetch_wanted = not config.public_key_id
        self._first_fetch: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Open the pool; in certificate mode the first fetch goes on in the background."""
        await self._http.start()
        if self._is_fetch_wanted:
            self._first_fetch = asyncio.create_task(self.fetch_certificates(), name="wechat-certificates")

    async def stop(self) -> None:
        """Close the pool."""
        if self._first_fetch is not None:
            self._first_fetch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._first_fetch
        await self._http.stop()

    # -- calls ------------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        target: str,
        *,
        operation: str,
        subject: str,
        payload: Mapping[str, Any] | None = None,
        serial: str = "",
        total_s: float = CALL_S,
        may_repeat: bool = True,
    ) -> Answer:
        """One call. ``target`` is path and query as they are signed and sent; ``serial`` names the key with which
        fields of the payload are encrypted; ``may_repeat`` as for ``HttpRequest``."""
        until = time.monotonic() + total_s
        body = b"" if payload is None else msgspec.json.encode(payload)
        request = self._request(method, target, body, operation, subject, serial, may_repeat=may_repeat)
        reply = await self._http.send(request, total_s=total_s)
        if isinstance(reply, HttpSilence):
            return _unheard(reply)
        why = await self._why_not_proved(reply, until)
        if why is not None and (200 <= reply.status < 300 or why not in ("not_signed", "unknown_key")):
            log.error("WeChat Pay's answer to %s is not proved: %s", operation, why)
            return Unheard(reason=why, was_sent=True)
        return _said(reply)

    async def download(self, target: str, *, operation: str, subject: str, total_s: float, most_bytes: int) -> Answer:
        """A file: it comes unsigned, and the caller proves it by its digest."""
        request = self._request("GET", target, b"", operation, subject)
        reply = await self._http.send(request, total_s=total_s, most_bytes=most_bytes)
        return _unheard(reply) if isinstance(reply, HttpSilence) else _said(reply)

    def _request(
        self,
        method: str,
        target: str,
        body: bytes,
        operation: str,
        subject: str,
        serial: str = "",
        *,
        may_repeat: bool = True,
    ) -> HttpRequest:
        headers = {
            "Authorization": signing.authorization(
                self.keys.private,
                mchid=self.config.mchid,
                serial=self.config.serial_no,
                method=method,
                target=target,
                body=body,
                timestamp=str(int(self.wall_s())),
                nonce=self.new_nonce(),
            ),
            "Accept": "application/json",
            "User-Agent": "campus-errand-dispatch",
        }
        if body:
            headers["Content-Type"] = "application/json"
        # Naming the public key makes WeChat Pay answer with it instead of with a certificate.
        if serial or self.config.public_key_id:
            headers["Wechatpay-Serial"] = serial or self.config.public_key_id
        return HttpRequest(
            method=method,
            target=target,
            operation=operation,
            subject=subject,
            headers=headers,
            body=body,
            may_repeat=may_repeat,
        )

    async def _why_not_proved(self, reply: HttpReply, until: float) -> str | None:
        why = self.why_not_proved(reply.headers, reply.body)
        left_s = until - time.monotonic()
        if why == "unknown_key" and left_s > 0:
            # Looked at again whatever comes of it: another call may have fetched the key while this one waited.
            await self.fetch_certificates(left_s)
            why = self.why_not_proved(reply.headers, reply.body)
        return why

    def why_not_proved(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """As ``wechat_signing.why_not_proved``; a key not known yet is fetched by the next ``work``."""
        why = signing.why_not_proved(self.keys.platform, headers, body, self.wall_s())
        if why is not None and why.startswith("unknown_key:"):
            log.warning("WeChat Pay signs with a key that is not known: %s", why.partition(":")[2])
            self._is_fetch_wanted = True
            return "unknown_key"
        return why

    # -- fields for the provider's eyes alone ---------------------------------------------------------------------

    async def can_seal(self) -> bool:
        """Whether a key of the provider's is known to encrypt with; before the first fetch there may be none."""
        return bool(self.sealing_serial()) or (await self.fetch_certificates() and bool(self.sealing_serial()))

    def sealed(self, field: str, text: str) -> dict[str, str]:
        """The field encrypted for the provider; only after ``can_seal``."""
        newest = self.keys.platform.newest(self.wall_s())
        assert newest is not None, "can_seal was asked"
        return {field: signing.encrypt_field(newest[1], text)}

    def sealing_serial(self) -> str:
        """The name of the key with which ``sealed`` encrypts."""
        newest = self.keys.platform.newest(self.wall_s())
        return newest[0] if newest is not None else ""

    # -- certificates -------------------------------------------------------------------------------------------------

    async def work(self) -> int:
        """Fetch the certificates when it is time; how much was done."""
        is_due = not self.config.public_key_id and self._age_s() > CERTIFICATES_EVERY_S
        if not (is_due or self._is_fetch_wanted):
            return 0
        return int(await self.fetch_certificates())

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at is None else time.monotonic() - self._fetched_at

    async def fetch_certificates(self, total_s: float = CALL_S) -> bool:
        """Learn the platform's certificates; whether it was done. At most once a minute, however many ask."""
        async with self._fetching:
            if self._age_s() < CERTIFICATES_AT_LEAST_S:
                return False
            self._fetched_at = time.monotonic()
            reply = await self._http.send(self._request("GET", CERTIFICATES, b"", "certificates", ""), total_s=total_s)
            if isinstance(reply, HttpSilence):
                self._fetched_at = None
                return False
            listed = self._read_certificates(reply)
            if not listed:
                log.error("WeChat Pay's certificates could not be had: HTTP %s", reply.status)
                return False
            self.keys.platform.replace_certificates(listed)
            self._is_fetch_wanted = False
            return True

    def _read_certificates(self, reply: HttpReply) -> tuple[x509.Certificate, ...]:
        """Those of the list; none when it does not prove itself. What is encrypted with our own secret comes from
        WeChat Pay, and the list as a whole has to be signed by one of its own certificates."""
        try:
            entries = msgspec.json.decode(reply.body, type=_ListOfCertificates).data
            opened = [signing.open_resource(self.keys.api_v3, each.encrypt_certificate) for each in entries]
            listed = tuple(certificate("certificate", plain.decode()) for plain in opened if plain is not None)
        except (msgspec.DecodeError, UnicodeDecodeError, BadSetting):
            return ()
        fresh = PlatformKeys()
        fresh.replace_certificates(listed)
        by_public_key = signing.why_not_proved(self.keys.platform, reply.headers, reply.body, self.wall_s())
        by_itself = signing.why_not_proved(fresh, reply.headers, reply.body, self.wall_s())
        return listed if None in (by_public_key, by_itself) else ()


def _unheard(silence: HttpSilence) -> Unheard:
    return Unheard(reason=_SILENCE.get(silence.kind, silence.kind), was_sent=silence.was_sent)


def _said(reply: HttpReply) -> Said:
    if reply.status in (200, 204):
        return Said(status=reply.status, code="", message="", body=reply.body)
    try:
        error = msgspec.json.decode(reply.body, type=_Error)
    except msgspec.DecodeError:
        error = _Error()
    fallback = _CODES.get(reply.status, "SYSTEM_ERROR" if reply.status >= 500 else f"HTTP_{reply.status}")
    return Said(status=reply.status, code=(error.code or fallback)[:64], message=error.message[:200], body=reply.body)
