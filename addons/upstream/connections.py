"""Connections to providers: the way to them, and those that wait for another request."""

import asyncio
import base64
import contextlib
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.http1 import Connection, RequestHead, request_head
from addons.upstream.network import Line, connect
from protocols.model.http import Headers, UpstreamRequest
from protocols.model.origin import Origin

KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection is kept. Providers' front ends close theirs after a minute or more."""


_PASSING = frozenset({408, 425, 429})
"""Statuses below 500 with which a proxy asks for another attempt."""

_REMEDIES = {
    403: "its operator has to allow that host",
    407: "put its user name and password into its URL, in HTTPS_PROXY or [upstream] proxy",
}


class Way(Protocol):
    """How an origin is reached."""

    async def open(self, origin: Origin) -> Line:
        """A new line, on which HTTP/1.1 can be spoken. Raises Failure."""
        ...

    def head(self, request: UpstreamRequest) -> RequestHead:
        """The request's head as it is written there. Raises Failure."""
        ...


@dataclass(frozen=True, slots=True)
class Direct:
    tls: ssl.SSLContext

    async def open(self, origin: Origin) -> Line:
        line = await connect(*origin.address)
        with contextlib.ExitStack() as unless_open:
            unless_open.callback(line.abort)
            if origin.is_secure:
                await line.start_tls(self.tls, origin.host)
            unless_open.pop_all()
        return line

    def head(self, request: UpstreamRequest) -> RequestHead:
        return _head(request, request.target, ())


@dataclass(frozen=True, slots=True)
class Proxied:
    """By an upstream proxy: through a tunnel to https origins, with an absolute target to others."""

    tls: ssl.SSLContext
    proxy: Origin
    authorization: Headers = field(default=(), repr=False)

    async def open(self, origin: Origin) -> Line:
        line = await self._open_proxy()
        with contextlib.ExitStack() as unless_open:
            unless_open.callback(line.abort)
            if origin.is_secure:
                await self._tunnel(line, origin)
                await line.start_tls(self.tls, origin.host)
            unless_open.pop_all()
        return line

    def head(self, request: UpstreamRequest) -> RequestHead:
        if request.origin.is_secure:
            return _head(request, request.target, ())
        target = f"http://{request.origin.authority}".encode() + request.target
        return _head(request, target, self.authorization)

    async def _open_proxy(self) -> Line:
        try:
            return await Direct(self.tls).open(self.proxy)
        except Failure as fault:
            raise Failure(fault.cause.kind, f"upstream proxy: {fault.cause.text}") from fault

    async def _tunnel(self, line: Line, origin: Origin) -> None:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        connection = Connection(line)
        try:
            await connection.send(
                request_head("CONNECT", target.encode(), target, self.authorization, 0), b""
            )
            answer = await connection.answer()
        except Failure as fault:
            raise Failure(CauseKind.CONNECT, f"upstream proxy: {fault.cause.text}") from fault
        if not 200 <= answer.status < 300:
            raise _refusal(self.proxy, answer.status, target)
        if connection.has_more:
            # The provider's TLS waits for ours: these are the proxy's own.
            raise Failure(CauseKind.CONNECT, "upstream proxy: bytes after its answer")


def _refusal(proxy: Origin, status: int, target: str) -> Failure:
    """Why a proxy opened no tunnel. What it may do a little later is not a refusal."""
    lasting = status < 500 and status not in _PASSING
    remedy = _REMEDIES.get(status, "its operator knows why") if lasting else "it may be overloaded"
    text = f"the upstream proxy {proxy.authority} refused to connect to {target} with {status}: {remedy}"
    return Failure(CauseKind.REFUSED if lasting else CauseKind.CONNECT, text)


def _head(request: UpstreamRequest, target: bytes, more: Headers) -> RequestHead:
    headers = (*more, *request.headers)
    return request_head(request.method, target, request.origin.authority, headers, len(request.body))


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


@dataclass(slots=True, eq=False)
class _Idle:
    connection: Connection
    since: float


type _Server = tuple[str, str, int]


class Connections:
    """All connections by one way, those in use and those that wait."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._idle: dict[_Server, list[_Idle]] = defaultdict(list)
        self._used: set[Connection] = set()
        self._closed = False

    async def open(self, origin: Origin, seconds: float) -> Connection:
        """A new one, within `seconds` for name, connection, proxy and TLS together; 0 is no limit.

        Raises Failure.
        """
        try:
            async with asyncio.timeout(seconds or None):
                connection = Connection(await self.way.open(origin))
        except TimeoutError as fault:
            raise Failure(CauseKind.TIMEOUT, "no connection in time") from fault
        if self._closed:
            connection.abort()
            raise Failure(CauseKind.CONNECT, "the proxy is being stopped")
        self._used.add(connection)
        return connection

    def take(self, origin: Origin) -> Connection | None:
        """One that waits, the last that was given back, on which the server has said nothing since."""
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        waiting = self._idle[_server(origin)]
        while waiting:
            idle = waiting.pop()
            idle.connection.watch(None)
            if idle.since > oldest and idle.connection.is_quiet:
                self._used.add(idle.connection)
                return idle.connection
            idle.connection.abort()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """After an answer's end: to wait for another request, or closed where it cannot serve one."""
        self._expire()
        if self._closed or not connection.renew():
            self.drop(connection)
            return
        self._used.discard(connection)
        idle = _Idle(connection, asyncio.get_running_loop().time())
        waiting = self._idle[_server(origin)]
        waiting.append(idle)
        connection.watch(lambda: self._look_at(waiting, idle))

    def drop(self, connection: Connection) -> None:
        """Close one at once."""
        self._used.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close all of them; those in use fail."""
        self._closed = True
        for connection in [*self._used]:
            self.drop(connection)
        for waiting in self._idle.values():
            for idle in [*waiting]:
                self._close_idle(waiting, idle)

    def _expire(self) -> None:
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        for waiting in self._idle.values():
            for idle in [each for each in waiting if each.since <= oldest]:
                self._close_idle(waiting, idle)

    def _look_at(self, waiting: list[_Idle], idle: _Idle) -> None:
        """It has stirred: closed by the server, spoken on out of turn, or only TLS's own messages."""
        if idle.connection.has_more:
            self._close_idle(waiting, idle)

    def _close_idle(self, waiting: list[_Idle], idle: _Idle) -> None:
        idle.connection.watch(None)
        waiting.remove(idle)
        idle.connection.abort()


def _server(origin: Origin) -> _Server:
    return origin.scheme, origin.host, origin.port
