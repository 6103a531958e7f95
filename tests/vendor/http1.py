"""HTTP/1.1 by hand: requests in, response heads out. A library would refuse to misbehave."""

import asyncio
import json
from dataclasses import dataclass, field
from http.client import responses as reason_phrases
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.vendor.coding import body_length
from tests.vendor.script import Framing, Reply

RawHeaders = tuple[tuple[bytes, bytes], ...]

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


class MalformedRequest(ValueError):
    """The client sent something that is not HTTP/1.1."""


def header_value(headers: RawHeaders, name: str) -> str | None:
    """The first value of that name, in any case; latin-1."""
    wanted = name.lower().encode("latin-1")
    return next((value.decode("latin-1") for key, value in headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Head:
    """A request head as it came: header names in their case, pairs in their order."""

    method: str
    target: str
    headers: RawHeaders

    def header(self, name: str) -> str | None:
        """The first value of that name, in any case; latin-1."""
        return header_value(self.headers, name)


@dataclass(slots=True, eq=False)
class Received:
    """One request and what became of its answer.

    number: from 1, in the order of arrival. connection: from 1, equal for requests that share a connection.
    credential: the bare key, "" without one. sent: bytes written for the answer, head and framing included.
    closed_by_client: set when the client closed before the scripted answer had ended.
    finished: set when the exchange is over, however it ended.
    """

    number: int
    connection: int
    method: str
    target: str
    headers: RawHeaders
    body: bytes
    credential: str
    sent: int = 0
    complete: bool = False
    closed_by_client: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        """The target's path, without host and query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """The first value of that name, in any case; latin-1."""
        return header_value(self.headers, name)

    def json(self) -> Any:
        """The body parsed; raises ValueError when it is no JSON."""
        return json.loads(self.body)


def credential_of(head: Head) -> str:
    """The bare key of a request from Authorization, a key header or `?key=`; "" without one."""
    scheme, _, token = (head.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    named = next((value for name in _KEY_HEADERS if (value := head.header(name))), None)
    return named or parse_qs(urlsplit(head.target).query).get("key", [""])[0]


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The next request's head. Raises IncompleteReadError at the end of input, or MalformedRequest."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise MalformedRequest("a head without an end") from error
    request_line, *lines = raw[:-4].split(b"\r\n")
    words = request_line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedRequest("not an HTTP/1 request line")
    return Head(words[0], words[1], tuple(_header(line) for line in lines))


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name:
        raise MalformedRequest("a header line without a name")
    return name, value.strip(b" \t")


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """The request's body, unchunked. Raises IncompleteReadError when the client leaves in it."""
    if (head.header("transfer-encoding") or "").lower() == "chunked":
        return await _read_chunks(reader)
    length = head.header("content-length") or "0"
    if not length.isdecimal():
        raise MalformedRequest("content-length is not a number")
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := await _chunk_size(reader):
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers are of no interest here
    return body


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await reader.readuntil(b"\r\n")
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise MalformedRequest("a chunk size is not hexadecimal") from error


def reply_head(reply: Reply) -> bytes:
    """Status line and headers; framing and content-encoding are added unless the reply states them."""
    stated = {name.lower() for name, _ in reply.headers}
    added = [pair for pair in _framing_headers(reply) if pair[0] not in stated]
    return head_bytes(reply.status, [*reply.headers, *added])


def _framing_headers(reply: Reply) -> list[tuple[str, str]]:
    coding = [("content-encoding", reply.encoding)] if reply.encoding else []
    match reply.framing:
        case Framing.CHUNKED:
            return [*coding, ("transfer-encoding", "chunked")]
        case Framing.UNTIL_CLOSE:
            return [*coding, ("connection", "close")]
        case Framing.LENGTH:
            length = body_length(reply) if reply.length is None else reply.length
            return [*coding, ("content-length", str(length))]


def head_bytes(status: int, headers: list[tuple[str, str]]) -> bytes:
    """A response head on the wire."""
    status_line = f"HTTP/1.1 {status} {reason_phrases.get(status, '')}"
    lines = [status_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def stays_open(received: Received, reply: Reply) -> bool:
    """Whether the connection serves another request after this answer ended properly."""
    if reply.framing is Framing.UNTIL_CLOSE:
        return False
    if reply.framing is Framing.LENGTH and reply.length not in (None, body_length(reply)):
        return False
    said = [received.header("connection") or "", *(v for n, v in reply.headers if n.lower() == "connection")]
    return all(value.lower() != "close" for value in said)
