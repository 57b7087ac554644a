"""The one handler of all API routes: who, may they, what exactly, act, answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler, stream_request_body

from ..flow.context import Context
from ..model.errors import InvalidInput, Refusal, TooLarge
from ..model.views import SessionView
from .decoding import check_key, check_media, decode_body, decode_query
from .documents import Documents
from .errors import Failure, failure_of
from .headers import WebSettings, set_security_headers
from .idempotency import KeptAnswers, request_hash
from .route import Accepted, Anyone, Call, Raw, Route, check_permission
from .sessions import DEFAULT_SLOT, LiveSessions, device_of, end_cookies, name_device, put_cookies, read_caller
from .under_way import UnderWay

_log = logging.getLogger(__name__)

#: The body of a refused request is read and thrown away up to this size; whoever sends more is cut off.
_SWALLOW = 8_000_000
_encode = msgspec.json.Encoder().encode


@stream_request_body
class ApiHandler(RequestHandler):
    """Serves one path of the table, in all of its methods."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")

    def initialize(
        self,
        routes: Mapping[str, Route],
        ctx: Context,
        settings: WebSettings,
        live: LiveSessions,
        kept: KeptAnswers,
        documents: Documents,
        under_way: UnderWay,
    ) -> None:
        """What the application hands over: its context and this path's routes by method."""
        self._routes = routes
        self._ctx = ctx
        self._settings = settings
        self._live = live
        self._kept = kept
        self._documents = documents
        self._under_way = under_way
        self._is_counted = self._is_served = False
        self._received = bytearray()
        self._refused: Failure | None = None
        self._route: Route | None = None
        self._call: Call | None = None

    def set_default_headers(self) -> None:
        set_security_headers(self, cast(WebSettings, self.application.settings["web"]))
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-store")

    # --- before the body --------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Finds the route and the caller and checks the permission, before a byte of the body counts.

        A refusal is kept until the body has been read and thrown away: Tornado closes the connection of whoever is
        answered while still sending, and the answer may be lost with it.
        """
        self._under_way.begin()
        self._is_counted = True
        method = "GET" if self.request.method == "HEAD" else self.request.method or ""
        self._route = self._routes.get(method)
        self._bound_body()
        try:
            if self._route is None:
                self._refused = self._wrong_method()
            else:
                self._call = await self._admit(self._route)
                self._check_size(self._route)
        except Exception as fault:
            self._refused = failure_of(fault)
        if self._refused is not None and self._length() > _SWALLOW:
            self.set_header("Connection", "close")
            self._fail(self._refused)

    def _bound_body(self) -> None:
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(_SWALLOW)

    def _length(self) -> int:
        length = self.request.headers.get("Content-Length", "0")
        return int(length) if length.isdigit() else 0

    def _wrong_method(self) -> Failure:
        methods = [*self._routes, *(["HEAD"] if "GET" in self._routes else [])]
        failure = failure_of(None, status=405)
        return replace(failure, headers={"Allow": ", ".join(sorted(methods))})

    async def _admit(self, route: Route) -> Call:
        request, is_public = self.request, route.needs is Anyone.PUBLIC
        caller = read_caller(
            self._ctx.tokens, request.headers, request.cookies, request.method or "", is_public=is_public
        )
        who = caller.who
        if not is_public:
            if caller.refusal is not None:
                raise caller.refusal
            if who is not None:
                who = await self._live.current(who)
        check_permission(route.needs, who)
        return Call(
            ctx=self._ctx, documents=self._documents, who=who, path=dict(self.path_kwargs), query=None, body=None,
            key=None, ip=self.request.remote_ip or "", headers=self.request.headers, slot=caller.slot,
            refresh_cookie=caller.refresh_cookie, device=device_of(request.cookies),
        )  # fmt: skip

    def _check_size(self, route: Route) -> None:
        if self._length() > route.limit:
            raise TooLarge(limit_bytes=route.limit)

    def data_received(self, chunk: bytes) -> None:
        """Collects the body up to the route's limit."""
        if self._refused is not None or self._route is None:
            return
        if len(self._received) + len(chunk) > self._route.limit:
            self._refused = failure_of(TooLarge(limit_bytes=self._route.limit))
            self._received.clear()
            return
        self._received += chunk

    def on_finish(self) -> None:
        self._uncount()

    def on_connection_close(self) -> None:
        if not self._is_served:
            self._uncount()  # the rest of the body will never come

    def _uncount(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._under_way.end()

    # --- the request itself -----------------------------------------------------------------------------------------

    async def _serve(self, **_: str) -> None:
        self._is_served = True
        if self._under_way.is_draining:
            self.set_header("Connection", "close")
        if self._refused is not None:
            self._fail(self._refused)
            return
        assert self._route is not None and self._call is not None
        try:
            await self._act(self._route, self._call)
        except Exception as fault:
            self._fail(failure_of(fault))

    get = head = post = patch = put = delete = options = _serve

    async def _act(self, route: Route, call: Call) -> None:
        body = bytes(self._received)
        call.query = decode_query(self.request.query_arguments, route.query)
        self._read_body(route, call, body)
        call.key = self._key_of(route)
        if route.key == "optional" and call.key is not None:
            digest = request_hash(route.method, self.request.path, body)
            answer = await self._kept.once(call.me, call.key, digest, lambda: self._answer(route, call))
        else:
            answer = await self._answer(route, call)
        self._send(answer)

    def _read_body(self, route: Route, call: Call, body: bytes) -> None:
        if route.method == "GET":
            if body:
                raise InvalidInput("a GET takes no body")
            return
        headers = self.request.headers
        if not route.takes_json:
            if route.media:
                check_media(headers.get("Content-Type", ""), route.media, headers.get("Content-Encoding", ""))
            call.body = body
            return
        if body:
            check_media(
                headers.get("Content-Type", "application/json"), route.media, headers.get("Content-Encoding", "")
            )
        call.body = decode_body(body, route.request)

    def _key_of(self, route: Route) -> str | None:
        given = self.request.headers.get("Idempotency-Key")
        if route.key == "":
            return None
        if route.key == "flow" and given is None:
            raise InvalidInput("this request needs a key of yours", field="Idempotency-Key")
        return check_key(given)

    async def _answer(self, route: Route, call: Call) -> bytes:
        """The answer as one piece of bytes, so that it can be kept: status, media type, a blank, the body."""
        outcome = await route.run(call)
        if isinstance(outcome, SessionView):
            outcome = self._session(call, outcome)
        if call.cookies is False:
            end_cookies(self, call.slot or DEFAULT_SLOT)
        if call.who is not None and (call.cookies is not None or call.is_session_changed):
            self._live.forget(call.who.session_id)
        if isinstance(outcome, Raw):
            for name, value in outcome.headers.items():
                self.set_header(name, value)
            return _packed(outcome.status, outcome.content_type, outcome.body)
        if route.answer is None:
            return _packed(route.status if route.status != 200 else 204, "", b"")
        return _packed(
            route.status, "application/json; charset=utf-8", _encode(Accepted() if outcome is None else outcome)
        )

    def _session(self, call: Call, view: SessionView) -> SessionView:
        if not call.cookies:
            return view
        name_device(self, is_secure=self._settings.is_tls)
        return put_cookies(self, self._ctx.tokens, call.slot or DEFAULT_SLOT, view, is_secure=self._settings.is_tls)

    def _send(self, answer: bytes) -> None:
        status, content_type, body = _unpacked(answer)
        self.set_status(status)
        if status == 304 or status == 204:
            self.clear_header("Content-Type")
            self.finish()
            return
        self.set_header("Content-Type", content_type)
        self.finish(body)

    # --- errors -----------------------------------------------------------------------------------------------------

    def _fail(self, failure: Failure) -> None:
        self.set_status(failure.status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        for name, value in failure.headers.items():
            self.set_header(name, value)
        self.finish(failure.body())

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What Tornado itself refuses takes the same form."""
        exc_info = kwargs.get("exc_info")
        self._fail(failure_of(exc_info[1] if exc_info else None, status=status_code))

    def log_exception(self, typ: object, value: BaseException | None, tb: object) -> None:
        """Faults are logged once, by ``failure_of``."""
        if isinstance(value, Refusal):
            return

    def compute_etag(self) -> None:
        """Answers are not cached; those that are name their own tag."""
        return


def _packed(status: int, content_type: str, body: bytes) -> bytes:
    return b"%d %s\n%s" % (status, content_type.encode(), body)


def _unpacked(answer: bytes) -> tuple[int, str, bytes]:
    head, _, body = answer.partition(b"\n")
    status, _, content_type = head.decode().partition(" ")
    return int(status), content_type, body
