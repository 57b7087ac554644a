"""The guarded side of the embedded body: risk, one-time codes and the vault, joined when they are set up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from payments.account import AccountCommand, Withdraw
from payments.books.booking import Booking
from payments.guards.risk import Challenge, RiskCase, RiskRequest, RiskStanding, RuleBook
from payments.guards.risk_desk import ChallengeFailed, CodeVerifier, RiskDesk, Verifier
from payments.guards.second_factor import SecondFactor, SendCode
from payments.guards.second_factor_act import Act, CodeSent, GivenCode, Thresholds
from payments.guards.vault import Vault
from payments.money import MAX_INTENT_FEN
from payments.port import AnyCommand, OpenIntent, PaymentsError, Refund
from payments.store.unit_of_work import Store, UnitOfWork

#: What one account may entrust at once, and how long one secret may be.
MOST_SECRETS = 16
LONGEST_SECRET = 1024
#: A face service's proof may be a signed text.
LONGEST_TOKEN = 4096
_LONGEST_NAME = 256
#: Where a payer's browser is: nobody entrusts it, each order says it anew.
CLIENT_IP = "client_ip"
#: Where an account is paid to: another one needs a one-time code.
PAYOUT_KINDS = ("bank_account", "payout_openid", "openid", "alipay_user_id", "mchid")


class NotSetUp(PaymentsError):
    """These payments were started without what this needs."""

    code = "not_set_up"


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """What guards payments. ``face`` verifies faces, ``send_code`` sends codes: without one, whom risk challenges so
    waits for a review. ``salt_key`` keeps hashes of codes from being guessed through."""

    vault: Vault
    salt_key: bytes
    rules: RuleBook = RuleBook()
    thresholds: Thresholds = Thresholds()
    face: Verifier | None = None
    send_code: SendCode | None = None
    #: How much faster the books' clock runs than the people who type codes.
    pace: float = 1.0

    def __repr__(self) -> str:
        return "Guards(…)"


class GuardedPayments:
    """What an embedded body is beside its money. Without ``guard`` nobody is judged and nothing can be entrusted."""

    _store: Store
    _now: Callable[[], datetime]
    _new_id: Callable[[str], str]
    _guards: Guards | None = None
    _desk: RiskDesk | None = None
    _second_factor: SecondFactor | None = None

    def guard(self, guards: Guards) -> None:
        """Join the guards; before the start."""
        self._guards = guards
        verifiers: dict[Challenge, Verifier] = {} if guards.face is None else {"face": guards.face}
        if guards.send_code is not None:
            self._second_factor = SecondFactor(
                self._store, self._now, self._new_id, guards.salt_key, guards.send_code, guards.pace
            )
            verifiers["code"] = CodeVerifier(self._second_factor)
        self._desk = RiskDesk(self._store, self._now, self._new_id, guards.rules, guards.vault.fingerprint, verifiers)

    async def is_proved(self, command: AnyCommand) -> bool:
        """Whether an intent comes with proof of the payer's face."""
        return self._desk is not None and await self._desk.is_proved(command)

    def screen(self, booking: Booking, command: AnyCommand, *, is_proved: bool) -> None:
        """Judge a command in the transaction that applies it, and keep what it says of its payer sealed."""
        if isinstance(command, OpenIntent) and command.client_ip is not None and self._guards is not None:
            vault = self._guards.vault
            vault.tokenize(booking.uow, CLIENT_IP, command.payer_ref, command.client_ip, booking.now)
        if self._desk is not None:
            self._desk.screen(booking, command, is_proved=is_proved)

    async def clean(self) -> None:
        """Remove what is too old to be kept, now and then."""
        if self._desk is not None:
            await self._desk.clean()

    # -- the port ---------------------------------------------------------------------------------------------------

    async def assess_risk(self, request: RiskRequest) -> RiskStanding:
        desk = self._risk()
        _check_request(request)
        return await desk.assess(request)

    async def answer_challenge(self, intent_id: str, token: str) -> RiskStanding:
        desk = self._risk()
        if len(token) > LONGEST_TOKEN:
            raise ChallengeFailed("too long for a proof")
        return await desk.answer(intent_id, token)

    async def risk_cases(
        self,
        campus_id: str,
        limit: int = 50,
        before_seq: int | None = None,
        only_open: bool = False,
        account: str | None = None,
    ) -> list[RiskCase]:
        if self._desk is None:
            return []
        return await self._desk.cases(campus_id, limit, before_seq, account, only_open=only_open)

    async def review_risk(self, verdict_id: str, is_released: bool, by: str, reason: str) -> RiskStanding:
        return await self._risk().review(verdict_id, is_released=is_released, by=by, reason=reason)

    async def ask_code(self, act: Act) -> CodeSent:
        if self._second_factor is None:
            raise ChallengeFailed("no way to send codes is set up")
        return await self._second_factor.ask(act)

    async def confirm_code(self, act: Act, given: GivenCode) -> None:
        if self._second_factor is None:
            raise ChallengeFailed("no way to send codes is set up")
        await self._second_factor.confirm(act, given)

    async def entrust(self, account_ref: str, secrets: Mapping[str, str], code_id: str = "") -> dict[str, str]:
        vault, now = self._vault(), self._now()
        _check_secrets(account_ref, secrets)
        # The very same call may come again; the code allows no other one.
        call = f"entrust:{vault.fingerprint(account_ref, repr(sorted(secrets.items())))}"

        def keep(uow: UnitOfWork) -> dict[str, str]:
            had = vault.newest(uow, account_ref, PAYOUT_KINDS)
            if any(kind in had and had[kind] != secret for kind, secret in secrets.items()):
                act = Act(kind="change_payout_account", account_ref=account_ref)
                self._use_code(uow, act, code_id, call)
            return {kind: vault.tokenize(uow, kind, account_ref, secret, now) for kind, secret in secrets.items()}

        return await self._store.run(keep)

    async def forget(self, account_ref: str) -> int:
        return await self._store.run(lambda uow: uow.vault.forget(account_ref))

    # -- for what is beside -----------------------------------------------------------------------------------------

    async def reveal(self, payer_ref: str, names: tuple[str, ...]) -> Mapping[str, str]:
        """What a channel needs of a payer, for one call."""
        if self._guards is None:
            return {}
        vault = self._guards.vault
        return await self._store.read(lambda uow: vault.newest(uow, payer_ref, names))

    def require_code(self, uow: UnitOfWork, command: AnyCommand | AccountCommand) -> None:
        """Use up the code of a command that needs one, in its transaction; else nothing. SecondFactorNeeded, CodeWrong:
        nothing of the command is stored then."""
        match command:
            case Withdraw():
                act = Act(kind="withdraw", account_ref=command.account_ref, amount_fen=command.amount_fen)
                self._use_code(uow, act, command.code_id, command.id)
            case Refund(operator=operator) if operator:
                act = Act(
                    kind="operator_refund",
                    account_ref=operator,
                    amount_fen=command.amount_fen,
                    target=command.intent_id,
                )
                self._use_code(uow, act, command.code_id, command.id)

    def _use_code(self, uow: UnitOfWork, act: Act, code_id: str, command_id: str) -> None:
        if self._guards is None or not self._guards.thresholds.apply_to(act):
            return
        if self._second_factor is None:
            raise NotSetUp("this needs a one-time code, and no way to send one is set up")
        self._second_factor.use(uow, act, code_id, command_id)

    def _risk(self) -> RiskDesk:
        if self._desk is None:
            raise NotSetUp("risk")
        return self._desk

    def _vault(self) -> Vault:
        if self._guards is None:
            raise NotSetUp("vault")
        return self._guards.vault


