"""WeChat Pay's transfers: the merchant's own money to a person, who has to say yes first."""

from __future__ import annotations

from typing import Any

import msgspec

from payments.simulator.desk import Desk, Refusal
from payments.simulator.events import OrderKey
from payments.simulator.order_book import TransferBook
from payments.simulator.protocol import Answer, Call
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_money import check_sealed
from payments.simulator.wechat_orders import check_number, check_url
from payments.simulator.wechat_words import BadParameter, at, error, parsed, refused, said, transfer_state

#: From here on a transfer needs the receiver's name.
NAMED_TRANSFER_FEN = 200_000


class _NewTransfer(msgspec.Struct, frozen=True, kw_only=True):
    appid: str
    out_bill_no: str
    transfer_scene_id: str
    openid: str
    transfer_amount: int
    transfer_remark: str
    user_name: str = ""
    notify_url: str = ""
    user_recv_perception: str = ""
    transfer_scene_report_infos: list[dict[str, str]] = []


class Transfers:
    """The merchant's own money to a person."""

    def __init__(self, desk: Desk, account: Account) -> None:
        self._desk = desk
        self._account = account

    def create(self, call: Call) -> Answer:
        """A transfer; the same number again is the same transfer."""
        asked = parsed(call.body, _NewTransfer)
        if asked.appid != self._account.appid:
            raise BadParameter("appid: does not belong to the merchant")
        if not asked.out_bill_no.isalnum() or not asked.out_bill_no.isascii():
            raise BadParameter("out_bill_no: digits and letters only")
        check_number(asked.out_bill_no, "out_bill_no")
        if asked.transfer_amount >= NAMED_TRANSFER_FEN and not asked.user_name:
            raise BadParameter("user_name: is needed from 2000 yuan on")
        if not 0 < len(asked.transfer_remark) <= 32:
            raise BadParameter("transfer_remark: 1 to 32 characters")
        check_sealed(self._account, call, [asked.user_name])
        transfer = self._desk.transfer(
            OrderKey(INSTITUTION, self._account.mchid, asked.out_bill_no),
            asked.openid,
            asked.transfer_amount,
            has_to_agree=self._account.options.transfer_confirm,
            notify_url=check_url(asked.notify_url) if asked.notify_url else "",
            terms={"remark": asked.transfer_remark, "scene": asked.transfer_scene_id},
        )
        if isinstance(transfer, Refusal):
            return refused(transfer, different="INVALID_REQUEST")
        return said(
            {
                "out_bill_no": asked.out_bill_no,
                "transfer_bill_no": transfer.opened.transfer_id,
                "create_time": at(transfer.opened_at),
                "state": transfer_state(transfer),
                "package_info": transfer.opened.token or None,
            }
        )

    def find(self, number: str) -> TransferBook | None:
        """The transfer of the merchant's number."""
        return self._desk.books.transfers.get(OrderKey(INSTITUTION, self._account.mchid, number))

    def find_by_id(self, transfer_id: str) -> TransferBook | None:
        """The transfer of the provider's number."""
        books = self._desk.books.transfers.values()
        return next((t for t in books if t.opened.transfer_id == transfer_id), None)

    def query(self, transfer: TransferBook | None) -> Answer:
        """How it stands."""
        return error("NOT_FOUND", "记录不存在") if transfer is None else said(self.words(transfer))

    def cancel(self, transfer: TransferBook | None) -> Answer:
        """Take it back before the receiver said yes."""
        if transfer is None:
            return error("NOT_FOUND", "记录不存在")
        refusal = self._desk.cancel_transfer(transfer)
        if refusal is not None:
            return refused(refusal)
        return said(
            {
                "out_bill_no": transfer.opened.key.number,
                "transfer_bill_no": transfer.opened.transfer_id,
                "state": transfer_state(transfer),
                "update_time": at(transfer.moved_at),
            }
        )

    def words(self, transfer: TransferBook) -> dict[str, Any]:
        """A transfer as answers and callbacks show it."""
        opened = transfer.opened
        return {
            "mch_id": opened.key.merchant,
            "out_bill_no": opened.key.number,
            "transfer_bill_no": opened.transfer_id,
            "appid": self._account.appid,
            "state": transfer_state(transfer),
            "transfer_amount": opened.amount_fen,
            "transfer_remark": opened.terms["remark"],
            "fail_reason": transfer.reason or None,
            "openid": opened.to,
            "create_time": at(transfer.opened_at),
            "update_time": at(transfer.moved_at or transfer.opened_at),
        }
