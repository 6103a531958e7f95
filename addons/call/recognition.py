"""Which flows are ours: whose request one is, what it asks for, and with which credential it may be
forwarded.

A flow of a provider's host loses its credential as soon as its head is here: it lives on in memory, and
a fingerprint stays in the flow. What leaves is written on a copy.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.net.http.url import parse_authority

from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials import carriers, subprotocols
from addons.credentials.carriers import ClientCredential
from addons.credentials.pool import Pool
from addons.mitm.messages import headers_of, response_of, set_headers, values_of, without_hops
from addons.mitm.websocket_handshake import is_handshake
from addons.records.journal import Journal
from addons.records.record import record_of
from addons.secrets.redaction import Redactor, key_shaped
from protocols.base import WireProtocol
from protocols.model.call import Operation
from protocols.model.errors import Fault
from protocols.model.http import Origin, fits, is_field_value, is_host, is_method, is_normal, is_origin_form
from protocols.registry import Registry
from rewrite.catalog.clients import ClientFacts, facts_for
from rewrite.catalog.hosts import pool_origin, serves
from rewrite.catalog.providers import Provider
from rewrite.credentials.notices import Notice
from rewrite.responses.store import PROTOCOL as RESPONSES

UNNAMED = "a page that the browser does not name"
_DEFAULT_PORTS = {"http": 80, "https": 443}
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
_FROM_PAGES = frozenset({b"origin", b"sec-fetch-site"})
_FOR_PROXIES = "proxy-authorization"
_PASSWORDS = frozenset({_FOR_PROXIES, "cookie"})
LONGEST_MEMORY = 1_000


@dataclass(frozen=True, slots=True)
class Intercepted:
    """A flow of a provider."""

    configured: Configured
    """The provider, with its pool."""
    protocol: WireProtocol | None
    """In which its client gets answers. None: the registry has none that the provider speaks."""
    operation: Operation | None
    """What it asks for. None: its path is not ours to answer."""
    own: ClientCredential | None
    """What its client sent for a key."""
    pooled: bool
    """Whether a key of the pool takes the place of the client's."""
    origin: Origin
    """Where the provider is: for one that has a host for each of its customers, where the client found it."""
    page: str = ""
    """The web page that asks, if the config does not allow its origin. Empty: none."""
    client: str = ""
    """The name of the tool that asks, where a pool has credentials of some tools alone."""
    provider: Provider = field(init=False, repr=False)
    """That of `configured`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider", self.configured.provider)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A head that may be forwarded, and what was read to know it."""

    settings: Settings
    """Those in force."""
    found: Intercepted
    """What it was recognised as."""
    head: tuple[object, ...]
    """The head itself, see `_head_of`."""


class Unadmitted(Exception):
    """A flow of a provider has come past `admit`."""


