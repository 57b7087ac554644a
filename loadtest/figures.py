"""What the simulated people saw: counters, durations, the age of positions, holes in topics, orders by outcome."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import ceil, log

#: Buckets grow by 4 %: a percentile is off by no more than that, in bounded memory whatever the load.
GROWTH = 1.04
_SMALLEST = 0.01
MOST_BUCKETS = 700
MOST_FIXES_PER_RUNNER = 256
MOST_ORDERS = 200_000
MOST_PROBLEMS = 200


class Durations:
    """A histogram of durations of one unit."""

    __slots__ = ("_buckets", "count", "highest", "total")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0
        self.highest = 0.0

    def add(self, value: float) -> None:
        value = max(0.0, value)
        index = 0 if value <= _SMALLEST else min(MOST_BUCKETS, ceil(log(value / _SMALLEST) / log(GROWTH)))
        self._buckets[index] += 1
        self.count += 1
        self.total += value
        self.highest = max(self.highest, value)

    def percentile(self, share: float) -> float:
        """The value that ``share`` (0..1) of all do not exceed; 0 when there are none."""
        rank, seen = ceil(share * self.count), 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= rank:
                return min(_SMALLEST * GROWTH**index, self.highest)
        return 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """(upper bound, count), ascending."""
        return [(_SMALLEST * GROWTH**index, self._buckets[index]) for index in sorted(self._buckets)]

    def summary(self) -> dict[str, float]:
        p50, p95, p99 = (round(self.percentile(share), 2) for share in (0.5, 0.95, 0.99))
        return {"n": self.count, "p50": p50, "p95": p95, "p99": p99, "max": round(self.highest, 2)}


@dataclass(slots=True)
class OrderSeen:
    """One order as its people saw it; times are business milliseconds."""

    status: str = "awaiting_payment"
    placed_at_ms: int = 0
    offers: int = 0
    paid_at_ms: float = 0.0
    assigned_at_ms: float = 0.0
    delivered_at_ms: float = 0.0


@dataclass(slots=True)
class Usage:
    """One reading of one server process."""

    at_s: float
    role: str
    pid: int
    cpu_s: float
    rss_bytes: int


@dataclass(slots=True)
class Figures:
    """Everything measured in one run. ``watch``: real seconds on one clock, for send and receipt alike."""

    watch: Callable[[], float]
    counts: Counter[str] = field(default_factory=Counter)
    refused_fixes: Counter[str] = field(default_factory=Counter)
    calls: dict[str, Durations] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    ages_ms: Durations = field(default_factory=Durations)
    assign_s: Durations = field(default_factory=Durations)
    deliver_s: Durations = field(default_factory=Durations)
    pay_ms: Durations = field(default_factory=Durations)
    orders: OrderedDict[str, OrderSeen] = field(default_factory=OrderedDict)
    usage: list[Usage] = field(default_factory=list)
    per_second: dict[int, Counter[str]] = field(default_factory=dict)
    age_series: dict[int, Durations] = field(default_factory=dict)
    started_s: float = 0.0
    _sent: dict[str, OrderedDict[int, float]] = field(default_factory=dict)
    _paying: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        self.started_s = self.watch()

    def tick(self, name: str, count: int = 1) -> None:
        """Count something, also per real second."""
        self.counts[name] += count
        second = int(self.watch() - self.started_s)
        self.per_second.setdefault(second, Counter())[name] += count

    def problem(self, text: str) -> None:
        if text in self.errors or len(self.errors) < MOST_PROBLEMS:
            self.errors[text] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)

    # --- HTTP

    def called(self, name: str, status: int, took_s: float, code: str, expected: Iterable[int]) -> None:
        self.calls.setdefault(name, Durations()).add(took_s * 1000)
        self.tick("http")
        if status >= 400 or status == 0:
            known = status in tuple(expected)
            self.counts["http_expected" if known else "http_errors"] += 1
            if not known:
                self.problem(f"{name}: {status} {code}".strip())

    # --- positions

    def fix_sent(self, runner_id: str, fixed_at_ms: int) -> None:
        self.tick("fixes_sent")
        sent = self._sent.setdefault(runner_id, OrderedDict())
        sent[fixed_at_ms] = self.watch()
        while len(sent) > MOST_FIXES_PER_RUNNER:
            sent.popitem(last=False)

    def seen(self, runner_id: str, fixed_at_ms: int) -> float | None:
        """A watcher received this fix; its age in real milliseconds, if it was sent from here."""
        self.tick("fixes_seen")
        sent = self._sent.get(runner_id)
        sent_s = sent.get(fixed_at_ms) if sent is not None else None
        if sent_s is None:
            return None
        now_s = self.watch()
        age_ms = (now_s - sent_s) * 1000
        self.ages_ms.add(age_ms)
        self.age_series.setdefault(int(now_s - self.started_s) // 5 * 5, Durations()).add(age_ms)
        return age_ms

    # --- orders

    def order(self, order_id: str) -> OrderSeen:
        found = self.orders.get(order_id)
        if found is None:
            found = self.orders[order_id] = OrderSeen()
            while len(self.orders) > MOST_ORDERS:
                self.orders.popitem(last=False)
        return found

    def note(self, kind: str, order_id: str, value: float | None, text: str, now_ms: int) -> None:
        """Something that a person noted."""
        if kind == "problem":
            self.problem(text)
            return
        self.tick(kind)
        if kind == "order_refused":
            self.problem(f"an order was refused: {text}")
        if not order_id:
            return
        order = self.order(order_id)
        at_ms = now_ms if value is None else value
        match kind:
            case "placed":
                order.placed_at_ms = now_ms
            case "status":
                order.status = text
            case "offered":
                order.offers += 1
            case "paying":
                self._paying[order_id] = self.watch()
            case "event_order_paid":
                order.paid_at_ms = at_ms
                paying_s = self._paying.pop(order_id, None)
                if paying_s is not None:
                    self.pay_ms.add((self.watch() - paying_s) * 1000)
            case "event_task_assigned" if not order.assigned_at_ms:
                order.assigned_at_ms = at_ms
                if order.paid_at_ms:
                    self.assign_s.add((at_ms - order.paid_at_ms) / 1000)
            case "event_order_delivered" if not order.delivered_at_ms:
                order.delivered_at_ms = at_ms
                self.deliver_s.add((at_ms - order.placed_at_ms) / 1000)

    def delivered_at_ms(self, order_id: str) -> float:
        """Business milliseconds; 0 for what was not delivered, or nobody told of."""
        order = self.orders.get(order_id)
        return order.delivered_at_ms if order is not None else 0.0

    def outcomes(self) -> dict[str, int]:
        return dict(Counter(order.status for order in self.orders.values()).most_common())


class TopicOrder:
    """Watches one follower's topics for holes and steps back in the numbering of events."""

    __slots__ = ("_at", "back", "doubled", "epochs", "holes")

    def __init__(self) -> None:
        self._at: dict[str, tuple[str, int]] = {}
        self.holes = self.back = self.doubled = self.epochs = 0

    def followed(self, topic: str, epoch: str, offset: int, *, is_recovered: bool) -> None:
        """A topic begins, or begins again behind a snapshot."""
        known = self._at.get(topic)
        if known is not None and known[0] != epoch:
            self.epochs += 1
        if not is_recovered or known is None:
            self._at[topic] = (epoch, offset)

    def event(self, topic: str, offset: int) -> bool:
        """Whether this event is new to the follower."""
        known = self._at.get(topic)
        if known is None:
            return True  # a last one of a topic that was just left
        epoch, last = known
        if offset <= last:
            self.doubled += offset == last
            self.back += offset < last
            return False
        self.holes += offset > last + 1
        self._at[topic] = (epoch, offset)
        return True

    def position(self, topic: str) -> tuple[str, int] | None:
        """(epoch, offset) to come back with."""
        return self._at.get(topic)

    def forget(self, topic: str) -> None:
        self._at.pop(topic, None)
