"""How an origin is reached: straight, or by an upstream proxy, in a tunnel to https origins."""

import base64
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from addons.upstream.connection import NetworkStream
from addons.upstream.failure import CauseKind, Failure
from addons.upstream.http1 import AnswerReader, request_head
from addons.upstream.network import connect
from protocols.model.http import Head, Headers, Origin

_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 with which a proxy asks for another attempt."""

_REMEDIES = {
    403: "its operator has to allow that host",
    407: "put its user name and password into its URL, in HTTPS_PROXY or [upstream] proxy",
}


class Way(Protocol):
    """How an origin is reached."""

    async def open(self, origin: Origin) -> NetworkStream:
        """A new connection, on which HTTP/1.1 can be spoken. Raises Failure."""
        ...

    def form(self, origin: Origin) -> "Form":
        """How requests to `origin` are written there."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """What a request has on its way beside what it says."""

    prefix: bytes = b""
    """What stands before its target."""
    headers: Headers = field(default=(), repr=False)
    """What stands before its headers."""


@dataclass(frozen=True, slots=True)
class Direct:
    tls: ssl.SSLContext

    async def open(self, origin: Origin) -> NetworkStream:
        stream = await connect(*origin.address, NetworkStream)
        with contextlib.ExitStack() as unless_open:
            unless_open.callback(stream.abort)
            if origin.is_secure:
                await stream.start_tls(self.tls, origin.host)
            unless_open.pop_all()
        return stream

    def form(self, origin: Origin) -> Form:
        return Form()


@dataclass(frozen=True, slots=True)
class Proxied:
    """By an upstream proxy: through a tunnel to https origins, with an absolute target to others."""

    tls: ssl.SSLContext
    proxy: Origin
    authorization: Headers = field(default=(), repr=False)

    async def open(self, origin: Origin) -> NetworkStream:
        stream = await self._open_proxy()
        with contextlib.ExitStack() as unless_open:
            unless_open.callback(stream.abort)
            if origin.is_secure:
                await self._tunnel(stream, origin)
                await stream.start_tls(self.tls, origin.host)
            unless_open.pop_all()
        return stream

    def form(self, origin: Origin) -> Form:
        if origin.is_secure:
            return Form()
        return Form(f"http://{origin.authority}".encode(), self.authorization)

    async def _open_proxy(self) -> NetworkStream:
        try:
            return await Direct(self.tls).open(self.proxy)
        except Failure as error:
            raise Failure(error.cause.kind, f"upstream proxy: {error.cause.text}") from error

    async def _tunnel(self, stream: NetworkStream, origin: Origin) -> None:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        stream.write(request_head("CONNECT", target.encode(), target, self.authorization, 0).data)
        reader = AnswerReader("CONNECT")
        try:
            answer = await _answer(stream, reader)
        except Failure as error:
            raise Failure(CauseKind.CONNECT, f"upstream proxy: {error.cause.text}") from error
        if not 200 <= answer.status < 300:
            raise _refused(self.proxy, answer.status, target)
        if reader.has_surplus or stream.has_unread:
            # The provider's TLS waits for ours: these are the proxy's own.
            raise Failure(CauseKind.CONNECT, "upstream proxy: bytes after its answer")


async def _answer(stream: NetworkStream, reader: AnswerReader) -> Head:
    while reader.head is None:
        data = await stream.read()
        if not data:
            raise Failure(CauseKind.RESET, "the connection was closed without an answer")
        reader.feed(data)
        if reader.is_broken:
            raise Failure(CauseKind.PROTOCOL, "the answer is not valid HTTP/1.1")
    return reader.head


def _refused(proxy: Origin, status: int, target: str) -> Failure:
    """Why a proxy opened no tunnel; REFUSED where it will not open one a little later either."""
    lasting = status < 500 and status not in _PASSING
    remedy = _REMEDIES.get(status, "its operator knows why") if lasting else "it may be overloaded"
    text = f"the upstream proxy {proxy.authority} refused to connect to {target} with {status}: {remedy}"
    return Failure(CauseKind.REFUSED if lasting else CauseKind.CONNECT, text)


def way(proxy_url: str, tls: ssl.SSLContext) -> Way:
    """By the upstream proxy with this URL; empty: straight. Raises ValueError for a URL of another kind."""
    if not proxy_url:
        return Direct(tls)
    scheme = proxy_url.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise ValueError(f"an upstream proxy is reached by http:// or https://, not by {scheme[:10]!r}")
    try:
        parts = urlsplit(proxy_url)
        proxy = Origin(scheme, parts.hostname or "", parts.port or (443 if scheme == "https" else 80))
    except ValueError:
        # What was said of it could quote the password.
        raise ValueError("the upstream proxy's URL is not http://[user:password@]host[:port]") from None
    return Proxied(tls, proxy, _authorization(parts.username, parts.password))


def _authorization(username: str | None, password: str | None) -> Headers:
    if not username and not password:
        return ()
    user = unquote_to_bytes(username or "") + b":" + unquote_to_bytes(password or "")
    return (("Proxy-Authorization", f"Basic {base64.b64encode(user).decode()}"),)
