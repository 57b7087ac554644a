"""Money that leaves an order by WeChat Pay: refunds, profit sharing and its return; the same number for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from payments.channels.wechat_api import Answer, Said, Unheard, WechatApi
from payments.channels.wechat_trades import UNFREEZE_SUFFIX, Trade, WechatTrades
from payments.money import Fen
from payments.outcomes import MoneyAnswer, Receiver, ReceiverOutcome, SplitAnswer

REFUNDS = "/v3/refund/domestic/refunds"
RECEIVERS = "/v3/profitsharing/receivers/add"
SPLITS = "/v3/profitsharing/orders"
AMOUNTS = "/v3/profitsharing/transactions"
UNFREEZE = "/v3/profitsharing/orders/unfreeze"
RETURNS = "/v3/profitsharing/return-orders"

#: Where an account can be reached: ``{"openid": …}``, ``{"mchid": …}``, with ``name`` where the provider checks it.
FindAccount = Callable[[str], Awaitable[Mapping[str, str]]]

#: Receivers that need not be added again.
MOST_REMEMBERED = 4096

_MONEY: Mapping[str, Literal["done", "pending", "failed"]] = {
    "SUCCESS": "done",
    "PROCESSING": "pending",
    "CLOSED": "failed",
    "ABNORMAL": "failed",
    "FAILED": "failed",
    "ACCEPTED": "pending",
    "WAIT_USER_CONFIRM": "pending",
    "TRANSFERING": "pending",
    "CANCELING": "pending",
    "FAIL": "failed",
    "CANCELLED": "failed",
}
_PARTS: Mapping[str, Literal["paid", "pending", "closed"]] = {
    "SUCCESS": "paid",
    "PENDING": "pending",
    "CLOSED": "closed",
}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A refund, a return or a transfer, each of which calls its state something else."""

    status: str = ""
    result: str = ""
    state: str = ""
    fail_reason: str = ""
    package_info: str = ""


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    account: str
    amount: int
    result: str = "PENDING"
    fail_reason: str = ""


