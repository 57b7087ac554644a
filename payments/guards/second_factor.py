"""The second factor of sensitive acts: a code that is sent, lives shortly, fits one act and works once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from payments.guards.second_factor_act import Act, CodeSent, GivenCode
from payments.port import PaymentsError
from payments.store.codes import CodeRow
from payments.store.unit_of_work import Store, UnitOfWork

CODE_LIFE_S = 300.0
DIGITS = 6
MOST_TRIES = 5
#: How long a code that was given back may wait for its command, which may have to queue.
CONFIRMED_S = 3600.0
#: Codes that an account is sent within an hour.
MOST_PER_HOUR = 10
#: Hashes are kept this long after they expired, so that a used code is told from one that never was.
KEPT_S = 86_400.0


class SecondFactorNeeded(PaymentsError):
    """The act needs a code, and none was given."""

    code = "second_factor_needed"


class CodeWrong(PaymentsError):
    """Not the code of this act, too old, used, or asked too often: which of them is not told."""

    code = "code_wrong"


class CodesExhausted(PaymentsError):
    """The account was sent too many codes within the hour."""

    code = "codes_exhausted"


#: Sends a code to an account by whatever way the host has; what it raises is the host's to see.
SendCode = Callable[[Act, str], Awaitable[None]]


class SecondFactor:
    """Makes, sends and checks codes. ``salt_key`` keeps their hashes from being guessed through; ``pace``: how much
    faster the books' clock runs than real time, in which people read and type."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        new_id: Callable[[str], str],
        salt_key: bytes,
        send: SendCode,
        pace: float = 1.0,
    ) -> None:
        self._store = store
        self._now = now
        self._new_id = new_id
        self._salt_key = salt_key
        self._send = send
        self._pace = pace

    async def ask(self, act: Act) -> CodeSent:
        """Send a code for this act. CodesExhausted. The code is on disk before it is sent, as a hash."""
        digits = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        now = self._now()
        salt = secrets.token_hex(8)
        row = CodeRow(
            id=self._new_id("code"),
            account_ref=act.account_ref,
            act_hash=act.hashed(),
            salt=salt,
            code_hash=self._hash(salt, digits),
            created_at=now,
            expires_at=now + self._after(CODE_LIFE_S),
        )

        def keep(uow: UnitOfWork) -> bool:
            if uow.codes.count_since(act.account_ref, now - self._after(3600.0)) >= MOST_PER_HOUR:
                return False
            uow.codes.purge(now - self._after(KEPT_S))
            uow.codes.add(row)
            return True

        if not await self._store.run(keep):
            raise CodesExhausted("too many codes within the hour")
        await self._send(act, digits)
        return CodeSent(code_id=row.id, expires_at=row.expires_at)

    async def check(self, act: Act, given: GivenCode | None) -> None:
        """Use the code up for this act, in a transaction of its own so that a wrong try counts. SecondFactorNeeded,
        CodeWrong."""
        if given is None:
            raise SecondFactorNeeded(act.kind)
        if not await self._store.run(lambda uow: self._is_right(uow, act, given)):
            raise CodeWrong(act.kind)

    async def confirm(self, act: Act, given: GivenCode) -> None:
        """The person gave the code back; within the hour one command may use it for this act. CodeWrong."""

        def confirm(uow: UnitOfWork) -> bool:
            row = self._taken(uow, act, given)
            if row is not None and row.confirmed_at is None:
                now = self._now()
                uow.codes.confirm(row.id, now, now + self._after(CONFIRMED_S))
            return row is not None

        if not await self._store.run(confirm):
            raise CodeWrong(act.kind)

    def use(self, uow: UnitOfWork, act: Act, code_id: str, command_id: str) -> None:
        """Use a confirmed code up in the transaction of its command; the same command again is still allowed.
        SecondFactorNeeded, CodeWrong."""
        row = uow.codes.get(code_id) if code_id else None
        if row is None or row.confirmed_at is None:
            raise SecondFactorNeeded(act.kind)
        if row.act_hash != act.hashed():
            raise CodeWrong(act.kind)
        if row.used_for == command_id:
            return
        if self._now() >= row.expires_at or not uow.codes.use(row.id, self._now(), command_id):
            raise CodeWrong(act.kind)

    def _is_right(self, uow: UnitOfWork, act: Act, given: GivenCode) -> bool:
        row = self._taken(uow, act, given)
        return row is not None and uow.codes.use(row.id, self._now())

    def _taken(self, uow: UnitOfWork, act: Act, given: GivenCode) -> CodeRow | None:
        """The row, when the code is right for this act and in time; a try is used up in any case."""
        row = uow.codes.get(given.code_id)
        if row is None or not uow.codes.take_try(row.id, MOST_TRIES):
            return None
        # All is compared before anything is said, so that time tells nothing either.
        is_code = hmac.compare_digest(self._hash(row.salt, given.code).encode(), row.code_hash.encode())
        is_act = hmac.compare_digest(act.hashed().encode(), row.act_hash.encode())
        is_young = self._now() < row.expires_at
        return row if is_code and is_act and is_young else None

    def _after(self, real_s: float) -> timedelta:
        return timedelta(seconds=real_s * self._pace)

    def _hash(self, salt: str, digits: str) -> str:
        return hmac.new(self._salt_key, f"code\n{salt}\n{digits}".encode(), hashlib.sha256).hexdigest()
