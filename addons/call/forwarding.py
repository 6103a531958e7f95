"""Flows that are passed through: where one goes, on which credential, and what its head is then.

A call that is answered never comes here.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import RegularMode, Socks5Mode
from pydantic import SecretStr

from addons.call.recognition import Intercepted, error_response
from addons.call.request import account_lease, written
from addons.credentials.learner import Learner
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.credentials.screen import KeyScreen
from addons.mitm.dispatch import Forwarding, Responder, Screen
from addons.mitm.messages import bytes_of, forwardable, headers_of, replaced, set_headers
from addons.mitm.sink import answer_with
from addons.oauth.source import TokenSource
from addons.records.journal import Journal
from addons.upstream.client import Upstream
from addons.upstream.proxies import NO_PROXIES, Proxies, address_of, spec, tunnel
from protocols.model.errors import Fault
from rewrite.credentials.notices import Notice

PATIENCE = 20.0
"""Seconds for which a flow that passes through waits for a token that is due."""


class Forwarder:
    """Says how flows leave that are not answered by us."""

    def __init__(self, pool: Pool, journal: Journal) -> None:
        self._pool, self._journal = pool, journal
        self._proxies = NO_PROXIES
        self._upstream: Upstream | None = None
        self._leases: WeakKeyDictionary[http.HTTPFlow, Lease] = WeakKeyDictionary()

    def configure(self, proxies: Proxies, upstream: Upstream) -> None:
        """Which proxies are on the way; `upstream`: that to who refreshes tokens."""
        self._proxies, self._upstream = proxies, upstream

    def renewal(self, intercepted: Intercepted) -> Awaitable[None] | None:
        """Waits for the token of the login that a flow is to leave with, for some seconds at most; None: it
        need not be waited for."""
        if not intercepted.pooled:
            return None
        source = self._pool.account_source(intercepted.provider.name, intercepted.client)
        return None if source is None or source.at_once() else self._renewed(source)

    async def _renewed(self, source: TokenSource) -> None:
        """Where there is no other token, the flow leaves with the one that is known."""
        assert self._upstream is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(source.renewed(self._upstream), PATIENCE)

    def forwarding(self, flow: http.HTTPFlow, intercepted: Intercepted) -> Forwarding:
        """How a flow leaves that is not answered by us: one attempt, on one credential."""
        provider = intercepted.provider
        lease = self._leases[flow] = account_lease(self._pool, intercepted)
        record = {"provider": provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(flow, record)
        origin = intercepted.origin
        way = self._proxies.to_provider(origin)
        authorization = self._proxies.authorization(address_of(way)) if way else ""
        head = partial(self._head, intercepted, lease, authorization)
        head(flow.request.copy())  # tried here, where the client can still get an answer to a fault of ours
        screen = self._screen(flow, provider.name, lease) if lease.pooled else None
        failed = partial(self._unanswered, flow, intercepted)
        return Forwarding(origin.address, origin.is_secure, head, failed, spec(way), screen)

    def _screen(self, flow: http.HTTPFlow, provider: str, lease: Lease) -> Screen:
        screen = KeyScreen(lease.secret, chunks=flow.request.is_http11)
        return Learner(screen, partial(self._pool.passed, provider, lease))

    def _unanswered(self, flow: http.HTTPFlow, intercepted: Intercepted, message: str) -> Responder:
        """The provider gave no answer to what passed through. Nothing says that it may not be asked again."""
        text = f"{intercepted.provider.name} gave no answer: {message}"
        self._journal.begin(flow, {"end": "rejected", "detail": text, "status": 502})
        line = f"{flow.request.method} {flow.request.path.partition('?')[0]}: {text}"
        self._journal.notice(Notice(line, warning=True))
        return answer_with(error_response(intercepted, Fault(502, "unreachable", text)))

    def authorize_proxy(self, flow: http.HTTPFlow) -> None:
        """A request to a proxy on the way: the user name that its URL has goes with it."""
        if authorization := self._proxies.authorization(flow.server_conn.address):
            flow.request.headers["Proxy-Authorization"] = authorization

    def reroute(self, flow: http.HTTPFlow) -> None:
        """What passes and is decrypted, though it is no provider's, goes through the shell's proxy too."""
        is_named = isinstance(flow.client_conn.proxy_mode, RegularMode | Socks5Mode)
        if is_named and flow.request.scheme == "https":
            flow.server_conn.via = (
                spec(self._proxies.to_host(flow.request.host, flow.request.port)) or flow.server_conn.via
            )

    def tunnel(self, nextlayer: layer.NextLayer) -> None:
        tunnel(nextlayer, self._proxies)

    def hidden(self, flow: http.HTTPFlow) -> list[SecretStr]:
        """The key of the pool that a flow left with, whatever the pool has now."""
        lease = self._leases.get(flow)
        return [lease.secret] if lease is not None and lease.pooled else []

    @staticmethod
    def _head(
        intercepted: Intercepted, lease: Lease, authorization: str, request: http.Request
    ) -> http.Request:
        """`authorization`: for a proxy on the way that gets the request in the clear, without a CONNECT."""
        kept = forwardable(request.method, headers_of(request))
        headers, target = written(intercepted, lease, kept, request.path)
        origin = intercepted.origin
        set_headers(request, replaced(headers, "host", origin.authority))
        if request.authority:  # of HTTP/2, or in absolute form, which a proxy on the way needs in the clear
            stays = not (request.is_http11 and origin.is_secure)
            request.authority = origin.authority if stays else ""
            request.scheme = origin.scheme
            if stays and request.is_http11 and authorization:
                request.headers["Proxy-Authorization"] = authorization
        request.data.path = origin.under(bytes_of(target))
        return request
