"""Which flows are ours, and what becomes of them: answered by an Exchange, or passed through.

A flow of a provider's host loses its credential as soon as its head is here: it lives on in memory, and
a fingerprint stays in the flow. What leaves is written on a copy.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.net.http.url import parse_authority
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import RegularMode, Socks5Mode
from pydantic import SecretStr

from addons.call.pages import page_of
from addons.config.settings import Configured, Settings
from addons.credentials import carriers, subprotocols
from addons.credentials.carriers import ClientCredential
from addons.credentials.pool import Lease, Pool
from addons.credentials.screen import KeyScreen
from addons.mitm.handshake import is_handshake
from addons.mitm.messages import (
    address_of,
    bytes_of,
    forwardable,
    headers_of,
    replaced,
    set_headers,
    without_hops,
)
from addons.mitm.plans import Forwarding, Responder
from addons.mitm.sink import answer_with
from addons.records.journal import Journal, record_of
from addons.secrets.redaction import Redactor, key_shaped
from addons.upstream.proxies import NO_PROXIES, Proxies, spec, tunnel
from protocols.base import WireProtocol
from protocols.model.call import Operation
from protocols.model.errors import Fault
from protocols.model.http import Headers
from protocols.model.origin import Origin, is_field_value, is_host, is_method, is_origin_form
from protocols.registry import Registry
from rewrite.catalog.paths import fits, is_normal
from rewrite.catalog.providers import Provider, pool_origin, serves
from rewrite.credentials.notices import Notice
from rewrite.responses.store import PROTOCOL as RESPONSES

OWN = "client"
"""The name under which a client's own credential stands in the records."""

_BAD_HOST = "The Host header of this request is not a host name: send the name of the server alone.\n"
_BAD_TARGET = (
    "the target of this request is not a path of its host: it has to begin with / and be percent-encoded, "
    "without #"
)

_BAD_FIELD = "a header of this request has a line break or a NUL in its value"

_PAGE = (
    "a web page ({page}) does not use the proxy's keys, only one of its own: "
    'to let it use them, put its origin into [browsers] allow = ["https://..."] of the proxy\'s config'
)
_LONGEST_ORIGIN = 200
_FOR_PROXIES = "proxy-authorization"
_PASSWORDS = frozenset({_FOR_PROXIES, "cookie"})
LONGEST_MEMORY = 1_000
_NO_SECRET = SecretStr("")


@dataclass(frozen=True, slots=True)
class Intercepted:
    """A flow of a provider. `operation` None: its path is not ours to answer; `origin`: where the provider
    is, for one that is elsewhere for each of its customers where the client found it. `page`: the web page
    that asks, whose origin the config does not allow; empty: none."""

    configured: Configured
    protocol: WireProtocol | None
    operation: Operation | None
    own: ClientCredential | None
    pooled: bool
    origin: Origin
    page: str = ""

    @property
    def provider(self) -> Provider:
        return self.configured.provider


class Unadmitted(Exception):
    """A flow of a provider has come past `admit`."""


