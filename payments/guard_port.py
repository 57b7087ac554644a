"""The part of the port that guards money: risk, its reviews, one-time codes, and the secrets that are entrusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from payments.guards.risk import RiskCase, RiskRequest, RiskStanding
from payments.guards.second_factor_act import Act, CodeSent, GivenCode


class GuardPort(Protocol):
    """Every body of the payments port has these too."""

    async def assess_risk(self, request: RiskRequest) -> RiskStanding:
        """What risk says of a refund that is asked for or a coupon, before it is granted. Same ``ref``: same answer."""

    async def answer_challenge(self, intent_id: str, token: str) -> RiskStanding:
        """The payer's proof: then the intent goes on. UnknownIntent, ChallengeFailed."""

    async def risk_cases(
        self,
        campus_id: str,
        limit: int = 50,
        before_seq: int | None = None,
        only_open: bool = False,
        account: str | None = None,
    ) -> list[RiskCase]:
        """What risk objected to, newest first; ``only_open``: what is held until somebody decides; ``account``: of
        this one alone."""

    async def review_risk(self, verdict_id: str, is_released: bool, by: str, reason: str) -> RiskStanding:
        """Somebody decides on what is challenged or held. ReviewRefused."""

    async def ask_code(self, act: Act) -> CodeSent:
        """Send a one-time code that allows this act. CodesExhausted, ChallengeFailed."""

    async def confirm_code(self, act: Act, given: GivenCode) -> None:
        """The person gave the code back; within the hour one command may name its ``code_id``. CodeWrong."""

    async def entrust(self, account_ref: str, secrets: Mapping[str, str], code_id: str = "") -> dict[str, str]:
        """Keep what calls need of an account (``openid``, ``bank_account`` …) in the vault; the token of each.
        Channels are told what was entrusted last. Another account to be paid to needs a code; SecondFactorNeeded."""

    async def entrusted(self, account_ref: str) -> list[str]:
        """What kinds of things an account entrusted; never the things."""

    async def bind_page(self, channel: str, back_url: str, state: str) -> str:
        """Where the payer's browser is sent to make itself known to this channel; it comes back to ``back_url`` with a
        proof and ``state``. UnknownChannel, BindRefused."""

    async def bind(self, channel: str, account_ref: str, given: Mapping[str, str], code_id: str = "") -> list[str]:
        """The payer's proof (``code``, ``card_token`` …): what the channel needs is entrusted; its kinds.
        UnknownChannel, BindRefused, SecondFactorNeeded."""

    async def unbind(self, channel: str, account_ref: str, code_id: str = "") -> int:
        """Forget what this channel needs of an account; how many secrets. What it may be paid to needs a code, for
        what comes after it would look like the first. UnknownChannel, BindRefused, SecondFactorNeeded, CodeWrong."""

    async def forget(self, account_ref: str) -> int:
        """Remove everything that was entrusted of an account; how many secrets."""
