"""A client of Redis Cluster: a campus is a slot, a slot is a server, and both may move while we work.

The client library has one of its own, which does not bear moving: it runs a thread per command of a transaction, asks a
slot's new server on another connection than the one it announced itself on, and drops every connection to every server
when one of them fails. This one is the library's client for single servers, one each, and the way to the right one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from redis.asyncio import Redis
from redis.commands.core import AsyncCoreCommands
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as TooLate

log = logging.getLogger(__name__)

Address: TypeAlias = tuple[str, int]
_Command: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
#: How much a server's word is worth, its major version, and which slots are whose.
_Map: TypeAlias = tuple[tuple[bool, int], int, list[tuple[int, int, Address]]]

#: Real seconds for which a command looks for its server; what takes longer is for the caller's own policy.
PATIENCE_S = 1.0
_PAUSE_S = 0.05
_ASK_TIMEOUT_S = 1.0
#: Who answers within this is heard; whoever takes longer only when nobody did.
_SOON_S = 0.2
#: So many servers are asked for the map; the one that knows the latest epoch is believed.
_ASKED = 5
_SHARDED_SINCE = 7

#: Errors that a newer map of the cluster, or another moment, may mend.
_PASSING = (AskError, MovedError, TryAgainError, ClusterDownError, LostConnection, TooLate, OSError)

_SCRIPTS = frozenset({"EVAL", "EVALSHA"})
#: What has no key, and may go to any server.
_KEYLESS = frozenset({"PING", "PUBLISH", "TIME", "INFO", "CLIENT", "CONFIG", "SCRIPT", "CLUSTER", "COMMAND", "ECHO"})


def _slot_of(args: Sequence[Any]) -> int | None:
    """The slot of a command's first key; commands that this project sends have it first, scripts after their count."""
    name = str(args[0]).partition(" ")[0].upper()
    if name in _KEYLESS:
        return None
    key = args[3] if name in _SCRIPTS else args[1]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


class OneServer(Redis):
    """The library's client of a single server, with the types that its method lacks."""

    if TYPE_CHECKING:

        def execute_command(self, *args: Any, **options: Any) -> Coroutine[Any, Any, Any]: ...