class Interception:
    """Recognises flows, and says how those leave that are passed through."""

    def __init__(self, registry: Registry, pool: Pool, journal: Journal, redactor: Redactor) -> None:
        self._registry, self._pool, self._journal, self._redactor = registry, pool, journal, redactor
        self._settings: Settings | None = None
        self._proxies = NO_PROXIES
        self._flows: WeakKeyDictionary[http.HTTPFlow, Intercepted] = WeakKeyDictionary()
        self._pages: set[str] = set()
        self._remembered: OrderedDict[tuple[str, str], ClientCredential] = OrderedDict()

    def configure(self, settings: Settings, found: Proxies = NO_PROXIES) -> None:
        self._settings, self._proxies = settings, found
        self._pool.configure(settings)
        self._redactor.keep(self._pool.secrets())

    @property
    def longest_body(self) -> int:
        """Bytes that the body of a call may have."""
        assert self._settings is not None
        return self._settings.limits.body

    # -- a head is here -------------------------------------------------------------------------------

    def admit(self, flow: http.HTTPFlow) -> Intercepted | None:
        """Recognise a flow by its head and take its credential out; None: not a provider's."""
        place = self._place(flow.request)
        if place is None:
            return None
        own = self._take_out(flow, place[0].provider.name)
        self._flows[flow] = self._recognised(flow.request, *place, own)
        return self._flows[flow]

    def leaving(self, flow: http.HTTPFlow) -> Intercepted | None:
        """What a flow is now that its request is final; None: not a provider's.

        Since `admit` others may have edited it. One that they moved to another provider has no key of its
        client any more, which was meant for where it came from; a key that they wrote takes its place.

        Raises Unadmitted for a provider's that `admit` has not seen.
        """
        former = self._flows.get(flow)
        place = self._place(flow.request) or _still(former, flow.request)
        if place is None:
            return None
        if former is None:
            raise Unadmitted
        written_since = self._written_since(flow, place[0].provider.name)
        now = self._recognised(flow.request, *place, written_since or former.own)
        if (now.provider.name, now.origin) != (former.provider.name, former.origin):
            now = self._recognised(flow.request, *place, written_since)
        self._flows[flow] = now
        return now

    def _written_since(self, flow: http.HTTPFlow, provider: str) -> ClientCredential | None:
        """What an add-on or the user has put into a flow that had no credential left."""
        if carriers.take_out(headers_of(flow.request), flow.request.path)[2] is None:
            return None
        return self._take_out(flow, provider)

    def _place(self, request: http.Request) -> tuple[Configured, str] | None:
        """The provider that a request is for, and its host: the one that it names, else where it would be
        sent."""
        for host in (ascii_host(request), request.host):
            configured = self._configured(host, request.port) if host else None
            if configured is not None:
                return configured, host
        return None

    def _recognised(
        self, request: http.Request, configured: Configured, host: str, own: ClientCredential | None
    ) -> Intercepted:
        protocol, operation = self._match(configured.provider, request)
        pooled = self._is_pooled(configured, own, request.path, passed=operation is None)
        page = self._page(request)
        if pooled and page:
            self._note_page(page)
        pooled = pooled and not page
        origin = _origin(configured, request, host, pooled=pooled)
        return Intercepted(configured, protocol, operation, own, pooled, origin, page)

    def _page(self, request: http.Request) -> str:
        assert self._settings is not None
        page = page_of(request)
        return "" if page.lower() in self._settings.browsers else page

    def _note_page(self, page: str) -> None:
        """Once for each: who sees a page refused by its provider has to know why."""
        if page not in self._pages and len(self._pages) < LONGEST_MEMORY:
            self._pages.add(page)
            self._journal.notice(Notice(_PAGE.format(page=page[:_LONGEST_ORIGIN])))

    def intercepted(self, flow: http.HTTPFlow) -> Intercepted | None:
        """What `admit` found."""
        return self._flows.get(flow)

    def refusal(self, flow: http.HTTPFlow) -> http.Response | None:
        """The answer to a head that may not go on; None: it may."""
        request, intercepted = flow.request, self._flows.get(flow)
        if not ascii_host(request):
            self.strip(flow)
            return self.fault(None, Fault(400, "invalid_request", _BAD_HOST, should_retry=False))
        if intercepted is None:
            return None
        good = is_method(request.method) and is_origin_form(request.data.path)
        if not good or _names_two_hosts(request):
            return self.fault(intercepted, Fault(400, "invalid_request", _BAD_TARGET, should_retry=False))
        if not all(map(is_field_value, _values(request, intercepted.own))):
            return self.fault(intercepted, Fault(400, "invalid_request", _BAD_FIELD, should_retry=False))
        if intercepted.page and intercepted.operation and intercepted.own is None and self._has_pool():
            message = _PAGE.format(page=intercepted.page[:_LONGEST_ORIGIN])
            return self.fault(intercepted, Fault(403, "forbidden", message, should_retry=False))
        return None

    def _has_pool(self) -> bool:
        """Of any provider: a route may lead there."""
        assert self._settings is not None
        return any(one.credentials for one in self._settings.providers)

    def is_provider(self, host: str, port: int) -> bool:
        return self._configured(host, port) is not None

    def _configured(self, host: str, port: int) -> Configured | None:
        assert self._settings is not None
        return next((one for one in self._settings.providers if serves(one.provider, host, port)), None)

    def _take_out(self, flow: http.HTTPFlow, provider: str) -> ClientCredential | None:
        """The client's credential; in the flow stays none, nor one for the proxy."""
        headers, path = headers_of(flow.request), flow.request.path
        own = carriers.take_out(without_hops(headers), path)[2]
        kept, target, _ = carriers.take_out(headers, path)
        set_headers(flow.request, tuple(pair for pair in kept if pair[0].lower() != _FOR_PROXIES))
        flow.request.path = target
        _forget_backup(flow)
        if own is None:
            return self._remembered.get((provider, str(record_of(flow).get("client_credential"))))
        self._redactor.learn(key_shaped(own.secrets))
        self._remember(provider, own)
        self._journal.begin(flow, {"client_credential": own.fingerprint})
        return own

    def _remember(self, provider: str, own: ClientCredential) -> None:
        """For a replay of the flow, which carries the fingerprint alone."""
        self._remembered[provider, own.fingerprint] = own
        if len(self._remembered) > LONGEST_MEMORY:
            self._remembered.popitem(last=False)

    def _match(
        self, provider: Provider, request: http.Request
    ) -> tuple[WireProtocol | None, Operation | None]:
        path = request.path.partition("?")[0]
        spoken = [self._registry[name] for name in provider.protocols if name in self._registry]
        for protocol in spoken:
            if operation := protocol.match(request.method, path):
                return protocol, operation
        return next(iter(spoken), None), None

    def _is_pooled(
        self, configured: Configured, own: ClientCredential | None, target: str, *, passed: bool
    ) -> bool:
        """Whether a credential of the pool takes the place of the client's."""
        provider, path = configured.provider, target.partition("?")[0]
        if not configured.credentials or _is_own_affair(provider, path, passed=passed):
            return False
        if own is None:
            return not passed
        replaceable = provider.replace_oauth or own.is_api_key(provider.oauth_prefixes)
        return replaceable and not own.begins_with(provider.own_key_prefixes)

    def turns(self, flow: http.HTTPFlow) -> Intercepted | None:
        """How the turns of a WebSocket on the path of the Responses API are answered; None: it is none."""
        intercepted = self._flows[flow]
        provider, path = intercepted.provider, flow.request.path.partition("?")[0]
        spoken = RESPONSES in provider.protocols and RESPONSES in self._registry
        if not spoken or not is_handshake(flow.request):
            return None
        protocol = self._registry[RESPONSES]
        if protocol.match("POST", path) is not Operation.GENERATE:
            return None
        pooled = self._is_pooled(intercepted.configured, intercepted.own, path, passed=False)
        pooled = pooled and not intercepted.page
        place = self._place(flow.request)
        host = place[1] if place else ""
        origin = _origin(intercepted.configured, flow.request, host, pooled=pooled)
        generate = Operation.GENERATE
        return replace(intercepted, protocol=protocol, operation=generate, pooled=pooled, origin=origin)

    @staticmethod
    def disarm(flow: http.HTTPFlow) -> None:
        """For a flow that failed: without a further look, nothing stays in it that may be a key."""
        for name in (*carriers.HEADERS, subprotocols.HEADER, *_PASSWORDS):
            flow.request.headers.pop(name, None)
        flow.request.path = flow.request.path.partition("?")[0]
        _forget_backup(flow)

    @staticmethod
    def strip(flow: http.HTTPFlow) -> None:
        """For a flow that is refused, whoever it is for: no key stays in it, nor a session's cookie."""
        headers, target, _ = carriers.take_out(headers_of(flow.request), flow.request.path)
        set_headers(flow.request, tuple(pair for pair in headers if pair[0].lower() not in _PASSWORDS))
        flow.request.path = target
        _forget_backup(flow)

    # -- passed through -------------------------------------------------------------------------------

    def forwarding(self, flow: http.HTTPFlow, intercepted: Intercepted) -> Forwarding:
        """How a flow leaves that is not answered by us: one attempt, on one credential."""
        provider = intercepted.provider
        lease = self.account(intercepted)
        record = {"provider": provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(flow, record)
        origin = intercepted.origin
        way = self._proxies.to_provider(origin)
        authorization = self._proxies.authorization(address_of(way)) if way else ""
        head = partial(self._head, intercepted, lease, authorization)
        head(flow.request.copy())  # tried here, where a fault of ours can still be told to the client
        screen = KeyScreen(lease.secret, chunks=flow.request.is_http11) if lease.pooled else None
        failed = partial(self._unanswered, flow, intercepted)
        return Forwarding(origin.address, origin.is_secure, head, failed, spec(way), screen)

    def _unanswered(self, flow: http.HTTPFlow, intercepted: Intercepted, message: str) -> Responder:
        """The provider gave no answer to what passed through. Nothing says that it may not be asked again."""
        text = f"{intercepted.provider.name} gave no answer: {message}"
        self._journal.begin(flow, {"end": "rejected", "words": text, "status": 502})
        line = f"{flow.request.method} {flow.request.path.partition('?')[0]}: {text}"
        self._journal.notice(Notice(line, warning=True))
        return answer_with(self.fault(intercepted, Fault(502, "unreachable", text)))

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

    def account(self, intercepted: Intercepted) -> Lease:
        """The credential of a passed-through flow: always the same one."""
        lease = self._pool.account(intercepted.provider.name) if intercepted.pooled else None
        return lease or own_lease(intercepted)

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

    @staticmethod
    def fault(intercepted: Intercepted | None, fault: Fault) -> http.Response:
        """An error of ours in the client's protocol where that is known."""
        if intercepted is None or intercepted.protocol is None:
            return http.Response.make(fault.status, fault.message, {"content-type": "text/plain"})
        answer = intercepted.protocol.error(fault)
        return http.Response.make(answer.status, answer.body, dict(answer.headers))


def _is_own_affair(provider: Provider, path: str, *, passed: bool) -> bool:
    """Whether a path keeps the client's own credential. A passed-through one also does if it could be read as
    another path; a call's does only if it could be read as one of those that do."""
    prefix = provider.origin.prefix if provider.origin else ""
    is_own = fits(path, provider.own_credential_paths, prefix)
    if is_normal(path):
        return passed and is_own
    return passed or is_own


def _origin(configured: Configured, request: http.Request, host: str, *, pooled: bool) -> Origin:
    """Where a flow of a provider goes; where its client found it, if it keeps the client's own credential."""
    provider = configured.provider
    if provider.origin:
        return provider.origin
    found = pool_origin(provider, host, request.port) if pooled else None
    if pooled and found is None:
        raise ValueError("a key of the pool has no place to go to")
    return found or Origin(request.scheme, host, request.port)


def _names_two_hosts(request: http.Request) -> bool:
    """Whether a target in absolute form names another host than the Host header."""
    named = parse_authority(request.authority, check=False)[0] if request.authority else request.pretty_host
    return named.lower() != request.pretty_host.lower()


def _values(request: http.Request, own: ClientCredential | None) -> Iterator[bytes]:
    """Of all headers that a client sent."""
    yield from (value for _, value in request.headers.fields)
    yield from (bytes_of(one.value.get_secret_value()) for one in (own.carried if own else ()))


def ascii_host(request: http.Request) -> str:
    """The host that a request names, as DNS knows it; empty if it is no host name and no address."""
    try:
        host = request.pretty_host.encode("idna").decode()
    except UnicodeError:
        return ""
    return host if is_host(host) else ""


def _still(former: Intercepted | None, request: http.Request) -> tuple[Configured, str] | None:
    """A flow stays where it was when new settings do not know its provider any more."""
    host = ascii_host(request)
    if former is None or not serves(former.provider, host, request.port):
        return None
    return former.configured, host


def _forget_backup(flow: http.HTTPFlow) -> None:
    """A flow that is replayed remembers how it was loaded; what was taken out of it now, not there either."""
    backup: Any = flow._backup
    if backup:
        stripped = flow.request.get_state()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        backup["request"].update(headers=stripped["headers"], path=stripped["path"])


def own_lease(intercepted: Intercepted) -> Lease:
    """The client's own credential, which is not the pool's to settle."""
    own = intercepted.own
    return Lease(OWN, own.secret if own else _NO_SECRET, pooled=False)


def written(intercepted: Intercepted, lease: Lease, headers: Headers, target: str) -> tuple[Headers, str]:
    """`headers` (without hops) and `target` of a client with the credential of `lease` on them.

    Beside a key of the pool nothing names an account of the client's.
    """
    headers, target, _ = carriers.take_out(headers, target)
    provider, own = intercepted.provider, intercepted.own
    if not lease.pooled:
        return carriers.put_back(headers, target, own) if own else (headers, target)
    headers, target = carriers.write(
        headers, target, lease.secret, auth=provider.auth, accepts=provider.accepts, like=own
    )
    return tuple(pair for pair in headers if pair[0].lower() not in provider.account_headers), target
