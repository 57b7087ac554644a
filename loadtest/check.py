"""The checker: has every order an end or an owner, had no task two runners, is every fen where it should be?

Written apart from the server: plain SQL and arithmetic, no code of ``dispatch`` or ``payments``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .books import Books, Row, grouped

ENDED = ("settled", "closed")
HELD_TASK = ("assigned", "at_pickup", "carrying", "at_dropoff")
NEVER_BELOW_ZERO = ("escrow:", "runner:", "student:", "campus:", "returning:", "owed:", "suspense")
MOST_FAULTS = 20


@dataclass(slots=True)
class Finding:
    """One rule: what it says, how many things were looked at, and what broke it."""

    rule: str
    checked: int = 0
    faults: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.faults

    def line(self) -> str:
        mark = "ok   " if self.is_ok else "FAULT"
        more = f" ({self.note})" if self.note else ""
        return f"{mark} {self.rule}: {self.checked} checked, {len(self.faults)} faults{more}"


Rule = Callable[[Books], Finding]


def check(
    folder: Path | None = None, database_url: str = "", payments_url: str = "", *, has_bank: bool = True
) -> list[Finding]:
    """Every rule over the books of one server, running or not; what is compared with the demonstration institution's
    only where it keeps the money."""
    with Books(folder, database_url, payments_url, has_bank=has_bank) as books:
        return [rule(books) for rule in RULES if has_bank or rule is not mirror]


def printed(findings: list[Finding]) -> str:
    lines: list[str] = []
    for finding in findings:
        lines.append(finding.line())
        lines += [f"      {fault}" for fault in finding.faults[:MOST_FAULTS]]
    return "\n".join(lines)


def end_or_owner(books: Books) -> Finding:
    """Terminal, or somebody or something is there that moves it on."""
    found = Finding("every order has ended or has a live owner")
    tasks = {task["order_id"]: task for task in books.tasks()}
    jobs = {(job["kind"], job["subject_id"]) for job in books.jobs()}
    commands = {(command["kind"], command["order_id"]) for command in books.commands()}
    statuses: Counter[str] = Counter()
    for order in books.orders():
        found.checked += 1
        statuses[order["status"]] += 1
        fault = _unowned(order, tasks.get(order["id"]), jobs, commands)
        if fault:
            found.faults.append(f"{order['id']} is {order['status']}: {fault}")
    found.note = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    return found


def _unowned(order: Row, task: Row | None, jobs: set[tuple[str, str]], commands: set[tuple[str, str]]) -> str:
    order_id, status = order["id"], order["status"]
    if status in ENDED:
        return "its task is not over" if task and task["status"] not in ("done", "cancelled") else ""
    if status == "awaiting_payment":
        return "" if ("expire_unpaid", order_id) in jobs else "nothing ends it when nobody pays"
    if status == "open":
        return "" if task and task["status"] in ("open", "offered") else "no task that somebody could take"
    if status in ("assigned", "carrying"):
        if not task or task["status"] not in HELD_TASK:
            return "no task that somebody carries"
        same = order["runner_id"] and order["runner_id"] == task["runner_id"]
        return "" if same else f"the order says {order['runner_id']}, the task {task['runner_id']}"
    if status == "delivered":
        return "" if ("auto_confirm", order_id) in jobs else "nothing confirms it"
    if status == "confirmed":
        return "" if ("settle", order_id) in jobs or ("Settle", order_id) in commands else "nothing settles it"
    if status == "cancelled":
        told = ("Release", order_id) in commands or ("Settle", order_id) in commands
        return "" if told else "nothing gives the money back"
    return "no such status"


def one_runner(books: Books) -> Finding:
    """The events of each order played again: a task has one runner at a time, and only that one acts."""
    found = Finding("no task ever had two runners")
    handed = 0
    for order_id, events in grouped(books.events(), "subject_id").items():
        found.checked += 1
        owner: str | None = None
        for event in events:
            fault, owner = _replayed(owner, event)
            handed += event["kind"] == "task_reassigned"
            if fault:
                found.faults.append(f"{order_id} at version {event['version']}: {fault}")
    pending = Counter(offer["task_id"] for offer in books.offers() if offer["status"] == "pending")
    found.faults += [f"{task} has {count} offers at once" for task, count in pending.items() if count > 1]
    offered = Counter((offer["task_id"], offer["runner_id"]) for offer in books.offers())
    found.faults += [f"{task} offered {count} times to {who}" for (task, who), count in offered.items() if count > 1]
    found.note = f"{handed} handed from one to another"
    return found


def _replayed(owner: str | None, event: Row) -> tuple[str, str | None]:
    kind, runner, former = event["kind"], event["runner_id"], event["former_runner_id"]
    if kind in ("task_assigned", "task_reassigned"):
        if owner is not None and former != owner and runner != owner:
            return f"{runner} got it while {owner} had it", runner
        return "", runner
    if kind == "task_reopened":
        return ("" if former == owner or runner == owner else f"taken from {former}, but {owner} had it"), None
    if kind in ("runner_arrived", "order_picked_up", "order_delivered"):
        return ("" if event["actor_id"] == owner else f"{kind} by {event['actor_id']}, but {owner} had it"), owner
    return "", None if kind == "order_cancelled" else owner


def money_adds_up(books: Books) -> Finding:
    """Per order: held = captured + released + refunded once it has ended, and the order says what the ledger says."""
    found = Finding("held = captured + released + refunded, and escrow 0, per ended order")
    entries = grouped(books.entries(), "order_ref")
    totals: Counter[str] = Counter()
    for order in books.orders():
        found.checked += 1
        sums = _sums(entries.get(order["id"], []))
        told = {name: order[f"{name}_fen"] for name in ("held", "captured", "released", "refunded")}
        totals.update(sums)
        if order["status"] not in ENDED:
            continue
        if sums["held"] != sums["captured"] + sums["released"] + sums["refunded"]:
            found.faults.append(f"{order['id']}: the ledger says {dict(sums)}")
        if sums["escrow"]:
            found.faults.append(f"{order['id']}: {sums['escrow']} fen are left in escrow")
        if any(told[name] != sums[name] for name in told):
            found.faults.append(f"{order['id']}: the order says {told}, the ledger {dict(sums)}")
    found.note = ", ".join(
        f"{name} {totals[name] / 100:.2f} yuan" for name in ("held", "captured", "released", "refunded")
    )
    return found


def _sums(entries: list[Row]) -> Counter[str]:
    """What one order's entries add up to; captured is the payer's money, net of what was given back after it."""
    sums: Counter[str] = Counter()
    for entry in entries:
        amount = int(entry["amount_fen"])
        match entry["kind"]:
            case "hold":
                sums["held"] += amount
            case "capture":
                sums["captured"] += amount
            case "subsidy":
                sums["captured"] -= amount
            case "release":
                sums["released"] += amount
            case "refund":
                sums["refunded"] += amount
                sums["captured"] -= amount
        sums["escrow"] += amount * (entry["credit"].startswith("escrow:") - entry["debit"].startswith("escrow:"))
    return sums


def floors(books: Books) -> Finding:
    """Entry by entry: no account that may never owe is ever below zero, and all accounts together are zero."""
    found = Finding("no account is ever under its floor")
    balances: defaultdict[str, int] = defaultdict(int)
    for entry in books.entries():
        found.checked += 1
        debit, amount = entry["debit"], int(entry["amount_fen"])
        balances[debit] -= amount
        balances[entry["credit"]] += amount
        if debit.startswith(NEVER_BELOW_ZERO) and balances[debit] < 0:
            found.faults.append(f"{debit} was at {balances[debit]} fen after entry {entry['seq']}")
    if sum(balances.values()):
        found.faults.append(f"all accounts together hold {sum(balances.values())} fen instead of none")
    found.note = f"{len(balances)} accounts"
    return found


def mirror(books: Books) -> Finding:
    """Our ledger and the institution's own books, order by order (an attempt's id is its number there). A runner's part
    stays in its keeping after the order has ended, until it is withdrawn: what it has frozen is ours to the fen."""
    found = Finding("our mirror equals the institution's books")
    ours = grouped(books.entries(), "attempt_id")
    theirs = {row["out_no"]: row for row in books.bank_orders()}
    moving = books.instructions_under_way()
    states = {row["id"]: row["state"] for row in books.attempts()}
    waiting = 0
    for out_no in sorted(set(theirs) | {attempt for attempt in ours if attempt}):
        found.checked += 1
        here = _mirrored(ours.get(out_no, []))
        there = _booked(theirs.get(out_no))
        if here == there:
            continue
        # Told but not yet confirmed, or paid a moment ago: one side knows it first.
        if out_no in moving or states.get(out_no) in ("creating", "issued", "closing", "unknown"):
            waiting += 1
            continue
        found.faults.append(f"{out_no}: we have {here}, they have {there}")
    found.note = f"{waiting} under way" if waiting else "all at rest"
    return found


def _mirrored(entries: list[Row]) -> dict[str, int]:
    sums = {"paid": 0, "split": 0, "returned": 0, "refunded": 0}
    for entry in entries:
        name, sign = _at_the_institution(entry)
        if name:
            sums[name] += sign * int(entry["amount_fen"])
    sums["frozen"] = sums["paid"] - sums["split"] - sums["returned"]
    return sums


def _at_the_institution(entry: Row) -> tuple[str, int]:
    """What an entry of ours is in the institution's books."""
    debit, credit = entry["debit"], entry["credit"]
    match entry["kind"]:
        case "pay_in" | "duplicate":
            return "paid", 1
        case "release" | "duplicate_back":
            return "returned", 1
        case "refund":
            # Out of what is in its keeping again, or out of the platform's pocket.
            return ("returned" if debit.startswith("returning:") else "refunded"), 1
        case "capture":
            # A runner's part is split when it is withdrawn; what is only owed never is.
            return ("" if credit.startswith(("runner:", "owed:")) else "split"), 1
        case "withdraw":
            return "split", 1
        case "take_back":
            return "split", -1
        case "subsidy_borne":
            return "split", -1
    return "", 0


