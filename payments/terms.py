"""On what terms money leaves: when runners are paid, how much they may withdraw, and how long a refund may take."""

from __future__ import annotations

from typing import Literal

import msgspec

from payments.money import Fen

#: on_withdrawal: a runner's part stays with the institution until it is asked for · at_once: it is split at settlement.
Payout = Literal["on_withdrawal", "at_once"]

DAY_S = 86_400.0


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one payments instance. A channel that takes all parts by one call pays at once, whatever is set.

    ``pay_within_s``: of what an institution holds for ``hold_lives_s``, runners are paid this long after the payment.
    """

    payout: Payout = "on_withdrawal"
    least_withdrawal_fen: Fen = Fen(100)
    most_withdrawn_per_day_fen: Fen = Fen(500_000)
    most_withdrawals_per_day: int = 10
    #: A person looks at a withdrawal of more than this before it is paid.
    review_above_fen: Fen = Fen(50_000)
    pay_within_s: float = 25 * DAY_S
    hold_lives_s: float = 30 * DAY_S
    #: Until a payment that could not be made is tried again without being asked for.
    pay_again_s: float = DAY_S / 2
    refund_within_s: float = DAY_S

    def __post_init__(self) -> None:
        for name in ("least_withdrawal_fen", "most_withdrawn_per_day_fen", "most_withdrawals_per_day"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: at least 1")
        if self.least_withdrawal_fen > self.most_withdrawn_per_day_fen:
            raise ValueError("least_withdrawal_fen: at most most_withdrawn_per_day_fen")
        if self.review_above_fen < 0:
            raise ValueError("review_above_fen: not below 0")
        if not 0 < self.pay_within_s < self.hold_lives_s:
            raise ValueError("pay_within_s: above 0 and below hold_lives_s")
        for name in ("pay_again_s", "refund_within_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: above 0")
