"""What goes wrong, as data: which fault, where, by chance, by count or by order; seeded, so that it can be repeated."""

from __future__ import annotations

import random
import re
from typing import Literal, get_args

import msgspec

FaultName = Literal[
    # on the wire, of any operation
    "delay",
    "delay_after",
    "drop_before",
    "drop_after",
    "error",
    "error_after",
    "refuse",
    "bad_signature",
    "clock_skewed",
    "certificate_rotated",
    # of an order
    "no_effect",
    "absent",
    "pay_before_close",
    "pays_closed",
    "wrong_amount",
    "insufficient",
    # of money that goes back or on
    "refund_pending",
    "refund_closed",
    "refund_abnormal",
    "split_pending",
    "split_partly_failed",
    "return_failed",
    "transfer_waits",
    "transfer_failed",
    # of a callback
    "notice_lost",
    "notice_doubled",
    "notice_late",
    "notice_reordered",
    "notice_before_reply",
    "notice_probe",
    "notice_other_key",
]

FAULTS: tuple[str, ...] = get_args(FaultName)

#: What each fault does and what its value means, for --help, the page and error messages.
MEANINGS: dict[str, str] = {
    "delay": "waits before it does anything; value: milliseconds",
    "delay_after": "does its work, then waits before it answers; value: milliseconds",
    "drop_before": "closes the connection and does nothing",
    "drop_after": "does its work and closes the connection without an answer",
    "error": "answers with a server error and does nothing; value: the status, 500 by default",
    "error_after": "does its work and answers with a server error; value: the status, 500 by default",
    "refuse": "refuses for a business reason; value: the provider's code, e.g. RULE_LIMIT",
    "bad_signature": "signs its answer or callback wrongly",
    "clock_skewed": "dates its answer or callback wrongly; value: seconds, 600 by default",
    "certificate_rotated": "signs with a new certificate from now on",
    "no_effect": "says that an order is closed, and leaves it open",
    "absent": "says that there is no such order, and leaves it payable",
    "pay_before_close": "the payer pays just before the order is closed",
    "pays_closed": "an order that is closed or expired can be paid all the same",
    "wrong_amount": "charges another amount; value: how many fen more (or, negative, less), -1 by default",
    "insufficient": "the payer has not enough money",
    "refund_pending": "a refund takes its time; value: seconds of the provider's time, an hour by default",
    "refund_closed": "a refund is closed without money",
    "refund_abnormal": "a refund cannot reach the payer",
    "split_pending": "a split takes its time; value: seconds of the provider's time, an hour by default",
    "split_partly_failed": "a receiver gets nothing; value: which one (1 is the first), the last by default",
    "return_failed": "a receiver's part is not given back",
    "transfer_waits": "the simulated people let a transfer wait; somebody has to say yes on the page",
    "transfer_failed": "a transfer fails",
    "notice_lost": "a callback is lost on its way; the next one of the ladder is not",
    "notice_doubled": "a callback arrives twice",
    "notice_late": "the first callback comes late; value: seconds of the provider's time, a minute by default",
    "notice_reordered": "a callback waits until another one has been sent",
    "notice_before_reply": "the callback comes before the answer to the call; for a new order, it is paid at once",
    "notice_probe": "a probe with a wrong signature (WECHATPAY/SIGNTEST/) comes first",
    "notice_other_key": "the callback is signed with the other kind of key",
}

#: A whole number (with a default), a word, or nothing at all.
_NUMBERS = {
    "delay": 2000,
    "delay_after": 2000,
    "error": 500,
    "error_after": 500,
    "clock_skewed": 600,
    "wrong_amount": -1,
    "refund_pending": 3600,
    "split_pending": 3600,
    "split_partly_failed": 0,
    "notice_late": 60,
}
_WORDS = {"refuse": "SYSTEM_ERROR"}

#: The least and the most that a number may be; what is not listed may be anything from 0 to a million.
_BOUNDS = {
    "delay": (0, 600_000),
    "delay_after": (0, 600_000),
    "error": (400, 599),
    "error_after": (400, 599),
    "clock_skewed": (-864_000, 864_000),
    "wrong_amount": (-10_000_000, 10_000_000),
    "split_partly_failed": (0, 50),
}

OPERATIONS = (
    "create",
    "debit",
    "query",
    "close",
    "refund",
    "refund_query",
    "split",
    "split_query",
    "unfreeze",
    "take_back",
    "take_back_query",
    "receiver",
    "transfer",
    "transfer_query",
    "transfer_cancel",
    "bill",
    "bill_file",
    "certificates",
    "contract",
    "open",
    "pay",
    "notify",
)

_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}")

#: So many rules may stand at a time.
MAX_RULES = 500


class BadFault(ValueError):
    """The fault makes no sense; the text says what would."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule. It fires for a matching call with this probability, so often, after having let some pass."""

    fault: str
    channel: str = "*"
    operation: str = "*"
    #: The merchant's number of the order, or its beginning followed by ``*``.
    order: str = "*"
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    value: str = ""

    @property
    def number(self) -> int:
        """The value of a fault that takes a number."""
        return int(self.value or _NUMBERS.get(self.fault, 0))

    @property
    def word(self) -> str:
        """The value of a fault that takes a word."""
        return self.value or _WORDS.get(self.fault, "")