def _booked(row: Row | None) -> dict[str, int]:
    names = ("paid", "split", "returned", "refunded", "frozen")
    return {name: int(row[f"{name}_fen"]) if row else 0 for name in names}


def intents_match(books: Books) -> Finding:
    """Every order that was placed has its intent, and every intent its order."""
    found = Finding("orders and payment intents match one to one")
    intents = Counter(intent["order_ref"] for intent in books.intents())
    orders = {order["id"]: order for order in books.orders()}
    opened = {command["order_id"] for command in books.commands() if command["kind"] == "OpenIntent"}
    for order_id, order in orders.items():
        found.checked += 1
        if intents[order_id] != 1 and not (order["status"] == "awaiting_payment" and order_id in opened):
            found.faults.append(f"{order_id} ({order['status']}) has {intents[order_id]} intents")
    found.faults += [f"an intent of {order_ref}, which is no order" for order_ref in intents if order_ref not in orders]
    return found


def audited(books: Books) -> Finding:
    """Every forced reassignment stands in the audit log with its reason."""
    found = Finding("every reassignment is audited with a reason")
    forced = Counter(e["subject_id"] for e in books.events() if e["kind"] == "task_reassigned")
    actions = [row for row in books.audit_actions() if "reassign" in row["action"]]
    written = Counter(row["subject"] for row in actions)
    for order_id, count in forced.items():
        found.checked += count
        if written[order_id] < count:
            found.faults.append(f"{order_id}: {count} reassignments, {written[order_id]} in the audit log")
    found.faults += [f"{row['subject']}: {row['action']} without a reason" for row in actions if not row["reason"]]
    return found


