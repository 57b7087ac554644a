"""When a runner will have done what they carry, on their route as it is."""

from __future__ import annotations

from .ground import ground
from .params import Params
from .routes import Road, fleet_of
from .state import RunnerIn, Ways


def done_in_s(runner: RunnerIn, ways: Ways, now_ms: int, params: Params) -> dict[str, float]:
    """Seconds from now until each task that they carry is done; inf where no way leads."""
    if not runner.route:
        return {}
    seen = ground([], [runner], ways, now_ms, params)
    times = Road(seen, params).times(fleet_of(seen), 0)
    return {stop.task_id: done_s for stop, (_, done_s, _) in zip(runner.route, times, strict=True)}
