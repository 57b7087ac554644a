"""One intent, searched."""

from __future__ import annotations

from payments.explore.moves import RULES, Failover, Rules
from payments.explore.search import Found, search
from payments.explore.world import REFUSED, World, is_settled, kept
from payments.states import may_follow


def explore(
    channels: str,
    rules: Rules = RULES,
    *,
    crashes: int = 0,
    wishes: int = 0,
    lies: int = 0,
) -> Found:
    """One intent over these kinds of channel. With a lie two orders may be paid for a while: one of them goes back."""
    game = Failover(channels, rules)

    def is_broken(before: World, after: World) -> bool:
        if after.rows is before.rows and after.phase == before.phase:
            return False
        judged = [row.state == REFUSED for row in after.rows]
        return not may_follow(game.outward(before), game.outward(after)) or any(judged[:-1])

    return search(
        World(crashes=crashes, wishes=wishes, lies=lies),
        game.moves,
        is_double=lambda world: not lies and kept(world) > 1,
        is_broken=is_broken,
        is_at_rest=is_settled,
    )
