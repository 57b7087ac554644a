"""What channels to one HTTP provider have in common, and those that leave all money with the merchant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from payments.channels.http import ProviderHttp
from payments.money import Fen
from payments.outcomes import Capabilities, MoneyAnswer, Receiver, ReceiverOutcome, SplitAnswer


class OverHttp:
    """A channel that keeps nothing open but connections to its provider, and has no work of its own."""

    def __init__(self, http: ProviderHttp, shape: Capabilities) -> None:
        self._http = http
        self._shape = shape
        self.is_available = True

    @property
    def shape(self) -> Capabilities:
        return self._shape

    async def start(self) -> None:
        await self._http.start()

    async def stop(self) -> None:
        await self._http.stop()

    async def work(self) -> int:
        return 0


class Undivided(OverHttp):
    """A provider that divides nothing: everything is with the merchant, who pays the parts where a contract says so
    (``shape.can_split``)."""

    async def split(
        self, attempt_id: str, number: str, receivers: Sequence[Receiver], later: Sequence[Receiver] = ()
    ) -> SplitAnswer:
        by_merchant = self._shape.can_split
        return SplitAnswer(
            receivers=tuple(
                ReceiverOutcome(
                    party=receiver.party,
                    account_ref=receiver.account_ref,
                    standing="paid" if by_merchant else "closed",
                    reason="by_merchant" if by_merchant else "nobody_pays",
                )
                for receiver in receivers
            )
        )

    async def take_back(self, attempt_id: str, number: str, split_number: str, receiver: Receiver) -> MoneyAnswer:
        return MoneyAnswer(standing="failed", reason="not_offered")

    async def transfer(self, number: str, account_ref: str, to: Mapping[str, str], amount_fen: Fen) -> MoneyAnswer:
        return MoneyAnswer(standing="failed", reason="not_offered")
