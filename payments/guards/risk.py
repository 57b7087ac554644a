"""Risk, pure: what is asked, what is kept of it, and the rules, which are data.

A request is a wish to pay, to be refunded or to be given a coupon. What was judged is the history of the next one, so
nothing has to be counted twice. The parts of a split group carry the group's name and are one request together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

Decision = Literal["allow", "challenge", "hold", "refuse"]
#: What the payer must do to go on: show their face, or give back a code that was sent to their phone.
Challenge = Literal["face", "code"]
Kind = Literal["pay", "refund", "coupon"]
#: Whom a rule counts for; all but the account are fingerprints, never the thing itself.
Subject = Literal["account", "device", "ip", "card"]

#: From lenient to strict.
STRICTNESS: tuple[Decision, ...] = ("allow", "challenge", "hold", "refuse")
#: The history that rules see: no older than this, and for each subject no more than so many of the newest.
HISTORY_DAYS = 30
HISTORY_S = HISTORY_DAYS * 86_400.0
MOST_SEEN = 200


class RiskRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants what. ``ref`` names the wish: asked about again, the answer is the same. ``group`` names the split
    group that it is a part of, ``incident`` what a coupon consoles for."""

    kind: Kind
    ref: str
    campus_id: str
    account: str
    amount_fen: int
    device: str | None = None
    ip: str | None = None
    card: str | None = None
    group: str = ""
    incident: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the past as rules see it. ``is_open``: it is held and nobody has decided yet."""

    kind: Kind
    ref: str
    at: datetime
    account: str
    amount_fen: int
    decision: Decision
    device: str | None = None
    ip: str | None = None
    card: str | None = None
    group: str = ""
    incident: str = ""
    is_open: bool = False


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest requests of each subject of one request, newest first; of an address only those that were objected
    to, for a whole campus may share one. ``coupons_today_fen``: what the campus gave since midnight."""

    account: Sequence[Seen] = ()
    device: Sequence[Seen] = ()
    ip: Sequence[Seen] = ()
    card: Sequence[Seen] = ()
    coupons_today_fen: int = 0


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule has against a request."""

    decision: Decision
    code: str
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The strictest objection (of equal ones the first rule's, a face before a code), and all of them."""

    decision: Decision = "allow"
    code: str = ""
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}
    objections: tuple[Objection, ...] = ()


#: closed: nothing to decide · open: challenged or held · passed: the challenge was met · released, refused: reviewed.
Standing = Literal["closed", "open", "passed", "released", "refused"]


class RiskStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How a request stands. ``decision`` is today's: "allow" once a challenge was met or a hold released."""

    verdict_id: str
    decision: Decision
    code: str = ""
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}


