"""Transfers from the merchant to a person (商家转账), which the person may have to confirm on the phone."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from payments.channels.wechat_api import Answer, Said, WechatApi
from payments.channels.wechat_money import money_of, read_status
from payments.money import Fen
from payments.outcomes import WAITS_FOR_PAYEE, MoneyAnswer

TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"

#: What may have to be known of who gets it.
PAYEE = ("payout_openid", "openid", "name")
#: A transfer from this amount on must name its receiver; below the other it must not.
NAME_FROM_FEN, NO_NAME_BELOW_FEN = 200_000, 30
#: Packages with which payees confirm transfers.
MOST_REMEMBERED = 4096

#: What is said of a number that is not known, and of one that is already.
_ABSENT = ("NOT_FOUND", "RECORD_NOT_EXISTS", "RESOURCE_NOT_EXISTS")
_KNOWN = ("ALREADY_EXISTS", "OUT_BILL_NO_USED")


class WechatTransfers:
    """The transfers of one merchant."""

    def __init__(self, api: WechatApi) -> None:
        self._api = api
        self._config = api.config
        self._packages: dict[str, str] = {}

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        """Ask how it stands, order it when it is not known. The number never changes: another one pays twice. One that
        waits for its payee is ordered again under its number for the package, which a question does not tell."""
        known = await self._standing(number)
        if known is not None and (known.reason != WAITS_FOR_PAYEE or number in self._packages):
            return self._with_package(number, known)
        openid = to.get("payout_openid") or to.get("openid")
        if not openid:
            return known or MoneyAnswer(standing="failed", reason="openid_missing")
        if amount_fen >= NAME_FROM_FEN and not to.get("name"):
            return known or MoneyAnswer(standing="failed", reason="name_missing")
        answer = await self._order(number, openid, to.get("name", ""), amount_fen)
        if answer.standing == "failed" and known is None:
            # A first order that was not heard may be what the second one is refused for.
            known = await self._standing(number)
        if known is not None and answer.reason != WAITS_FOR_PAYEE:
            return known
        return self._with_package(number, answer)

    async def _standing(self, number: str) -> MoneyAnswer | None:
        """How it stands there; None: no such transfer is known."""
        found = await self._api.call(
            "GET", f"{TRANSFERS}/out-bill-no/{quote(number, safe='')}", operation="transfer_query", subject=number
        )
        if isinstance(found, Said) and found.code in _ABSENT:
            return None
        return _standing_of(found, is_question=True)

    async def _order(self, number: str, openid: str, name: str, amount_fen: Fen) -> MoneyAnswer:
        """The same number again is the same transfer."""
        sealed = {}
        if name and amount_fen >= NO_NAME_BELOW_FEN:
            if not await self._api.can_seal():
                return MoneyAnswer(standing="no_answer", reason="no_platform_key")
            sealed = self._api.sealed("user_name", name)
        payload = {
            "appid": self._config.appid,
            "out_bill_no": number,
            "transfer_scene_id": self._config.transfer_scene_id,
            "openid": openid,
            "transfer_amount": amount_fen,
            "transfer_remark": f"errands {number}"[:32],
            "notify_url": self._config.notify_url,
            "transfer_scene_report_infos": msgspec.to_builtins(self._config.transfer_reports),
            **sealed,
        }
        answer = await self._api.call(
            "POST",
            TRANSFERS,
            operation="transfer",
            subject=number,
            payload=payload,
            serial=self._api.sealing_serial() if sealed else "",
        )
        self._keep_package(number, answer)
        if isinstance(answer, Said) and answer.code in _KNOWN:
            return MoneyAnswer(standing="no_answer", reason=answer.reason)
        return _standing_of(answer, is_question=not isinstance(answer, Said) or not answer.is_final)

    def _with_package(self, number: str, answer: MoneyAnswer) -> MoneyAnswer:
        """What WeChat takes on the payee's phone, word for word, while it is waited for."""
        package = self._packages.get(number)
        if answer.reason != WAITS_FOR_PAYEE or package is None:
            if answer.standing != "no_answer":
                self._packages.pop(number, None)
            return answer
        invoke = {"mchId": self._config.mchid, "appId": self._config.appid, "package": package}
        return msgspec.structs.replace(answer, confirm={"kind": "wechat_transfer", "invoke": invoke})

    def _keep_package(self, number: str, answer: Answer) -> None:
        if isinstance(answer, Said) and answer.is_accepted:
            status = read_status(answer)
            if status is not None and status.package_info:
                self._packages[number] = status.package_info
                if len(self._packages) > MOST_REMEMBERED:
                    del self._packages[next(iter(self._packages))]


def _standing_of(answer: Answer, *, is_question: bool) -> MoneyAnswer:
    """As :func:`money_of`; one that waits for its payee says so, and one that has failed has used its number up."""
    told = money_of(answer, is_question=is_question)
    status = read_status(answer) if isinstance(answer, Said) and answer.is_accepted else None
    if status is not None and status.state == "WAIT_USER_CONFIRM":
        return MoneyAnswer(standing="pending", reason=WAITS_FOR_PAYEE)
    is_spent = status is not None and told.standing == "failed"
    return msgspec.structs.replace(told, is_spent=is_spent) if is_spent else told
