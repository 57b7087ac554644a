"""What a protocol module has to be: one provider's URLs, signatures, words and callbacks, over books that all share.

A module is a class with this shape and a line in ``simulator.channels``. For each call the frame asks ``understand``,
lets the fault plan have its say, acts, and sends what ``seal`` made of the answer. Orders, refunds, splits, transfers
and every business fault are the desk's: a module translates, and keeps nothing of its own that a restart would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from payments.simulator.desk import Desk
from payments.simulator.events import AnyEvent, NoticeQueued
from payments.simulator.keys import KeyRing
from payments.simulator.order_book import NoticeBook


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's request as it arrived: the raw target and the raw body, because they are what was signed."""

    method: str
    #: Path and query exactly as sent.
    target: str
    path: str
    query: Mapping[str, str]
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes
    #: ``http://127.0.0.1:8901``: the address that was called; downloads and pay pages are answered under it.
    base_url: str
    #: Whether it came to the second port, the provider's backup domain.
    is_backup: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says. ``headers`` are added to by ``seal``."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    #: False for what the provider does not sign: a bill's file, a web page.
    is_signed: bool = True


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was verified and understood.

    ``operation`` is one of ``faults.OPERATIONS`` and ``number`` the merchant's number of the *order* (of the transfer):
    both are what faults are set by. ``act`` does it, once.
    """

    channel: str
    operation: str
    act: Callable[[], Answer]
    number: str = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A callback, signed and ready to be posted."""

    headers: Mapping[str, str]
    body: bytes


class Twist(msgspec.Struct, frozen=True, kw_only=True):
    """What the fault plan wants of one signature."""

    is_wrong: bool = False
    skew_s: float = 0.0
    #: With the key that is not the usual one, where a provider has two.
    is_other_key: bool = False
    #: A probe: WeChat's WECHATPAY/SIGNTEST/.
    is_probe: bool = False


STRAIGHT = Twist()


class BadOption(ValueError):
    """An option that the module does not know, or cannot read."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a protocol module is given."""

    desk: Desk
    keys: KeyRing
    #: The channels of this module that are switched on.
    channels: Sequence[str]
    #: ``--option wechat.split_permille=300`` is {"split_permille": "300"} for the module of wechat.
    options: Mapping[str, str]


class ProviderProtocol(Protocol):
    """One provider. Nothing here waits: the frame does the waiting."""

    @property
    def institution(self) -> str:
        """Whose books its orders are in: ``wechat``, ``alipay`` … Channels of one institution share accounts."""

    @property
    def prefixes(self) -> Sequence[str]:
        """The paths that are its own; the longest prefix wins over all modules."""

    @property
    def ladder_s(self) -> Sequence[float]:
        """How long it waits before each further callback that was not heard."""

    @property
    def patience_s(self) -> float:
        """How long it waits for the answer to a callback, in real seconds."""

    def settings(self, base_url: str, backup_url: str) -> Mapping[str, str]:
        """What a merchant configures: fields of the channel's own configuration, as far as they are the provider's."""

    def understand(self, call: Call) -> Asked | Answer:
        """Verify and parse; an Answer refuses."""

    def refusal(self, code: str) -> Answer:
        """The answer for a business reason that the fault plan named."""

    def broken(self, status: int) -> Answer:
        """The answer for a server error that the fault plan named."""

    def seal(self, call: Call, answer: Answer, twist: Twist) -> Answer:
        """The answer, signed."""

    def notices(self, event: AnyEvent) -> Sequence[NoticeQueued]:
        """What the merchant is to be told of an event that has just happened; the books show it already."""

    def letter(self, notice: NoticeBook, twist: Twist) -> Letter:
        """The callback, signed anew each time that it is sent."""

    def is_heard(self, status: int, body: bytes) -> bool:
        """Whether the merchant's answer ends the ladder."""

    def rotate(self) -> str:
        """Sign with a new certificate from now on; its serial number. A provider without certificates says ""."""