class ClusterClient(AsyncCoreCommands):
    """Sends each command to the server that has its key, and follows the key when it moves or its server dies."""

    # What the library's commands ask of a client that they are mixed into.
    _is_async_client: Literal[True] = True
    _event_dispatcher: Any = None

    def __init__(self, seeds: Sequence[Address], open_server: Callable[[str, int], OneServer]) -> None:
        """``seeds``: some servers of the cluster; any one that answers is enough."""
        self._seeds = list(seeds)
        self._open_server = open_server
        self._servers: dict[Address, OneServer] = {}
        self._primaries: list[Address] = []
        self._slots: list[Address | None] = []
        #: Servers that let a command wait in vain: nothing is sent to them until they answer a question for the map.
        self._silent: set[Address] = set()
        self._refreshing: asyncio.Task[None] | None = None
        #: Called when the map has changed.
        self.on_change: list[Callable[[], None]] = []
        #: How events and positions of a campus are published: on its own server where that is offered.
        self.publish_verb = "PUBLISH"

    @property
    def is_known(self) -> bool:
        """Whether there is a map of the cluster."""
        return bool(self._slots)

    def home_of(self, key: str) -> tuple[Address, OneServer]:
        """The server that has this key by the newest map. Raises ClusterDownError when none has."""
        return self._home(key_slot(key.encode()))

    def homes(self) -> list[tuple[Address, OneServer]]:
        """Every server that has keys."""
        return [(address, self._server(address)) for address in self._primaries]

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        (answer,) = await self.send(_slot_of(args), [(args, options)], is_transaction=False)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> ClusterPipeline:
        """Commands that are sent together; those of a campus in the order given."""
        return ClusterPipeline(self, transaction)

    async def aclose(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})
        servers, self._servers, self._slots = self._servers, {}, []
        for server in servers.values():
            await server.aclose()

    async def send(self, slot: int | None, commands: Sequence[_Command], *, is_transaction: bool) -> list[Any]:
        """The commands' answers, errors among them. While a slot moves, a transaction is not one."""
        answers: list[Any] = [None] * len(commands)
        open_ = list(range(len(commands)))
        give_up_s = asyncio.get_running_loop().time() + PATIENCE_S
        asked: Address | None = None
        while True:
            now = await self._try(slot, [commands[i] for i in open_], is_transaction, asked)
            for i, answer in zip(open_, now, strict=True):
                answers[i] = answer
            open_ = [i for i in open_ if isinstance(answers[i], _PASSING)]
            if not open_:
                return answers
            if asyncio.get_running_loop().time() > give_up_s:
                self._refresh_soon()  # whoever tries again may find it elsewhere
                return answers
            asked = await self._mend(answers[open_[0]], is_again=asked is not None)

    # --- the map

    async def refresh(self) -> None:
        """Learn which server has which slot. Raises a Redis error when no server says."""
        await asyncio.shield(self._refresh_soon())

    def _refresh_soon(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name="cluster-map")
            self._refreshing.add_done_callback(_swallow)
        return self._refreshing

    async def _refresh(self) -> None:
        maps = await self._ask_maps()
        if not maps:
            raise LostConnection("no server of the Redis Cluster answers")
        _, version, ranges = max(maps, key=lambda one: one[0])
        former = self._primaries
        slots: list[Address | None] = [None] * 16_384
        for first, last, address in ranges:
            slots[first : last + 1] = [address] * (last - first + 1)
        self._primaries = sorted({address for _, _, address in ranges})
        self.publish_verb = "SPUBLISH" if version >= _SHARDED_SINCE else "PUBLISH"
        for address in self._primaries:
            self._server(address)
        if slots != self._slots:
            self._slots = slots
            self._tell()
        for address in former:
            if address not in self._primaries and address in self._servers:
                # What still waits for its answer need not find out by itself.
                await self._servers[address].connection_pool.disconnect(inuse_connections=True)

    async def _ask_maps(self) -> list[_Map]:
        known = list(self._servers)
        random.shuffle(known)
        known.sort(key=lambda address: address not in self._silent)
        asked = [*known[:_ASKED], *(seed for seed in self._seeds if seed not in self._servers)]
        waiting = {asyncio.create_task(self._ask_map(address)) for address in asked}
        maps: list[_Map] = []
        is_first = True
        while waiting and not maps:
            when = asyncio.ALL_COMPLETED if is_first else asyncio.FIRST_COMPLETED
            done, waiting = await asyncio.wait(waiting, timeout=_SOON_S if is_first else None, return_when=when)
            maps = [found for task in done if (found := task.result()) is not None]
            is_first = False
        for task in waiting:
            task.cancel()
        return maps

    def _tell(self) -> None:
        for told in self.on_change:
            told()

    async def _ask_map(self, address: Address) -> _Map | None:
        """How much this server's word is worth, its major version, and which slots are whose."""
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                pipe = self._server(address).pipeline(transaction=False)
                for command in ("CLUSTER INFO", "CLUSTER SLOTS", "INFO server"):
                    pipe.execute_command(*command.split())
                state, slots, server = await pipe.execute()
                self._silent.discard(address)
        except (RedisError, OSError, TimeoutError):
            return None
        state = dict(line.split(":", 1) for line in _text(state).split() if ":" in line)
        worth = (state.get("cluster_state") == "ok", int(state.get("cluster_current_epoch", 0)))
        ranges = [
            (int(first), int(last), (_text(primary[0]) or address[0], int(primary[1])))
            for first, last, primary, *_ in slots
        ]
        return worth, int(str(server["redis_version"]).partition(".")[0]), ranges

    def _server(self, address: Address) -> OneServer:
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = self._open_server(*address)
        return server

    def _home(self, slot: int | None) -> tuple[Address, OneServer]:
        address = random.choice(self._primaries) if slot is None else self._slots[slot]  # noqa: S311
        if address is None:
            raise ClusterDownError(f"no server has slot {slot}")
        return address, self._server(address)

    # --- sending

    async def _try(
        self, slot: int | None, commands: list[_Command], is_transaction: bool, asked: Address | None
    ) -> Sequence[Any]:
        address = asked
        try:
            if not self.is_known:
                await self.refresh()
            if address is None:
                address = self._home(slot)[0]
            if address in self._silent:
                raise LostConnection(f"{address} is silent")
            return await self._ask(self._server(address), commands, is_transaction, asked is not None)
        except (RedisError, OSError) as error:
            if isinstance(error, TooLate) and address is not None:
                self._silent.add(address)
            return [error] * len(commands)

    async def _ask(
        self, server: OneServer, commands: list[_Command], is_transaction: bool, is_asking: bool
    ) -> Sequence[Any]:
        if not is_asking and len(commands) == 1:
            args, options = commands[0]
            return [await server.execute_command(*args, **options)]
        pipe = server.pipeline(transaction=is_transaction and not is_asking)
        for args, options in commands:
            if is_asking:
                pipe.execute_command("ASKING")
            pipe.execute_command(*args, **options)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers[1::2] if is_asking else answers

    async def _mend(self, error: Exception, *, is_again: bool) -> Address | None:
        """Do what the error asks for; where the next try goes to, if not by the map."""
        if isinstance(error, AskError):  # before MovedError, whose kind it is not in every version
            if is_again:
                await asyncio.sleep(_PAUSE_S)
            return error.host, int(error.port)
        if isinstance(error, MovedError):
            self._slots[error.slot_id] = (error.host, int(error.port))
            self._tell()
            self._refresh_soon()
        elif isinstance(error, TryAgainError):
            await asyncio.sleep(_PAUSE_S)
        else:
            await asyncio.sleep(_PAUSE_S * (1 + random.random()))  # noqa: S311
            try:
                await self.refresh()
            except (RedisError, OSError) as trouble:
                log.debug("no new map of the cluster: %r", trouble)
        return None


class ClusterPipeline(AsyncCoreCommands):
    """Commands gathered for one trip: those of a slot go together and in order, slots go side by side."""

    _is_async_client: Literal[True] = True
    _event_dispatcher: Any = None

    def __init__(self, client: ClusterClient, is_transaction: bool) -> None:
        self._client = client
        self._is_transaction = is_transaction
        self._commands: list[_Command] = []

    async def __aenter__(self) -> ClusterPipeline:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def __len__(self) -> int:
        return len(self._commands)

    def execute_command(self, *args: Any, **options: Any) -> ClusterPipeline:
        self._commands.append((args, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Every answer; the first error is raised after all were sent."""
        commands, self._commands = self._commands, []
        by_slot: dict[int | None, list[int]] = {}
        for index, (args, _) in enumerate(commands):
            by_slot.setdefault(_slot_of(args), []).append(index)
        answers: list[Any] = [None] * len(commands)

        async def send(slot: int | None, indexes: list[int]) -> None:
            some = [commands[index] for index in indexes]
            got = await self._client.send(slot, some, is_transaction=self._is_transaction)
            for index, answer in zip(indexes, got, strict=True):
                answers[index] = answer

        if len(by_slot) == 1:
            ((slot, indexes),) = by_slot.items()
            await send(slot, indexes)
        else:
            await asyncio.gather(*(send(slot, indexes) for slot, indexes in by_slot.items()))
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _swallow(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("no new map of the cluster: %r", error)
