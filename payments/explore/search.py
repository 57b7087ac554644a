"""The search: every state within reach, the shortest way to harm, and whether a settled state stays in reach."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Found(NamedTuple):
    """How many states there are, and the shortest way to each kind of harm; None: there is none."""

    states: int
    double: list[str] | None = None
    stuck: list[str] | None = None
    broken: list[str] | None = None

    @property
    def harm(self) -> tuple[str, list[str]] | None:
        """The first harm with the way to it."""
        for name in ("double", "stuck", "broken"):
            trace = getattr(self, name)
            if trace is not None:
                return name, trace
        return None


def search(
    start: Any,
    moves: Callable[[Any], Iterator[tuple[bool, str, Any]]],
    *,
    is_double: Callable[[Any], bool],
    is_broken: Callable[[Any, Any], bool],
    is_at_rest: Callable[[Any], bool],
) -> Found:
    """Breadth first, so that a trace is a shortest one; ends at the first double payment or broken promise. Then: from
    every state a settled one is within reach of our own moves and a world that behaves from there on."""
    came_from: dict[Any, tuple[Any, str] | None] = {start: None}
    back: dict[Any, list[Any]] = {}
    todo = deque([start])
    while todo:
        world = todo.popleft()
        if is_double(world):
            return Found(len(came_from), double=_trace(came_from, world))
        for is_kind, name, after in moves(world):
            if is_broken(world, after):
                return Found(len(came_from), broken=[*_trace(came_from, world), name])
            if is_kind:
                back.setdefault(after, []).append(world)
            if after not in came_from:
                came_from[after] = (world, name)
                todo.append(after)
    stack = [world for world in came_from if is_at_rest(world)]
    reaching = set(stack)
    while stack:
        for before in back.get(stack.pop(), ()):
            if before not in reaching:
                reaching.add(before)
                stack.append(before)
    stuck = next((world for world in came_from if world not in reaching), None)
    return Found(len(came_from), stuck=None if stuck is None else _trace(came_from, stuck))


def _trace(came_from: dict[Any, tuple[Any, str] | None], world: Any) -> list[str]:
    names: list[str] = []
    step = came_from[world]
    while step is not None:
        names.append(step[1])
        step = came_from[step[0]]
    return names[::-1]
