"""A short way for body bytes: straight into the client's stream, where mitmproxy's layers only hand them on.

No hook of mitmproxy is about the bytes of a streamed body. They are framed by the client's HTTP connection,
encrypted by its TLS layer, and handed up unchanged through the tunnel that the client may have asked for.
Here the same objects do the same in one call. Any other stack of layers has no short way: TLS in TLS, a
tunnel over HTTP/2, QUIC, a replay, a layer of another add-on.

Internals of mitmproxy 12.2 that this file leans on. Where `missing` finds one gone, nobody has a short way:
`Context.layers`: from the outermost layer to the innermost, an HttpStream right after its HttpLayer;
`HttpLayer.connections`;
`Http1Server`: stream_id, response, state, which is `passthrough` in a tunnel, and send, which writes a chunk
where the head says so;
`Http2Server`: h2_conn, whose send_data keeps what flow control holds back, and is_open_for_us;
`TunnelLayer`: conn, tunnel_connection;
`TLSLayer`: tls, an OpenSSL.SSL.Connection over memory BIOs, and send_data, which forgives a peer that closed;
`ConnectionHandler`: transports, timeout_watchdog, and server_event, which writes unless the transport closes;
a layer other than an HttpStream pauses only before there is a request: for a hook of its own.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from types import FunctionType

from mitmproxy.connection import Client
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Connection, Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Connection, Http2Server
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer, TLSLayer
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.tunnel import TunnelLayer
from OpenSSL import SSL

from addons.mitm.client_http1 import ClientHttp1

type Way = Callable[[bytes], None]
"""Takes bytes to the client."""

RECORDS = 512
"""Bytes by which encrypted bytes are more than what they were: 22 for each record of up to 16 KiB (RFC 8446,
section 5.2), 32 KiB at once."""

_MODES = (
    modes.HttpProxy,
    modes.HttpUpstreamProxy,
    modes.ReverseProxy,
    modes.TransparentProxy,
    modes.Socks5Proxy,
)
_HTTP1 = (ClientHttp1, Http1Server)
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
    (HttpLayer, "connections"),
    (ConnectionHandler, "transports"),
    (ConnectionHandler, "server_event"),
    (ConnectionHandler, "timeout_watchdog"),
    (SSL.Connection, "sendall"),
    (SSL.Connection, "bio_read"),
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


@cache
def is_expected() -> bool:
    """Whether mitmproxy is as we know it. Where not, the log has one line about it."""
    if names := missing():
        log.warning("answers go through all layers of mitmproxy, which has no %s", ", ".join(names))
    return not names


def line_of(http_layer: HttpLayer, handler: ConnectionHandler) -> Way | None:
    """What takes the bytes of HTTP to a client, for as long as its connection lives; None: there is no short
    way. To be asked when an answer has begun."""
    if not is_expected() or http_layer.debug is not None:
        return None
    *outer, _ = http_layer.context.layers
    return _line(outer, http_layer.context.client, handler)


def way_of(connection: Layer, stream_id: int, line: Way) -> Way | None:
    """The short way for the body of an answer whose head has gone out; None: there is none."""
    if isinstance(connection, Http1Server):
        return _http1(connection, stream_id, line)
    return _http2(connection, stream_id, line) if type(connection) is Http2Server else None


# -- HTTP -------------------------------------------------------------------------------------------------


def _http1(connection: Http1Server, stream_id: int, line: Way) -> Way | None:
    if type(connection) not in _HTTP1 or connection.stream_id != stream_id or connection.response is None:
        return None
    return _chunks(line) if _is_chunked(connection) else line


def _chunks(line: Way) -> Way:
    def write(data: bytes) -> None:
        line(b"%x\r\n%s\r\n" % (len(data), data))

    return write


def _http2(connection: Http2Server, stream_id: int, line: Way) -> Way:
    h2 = connection.h2_conn

    def write(data: bytes) -> None:
        if connection.is_open_for_us(stream_id):
            h2.send_data(stream_id, data)
        if frames := h2.data_to_send():
            line(frames)

    return write


def _is_chunked(connection: Http1Server) -> bool:
    assert connection.response is not None
    return "chunked" in connection.response.headers.get("transfer-encoding", "").lower()


# -- what is below it -------------------------------------------------------------------------------------


def _line(layers: Sequence[Layer], client: Client, handler: ConnectionHandler) -> Way | None:
    """From the connection's socket inwards; None where a layer is not known to hand on what comes."""
    line, is_encrypted = _socket(client, handler), False
    stack = iter(layers)
    for each in stack:
        if line is None:
            return None
        if type(each) is ClientTLSLayer and not is_encrypted:
            line, is_encrypted = _encrypted(each.tls, line), True
        elif isinstance(each, HttpLayer):
            if not _is_tunnel(each, next(stack, None), client):
                return None
        elif not _hands_on(each, client):
            return None
    return line


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


def _socket(client: Client, handler: ConnectionHandler) -> Way | None:
    transport = handler.transports.get(client)
    writer = transport.writer if transport is not None else None
    if not isinstance(writer, asyncio.StreamWriter):
        return None
    watchdog = handler.timeout_watchdog

    def write(data: bytes) -> None:
        watchdog.register_activity()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        if not writer.is_closing():
            writer.write(data)

    return write


def _encrypted(tls: SSL.Connection, line: Way) -> Way:
    def write(data: bytes) -> None:
        with suppress(SSL.ZeroReturnError, SSL.SysCallError):  # a peer that has closed need not get it
            tls.sendall(data)
        room = len(data) + RECORDS
        with suppress(SSL.WantReadError):  # nothing more is there
            while len(records := tls.bio_read(room)) == room:
                line(records)
            line(records)

    return write