class RiskCase(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was objected to, as somebody who reviews it sees it; devices, addresses and cards only as
    fingerprints."""

    seq: int
    id: str
    at: datetime
    campus_id: str
    kind: Kind
    ref: str
    intent_id: str | None
    account: str
    device: str | None
    ip: str | None
    card: str | None
    amount_fen: int
    incident: str
    decision: Decision
    code: str
    challenge: Challenge | None
    parameters: dict[str, int | str]
    objections: tuple[Objection, ...]
    standing: Standing
    decided_at: datetime | None
    decided_by: str
    decided_because: str


# -- rules --------------------------------------------------------------------------------------------------------


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="rule", tag=str.lower):
    """A rule; ``code`` names it in verdicts and in a campus's changes."""

    code: str
    decision: Decision
    challenge: Challenge | None = None
    kinds: tuple[Kind, ...] = ("pay",)

    def __post_init__(self) -> None:
        if (self.decision == "challenge") != (self.challenge is not None):
            raise ValueError(f"{self.code}: a challenge names its kind, anything else has none")
        window_s = getattr(self, "window_s", 0.0)
        if not 0.0 <= window_s <= HISTORY_S:
            raise ValueError(f"{self.code}: window_s is from 0 to {HISTORY_S:.0f}, as far as the history goes")
        if getattr(self, "most", 0) >= MOST_SEEN:
            raise ValueError(f"{self.code}: most is below {MOST_SEEN}, for no more of the history is looked at")


class Frequency(Rule, frozen=True, kw_only=True):
    """More than ``most`` requests of one subject within the window, this one counted; with ``at_most_fen`` only small
    ones are counted and objected to, with ``only_troubled`` only those that were objected to themselves."""

    subject: Subject
    window_s: float
    most: int
    at_most_fen: int | None = None
    only_troubled: bool = False


class Amount(Rule, frozen=True, kw_only=True):
    """More money than ``above_fen`` at once."""

    above_fen: int


class Unusual(Rule, frozen=True, kw_only=True):
    """Much more than this account's own payments: above ``times`` their mean, once there are ``least``."""

    times: int
    above_fen: int
    least: int
    window_s: float = HISTORY_S


class Novelty(Rule, frozen=True, kw_only=True):
    """A device or address never seen with an account that has been seen with another one, for more than
    ``above_fen``."""

    subject: Literal["device", "ip"]
    above_fen: int
    window_s: float = HISTORY_S


class Sharing(Rule, frozen=True, kw_only=True):
    """More than ``most`` accounts with one device or card."""

    subject: Literal["device", "card"]
    most: int
    window_s: float


class Frozen(Rule, frozen=True, kw_only=True):
    """An earlier payment of the account is held, and nobody has decided yet."""


class CouponOnce(Rule, frozen=True, kw_only=True):
    """One coupon per account and incident."""


class CouponBudget(Rule, frozen=True, kw_only=True):
    """What a campus gives away in coupons within a day."""

    daily_fen: int


AnyRule = Frequency | Amount | Unusual | Novelty | Sharing | Frozen | CouponOnce | CouponBudget

#: What holds where a campus says nothing else.
DEFAULT_RULES: tuple[AnyRule, ...] = (
    Frozen(code="account_frozen", decision="refuse"),
    Amount(code="large_payment", decision="hold", above_fen=200_000),
    Unusual(code="unusual_payment", decision="hold", times=20, above_fen=50_000, least=5),
    Frequency(
        code="small_payments",
        decision="challenge",
        challenge="face",
        subject="account",
        window_s=60.0,
        most=3,
        at_most_fen=500,
    ),
    Frequency(code="account_rush", decision="challenge", challenge="code", subject="account", window_s=3600.0, most=30),
    Frequency(code="device_rush", decision="challenge", challenge="code", subject="device", window_s=3600.0, most=60),
    Frequency(
        code="address_trouble",
        decision="challenge",
        challenge="code",
        subject="ip",
        window_s=3600.0,
        most=10,
        only_troubled=True,
    ),
    Sharing(code="shared_device", decision="challenge", challenge="code", subject="device", most=5, window_s=86_400.0),
    Sharing(code="shared_card", decision="hold", subject="card", most=3, window_s=HISTORY_S),
    Novelty(code="new_device", decision="challenge", challenge="code", subject="device", above_fen=10_000),
    Novelty(code="new_address", decision="challenge", challenge="code", subject="ip", above_fen=50_000),
    Frequency(code="many_refunds", decision="hold", kinds=("refund",), subject="account", window_s=HISTORY_S, most=5),
    CouponOnce(code="coupon_again", decision="refuse", kinds=("coupon",)),
    CouponBudget(code="coupon_budget", decision="refuse", kinds=("coupon",), daily_fen=20_000),
)


class RuleBook(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of every campus."""

    of_campus: Mapping[str, tuple[AnyRule, ...]] = {}
    default: tuple[AnyRule, ...] = DEFAULT_RULES

    def of(self, campus_id: str) -> tuple[AnyRule, ...]:
        return self.of_campus.get(campus_id, self.default)


def read_rules(changes: bytes | str) -> RuleBook:
    """The rules with each campus's changes, as ``{"campus": {"code": {"most": 5}, "other code": null}}``: fields
    replace those of the rule, null drops it, a code of its own with all its fields (and ``rule``) adds one. ``*``
    stands for every campus that is not named. ValueError names the campus and the rule."""
    told = msgspec.json.decode(changes, type=dict[str, dict[str, dict[str, Any] | None]])
    base = _changed("*", DEFAULT_RULES, told.pop("*", {}))
    return RuleBook(of_campus={campus: _changed(campus, base, each) for campus, each in told.items()}, default=base)


def _changed(
    campus: str, rules: Iterable[AnyRule], changes: Mapping[str, dict[str, Any] | None]
) -> tuple[AnyRule, ...]:
    by_code: dict[str, AnyRule] = {rule.code: rule for rule in rules}
    for code, change in changes.items():
        if change is None:
            by_code.pop(code, None)
            continue
        known = by_code.get(code)
        fields = {**(msgspec.to_builtins(known) if known else {}), **change, "code": code}
        try:
            by_code[code] = msgspec.convert(fields, AnyRule)
        except ValueError as fault:
            raise ValueError(f"{campus}, {code}: {fault}") from None
    return tuple(by_code.values())
