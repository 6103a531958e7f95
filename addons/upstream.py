"""One attempt at a provider over HTTP/1.1: events out, and every foreign exception turned into a Cause here.

The httpx transport is used without httpx's client on top: a client would keep cookies between calls, log
URLs with their queries, read redirects, and take user names out of URLs for authentication. What goes out
is what `UpstreamRequest` says. The only changes: h11 writes Host first, Content-Length is that of the body, a
Host that is missing is added, and Transfer-Encoding is left out, since the body is here as a whole.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

import certifi
import httpcore
import httpx

from addons.encodings import DecodeFault, Decoder, decoder_for
from addons.network import Network
from protocols.base import Head, Headers, UpstreamRequest
from protocols.origin import Origin

KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept. Providers' front ends close theirs after a minute or more."""

WRITE_TIMEOUT = 60.0
"""Seconds without progress in sending a request."""

# The unit of that progress, in bytes: a long body on a slow line is sent piece by piece.
_BODY_PIECE = 1 << 18


class CauseKind(StrEnum):
    """How an attempt's connection failed."""

    CONNECT = "connect"
    TLS = "tls"
    DNS = "dns"
    TIMEOUT = "timeout"
    """While connecting. Waiting for the answer has no limit here."""
    SENDING = "sending"
    """No progress while the request was sent."""
    CERTIFICATE = "certificate"
    """The provider's certificate is not trusted: no time mends that."""
    RESET = "reset"
    """Closed or reset before the head of the answer, or reset inside the body."""
    INCOMPLETE = "incomplete"
    """An orderly close inside the body: a chunk, or less than Content-Length."""
    ENCODING = "encoding"
    """A compressed body that is corrupt, or that ends too early for its coding."""
    PROTOCOL = "protocol"
    """Not HTTP/1.1, or a request that cannot be written as such."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ended improperly; `text` is one short line without content, headers or queries."""

    kind: CauseKind
    text: str

    @property
    def connected(self) -> bool:
        """False where there was no connection yet, and there may be one a little later."""
        return self.kind not in _NEVER_CONNECTED


