"""WeChat Pay v3 with 校园轻松付: which path is which operation, and what the merchant is told when."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from payments.channels import wechat_signing as signing
from payments.simulator.edupay import CHANNEL as EDUPAY
from payments.simulator.edupay import EduPay
from payments.simulator.events import AnyEvent, NoticeQueued
from payments.simulator.order_book import NoticeBook, OrderBook
from payments.simulator.protocol import Answer, Asked, Call, Letter, Room, Twist
from payments.simulator.wechat_account import INSTITUTION, Account
from payments.simulator.wechat_bills import BillDesk
from payments.simulator.wechat_money import ProfitSharing, Refunds
from payments.simulator.wechat_notices import Notices
from payments.simulator.wechat_oauth import WechatDoor
from payments.simulator.wechat_orders import Kind, Orders
from payments.simulator.wechat_transfers import Transfers
from payments.simulator.wechat_words import BadParameter, at, error, parsed, said

#: Re-sending: 15 times within 24 h 4 min.
LADDER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
PATIENCE_S = 5.0

Handler = Callable[[Call, re.Match[str]], Asked]


class _Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a body names its order by, whichever it is."""

    out_trade_no: str = ""
    out_bill_no: str = ""


class WechatProtocol:
    """One merchant's account. A service provider's sub-merchant has an account of its own under it."""

    institution = INSTITUTION
    prefixes = ("/v3/",)
    ladder_s = LADDER_S
    patience_s = PATIENCE_S

    def __init__(self, room: Room) -> None:
        self._desk = room.desk
        self._account = Account(room)
        #: WeChat's own doors beside WeChat Pay's.
        self.oauth = WechatDoor(self._account, room.desk.clock.wall_s)
        self._orders = Orders(room.desk, self._account)
        self._edupay = EduPay(room.desk, self._account, self._orders)
        self._refunds = Refunds(room.desk, self._account)
        self._splits = ProfitSharing(room.desk, self._account)
        self._transfers = Transfers(room.desk, self._account)
        self._bills = BillDesk(room.desk, self._account)
        self._notices = Notices(room.desk, self._account, self._orders, self._edupay, self._refunds, self._transfers)
        self._channels = room.channels
        self._routes = [(method, re.compile(path), handler) for method, path, handler in self._table()]

    def settings(self, base_url: str, backup_url: str) -> Mapping[str, str]:
        return self._account.settings(base_url, backup_url)

    # -- paths --------------------------------------------------------------------------------------------------------

    def _table(self) -> list[tuple[str, str, Handler]]:
        orders, splits, edu = "/v3/pay/(?P<partner>partner/)?transactions", "/v3/profitsharing", "/v3/eduschoolpay"
        transfers = "/v3/fund-app/mch-transfer/transfer-bills"
        table: list[tuple[str, str, Handler]] = [
            ("POST", f"{orders}/(?P<kind>jsapi|app|native|h5)", self._create),
            ("GET", f"{orders}/out-trade-no/(?P<no>[^/]+)", self._query),
            ("GET", f"{orders}/id/(?P<no>[^/]+)", self._query_by_id),
            ("POST", f"{orders}/out-trade-no/(?P<no>[^/]+)/close", self._close),
            ("POST", "/v3/refund/domestic/refunds", self._refund),
            ("GET", "/v3/refund/domestic/refunds/(?P<no>[^/]+)", self._refund_query),
            ("POST", f"{splits}/orders", self._split),
            ("POST", f"{splits}/orders/unfreeze", self._unfreeze),
            ("GET", f"{splits}/orders/(?P<no>[^/]+)", self._split_query),
            ("POST", f"{splits}/return-orders", self._take_back),
            ("GET", f"{splits}/return-orders/(?P<no>[^/]+)", self._return_query),
            ("GET", f"{splits}/transactions/(?P<no>[^/]+)/amounts", self._amounts),
            ("GET", f"{splits}/merchant-configs/(?P<no>[^/]+)", self._config),
            ("POST", f"{splits}/receivers/add", self._receiver_add),
            ("POST", f"{splits}/receivers/delete", self._receiver_remove),
            ("POST", transfers, self._transfer),
            ("GET", f"{transfers}/out-bill-no/(?P<no>[^/]+)", self._transfer_query),
            ("GET", f"{transfers}/transfer-bill-no/(?P<no>[^/]+)", self._transfer_query_by_id),
            ("POST", f"{transfers}/out-bill-no/(?P<no>[^/]+)/cancel", self._transfer_cancel),
            ("GET", "/v3/bill/(?P<bill>tradebill|fundflowbill)", self._bill),
            ("GET", "/v3/billdownload/file", self._bill_file),
            ("GET", "/v3/certificates", self._certificates),
        ]
        if EDUPAY in self._channels:
            table += [
                ("POST", f"{edu}/transactions", self._debit),
                ("GET", f"{edu}/transactions/out-trade-no/(?P<no>[^/]+)", self._debit_query),
                ("GET", f"{edu}/transactions/id/(?P<no>[^/]+)", self._debit_query_by_id),
                ("POST", f"{edu}/contracts/presign", self._presign),
                ("GET", f"{edu}/contracts/(?P<no>[^/]+)", self._contract),
                ("POST", f"{edu}/contracts/(?P<no>[^/]+)/terminate", self._terminate),
                ("GET", f"{edu}/users/(?P<no>[^/]+)/contracts", self._contracts_of),
                ("GET", f"{edu}/users/(?P<no>[^/]+)/debt-state", self._debts),
            ]
        return table

    def understand(self, call: Call) -> Asked | Answer:
        refusal = self._account.why_not(call)
        if refusal is not None:
            return refusal
        for method, path, handler in self._routes:
            found = path.fullmatch(call.path)
            if found is not None and method == call.method:
                try:
                    return self._guarded(handler(call, found))
                except BadParameter as problem:
                    return error("PARAM_ERROR", str(problem))
        return error("RESOURCE_NOT_EXISTS", f"no such path: {call.method} {call.path}", 404)

    def _guarded(self, asked: Asked) -> Asked:
        """Bad parameters that only show while it is done are said, too."""

        def act() -> Answer:
            try:
                return asked.act()
            except BadParameter as problem:
                return error("PARAM_ERROR", str(problem))

        return msgspec.structs.replace(asked, act=act)

    def _asked(self, operation: str, act: Callable[[], Answer], number: str = "", channel: str = INSTITUTION) -> Asked:
        return Asked(channel=channel, operation=operation, act=act, number=number)

    def _about(self, operation: str, order: OrderBook | None, act: Callable[[], Answer]) -> Asked:
        if order is None:
            return self._asked(operation, act)
        return self._asked(operation, act, order.key.number, order.opened.channel)

    def _merchant(self, call: Call) -> str:
        return call.query.get("sub_mchid") or self._account.mchid

    # -- orders -------------------------------------------------------------------------------------------------------

    def _create(self, call: Call, found: re.Match[str]) -> Asked:
        kind: Kind = found["kind"]  # type: ignore[assignment]  # one of the four by the path's pattern
        number = parsed(call.body, _Subject).out_trade_no
        is_partner = found["partner"] is not None
        return self._asked("create", lambda: self._orders.create(call, kind, is_partner=is_partner), number)

    def _query(self, call: Call, found: re.Match[str]) -> Asked:
        self._check_merchant(call)
        order = self._desk.books.order(self._orders.key(found["no"], call.query.get("sub_mchid", "")))
        return self._asked("query", lambda: self._orders.query(order), found["no"])

    def _query_by_id(self, call: Call, found: re.Match[str]) -> Asked:
        self._check_merchant(call)
        order = self._desk.books.order_of_transaction(INSTITUTION, found["no"])
        return self._about("query", order, lambda: self._orders.query(order))

    def _check_merchant(self, call: Call) -> None:
        if (call.query.get("sp_mchid") or call.query.get("mchid")) != self._account.mchid:
            raise BadParameter("mchid: not the merchant who signed")

    def _close(self, call: Call, found: re.Match[str]) -> Asked:
        return self._asked("close", lambda: self._orders.close(call, found["no"]), found["no"])

    # -- money --------------------------------------------------------------------------------------------------------

    def _refund(self, call: Call, _: re.Match[str]) -> Asked:
        order = self._refunds.order_of(call)
        return self._about("refund", order, lambda: self._refunds.create(call, order))

    def _refund_query(self, call: Call, found: re.Match[str]) -> Asked:
        merchant, number = self._merchant(call), found["no"]
        order = self._desk.books.order_of("refund", INSTITUTION, merchant, number)
        return self._about("refund_query", order, lambda: self._refunds.query(number, merchant))

    def _split(self, call: Call, _: re.Match[str]) -> Asked:
        order = self._splits.order_of(call)
        return self._about("split", order, lambda: self._splits.create(call, order))

    def _unfreeze(self, call: Call, _: re.Match[str]) -> Asked:
        order = self._splits.order_of(call)
        return self._about("unfreeze", order, lambda: self._splits.unfreeze(call, order))

    def _split_query(self, call: Call, found: re.Match[str]) -> Asked:
        order = self._desk.books.order_of_transaction(INSTITUTION, call.query.get("transaction_id", ""))
        return self._about("split_query", order, lambda: self._splits.query(order, found["no"]))

    def _take_back(self, call: Call, _: re.Match[str]) -> Asked:
        order = self._splits.order_of_return(call)
        return self._about("take_back", order, lambda: self._splits.take_back(call, order))

    def _return_query(self, call: Call, found: re.Match[str]) -> Asked:
        merchant, number = self._merchant(call), found["no"]
        order = self._desk.books.order_of("return", INSTITUTION, merchant, number)
        return self._about("take_back_query", order, lambda: self._splits.return_query(number, merchant))

    def _amounts(self, _: Call, found: re.Match[str]) -> Asked:
        order = self._desk.books.order_of_transaction(INSTITUTION, found["no"])
        return self._about("split_query", order, lambda: self._splits.amounts(order, found["no"]))

    def _config(self, _: Call, found: re.Match[str]) -> Asked:
        return self._asked("split_query", lambda: self._splits.config(found["no"]))

    def _receiver_add(self, call: Call, _: re.Match[str]) -> Asked:
        return self._asked("receiver", lambda: self._splits.add_receiver(call))

    def _receiver_remove(self, call: Call, _: re.Match[str]) -> Asked:
        return self._asked("receiver", lambda: self._splits.remove_receiver(call))

    def _transfer(self, call: Call, _: re.Match[str]) -> Asked:
        number = parsed(call.body, _Subject).out_bill_no
        return self._asked("transfer", lambda: self._transfers.create(call), number)

    def _transfer_query(self, _: Call, found: re.Match[str]) -> Asked:
        number = found["no"]
        return self._asked("transfer_query", lambda: self._transfers.query(self._transfers.find(number)), number)

    def _transfer_query_by_id(self, _: Call, found: re.Match[str]) -> Asked:
        transfer = self._transfers.find_by_id(found["no"])
        number = transfer.opened.key.number if transfer else ""
        return self._asked("transfer_query", lambda: self._transfers.query(transfer), number)

    def _transfer_cancel(self, _: Call, found: re.Match[str]) -> Asked:
        number = found["no"]
        return self._asked("transfer_cancel", lambda: self._transfers.cancel(self._transfers.find(number)), number)

    # -- bills and certificates ---------------------------------------------------------------------------------------

    def _bill(self, call: Call, found: re.Match[str]) -> Asked:
        return self._asked("bill", lambda: self._bills.where(call, found["bill"]))

    def _bill_file(self, call: Call, _: re.Match[str]) -> Asked:
        return self._asked("bill_file", lambda: self._bills.file(call))

    def _certificates(self, _: Call, __: re.Match[str]) -> Asked:
        return self._asked("certificates", self._certificate_list)

    def _certificate_list(self) -> Answer:
        listed = []
        for pair in self._account.certificates():
            sealed = signing.seal_resource(
                self._account.api_v3_key,
                pair.certificate_pem.encode(),
                nonce=self._desk.new_token()[:12],
                associated_data="certificate",
                original_type="",
            )
            listed.append(
                {
                    "serial_no": pair.serial,
                    "effective_time": at(pair.certificate.not_valid_before_utc),
                    "expire_time": at(pair.certificate.not_valid_after_utc),
                    "encrypt_certificate": {
                        "algorithm": sealed.algorithm,
                        "nonce": sealed.nonce,
                        "associated_data": sealed.associated_data,
                        "ciphertext": sealed.ciphertext,
                    },
                }
            )
        return said({"data": listed})

    # -- debits under a contract ---------------------------------------------------------------------------------------

    def _debit(self, call: Call, _: re.Match[str]) -> Asked:
        number = parsed(call.body, _Subject).out_trade_no
        return self._asked("debit", lambda: self._edupay.debit(call), number, EDUPAY)

    def _debit_query(self, call: Call, found: re.Match[str]) -> Asked:
        order = self._desk.books.order(self._orders.key(found["no"], call.query.get("sub_mchid", "")))
        return self._asked("query", lambda: self._edupay.query(order), found["no"], EDUPAY)

    def _debit_query_by_id(self, _: Call, found: re.Match[str]) -> Asked:
        order = self._desk.books.order_of_transaction(INSTITUTION, found["no"])
        number = order.key.number if order else ""
        return self._asked("query", lambda: self._edupay.query(order), number, EDUPAY)

    def _presign(self, call: Call, _: re.Match[str]) -> Asked:
        return self._asked("contract", lambda: self._edupay.presign(call), channel=EDUPAY)

    def _contract(self, _: Call, found: re.Match[str]) -> Asked:
        return self._asked("contract", lambda: self._edupay.contract(found["no"]), channel=EDUPAY)

    def _terminate(self, call: Call, found: re.Match[str]) -> Asked:
        return self._asked("contract", lambda: self._edupay.terminate(call, found["no"]), channel=EDUPAY)

    def _contracts_of(self, _: Call, found: re.Match[str]) -> Asked:
        return self._asked("contract", lambda: self._edupay.contracts_of(found["no"]), channel=EDUPAY)

    def _debts(self, _: Call, found: re.Match[str]) -> Asked:
        return self._asked("contract", lambda: self._edupay.debts(found["no"]), channel=EDUPAY)

    # -- answers ------------------------------------------------------------------------------------------------------

    def refusal(self, code: str) -> Answer:
        return error(code, "the fault plan of the simulator says so")

    def broken(self, status: int) -> Answer:
        return error("FREQUENCY_LIMITED" if status == 429 else "SYSTEM_ERROR", "系统错误", status)

    def seal(self, call: Call, answer: Answer, twist: Twist) -> Answer:
        headers = {"Request-ID": self._desk.new_token().upper(), **answer.headers}
        if answer.is_signed:
            # A merchant that still knows certificates alone must be able to check the list of them.
            wish = self._account.certificates()[0].serial if call.path == "/v3/certificates" else ""
            headers |= self._account.proof(answer.body, twist, wish or call.headers.get("wechatpay-serial", ""))
        return msgspec.structs.replace(answer, headers=headers)

    def rotate(self) -> str:
        return self._account.rotate()

    # -- telling the merchant -----------------------------------------------------------------------------------------

    def notices(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        return self._notices.of(event)

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        return self._notices.letter(notice, twist)

    def is_heard(self, status: int, body: bytes) -> bool:
        return status in (200, 204)
