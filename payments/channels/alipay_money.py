"""Money that leaves at Alipay: refunds, splits to receivers, transfers; each number moves money once, however often it
is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from payments.channels.alipay_config import AlipayConfig
from payments.channels.alipay_gateway import AlipayGateway, Answer
from payments.channels.alipay_notices import FINISH
from payments.channels.china import fen_of_yuan
from payments.money import Fen, yuan
from payments.outcomes import MoneyAnswer, Receiver, ReceiverOutcome, SplitAnswer

#: Where an account can be reached: ``{"alipay_user_id": "2088…", "name": …}``.
FindAccount = Callable[[str], Awaitable[Mapping[str, str]]]

#: What may have to be known of who gets a transfer.
PAYEE = ("alipay_user_id", "alipay_login", "name")
#: How many receivers are remembered as bound; binding one again does no harm.
_MOST_BOUND = 10_000
_DENIED_AS_ABSENT = ("NOT_EXIST", "NOT_FOUND")
_STATES = {"SUCCESS": "paid", "FAIL": "closed"}


class AlipayMoney:
    """One merchant's instructions."""

    def __init__(self, config: AlipayConfig, gateway: AlipayGateway, find_account: FindAccount | None = None) -> None:
        self._find_account = find_account
        self._config = config
        self._gateway = gateway
        self._bound: set[str] = set()

    # -- back to the payer ------------------------------------------------------------------------------------------

    async def refund(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        """Out of what is frozen, or out of the merchant's balance where nothing is."""
        content = {"out_trade_no": attempt_id, "out_request_no": number, "refund_amount": yuan(amount_fen)}
        answer = await self._gateway.call("alipay.trade.refund", content, operation="refund", subject=number)
        match answer.verdict:
            case "ok" if answer.text("out_trade_no") != attempt_id:
                return MoneyAnswer(standing="no_answer", reason="other_order")
            case "ok" if answer.text("fund_change") == "Y":
                return MoneyAnswer(standing="done")
            case "denied":
                # It may have been denied for being the second one, when the answer to the first was lost.
                known = await self._refund_standing(attempt_id, number, amount_fen)
                is_known = known.standing in ("done", "no_answer")
                return known if is_known else MoneyAnswer(standing="failed", reason=answer.reason)
            case "ok" | "waiting":
                # The same request again changes no funds, and neither does one that is still under way.
                return await self._refund_standing(attempt_id, number, amount_fen)
            case _:
                return MoneyAnswer(standing="no_answer", reason=answer.reason)

    async def _refund_standing(self, attempt_id: str, number: str, amount_fen: Fen) -> MoneyAnswer:
        content = {"out_trade_no": attempt_id, "out_request_no": number}
        answer = await self._gateway.call(
            "alipay.trade.fastpay.refund.query", content, operation="query_refund", subject=number
        )
        if answer.verdict == "unsure":
            return MoneyAnswer(standing="no_answer", reason=answer.reason)
        is_done = answer.text("refund_status") == "REFUND_SUCCESS" and answer.text("out_request_no") == number
        if is_done and fen_of_yuan(answer.text("refund_amount")) != amount_fen:
            return MoneyAnswer(standing="failed", reason="other_amount")
        return MoneyAnswer(standing="done") if is_done else MoneyAnswer(standing="pending", reason="refund_processing")

    # -- to receivers -----------------------------------------------------------------------------------------------

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        """Pay the parts that do not stay with the merchant, then let the merchant have what stays."""
        if self._config.parts_paid_by != "alipay":
            return self._without_alipay(receivers)
        outcomes: dict[int, ReceiverOutcome | None] = {}
        to_pay: dict[int, str] = {}
        for at, receiver in enumerate(receivers):
            outcomes[at] = None
            if self._stays(receiver):
                outcomes[at] = _outcome(receiver, "paid")
            elif account := await self._account(receiver):
                to_pay[at] = account
            else:
                outcomes[at] = _outcome(receiver, "closed", "unknown_account")
        trade_no = await self._trade_no(attempt_id)
        if isinstance(trade_no, SplitAnswer):
            return trade_no
        if to_pay:
            parts = {at: (account, receivers[at].amount_fen) for at, account in to_pay.items()}
            states = await self._settle(trade_no, number, parts)
            if isinstance(states, SplitAnswer):
                return states
            outcomes.update({at: _outcome(receivers[at], *states[at]) for at in to_pay})
        is_all_paid = all(outcome is not None and outcome.standing == "paid" for outcome in outcomes.values())
        if is_all_paid:
            why = await self._let_go(attempt_id, trade_no, receivers, later)
            if why is not None:
                outcomes = {
                    at: _outcome(receivers[at], "pending", why) if at not in to_pay else outcome
                    for at, outcome in outcomes.items()
                }
        return SplitAnswer(receivers=tuple(outcome for outcome in outcomes.values() if outcome is not None))

    def _without_alipay(self, receivers: Sequence[Receiver]) -> SplitAnswer:
        if self._config.parts_paid_by == "merchant":
            return SplitAnswer(receivers=tuple(_outcome(receiver, "paid", "by_merchant") for receiver in receivers))
        return SplitAnswer(receivers=tuple(_outcome(receiver, "closed", "nobody_pays") for receiver in receivers))

    async def _let_go(
        self, attempt_id: str, trade_no: str, receivers: Sequence[Receiver], later: Sequence[Receiver]
    ) -> str | None:
        """Let the merchant have what stays, unless somebody else is to be paid out of the trade; why the parts here
        have to wait for that, or None. Only a runner's part that stays has to: the runners' team pays it on. The
        merchant's own share that comes later keeps nothing: two splits at once would each leave it to the other."""
        is_runners = any(receiver.party == "runner" and self._stays(receiver) for receiver in receivers)
        is_last = all(receiver.party != "runner" and self._stays(receiver) for receiver in later)
        if not is_last and not is_runners:
            return None
        if not all(self._stays(receiver) for receiver in later):
            return "waits_for_others"
        return await self._finish(attempt_id, trade_no)

    def _stays(self, receiver: Receiver) -> bool:
        if receiver.party == "runner":
            return self._config.runner_payout == "team"
        return receiver.party == "platform" and receiver.account_ref not in self._config.accounts

    async def _account(self, receiver: Receiver) -> str:
        account = self._config.accounts.get(receiver.account_ref, "")
        if not account and self._find_account is not None:
            account = (await self._find_account(receiver.account_ref)).get("alipay_user_id", "")
        return account

    async def _trade_no(self, attempt_id: str) -> str | SplitAnswer:
        content = {"out_trade_no": attempt_id}
        answer = await self._gateway.call("alipay.trade.query", content, operation="query", subject=attempt_id)
        trade_no = answer.text("trade_no")
        if answer.verdict != "ok" or not trade_no or answer.text("out_trade_no") != attempt_id:
            return SplitAnswer(reason=answer.reason)
        return trade_no

    async def _settle(
        self, trade_no: str, number: str, parts: Mapping[int, tuple[str, Fen]]
    ) -> dict[int, tuple[str, str]] | SplitAnswer:
        """Each part's state and reason. Alipay is told, then asked: that it took the instruction says nothing of a
        part, and that it did not may be because it had taken it before."""
        for account, _ in parts.values():
            await self._bind(account)
        content = {
            "out_request_no": number,
            "trade_no": trade_no,
            "royalty_mode": "async",
            "royalty_parameters": [
                {
                    "royalty_type": "transfer",
                    "trans_out": self._config.seller_id,
                    "trans_out_type": "userId",
                    "trans_in": account,
                    "trans_in_type": "userId",
                    "amount": yuan(amount_fen),
                    "desc": "order settled",
                }
                for account, amount_fen in parts.values()
            ],
        }
        told = await self._gateway.call("alipay.trade.order.settle", content, operation="split", subject=number)
        if told.verdict == "unsure":
            return SplitAnswer(reason=told.reason)
        asked = await self._gateway.call(
            "alipay.trade.order.settle.query",
            {"out_request_no": number, "trade_no": trade_no},
            operation="query_split",
            subject=number,
        )
        if asked.verdict == "ok":
            return _part_states(asked, parts)
        if told.verdict == "denied" and asked.verdict == "denied" and asked.sub_code.endswith(_DENIED_AS_ABSENT):
            return dict.fromkeys(parts, ("closed", told.reason))
        return SplitAnswer(reason=asked.reason)

    async def _finish(self, attempt_id: str, trade_no: str) -> str | None:
        """Unfreeze what is left for the merchant; why not, or None. Its number is the order's: once for each."""
        content = {
            "out_request_no": f"{attempt_id}{FINISH}",
            "trade_no": trade_no,
            "extend_params": {"royalty_finish": "true"},
        }
        answer = await self._gateway.call(
            "alipay.trade.order.settle", content, operation="unfreeze", subject=f"{attempt_id}{FINISH}"
        )
        return None if answer.verdict == "ok" or _is_finished_already(answer) else answer.reason

    async def _bind(self, account: str) -> None:
        """Make the account one that parts may go to. Should it fail, the split itself says so."""
        if account in self._bound:
            return
        content = {
            "out_request_no": f"B{hashlib.sha256(account.encode()).hexdigest()[:31]}",
            "receiver_list": [{"type": "userId", "account": account, "memo": "order parts"}],
        }
        answer = await self._gateway.call(
            "alipay.trade.royalty.relation.bind", content, operation="bind", subject=str(content["out_request_no"])
        )
        if answer.verdict == "ok":
            if len(self._bound) >= _MOST_BOUND:
                self._bound.clear()
            self._bound.add(account)

    # -- to persons -------------------------------------------------------------------------------------------------

    async def transfer(self, number: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        """From the merchant's balance to ``to["alipay_user_id"]`` or ``to["alipay_login"]``, of ``to["name"]``."""
        payee: dict[str, Any]
        if to.get("alipay_user_id"):
            payee = {"identity": to["alipay_user_id"], "identity_type": "ALIPAY_USER_ID"}
        elif to.get("alipay_login") and to.get("name"):
            # Alipay takes a log-in name only with the name of its holder.
            payee = {"identity": to["alipay_login"], "identity_type": "ALIPAY_LOGON_ID"}
        else:
            return MoneyAnswer(standing="failed", reason="unknown_account")
        if to.get("name"):
            payee["name"] = to["name"]
        content = {
            "out_biz_no": number,
            "trans_amount": yuan(amount_fen),
            "product_code": "TRANS_ACCOUNT_NO_PWD",
            "biz_scene": "DIRECT_TRANSFER",
            "order_title": "Withdrawal",
            "payee_info": payee,
        }
        told = await self._gateway.call("alipay.fund.trans.uni.transfer", content, operation="transfer", subject=number)
        if told.verdict == "ok" and told.text("status") == "SUCCESS" and told.text("out_biz_no") == number:
            return MoneyAnswer(standing="done")
        if told.verdict == "unsure":
            return MoneyAnswer(standing="no_answer", reason=told.reason)
        return await self._transfer_standing(number, told)

    async def _transfer_standing(self, number: str, told: Answer) -> MoneyAnswer:
        content = {"out_biz_no": number, "product_code": "TRANS_ACCOUNT_NO_PWD", "biz_scene": "DIRECT_TRANSFER"}
        asked = await self._gateway.call(
            "alipay.fund.trans.common.query", content, operation="query_transfer", subject=number
        )
        if asked.verdict == "denied" and told.verdict == "denied" and asked.sub_code.endswith(_DENIED_AS_ABSENT):
            return MoneyAnswer(standing="failed", reason=told.reason)
        if asked.verdict != "ok":
            return MoneyAnswer(standing="no_answer", reason=asked.reason)
        match asked.text("status"):
            case "SUCCESS":
                return MoneyAnswer(standing="done")
            case "FAIL" | "CLOSED" | "REFUND":
                return MoneyAnswer(standing="failed", reason=asked.text("error_code") or "transfer_failed")
            case status:
                return MoneyAnswer(standing="pending", reason=status.lower() or "transfer_processing")


def _outcome(receiver: Receiver, standing: Any, reason: str = "") -> ReceiverOutcome:
    return ReceiverOutcome(party=receiver.party, account_ref=receiver.account_ref, standing=standing, reason=reason)


def _part_states(answer: Answer, parts: Mapping[int, tuple[str, Fen]]) -> dict[int, tuple[str, str]]:
    """Alipay's details laid beside our parts: by account and amount, each detail used for one part."""
    details = answer.content.get("royalty_detail_list")
    left = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    states: dict[int, tuple[str, str]] = {}
    for at, (account, amount_fen) in parts.items():
        found = next((each for each in left if _is_part(each, account, amount_fen)), None)
        if found is None:
            states[at] = ("pending", "not_listed_yet")
            continue
        left.remove(found)
        states[at] = (_STATES.get(str(found.get("state")), "pending"), str(found.get("error_code") or ""))
    return states


def _is_part(detail: Mapping[str, Any], account: str, amount_fen: Fen) -> bool:
    is_transfer = detail.get("operation_type", "transfer") == "transfer"
    return is_transfer and detail.get("trans_in") == account and fen_of_yuan(str(detail.get("amount"))) == amount_fen


def _is_finished_already(answer: Answer) -> bool:
    return answer.verdict == "denied" and "FINISH" in answer.sub_code
