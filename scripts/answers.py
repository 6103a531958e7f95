"""Holds our reader of HTTP/1.1 answers to h11's: `python -m scripts.answers --count 1000000 --seed 1`.

Answers are mutated, cut at random places, and fed to both, piece by piece. After every piece both have to
have read the same head and the same body, and to think the same of how the answer stands.
"""

import argparse
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import h11

from addons.upstream.http1 import LARGEST_HEAD, MOST_INTERIM, AnswerReader
from protocols.model.http import Head

METHODS = ("POST", "POST", "POST", "GET", "HEAD", "CONNECT")

HEADS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 304 \r\n",
    b"HTTP/1.1 529 Over\tLoaded \xe9\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 099 Low\r\n",
    b"HTTP/2.0 999 High\r\n",
)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
FIELDS = (
    b"Content-Length: 5\r\n",
    b"content-length: 5, 5\r\n",
    b"Content-Length: 00005\r\n",
    CHUNKED,
    b"TRANSFER-ENCODING:\tChunked \r\n",
    b"Connection: close\r\n",
    b"connection: x, Close ,\r\n",
    b"Connection: keep-alive\r\n",
    b"X-Folded: one\r\n  two\r\n",
    b"x-empty:\r\n",
    b"x-name: caf\xe9 \xe2\x98\x83\r\n",
    b"Content-Type: text/event-stream; charset=utf-8\r\n",
    b"x-bare: lf\n",
)
WRONG_FIELDS = (
    b"Content-Length: 6\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 123456789012345678901\r\n",
    b"content-length:\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"x : y\r\n",
)
BODIES = (
    b"",
    b"hello",
    b"hello!",
)
CHUNKS = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n3;a=b\r\n, w\r\n00a \r\n0123456789\r\n0\r\n\r\n",
    b"1\r\nx\r\n0\r\nTrailer: one\r\nContent-Length: 3\r\n\r\n",
    b"1\r\nx\r\n0\r\n\n",
    b"A\r\n\r\n\r\n5\r\n0\r\n\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFFFFF\r\nx",
    b"2\r\nxyz\r\n0\r\n\r\n",
)
SNIPPETS = (
    *(bytes([byte]) for byte in b"\r\n\t :;,0159aAfFx\0\x0b\x0c\x7f\x80\xff-+_"),
    b" ",
    b" ",
    b"\t",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"0x",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
)

_LONG = 0.002
"""How often an answer has a line that is about as long as may be, or about as many interim answers."""

_MARKS = re.compile(rb"[\r\n :;,\t]")
_BESIDE = 0.7
"""How often a mistake is beside one of these."""

_SOUND = 0.3
"""How often its head has no mistake, so that those of chunks are seen."""

_ODD = 0.5
"""How often its first line is not the plain one."""

_FIT = 0.9
"""How often its body is framed as its fields say."""

_WRONG = 0.2
"""How often it has a field that most often makes it none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reader has made of the bytes so far."""

    head: Head | None
    body: bytes
    is_over: bool
    is_broken: bool
    has_surplus: bool
    may_follow: bool


class Ours:
    def __init__(self, method: str) -> None:
        self._reader = AnswerReader(method)
        self._body = b""

    def feed(self, data: bytes) -> None:
        self._body += self._reader.feed(data)

    def feed_eof(self) -> bool:
        return self._reader.feed_eof()

    def standing(self) -> Standing:
        reader, over = self._reader, self._reader.is_over
        may_follow = over and reader.may_follow
        return Standing(reader.head, self._body, over, reader.is_broken, reader.has_surplus, may_follow)


