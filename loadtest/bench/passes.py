"""Many people signed in at once: sessions opened in the server's own books, without a password's slow hash for each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dispatch.access.principal import Principal
from dispatch.access.tokens import Tokens
from dispatch.flow.sign_in import open_session
from dispatch.parts import open_parts
from dispatch.settings import read_settings

AT_ONCE = 200


class PlannedAccount(msgspec.Struct, frozen=True):
    """Somebody of the file that ``dispatch load-accounts`` writes."""

    role: str
    phone: str
    account_id: str


class _Plan(msgspec.Struct, frozen=True):
    campus_id: str
    accounts: list[PlannedAccount]


class Pass(msgspec.Struct, frozen=True):
    """One signed-in person: the token for HTTP, and who the socket tokens are made for."""

    account_id: str
    access_token: str
    who: Principal


class Passes:
    """Who is signed in, by role. Socket tokens are made when they are needed, for they live a minute."""

    def __init__(self, campus_id: str, tokens: Tokens, people: Mapping[str, Sequence[Pass]]) -> None:
        self.campus_id = campus_id
        self._tokens = tokens
        self.people = people

    def socket_token(self, one: Pass) -> str:
        return self._tokens.issue_socket(one.who)


async def sign_in_all(environ: Mapping[str, str], plan: Path, roles: Sequence[str]) -> Passes:
    """Open a session for everybody of these roles, as the server does once somebody has proved who they are."""
    planned = msgspec.json.decode(plan.read_bytes(), type=_Plan)
    async with open_parts(read_settings(environ, None), "bench", announce=lambda: None) as parts:
        tokens, gate = parts.ctx.tokens, asyncio.Semaphore(AT_ONCE)

        async def sign_in(account: PlannedAccount) -> Pass:
            async with gate:
                session = await open_session(parts.ctx, account.account_id, planned.campus_id)
            return Pass(account.account_id, session.access_token, tokens.access(session.access_token))

        people = {
            role: await asyncio.gather(*(sign_in(each) for each in planned.accounts if each.role == role))
            for role in roles
        }
    return Passes(planned.campus_id, tokens, people)