def coupons_once(books: Books) -> Finding:
    """A coupon has at most one order and an order one coupon; what somebody added to an order is a coupon's, and no
    more than that is worth."""
    found = Finding("every coupon is used once, and every subsidy is a coupon's")
    statuses = {order["id"]: order["status"] for order in books.orders()}
    worth: dict[str, int] = {}
    states: Counter[str] = Counter()
    for coupon in books.coupons():
        found.checked += 1
        state, order_id = coupon["state"], coupon["order_id"]
        states[state] += 1
        if state not in ("reserved", "used"):
            continue
        if order_id in worth:
            found.faults.append(f"{order_id} has {coupon['id']} and another one")
        worth[order_id] = int(coupon["amount_fen"])
        if (statuses.get(order_id) == "awaiting_payment") != (state == "reserved"):
            found.faults.append(f"{coupon['id']} is {state}, its order {statuses.get(order_id)}")
    added: Counter[str] = Counter()
    for entry in books.entries():
        if entry["kind"] == "subsidy":
            added[entry["order_ref"]] += int(entry["amount_fen"])
    for order_id, fen in added.items():
        if fen > worth.get(order_id, 0):
            found.faults.append(f"{order_id}: {fen} fen were added, its coupon is worth {worth.get(order_id, 0)}")
    borne = f"{added.total() / 100:.2f} yuan borne"
    found.note = ", ".join([*(f"{count} {state}" for state, count in states.most_common()), borne])
    return found


RULES: tuple[Rule, ...] = (
    end_or_owner, one_runner, money_adds_up, floors, mirror, intents_match, audited, coupons_once,
)  # fmt: skip
