"""A short way between a client's socket and the innermost HTTP layer of its connection, past the layers that
only hand on; and a shorter one for body bytes, which no hook of mitmproxy is about.

Bytes are encrypted by the client's TLS layer, and handed up and down unchanged through the tunnel that the
client may have asked for. Here the same objects do the same in one call (`Attended` in `hooks.py` calls it);
the layers around see what else the innermost gives out (`Resumed`). Any other stack of layers has no short
way: TLS in TLS, a tunnel over HTTP/2, QUIC, a replay, a layer of another add-on.

Internals of mitmproxy 12.2 that this file and `sink.py` lean on. Where `missing` finds one gone, nobody has a
short way, and no event goes through the layers at once:
`Context.layers`: from the outermost layer to the innermost, an HttpStream right after its HttpLayer;
`HttpLayer.connections`;
`Http1Server`: stream_id, response, state, which is `passthrough` in a tunnel, and send, which writes a chunk
where the head says so;
`Http2Server`: h2_conn, whose send_data keeps in stream_buffers what flow control holds back, is_open_for_us;
`TunnelLayer`: conn, tunnel_connection;
`TLSLayer`: tls, an OpenSSL.SSL.Connection over memory BIOs, send_data, which forgives a peer that closed, and
receive_data, which is called with nothing where TLS has ended;
`ConnectionHandler`: transports, timeout_watchdog, and server_event, which writes unless the transport closes,
and waits for nothing but `_server_event_lock`, an asyncio.Lock whose `_waiters` are next;
a layer other than an HttpStream pauses only before there is a request: for a hook of its own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import FunctionType

from mitmproxy.connection import Client
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Connection, Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer, TLSLayer
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.tunnel import TunnelLayer
from OpenSSL import SSL

from addons.mitm.client_http1 import ClientHttp1
from addons.mitm.client_http2 import ClientHttp2
from addons.mitm.messages import values_of

type Write = Callable[[bytes], bool]
"""Takes bytes to the client. Returns whether more may follow before its connection has drained."""

type Read = Callable[[bytes], tuple[bytes, SSL.Error | None]]
"""Takes bytes that the client has sent. Returns what HTTP gets of them, and why nothing more will come."""

type Hops = Mapping[Layer, HttpStream]
"""For every HttpLayer on the way to an inner one, which of its streams leads there."""

LARGEST_WRITE = 1 << 15
"""Bytes that are encrypted at once: the room for what a TLS connection once held is kept until its end."""

LARGEST_READ = 1 << 16
"""Bytes that TLS gives at once."""

RECORDS = 512
"""Bytes by which LARGEST_WRITE grows, or fewer bytes do: framed, and 22 for each record of up to 16 KiB
(RFC 8446, section 5.2). Where it is more, the remainder is read after it."""

_MODES = (
    modes.HttpProxy,
    modes.HttpUpstreamProxy,
    modes.ReverseProxy,
    modes.TransparentProxy,
    modes.Socks5Proxy,
)
_HTTP1 = (ClientHttp1, Http1Server)
_HTTP2 = (ClientHttp2, Http2Server)
_TOWARDS_SERVERS = (ServerTLSLayer, HttpUpstreamProxy)
_ATTRIBUTES = (
    (Layer, "_paused"),
    (Http1Connection, "passthrough"),
    (Http1Connection, "stream_id"),
    (Http1Connection, "response"),
    (Http2Connection, "h2_conn"),
    (Http2Connection, "is_open_for_us"),
    (TunnelLayer, "conn"),
    (TunnelLayer, "tunnel_connection"),
    (TLSLayer, "tls"),
    (TLSLayer, "send_data"),
    (TLSLayer, "receive_data"),
    (HttpLayer, "connections"),
    (ConnectionHandler, "transports"),
    (ConnectionHandler, "server_event"),
    (ConnectionHandler, "timeout_watchdog"),
    (ConnectionHandler, "_server_event_lock"),
    (asyncio.Lock, "_waiters"),
    (BufferedH2Connection, "stream_buffers"),
    (SSL.Connection, "sendall"),
    (SSL.Connection, "recv"),
    (SSL.Connection, "bio_read"),
    (SSL.Connection, "bio_write"),
)

log = logging.getLogger("rotator.relay")


def missing() -> list[str]:
    """What mitmproxy no longer has of what this file leans on."""
    return [f"{owner.__name__}.{name}" for owner, name in _ATTRIBUTES if not _has(owner, name)]


def _has(owner: type, name: str) -> bool:
    """Whether objects of a class have an attribute: of the class, or set when they are made."""
    return hasattr(owner, name) or any(
        name in vars(each)["__init__"].__code__.co_names
        for each in owner.__mro__
        if isinstance(vars(each).get("__init__"), FunctionType)
    )


@dataclass(eq=False, slots=True)
class ForLayer(events.Event):
    """Something for one HTTP layer, whose commands the layers around it are to have."""

    layer: HttpLayer
    hops: Hops

    def commands(self) -> CommandGenerator[None]:
        raise NotImplementedError


@dataclass(eq=False, slots=True)
class Resumed(ForLayer):
    """Commands that went past the layers around an HTTP layer, which are to have them after all."""

    first: commands.Command
    others: CommandGenerator[None]

    def commands(self) -> CommandGenerator[None]:
        yield self.first
        yield from self.others


@dataclass(frozen=True, slots=True)
class ShortWay:
    """Between the socket of a client and the innermost HTTP layer of its connection."""

    layer: HttpLayer
    client: Client
    hops: Hops
    outlet: "Outlet"
    read: Read


@cache
def is_expected() -> bool:
    """Whether mitmproxy is as we know it."""
    return not missing()


def check() -> None:
    """At the start: one line where it is not."""
    if names := missing():
        log.warning("answers go through all layers of mitmproxy, which has no %s", ", ".join(names))


def short_way(http_layer: HttpLayer, handler: ConnectionHandler, hops: Hops) -> ShortWay | None:
    """To a client, for as long as its connection lives; None: there is none. To be asked when an answer has
    begun."""
    if not is_expected() or http_layer.debug is not None:
        return None
    *outer, _ = http_layer.context.layers
    client = http_layer.context.client
    if (through := _through(outer, client, handler)) is None:
        return None
    write, read = through
    return ShortWay(http_layer, client, hops, Outlet(write), read)


def body_write(connection: Layer, stream_id: int, below: Write) -> Write | None:
    """What writes the body of an answer whose head has gone out; None: there is no short way. `below`: what
    `connection_write` gave."""
    whole: Write | None = None
    if isinstance(connection, Http1Server):
        whole = _http1(connection, stream_id, below)
    elif isinstance(connection, Http2Server):
        whole = _http2(connection, stream_id, below)
    return _in_pieces(whole) if whole is not None else None


def pieces(data: bytes) -> Iterator[bytes]:
    """As they are written."""
    for at in range(0, len(data), LARGEST_WRITE):
        yield data[at : at + LARGEST_WRITE]


def _in_pieces(whole: Write) -> Write:
    def write(data: bytes) -> bool:
        if len(data) <= LARGEST_WRITE:
            return whole(data)
        *_, has_room = [whole(piece) for piece in pieces(data)]
        return has_room

    return write


# -- HTTP -------------------------------------------------------------------------------------------------


def _http1(connection: Http1Server, stream_id: int, below: Write) -> Write | None:
    if type(connection) not in _HTTP1 or connection.stream_id != stream_id or connection.response is None:
        return None
    return _chunks(below) if _is_chunked(connection) else below


def _chunks(below: Write) -> Write:
    def write(data: bytes) -> bool:
        return below(b"%x\r\n%s\r\n" % (len(data), data))

    return write


def _http2(connection: Http2Server, stream_id: int, below: Write) -> Write | None:
    if type(connection) not in _HTTP2:
        return None
    h2 = connection.h2_conn

    def write(data: bytes) -> bool:
        if connection.is_open_for_us(stream_id):
            h2.send_data(stream_id, data)
        frames = h2.data_to_send()
        has_room = below(frames) if frames else True
        return has_room and not h2.stream_buffers.get(stream_id)

    return write


def _is_chunked(connection: Http1Server) -> bool:
    assert connection.response is not None
    codings = values_of(connection.response.headers, b"transfer-encoding")
    return b"chunked" in b",".join(codings).lower()


# -- what is below it -------------------------------------------------------------------------------------


def _through(
    layers: Sequence[Layer], client: Client, handler: ConnectionHandler
) -> tuple[Write, Read] | None:
    """From the connection's socket inwards; None where a layer is not known to hand on what comes."""
    io = handler.transports.get(client)
    writer = io.writer if io is not None else None
    if not isinstance(writer, asyncio.StreamWriter):
        return None
    socket = write = _socket(writer, handler)
    read: Read = _unchanged
    stack = iter(layers)
    for each in stack:
        if type(each) is ClientTLSLayer and read is _unchanged:
            write, read = _encrypted(each.tls, socket, writer.transport), _decrypted(each.tls, socket)
        elif isinstance(each, HttpLayer):
            if not _is_tunnel(each, next(stack, None), client):
                return None
        elif not _hands_on(each, client):
            return None
    return write, read


