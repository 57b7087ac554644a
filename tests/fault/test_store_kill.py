"""Processes that are killed in the middle of writing, and processes that write at the same time, on real databases."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from dispatch.model import ids
from dispatch.model.money import Fen
from dispatch.model.order import Order, OrderStatus
from dispatch.model.quote import Quote
from dispatch.model.task import Task, TaskStatus
from dispatch.store.store import Store
from dispatch.store.unit_of_work import UnitOfWork
from dispatch.store.vault import Vault

PROJECT = Path(__file__).resolve().parents[2]
CAMPUS = "cmp_1"
ORDERS = 5

#: What a worker does for ever: moves orders on, each with its task, an event, a command and a job, several at a time.
WORKER = """
import asyncio, os, sys
from dataclasses import replace
from datetime import UTC, datetime
from dispatch.model import ids
from dispatch.model.event import Event, EventKind
from dispatch.store.store import Store
from dispatch.store.vault import Vault

url, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
now = lambda: datetime.now(UTC)
new_id = lambda prefix: ids.make_id(prefix, now(), os.urandom(10))
store = Store(url, now=now, new_id=new_id, vault=Vault({"k": b"k" * 32}, "k", b"l" * 32))

def move(order_id):
    def fn(uow):
        task = uow.tasks.get(order_id)
        version = task.version + 1
        uow.tasks.save(replace(task, version=version))
        uow.outbox.add(Event(new_id("evt"), "cmp_1", EventKind.ORDER_PAID, order_id, version, uow.now, {"by": name}))
        uow.commands.add(f"cmd_{order_id}_{version}", order_id, "Settle", b"body")
        uow.jobs.schedule("settle", f"{order_id}_{version}", uow.now)
    return fn

async def main():
    await store.start()
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    until, longest, done = loop.time() + seconds, 0.0, 0
    while loop.time() < until:
        began = loop.time()
        await asyncio.gather(*(store.run("cmp_1", move(f"tsk_{n}")) for n in range(5)))
        longest, done = max(longest, loop.time() - began), done + 5
    print(done, longest, flush=True)
    await store.stop()

asyncio.run(main())
"""


def open_store(url: str) -> Store:
    numbers = itertools.count()

    def new_id(prefix: str) -> str:
        return ids.make_id(prefix, datetime.now(UTC), next(numbers).to_bytes(10, "big"))

    return Store(url, now=lambda: datetime.now(UTC), new_id=new_id, vault=Vault({"k": b"k" * 32}, "k", b"l" * 32))


def fill(uow: UnitOfWork) -> None:
    """The orders and tasks that the workers move on."""
    quote = Quote((), Fen(0), Fen(0), 0, 0, uow.now, uow.now)
    for n in range(ORDERS):
        order_id = f"ord_{n}"
        uow.orders.insert(
            Order(order_id, CAMPUS, "acc_1", "parcel", OrderStatus.OPEN, 1, quote, (), "", 0, uow.now, uow.now)
        )
        uow.tasks.insert(Task(f"tsk_{n}", CAMPUS, order_id, TaskStatus.OPEN, 1, None, uow.now))


def start_worker(url: str, name: str, seconds: float) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, name, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    return worker


def check(uow: UnitOfWork) -> int:
    """Every move left its four traces, or none; how many moves there were."""
    moves = 0
    for n in range(ORDERS):
        version = uow.tasks.get(f"tsk_{n}").version
        events = uow.outbox.timeline(f"tsk_{n}", 100_000)
        assert [event.version for event in events] == list(range(2, version + 1))
        for made in range(2, version + 1):
            assert uow.jobs.due_at("settle", f"tsk_{n}_{made}") is not None
        moves += version - 1
    return moves


async def test_a_writer_killed_at_any_moment_leaves_whole_transactions_only(sql_url: str) -> None:
    store = open_store(sql_url)
    store.migrate()
    await store.start()
    await store.run(CAMPUS, fill)
    luck = random.Random(20_261_102)
    moves = 0
    for n in range(4):
        worker = start_worker(sql_url, f"w{n}", 60)
        before, deadline = moves, time.monotonic() + 20
        while moves <= before:
            await asyncio.sleep(luck.uniform(0.05, 0.2))
            moves = await store.read(CAMPUS, check)
            assert time.monotonic() < deadline
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        moves = await store.read(CAMPUS, check)
        commands = await store.read_global(lambda unit: unit.commands.unsent(1_000_000))
        assert len(commands) == len({command_id for command_id, _, _ in commands}) == moves
    await store.run(CAMPUS, lambda uow: uow.jobs.schedule("settle", "after", uow.now))
    await store.stop()


async def test_processes_that_write_at_once_lose_nothing_and_none_starves(sql_url: str) -> None:
    store = open_store(sql_url)
    store.migrate()
    await store.start()
    await store.run(CAMPUS, fill)
    workers = [start_worker(sql_url, f"w{n}", 2.0) for n in range(3)]
    reports = [(await asyncio.to_thread(worker.communicate))[0].split() for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    assert await store.read(CAMPUS, check) == sum(int(done) for done, _ in reports)

    def by_worker(uow: UnitOfWork) -> Counter[str]:
        return Counter(
            str(event.payload["by"]) for n in range(ORDERS) for event in uow.outbox.timeline(f"tsk_{n}", 100_000)
        )

    shares = await store.read(CAMPUS, by_worker)
    assert len(shares) == 3 and min(shares.values()) >= 5
    assert max(float(longest) for _, longest in reports) < 5.0
    print(sql_url.partition(":")[0], dict(shares), reports)
    await store.stop()
