"""Checks what watchers were told against what became true: every event once, in order, or within a snapshot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .histories import History, Seen, Snapshot, Span
from .truth import Fact, Stand, Truth

#: Events that a topic can be resumed over, by its kind.
CAPS = {"console": 2000, "hall": 500, "runner": 200, "order": 100}
#: The clocks of the server and of whoever watches were compared over a network.
SLACK_MS = 250
_ON_CONSOLE = ("open", "assigned", "carrying", "delivered")
MOST_FAULTS = 50
#: What the server may answer on such a day: wait, or ask again.
_MAY_BE_SAID = ("too_many ", "unavailable ")


@dataclass(slots=True)
class Findings:
    """What one check counted, and what should not have happened."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def fault(self, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)


def check_events(history: History, truth: Truth) -> Findings:
    """Every watcher and topic of a history."""
    findings = Findings()
    if truth.unpublished:
        findings.fault(f"{truth.unpublished} events of the books were never published")
    numbered: dict[tuple[str, str, int], str] = {}
    for seen in history.seen:
        findings.counts["watchers"] += 1
        if not seen.is_connected:
            findings.fault(f"{seen.name} did not come back: {seen.ends}")
        for text, count in seen.errors.items():
            findings.counts[f"error {text}"] += count
            if not text.startswith(_MAY_BE_SAID):
                findings.fault(f"{seen.name} was told {count} times: {text}")
        for topic, spans in seen.topics.items():
            _TopicCheck(findings, truth, history.first_seq, seen, topic, numbered).run(spans)
    return findings


class _TopicCheck:
    """One topic as one watcher saw it."""

    def __init__(
        self,
        findings: Findings,
        truth: Truth,
        first_seq: int,
        seen: Seen,
        topic: str,
        numbered: dict[tuple[str, str, int], str],
    ) -> None:
        self._findings, self._truth, self._first_seq = findings, truth, first_seq
        self._topic, self._numbered = topic, numbered
        self._where = f"{seen.name} on {topic}"
        self._facts = {fact.id: fact for fact in truth.topics.get(topic, ())}
        #: ids told since the last snapshot, and ever
        self._run: set[str] = set()
        self._told: set[str] = set()
        self._versions: dict[str, int] = {}
        self._at: tuple[str, int] | None = None

    def run(self, spans: list[Span]) -> None:
        counts = self._findings.counts
        counts["topics"] += 1
        if not spans:
            self._fault("was never followed")
            return
        for span in spans:
            self._begin(span)
            for offset, event_id in zip(span.offsets, span.ids, strict=True):
                self._event(span, offset, event_id)
        self._missing(spans)

    def _fault(self, text: str) -> None:
        self._findings.fault(f"{self._where}: {text}")

    def _begin(self, span: Span) -> None:
        """A ``followed``: goes on where the watcher was, or begins anew behind a snapshot."""
        counts, at = self._findings.counts, self._at
        if span.is_recovered:
            counts["recovered"] += 1
            if at is None or span.epoch != at[0]:
                self._fault(f"recovered into epoch {span.epoch} from {at}")
            elif span.offset < at[1]:
                self._fault(f"recovered to offset {span.offset}, behind {at[1]}")
            return
        why = "new epoch" if at is not None and at[0] != span.epoch else "same epoch" if at is not None else "first"
        counts[f"snapshot, {'Redis away' if not span.epoch else why}"] += 1
        cap = CAPS.get(self._topic.partition(":")[0], 100)
        if span.is_asked and span.asked is not None and span.asked[0] == span.epoch:
            behind = span.offset - span.asked[1]
            if 0 <= behind <= cap:
                self._fault(f"not recovered, though only {behind} events behind in the same epoch")
        self._at = (span.epoch, span.offset) if span.snapshot is not None and span.epoch else None
        if span.snapshot is not None:
            self._run, self._versions = set(), {}
        elif span.offsets:
            self._fault("told events instead of the snapshot that was due")

    def _event(self, span: Span, offset: int, event_id: str) -> None:
        counts = self._findings.counts
        counts["events told"] += 1
        if self._at is not None and offset != self._at[1] + 1:
            self._fault(f"offset {offset} after {self._at[1]} in epoch {span.epoch}")
        self._at = (span.epoch, offset)
        known = self._numbered.setdefault((self._topic, span.epoch, offset), event_id)
        if known != event_id:
            self._fault(f"offset {offset} of epoch {span.epoch} is {event_id} here and {known} elsewhere")
        if event_id in self._run:
            self._fault(f"{event_id} was told twice")
        elif event_id in self._told:
            counts["told again behind a snapshot"] += 1
        self._run.add(event_id)
        self._told.add(event_id)
        fact = self._facts.get(event_id)
        if fact is None:
            self._fault(f"{event_id} is no event of this topic in the books")
            return
        if fact.version < self._versions.get(fact.subject, 0):
            self._fault(f"{event_id}: version {fact.version} of {fact.subject} after {self._versions[fact.subject]}")
        self._versions[fact.subject] = fact.version

    def _missing(self, spans: list[Span]) -> None:
        counts = self._findings.counts
        snapshots = [span.snapshot for span in spans if span.snapshot is not None]
        end_seq = None
        if spans[-1].closed:
            told = [self._facts[one].seq for one in self._told if one in self._facts]
            end_seq = max(told, default=0)
        for fact in self._facts.values():
            if end_seq is not None and fact.seq > end_seq:
                continue  # the topic had ended
            counts["events true"] += fact.seq > self._first_seq
            if fact.id in self._told:
                continue
            shown = next((n for n, one in enumerate(snapshots) if is_shown(self._topic, fact, one, self._truth)), None)
            if shown is not None:
                where = "before the first snapshot" if shown == 0 else "in a later snapshot only"
                counts[f"events {where}"] += fact.seq > self._first_seq
            elif fact.seq > self._first_seq:
                self._fault(f"{fact.id} ({fact.kind} of {fact.subject}, version {fact.version}) is missing")


def is_shown(topic: str, fact: Fact, snapshot: Snapshot, truth: Truth) -> bool:
    """Whether a snapshot knows what this event told."""
    if fact.at_ms > snapshot.at_ms + SLACK_MS:
        return False
    if not fact.subject.startswith("ord_"):
        return True  # an account's events have no versions: the time must do
    version = snapshot.versions.get(fact.subject)
    if version is not None:
        return version >= fact.version
    # Not shown at all: then the order must by then have stood so that the topic does not show it.
    return any(
        stand.version >= fact.version and stand.at_ms <= snapshot.at_ms + SLACK_MS and _is_hidden(topic, stand)
        for stand in truth.stands.get(fact.subject, ())
    )


def _is_hidden(topic: str, stand: Stand) -> bool:
    kind, _, subject = topic.partition(":")
    match kind:
        case "console":
            return stand.status not in _ON_CONSOLE
        case "hall":
            return stand.task_status != "open"
        case "runner":
            return stand.holder != subject or stand.status not in ("assigned", "carrying")
        case _:
            return False