class Theirs:
    """h11 as a client asks it."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._http.send(h11.Request(method=method, target=b"/", headers=[("Host", "provider.test")]))
        self._http.send(h11.EndOfMessage())
        self._answer: h11.Response | None = None
        self._interim = 0
        self._body = b""
        self._is_over = self._is_broken = False

    def feed(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            while not self._is_over and self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError:
            self._is_broken = True

    def feed_eof(self) -> bool:
        if self._is_over or self._answer is None:
            return self._is_over
        self._http.receive_data(b"")
        try:
            return isinstance(self._http.next_event(), h11.EndOfMessage)
        except h11.RemoteProtocolError:
            return False

    def standing(self) -> Standing:
        surplus = self._is_over and self._http.trailing_data[0] != b""
        return Standing(self._head(), self._body, self._is_over, self._is_broken, surplus, self._may_follow())

    def _take(self, event: object) -> bool:
        """Whether there may be more."""
        match event:
            case h11.Data(data=data):
                self._body += data
            case h11.EndOfMessage():
                self._is_over = True
            case h11.InformationalResponse(status_code=status) if status != 101:
                self._interim += 1
                self._is_broken = self._interim > MOST_INTERIM
            case h11.Response(status_code=status):
                self._answer = event
                self._is_over = self._method == "CONNECT" and status < 300
            case _:
                self._is_broken = event is not h11.NEED_DATA
                return False
        return not self._is_broken

    def _head(self) -> Head | None:
        answer = self._answer
        if answer is None:
            return None
        pairs = tuple((_decode(name), _decode(value)) for name, value in answer.headers.raw_items())
        return Head(answer.status_code, pairs, _decode(bytes(answer.reason)))

    def _may_follow(self) -> bool:
        """As RFC 9112 has it, sections 9.3 and 6.3: the latter for an answer that has two lengths."""
        if not self._is_over or self._answer is None:
            return False
        names = {name for name, _ in self._answer.headers}
        if self._method == "CONNECT" and self._http.their_state is h11.SWITCHED_PROTOCOL:
            said = [value for name, value in self._answer.headers if name == b"connection"]
            options = {option.strip() for value in said for option in value.lower().split(b",")}
            is_done = b"close" not in options and self._answer.http_version >= b"1.1"
        else:
            is_done = self._http.their_state is h11.DONE
        return is_done and not {b"content-length", b"transfer-encoding"} <= names


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# -- answers ----------------------------------------------------------------------------------------------


def answer(dice: random.Random) -> bytes:
    """One answer, most often with mistakes: in all of it, or where that can be seen, in its body alone."""
    if dice.random() < _SOUND:
        head, body = bytearray(HEADS[0] + CHUNKED + b"\r\n"), bytearray(dice.choice(CHUNKS))
        _mutate(body, dice)
        return bytes(head + body)
    fields = dice.choices(FIELDS, k=dice.randrange(4))
    if dice.random() < _WRONG:
        fields.append(dice.choice(WRONG_FIELDS))
    first = dice.choice(HEADS) if dice.random() < _ODD else HEADS[0]
    fits = any(b"chunked" in one.lower() for one in fields) is (dice.random() < _FIT)
    made = bytearray(first + b"".join(fields) + b"\r\n" + dice.choice(CHUNKS if fits else BODIES))
    if dice.random() < _LONG:
        made = _long(made, dice)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 4))):
        _mutate(made, dice)
    return bytes(made)


def _long(made: bytearray, dice: random.Random) -> bytearray:
    if dice.random() < 0.5:
        count = MOST_INTERIM + dice.randrange(-2, 3)
        return bytearray(b"HTTP/1.1 102 Processing\r\n\r\n" * count + made)
    place = dice.choice([place for place in range(len(made)) if made[place : place + 1] == b"\r"])
    made[place:place] = b"x" * (LARGEST_HEAD + dice.randrange(-300, 300))
    return made


def _mutate(made: bytearray, dice: random.Random) -> None:
    """Most often beside a byte that a reader looks at."""
    start = dice.randrange(len(made) + 1)
    if dice.random() < _BESIDE and (marks := [match.start() for match in _MARKS.finditer(made)]):
        start = dice.choice(marks) + dice.randrange(2)
    end = min(len(made), start + dice.choice((0, 0, 0, 1, 1, 5)))
    made[start:end] = dice.choice((b"", bytes(made[start : start + 1]), *dice.choices(SNIPPETS, k=3)))


def cut(data: bytes, dice: random.Random) -> Iterator[bytes]:
    """In pieces, none of them empty."""
    most = dice.choice((0, 1, 3, 8, len(data) if len(data) < 1000 else 8))
    places = sorted({0, len(data), *dice.choices(range(len(data) + 1), k=most)})
    for start, end in pairwise(places):
        yield data[start:end]


# -- comparing --------------------------------------------------------------------------------------------


def difference(method: str, pieces: Sequence[bytes]) -> str:
    """Where the two readers part; "" where they do not."""
    ours, theirs = Ours(method), Theirs(method)
    for number, piece in enumerate(pieces):
        ours.feed(piece)
        theirs.feed(piece)
        if (mine := ours.standing()) != (wanted := theirs.standing()):
            return f"after piece {number} of {method} {list(pieces)}:\n  ours {mine}\n  h11  {wanted}"
        if mine.is_broken or mine.has_surplus:
            return ""
    if ours.feed_eof() is not theirs.feed_eof():
        return f"at the end of {method} {list(pieces)}"
    return ""


def differences(count: int, seed: int) -> Iterator[str]:
    dice = random.Random(seed)
    for _ in range(count):
        found = difference(dice.choice(METHODS), list(cut(answer(dice), dice)))
        if found:
            yield found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    for found in differences(wanted.count, wanted.seed):
        print(found)
        return 1
    print(f"{wanted.count} answers read alike")
    return 0


if __name__ == "__main__":
    sys.exit(main())