class Interception:
    """Recognises flows, and takes their credentials out."""

    def __init__(self, registry: Registry, pool: Pool, journal: Journal, redactor: Redactor) -> None:
        self._registry, self._pool, self._journal, self._redactor = registry, pool, journal, redactor
        self._settings: Settings | None = None
        self.longest_body = 0
        """Bytes that the body of a call may have."""
        self._configured = _knowing(())
        self._knows_tools = False
        self._client = lru_cache(LONGEST_MEMORY)(partial(_name_of, ()))
        self._spoken: dict[tuple[str, ...], tuple[WireProtocol, ...]] = {}
        self._known_match = lru_cache(LONGEST_MEMORY)(self._found_match)
        self._flows: WeakKeyDictionary[http.HTTPFlow, Intercepted] = WeakKeyDictionary()
        self._accepted: WeakKeyDictionary[http.HTTPFlow, _Accepted] = WeakKeyDictionary()
        self._pages: set[str] = set()
        self._remembered: OrderedDict[tuple[str, str], ClientCredential] = OrderedDict()

    def configure(self, settings: Settings) -> None:
        self._settings, self.longest_body = settings, settings.limits.body
        self._configured = _knowing(settings.providers)
        pools = (one.credential for each in settings.providers for one in each.credentials)
        self._knows_tools = any(one.clients is not None for one in pools)
        self._client = lru_cache(LONGEST_MEMORY)(partial(_name_of, settings.clients))
        self._pool.configure(settings)
        self._redactor.keep(self._pool.secrets())

    # -- a head is here -------------------------------------------------------------------------------

    def admit(self, flow: http.HTTPFlow) -> Intercepted | None:
        """Recognise a flow by its head and take its credential out; None: not a provider's.

        One that is replayed comes again: what it was before does not count.
        """
        self._flows.pop(flow, None)
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
        if self._is_unchanged(flow):
            return self._flows[flow]
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

    def _is_unchanged(self, flow: http.HTTPFlow) -> bool:
        """Whether a head was found to be good, and nothing of what was looked at then is another now."""
        accepted = self._accepted.get(flow)
        return (
            accepted is not None
            and accepted.settings is self._settings
            and accepted.found is self._flows.get(flow)
            and accepted.head == _head_of(flow.request)
        )

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
        client = ""
        if self._knows_tools:
            client = self._client(request.headers.get("user-agent", "")[:_LONGEST_ORIGIN])
        pooled = self._is_pooled(configured, own, request.path, client, passed=operation is None)
        page = self._page(request)
        if pooled and page:
            self._note_page(page)
        pooled = pooled and not page
        origin = _origin(configured, request, host, pooled=pooled)
        return Intercepted(configured, protocol, operation, own, pooled, origin, page, client)

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

    def call(self, flow: http.HTTPFlow) -> tuple[WireProtocol, Operation] | None:
        """As which call a flow was recognised. None: it is none."""
        found = self._flows.get(flow)
        return (found.protocol, found.operation) if found and found.protocol and found.operation else None

    def error_response(self, flow: http.HTTPFlow) -> http.Response | None:
        """The error response to a head that may not be forwarded; None: it may."""
        if self._is_unchanged(flow):
            return None
        if not ascii_host(flow.request):
            self.strip(flow)
            return error_response(None, Fault(400, "invalid_request", _BAD_HOST, should_retry=False))
        intercepted = self._flows.get(flow)
        if intercepted is None:
            return None
        assert self._settings is not None
        accepted = _Accepted(self._settings, intercepted, _head_of(flow.request))
        if fault := self._fault(flow.request, intercepted):
            return error_response(intercepted, fault)
        self._accepted[flow] = accepted
        return None

    def _fault(self, request: http.Request, intercepted: Intercepted) -> Fault | None:
        """What is wrong with a head; None: nothing."""
        values, good = _values(request, intercepted.own), not _names_two_hosts(request)
        if not good or not is_method(request.method) or not is_origin_form(request.data.path):
            return Fault(400, "invalid_request", _BAD_TARGET, should_retry=False)
        if not is_field_value(values):
            return Fault(400, "invalid_request", _BAD_FIELD, should_retry=False)
        if intercepted.page and intercepted.operation and intercepted.own is None and self._has_pool():
            message = _PAGE.format(page=intercepted.page[:_LONGEST_ORIGIN])
            return Fault(403, "forbidden", message, should_retry=False)
        return None

    def _has_pool(self) -> bool:
        """Of any provider: a route may lead there."""
        assert self._settings is not None
        return any(one.credentials for one in self._settings.providers)

    def is_provider(self, host: str, port: int) -> bool:
        return self._configured(host, port) is not None

    def _take_out(self, flow: http.HTTPFlow, provider: str) -> ClientCredential | None:
        """The client's credential; in the flow stays none, nor one for the proxy."""
        headers, path = headers_of(flow.request), flow.request.path
        end_to_end = without_hops(headers)
        kept, target, own = carriers.take_out(headers, path)
        if len(end_to_end) != len(headers):
            own = carriers.take_out(end_to_end, path)[2]
        set_headers(flow.request, tuple([pair for pair in kept if pair[0].lower() != _FOR_PROXIES]))
        flow.request.path = target
        _forget_backup(flow)
        if own is None:
            return self._remembered.get((provider, str(record_of(flow).get("client_credential"))))
        self._remember(provider, own)
        self._redactor.learn(key_shaped(own.secrets))
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
        method, path = request.method, request.path.partition("?")[0]
        is_short = len(method) + len(path) <= _LONGEST_ORIGIN
        return (self._known_match if is_short else self._found_match)(provider.protocols, method, path)

    def _found_match(
        self, names: tuple[str, ...], method: str, path: str
    ) -> tuple[WireProtocol | None, Operation | None]:
        spoken = self._protocols(names)
        for protocol in spoken:
            if operation := protocol.match(method, path):
                return protocol, operation
        return next(iter(spoken), None), None

    def _protocols(self, names: tuple[str, ...]) -> tuple[WireProtocol, ...]:
        """Those of the registry, looked up once."""
        if names not in self._spoken:
            self._spoken[names] = tuple(self._registry[name] for name in names if name in self._registry)
        return self._spoken[names]

    def _is_pooled(
        self,
        configured: Configured,
        own: ClientCredential | None,
        target: str,
        client: str,
        *,
        passed: bool,
    ) -> bool:
        """Whether a credential of the pool takes the place of the client's."""
        provider, path = configured.provider, target.partition("?")[0]
        if not configured.credentials or _is_own_affair(provider, path, passed=passed):
            return False
        if passed and configured.signs:
            return False
        if own is None:
            return not passed
        if self._knows_tools and not configured.serves(client):
            return False
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
        own, client = intercepted.own, intercepted.client
        pooled = self._is_pooled(intercepted.configured, own, path, client, passed=False)
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


