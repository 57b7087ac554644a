"""The risk desk: judges each request in the transaction that brings it, keeps every verdict, and lets people review."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from payments.books.booking import Booking
from payments.guards.judge import judge, wants
from payments.guards.risk import (
    HISTORY_DAYS,
    Challenge,
    History,
    RiskCase,
    RiskRequest,
    RiskStanding,
    RuleBook,
    Standing,
    Verdict,
)
from payments.guards.second_factor import SecondFactor
from payments.guards.second_factor_act import Act, GivenCode
from payments.port import (
    AnyCommand,
    OpenIntent,
    PaymentsError,
    Refund,
    RiskJudged,
    UnknownIntent,
)
from payments.store.rows import IntentRow
from payments.store.unit_of_work import Store, UnitOfWork
from payments.store.verdicts import VerdictRow

log = logging.getLogger(__name__)

#: Verdicts are kept so long; what is held open stays until somebody decides.
KEPT_DAYS = 3 * HISTORY_DAYS
#: Seconds between two looks for what is too old, and how much one look removes.
CLEAN_EVERY_S = 600.0
CLEAN_ROWS = 5000
#: Wrong answers to one challenge; then the request is refused.
MOST_ANSWERS = 5
#: Coupons are counted by the day of this offset from UTC.
DAY_OFFSET = timedelta(hours=8)
MOST_CASES = 500
LONGEST_REASON = 1000


class ChallengeFailed(PaymentsError):
    """The proof is wrong, too late, or nobody can verify it."""

    code = "challenge_failed"


class ReviewRefused(PaymentsError):
    """No such verdict, it was decided otherwise already, or nobody says who decides and why."""

    code = "review_refused"


class ChallengeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to prove what."""

    account: str
    intent_id: str
    amount_fen: int


class Verifier(Protocol):
    """Somebody who can tell whether a challenge was met: a face service, or the sender of a code."""

    async def is_met(self, request: ChallengeRequest, token: str) -> bool:
        """Whether the token proves it. What it raises is a fault, and the challenge stays."""


class DemoFace:
    """A face service for demonstrations: whoever says the word is believed. Never beside real money."""

    WORD = "demo-face"

    def __init__(self, environment: str) -> None:
        if environment not in ("sandbox", "simulator"):
            raise ValueError(f"face verification: the demonstration is not legal in the {environment!r} environment")

    async def is_met(self, request: ChallengeRequest, token: str) -> bool:
        """Whether the token is the word, for this very intent."""
        return token == f"{self.WORD}:{request.intent_id}"


class CodeVerifier:
    """The second factor as a challenge: the token is ``<code id>:<code>``."""

    def __init__(self, second_factor: SecondFactor) -> None:
        self._second_factor = second_factor

    async def is_met(self, request: ChallengeRequest, token: str) -> bool:
        """Whether the code was sent for paying this intent, and is used for the first time."""
        code_id, _, code = token.partition(":")
        try:
            await self._second_factor.check(code_act(request), GivenCode(code_id=code_id, code=code))
        except PaymentsError:
            return False
        return True


def code_act(request: ChallengeRequest) -> Act:
    """What a code for this challenge is bound to."""
    return Act(kind="pay", account_ref=request.account, amount_fen=request.amount_fen, target=request.intent_id)


