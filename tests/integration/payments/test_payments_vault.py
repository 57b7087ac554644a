"""The vault: tokens that say nothing, secrets bound to their row, keys that are changed while it is in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from payments.guards.vault import SealBroken, UnknownToken, Vault, rotate
from payments.store.unit_of_work import Store, UnitOfWork
from payments.store.vault_tables import vault as table

NOW = datetime(2026, 3, 2, tzinfo=UTC)
OLD, NEW, LOOKUP = b"o" * 32, b"n" * 32, b"l" * 32
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


@pytest.fixture
async def store(ready_sql_url: str) -> AsyncIterator[Store]:
    store = Store(ready_sql_url)
    await store.migrate()
    yield store
    store.close()


def _reveal(vault: Vault, token: str, account: str, uow: UnitOfWork) -> str:
    return vault.reveal(uow, token, account)


def _tokenize(vault: Vault, secret: str, uow: UnitOfWork) -> str:
    return vault.tokenize(uow, "bank_account", "run", secret, NOW)


def old_vault() -> Vault:
    return Vault({"k1": OLD}, "k1", LOOKUP)


async def test_a_token_says_nothing_and_opens_for_its_account_alone(store: Store) -> None:
    vault = old_vault()
    token = await store.run(lambda uow: vault.tokenize(uow, "openid", "student_a", OPENID, NOW))
    again = await store.run(lambda uow: vault.tokenize(uow, "openid", "student_a", OPENID, NOW))
    other = await store.run(lambda uow: vault.tokenize(uow, "openid", "student_b", OPENID, NOW))
    card = await store.run(lambda uow: vault.tokenize(uow, "card", "student_a", OPENID, NOW))
    assert token == again and len({token, other, card}) == 3 and token.startswith("tok_")
    assert await store.read(lambda uow: vault.reveal(uow, token, "student_a")) == OPENID
    for wrong, account in ((token, "student_b"), ("tok_none", "student_a")):
        with pytest.raises(UnknownToken) as caught:
            await store.read(partial(_reveal, vault, wrong, account))
        assert OPENID not in str(caught.value)
    rows = await store.database.read(lambda c: [str(row) for row in c.execute(sa.select(table))])
    assert len(rows) == 3 and not any(OPENID in row for row in rows)
    assert len({row.split("'")[7] for row in rows}) == 3, "the same secret is not seen to be the same elsewhere"
    assert await store.run(lambda uow: uow.vault.forget("student_a")) == 2
    with pytest.raises(UnknownToken):
        await store.read(lambda uow: vault.reveal(uow, token, "student_a"))


@pytest.mark.parametrize(
    "change", [{"account_ref": "student_b"}, {"kind": "card"}, {"sealed": "AAAA"}, {"sealed": "%"}]
)
async def test_a_row_that_was_moved_or_changed_does_not_open(store: Store, change: dict[str, str]) -> None:
    vault = old_vault()
    token = await store.run(lambda uow: vault.tokenize(uow, "openid", "student_a", OPENID, NOW))
    await store.database.run(lambda c: c.execute(sa.update(table).values(**change)) and None)
    with pytest.raises(SealBroken) as caught:
        await store.read(lambda uow: vault.reveal(uow, token, change.get("account_ref", "student_a")))
    assert OPENID not in str(caught.value)


async def test_keys_are_changed_while_the_vault_is_in_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments.guards.vault.BATCH", 3)
    before = old_vault()
    tokens = [await store.run(partial(_tokenize, before, f"62220000{i}")) for i in range(8)]
    both = Vault({"k1": OLD, "k2": NEW}, "k2", LOOKUP)
    fresh = await store.run(lambda uow: both.tokenize(uow, "bank_account", "run", "new", NOW))
    assert await store.read(lambda uow: both.reveal(uow, tokens[0], "run")) == "622200000"
    assert await store.run(lambda uow: both.tokenize(uow, "bank_account", "run", "622200000", NOW)) == tokens[0]
    assert await store.read(lambda uow: uow.vault.count_by_key()) == {"k1": 8, "k2": 1}
    assert await rotate(store, both) == 8
    assert await rotate(store, both) == 0
    assert await store.read(lambda uow: uow.vault.count_by_key()) == {"k2": 9}
    after = Vault({"k2": NEW}, "k2", LOOKUP)
    for i, token in enumerate(tokens):
        assert await store.read(partial(_reveal, after, token, "run")) == f"62220000{i}"
    assert await store.read(lambda uow: after.reveal(uow, fresh, "run")) == "new"
    with pytest.raises(SealBroken, match="'k2' is not here"):
        await store.read(lambda uow: before.reveal(uow, fresh, "run"))


async def test_two_that_rotate_at_once_do_no_harm(store: Store) -> None:
    before, both = old_vault(), Vault({"k1": OLD, "k2": NEW}, "k2", LOOKUP)
    token = await store.run(lambda uow: before.tokenize(uow, "openid", "a", OPENID, NOW))

    def twice(uow: UnitOfWork) -> None:
        [row] = uow.vault.not_sealed_with("k2", 9)
        both.reseal(uow, row)
        both.reseal(uow, row)

    await store.run(twice)
    assert await store.read(lambda uow: both.reveal(uow, token, "a")) == OPENID


def test_keys_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not among"):
        Vault({"k1": OLD}, "k2", LOOKUP)
    with pytest.raises(ValueError, match="32 bytes"):
        Vault({"k1": b"short"}, "k1", LOOKUP)
    with pytest.raises(ValueError, match="32 bytes"):
        Vault({"k1": OLD}, "k1", b"")
    assert "oooo" not in repr(old_vault())
