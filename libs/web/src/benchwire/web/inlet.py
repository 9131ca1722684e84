"""HTTP as it comes in: what uvicorn's protocol takes without a limit, taken within those of the gate.

A head has a size and a time in which it has to be there; a body has a least speed; one connection does not ask for much before it has its
answers. What could be read in two ways, so that a proxy before us might see another call than we do, is refused. Each refusal that HTTP still
allows is an answer of the shape that all others have.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from benchwire.web.gate import Gate
from benchwire.web.heads import CLOSER_LOOK, check_header, check_target, check_version, without_offer
from benchwire.web.onepiece import OnePiece
from benchwire.web.refusal import Refused

_MOST_WAITING = 32  # calls on one connection that came before their turn
_LINGER_S = 2.0  # with who was refused: closed at once, a connection loses what it has still to say
_MOST_UNREAD_BYTES = 4 << 20


class Inlet(HttpToolsProtocol):
    """uvicorn's protocol, with the limits of ``gate``."""

    kind = "http"

    def __init__(self, *args: Any, gate: Gate, **more: Any) -> None:
        super().__init__(*args, **more)
        self._gate = gate
        self._limits = gate.settings
        self._refused: Refused | None = None  # from the beginning, and to be told when the client speaks
        self._answering: RequestResponseCycle | None = None
        self._writing: OnePiece | None = None
        self._is_over = False  # nothing is read any more
        self._is_in_head = True
        self._has_begun = False
        self._is_offer = False  # of a protocol that is not spoken here
        self._given: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._other_bytes = 0
        self._chunk_bytes = 0
        self._body_bytes = 0
        self._body_bytes_before = 0  # when the time of this state began
        self._unread_bytes = 0
        self._passed_s = 0.0  # in this state
        self.url = b""
        self.headers = []

    # The connection

    def connection_made(self, transport: Any) -> None:
        """Begins, if the gate has room."""
        super().connection_made(transport)
        self._refused = self._gate.enter(self, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._gate.leave(self.transport)
        self._let_go()
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Ends at once."""
        self._let_go()
        self.transport.abort()

    def _let_go(self) -> None:
        """Tells whoever makes an answer that nobody takes it; uvicorn tells the one of the newest call only."""
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        self._writing = OnePiece(self.transport, self.loop)
        cycle.transport = cast("asyncio.Transport", self._writing)
        super()._start_asgi_task(cycle, app)

    def look(self, passed_s: float) -> None:
        """Ends what takes too long to come."""
        self._passed_s += passed_s
        limits, has_answers = self._limits, self._has_answers
        if self._is_over or self._refused is not None:
            if has_answers and self._passed_s > _LINGER_S:
                self._end_lingering()
        elif self._is_in_head:
            if has_answers and self._passed_s > limits.head_within_s:
                self._end_slow_head()
        elif has_answers:  # what is left of a body that nobody wants
            if self._passed_s > limits.slow_for_s:
                self._gate.count("body_unwanted")
                self.transport.close()
        elif self.flow.read_paused:  # it is us who do not read
            self._passed_s -= passed_s
        elif self._passed_s > limits.slow_for_s:
            if self._body_bytes - self._body_bytes_before < self._passed_s * limits.slowest_bytes_per_s:
                self._refuse(Refused(*_SLOW_BODY))
            self._passed_s, self._body_bytes_before = 0.0, self._body_bytes

    def _end_lingering(self) -> None:
        if self._refused is not None and not self._is_over:  # never said a word, so that there was nothing to answer
            self._gate.count(self._refused.reason)
            self._is_over = True
        self.transport.close()

    def _end_slow_head(self) -> None:
        if self._has_begun:
            self._refuse(Refused(*_SLOW_HEAD))
        else:  # nobody has asked for anything: browsers open connections that they may need
            self._gate.count("idle")
            self.transport.close()

    @property
    def _has_answers(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or self.cycle.disconnected

    # What comes in

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        self._unset_keepalive_if_required()
        if self._refused is not None and not self._is_over:
            self._refuse(self._refused)
        rest = data
        while rest and not self._is_over:
            rest = self._read(rest)
        if self._is_over:
            self._unread_bytes += len(data)
            if self._unread_bytes > _MOST_UNREAD_BYTES:
                self.cut_off()

    def _read(self, data: bytes) -> bytes:
        """Reads ``data``; what is to be read once more is returned."""
        self._chunk_bytes = len(data)
        before = self._body_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(error.__context__ if isinstance(error.__context__, Refused) else Refused(*_MALFORMED))
            return b""
        if self._body_bytes != before:
            self._head_bytes = 0
        else:  # the head, or what chunks say of themselves, or what stands behind them
            self._head_bytes += len(data)
            if self._head_bytes - self._other_bytes > self._limits.head_limit_bytes:
                self._refuse(self._too_large() if self._is_in_head else Refused(*_MALFORMED))
        return b""

    def on_message_begin(self) -> None:
        """The first byte of a call."""
        if len(self.pipeline) >= _MOST_WAITING:
            raise Refused(*_MANY_AT_ONCE)
        super().on_message_begin()
        self._is_in_head = self._has_begun = True
        self._given = {}
        self._head_bytes = 0
        self._other_bytes = self._chunk_bytes  # of them, what may have been of the call before it

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the call. What comes behind a body is none: whoever looked at the headers has looked already."""
        if not self._is_in_head:
            return
        name = name.lower()
        if name in CLOSER_LOOK:
            check_header(name, value, self._given)
            self._given[name] = value
            if name == b"expect":
                self.expect_100_continue = value.strip().lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there; the call begins."""
        self._check_head()
        self._is_in_head = False
        self._head_bytes = self._other_bytes = self._body_bytes = self._body_bytes_before = 0
        self._passed_s = 0.0
        self._is_offer = self.parser.should_upgrade() and not self._should_upgrade()
        if not self._is_offer:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of the call; what follows is another."""
        if self._is_offer:
            return
        super().on_message_complete()
        self._is_in_head = True
        self._has_begun = False
        self._passed_s = 0.0

    def on_response_complete(self) -> None:
        """The end of the answer; the time for the next call begins."""
        self._passed_s = 0.0
        if self._writing is not None:  # what comes next is written by another
            self._writing.flush()
        super().on_response_complete()

    def _check_head(self) -> None:
        limits = self._limits
        if len(self.headers) > limits.head_limit_fields:
            raise Refused(431, f"a call may have {limits.head_limit_fields} headers at most", "head_too_large")
        if self._head_bytes + self._chunk_bytes > limits.head_limit_bytes:
            size_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size_bytes > limits.head_limit_bytes:
                raise self._too_large()
        check_version(self.parser.get_http_version(), self._given)
        if self.url[:1] != b"/":
            check_target(self.parser.get_method(), self.url, self._given.get(b"host", b""))

    def _too_large(self) -> Refused:
        limit = self._limits.head_limit_bytes
        if 2 * len(self.url) > limit:
            return Refused(414, f"the URL is too long: with the headers it may have {limit} bytes", "url_too_long")
        return Refused(431, f"the headers are too large: with the URL they may have {limit} bytes", "head_too_large")

    # Changing to something else than HTTP/1.1

    def _upgraded(self, rest: bytes) -> bytes:
        if self._is_offer:
            return self._head_without_upgrade() + rest
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        if has_body or not self._has_answers or self.parser.get_http_version() != "1.1":
            self._refuse(Refused(*_NO_HANDSHAKE))
        else:
            self.handle_websocket_upgrade()
        return b""

    def _head_without_upgrade(self) -> bytes:
        """The head once more, for a new parser: the old one took everything behind it for something else than HTTP.

        Some clients offer HTTP/2 with their first call, whatever it is, and mean it to be answered by who does not speak that.
        """
        head = without_offer(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head

    # Saying no

    def _refuse(self, refused: Refused) -> None:
        """Answers, if what stands in front of it is answered, and reads no more."""
        self._gate.count(refused.reason)
        self._is_over = True
        self._passed_s = 0.0
        if self._has_answers and self._is_in_head:
            self._answer(refused)
        elif self._has_answers:  # the call has its answer, and a second one would be taken for that of another
            self.transport.close()
        elif self._is_in_head:  # the calls before it have nothing to do with it
            self.cycle.keep_alive = False
        elif self.pipeline or self.cycle.response_started:
            self.cut_off()
        else:
            self._let_go()
            self._answer(refused)

    def _answer(self, refused: Refused) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(refused.written())
        self.transport.write_eof()


# Made anew each time that one is raised: an exception that is raised again grows.
_MALFORMED = (400, "this is no HTTP call, or one that could be read in two ways", "malformed")
_NO_HANDSHAKE = (
    400,
    "a WebSocket is opened with HTTP/1.1, without a body, and not before the last call is answered",
    "malformed",
)
_MANY_AT_ONCE = (429, f"wait for answers before you ask for more than {_MOST_WAITING} of them", "pipelined")
_SLOW_HEAD = (408, "the head of the call did not come in time", "slow_head")
_SLOW_BODY = (408, "the body came too slowly", "slow_body")
