"""What runners planned, and what keeps them from being asked, in SQL: one row each per runner, read all at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, Text, or_, select, type_coerce, update

from ..model.account import RunnerStatus
from ..model.errors import StaleVersion
from ..model.shift import RunnerPause, RunnerPlan, Timetable
from .scope import CampusScope
from .tables import memberships as m
from .tables import runner_pauses as p
from .tables import runner_plans as t

_PLAN, _PAUSE = tuple(RunnerPlan.__dataclass_fields__), tuple(RunnerPause.__dataclass_fields__)
_KEY = ("campus_id", "runner_id")
_ROW = (*(column for column in t.c if column.name != "timetable"), type_coerce(t.c.timetable, Text).label("timetable"))
_decoder = msgspec.json.Decoder(Timetable)


@lru_cache(maxsize=8_192)
def _timetable(stored: str) -> Timetable:
    """The same object for the same text: every planning tick reads all of them, and they hardly ever change."""
    return _decoder.decode(stored)


class RunnerPlans:
    def __init__(self, scope: CampusScope) -> None:
        self._scope = scope
        self._sql = scope.connection

    def get(self, runner_id: str) -> RunnerPlan:
        """The plan; an empty one at version 0 for somebody who planned nothing."""
        row = self._sql.execute(select(t).where(self._scope.mine(t), t.c.runner_id == runner_id)).first()
        if row is None:
            return RunnerPlan(runner_id, self._scope.campus_id, 0, Timetable(), None, self._scope.now)
        return RunnerPlan(**row._mapping)

    def on_duty(self) -> dict[str, RunnerPlan]:
        """The plans of all runners on duty who have one."""
        rows = self._sql.execute(self._of_those_on_duty(t, *_ROW)).mappings()
        return {row["runner_id"]: RunnerPlan(**{**row, "timetable": _timetable(row["timetable"])}) for row in rows}

    def save(self, plan: RunnerPlan) -> None:
        """Store it; ``plan.version`` is the new version. Raises :class:`StaleVersion`."""
        self._scope.check(plan.campus_id)
        values = {name: getattr(plan, name) for name in _PLAN}
        if plan.version == 1:
            is_stored = self._scope.insert_new(t, values, _KEY)
        else:
            at = update(t).where(
                self._scope.mine(t), t.c.runner_id == plan.runner_id, t.c.version == plan.version - 1
            )  # fmt: skip
            is_stored = self._sql.execute(at.values(values)).rowcount == 1
        if not is_stored:
            raise StaleVersion("somebody else changed this plan first; fetch it again", field="version")

    # --- pauses -------------------------------------------------------------------------------------------------------

    def pause(self, runner_id: str) -> RunnerPause:
        """What keeps the runner from being asked; an empty one where nothing ever did."""
        row = self._sql.execute(select(p).where(self._scope.mine(p), p.c.runner_id == runner_id)).first()
        return RunnerPause(runner_id, self._scope.campus_id) if row is None else RunnerPause(**row._mapping)

    def pauses(self) -> dict[str, RunnerPause]:
        """The pauses that count now, of all runners on duty."""
        now = self._scope.now
        counts = or_(p.c.break_until > now, p.c.cool_until > now)
        query = self._of_those_on_duty(p, p).where(counts)
        return {row.runner_id: RunnerPause(**row._mapping) for row in self._sql.execute(query)}

    def save_pause(self, pause: RunnerPause) -> None:
        self._scope.check(pause.campus_id)
        values = {name: getattr(pause, name) for name in _PAUSE}
        insert = self._scope.upsert(p).values(values)
        fresh: dict[str, ColumnElement[Any]] = {name: insert.excluded[name] for name in _PAUSE if name not in _KEY}
        self._sql.execute(insert.on_conflict_do_update(index_elements=list(_KEY), set_=fresh))

    def _of_those_on_duty(self, table: Table, *wanted: Any) -> Any:
        is_hers = (m.c.account_id == table.c.runner_id) & (m.c.campus_id == table.c.campus_id)
        return (
            select(*wanted)
            .select_from(table)
            .join(m, is_hers)
            .where(self._scope.mine(table), m.c.is_on_duty, m.c.runner_status == RunnerStatus.APPROVED)
        )