def _check_request(request: RiskRequest) -> None:
    """ValueError names what cannot be."""
    if request.kind == "pay":
        raise ValueError("kind: a payment is judged when its intent is opened")
    if type(request.amount_fen) is not int or not 0 <= request.amount_fen <= MAX_INTENT_FEN:
        raise ValueError("amount_fen: not an amount within the bound")
    for name in ("ref", "campus_id", "account"):
        if not 0 < len(getattr(request, name)) <= _LONGEST_NAME:
            raise ValueError(f"{name}: 1 to {_LONGEST_NAME} characters")
    for name in ("device", "ip", "card", "group", "incident"):
        if len(getattr(request, name) or "") > _LONGEST_NAME:
            raise ValueError(f"{name}: at most {_LONGEST_NAME} characters")


def _check_secrets(account_ref: str, secrets: Mapping[str, str]) -> None:
    """ValueError names what cannot be, and never says it."""
    if not 0 < len(account_ref) <= 256 or not account_ref.isprintable():
        raise ValueError("account_ref: 1 to 256 printable characters")
    if len(secrets) > MOST_SECRETS:
        raise ValueError(f"secrets: at most {MOST_SECRETS}")
    for kind, secret in secrets.items():
        if not kind.isidentifier() or len(kind) > 64:
            raise ValueError("secrets: a kind is a name of letters, digits and _")
        if not 0 < len(secret) <= LONGEST_SECRET:
            raise ValueError(f"secrets: {kind} has 1 to {LONGEST_SECRET} characters")


def salt_key_of(secret: bytes) -> bytes:
    """A key for hashes of codes, made of another secret that stays."""
    return hashlib.sha256(b"payments one-time codes\n" + secret).digest()
