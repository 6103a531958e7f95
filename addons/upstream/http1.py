"""HTTP/1.1 as a client speaks it: a request's head becomes bytes, bytes become an answer. No sockets here.

What is taken and what is refused is what h11 takes and refuses, down to the byte; `scripts/answers` and the
tests hold this to it. Our own reader costs a sixth of h11's time, and passes the content of all the chunks of
one read on as one.

Rules of framing: RFC 9112. A line may end in a bare LF, and a header may be folded, as h11 reads them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from addons.upstream.failure import CauseKind, Failure
from protocols.model.http import Head, Headers

LARGEST_HEAD = 100 * 1024
"""Bytes of a head, of trailers or of a chunk's first line that may wait for their end."""

MOST_INTERIM = 256
"""Interim answers (1xx) before the final one. A server that is at work says so every few seconds."""

_NEEDS_LENGTH = frozenset({"POST", "PUT", "PATCH"})

# Whatever the bytes, each of these takes a time that grows with their number alone.
_TOKEN = r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
_VALUE = r"(?:[^\x00\s](?:[^\x00\n\r\f\v]*[^\x00\s])?)?"
_IS_NAME = re.compile(_TOKEN.encode()).fullmatch
_IS_VALUE = re.compile(_VALUE.encode()).fullmatch
_IS_TARGET = re.compile(rb"[\x21-\x7e]+").fullmatch
_FIELD = re.compile(f"({_TOKEN}):[ \\t]*+({_VALUE})[ \\t]*+".encode()).fullmatch
_STATUS = re.compile(rb"HTTP/([0-9]\.[0-9]) ([0-9]{3})(?: ((?:[ \t]|[^\x00\s])*))?").fullmatch
_BLANK = re.compile(rb"\n\r?\n").search
_FOLD = re.compile(rb"[ \t]+").match
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;[^\n]*+\n(?<=\r\n)|[ \t]*+\r\n)").match
_LENGTH = re.compile(rb"[0-9]{1,20}").fullmatch
_FIRST_VISIBLE, _CR = 0x21, 0x0D
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_INTERIM, _SWITCHING, _FINAL, _REDIRECTION = 100, 101, 200, 300
_WITHOUT_BODY = frozenset({204, 304})


class NotHttp(Exception):
    """The bytes are not valid HTTP/1.1."""


# -- requests ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's head, checked."""

    data: bytes
    """As it is written."""
    method: str
    is_last: bool
    """Whether it says that no other request follows on its connection."""


def request_head(method: str, target: bytes, host: str, headers: Headers, length: int) -> RequestHead:
    """A request's head: `headers` with the framing that fits a body of `length`, and `host` where none is.

    Raises Failure where that cannot be written.
    """
    lines: list[bytes] = []
    seen: set[str] = set()
    is_last = False
    for name, value in headers:
        lower = name.lower()
        if lower == "host":
            if lower in seen:
                raise _unwritable()
            lines.insert(0, _line(name, value))
        elif lower == "content-length":
            if lower not in seen:
                lines.append(_line(name, str(length)))
        elif lower != "transfer-encoding":
            lines.append(_line(name, value))
            is_last = is_last or (lower == "connection" and _says_close(_encode(value)))
        seen.add(lower)
    if "host" not in seen:
        lines.insert(0, _line("Host", host))
    if "content-length" not in seen and (length or method in _NEEDS_LENGTH):
        lines.append(_line("Content-Length", str(length)))
    if not _IS_TARGET(target) or not _IS_NAME(_encode(method)):
        raise _unwritable()
    data = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, b"".join(lines))
    return RequestHead(data, method, is_last)


def _line(name: str, value: str) -> bytes:
    encoded_name, encoded_value = _encode(name), _encode(value)
    if not _IS_NAME(encoded_name) or not _IS_VALUE(encoded_value):
        raise _unwritable()
    return b"%b: %b\r\n" % (encoded_name, encoded_value)


def _unwritable() -> Failure:
    return Failure(CauseKind.PROTOCOL, "the request cannot be written as HTTP/1.1")


# -- answers ----------------------------------------------------------------------------------------------


