"""What is learned about arrivals in SQL: one record of a campus, and a small one of each runner."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from geo.calibration import CalibrationRecord
from geo.pace import MOST_RUNNERS, RunnerPace
from geo.shrinkage import Mean

from .scope import CampusScope
from .tables import arrival_models, runner_paces

#: How fast somebody was is forgotten when they have not carried anything for so long.
PACE_KEPT = timedelta(days=180)


class ArrivalFigures(msgspec.Struct, frozen=True):
    """All of a campus's that is not a single runner's; see ``geo.arrival_model``. ``served_at_ms``: visits of stops up
    to then are learned."""

    kinds: dict[str, Mean] = {}
    detours: list[Mean] = []
    services: dict[str, Mean] = {}
    errors: CalibrationRecord = {}
    promises: CalibrationRecord = {}
    served_at_ms: int = 0


class StoredPace(NamedTuple):
    runner_id: str
    vehicle: str
    pace: RunnerPace
    learned_at: datetime


_encode = msgspec.json.encode
_figures = msgspec.json.Decoder(ArrivalFigures).decode
_pace = msgspec.json.Decoder(RunnerPace).decode


class Arrivals:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def figures(self) -> ArrivalFigures:
        """Nothing learned where nothing is stored."""
        query = select(arrival_models.c.body).where(self._scope.mine(arrival_models))
        body = self._sql.scalar(query)
        return ArrivalFigures() if body is None else _figures(body)

    def save_figures(self, figures: ArrivalFigures) -> None:
        values = {
            "campus_id": self._scope.campus_id,
            "body": _encode(figures).decode(),
            "learned_at": self._scope.now,
        }
        change = self._scope.upsert(arrival_models).values(values)
        new = {"body": change.excluded.body, "learned_at": change.excluded.learned_at}
        self._sql.execute(change.on_conflict_do_update(index_elements=["campus_id"], set_=new))

    def paces(self, since: datetime | None = None) -> list[StoredPace]:
        """What was learned of runners, since then or ever; at most the newest ten thousand, oldest first."""
        t = runner_paces
        query = select(t.c.runner_id, t.c.vehicle, t.c.pace, t.c.learned_at).where(self._scope.mine(t))
        if since is not None:
            query = query.where(t.c.learned_at >= since)
        rows = self._sql.execute(query.order_by(t.c.learned_at.desc()).limit(MOST_RUNNERS)).all()
        return [StoredPace(row.runner_id, row.vehicle, _pace(row.pace), row.learned_at) for row in reversed(rows)]

    def save_paces(self, paces: Iterable[tuple[str, str, RunnerPace]]) -> None:
        """Store what is known now of these runners with these vehicles."""
        rows = [
            {
                "campus_id": self._scope.campus_id,
                "runner_id": runner_id,
                "vehicle": vehicle,
                "pace": _encode(pace).decode(),
                "learned_at": self._scope.now,
            }
            for runner_id, vehicle, pace in paces
        ]
        if not rows:
            return
        change = self._scope.upsert(runner_paces)
        new = {"pace": change.excluded.pace, "learned_at": change.excluded.learned_at}
        key = ["campus_id", "runner_id", "vehicle"]
        self._sql.execute(change.on_conflict_do_update(index_elements=key, set_=new), rows)
