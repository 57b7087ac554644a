"""What channels need of a payer, and how it is had: from a provider's consent page, or from the payer's own hand."""

from __future__ import annotations

from collections.abc import Mapping

from payments.channels.base import Binds, Channel
from payments.guards.guarded import PAYOUT_KINDS, GuardedPayments
from payments.guards.second_factor_act import Act
from payments.port import PaymentsError, UnknownChannel
from payments.store.unit_of_work import UnitOfWork

#: What a proof of a payer may have: names, and characters of each.
_MOST_GIVEN, _LONGEST_GIVEN = 8, 2048


class BindRefused(PaymentsError):
    """The channel does not believe what was given (``refused``), cannot be asked now (``unreachable``), or has no way
    to be told of a payer here (``not_offered``)."""

    code = "bind_refused"


class BindingPayments(GuardedPayments):
    """The guarded side of an embedded body, and how payers make themselves known to its channels."""

    _channels: Mapping[str, Channel]

    async def entrusted(self, account_ref: str) -> list[str]:
        return await self._store.read(lambda uow: uow.vault.kinds(account_ref))

    async def bind_page(self, channel: str, back_url: str, state: str) -> str:
        binds = self._binds(channel)
        page = binds.bind_page(back_url, state)
        if page is None:
            raise BindRefused("not_offered")
        return page

    async def bind(self, channel: str, account_ref: str, given: Mapping[str, str], code_id: str = "") -> list[str]:
        if len(given) > _MOST_GIVEN or any(len(each) > _LONGEST_GIVEN for each in (*given, *given.values())):
            raise BindRefused("refused")
        found = await self._binds(channel).bound(given)
        if isinstance(found, str):
            raise BindRefused(found)
        return sorted(await self.entrust(account_ref, found, code_id))

    async def unbind(self, channel: str, account_ref: str, code_id: str = "") -> int:
        needs = self._binds(channel).shape.needs

        def forget(uow: UnitOfWork) -> int:
            # Forgotten first, another account would look like the first one, which needs no code.
            paid_to = [row for kind in needs if kind in PAYOUT_KINDS and (row := uow.vault.newest(kind, account_ref))]
            if paid_to:
                act = Act(kind="change_payout_account", account_ref=account_ref)
                self._use_code(uow, act, code_id, f"unbind:{','.join(sorted(row.token for row in paid_to))}")
            return uow.vault.forget(account_ref, needs)

        return await self._store.run(forget)

    def _binds(self, code: str) -> Binds:
        channel = self._channels.get(code)
        if channel is None:
            raise UnknownChannel(code)
        if not channel.shape.binding or not isinstance(channel, Binds):
            raise BindRefused("not_offered")
        return channel