def _hands_on(each: Layer, client: Client) -> bool:
    if type(each) in _TOWARDS_SERVERS:
        assert isinstance(each, TunnelLayer)
        return client not in (each.conn, each.tunnel_connection)
    return type(each) in _MODES


def _is_tunnel(http_layer: HttpLayer, stream: Layer | None, client: Client) -> bool:
    connection = http_layer.connections.get(client)
    return (
        isinstance(stream, HttpStream)
        and isinstance(connection, Http1Server)
        and type(connection) in _HTTP1
        and connection.state == connection.passthrough
        and not _is_chunked(connection)
    )


def _socket(writer: asyncio.StreamWriter, handler: ConnectionHandler) -> Write:
    watchdog, transport = handler.timeout_watchdog, writer.transport
    _, most = transport.get_write_buffer_limits()

    def write(data: bytes) -> bool:
        watchdog.register_activity()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        if writer.is_closing():
            return False
        writer.write(data)
        return transport.get_write_buffer_size() <= most

    return write


def _encrypted(tls: SSL.Connection, below: Write, transport: asyncio.WriteTransport) -> Write:
    def write(data: bytes) -> bool:
        try:
            with suppress(SSL.ZeroReturnError, SSL.SysCallError):  # a peer that has closed need not get it
                tls.sendall(data)
        except SSL.Error:  # the peer has broken its TLS, which takes nothing any more
            transport.abort()
            return False
        has_room, size = True, len(data) + RECORDS
        with suppress(SSL.WantReadError):  # nothing more is there
            records = tls.bio_read(size)
            has_room = below(records)
            while len(records) == size:
                records = tls.bio_read(size)
                has_room = below(records)
        return has_room

    return write


