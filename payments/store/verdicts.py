"""Verdicts on requests, as rows; what rules see of them is bounded by age and number."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from payments.guards.risk import HISTORY_S, MOST_SEEN, Challenge, Decision, Kind, Objection, RiskCase, Seen, Standing
from payments.store.risk_tables import risk_verdicts as t
from payments.store.rows import to_record


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what was said of it. ``device``, ``ip`` and ``card`` are fingerprints."""

    id: str
    at: datetime
    campus_id: str
    kind: Kind
    ref: str
    account: str
    amount_fen: int
    decision: Decision
    code: str
    challenge: Challenge | None = None
    parameters: dict[str, int | str] = {}
    objections: tuple[Objection, ...] = ()
    standing: Standing = "closed"
    intent_id: str | None = None
    device: str | None = None
    ip: str | None = None
    card: str | None = None
    group_ref: str = ""
    incident: str = ""
    tries: int = 0
    decided_at: datetime | None = None
    decided_by: str = ""
    decided_because: str = ""


#: Written into the statement, for an index over some rows serves only a condition that the planner can read.
_IS_OBJECTED_TO = t.c.decision != sa.literal_column("'allow'")
_IS_COUPON = t.c.kind == sa.literal_column("'coupon'")

_COLUMNS = [t.c[name] for name in VerdictRow.__struct_fields__]
_CASE = [t.c[name] for name in RiskCase.__struct_fields__]
_SEEN = {
    "kind": t.c.kind,
    "ref": t.c.ref,
    "at": t.c.at,
    "account": t.c.account,
    "amount_fen": t.c.amount_fen,
    "decision": t.c.decision,
    "device": t.c.device,
    "ip": t.c.ip,
    "card": t.c.card,
    "group": t.c.group_ref,
    "incident": t.c.incident,
    "is_open": sa.and_(t.c.standing == "open", t.c.decision == "hold"),
}
assert set(_SEEN) == set(Seen.__struct_fields__)


def _seen_by(subject: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The newest requests of one subject, as a statement that is built once: it runs for every payment."""
    return (
        sa.select(*_SEEN.values())
        .where(t.c[subject] == sa.bindparam("name"), t.c.at > sa.bindparam("since"), *conditions)
        .order_by(t.c.at.desc())
        .limit(MOST_SEEN)
    )


_SEEN_BY = {subject: _seen_by(subject) for subject in ("account", "device", "card")}
_TROUBLED_BY = {"ip": _seen_by("ip", _IS_OBJECTED_TO)}
_OLDEST_OPEN = (
    sa.select(*_SEEN.values())
    .where(
        t.c.account == sa.bindparam("name"),
        t.c.standing == sa.literal_column("'open'"),
        t.c.decision == sa.literal_column("'hold'"),
        t.c.kind == "pay",
    )
    .order_by(t.c.at)
    .limit(1)
)
_OF_REQUEST = sa.select(*_COLUMNS).where(t.c.kind == sa.bindparam("kind"), t.c.ref == sa.bindparam("ref"))
_ADD = sa.insert(t)


class Verdicts:
    """The verdicts of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, row: VerdictRow) -> None:
        values = msgspec.structs.asdict(row) | {"objections": msgspec.to_builtins(row.objections)}
        self._connection.execute(_ADD, values)

    def get(self, verdict_id: str) -> VerdictRow | None:
        return self._first(t.c.id == verdict_id)

    def of_request(self, kind: Kind, ref: str) -> VerdictRow | None:
        """What was said of this request before."""
        row = self._connection.execute(_OF_REQUEST, {"kind": kind, "ref": ref}).first()
        return None if row is None else to_record(VerdictRow, row)

    def of_intent(self, intent_id: str) -> VerdictRow | None:
        """What was said of opening this intent."""
        return self.of_request("pay", intent_id)

    def seen(self, subject: str, name: str, now: datetime) -> list[Seen]:
        """The newest requests of one subject within the history, newest first; of an address only those that were
        objected to."""
        statement = _TROUBLED_BY[subject] if subject in _TROUBLED_BY else _SEEN_BY[subject]
        since = now - timedelta(seconds=HISTORY_S)
        return [_seen(row) for row in self._connection.execute(statement, {"name": name, "since": since})]

    def oldest_open(self, account: str) -> Seen | None:
        """The account's request that is held still, however old."""
        row = self._connection.execute(_OLDEST_OPEN, {"name": account}).first()
        return None if row is None else _seen(row)

    def coupons_fen(self, campus_id: str, since: datetime) -> int:
        """What a campus gave away."""
        given = sa.func.coalesce(sa.func.sum(t.c.amount_fen), 0)
        query = sa.select(given).where(_IS_COUPON, t.c.campus_id == campus_id, t.c.at >= since, t.c.decision == "allow")
        return int(self._connection.execute(query).scalar_one())

    def cases(
        self, campus_id: str, limit: int, before_seq: int | None, account: str | None, *, only_open: bool
    ) -> list[RiskCase]:
        """What was objected to, newest first."""
        condition = sa.and_(t.c.campus_id == campus_id, _IS_OBJECTED_TO)
        if only_open:
            condition = sa.and_(condition, t.c.standing == "open", t.c.decision == "hold")
        if before_seq is not None:
            condition = sa.and_(condition, t.c.seq < before_seq)
        if account is not None:
            condition = sa.and_(condition, t.c.account == account)
        query = sa.select(*_CASE).where(condition).order_by(t.c.seq.desc()).limit(limit)
        return [to_record(RiskCase, row) for row in self._connection.execute(query)]

    def decide(self, verdict_id: str, standing: Standing, now: datetime, by: str, because: str) -> bool:
        """Close an open one; False when it is not open (any more)."""
        changed = self._connection.execute(
            sa.update(t)
            .where(t.c.id == verdict_id, t.c.standing == "open")
            .values(standing=standing, decided_at=now, decided_by=by, decided_because=because)
        )
        return changed.rowcount == 1

    def count_try(self, verdict_id: str) -> int:
        """One more answer to a challenge was wrong; how many were."""
        self._connection.execute(sa.update(t).where(t.c.id == verdict_id).values(tries=t.c.tries + 1))
        return int(self._connection.execute(sa.select(t.c.tries).where(t.c.id == verdict_id)).scalar_one())

    def purge(self, before: datetime, limit: int) -> int:
        """Remove what is older and not held open; at most ``limit`` rows, how many."""
        is_over = sa.or_(t.c.standing != "open", t.c.decision != "hold")
        old = sa.select(t.c.seq).where(t.c.at < before, is_over).limit(limit)
        return self._connection.execute(sa.delete(t).where(t.c.seq.in_(old))).rowcount

    def _first(self, condition: sa.ColumnElement[bool]) -> VerdictRow | None:
        row = self._connection.execute(sa.select(*_COLUMNS).where(condition)).first()
        return None if row is None else to_record(VerdictRow, row)


def _seen(row: Any) -> Seen:
    return msgspec.convert(dict(zip(_SEEN, row, strict=True)), Seen, strict=False)
