"""One connection's HTTP/1.1, by h11: a request goes out while its answer may come in."""

import asyncio
from collections.abc import Callable, Iterator

import h11

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.network import Line, Reached
from protocols.model.http import Head, Headers

type RequestHead = h11.Request
"""A request's head, checked, for `Connection.send`."""

WRITE_TIMEOUT = 60.0
"""Seconds without progress in sending a request."""

# The unit of that progress, in bytes: a long body on a slow line is sent piece by piece.
_PIECE = 1 << 18

# A head of an answer that is larger is refused; in bytes.
_LARGEST_HEAD = 100 * 1024

MOST_INTERIM = 256
"""Interim answers (1xx) before the final one. A server that is at work says so every few seconds."""

_NOT_HTTP = "the answer is not valid HTTP/1.1"

_NEEDS_LENGTH = frozenset({"POST", "PUT", "PATCH"})


def request_head(method: str, target: bytes, host: str, headers: Headers, length: int) -> RequestHead:
    """A request's head: `headers` with the framing that fits a body of `length`, and `host` where none is.

    Raises Failure where that cannot be written.
    """
    pairs = [
        (name, str(length) if name.lower() == "content-length" else value)
        for name, value in headers
        if name.lower() != "transfer-encoding"
    ]
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if "content-length" not in names and (length or method in _NEEDS_LENGTH):
        pairs.append(("Content-Length", str(length)))
    encoded = [(_encode(name), _encode(value)) for name, value in pairs]
    try:
        return h11.Request(method=method, target=target, headers=encoded)
    except h11.LocalProtocolError as fault:
        text = "the request cannot be written as HTTP/1.1"
        raise Failure(CauseKind.PROTOCOL, text) from fault


class Connection:
    """A line with one request and its answer at a time: `send`, `answer`, `read` to the end, then `renew`.

    `is_used`: it has served a request before. `is_sent`: all of this one has left the process. `has_spoken`:
    the server has said something since it began.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._answer: h11.Response | None = None
        self._interim = 0
        self._ended = False
        self.is_used = False
        self.is_sent = self.has_spoken = False

    @property
    def reached(self) -> Reached:
        return self._line.reached

    async def send(self, head: RequestHead, body: bytes) -> None:
        """Send a request. Returns when all of it has left the process, or when an answer has begun before:
        what has not left by then stays here. Raises Failure."""
        for piece in self._pieces(head, body):
            self._line.write(piece)
            await self._until_left_or_answered()
            if self._answer is not None:
                return
        # Not before: a connection on which this was not said cannot be renewed.
        self._http.send(h11.EndOfMessage())
        self.is_sent = True

    async def answer(self) -> Head:
        """The head of the final answer, as received: UTF-8 with surrogateescape. Raises Failure."""
        while self._answer is None:
            self._hear(await self._line.read())
        answer = self._answer
        headers = tuple((_decode(name), _decode(value)) for name, value in answer.headers.raw_items())
        return Head(answer.status_code, headers, _decode(bytes(answer.reason)))

    async def read(self) -> bytes:
        """The next bytes of the answer's body; nothing at its end. Raises Failure."""
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                return b""
            if event is not h11.NEED_DATA:
                raise Failure(CauseKind.PROTOCOL, _NOT_HTTP)
            data = await self._more()
            self._ended = not data
            self._http.receive_data(data)

    def renew(self) -> bool:
        """Get ready for another request. False if there can be none: this one or its answer did not go to
        its end, one side said close, where the answer ends can be doubted, or something came behind it."""
        http, answer = self._http, self._answer
        is_done = http.our_state is h11.DONE and http.their_state is h11.DONE
        if not is_done or answer is None or _has_two_lengths(answer) or self.has_more:
            return False
        http.start_next_cycle()
        self._answer = None
        self._interim = 0
        self.is_used = True
        self.is_sent = self.has_spoken = False
        return True

    @property
    def has_more(self) -> bool:
        """Whether anything has come behind what was read."""
        return self._line.has_unread or self._http.trailing_data != (b"", False)

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed nor said anything since `renew`."""
        return self._line.is_quiet

    def watch(self, watcher: Callable[[], None] | None) -> None:
        self._line.watch(watcher)

    def abort(self) -> None:
        self._line.abort()

    def _pieces(self, head: RequestHead, body: bytes) -> Iterator[bytes]:
        yield self._written(head) + self._written(h11.Data(data=body[:_PIECE]))
        for start in range(_PIECE, len(body), _PIECE):
            yield self._written(h11.Data(data=body[start : start + _PIECE]))

    def _written(self, event: h11.Request | h11.Data) -> bytes:
        return self._http.send(event) or b""

    async def _until_left_or_answered(self) -> None:
        while self._answer is None and not self._line.has_left:
            if not self._line.has_news:
                await self._line.stirred(WRITE_TIMEOUT)
            if self._line.has_news:
                self._hear(self._line.take())

    def _hear(self, data: bytes) -> None:
        """Bytes before the end of the answer's head; 1xx are passed over."""
        if not data:
            raise Failure(CauseKind.RESET, "the connection was closed without an answer")
        self.has_spoken = True
        self._http.receive_data(data)
        event = self._next()
        while isinstance(event, h11.InformationalResponse) and self._interim < MOST_INTERIM:
            self._interim += 1
            event = self._next()
        if isinstance(event, h11.Response):
            self._answer = event
        elif event is not h11.NEED_DATA:  # a switch of protocols, or a flood of interim answers
            raise Failure(CauseKind.PROTOCOL, _NOT_HTTP)

    def _next(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as fault:
            if self._ended:
                raise Failure(CauseKind.INCOMPLETE, "the connection was closed inside the body") from fault
            raise Failure(CauseKind.PROTOCOL, _NOT_HTTP) from fault

    async def _more(self) -> bytes:
        if self._line.has_news:
            await asyncio.sleep(0)  # a body that is all there lets others have their turn
        try:
            return await self._line.read()
        except Failure:
            if self._answer is not None and _is_refusal_until_close(self._answer):
                return b""
            raise


def _has_two_lengths(answer: h11.Response) -> bool:
    """Content-Length beside Transfer-Encoding: what one reader takes for the end, another does not
    (RFC 9112 section 6.3)."""
    names = {name for name, _ in answer.headers}
    return b"content-length" in names and b"transfer-encoding" in names


def _is_refusal_until_close(answer: h11.Response) -> bool:
    """A server that refuses a request unread, and closes, resets the connection: there the refusal ends."""
    names = {name for name, _ in answer.headers}
    return answer.status_code >= 400 and not names & {b"content-length", b"transfer-encoding"}


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
