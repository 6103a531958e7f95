"""How a call leaves for a target: its own bytes, or what takes their place; and one credential on it."""

from dataclasses import replace

from mitmproxy import http
from pydantic import SecretStr

from addons.call.planning import Planned
from addons.call.recognition import Intercepted
from addons.credentials import carriers
from addons.credentials.pool import Lease
from addons.mitm.messages import bytes_of, headers_of, wire_request, without_hops
from protocols.model.call import Rendered
from protocols.model.http import Headers, UpstreamRequest
from protocols.model.wirejson import dump

ACROSS_PROVIDERS = frozenset({"accept", "user-agent"})
"""Headers of a client that another provider than the one it called may see, besides the content's type."""

OWN = "client"
"""The name under which a client's own credential stands in the records."""

_NO_SECRET = SecretStr("")
_FRAMING = frozenset({"content-length", "content-encoding", "host", "transfer-encoding"})


def outgoing(
    request: http.Request,
    planned: Planned,
    intercepted: Intercepted,
    lease: Lease,
    instead: Rendered | None = None,
) -> UpstreamRequest:
    """The request as it goes to one target with the credential of `lease`; `request` stays as it is.

    `instead`: what the target is asked in place of what was planned.
    """
    rendered = instead or planned.leg.rendered
    own = without_hops(headers_of(request))
    if rendered is None:
        headers, target = written(intercepted, lease, own, request.path)
        return wire_request(request, planned.origin, headers, target)
    if planned.route.meant and planned.leg.translation is None:
        headers, path = written(intercepted, lease, own, rendered.path)
        kept = tuple(pair for pair in headers if pair[0].lower() not in _FRAMING)
        return _request(planned, replace(rendered, path=path), request.method, (_host(planned), *kept))
    headers = across(own, planned)
    signed = _signed(headers, planned, lease, intercepted)
    return _request(planned, rendered, request.method, signed)


def across(headers: Headers, planned: Planned) -> Headers:
    """The head of a request that is another provider's, or in another protocol: nothing but an allow-list."""
    rendered = planned.leg.rendered
    own = rendered.headers if rendered else ()
    translator = planned.leg.protocol.translator
    allowed = ACROSS_PROVIDERS | (translator.abilities.headers if translator else frozenset())
    kept = tuple((name, value) for name, value in headers if name.lower() in _allowed(allowed, own))
    return (_host(planned), *kept, *own, ("content-type", "application/json"))


def dropped(headers: Headers, planned: Planned) -> list[str]:
    """The names of the client's headers that this target does not get, for the record."""
    if planned.leg.rendered is None or (planned.route.meant and planned.leg.translation is None):
        accounts = planned.route.provider.account_headers if planned.pooled else ()
        return sorted({name.lower() for name, _ in headers} & set(accounts))
    sent = {name.lower() for name, _ in across(headers, planned)} | _FRAMING
    return sorted({name.lower() for name, _ in headers} - sent)


def _allowed(allowed: frozenset[str], own: Headers) -> frozenset[str]:
    return allowed - {name.lower() for name, _ in own}


def _host(planned: Planned) -> tuple[str, str]:
    return "host", planned.origin.authority


def _signed(headers: Headers, planned: Planned, lease: Lease, intercepted: Intercepted) -> Headers:
    """A client's own credential keeps its form, since a login's token is taken in no other."""
    if planned.route.meant and not lease.pooled and intercepted.own:
        back = carriers.put_back(headers, "", intercepted.own)[0]
        if back != headers:
            return back
    if not lease.secret.get_secret_value():
        return headers
    auth = planned.route.provider.auth
    return carriers.write(headers, "", lease.secret, auth=auth, accepts=(), like=None)[0]


def _request(planned: Planned, rendered: Rendered, method: str, headers: Headers) -> UpstreamRequest:
    target = planned.origin.under(bytes_of(rendered.path))
    body = dump(rendered.body) if rendered.body else b""
    return UpstreamRequest(planned.origin, method, target, headers, body)


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