def error_response(intercepted: Intercepted | None, fault: Fault) -> http.Response:
    """A fault in the client's protocol, where that is known."""
    if intercepted is None or intercepted.protocol is None:
        return http.Response.make(fault.status, fault.message, {"content-type": "text/plain"})
    return response_of(intercepted.protocol.error(fault))


def _is_own_affair(provider: Provider, path: str, *, passed: bool) -> bool:
    """Whether a path keeps the client's own credential. A passed-through one also does if it could be read as
    another path; a call's does only if it could be read as one of those that do."""
    if is_normal(path) is not passed:
        return passed
    prefix = provider.origin.prefix if provider.origin else ""
    return fits(path, provider.own_credential_paths, prefix)


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
    if not request.authority:
        return False
    return parse_authority(request.authority, check=False)[0].lower() != request.pretty_host.lower()


def _values(request: http.Request, own: ClientCredential | None) -> bytes:
    """Of all headers that a client sent: joined, they have a break if one of them has."""
    carried = [one.value.get_secret_value() for one in (own.carried if own else ())]
    sent = " ".join(carried).encode("utf-8", "surrogateescape")
    return b" ".join([sent, *[value for _, value in request.headers.fields]])


def _head_of(request: http.Request) -> tuple[object, ...]:
    """All of a head. Its headers are a tuple of tuples of bytes."""
    data = request.data
    where = data.scheme, data.host, data.port, data.authority, data.path
    return data.http_version, data.method, *where, data.headers.fields


def page_of(request: http.Request) -> str:
    """The origin of the web page that asks, empty where none does. A page of the same host is its provider's
    own, and some libraries send such an origin with no page.

    Browsers say so themselves: `Origin`, which no page can change, and `Sec-Fetch-Site` where the former is
    missing (a GET without CORS). Neither is sent by an SDK.
    """
    headers = request.headers
    if _FROM_PAGES.isdisjoint([name.lower() for name, _ in headers.fields]):
        return ""
    origin = headers.get("origin", "")
    if origin:
        return "" if _authority_of(origin) == (request.pretty_host.lower(), request.port) else origin
    site = headers.get("sec-fetch-site", "").lower()
    return UNNAMED if site in {"cross-site", "same-site"} else ""


def _authority_of(origin: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(origin)
        return (parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])
    except (ValueError, KeyError):
        return None


def _knowing(providers: Sequence[Configured]) -> Callable[[str, int], Configured | None]:
    """Finds the provider of a host and a port, those of the last ones without a look at all providers."""
    return lru_cache(LONGEST_MEMORY)(partial(_serving, providers))


def _name_of(clients: Sequence[ClientFacts], program: str) -> str:
    return facts_for(clients, program).name


def _serving(providers: Sequence[Configured], host: str, port: int) -> Configured | None:
    return next((one for one in providers if serves(one.provider, host, port)), None)


def ascii_host(request: http.Request) -> str:
    """The host that a request names, as DNS knows it; empty if it is no host name and no address."""
    authority = _authority(request)
    if not authority:
        return _as_dns_has_it(request.host)
    return (_known_host if len(authority) <= _LONGEST_ORIGIN else _host_in)(authority)


def _authority(request: http.Request) -> str | None:
    """As `request.host_header`, in a fraction of the time for HTTP/1."""
    if request.is_http2 or request.is_http3:
        return request.host_header
    return b", ".join(values_of(request.headers, b"host")).decode("utf-8", "surrogateescape")


def _host_in(authority: str) -> str:
    return _as_dns_has_it(parse_authority(authority, check=False)[0])


_known_host = lru_cache(LONGEST_MEMORY)(_host_in)


def _as_dns_has_it(name: str) -> str:
    try:
        host = name.encode("idna").decode()
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
