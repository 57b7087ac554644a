"""Record crossings: what changed in the books is told, in the same transaction; what was known already is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from geo.geofence import Crossing, CrossingKind, Seen

from ..model import ids
from ..model.event import Event, EventKind
from ..model.geofence import ChangedStay, StayChange, instant
from ..store.unit_of_work import UnitOfWork
from .context import Context
from .order_view import ms

_KINDS: dict[StayChange, EventKind] = {
    "entered": EventKind.GEOFENCE_ENTERED,
    "left": EventKind.GEOFENCE_LEFT,
    "dwelled": EventKind.GEOFENCE_DWELLED,
}


class Gone(NamedTuple):
    """A runner is off duty or lost: they are in no fence any more."""

    runner_id: str
    at_ms: int
    seen: Seen | None


def record(uow: UnitOfWork, entries: Sequence[Crossing | Gone]) -> int:
    """Write these in their order; how many changes of the books came of them. To write them again does nothing."""
    changes: list[tuple[ChangedStay, Seen | None]] = []
    for entry in entries:
        if isinstance(entry, Gone):
            ended = uow.geofence_stays.end_of_runner(entry.runner_id, instant(entry.at_ms))
            changes += [(one, entry.seen) for one in ended]
        elif (changed := _cross(uow, entry)) is not None:
            changes.append((changed, Seen(entry.at_ms, entry.point)))
    _tell(uow, changes)
    return len(changes)


def _cross(uow: UnitOfWork, crossing: Crossing) -> ChangedStay | None:
    stays = uow.geofence_stays
    change = {CrossingKind.ENTER: stays.enter, CrossingKind.EXIT: stays.leave, CrossingKind.DWELL: stays.dwell}
    return change[crossing.kind](crossing.fence_id, crossing.runner_id, instant(crossing.at_ms))


def _tell(uow: UnitOfWork, changes: Sequence[tuple[ChangedStay, Seen | None]]) -> None:
    if not changes:
        return
    names = uow.geofences.names({changed.fence_id for changed, _ in changes})
    for changed, seen in changes:
        payload: dict[str, Any] = {
            "runner_id": changed.runner_id,
            "fence_id": changed.fence_id,
            "name": names.get(changed.fence_id, ""),
            "at_ms": ms(changed.at),
        }
        if seen is not None:
            payload["position"] = [seen.point.lat, seen.point.lon, seen.at_ms]
        if changed.change != "entered":
            payload["inside_s"] = round((changed.at - changed.entered_at).total_seconds(), 1)
        uow.outbox.add(
            Event(
                id=uow.new_id(ids.EVENT),
                campus_id=uow.campus_id,
                kind=_KINDS[changed.change],
                subject_id=changed.runner_id,
                version=0,
                at=uow.now,
                payload=payload,
            )
        )


async def end_stays_of_absent(ctx: Context, campus_id: str, absent_before: Iterable[str]) -> set[str]:
    """End the stays of runners of whom nothing is known, neither now nor when this was asked before (a Redis that has
    just begun anew knows nobody); who is absent now, to be given the next time. Makes up for a worker that died before
    it could tell that somebody left."""
    inside = await ctx.store.read(campus_id, lambda uow: uow.geofence_stays.runners_inside())
    if not inside:
        return set()
    absent = inside - set(await ctx.presence.all(campus_id))
    lost = sorted(absent.intersection(absent_before))
    if lost:
        at = ctx.clock.now() - ctx.options.presence_ttl
        await ctx.store.run(campus_id, lambda uow: _end_all(uow, lost, at))
        ctx.announce()
    return absent


def _end_all(uow: UnitOfWork, runner_ids: Sequence[str], at: datetime) -> None:
    record(uow, [Gone(runner_id, ms(at), None) for runner_id in runner_ids])
