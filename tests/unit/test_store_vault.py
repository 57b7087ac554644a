"""The vault: what it seals opens only with its key, in its place, unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.store.columns import from_micros, to_micros
from dispatch.store.vault import SealBroken, Vault

LOOKUP = b"0123456789abcdef"


def make_vault(current: str = "a", **keys: bytes) -> Vault:
    return Vault(keys or {"a": b"k" * 32}, current, LOOKUP)


@given(st.text(), st.text())
def test_a_sealed_text_opens_in_its_own_context_only(text: str, context: str) -> None:
    vault = make_vault()
    sealed = vault.seal(text, context)
    assert vault.open(sealed, context) == text
    with pytest.raises(SealBroken):
        vault.open(sealed, context + "x")


def test_the_same_text_is_never_sealed_alike() -> None:
    vault = make_vault()
    assert vault.seal("13800001234") != vault.seal("13800001234")
    assert b"13800001234" not in vault.seal("13800001234")


@given(st.data())
def test_a_changed_value_does_not_open(data: st.DataObject) -> None:
    vault = make_vault()
    sealed = bytearray(vault.seal("13800001234"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        vault.open(bytes(sealed))


@given(st.binary(max_size=60))
def test_noise_does_not_open(noise: bytes) -> None:
    with pytest.raises(SealBroken):
        make_vault().open(noise)


def test_an_older_key_still_opens_until_it_is_gone() -> None:
    old = make_vault("2025", **{"2025": b"o" * 32})
    sealed = old.seal("李雷")
    both = make_vault("2026", **{"2025": b"o" * 32, "2026": b"n" * 16})
    assert both.open(sealed) == "李雷"
    assert (Vault.key_id(sealed), Vault.key_id(both.seal("x"))) == ("2025", "2026")
    with pytest.raises(SealBroken, match="2025"):
        make_vault("2026", **{"2026": b"n" * 16}).open(sealed)
    with pytest.raises(SealBroken):
        make_vault("2025", **{"2025": b"x" * 32}).open(sealed)


def test_looking_up_needs_the_look_up_key() -> None:
    vault = make_vault()
    assert vault.lookup_hash("138") == make_vault("b", b=b"z" * 32).lookup_hash("138")
    assert vault.lookup_hash("138") != vault.lookup_hash("139")
    assert vault.lookup_hash("138") != Vault({"a": b"k" * 32}, "a", b"another-look-up-key").lookup_hash("138")


def test_keys_that_cannot_work_are_refused() -> None:
    for keys, current, lookup in (
        ({"a": b"k" * 32}, "b", LOOKUP), ({"a": b"k" * 32}, "a", b"short"), ({"a": b"k" * 5}, "a", LOOKUP),
        ({"": b"k" * 32}, "", LOOKUP),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            Vault(keys, current, lookup)


@given(st.timedeltas(timedelta(days=-40_000), timedelta(days=80_000)), st.integers(-840, 840))
def test_an_instant_round_trips_to_the_microsecond(since: timedelta, offset_min: int) -> None:
    at = (datetime(1970, 1, 1, tzinfo=UTC) + since).astimezone(timezone(timedelta(minutes=offset_min)))
    back = from_micros(to_micros(at))
    assert back == at and back.tzinfo is UTC
