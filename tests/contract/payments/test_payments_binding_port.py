"""Making payers known, on every body of the payments port and every database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
import pytest

from payments.channels.sandbox import SandboxChannel
from payments.guards.binding import BindRefused
from payments.guards.second_factor import CodeWrong, SecondFactorNeeded
from payments.guards.second_factor_act import Act, GivenCode
from payments.port import UnknownChannel
from tests.payments_guards import GuardedDesk
from tests.payments_remote import RemoteDesk


class Knowing(SandboxChannel):
    """A channel that has to know its payers."""

    def bind_page(self, back_url: str, state: str) -> str | None:
        return f"{back_url}?state={state}" if state else None

    async def bound(self, given: Mapping[str, str]) -> Mapping[str, str] | str:
        return {"openid": given["code"]} if "code" in given else "refused"


@pytest.fixture(params=["embedded-sqlite", "embedded-postgres", "remote"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GuardedDesk]:
    """Both bodies; their first channel has to know its payers."""
    kind = RemoteDesk if request.param == "remote" else GuardedDesk
    url, bank_url = f"sqlite:///{tmp_path}/payments.db", f"sqlite:///{tmp_path}/bank.db"
    if request.param == "embedded-postgres":
        url = bank_url = request.getfixturevalue("ready_postgres_url")
    async with kind(url, bank_url) as desk:
        body = desk.body if isinstance(desk, RemoteDesk) else desk.payments
        usual = body._channels["sandbox"].shape
        shape = msgspec.structs.replace(usual, needs=("openid",), binding="page")
        body._channels["sandbox"] = Knowing(body.bank, b"s" * 32, shape)
        if isinstance(desk, RemoteDesk):
            await desk.refresh()
        yield desk


async def test_what_a_channel_needs_is_said_given_known_and_forgotten(desk: GuardedDesk) -> None:
    payments = desk.payments
    (needy,) = [each for each in payments.channels() if each.code == "sandbox"]
    assert (needy.needs, needy.binding) == (("openid",), "page")
    assert await payments.bind_page("sandbox", "https://errands.example.edu/track", "s1") == (
        "https://errands.example.edu/track?state=s1"
    )
    assert await payments.entrusted("student") == []
    assert await payments.bind("sandbox", "student", {"code": "oStudent"}) == ["openid"]
    assert await payments.bind("sandbox", "student", {"code": "oStudent"}) == ["openid"]
    await payments.entrust("student", {"client_ip": "192.0.2.1"})
    assert await payments.entrusted("student") == ["client_ip", "openid"]
    assert await payments.entrusted("nobody") == []
    code_id = await _confirmed(desk)
    assert await payments.unbind("sandbox", "student", code_id) == 1
    assert await payments.entrusted("student") == ["client_ip"], "only what that channel needs"
    # Nothing is left that anybody could be paid to: the very same call may come again, and needs no code either.
    assert await payments.unbind("sandbox", "student", code_id) == 0
    assert await payments.unbind("sandbox", "student") == 0


async def test_forgetting_first_is_no_way_around_the_code_of_another_account(desk: GuardedDesk) -> None:
    payments = desk.payments
    assert await payments.bind("sandbox", "student", {"code": "oStudent"}) == ["openid"]
    with pytest.raises(SecondFactorNeeded):
        await payments.unbind("sandbox", "student")
    somebody_elses = await _confirmed(desk, "other")
    with pytest.raises(CodeWrong):
        await payments.unbind("sandbox", "student", somebody_elses)
    assert await payments.entrusted("student") == ["openid"]
    assert dict(await desk.payments.reveal("student", ("openid",))) == {"openid": "oStudent"}
    code_id = await _confirmed(desk)
    assert await payments.unbind("sandbox", "student", code_id) == 1
    # The first one of all needs no code; a code that was used for one account frees no other.
    assert await payments.bind("sandbox", "student", {"code": "oAnother"}) == ["openid"]
    with pytest.raises(CodeWrong):
        await payments.unbind("sandbox", "student", code_id)
    assert await payments.forget("student") == 1, "an account that ends is forgotten as a whole"


async def test_what_nobody_is_paid_to_is_forgotten_without_a_code(desk: GuardedDesk) -> None:
    body = desk.body if isinstance(desk, RemoteDesk) else desk.payments
    shape = msgspec.structs.replace(body._channels["sandbox"].shape, needs=("campus_card_token",), binding="token")
    body._channels["sandbox"] = Knowing(body.bank, b"s" * 32, shape)
    await desk.payments.entrust("student", {"campus_card_token": "CARD1", "openid": "oStudent"})
    assert await desk.payments.unbind("sandbox", "student") == 1
    assert await desk.payments.entrusted("student") == ["openid"]


async def _confirmed(desk: GuardedDesk, account_ref: str = "student") -> str:
    """A code for another account to be paid to, as its owner gave it back."""
    act = Act(kind="change_payout_account", account_ref=account_ref)
    sent = await desk.payments.ask_code(act)
    await desk.payments.confirm_code(act, GivenCode(code_id=sent.code_id, code=desk.messages[-1][1]))
    return sent.code_id


async def test_what_is_no_proof_or_no_such_channel_is_refused(desk: GuardedDesk) -> None:
    payments = desk.payments
    for given in ({}, {"token": "x"}, {"code": "x" * 2049}, {f"n{number}": "x" for number in range(9)}):
        with pytest.raises(BindRefused, match="refused"):
            await payments.bind("sandbox", "student", given)
    with pytest.raises(BindRefused, match="not_offered"):
        await payments.bind_page("sandbox", "https://errands.example.edu/track", "")
    other = next(each.code for each in payments.channels() if each.code != "sandbox")
    for ask in (payments.bind(other, "student", {"code": "x"}), payments.unbind(other, "student")):
        with pytest.raises(BindRefused, match="not_offered"):
            await ask
    with pytest.raises(UnknownChannel):
        await payments.bind("gold", "student", {"code": "x"})
    assert await payments.entrusted("student") == []
