"""Licences and insurances beside the price: whoever may set up the campus writes them, everybody sees them."""

from __future__ import annotations

import msgspec
import pytest

from dispatch.flow import describe_campus, edit_coupon_rules
from dispatch.model.coupon_views import SetAssurances
from dispatch.model.errors import InvalidInput, NotPermitted, StaleVersion
from tests.flow_world import World

LICENCE = {"kind": "qualification", "title_zh": "营业执照", "title_en": "Licence", "url": "https://nu.example/l.pdf"}
INSURED = {
    "kind": "food_insurance",
    "title_zh": "食安险",
    "title_en": "Insured",
    "url": "/i.pdf",
}


def wish(version: int, *badges: dict[str, str]) -> SetAssurances:
    return msgspec.convert({"version": version, "assurances": list(badges)}, SetAssurances)


async def test_badges_are_written_anew_seen_by_all_and_audited(world: World) -> None:
    operator, student = await world.operator(), await world.student()
    version = (await describe_campus.campus(world.ctx, world.campus_id)).version
    insured = INSURED | {"place_id": world.places()[0]}
    with pytest.raises(NotPermitted):
        await edit_coupon_rules.set_assurances(world.ctx, student, wish(version, LICENCE))
    after = await edit_coupon_rules.set_assurances(world.ctx, operator, wish(version, LICENCE, insured))
    with pytest.raises(StaleVersion):
        await edit_coupon_rules.set_assurances(world.ctx, operator, wish(version))
    world.advance(3)
    seen = await describe_campus.campus(world.ctx, world.campus_id)
    assert msgspec.to_builtins(list(seen.assurances)) == [LICENCE | {"place_id": None}, insured]
    assert (await describe_campus.campus(world.ctx, world.other_campus_id)).assurances == ()
    (entry,) = await world.audit("set_assurances")
    assert list(entry.before["assurances"]) == [] and len(entry.after["assurances"]) == 2
    assert (await edit_coupon_rules.set_assurances(world.ctx, operator, wish(after.version))).assurances == []


async def test_a_badge_of_a_place_that_is_none_is_refused(world: World) -> None:
    operator = await world.operator()
    version = (await describe_campus.campus(world.ctx, world.campus_id)).version
    with pytest.raises(InvalidInput) as refused:
        await edit_coupon_rules.set_assurances(
            world.ctx, operator, wish(version, LICENCE, INSURED | {"place_id": "nowhere"})
        )
    assert refused.value.field == "assurances.1.place_id"
    assert (await describe_campus.campus(world.ctx, world.campus_id)).assurances == ()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://nu.example",
        "data:text/html,x",
        "https://a b",
        "//",
        "//x.example",
        "/\\x.example",
    ],
)
def test_a_document_is_a_plain_link(url: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="url"):
        wish(1, LICENCE | {"url": url})
