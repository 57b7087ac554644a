"""What payments refuses, each with a code that stays."""

from __future__ import annotations

from payments.account import WITHDRAWAL_RULES


class PaymentsError(Exception):
    """A refusal with a stable ``code``."""

    code = "payments_error"


class UnknownIntent(PaymentsError):
    """No intent has this id."""

    code = "unknown_intent"


class UnknownChannel(PaymentsError):
    """No such channel, or it takes no orders now."""

    code = "unknown_channel"


class CommandRefused(PaymentsError):
    """The intent's state does not allow the command: nothing was stored, and repeating it changes nothing."""

    code = "command_refused"


class WithdrawalRefused(CommandRefused):
    """The account may not withdraw this now: "field: why limit" names the field of the command that is beyond a limit
    (in fen, or a count)."""

    code = "withdrawal_refused"

    @property
    def field(self) -> str:
        return str(self).partition(":")[0]

    @property
    def limit(self) -> int:
        return int(str(self).rpartition(" ")[2])

    @property
    def rule(self) -> str:
        """The limit's name, as in ``WITHDRAWAL_RULES``; "" for one that this version does not know."""
        why = str(self).partition(": ")[2].rpartition(" ")[0]
        return next((rule for rule, said in WITHDRAWAL_RULES.items() if said == why), "")


class UnknownWithdrawal(PaymentsError):
    """No withdrawal has this id."""

    code = "unknown_withdrawal"


class SwitchRefused(PaymentsError):
    """The channel cannot be switched now: paid, over, or no proof yet that the old one is dead."""

    code = "switch_refused"


class UnknownItem(PaymentsError):
    """No item of work has this id."""

    code = "unknown_item"


class ItemRefused(PaymentsError):
    """Somebody else has the item of work, or it is closed."""

    code = "item_refused"


class NoSuchRun(PaymentsError):
    """No such channel, it makes no bills, or the day is not over."""

    code = "no_such_run"