class RiskDesk:
    """One process's desk. ``fingerprint`` of (kind, text) stands for devices, addresses and cards everywhere."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        new_id: Callable[[str], str],
        rules: RuleBook,
        fingerprint: Callable[[str, str], str],
        verifiers: Mapping[Challenge, Verifier],
    ) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._rules = rules
        self._fingerprint = fingerprint
        self._verifiers = verifiers
        self._clean_at: datetime | None = None

    # -- commands ---------------------------------------------------------------------------------------------------

    async def is_proved(self, command: AnyCommand) -> bool:
        """Whether an intent comes with proof of the payer's face; asked before the transaction."""
        if not isinstance(command, OpenIntent) or command.challenge_token is None or "face" not in self._verifiers:
            return False
        request = ChallengeRequest(
            account=command.payer_ref, intent_id=command.intent_id, amount_fen=command.amount_fen
        )
        try:
            return await self._verifiers["face"].is_met(request, command.challenge_token)
        except Exception as error:
            # Then it is as if there were no proof: whoever is challenged shows their face later. What a service says
            # of a proof is nobody's to read.
            log.warning("a face could not be verified: %s", type(error).__name__)
            return False

    def screen(self, booking: Booking, command: AnyCommand, *, is_proved: bool = False) -> None:
        """Judge a command in its own transaction: an intent that is objected to opens no attempt. Again: nothing."""
        match command:
            case OpenIntent():
                self._screen_intent(booking, command, is_proved=is_proved)
            case Refund():
                self._note_refund(booking, command)

    def _screen_intent(self, booking: Booking, command: OpenIntent, *, is_proved: bool) -> None:
        if booking.uow.verdicts.of_intent(command.intent_id) is not None:
            return
        request = RiskRequest(
            kind="pay",
            ref=command.intent_id,
            campus_id=command.campus_id,
            account=command.payer_ref,
            amount_fen=command.amount_fen,
            device=command.device_id,
            ip=command.ip,
        )
        row = self._judge(booking.uow, request, intent_id=command.intent_id)
        if row.decision == "challenge" and is_proved:
            booking.uow.verdicts.decide(row.id, "passed", booking.now, command.payer_ref, "proved beforehand")
            return
        if row.decision == "allow":
            return
        intent = booking.uow.intents.require(command.intent_id)
        self._stop(booking, intent, row)

    def _stop(self, booking: Booking, intent: IntentRow, row: VerdictRow) -> None:
        # Looked at again only when its time is over, unless the verdict changes before.
        booking.uow.intents.change(intent.id, risk_verdict=row.decision, due_at=intent.expires_at)
        booking.tell(
            RiskJudged,
            intent,
            verdict_id=row.id,
            decision=row.decision,
            code=row.code,
            challenge=row.challenge,
            parameters=row.parameters,
        )
        if row.decision == "refuse":
            booking.fail(intent, f"risk:{row.code}")

    def _note_refund(self, booking: Booking, command: Refund) -> None:
        if booking.uow.verdicts.of_request("refund", command.refund_id) is not None:
            return
        intent = booking.uow.intents.require(command.intent_id)
        request = RiskRequest(
            kind="refund",
            ref=command.refund_id,
            campus_id=intent.campus_id,
            account=intent.payer_ref,
            amount_fen=command.amount_fen,
        )
        # Whoever commands a refund has decided; the verdict tells those who review that somebody lives on refunds.
        self._judge(booking.uow, request, intent_id=intent.id)

    # -- judging ----------------------------------------------------------------------------------------------------

    async def assess(self, request: RiskRequest) -> RiskStanding:
        """Judge a wish that is no command (yet): a refund asked for, a coupon. Asked again, the answer is the same."""

        def ask(uow: UnitOfWork) -> RiskStanding:
            known = uow.verdicts.of_request(request.kind, request.ref)
            return _standing(known or self._judge(uow, request, intent_id=None))

        return await self._store.run(ask)

    def _judge(self, uow: UnitOfWork, request: RiskRequest, intent_id: str | None) -> VerdictRow:
        now = self._now()
        request = msgspec.structs.replace(
            request,
            **{
                name: self._fingerprint(name, said)
                for name in ("device", "ip", "card")
                if (said := getattr(request, name)) is not None
            },
        )
        rules = self._rules.of(request.campus_id)
        verdict = judge(self._history(uow, request, now), request, rules, now)
        row = self._row(request, verdict, intent_id, now)
        uow.verdicts.add(row)
        return row

    def _row(self, request: RiskRequest, verdict: Verdict, intent_id: str | None, now: datetime) -> VerdictRow:
        return VerdictRow(
            id=self._new_id("risk"),
            at=now,
            campus_id=request.campus_id,
            kind=request.kind,
            ref=request.ref,
            account=request.account,
            amount_fen=request.amount_fen,
            decision=verdict.decision,
            code=verdict.code,
            challenge=verdict.challenge,
            parameters=verdict.parameters,
            objections=verdict.objections,
            standing="open" if verdict.decision in ("challenge", "hold") else "closed",
            intent_id=intent_id,
            device=request.device,
            ip=request.ip,
            card=request.card,
            group_ref=request.group,
            incident=request.incident,
        )

    def _history(self, uow: UnitOfWork, request: RiskRequest, now: datetime) -> History:
        rules = self._rules.of(request.campus_id)
        account = uow.verdicts.seen("account", request.account, now)
        held = uow.verdicts.oldest_open(request.account)
        if held is not None and all(each.ref != held.ref for each in account):
            account.append(held)
        others = {
            subject: uow.verdicts.seen(subject, name, now)
            for subject in ("device", "ip", "card")
            if (name := getattr(request, subject)) is not None and wants(rules, subject, request.kind)
        }
        given_fen = 0
        if request.kind == "coupon":
            here = now + DAY_OFFSET
            midnight = here.replace(hour=0, minute=0, second=0, microsecond=0) - DAY_OFFSET
            given_fen = uow.verdicts.coupons_fen(request.campus_id, midnight)
        return History(account=account, coupons_today_fen=given_fen, **others)

    # -- what follows -----------------------------------------------------------------------------------------------

    async def answer(self, intent_id: str, token: str) -> RiskStanding:
        """The payer answers the challenge of an intent; when it is met, the intent goes on. ChallengeFailed."""
        row = await self._store.read(lambda uow: uow.verdicts.of_intent(intent_id))
        if row is None:
            raise UnknownIntent(intent_id)
        if row.standing != "open" or row.decision != "challenge" or row.challenge is None:
            return _standing(row)
        verifier = self._verifiers.get(row.challenge)
        if verifier is None:
            raise ChallengeFailed(f"nobody can verify a {row.challenge} here")
        request = ChallengeRequest(account=row.account, intent_id=intent_id, amount_fen=row.amount_fen)
        is_met = await verifier.is_met(request, token)
        after = await self._store.run(lambda uow: self._answered(uow, row, is_met=is_met))
        if not is_met:
            raise ChallengeFailed(row.challenge)
        return _standing(after)

    def _answered(self, uow: UnitOfWork, row: VerdictRow, *, is_met: bool) -> VerdictRow:
        if is_met:
            self._decide(uow, row, "passed", row.account, row.challenge or "")
        elif uow.verdicts.count_try(row.id) >= MOST_ANSWERS:
            self._decide(uow, row, "refused", row.account, "challenge_failed")
        after = uow.verdicts.get(row.id)
        assert after is not None, "it was there a moment ago"
        return after

    async def cases(
        self, campus_id: str, limit: int, before_seq: int | None, account: str | None, *, only_open: bool
    ) -> list[RiskCase]:
        """What was objected to, newest first."""
        most = min(limit, MOST_CASES)
        return await self._store.read(
            lambda uow: uow.verdicts.cases(campus_id, most, before_seq, account, only_open=only_open)
        )

    async def review(self, verdict_id: str, *, is_released: bool, by: str, reason: str) -> RiskStanding:
        """Somebody decides on what is challenged or held. Deciding the same again changes nothing. ReviewRefused."""
        if not 0 < len(by.strip()) <= LONGEST_REASON or not 0 < len(reason.strip()) <= LONGEST_REASON:
            raise ReviewRefused(f"who decides, and why, in at most {LONGEST_REASON} characters?")
        standing: Standing = "released" if is_released else "refused"

        def act(uow: UnitOfWork) -> RiskStanding:
            row = uow.verdicts.get(verdict_id)
            if row is None:
                raise ReviewRefused(f"no verdict {verdict_id}")
            if row.standing not in ("open", standing):
                raise ReviewRefused(f"verdict {verdict_id} is {row.standing}")
            self._decide(uow, row, standing, by, reason)
            after = uow.verdicts.get(verdict_id)
            assert after is not None, "it was there a moment ago"
            return _standing(after)

        return await self._store.run(act)

    def _decide(self, uow: UnitOfWork, row: VerdictRow, standing: Standing, by: str, because: str) -> None:
        now = self._now()
        if not uow.verdicts.decide(row.id, standing, now, by, because) or row.intent_id is None or row.kind != "pay":
            return
        booking = Booking(uow, now, self._new_id)
        intent = uow.intents.require(row.intent_id)
        is_free = standing in ("passed", "released")
        uow.intents.change(intent.id, risk_verdict="allow" if is_free else "refuse", due_at=now)
        decision = "allow" if is_free else "refuse"
        booking.tell(RiskJudged, intent, verdict_id=row.id, decision=decision, code=row.code, parameters=row.parameters)
        if not is_free and intent.phase == "open":
            booking.fail(intent, f"risk:{row.code}")

    async def clean(self) -> int:
        """Now and then, remove what is too old to be kept; how many verdicts went."""
        now = self._now()
        if self._clean_at is not None and now < self._clean_at:
            return 0
        self._clean_at = now + timedelta(seconds=CLEAN_EVERY_S)
        before = now - timedelta(days=KEPT_DAYS)
        return await self._store.run(lambda uow: uow.verdicts.purge(before, CLEAN_ROWS))


def standing_of(uow: UnitOfWork, intent: IntentRow) -> RiskStanding | None:
    """How an intent stands that was objected to; None when nobody did."""
    row = uow.verdicts.of_intent(intent.id) if intent.risk_verdict is not None else None
    return None if row is None else _standing(row)


def _standing(row: VerdictRow) -> RiskStanding:
    if row.standing in ("passed", "released"):
        return RiskStanding(verdict_id=row.id, decision="allow", code=row.code, parameters=row.parameters)
    decision = "refuse" if row.standing == "refused" else row.decision
    challenge = row.challenge if row.standing == "open" else None
    return RiskStanding(
        verdict_id=row.id, decision=decision, code=row.code, challenge=challenge, parameters=row.parameters
    )
