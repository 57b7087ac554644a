"""What the command line does to a server's books: campuses, first accounts, made-up people for demonstrations."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from dispatch.access.passwords import hash_password
from dispatch.access.phones import normal_phone
from dispatch.flow.draw_demo_geofences import draw_demo_geofences
from dispatch.flow.manage_accounts import create_account, create_admin
from dispatch.flow.sign_in import create_link
from dispatch.keys import load_secrets
from dispatch.model import ids
from dispatch.model.account import Account, Membership, Role
from dispatch.model.campus import Campus, CampusSettings
from dispatch.model.errors import InvalidInput, NotFound, WrongState
from dispatch.parts import Parts, ids_of, open_parts, store_of
from dispatch.paying import paying_of
from dispatch.settings import Settings
from dispatch.store.unit_of_work import GlobalUnit
from geo.campus import CampusMap
from geo.demo_campus import demo_campus
from geo.geojson_import import import_geojson
from geo.osm_import import import_osm
from payments.channels.sandbox_bank import SandboxBank, ScriptView
from payments.channels.sandbox_books import Fault

T = TypeVar("T")
# What the sandbox calls any order and any channel.
ANY = "*"

_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = (
    "子涵",
    "雨桐",
    "浩然",
    "欣怡",
    "宇轩",
    "梓萱",
    "一诺",
    "思远",
    "佳琪",
    "俊杰",
    "晓雯",
    "志强",
    "若曦",
    "天佑",
    "静怡",
)


def migrate(settings: Settings) -> str:
    """Bring all databases of this server to this version; what was done, for people."""
    clock, keys = settings.clock(), load_secrets(settings)
    applied = store_of(settings, keys, clock).migrate()
    paying = paying_of(settings, keys, clock, ids_of(clock))

    async def others() -> None:
        await paying.migrate()
        await paying.body.stop()

    asyncio.run(others())
    return f"applied {len(applied)} migrations" if applied else "the databases are up to date"


def _within(settings: Settings, act: Callable[[Parts], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_parts(settings, "admin", announce=lambda: None) as parts:
            return await act(parts)

    migrate(settings)
    return asyncio.run(run())


def campus_import(settings: Settings, file: Path, name: str | None, time_zone: str) -> str:
    """Make a campus of an OpenStreetMap or GeoJSON file; a summary of what was read and left out."""
    is_geojson = file.suffix in (".geojson", ".json")
    campus_map, report = import_geojson(file, name or "") if is_geojson else import_osm(file, name or "")

    async def act(parts: Parts) -> str:
        campus = await add_campus(parts, campus_map, CampusSettings(time_zone=time_zone))
        return "\n".join([f"{campus.id}  {campus.name}", *report.lines()])

    return _within(settings, act)


def campus_demo(settings: Settings, name: str | None) -> str:
    """Add the campus that the project made up for demonstrations and load tests."""
    made_up = demo_campus()
    campus_map = made_up if name is None else replace(made_up, name=name, name_en="")

    async def act(parts: Parts) -> str:
        campus = await add_campus(parts, campus_map, CampusSettings())
        await draw_demo_geofences(parts.ctx, campus.id)
        return f"{campus.id}  {campus.name}"

    return _within(settings, act)


async def add_campus(parts: Parts, campus_map: CampusMap, settings: CampusSettings) -> Campus:
    """Keep a campus with its map."""
    campus = Campus(parts.ctx.new_id(ids.CAMPUS), campus_map.name, settings, parts.ctx.clock.now())
    raw = await asyncio.to_thread(campus_map.to_bytes)
    await parts.ctx.store.run_global(lambda unit: unit.campuses.insert(campus, raw))
    return campus


def campus_list(settings: Settings) -> str:
    """One line per campus."""

    async def act(parts: Parts) -> str:
        found = await parts.ctx.store.read_global(lambda unit: unit.campuses.all())
        return "\n".join(f"{campus.id}  {campus.name}" for campus in found) or "no campus yet"

    return _within(settings, act)


def campus_show(settings: Settings, campus: str) -> str:
    """What a campus consists of and how it is set."""

    async def act(parts: Parts) -> str:
        found = await find_campus(parts, campus)
        ground = await parts.ctx.grounds.get(found.id)
        low, high = ground.map.bounds
        lines = [
            f"{found.id}  {found.name}",
            f"bounds     {low.lat:.5f},{low.lon:.5f} to {high.lat:.5f},{high.lon:.5f}",
            f"buildings  {len(ground.map.buildings)}",
            f"places     {len(ground.map.places)}",
            f"paths      {len(ground.map.paths)}",
            f"hours      {found.settings.opens:%H:%M} to {found.settings.closes:%H:%M} ({found.settings.time_zone})",
            f"mode       {found.settings.mode}",
        ]
        return "\n".join(lines)

    return _within(settings, act)


async def find_campus(parts: Parts, wanted: str | None) -> Campus:
    """The campus by id or name; the only one where nothing is said."""
    found = await parts.ctx.store.read_global(lambda unit: unit.campuses.all())
    if wanted is None:
        if len(found) != 1:
            raise InvalidInput("say which campus: --campus ID (dispatch campus list shows them)", field="campus")
        return found[0]
    for campus in found:
        if wanted in (campus.id, campus.name):
            return campus
    raise NotFound(f"there is no campus {wanted!r}; dispatch campus list shows them")


def admin_create(settings: Settings, phone: str, name: str, campus: str | None) -> str:
    """The first account of a campus; the text holds the link that signs it in once."""

    async def act(parts: Parts) -> str:
        found = await find_campus(parts, campus)
        account = await create_admin(parts.ctx, found.id, phone, name)
        code = await create_link(parts.ctx, account.id, found.id)
        url = settings.effective_public_url
        return f"{account.id} is admin of {found.name}. Open once, then set a password:\n{url}/console#code={code}"

    return _within(settings, act)


def make_link(settings: Settings, phone: str, campus: str | None) -> str:
    """A new one-time link for somebody who has an account; nothing else about the account changes."""

    async def act(parts: Parts) -> str:
        wanted = None if campus is None else await find_campus(parts, campus)
        account, membership = await _member(parts, phone, wanted)
        code = await create_link(parts.ctx, account.id, membership.campus_id)
        await parts.ctx.store.run(
            membership.campus_id,
            lambda uow: uow.audit.add("system", "create_link", account.id, "from the command line", None, None),
        )
        page = _page_of(membership)
        return f"Opens a session of {account.name} once:\n{settings.effective_public_url}/{page}#code={code}"

    return _within(settings, act)


async def _member(parts: Parts, phone: str, campus: Campus | None) -> tuple[Account, Membership]:
    """The account with this phone and what it is at the campus, or at its only one where none is said."""

    def read(unit: GlobalUnit) -> tuple[Account | None, list[Membership]]:
        account = unit.accounts.by_phone(normal_phone(phone))
        return account, [] if account is None else unit.memberships_of(account.id)

    account, memberships = await parts.ctx.store.read_global(read)
    if account is None:
        raise NotFound("no account has this phone; dispatch admin create makes one")
    if account.is_blocked:
        raise WrongState("this account is blocked; unblock it in the console first", status="blocked")
    found = [each for each in memberships if campus is None or each.campus_id == campus.id]
    if not found:
        raise NotFound("this account does not belong to the campus")
    if len(found) > 1:
        raise InvalidInput("say which campus: --campus ID (dispatch campus list shows them)", field="campus")
    return account, found[0]


def _page_of(membership: Membership) -> str:
    if membership.roles & {Role.OPERATOR, Role.ADMIN}:
        return "console"
    return "runner" if Role.RUNNER in membership.roles else "track"


# --- the sandbox's faults ---------------------------------------------------------------------------------------------


def sandbox_script(settings: Settings, fault: Fault, *, order_id: str, count: int, value: str, channel: str) -> str:
    """Let the demonstration institution misbehave: to one order, or to whichever comes next (``*``)."""
    if channel not in (ANY, *settings.channels):
        raise InvalidInput(f"no such channel: there are {', '.join(settings.channels)}", field="channel")

    async def act(parts: Parts) -> str:
        if order_id != ANY:
            await _require_order(parts, order_id)
        await _bank(parts).script(order_id, fault, count, value, channel)
        return _lines(await _bank(parts).scripts())

    return _within(settings, act)


def _bank(parts: Parts) -> SandboxBank:
    assert parts.paying.bank is not None, "asked for only where every channel is the sandbox"
    return parts.paying.bank


async def _require_order(parts: Parts, order_id: str) -> None:
    for campus in await parts.ctx.store.read_global(lambda unit: unit.campuses.all()):
        with suppress(NotFound):
            await parts.ctx.store.read(campus.id, lambda uow: uow.orders.get(order_id))
            return
    raise NotFound(f"there is no order {order_id!r}")


def sandbox_list(settings: Settings) -> str:
    """The faults still to happen, one per line."""

    async def act(parts: Parts) -> str:
        return _lines(await _bank(parts).scripts())

    return _within(settings, act)


def sandbox_clear(settings: Settings) -> str:
    """No more faults."""

    async def act(parts: Parts) -> str:
        await _bank(parts).clear_scripts()
        return "no fault waits"

    return _within(settings, act)


def _lines(scripts: list[ScriptView]) -> str:
    lines = [
        f"{each.fault}{f'={each.value}' if each.value else ''} x {each.remaining}"
        f"  order {each.order_ref}  channel {each.channel}"
        for each in scripts
    ]
    return "\n".join(lines) or "no fault waits"


# --- made-up people ---------------------------------------------------------------------------------------------------


def load_accounts(
    settings: Settings, *, campus: str | None, students: int, runners: int, operators: int
) -> dict[str, object]:
    """Made-up people with one password, for load tests; the plan says who they are."""
    return _within(settings, lambda parts: _load(parts, campus, students, runners, operators))


async def _load(parts: Parts, campus: str | None, students: int, runners: int, operators: int) -> dict[str, object]:
    found = await find_campus(parts, campus)
    password = secrets.token_urlsafe(12)
    # One hash for all of them: hashing is slow on purpose, and these accounts protect nothing.
    password_hash = await asyncio.to_thread(hash_password, password)
    accounts: list[dict[str, str]] = []
    groups = (
        (Role.STUDENT, students, "138"),
        (Role.RUNNER, runners, "139"),
        (Role.OPERATOR, operators, "137"),
    )
    for role, count, prefix in groups:
        for number in range(count):
            phone = f"+86{prefix}{number:08d}"
            name = f"{_FAMILY[(number * 7 + len(role)) % len(_FAMILY)]}{_GIVEN[(number * 11) % len(_GIVEN)]}"
            vehicle = "e_bike" if role is Role.RUNNER and number % 3 == 0 else "walk"
            account = await create_account(
                parts.ctx, found.id, phone, name, frozenset({role}), password_hash=password_hash, vehicle=vehicle
            )
            accounts.append({"role": str(role), "phone": phone, "account_id": account.id, "vehicle": vehicle})
    return {"campus_id": found.id, "password": password, "accounts": accounts}


def demo_setup(settings: Settings, *, students: int, runners: int) -> dict[str, object]:
    """A campus that the project made, with people on it and one link per page; for the demonstration only."""

    async def act(parts: Parts) -> dict[str, object]:
        existing = await parts.ctx.store.read_global(lambda unit: unit.campuses.all())
        campus = existing[0] if existing else await add_campus(parts, demo_campus(), CampusSettings())
        await draw_demo_geofences(parts.ctx, campus.id)
        plan = await _load(parts, campus.id, students, runners, 1)
        visitors = {
            "console": ("+8613600000001", "演示管理员", frozenset({Role.ADMIN})),
            "track": ("+8613600000002", "演示同学", frozenset({Role.STUDENT})),
            "runner": ("+8613600000003", "演示骑手", frozenset({Role.STUDENT, Role.RUNNER})),
        }
        links = {}
        for page, (phone, name, roles) in visitors.items():
            # No password: only the link signs them in.
            account = await create_account(parts.ctx, campus.id, phone, name, roles)
            code = await create_link(parts.ctx, account.id, campus.id)
            links[page] = f"{settings.effective_public_url}/{page}#code={code}"
        return {**plan, "links": links}

    return _within(settings, act)