_NEVER_CONNECTED = frozenset({CauseKind.CONNECT, CauseKind.TLS, CauseKind.DNS, CauseKind.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is on the wire, as far as the system's buffers tell."""


@dataclass(frozen=True, slots=True)
class Started:
    """The head of the final answer, 1xx skipped.

    Names and values are as received, decoded as UTF-8 with surrogateescape; Content-Encoding is left out
    where the body is decoded here, while Content-Length stays that of the encoded body.
    """

    head: Head


@dataclass(frozen=True, slots=True)
class Data:
    """Content-decoded bytes of the body, never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The end: `cause` is None where the message ended properly by HTTP framing and content coding.

    A body that only the connection's close delimits ends properly with any orderly close, with a TLS
    close_notify or without, as many servers leave that out.
    """

    cause: Cause | None


type UpstreamEvent = Sent | Started | Data | Closed


class Upstream:
    """All connections to providers: one pool for every client, and a way round it."""

    def __init__(self, tls: ssl.SSLContext, *, proxy: str = "") -> None:
        """`proxy`: the URL of an upstream proxy, http or https; empty: none.

        Raises ValueError for a proxy of another kind.
        """
        # Their debug lines hold the headers of answers, and the proxy shows debug lines of all libraries.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        way = _proxy(proxy, tls) if proxy else None
        self._pooled = _Transport(tls, way, idle=None)
        self._unpooled = _Transport(tls, way, idle=0)

    async def stream(
        self, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
    ) -> AsyncGenerator[UpstreamEvent]:
        """One attempt: Sent, Started, any number of Data, and Closed, which always comes, and comes last.

        What did not happen is left out. `fresh`: on a connection that served nothing before.
        `connect_timeout`: seconds for name, connection, proxy and TLS together; 0 is no limit. Raises nothing
        of the network's; closing the iterator or cancelling its task closes the connection at once.
        """
        opening = _Opening(request, connect_timeout)
        cause = None
        try:
            opening.start(self._unpooled if fresh else self._pooled, self._unpooled)
            if await opening.sent():
                yield Sent()
            response = await opening.answer()
            head, decoder = _open_body(response)
            yield Started(head)
            # The stream itself: aiter_raw() counts and re-cuts at a cost for every chunk.
            async for chunk in _body(response):
                if decoder is None:
                    yield Data(chunk)
                else:
                    for piece in decoder.feed(chunk):
                        yield Data(piece)
            _check_finished(decoder)
        except _FOREIGN as fault:
            cause = _cause(fault, in_tls=opening.in_tls)
        finally:
            await opening.close()
        yield Closed(cause)

    async def close(self) -> None:
        """Close every connection; streams under way end with a Cause."""
        await self._pooled.aclose()
        await self._unpooled.aclose()


def tls_context(*, insecure: bool, ca_file: str | None, ca_dir: str | None) -> ssl.SSLContext:
    """How providers' certificates are verified: as mitmproxy does it for its own upstream connections.

    `insecure`, `ca_file` and `ca_dir` are mitmproxy's options ssl_insecure, ssl_verify_upstream_trusted_ca
    and ssl_verify_upstream_trusted_confdir; without the latter two, certifi's roots. Raises ValueError if
    they cannot be loaded.
    """
    # Not create_default_context(): from Python 3.13 on it is stricter than mitmproxy with private roots.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.options |= ssl.OP_LEGACY_SERVER_CONNECT
    _load_roots(context, ca_file or None, ca_dir or None)
    return context


def _load_roots(context: ssl.SSLContext, ca_file: str | None, ca_dir: str | None) -> None:
    if ca_file is None and ca_dir is None:
        ca_file = certifi.where()
    try:
        context.load_verify_locations(ca_file, ca_dir)
    except OSError as fault:
        raise ValueError(
            f"cannot load trusted certificates: ssl_verify_upstream_trusted_ca={ca_file!r}, "
            f"ssl_verify_upstream_trusted_confdir={ca_dir!r}: {fault}"
        ) from fault


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own but for its connections: of what httpcore takes, httpx hands down all but the network."""

    def __init__(self, tls: ssl.SSLContext, proxy: httpcore.Proxy | None, *, idle: int | None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            proxy=proxy,
            max_connections=None,
            max_keepalive_connections=idle,
            keepalive_expiry=KEEPALIVE_EXPIRY,
            network_backend=Network(),
        )


def _proxy(url: str, tls: ssl.SSLContext) -> httpcore.Proxy:
    scheme = url.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise ValueError(f"an upstream proxy is reached by http:// or https://, not by {scheme[:10]!r}")
    parsed = httpx.Proxy(url)  # takes user and password out
    context = tls if scheme == "https" else None
    return httpcore.Proxy(str(parsed.url), auth=parsed.raw_auth, ssl_context=context)


class _Closable(Protocol):
    """What httpcore's trace gives for a connected socket."""

    async def aclose(self) -> None: ...


_CLOSING: set[asyncio.Task[None]] = set()
"""Tasks that close; the event loop itself would let them be forgotten."""


class _Opening:
    """A request's way to the head of its answer, in a task of its own, so that `sent` needs no head."""

    def __init__(self, request: UpstreamRequest, connect_timeout: float) -> None:
        self._request = request
        self._connect_timeout = connect_timeout or None
        self._task: asyncio.Task[httpx.Response] | None = None
        self._sent_or_done = asyncio.Event()
        self._sent = False
        self._reused = True
        self._socket: _Closable | None = None
        self.in_tls = False

    def start(self, first: httpx.AsyncHTTPTransport, fresh: httpx.AsyncHTTPTransport) -> None:
        """Send by `first`; once more by `fresh` if that was an idle connection which turned out dead."""
        self._task = asyncio.create_task(self._send_twice(first, fresh))
        self._task.add_done_callback(lambda _: self._sent_or_done.set())

    async def sent(self) -> bool:
        """Wait until the body is on the wire (True, also if an answer came before that) or all failed."""
        await self._sent_or_done.wait()
        return self._sent or self._has_answer()

    async def answer(self) -> httpx.Response:
        """The answer, its body unread. Raises what is in _FOREIGN."""
        return await self._started_task()

    async def close(self) -> None:
        """Give the connection back where the answer was read to its end; close it where it was not.

        Whoever waits may be cancelled meanwhile: half a close would keep the connection for ever.
        """
        if self._task is None:
            return
        closing = asyncio.get_running_loop().create_task(self._close(self._task))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)
        await asyncio.shield(closing)

    async def _close(self, task: asyncio.Task[httpx.Response]) -> None:
        task.cancel()
        await asyncio.wait({task})
        if self._has_answer():
            await task.result().aclose()
        elif self._socket is not None:
            # Cancelled in a TLS handshake, httpcore leaves the socket open.
            await self._socket.aclose()

    def _started_task(self) -> asyncio.Task[httpx.Response]:
        if self._task is None:
            raise RuntimeError("the request was not started")
        return self._task

    def _has_answer(self) -> bool:
        task = self._started_task()
        return task.done() and not task.cancelled() and task.exception() is None

    def _on_sent(self) -> None:
        self._sent = True
        self._sent_or_done.set()

    async def _send_twice(
        self, first: httpx.AsyncHTTPTransport, fresh: httpx.AsyncHTTPTransport
    ) -> httpx.Response:
        try:
            return await self._send(first)
        except httpx.TransportError as fault:
            if not (self._reused and _went_silently(fault)):
                raise
        # The server closed while the request was on its way (RFC 9112 section 9.3.1): no attempt of ours.
        return await self._send(fresh)

    async def _send(self, transport: httpx.AsyncHTTPTransport) -> httpx.Response:
        async with asyncio.timeout(self._connect_timeout) as connecting:
            body = _Body(self._request.body, lambda: connecting.reschedule(None), self._on_sent)
            return await transport.handle_async_request(_request(self._request, body, self._trace))

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace: about ten calls a request, none for a chunk of the body."""
        if name == "connection.connect_tcp.started":
            self._reused = False
        elif name == "connection.connect_tcp.complete":
            self._socket = info["return_value"]
        elif name.endswith(".start_tls.started"):
            self.in_tls = True


class _Body(httpx.AsyncByteStream):
    """The request's body; being read says that the connection stands, its end that all was written."""

    def __init__(self, body: bytes, on_begin: Callable[[], None], on_end: Callable[[], None]) -> None:
        self._body = body
        self._on_begin = on_begin
        self._on_end = on_end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._on_begin()
        for start in range(0, len(self._body), _BODY_PIECE):
            yield self._body[start : start + _BODY_PIECE]
        self._on_end()


class _Address(httpx.URL):
    """Where to connect, with a request target that goes out byte for byte: httpx would normalise it.

    httpcore's own extension for that ("target") would also replace the target of a proxy's CONNECT.
    """

    def __init__(self, origin: httpx.URL, target: bytes) -> None:
        super().__init__(origin)
        self._target = target

    @property
    def raw_path(self) -> bytes:
        return self._target


def _request(wire: UpstreamRequest, body: _Body, trace: Callable[..., object]) -> httpx.Request:
    url = _Address(_origin(wire.origin), wire.target)
    timeout = {"connect": None, "read": None, "write": WRITE_TIMEOUT, "pool": None}
    request = httpx.Request(
        wire.method,
        url,
        headers=_headers(wire),
        stream=body,
        extensions={"timeout": timeout, "trace": trace},
    )
    request.url = url  # of which it made a URL of its own
    return request


@lru_cache
def _origin(origin: Origin) -> httpx.URL:
    """Of a few providers again and again, and not cheap to make. Raises httpx.InvalidURL."""
    return httpx.URL(scheme=origin.scheme, host=origin.host, port=origin.port)


def _headers(wire: UpstreamRequest) -> list[tuple[bytes, bytes]]:
    """The request's headers as bytes, with the framing that fits its body."""
    length = str(len(wire.body))
    pairs = [
        (name, length if name.lower() == "content-length" else value)
        for name, value in wire.headers
        if name.lower() != "transfer-encoding"
    ]
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", wire.origin.authority))
    if "content-length" not in names and (wire.body or wire.method in ("POST", "PUT", "PATCH")):
        pairs.append(("Content-Length", length))
    return [(_encode(name), _encode(value)) for name, value in pairs]


def _open_body(response: httpx.Response) -> tuple[Head, Decoder | None]:
    reason = response.extensions.get("reason_phrase", b"")
    headers = tuple((_decode(name), _decode(value)) for name, value in response.headers.raw)
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    decoder = decoder_for(",".join(codings)) if codings else None
    if decoder is not None:
        headers = _without_content_encoding(headers)
    return Head(response.status_code, headers, _decode(reason)), decoder


def _without_content_encoding(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() != "content-encoding")


def _body(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport gave a synchronous body")
    return response.stream


def _check_finished(decoder: Decoder | None) -> None:
    if decoder is not None and not decoder.finished:
        raise DecodeFault("the body ends inside its compressed data")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# UnicodeError: a host name that no resolver takes. OSError holds ssl.SSLError and TimeoutError.
_FOREIGN = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, DecodeFault)

# What httpcore and h11 say of a close; they have no types for it.
_CLOSED_BEFORE_HEAD = "Server disconnected"
_CLOSED_IN_BODY = "peer closed connection"


def _went_silently(fault: httpx.TransportError) -> bool:
    """Whether the connection ended before the head of an answer."""
    match fault:
        case httpx.ReadError() | httpx.WriteError():
            return True
        case httpx.RemoteProtocolError():
            return str(fault).startswith(_CLOSED_BEFORE_HEAD)
        case _:
            return False


def _cause(fault: Exception, *, in_tls: bool) -> Cause:
    """The texts are ours: those of the libraries can quote headers and content."""
    match fault:
        case DecodeFault():
            return Cause(CauseKind.ENCODING, str(fault))
        case httpx.WriteTimeout():
            return Cause(CauseKind.SENDING, "the request could not be sent in time")
        case httpx.TimeoutException() | TimeoutError():
            return Cause(CauseKind.TIMEOUT, "no connection in time")
        case httpx.ConnectError() | ssl.SSLError() | UnicodeError():
            return _connect_cause(fault, in_tls=in_tls)
        case httpx.ProxyError():
            return Cause(CauseKind.CONNECT, f"the upstream proxy refused with {str(fault)[:3]}")
        case httpx.RemoteProtocolError():
            return _remote_cause(str(fault))
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Cause(CauseKind.PROTOCOL, "the request cannot be written as HTTP/1.1")
        case _:
            return Cause(CauseKind.RESET, "the connection was reset")


def _remote_cause(text: str) -> Cause:
    if text.startswith(_CLOSED_BEFORE_HEAD):
        return Cause(CauseKind.RESET, "the connection was closed without an answer")
    if text.startswith(_CLOSED_IN_BODY):
        return Cause(CauseKind.INCOMPLETE, "the connection was closed inside the body")
    return Cause(CauseKind.PROTOCOL, "the answer is not valid HTTP/1.1")


def _connect_cause(fault: Exception, *, in_tls: bool) -> Cause:
    """Name, TLS or connection: what lies beneath an error that httpx has only one type for."""
    for origin in _origins(fault):
        match origin:
            case socket.gaierror() | UnicodeError():
                return Cause(CauseKind.DNS, "the host name cannot be resolved")
            case ssl.SSLCertVerificationError():
                return Cause(CauseKind.CERTIFICATE, f"certificate: {origin.verify_message}")
            case ssl.SSLError():
                return Cause(CauseKind.TLS, f"TLS: {origin.reason or 'failed'}")
            case OSError(errno=int(number)) if not in_tls:
                return Cause(CauseKind.CONNECT, f"cannot connect: {os.strerror(number)}")
    if in_tls:
        return Cause(CauseKind.TLS, "TLS: the connection was closed in the handshake")
    return Cause(CauseKind.CONNECT, "cannot connect")


def _origins(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__
