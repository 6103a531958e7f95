"""One attempt at a provider over HTTP/1.1: events out, and how it ended as a Cause.

What goes out is what `UpstreamRequest` says. The only changes: h11 writes Host first, Content-Length is that
of the body, a Host that is missing is added, and Transfer-Encoding is left out, since the body is here as a
whole. No cookie is kept, no redirect followed, and nothing logged.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import certifi

from addons.upstream.connections import Connections, way
from addons.upstream.encodings import DecodeFault, Decoder, decoder_for
from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.http1 import Connection, RequestHead
from addons.upstream.network import Reached
from protocols.model.http import Head, UpstreamRequest

AT_ONCE = 0.2
"""Seconds after a request was sent in which a used connection that ends was dead before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is on the wire, as far as the system's buffers tell."""


@dataclass(frozen=True, slots=True)
class Started:
    """The head of the final answer, 1xx skipped.

    Names and values are as received, decoded as UTF-8 with surrogateescape; Content-Encoding is left out
    where the body is decoded here, while Content-Length stays that of the encoded body. `reached`: over which
    connection it came.
    """

    head: Head
    reached: Reached | None = field(default=None, compare=False)


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
    """All connections to providers, of all clients."""

    def __init__(self, tls: ssl.SSLContext, *, proxy: str = "") -> None:
        """`proxy`: the URL of an upstream proxy, http or https; empty: none.

        Raises ValueError for a proxy of another kind.
        """
        self._connections = Connections(way(proxy, tls))

    async def stream(
        self, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
    ) -> AsyncGenerator[UpstreamEvent]:
        """One attempt: Sent, Started, any number of Data, and Closed, which always comes, and comes last.

        What did not happen is left out. `fresh`: on a connection that serves this call alone.
        `connect_timeout`: seconds for name, connection, proxy and TLS together; 0 is no limit. Raises nothing
        of the network's; closing the iterator or cancelling its task closes the connection at once.
        """
        call = _Call(self._connections, request, fresh=fresh, connect_timeout=connect_timeout)
        cause = None
        try:
            await call.send()
            yield Sent()
            head, decoder = _open_body(await call.answer())
            yield Started(head, call.reached)
            while chunk := await call.read():
                if decoder is None:
                    yield Data(chunk)
                else:
                    for piece in decoder.feed(chunk):
                        yield Data(piece)
            _check_finished(decoder)
            call.finish()
        except Failure as fault:
            cause = fault.cause
        except DecodeFault as fault:
            cause = Cause(CauseKind.ENCODING, str(fault))
        finally:
            call.abort()
        yield Closed(cause)

    async def close(self) -> None:
        """Close every connection; streams under way end with a Cause."""
        self._connections.close()


class _Call:
    """One request on one connection, or on a second one where the first was dead before it was used."""

    def __init__(
        self, connections: Connections, request: UpstreamRequest, *, fresh: bool, connect_timeout: float
    ) -> None:
        self._connections = connections
        self._request = request
        self._fresh = fresh
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None
        self._sent_at = 0.0

    async def send(self) -> None:
        """Until the request has left, or an answer has begun before that. Raises Failure."""
        head = self._connections.way.head(self._request)
        if not self._fresh:
            self._connection = self._connections.take(self._request.origin)
        try:
            await self._send(self._connection or await self._open(), head)
        except Failure as fault:
            if not self._was_dead(fault):
                raise
            await self._send(await self._open(), head)

    async def answer(self) -> Head:
        """The head of the answer. Raises Failure."""
        connection = self._in_use()
        try:
            return await connection.answer()
        except Failure as fault:
            if not self._was_dead(fault):
                raise
        connection = await self._open()
        await self._send(connection, self._connections.way.head(self._request))
        return await connection.answer()

    @property
    def reached(self) -> Reached:
        return self._in_use().reached

    async def read(self) -> bytes:
        """The next bytes of its body; nothing at the end. Raises Failure."""
        return await self._in_use().read()

    def finish(self) -> None:
        """The answer was read to its end."""
        if self._connection is not None and not self._fresh:
            self._connections.give_back(self._request.origin, self._connection)
            self._connection = None

    def abort(self) -> None:
        """Close the connection, unless it was given back."""
        if self._connection is not None:
            self._connections.drop(self._connection)
            self._connection = None

    def _in_use(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the request was not sent")
        return self._connection

    async def _open(self) -> Connection:
        self.abort()
        self._connection = await self._connections.open(self._request.origin, self._connect_timeout)
        return self._connection

    async def _send(self, connection: Connection, head: RequestHead) -> None:
        await connection.send(head, self._request.body)
        self._sent_at = asyncio.get_running_loop().time()

    def _was_dead(self, fault: Failure) -> bool:
        """Whether the server closed while the request was on its way (RFC 9112 section 9.3.1): no attempt.

        Of a request that was sent whole that is certain only at once: later, the server may be at work on it,
        and asking again may be paid for again.
        """
        connection = self._connection
        if connection is None or fault.cause.kind is not CauseKind.RESET:
            return False
        age = asyncio.get_running_loop().time() - self._sent_at
        at_once = not connection.is_sent or age <= AT_ONCE
        return connection.is_used and not connection.has_spoken and at_once


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


def _open_body(head: Head) -> tuple[Head, Decoder | None]:
    codings = [value for name, value in head.headers if name.lower() == "content-encoding"]
    decoder = decoder_for(",".join(codings)) if codings else None
    if decoder is None:
        return head, None
    kept = tuple(pair for pair in head.headers if pair[0].lower() != "content-encoding")
    return Head(head.status, kept, head.reason), decoder


def _check_finished(decoder: Decoder | None) -> None:
    if decoder is not None and not decoder.finished:
        raise DecodeFault("the body ends inside its compressed data")
