"""Tokens, permissions, passwords, codes and phones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from dispatch.access.codes import new_link_code, new_sms_code
from dispatch.access.passwords import hash_password, is_outdated, is_password
from dispatch.access.permissions import GROUPS, Permission, effective_roles, permissions_of
from dispatch.access.phones import normal_phone
from dispatch.access.principal import Principal
from dispatch.access.tokens import ACCESS_TTL_S, SOCKET_TTL_S, Tokens
from dispatch.model.account import Membership, Role, RunnerStatus
from dispatch.model.errors import NotPermitted, NotSignedIn

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32


@dataclass
class Now:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


def tokens(now: Now, keys: dict[str, bytes] | None = None, current: str = "1") -> Tokens:
    return Tokens(keys or {"1": OLD}, current, now)


def issue(signer: Tokens) -> str:
    return signer.issue_access("acc_1", "cmp_1", frozenset({Role.STUDENT, Role.RUNNER}), "ses_1")


def test_a_token_says_who_somebody_is_until_its_time() -> None:
    now = Now()
    signer = tokens(now)
    who = signer.access(issue(signer))
    assert (who.account_id, who.campus_id, who.session_id) == ("acc_1", "cmp_1", "ses_1")
    assert who.roles == {Role.STUDENT, Role.RUNNER}
    assert who.expires_at == START + timedelta(seconds=ACCESS_TTL_S)
    token = issue(signer)
    now.at = START + timedelta(seconds=ACCESS_TTL_S - 1)
    signer.access(token)
    now.at += timedelta(seconds=1)
    with pytest.raises(NotSignedIn) as refused:
        signer.access(token)
    assert refused.value.detail["reason"] == "expired"


def test_a_socket_token_admits_briefly_and_its_connection_may_stay() -> None:
    now = Now()
    signer = tokens(now)
    token = signer.issue_socket(signer.access(issue(signer)))
    assert signer.socket(token).expires_at == START + timedelta(seconds=ACCESS_TTL_S)
    with pytest.raises(NotSignedIn):
        signer.access(token)
    with pytest.raises(NotSignedIn):
        signer.socket(issue(signer))
    now.at += timedelta(seconds=SOCKET_TTL_S)
    with pytest.raises(NotSignedIn):
        signer.socket(token)


def test_keys_can_be_replaced_without_signing_anybody_out() -> None:
    now = Now()
    before = tokens(now)
    token, csrf = issue(before), before.csrf("ses_1")
    after = tokens(now, {"1": OLD, "2": NEW}, "2")
    assert after.access(token).account_id == "acc_1" and after.is_csrf("ses_1", csrf)
    assert jwt.get_unverified_header(issue(after))["kid"] == "2"
    dropped = tokens(now, {"2": NEW}, "2")
    with pytest.raises(NotSignedIn):
        dropped.access(token)
    assert not dropped.is_csrf("ses_1", csrf)


@pytest.mark.parametrize(
    "token", ["", "a", "a.b.c", "é.é.é", "x" * 3000, "eyJhbGciOiJub25lIn0.e30.", "\ud800", "a.b.c.d.e"]
)
def test_what_is_no_token_is_refused_in_one_way(token: str) -> None:
    with pytest.raises(NotSignedIn) as refused:
        tokens(Now()).access(token)
    assert refused.value.detail["reason"] == "bad_token"


@pytest.mark.parametrize("changed", [{"exp": "soon"}, {"exp": True}, {"typ": "refresh"}, {"exp": None}])
def test_claims_that_we_never_make_are_refused(changed: dict[str, object]) -> None:
    signer = tokens(Now())
    claims = jwt.decode(issue(signer), OLD, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    with pytest.raises(NotSignedIn):
        signer.access(jwt.encode(claims | changed, OLD, "HS256", headers={"kid": "1"}))


@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_only_the_form_that_we_write_is_read() -> None:
    """Signed with our own key, and yet not ours: another algorithm, no algorithm, a header that asks for more, a claim
    that says who in an unknown role; and the same signature in another spelling."""
    signer = tokens(Now())
    good = issue(signer)
    claims = jwt.decode(good, OLD, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    forged = [
        jwt.encode(claims, OLD, "HS512", headers={"kid": "1"}),
        jwt.encode(claims, None, "none", headers={"kid": "1"}),
        jwt.encode(claims, OLD, "HS256"),
        jwt.encode(claims, OLD, "HS256", headers={"kid": "1", "crit": ["b64"], "b64": False}),
        jwt.encode(claims | {"rol": ["emperor"]}, OLD, "HS256", headers={"kid": "1"}),
        jwt.encode({"sub": "acc_1"}, OLD, "HS256", headers={"kid": "1"}),
        jwt.encode(claims | {"exp": 10**30}, OLD, "HS256", headers={"kid": "1"}),
        jwt.encode(claims, NEW, "HS256", headers={"kid": "1"}),
        good + "=", good[:-1], good.replace(".", "..", 1), good + "." + good.rpartition(".")[2], "." + good,
    ]  # fmt: skip
    for token in forged:
        with pytest.raises(NotSignedIn) as refused:
            signer.access(token)
        assert refused.value.detail["reason"] == "bad_token", token
    assert signer.access(good).account_id == "acc_1"


def test_keys_are_checked_at_the_start() -> None:
    with pytest.raises(ValueError, match="among the keys"):
        tokens(Now(), current="9")
    with pytest.raises(ValueError, match="32 bytes"):
        tokens(Now(), {"1": b"short"})


def test_refresh_tokens_are_opaque_and_hashed() -> None:
    signer = tokens(Now())
    session = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    token, stored = signer.new_refresh(session)
    given = signer.refresh(token)
    assert (given.session_id, given.secret_hash) == (session, stored)
    assert signer.new_refresh(session)[1] != stored and stored.hex() not in token
    for bad in ("", session, token + "x", token.replace("ses", "acc"), token.replace(".", "..")):
        with pytest.raises(NotSignedIn):
            signer.refresh(bad)


def test_digests_are_keyed_by_purpose_and_parts() -> None:
    signer = tokens(Now())
    seen = {signer.digest("a", "b", "c"), signer.digest("a", "bc"), signer.digest("b", "b", "c")}
    assert len(seen) == 3 and signer.digest("a", "b", "c") in seen
    assert not signer.is_csrf("ses_1", "") and not signer.is_csrf("ses_1", "é")


def test_groups_grow_from_student_to_admin() -> None:
    assert GROUPS[Role.STUDENT] < GROUPS[Role.RUNNER] < GROUPS[Role.ADMIN] == frozenset(Permission)
    assert Permission.CAMPUS_MANAGE not in GROUPS[Role.OPERATOR]
    assert permissions_of([]) == frozenset()
    who = Principal("acc_1", "cmp_1", frozenset({Role.OPERATOR}), "ses_1", START)
    who.require(Permission.ORDERS_READ_ANY)
    with pytest.raises(NotPermitted) as refused:
        who.require(Permission.ORDERS_PLACE)
    assert refused.value.detail["permission"] == "orders.place"


def test_a_runner_carries_once_approved() -> None:
    both = frozenset({Role.STUDENT, Role.RUNNER})
    for status in RunnerStatus:
        roles = effective_roles(Membership("acc_1", "cmp_1", both, status))
        assert (Role.RUNNER in roles) is (status is RunnerStatus.APPROVED) and Role.STUDENT in roles


def test_passwords() -> None:
    stored = hash_password("correct horse")
    assert is_password(stored, "correct horse") and not is_password(stored, "Correct horse")
    assert not is_password(None, "nobody has this password") and not is_password("garbage", "x")
    assert not is_outdated(stored) and is_outdated("garbage")
    assert is_outdated("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$qqSCqQPLbO7RKU+qFYW4wXyTHvM")


def test_codes() -> None:
    assert all(len(code) == 6 and code.isdigit() for code in (new_sms_code() for _ in range(200)))
    assert len({new_link_code() for _ in range(100)}) == 100 and 20 <= len(new_link_code()) <= 100


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("13812345678", "13812345678"), ("+8613812345678", "13812345678"), ("8613812345678", "13812345678"),
        ("+4915112345678", "+4915112345678"), ("86123456", "86123456"),
    ],
)  # fmt: skip
def test_one_phone_is_one_person(given: str, normal: str) -> None:
    assert normal_phone(given) == normal == normal_phone(normal)