class AnswerReader:
    """Reads one answer: bytes in, its head and the bytes of its body out."""

    head: Head | None = None
    """That of the final answer, once it has come: as received, in UTF-8 with surrogateescape."""
    is_over = False
    """Whether the answer is there as a whole."""
    is_broken = False
    """Whether what came is not valid HTTP/1.1."""
    has_surplus = False
    """Whether bytes came after its end."""
    may_follow = False
    """Whether another answer may come after this one: it does not say close, and nobody can doubt where it
    ends."""
    is_until_close = False
    """Whether only the connection's end delimits the body."""

    def __init__(self, method: str) -> None:
        self._method = method
        # By the class: bound to the reader it would be in a cycle, which only the collector frees.
        self._read: Callable[[AnswerReader, bytes], bytes] = AnswerReader._read_head
        self._waiting = b""
        self._searched = 0
        self._interim = 0
        self._left = 0
        self._is_in_chunk = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in what came, which is not empty. What is broken is read no further."""
        try:
            return self._read(self, data)
        except NotHttp:
            self.is_broken = True
            return b""

    def feed_eof(self) -> bool:
        """Whether the answer may end where the connection does."""
        self.is_over = self.is_over or self.is_until_close
        return self.is_over

    def _wait_for_more(self, data: bytes) -> None:
        if len(data) > LARGEST_HEAD:
            raise NotHttp
        self._waiting = data

    def _end(self, surplus: bytes) -> None:
        self.is_over = True
        self._read = AnswerReader._read_surplus
        self.has_surplus = bool(surplus)

    def _read_surplus(self, data: bytes) -> bytes:
        self.has_surplus = True
        return b""

    # -- the head -------------------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> bytes:
        data = self._waiting + data
        while data:
            lines, data = self._lines(data)
            if lines is None:
                if data[0] < _FIRST_VISIBLE:
                    raise NotHttp
                self._wait_for_more(data)
                return b""
            if self._begin(lines):
                self._waiting = b""
                return self._read(self, data) if data else b""
        self._waiting = b""
        return b""

    def _lines(self, data: bytes) -> tuple[list[bytes] | None, bytes]:
        """The lines up to the first blank one, None where that has not come; and what follows."""
        if data.startswith((b"\n", b"\r\n")):
            return [], data[data.index(b"\n") + 1 :]
        blank = _BLANK(data, self._searched)
        if blank is None:
            self._searched = max(0, len(data) - 2)
            return None, data
        self._searched = 0
        lines = data[: blank.start()].split(b"\n")
        return [line.removesuffix(b"\r") for line in lines], data[blank.end() :]

    def _begin(self, lines: list[bytes]) -> bool:
        """Whether these are the lines of the final answer."""
        status_line = _STATUS(lines[0]) if lines else None
        if status_line is None:
            raise NotHttp
        version, code, reason = status_line.groups()
        status, fields = int(code), _Fields(lines[1:])
        if status < _FINAL:
            self._skip(status)
            return False
        self.head = Head(status, fields.decoded(), _decode(reason or b""))
        self.may_follow = version >= b"1.1" and not fields.says_close and not fields.has_two_lengths
        self._choose_framing(status, fields)
        return True

    def _skip(self, status: int) -> None:
        """An interim answer. A switch of protocols was not asked for."""
        self._interim += 1
        if status < _INTERIM or status == _SWITCHING or self._interim > MOST_INTERIM:
            raise NotHttp

    def _choose_framing(self, status: int, fields: "_Fields") -> None:
        """RFC 9112 section 6.3."""
        is_tunnel = self._method == "CONNECT" and status < _REDIRECTION
        if status in _WITHOUT_BODY or self._method == "HEAD" or is_tunnel:
            self._end(b"")
        elif fields.is_chunked:
            self._read = AnswerReader._read_chunks
        elif fields.length is None:
            self.is_until_close = True
            self._read = AnswerReader._read_all
        elif fields.length:
            self._left = fields.length
            self._read = AnswerReader._read_length
        else:
            self._end(b"")

    # -- the body -------------------------------------------------------------------------------------

    def _read_all(self, data: bytes) -> bytes:
        return data

    def _read_length(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        content, surplus = data[: self._left], data[self._left :]
        self._end(surplus)
        return content

    def _read_chunks(self, data: bytes) -> bytes:
        """RFC 9112 section 7.1. What came before a mistake is passed on."""
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        pieces: list[bytes] = []
        try:
            self._take_chunks(data, pieces)
        except NotHttp:
            self.is_broken = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_chunks(self, data: bytes, pieces: list[bytes]) -> None:
        at, size = self._begun_chunk(data, pieces), len(data)
        while at < size:
            first_line = _CHUNK(data, at)
            if first_line is None:
                self._wait_for_line(data, at)
                return
            start, length = first_line.end(), int(first_line[1], 16)
            at = start + length
            if not length:
                self._begin_trailers(data[start:])
                return
            if data[at : at + 2] == b"\r\n":
                pieces.append(data[start:at])
                at += 2
            else:
                self._left, self._is_in_chunk = length, True
                at = start + self._begun_chunk(data[start:], pieces)

    def _wait_for_line(self, data: bytes, at: int) -> None:
        if data.find(b"\r\n", at) >= 0:
            raise NotHttp
        self._wait_for_more(data[at:])

    def _begun_chunk(self, data: bytes, pieces: list[bytes]) -> int:
        """Take what is missing of a chunk that has begun, with the line end after it: how many bytes."""
        if not self._is_in_chunk:
            return 0
        left = self._left
        if left and data:
            pieces.append(data[:left])
        self._left = max(0, left - len(data))
        end = data[left : left + 2]
        if end == b"\r\n":
            self._is_in_chunk = False
        elif not b"\r\n".startswith(end):
            raise NotHttp
        else:
            self._waiting = end
            return len(data)
        return left + 2

    def _begin_trailers(self, data: bytes) -> None:
        self._read = AnswerReader._read_trailers
        if data:
            self._read_trailers(data)

    def _read_trailers(self, data: bytes) -> bytes:
        lines, data = self._lines(self._waiting + data)
        if lines is None:
            self._wait_for_more(data)
            return b""
        _Fields(lines)
        self._end(data)
        return b""


class _Fields:
    """The fields of a head, checked, and what they say of its message. Raises NotHttp."""

    def __init__(self, lines: list[bytes]) -> None:
        self.length: int | None = None
        self.is_chunked = self.says_close = False
        self._length_said: bytes | None = None
        self._pairs: list[tuple[bytes, bytes]] = []
        for name, value in _pairs(lines):
            lower = name.lower()
            if lower in _FRAMING:
                self._note(name, lower, value)
            else:
                self._pairs.append((name, value))

    @property
    def has_two_lengths(self) -> bool:
        """Content-Length beside Transfer-Encoding: what one reader takes for the end, another does not
        (RFC 9112 section 6.3)."""
        return self.is_chunked and self.length is not None

    def decoded(self) -> Headers:
        return tuple([(name.decode(), _decode(value)) for name, value in self._pairs])

    def _note(self, name: bytes, lower: bytes, value: bytes) -> None:
        if lower == b"connection":
            self.says_close = self.says_close or _says_close(value)
        elif lower == b"transfer-encoding":
            value = value.lower()
            if self.is_chunked or value != b"chunked":
                raise NotHttp
            self.is_chunked = True
        elif (said := self._length_said) is None:
            self._length_said = value = _one_length(value)
            self.length = int(value)
        elif said == _one_length(value):
            return  # said twice, kept once
        else:
            raise NotHttp
        self._pairs.append((name, value))


def _pairs(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = [_FIELD(line) for line in lines]
    if None in fields:
        fields = [_FIELD(line) for line in _unfolded(lines)]
    pairs = [(field[1], field[2]) for field in fields if field is not None]
    if len(pairs) < len(fields):
        raise NotHttp
    return pairs


def _one_length(value: bytes) -> bytes:
    said = {one.strip() for one in value.split(b",")}
    length = said.pop()
    if said or not _LENGTH(length):
        raise NotHttp
    return length


def _unfolded(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Folded lines joined (RFC 9112 section 5.2)."""
    last: bytearray | None = None
    for line in lines:
        fold = _FOLD(line)
        if fold is None:
            if last is not None:
                yield bytes(last)
            last = bytearray(line)
        elif last is None:
            raise NotHttp
        else:
            last += b" " + line[fold.end() :]
    if last is not None:
        yield bytes(last)


def _says_close(connection: bytes) -> bool:
    return b"close" in [option.strip() for option in connection.lower().split(b",")]


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
