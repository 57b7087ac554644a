"""Calls the merchant: each notice is sent, signed anew, until it is heard or the provider's own ladder ends."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping

import aiohttp

from payments.simulator import events
from payments.simulator.books import MAX_TRIES
from payments.simulator.desk import Desk
from payments.simulator.faults import Fault, FaultName
from payments.simulator.order_book import NoticeBook
from payments.simulator.protocol import ProviderProtocol, Twist

#: Notices that may be under way at a time; further ones wait.
CONCURRENT = 32
#: So much of a merchant's answer is read, and so much of it is kept for the page.
ANSWER_BYTES = 4096
KEPT_CHARS = 200
#: How long one that is to be overtaken waits for another, in the provider's own seconds.
OVERTAKEN_S = 30.0


class Notifier:
    """Sends what the books say is due."""

    def __init__(self, desk: Desk, protocols: Mapping[str, ProviderProtocol]) -> None:
        self._desk = desk
        self._protocols = protocols
        self._session: aiohttp.ClientSession | None = None
        self._free = asyncio.Semaphore(CONCURRENT)
        self._under_way: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._due: list[tuple[float, str]] = []
        #: Those that wait until another one has been sent.
        self._overtaken: set[str] = set()
        desk.books.on_notice = self._note
        for notice in desk.books.notices.values():
            self._note(notice)

    def _note(self, notice: NoticeBook) -> None:
        if notice.due_at_s is not None:
            heapq.heappush(self._due, (notice.due_at_s, notice.queued.notice_id))

    async def start(self) -> None:
        """Open the client."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENT), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def stop(self) -> None:
        """Stop sending; what was not heard is still due after a restart."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def begin_due(self) -> int:
        """Begin to send what is due now; how many."""
        now_s = self._desk.clock.wall_s()
        begun = 0
        while self._due and self._due[0][0] <= now_s:
            due_at_s, notice_id = heapq.heappop(self._due)
            notice = self._desk.books.notices[notice_id]
            if notice.due_at_s == due_at_s and notice_id not in self._under_way:
                self._begin(notice)
                begun += 1
        return begun

    def _begin(self, notice: NoticeBook) -> None:
        self._under_way.add(notice.queued.notice_id)
        task = asyncio.get_running_loop().create_task(self._try(notice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send_now(self, key: events.OrderKey) -> None:
        """Send everything that waits about an order, and wait until it has been answered."""
        waiting = [n for n in self._desk.books.notices_of(key) if n.due_at_s is not None]
        mine = [n for n in waiting if n.queued.notice_id not in self._under_way]
        # At once, or the next tick begins them, too, before they have begun.
        self._under_way.update(n.queued.notice_id for n in mine)
        await asyncio.gather(*(self._try(n) for n in mine))

    async def resend(self, notice_id: str) -> bool:
        """Send one once more by hand; False when there is none, or it was sent too often."""
        notice = self._desk.books.notices.get(notice_id)
        if notice is None or len(notice.tries) >= MAX_TRIES or notice_id in self._under_way:
            return False
        await self._try(notice)
        return True

    async def _try(self, notice: NoticeBook) -> None:
        queued = notice.queued
        self._under_way.add(queued.notice_id)
        try:
            if self._waits_to_be_overtaken(notice):
                return
            async with self._free:
                await self._send(notice)
            self._let_overtaken_go(queued.notice_id)
        finally:
            self._under_way.discard(queued.notice_id)

    def _waits_to_be_overtaken(self, notice: NoticeBook) -> bool:
        notice_id = notice.queued.notice_id
        if notice_id in self._overtaken:
            self._overtaken.discard(notice_id)
            return False
        if self._fires("notice_reordered", notice) is None:
            return False
        self._overtaken.add(notice_id)
        # It goes at the latest after a while: perhaps there is no other one.
        latest_s = self._desk.clock.wall_s() + self._desk.clock.hastened_s(OVERTAKEN_S)
        notice.due_at_s = latest_s
        heapq.heappush(self._due, (latest_s, notice_id))
        return True

    def _let_overtaken_go(self, sent_id: str) -> None:
        now_s = self._desk.clock.wall_s()
        for notice_id in self._overtaken - {sent_id}:
            notice = self._desk.books.notices[notice_id]
            notice.due_at_s = now_s
            heapq.heappush(self._due, (now_s, notice_id))

    async def _send(self, notice: NoticeBook) -> None:
        protocol = self._protocols[notice.queued.institution]
        if self._fires("notice_lost", notice) is not None:
            self._book(notice, protocol, 0, "lost on the way", is_heard=False)
            return
        if self._fires("notice_probe", notice) is not None:
            await self._post(notice, protocol, Twist(is_probe=True))
        skewed = self._fires("clock_skewed", notice)
        twist = Twist(
            is_wrong=self._fires("bad_signature", notice) is not None,
            skew_s=float(skewed.number) if skewed else 0.0,
            is_other_key=self._fires("notice_other_key", notice) is not None,
        )
        if self._fires("notice_doubled", notice) is not None:
            answers = await asyncio.gather(*(self._post(notice, protocol, twist) for _ in range(2)))
            status, body = answers[-1]
        else:
            status, body = await self._post(notice, protocol, twist)
        is_heard = status > 0 and protocol.is_heard(status, body)
        self._book(notice, protocol, status, body.decode("utf-8", "replace")[:KEPT_CHARS], is_heard=is_heard)

    def _fires(self, name: FaultName, notice: NoticeBook) -> Fault | None:
        return self._desk.faults.fires(name, notice.queued.channel, "notify", notice.queued.key.number)

    async def _post(self, notice: NoticeBook, protocol: ProviderProtocol, twist: Twist) -> tuple[int, bytes]:
        """The merchant's answer; (0, why) when none came."""
        assert self._session is not None, "the notifier was started"
        letter = protocol.letter(notice, twist)
        timeout = aiohttp.ClientTimeout(total=protocol.patience_s)
        try:
            async with self._session.post(
                notice.queued.url, data=letter.body, headers=letter.headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await response.content.read(ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, (str(error) or type(error).__name__).encode()

    def _book(
        self, notice: NoticeBook, protocol: ProviderProtocol, status: int, answer: str, *, is_heard: bool
    ) -> None:
        sent = len(notice.tries)
        is_over = is_heard or notice.is_heard or sent >= len(protocol.ladder_s)
        due_at_s = None
        if not is_over:
            due_at_s = self._desk.clock.wall_s() + self._desk.clock.hastened_s(protocol.ladder_s[sent])
        tried = events.NoticeTried(
            notice_id=notice.queued.notice_id, status=status, answer=answer, is_heard=is_heard, due_at_s=due_at_s
        )
        self._desk.books.book(tried)
        self._note(notice)
