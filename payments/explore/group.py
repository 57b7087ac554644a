"""A split group of two in the same hostile world: all of it is paid and kept, or all of it goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from payments import group
from payments.explore.moves import RULES, Failover, Rules
from payments.explore.search import Found, search
from payments.explore.world import CLOSING, CREATING, EXPIRES_AT, LATE, MOMENTS, REFUSED, World, is_settled, kept
from payments.failover import Phase
from payments.group import (
    Dissolve,
    FailParent,
    FinishParent,
    GroupStep,
    Parent,
    Part,
    PayParent,
    ReopenParent,
    Start,
)
from payments.money import Fen
from payments.port import HoldState, IntentState
from payments.states import may_follow, outward_state

DecideGroup = Callable[[Parent, Sequence[Part], datetime], GroupStep]


class GroupWorld(NamedTuple):
    """The parent, and each part's own world; ``started``: how many parts may be paid."""

    parts: tuple[World, ...]
    phase: Phase = "open"
    is_paid: bool = False
    started: int = 0
    crashes: int = 0
    wishes: int = 0


class Group:
    """The moves of a group; ``channels`` are the same for every part."""

    def __init__(self, channels: str, rules: Rules = RULES, decide: DecideGroup = group.decide) -> None:
        self._child = Failover(channels, rules)
        self._decide = decide
        self._moves: dict[World, list[tuple[bool, str, World]]] = {}
        self._tended: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._states: dict[tuple[Any, ...], IntentState] = {}

    def moves(self, world: GroupWorld) -> Iterator[tuple[bool, str, GroupWorld]]:
        """Everything that may happen next."""
        for index, part in enumerate(world.parts):
            is_asleep = index >= world.started and part.phase == "open"
            if part not in self._moves:
                self._moves[part] = list(self._child.moves(part))
            for is_kind, name, after in self._moves[part]:
                if name == "time passes" or (name == "look" and is_asleep):
                    continue
                yield is_kind, f"part {index + 1}: {name}", _put(world, index, after)
        yield True, "look at the whole", self.tend(world)
        if world.parts[0].moment < LATE:
            yield True, "time passes", world._replace(parts=tuple(self._child.later(part) for part in world.parts))
        if world.crashes:
            parts = tuple(part._replace(call=None) for part in world.parts)
            yield False, "crash", world._replace(parts=parts, crashes=world.crashes - 1)
        if world.wishes and not world.is_paid and world.phase in ("open", "failed"):
            yield False, "cancel", world._replace(phase="cancelling", wishes=world.wishes - 1)

    def tend(self, world: GroupWorld) -> GroupWorld:
        """What one look at the whole commits; remembered by what it can depend on."""
        key = (world.phase, world.is_paid, world.started, world.parts[0].moment, *map(_look, world.parts))
        if key not in self._tended:
            after = self._tend(world)
            self._tended[key] = (after.phase, after.is_paid, after.started, *(part.phase for part in after.parts))
        phase, is_paid, started, *phases = self._tended[key]
        parts = tuple(
            part if part.phase == new else part._replace(phase=new)
            for part, new in zip(world.parts, phases, strict=True)
        )
        return world._replace(parts=parts, phase=phase, is_paid=is_paid, started=started)

    def _tend(self, world: GroupWorld) -> GroupWorld:
        for _ in range(8):
            now = MOMENTS[world.parts[0].moment]
            parent = Parent(phase=world.phase, is_paid=world.is_paid, expires_at=EXPIRES_AT)
            match self._decide(parent, _parts(world), now):
                case Start(number):
                    return world._replace(started=max(world.started, number))
                case PayParent():
                    world = world._replace(is_paid=True, phase="open")
                case FailParent():
                    world = world._replace(phase="failed")
                case ReopenParent():
                    world = world._replace(phase="open")
                case Dissolve(numbers):
                    for number in numbers:
                        part = world.parts[number - 1]
                        phase: Phase = "cancelling" if part.paid is None else "cancelled"
                        world = _put(world, number - 1, part._replace(phase=phase))
                case FinishParent():
                    world = world._replace(phase="cancelled")
                case _:
                    return world
        raise AssertionError("a group settles down within a few steps")

    def outward(self, world: GroupWorld) -> IntentState:
        """What the outside sees of the whole."""
        key = (world.phase, world.is_paid, *map(_look, world.parts))
        if key not in self._states:
            self._states[key] = self._outward(world)
        return self._states[key]

    @staticmethod
    def _outward(world: GroupWorld) -> IntentState:
        parent = Parent(phase=world.phase, is_paid=world.is_paid, expires_at=EXPIRES_AT)
        return outward_state(group.facts(parent, _parts(world)))

    def is_broken(self, before: GroupWorld, after: GroupWorld) -> bool:
        """A whole that is paid has every part's money, and its outward state moves only as the table says."""
        is_short = after.is_paid and any(kept(part) != 1 for part in after.parts)
        return is_short or not may_follow(self.outward(before), self.outward(after))


def _parts(world: GroupWorld) -> list[Part]:
    return [
        Part(
            number=index + 1,
            amount_fen=Fen(1),
            phase=part.phase,
            hold=_hold(part),
            is_paid=part.paid is not None,
            is_started=bool(part.rows),
            is_refused=part.paid is None and any(row.state == REFUSED for row in part.rows),
            is_busy=any(row.state in (CREATING, CLOSING) for row in part.rows),
        )
        for index, part in enumerate(world.parts)
    ]


def _look(part: World) -> tuple[Any, ...]:
    return part.rows, part.paid, part.phase, _hold(part)


def _hold(part: World) -> HoldState:
    if part.paid is None:
        return "none"
    if part.orders[part.paid].at == "back":
        return "released"
    return "releasing" if part.phase == "cancelled" else "held"


def _put(world: GroupWorld, index: int, part: World) -> GroupWorld:
    return world._replace(parts=(*world.parts[:index], part, *world.parts[index + 1 :]))


def is_group_settled(world: GroupWorld) -> bool:
    """All of it is kept, or none of it."""
    if world.is_paid:
        return all(kept(part) == 1 and is_settled(part) for part in world.parts)
    # A part whose turn never came has nothing to settle.
    is_nowhere = all(kept(part) == 0 and (is_settled(part) or not part.rows) for part in world.parts)
    return world.phase in ("failed", "cancelled") and is_nowhere


def explore_group(
    channels: str,
    rules: Rules = RULES,
    decide: DecideGroup = group.decide,
    *,
    parts: int = 2,
    crashes: int = 0,
    wishes: int = 0,
) -> Found:
    """A group whose parts may each use these kinds of channel."""
    game = Group(channels, rules, decide)
    start: Any = GroupWorld(parts=(World(),) * parts, crashes=crashes, wishes=wishes)
    return search(
        start,
        game.moves,
        is_double=lambda world: any(kept(part) > 1 for part in world.parts),
        is_broken=game.is_broken,
        is_at_rest=is_group_settled,
    )