class _Split(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["PROCESSING", "FINISHED"]
    receivers: list[_Part] = []


class _Unsplit(msgspec.Struct, frozen=True):
    unsplit_amount: int


class _Payee(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver as WeChat Pay names it."""

    type: Literal["MERCHANT_ID", "PERSONAL_OPENID"]
    account: str
    name: str = ""


_status = msgspec.json.Decoder(Status)
_split = msgspec.json.Decoder(_Split)
_unsplit = msgspec.json.Decoder(_Unsplit)

#: No split of this number is known there yet.
_NO_SPLIT = "no_split"


class WechatMoney:
    """The money-out side of one merchant."""

    def __init__(self, api: WechatApi, trades: WechatTrades, find_account: FindAccount | None = None) -> None:
        self._api = api
        self._config = api.config
        self._trades = trades
        self._find_account = find_account
        self._added: dict[_Payee, None] = {}

    # -- back to the payer --------------------------------------------------------------------------------------------

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Ask for it, or ask again: a number that is known there is reported and never paid twice."""
        trade = await self._trades.paid(attempt_id)
        if isinstance(trade, str):
            return MoneyAnswer(standing="no_answer", reason=trade)
        payload = {
            **self._sub_merchant(),
            "out_trade_no": attempt_id,
            "out_refund_no": number,
            "notify_url": self._config.notify_url,
            "amount": {"refund": amount_fen, "total": trade.amount.total, "currency": "CNY"},
        }
        answer = await self._api.call("POST", REFUNDS, operation="refund", subject=number, payload=payload)
        query = f"?sub_mchid={self._config.sub_mchid}" if self._config.sub_mchid else ""
        return await self._or_as_known(answer, f"{REFUNDS}/{quote(number, safe='')}{query}", number)

    async def _or_as_known(self, answer: Answer, target: str, number: str) -> MoneyAnswer:
        """A refusal may be about the repetition, when the first call had its effect and was not heard: what is known of
        the number counts for more."""
        if isinstance(answer, Said) and answer.is_final:
            known = await self._api.call("GET", target, operation="money_query", subject=number)
            if isinstance(known, Said) and known.is_accepted:
                return money_of(known)
        return money_of(answer)

    # -- to receivers -------------------------------------------------------------------------------------------------

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        """Pay the receivers; what stays with the merchant itself is paid once it is no longer frozen."""
        trade = await self._trades.paid(attempt_id)
        if isinstance(trade, str):
            return SplitAnswer(reason=trade)
        payees = {receiver: await self._payee(receiver) for receiver in receivers}
        away = {receiver: payee for receiver, payee in payees.items() if payee is not None and payee != "own"}
        outcomes = [_outcome(receiver, "closed", "no_account") for receiver, payee in payees.items() if payee is None]
        if any(payee.name for payee in away.values()) and not await self._api.can_seal():
            return SplitAnswer(reason="no_platform_key")
        if away:
            parts = await self._split_away(trade, number, away)
            if isinstance(parts, str):
                return SplitAnswer(reason=parts)
            outcomes += parts
        own = [receiver for receiver, payee in payees.items() if payee == "own"]
        if own:
            standing, reason = await self._leave(trade, number, outcomes, own, later)
            outcomes += [_outcome(receiver, standing, reason) for receiver in own]
        elif self._has_own_share and await self._is_last(later):
            # What its own share kept frozen. Should it fail, WeChat Pay does it by itself after 30 days.
            await self._leave(trade, number, outcomes)
        return SplitAnswer(receivers=tuple(outcomes))

    @property
    def _has_own_share(self) -> bool:
        """Whether the merchant gets a part of what is split to runners."""
        return self._config.runner_payout == "personal" and self._config.merchant in self._config.accounts.values()

    async def _is_last(self, later: Sequence[Receiver]) -> bool:
        """Whether nobody but the merchant with its own share is still to be paid: two splits at once would else each
        leave the release to the other."""
        return all([each.party != "runner" and await self._payee(each) == "own" for each in later])

    async def _payee(self, receiver: Receiver) -> _Payee | Literal["own"] | None:
        """Who that is there; "own": the merchant, who has it once nothing is frozen; None: nobody knows."""
        if receiver.party == "runner" and self._config.runner_payout != "personal":
            return "own"
        mchid = self._config.accounts.get(receiver.account_ref, "")
        name = self._config.account_names.get(receiver.account_ref, "")
        account: Mapping[str, str] = {"mchid": mchid, "name": name} if mchid else {}
        if not account and self._find_account is not None:
            account = await self._find_account(receiver.account_ref)
        if account.get("mchid") == self._config.merchant:
            return "own"
        if account.get("mchid"):
            return _Payee(type="MERCHANT_ID", account=account["mchid"], name=account.get("name", ""))
        if account.get("openid"):
            return _Payee(type="PERSONAL_OPENID", account=account["openid"], name=account.get("name", ""))
        return None

    async def _split_away(
        self, trade: Trade, number: str, payees: Mapping[Receiver, _Payee]
    ) -> list[ReceiverOutcome] | str:
        split: _Split | Said | str = await self._ask_split(trade, number)
        if split == _NO_SPLIT:
            split = await self._order_split(trade, number, payees)
        if isinstance(split, Said):
            # Judged as a whole: nobody was paid, and a later try needs another number.
            return [_outcome(receiver, "closed", split.reason) for receiver in payees]
        if isinstance(split, str):
            return split
        parts = list(split.receivers)
        outcomes = []
        for receiver, payee in payees.items():
            key = (payee.type, payee.account, receiver.amount_fen)
            part = next((part for part in parts if (part.type, part.account, part.amount) == key), None)
            if part is None:
                outcomes.append(_outcome(receiver, "pending", "not_listed"))
                continue
            parts.remove(part)
            outcomes.append(_outcome(receiver, _PARTS.get(part.result, "pending"), part.fail_reason.lower()))
        return outcomes

    async def _ask_split(self, trade: Trade, number: str) -> _Split | str:
        """The split of this number as it stands. That it is FINISHED says nothing about a receiver."""
        target = f"{SPLITS}/{quote(number, safe='')}?transaction_id={trade.transaction_id}"
        if self._config.sub_mchid:
            target += f"&sub_mchid={self._config.sub_mchid}"
        answer = await self._api.call("GET", target, operation="split_query", subject=number)
        if isinstance(answer, Said) and answer.code in ("RESOURCE_NOT_EXISTS", "ORDER_NOT_EXIST"):
            return _NO_SPLIT
        found = _read_split(answer)
        return found.reason if isinstance(found, Said) else found

    async def _order_split(self, trade: Trade, number: str, payees: Mapping[Receiver, _Payee]) -> _Split | Said | str:
        for payee in payees.values():
            refused = await self._add(payee, number)
            if refused is not None:
                return refused
        payload = {
            **self._sub_merchant(),
            "appid": self._config.appid,
            "transaction_id": trade.transaction_id,
            "out_order_no": number,
            "unfreeze_unsplit": False,
            "receivers": [
                {
                    "type": payee.type,
                    "account": payee.account,
                    "amount": receiver.amount_fen,
                    "description": f"{receiver.party} {number}",
                    **self._sealed_name(payee),
                }
                for receiver, payee in payees.items()
            ],
        }
        serial = self._api.sealing_serial() if any(payee.name for payee in payees.values()) else ""
        answer = await self._api.call("POST", SPLITS, operation="split", subject=number, payload=payload, serial=serial)
        return _read_split(answer)

    async def _add(self, payee: _Payee, number: str) -> Said | str | None:
        """Make the payee known as a receiver; again does no harm. None: it is known."""
        if payee in self._added:
            return None
        payload = {
            **self._sub_merchant(),
            "appid": self._config.appid,
            "type": payee.type,
            "account": payee.account,
            "relation_type": "STAFF" if payee.type == "PERSONAL_OPENID" else "PARTNER",
            **self._sealed_name(payee),
        }
        answer = await self._api.call(
            "POST",
            RECEIVERS,
            operation="receiver_add",
            subject=number,
            payload=payload,
            serial=self._api.sealing_serial() if payee.name else "",
        )
        if isinstance(answer, Unheard):
            return answer.reason
        if not answer.is_accepted:
            return answer if answer.is_final else answer.reason
        self._added[payee] = None
        if len(self._added) > MOST_REMEMBERED:
            del self._added[next(iter(self._added))]
        return None

    async def _leave(
        self,
        trade: Trade,
        number: str,
        outcomes: Sequence[ReceiverOutcome],
        own: Sequence[Receiver] = (),
        later: Sequence[Receiver] = (),
    ) -> tuple[Literal["paid", "pending", "closed"], str]:
        """Release what the split left to the merchant, once nobody else is to be paid out of it."""
        if any(outcome.standing == "pending" for outcome in outcomes):
            return "pending", "waits_for_others"
        if any(outcome.standing == "closed" for outcome in outcomes):
            # They are tried anew under another number; released money could not be split any more.
            return "closed", "waits_for_others"
        if not any(receiver.party == "runner" for receiver in own) and not await self._is_last(later):
            # The merchant's own share, and nobody waits for it: it is released with the last part.
            return "paid", ""
        for receiver in later:
            if await self._payee(receiver) != "own":
                return "pending", "waits_for_others"
        payload = {
            **self._sub_merchant(),
            "transaction_id": trade.transaction_id,
            "out_order_no": number + UNFREEZE_SUFFIX,
            "description": f"released {number}",
        }
        split = _read_split(
            await self._api.call("POST", UNFREEZE, operation="unfreeze", subject=number, payload=payload)
        )
        if isinstance(split, _Split):
            return ("paid", "") if split.state == "FINISHED" else ("pending", "unfreezing")
        if isinstance(split, str):
            return "pending", split
        # Refused, as it is when nothing is frozen any more: after 30 days all of it is released without being asked.
        match await self._is_all_free(trade, number):
            case True:
                return "paid", ""
            case False:
                return "closed", split.reason
            case None:
                return "pending", "unfreezing"

    async def _is_all_free(self, trade: Trade, number: str) -> bool | None:
        """Whether nothing is frozen any more; None when that was not heard."""
        target = f"{AMOUNTS}/{trade.transaction_id}/amounts"
        answer = await self._api.call("GET", target, operation="unsplit_query", subject=number)
        if isinstance(answer, Unheard) or not answer.is_accepted:
            return None
        try:
            return _unsplit.decode(answer.body).unsplit_amount == 0
        except msgspec.DecodeError:
            return None

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        """Get a merchant's part back; a person's cannot be had, one's own needs no asking."""
        payee = await self._payee(receiver)
        if payee == "own":
            return MoneyAnswer(standing="done")
        if payee is None or payee.type != "MERCHANT_ID":
            return MoneyAnswer(standing="failed", reason="not_a_merchant")
        payload = {
            **self._sub_merchant(),
            "out_order_no": split_number,
            "out_return_no": number,
            "return_mchid": payee.account,
            "amount": receiver.amount_fen,
            "description": f"refund of {attempt_id}",
        }
        answer = await self._api.call("POST", RETURNS, operation="take_back", subject=number, payload=payload)
        query = f"?out_order_no={quote(split_number, safe='')}"
        if self._config.sub_mchid:
            query += f"&sub_mchid={self._config.sub_mchid}"
        return await self._or_as_known(answer, f"{RETURNS}/{quote(number, safe='')}{query}", number)

    # -- fields -------------------------------------------------------------------------------------------------------

    def _sub_merchant(self) -> dict[str, Any]:
        return {"sub_mchid": self._config.sub_mchid} if self._config.sub_mchid else {}

    def _sealed_name(self, payee: _Payee) -> dict[str, str]:
        return self._api.sealed("name", payee.name) if payee.name else {}


def _outcome(receiver: Receiver, standing: Literal["paid", "pending", "closed"], reason: str = "") -> ReceiverOutcome:
    return ReceiverOutcome(party=receiver.party, account_ref=receiver.account_ref, standing=standing, reason=reason)


def _read_split(answer: Answer) -> _Split | Said | str:
    """The split; a Said when it was judged and nothing was done; a text when nobody knows."""
    if isinstance(answer, Unheard):
        return answer.reason
    if not answer.is_accepted:
        return answer if answer.is_final else answer.reason
    try:
        return _split.decode(answer.body)
    except msgspec.DecodeError:
        return "bad_answer"


def read_status(answer: Said) -> Status | None:
    try:
        return _status.decode(answer.body)
    except msgspec.DecodeError:
        return None


def money_of(answer: Answer, *, is_question: bool = False) -> MoneyAnswer:
    """What became of it. ``is_question``: an error says nothing about the money then."""
    if isinstance(answer, Unheard):
        return MoneyAnswer(standing="no_answer", reason=answer.reason)
    if not answer.is_accepted:
        standing: Literal["failed", "no_answer"] = "failed" if answer.is_final and not is_question else "no_answer"
        return MoneyAnswer(standing=standing, reason=answer.reason)
    status = read_status(answer)
    if status is None:
        return MoneyAnswer(standing="no_answer", reason="bad_answer")
    state = status.status or status.result or status.state
    standing_now = _MONEY.get(state)
    if standing_now is None:
        return MoneyAnswer(standing="no_answer", reason=f"unknown_state {state[:32]}")
    reason = "" if standing_now == "done" else (status.fail_reason or state).lower()
    return MoneyAnswer(standing=standing_now, reason=reason)