def _unchanged(data: bytes) -> tuple[bytes, None]:
    return data, None


def _decrypted(tls: SSL.Connection, below: Write) -> Read:
    def read(data: bytes) -> tuple[bytes, SSL.Error | None]:
        tls.bio_write(data)
        plaintext, ended = bytearray(), None
        try:
            while True:
                plaintext += tls.recv(LARGEST_READ)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            ended = error
        with suppress(SSL.WantReadError):  # TLS has nothing to say itself
            while True:
                below(tls.bio_read(LARGEST_READ))
        return bytes(plaintext), ended

    return read


# -- writes of one turn -----------------------------------------------------------------------------------


class Outlet:
    """Where HTTP's bytes go to a client. From `join` on until the turn of the event loop is over they are one
    write, to be encrypted once, or more where they are many."""

    __slots__ = ("_below", "_data", "_joins")

    def __init__(self, below: Write) -> None:
        self._below = below
        self._data, self._joins = bytearray(), False

    def join(self) -> None:
        """The head of an answer is about to be written."""
        if not self._joins:
            self._joins = True
            asyncio.get_running_loop().call_soon(self._part)

    def write(self, data: bytes) -> bool:
        if not self._joins:
            return self._below(data)
        if len(self._data) + len(data) > LARGEST_WRITE:
            self.flush()
            return self._below(data)
        self._data += data
        return True

    def flush(self) -> None:
        """Others are about to write."""
        if self._data:
            data = bytes(self._data)
            self._data.clear()
            self._below(data)

    def _part(self) -> None:
        self._joins = False
        self.flush()


class _Joined:
    """In the place of a writer's own methods until a turn of the event loop is over: what is written goes out
    then, in one write, or once it is much, or before what ends the connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._data = bytearray()
        self._methods = {"write": self._write, "close": self._close, "write_eof": self._write_eof}
        vars(writer).update(self._methods)
        asyncio.get_running_loop().call_soon(self._flush)

    def _write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > LARGEST_WRITE:
            self._flush()

    def _flush(self) -> None:
        for name in self._methods:
            del vars(self._writer)[name]
        self._methods = {}
        if self._data and not self._writer.is_closing():
            self._writer.write(bytes(self._data))
        self._data.clear()

    def _close(self) -> None:
        self._flush()
        self._writer.close()

    def _write_eof(self) -> None:
        self._flush()
        self._writer.write_eof()


def join_writes(writer: object) -> None:
    """A client gets the head of an answer, which is about to be written, in one write with what follows in
    this turn of the event loop: mostly events, often the end."""
    if type(writer) is asyncio.StreamWriter and "write" not in vars(writer):
        _Joined(writer)
