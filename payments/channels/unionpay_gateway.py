"""UnionPay's gateway: forms go out signed, answers are believed only when a certificate of UnionPay's proves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import msgspec

from payments.channels import unionpay_signing as signing
from payments.channels.http import CALL_S, REPLY_BYTES, HttpReply, HttpRequest, HttpSilence, ProviderHttp
from payments.channels.unionpay_config import UnionpayConfig
from payments.outcomes import OVERLOAD

FRONT, APP, BACK, QUERY = (
    f"/gateway/api/{name}.do" for name in ("frontTransReq", "appTransReq", "backTransReq", "queryTrans")
)
_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}

#: done · open: under way, ask again · absent: no such order · denied: certainly not done · unsure: nobody knows.
Verdict = Literal["done", "open", "absent", "denied", "unsure"]

DONE = frozenset({"00", "A6"})
KEEP_ASKING = frozenset({"03", "04", "05"})
ABSENT = "34"
#: Nothing was judged: the system is closed, busy, or was asked too often.
_UNSURE = frozenset({"02", "06", "37"})
#: The money was taken after the end of the order, and UnionPay gives it back by itself: for people to look at.
_TOO_LATE = "42"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call: the parameters, which are empty unless they are proved."""

    params: Mapping[str, str] = {}
    silence: str = ""

    @property
    def code(self) -> str:
        """What UnionPay says of the call."""
        return self.params.get("respCode", "")

    @property
    def reason(self) -> str:
        """A short text for logs and people."""
        return self.silence or f"resp_{self.code}"

    @property
    def verdict(self) -> Verdict:
        """What became of the call."""
        return "unsure" if self.silence else verdict_of(self.code)

    @property
    def original(self) -> Verdict:
        """What became of the transaction that a query was about."""
        if self.verdict != "done":
            return "absent" if self.verdict == "absent" else "unsure"
        return verdict_of(self.params.get("origRespCode", ""))


def verdict_of(code: str) -> Verdict:
    """What one of UnionPay's codes proves."""
    if code in DONE:
        return "done"
    if code in KEEP_ASKING:
        return "open"
    if code == ABSENT:
        return "absent"
    return "unsure" if code in _UNSURE or code in ("", _TOO_LATE) else "denied"


def take_apart(text: str) -> dict[str, str] | None:
    """The parameters of an answer. Nothing in it is encoded, and a value in braces may hold "&" and "=" itself; None:
    not such an answer, or a name comes twice."""
    params: dict[str, str] = {}
    start = depth = 0
    for at, sign in enumerate(f"{text}&"):
        depth += (sign == "{") - (sign == "}")
        if sign != "&" or depth > 0:
            continue
        name, equals, value = text[start:at].partition("=")
        if not equals or not name or name in params:
            return None
        params[name] = value
        start = at + 1
    return params if depth == 0 and params else None


class UnionpayGateway:
    """One merchant's way to the gateway."""

    def __init__(self, config: UnionpayConfig, http: ProviderHttp, wall_s: Callable[[], float] = time.time) -> None:
        self._config = config
        self._http = http
        self._wall_s = wall_s
        self._key = config.signing_key(self.now())
        self._trust = config.trust(self.now())

    def now(self) -> datetime:
        """The time by which certificates are judged."""
        return datetime.fromtimestamp(self._wall_s(), UTC)

    def signed(self, params: Mapping[str, str]) -> dict[str, str]:
        """A request with what every request says, signed."""
        common = {"encoding": "UTF-8", "accessType": "0", "merId": self._config.mer_id}
        return signing.signed({**common, **params}, self._key)

    def why_not_proved(self, params: Mapping[str, str]) -> str | None:
        """Why a message does not come from UnionPay, or is not about us; None: it does and is."""
        why = self._trust.why_not_proved(params, self.now())
        return why or (None if params.get("merId") == self._config.mer_id else "merId: not ours")

    async def call(
        self,
        target: str,
        params: Mapping[str, str],
        *,
        operation: str,
        subject: str,
        total_s: float = CALL_S,
        most_bytes: int = REPLY_BYTES,
    ) -> Answer:
        """Call the gateway; never raises for what came back. An answer about another order is none."""
        request = HttpRequest(
            method="POST",
            target=target,
            operation=operation,
            subject=subject,
            headers=_FORM,
            body=urlencode(self.signed(params)).encode(),
        )
        answer = self._read(await self._http.send(request, total_s=total_s, most_bytes=most_bytes))
        for name in ("orderId", "txnTime"):
            if name in params and name in answer.params and answer.params[name] != params[name]:
                return Answer(silence="other_order")
        return answer

    def _read(self, answer: HttpReply | HttpSilence) -> Answer:
        if isinstance(answer, HttpSilence):
            return Answer(silence=OVERLOAD if answer.kind == "overload" else answer.kind)
        if answer.status != 200:
            return Answer(silence=f"http_{answer.status}")
        try:
            params = take_apart(answer.body.decode().strip())
        except UnicodeDecodeError:
            params = None
        if params is None:
            return Answer(silence="not_understood")
        why = self.why_not_proved(params)
        return Answer(params=params) if why is None else Answer(silence=why)
