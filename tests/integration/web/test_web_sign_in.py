"""Signing in over HTTP: codes, passwords, links, cookies by slot, refresh, revocation, limits."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

import pytest

from dispatch.flow.manage_accounts import create_account, create_admin
from dispatch.flow.sign_in import create_link
from dispatch.model.account import Role
from dispatch.web import WebSettings

PHONE = "13912345678"


async def ask(house: Any, phone: str = PHONE) -> Any:
    return await house.call("POST", "/auth/code", {"phone": phone, "campus_id": house.campus_id})


async def sign_in(house: Any, phone: str = PHONE, headers: Mapping[str, str] | None = None, **proof: Any) -> Any:
    body = {"phone": phone, "campus_id": house.campus_id, **proof}
    return await house.call("POST", "/auth/sign-in", body, headers=headers)


async def by_code(house: Any, phone: str = PHONE, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
    assert (await ask(house, phone)).status == 202
    answer = await sign_in(house, phone, headers, code=house.sms.code(), **more)
    assert answer.status == 200, answer.body
    return answer


def cookies_of(answer: Any) -> dict[str, Any]:
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.getall("Set-Cookie", []):
        jar.load(line)
    return dict(jar)


def cookie_header(cookies: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())


async def test_a_code_makes_an_account_and_a_second_one_finds_it(house: Any) -> None:
    answer = await ask(house)
    assert answer.status == 202 and answer.json == {}
    session = (await sign_in(house, code=house.sms.code())).json
    assert session["account"]["roles"] == ["student"] and session["account"]["phone"] == PHONE
    assert house.sms.sent[0][0] == PHONE
    me = await house.call("GET", "/me", who=session["access_token"])
    assert me.json["id"] == session["account"]["id"]
    again = (await by_code(house, "+86" + PHONE)).json
    assert again["account"]["id"] == session["account"]["id"]


async def test_a_code_is_good_once_and_for_five_minutes(house: Any) -> None:
    await ask(house)
    code = house.sms.code()
    assert (await sign_in(house, code=code)).status == 200
    assert (await sign_in(house, code=code)).code == "sign_in_failed"
    await ask(house)
    house.time.shift_s += 301
    assert (await sign_in(house, code=house.sms.code())).code == "sign_in_failed"


async def test_a_code_of_one_campus_is_none_of_another(house: Any) -> None:
    await ask(house)
    body = {"phone": PHONE, "campus_id": house.other_campus_id, "code": house.sms.code()}
    assert (await house.call("POST", "/auth/sign-in", body)).code == "sign_in_failed"


async def test_codes_are_limited_per_phone(house: Any) -> None:
    house.time.shift_s += 3600 - house.time.now().timestamp() % 3600  # the limit counts by the hour
    assert (await ask(house)).status == 202
    soon = await ask(house)
    assert soon.code == "too_many" and 0 < int(soon.headers["Retry-After"]) <= 60
    for _ in range(3):
        house.time.shift_s += 61
        last = await ask(house)
    house.time.shift_s += 61
    assert (last.status, (await ask(house)).code) == (202, "too_many")


async def test_five_wrong_tries_lock_the_phone_known_or_not(house: Any) -> None:
    await by_code(house)
    for phone in (PHONE, "13900000000"):
        for _ in range(5):
            assert (await sign_in(house, phone, password="wrong")).code == "sign_in_failed"
        locked = await sign_in(house, phone, password="wrong")
        assert locked.status == 423 and locked.code == "locked_out"
    house.time.shift_s += 901
    await by_code(house)


async def test_nothing_tells_whether_a_phone_is_known(house: Any) -> None:
    await by_code(house)
    known, unknown = await sign_in(house, password="x"), await sign_in(house, "13900000009", password="x")
    assert (known.status, known.body) == (unknown.status, unknown.body)


async def test_a_password_is_set_used_and_changed(house: Any) -> None:
    token = (await by_code(house)).json["access_token"]
    assert (await house.call("POST", "/auth/password", {"new_password": "first-secret"}, who=token)).status == 204
    signed = await sign_in(house, password="first-secret")
    assert signed.status == 200
    for _ in range(6):
        # Leaving the old one out is no guess: it never locks anybody out.
        left_out = await house.call("POST", "/auth/password", {"new_password": "second-secret"}, who=token)
        assert left_out.code == "invalid_input" and left_out.json["error"]["field"] == "old_password"
    change = {"new_password": "second-secret", "old_password": "nope"}
    refused = await house.call("POST", "/auth/password", change, who=token)
    assert refused.code == "sign_in_failed" and refused.json["error"]["field"] == "old_password"
    change["old_password"] = "first-secret"
    assert (await house.call("POST", "/auth/password", change, who=token)).status == 204
    assert (await house.call("GET", "/me", who=token)).code == "not_signed_in"
    assert (await sign_in(house, password="first-secret")).code == "sign_in_failed"
    assert (await sign_in(house, password="second-secret")).status == 200


async def test_a_password_is_good_only_where_one_is_a_member(house: Any) -> None:
    token = (await by_code(house)).json["access_token"]
    await house.call("POST", "/auth/password", {"new_password": "first-secret"}, who=token)
    body = {"phone": PHONE, "campus_id": house.other_campus_id, "password": "first-secret"}
    assert (await house.call("POST", "/auth/sign-in", body)).code == "sign_in_failed"


@pytest.mark.parametrize("proof", [{}, {"code": "123456", "password": "x"}])
async def test_one_proof_is_asked_for(house: Any, proof: dict[str, str]) -> None:
    answer = await sign_in(house, **proof)
    assert answer.status == 400 and answer.json["error"]["field"] == "code"


async def test_a_refresh_token_is_spent_and_its_reuse_ends_the_session(house: Any) -> None:
    first = (await by_code(house)).json
    spent = {"refresh_token": first["refresh_token"]}
    second = await house.call("POST", "/auth/refresh", spent)
    assert second.status == 200 and second.json["refresh_token"] != first["refresh_token"]
    assert (await house.call("POST", "/auth/refresh", spent)).code == "not_signed_in"
    stolen = {"refresh_token": second.json["refresh_token"]}
    assert (await house.call("POST", "/auth/refresh", stolen)).code == "not_signed_in"
    assert (await house.call("GET", "/me", who=second.json["access_token"])).code == "not_signed_in"


@pytest.mark.parametrize("token", ["", "x", "ses_0.y", "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV." + "a" * 43])
async def test_a_made_up_refresh_token_is_refused(house: Any, token: str) -> None:
    assert (await house.call("POST", "/auth/refresh", {"refresh_token": token})).status == 401


async def test_tokens_end_with_their_time(house: Any) -> None:
    session = (await by_code(house)).json
    house.time.shift_s += 901
    expired = await house.call("GET", "/me", who=session["access_token"])
    assert expired.status == 401 and expired.json["error"]["detail"]["reason"] == "expired"
    assert expired.headers["WWW-Authenticate"] == "Bearer"
    renewed = await house.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert (await house.call("GET", "/me", who=renewed.json["access_token"])).status == 200
    house.time.shift_s += 31 * 86_400
    late = await house.call("POST", "/auth/refresh", {"refresh_token": renewed.json["refresh_token"]})
    assert late.code == "not_signed_in"


async def test_a_socket_token_opens_no_http(house: Any) -> None:
    token = (await by_code(house)).json["access_token"]
    socket = (await house.call("POST", "/auth/socket-token", {}, who=token)).json
    assert socket["expires_in_s"] == 900
    assert (await house.call("GET", "/me", who=socket["token"])).code == "not_signed_in"
    who = house.ctx.tokens.socket(socket["token"])
    assert (who.expires_at - house.time.now()).total_seconds() > 800
    house.time.shift_s += 901
    with pytest.raises(Exception, match="time is over"):
        house.ctx.tokens.socket(socket["token"])


async def test_signing_out_ends_the_session_at_once(house: Any) -> None:
    session = (await by_code(house)).json
    assert (await house.call("POST", "/auth/sign-out", {}, who=session["access_token"])).status == 204
    assert (await house.call("GET", "/me", who=session["access_token"])).code == "not_signed_in"
    spent = {"refresh_token": session["refresh_token"]}
    assert (await house.call("POST", "/auth/refresh", spent)).code == "not_signed_in"


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_pages_get_cookies_that_scripts_cannot_read(house: Any) -> None:
    answer = await by_code(house, headers={"X-Session-Slot": "track"}, use_cookies=True)
    assert answer.json["access_token"] == answer.json["refresh_token"] == ""
    cookies = cookies_of(answer)
    session = {"dispatch_access_track", "dispatch_refresh_track", "dispatch_csrf_track"}
    assert set(cookies) == session | {"dispatch_device"}
    access, refresh = cookies["dispatch_access_track"], cookies["dispatch_refresh_track"]
    assert access["httponly"] and refresh["httponly"] and not cookies["dispatch_csrf_track"]["httponly"]
    assert (access["path"], refresh["path"]) == ("/api", "/api/v1/auth")
    assert {one["samesite"] for one in cookies.values()} == {"Strict"} and not access["secure"]
    assert cookies["dispatch_csrf_track"].value == answer.json["csrf_token"]


async def test_behind_tls_cookies_are_secure_and_browsers_insist(open_a_house: Any) -> None:
    async with open_a_house(web=WebSettings(is_tls=True)) as house:
        answer = await by_code(house, use_cookies=True)
        assert all(one["secure"] for one in cookies_of(answer).values())
        assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_cookies_write_only_with_the_csrf_token(house: Any) -> None:
    answer = await by_code(house, use_cookies=True)
    cookies = {"Cookie": cookie_header(cookies_of(answer))}
    edit = {"name": "新名字"}
    assert (await house.call("GET", "/me", headers=cookies)).status == 200
    refused = await house.call("PATCH", "/me", edit, headers=cookies)
    assert refused.status == 403 and refused.json["error"]["field"] == "X-CSRF-Token"
    wrong = await house.call("PATCH", "/me", edit, headers={**cookies, "X-CSRF-Token": "0" * 64})
    assert wrong.status == 403
    good = {**cookies, "X-CSRF-Token": answer.json["csrf_token"]}
    assert (await house.call("PATCH", "/me", edit, headers=good)).json["name"] == "新名字"


async def test_slots_of_one_browser_are_different_people(house: Any) -> None:
    console = await by_code(house, headers={"X-Session-Slot": "console"}, use_cookies=True)
    track = await by_code(house, "13700000001", headers={"X-Session-Slot": "track"}, use_cookies=True)
    both = cookie_header({**cookies_of(console), **cookies_of(track)})
    for slot, answer in (("console", console), ("track", track)):
        me = await house.call("GET", "/me", headers={"Cookie": both, "X-Session-Slot": slot})
        assert me.json["id"] == answer.json["account"]["id"]
    assert (await house.call("GET", "/me", headers={"Cookie": both})).code == "not_signed_in"
    assert (await house.call("GET", "/me", headers={"X-Session-Slot": "../x"})).json["error"][
        "field"
    ] == "X-Session-Slot"


async def test_a_page_refreshes_by_cookie(house: Any) -> None:
    answer = await by_code(house, headers={"X-Session-Slot": "track"}, use_cookies=True)
    sent = {"Cookie": cookie_header(cookies_of(answer)), "X-Session-Slot": "track"}
    assert (await house.call("POST", "/auth/refresh", {}, headers=sent)).status == 403
    house.time.shift_s += 901
    sent["X-CSRF-Token"] = answer.json["csrf_token"]
    renewed = await house.call("POST", "/auth/refresh", {}, headers=sent)
    assert renewed.status == 200 and renewed.json["access_token"] == ""
    fresh = {"Cookie": cookie_header(cookies_of(renewed)), "X-Session-Slot": "track"}
    assert (await house.call("GET", "/me", headers=fresh)).status == 200
    out = await house.call("POST", "/auth/sign-out", {}, headers={**fresh, "X-CSRF-Token": renewed.json["csrf_token"]})
    assert out.status == 204 and {one.value for one in cookies_of(out).values()} == {""}
    assert (await house.call("POST", "/auth/refresh", {})).json["error"]["detail"]["reason"] == "no_refresh_token"


async def test_a_link_opens_one_session_narrowed_to_its_roles(house: Any) -> None:
    admin = await create_admin(house.ctx, house.campus_id, "13511112222", "管理员", "a-password")
    code = await create_link(house.ctx, admin.id, house.campus_id, frozenset({Role.OPERATOR}))
    narrow = await house.call("POST", "/auth/exchange", {"code": code})
    assert narrow.status == 200 and narrow.json["account"]["roles"] == [] and narrow.json["access_token"]
    assert (await house.call("POST", "/auth/exchange", {"code": code})).code == "sign_in_failed"
    code = await create_link(house.ctx, admin.id, house.campus_id)
    page = await house.call("POST", "/auth/exchange", {"code": code}, headers={"X-Session-Slot": "console"})
    assert page.json["access_token"] == "" and "dispatch_access_console" in cookies_of(page)
    assert page.json["account"]["roles"] == ["admin"]
    code = await create_link(house.ctx, admin.id, house.campus_id)
    house.time.shift_s += 1801
    assert (await house.call("POST", "/auth/exchange", {"code": code})).code == "sign_in_failed"
    assert (await sign_in(house, "13511112222", password="a-password")).status == 200


async def test_another_scheme_or_no_token_is_nobody(house: Any) -> None:
    for header in ("Basic abc", "Bearer", "Bearer ", "Bearer x.y.z", "Bearer " + "a" * 5000):
        assert (await house.call("GET", "/me", headers={"Authorization": header})).code == "not_signed_in"
    assert (await house.call("GET", "/campuses", headers={"Authorization": "Bearer x"})).status == 200


async def test_known_accounts_keep_what_they_have(house: Any) -> None:
    first = await create_account(house.ctx, house.campus_id, PHONE, "甲", frozenset({Role.STUDENT}))
    again = await create_account(house.ctx, house.campus_id, PHONE, "乙", frozenset({Role.RUNNER}), password_hash="h")
    assert again.id == first.id
    session = (await by_code(house)).json
    assert session["account"]["name"] == "甲" and session["account"]["roles"] == ["runner", "student"]
