"""Which layers a connection gets: every HttpLayer on its stack becomes a RelayHttpLayer, and a connection to
a provider is HTTP, whatever its first bytes look like. Asked once or twice for each connection.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
the nextlayer add-on, and its `_get_host_header`, which searches what came for a Host header by an expression
that takes time by the cube of its spaces; it waits for more on NeedsMoreData.
"""

import re
from collections.abc import Callable

from mitmproxy import ctx
from mitmproxy.addons.next_layer import NeedsMoreData
from mitmproxy.exceptions import AddonHalt
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.tcp import TCPLayer

from addons.mitm.client_http1 import LONGEST_HEAD
from addons.mitm.flows import FlowRegistry
from addons.mitm.sink import addon
from addons.mitm.stream import RelayHttpLayer

_TLS_HANDSHAKE, _TLS_KNOWN = b"\x16", 3
"""How a handshake begins (RFC 8446, section 5.1), and how many bytes mitmproxy wants to see of it."""

_SHORTEST_METHOD = 3


class Layers:
    """`speaks_http` says whether nothing but HTTP, in TLS or not, may go to a host and port."""

    def __init__(self, flows: FlowRegistry, speaks_http: Callable[[str, int], bool]) -> None:
        self._flows, self._speaks_http = flows, speaks_http

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let mitmproxy choose the layers now (a script's hook runs before its own); adopt the HTTP ones."""
        builtin = addon("nextlayer")
        if builtin is not None:
            builtin._get_host_header = named_host
            builtin.next_layer(nextlayer)
        if nextlayer.layer is None and _is_endless(nextlayer):
            nextlayer.layer = HttpLayer(nextlayer.context, HTTPMode.transparent)
        if isinstance(nextlayer.layer, TCPLayer) and self._must_be_http(nextlayer.context):
            nextlayer.context.layers.remove(nextlayer.layer)
            nextlayer.layer = None
            nextlayer.layer = _instead_of_tcp(nextlayer)
        for each in nextlayer.context.layers:
            if type(each) is HttpLayer:
                RelayHttpLayer.adopt(each, self._flows)

    def _must_be_http(self, context: Context) -> bool:
        """mitmproxy takes a connection that begins with a byte or two for no HTTP at all."""
        address = context.server.address
        if address is None:
            return False
        hosts, port = filter(None, (address[0], context.client.sni)), address[1]
        owned = [host for host in hosts if self._speaks_http(host, port)]
        return any(owned) and not any(_is_left_alone(f"{host}:{port}") for host in owned)


def _is_left_alone(host: str) -> bool:
    """Whether the user has said so of a host and its port."""
    patterns = (*ctx.options.ignore_hosts, *ctx.options.tcp_hosts)
    return any(re.search(each, host, re.IGNORECASE) for each in patterns)


def _instead_of_tcp(nextlayer: layer.NextLayer) -> layer.Layer:
    """HTTP. Raises AddonHalt, by which nobody else is asked now, where TLS may come of what came."""
    data: bytes = nextlayer.data_client()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    if data[:1] == _TLS_HANDSHAKE and len(data) < _TLS_KNOWN:
        raise AddonHalt
    return HttpLayer(nextlayer.context, HTTPMode.transparent)


def _is_endless(nextlayer: layer.NextLayer) -> bool:
    """Whether so much has come that what is still waited for will not come: HTTP then refuses it."""
    data: bytes = nextlayer.data_client()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return len(data) > LONGEST_HEAD


def named_host(context: Context, data_client: bytes, data_server: bytes) -> str | None:
    """The Host header of what may be the beginning of a request; None: it has none, or is no request.

    Raises NeedsMoreData where its head is not all here.
    """
    if context.client.transport_protocol != "tcp" or data_server:
        return None
    first, *lines = data_client[:LONGEST_HEAD].split(b"\n")
    if not (first[:_SHORTEST_METHOD].isalpha() and b"HTTP/" in first.upper()):
        return None
    for line in lines[:-1]:
        name, _, value = line.partition(b":")
        if name.lower() == b"host":
            return value.strip().decode("utf-8", "surrogateescape")
        if not line.strip():
            return None
    if len(data_client) > LONGEST_HEAD:
        return None
    raise NeedsMoreData