class Rule(msgspec.Struct, kw_only=True):
    """A rule as it stands: its id, how often it fired, and how many calls it still lets pass."""

    id: int
    fault: Fault
    fired: int = 0
    passed: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it will never fire again."""
        return self.fault.count is not None and self.fired >= self.fault.count


def checked(fault: Fault) -> Fault:
    """The rule, when it makes sense; BadFault."""
    if fault.fault not in FAULTS:
        raise BadFault(f"there is no fault {fault.fault!r}; there are: {', '.join(FAULTS)}")
    if fault.operation != "*" and fault.operation not in OPERATIONS:
        raise BadFault(f"there is no operation {fault.operation!r}; there are: *, {', '.join(OPERATIONS)}")
    if not 0 < fault.probability <= 1:
        raise BadFault(f"p={fault.probability}: a probability is above 0 and at most 1")
    if fault.count is not None and not 1 <= fault.count <= 1_000_000:
        raise BadFault(f"count={fault.count}: from 1 to 1000000")
    if not 0 <= fault.skip <= 1_000_000:
        raise BadFault(f"skip={fault.skip}: from 0 to 1000000")
    if fault.fault in _NUMBERS:
        least, most = _BOUNDS.get(fault.fault, (0, 1_000_000))
        try:
            is_within = least <= fault.number <= most
        except ValueError:
            is_within = False
        if not is_within:
            raise BadFault(f"{fault.fault} value={fault.value}: a whole number from {least} to {most}")
    elif fault.fault in _WORDS:
        if not _CODE.fullmatch(fault.word):
            raise BadFault(f"{fault.fault} code={fault.value}: letters, digits, dots, - and _")
    elif fault.value:
        raise BadFault(f"{fault.fault} takes no value: it {MEANINGS[fault.fault]}")
    return fault


_KEYS = ("channel", "op", "order", "p", "count", "skip", "value", "ms", "s", "status", "code")


def read(text: str) -> Fault:
    """A rule as one writes it on the command line: ``delay op=create p=0.1 ms=1500``, ``drop_after op=debit count=3``.

    BadFault says what is wrong with it.
    """
    name, *pairs = text.split() or [""]
    given: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in _KEYS:
            raise BadFault(f"{pair!r} in {text!r}: expected one of {'=…, '.join(_KEYS)}=…")
        given["value" if key in ("ms", "s", "status", "code") else key] = value
    try:
        fault = Fault(
            fault=name,
            channel=given.get("channel", "*"),
            operation=given.get("op", "*"),
            order=given.get("order", "*"),
            probability=float(given.get("p", "1")),
            count=int(given["count"]) if "count" in given else None,
            skip=int(given.get("skip", "0")),
            value=given.get("value", ""),
        )
    except ValueError as error:
        raise BadFault(f"{text!r}: {error}") from error
    return checked(fault)


class FaultPlan:
    """The rules that stand, asked at each place where something may go wrong."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rules: dict[int, Rule] = {}
        self._luck: dict[int, random.Random] = {}
        self._next_id = 1
        #: Set after every change, and cleared by whoever writes the plan down.
        self.has_changed = False

    def add(self, fault: Fault) -> Rule:
        """One more rule; BadFault."""
        if len(self._rules) >= MAX_RULES:
            raise BadFault(f"{MAX_RULES} faults stand already; take some away first")
        rule = Rule(id=self._next_id, fault=checked(fault))
        self._put(rule)
        return rule

    def _put(self, rule: Rule) -> None:
        self._rules[rule.id] = rule
        # Each rule has its own luck: adding one does not change what the others do.
        self._luck[rule.id] = random.Random(f"{self._seed}/{rule.id}/{rule.fired}")  # noqa: S311 - rehearsed, not secret
        self._next_id = max(self._next_id, rule.id + 1)
        self.has_changed = True

    def remove(self, rule_id: int | None = None) -> int:
        """Take one away, or all; how many there were."""
        gone = [id_ for id_ in self._rules if rule_id is None or id_ == rule_id]
        for id_ in gone:
            del self._rules[id_], self._luck[id_]
        self.has_changed = self.has_changed or bool(gone)
        return len(gone)

    def rules(self) -> list[Rule]:
        """All that stand, the spent ones too, until they are taken away."""
        return list(self._rules.values())

    def fires(self, name: FaultName, channel: str, operation: str, order: str = "") -> Fault | None:
        """Whether this goes wrong now. The first rule that fires is used up by it."""
        for rule in self._rules.values():
            fault = rule.fault
            if fault.fault != name or rule.is_spent or not _is_about(fault, channel, operation, order):
                continue
            if rule.passed < fault.skip:
                rule.passed += 1
                self.has_changed = True
                continue
            if fault.probability >= 1 or self._luck[rule.id].random() < fault.probability:
                rule.fired += 1
                self.has_changed = True
                return fault
        return None

    def dump(self) -> bytes:
        """The plan as it stands."""
        return msgspec.json.encode(list(self._rules.values()))

    def load(self, dumped: bytes) -> None:
        """Put a plan back that was dumped."""
        for rule in msgspec.json.decode(dumped, type=list[Rule]):
            self._put(rule)


def _is_about(fault: Fault, channel: str, operation: str, order: str) -> bool:
    if fault.channel not in ("*", channel) or fault.operation not in ("*", operation):
        return False
    if fault.order.endswith("*"):
        return order.startswith(fault.order[:-1])
    return order == fault.order
