"""How a call leaves for a target: its own bytes, or what takes their place; and one credential on it."""

from collections.abc import Container
from dataclasses import replace

from pydantic import SecretStr

from addons.call.recognition import Intercepted
from addons.credentials import carriers
from addons.credentials.carriers import ClientCredential
from addons.credentials.pool import Lease, Pool
from addons.mitm.messages import bytes_of, replaced, without_hops
from addons.oauth.source import TokenSource
from protocols.model.call import Rendered
from protocols.model.http import Headers, Origin, UpstreamRequest, WireRequest
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Carrier, Provider
from rewrite.oauth.headers import with_needed
from rewrite.oauth.projects import with_project
from rewrite.targets.target import FRAMING, Target

OWN = "client"
"""The name under which a client's own credential stands in the records."""

_NO_SECRET = SecretStr("")


def outgoing(
    request: WireRequest,
    target: Target,
    intercepted: Intercepted,
    lease: Lease,
    instead: Rendered | None = None,
) -> UpstreamRequest:
    """The `request` of the client as it goes to one target with the credential of `lease`.

    `instead`: what the target is asked in place of what was planned.
    """
    rendered = instead or target.rendered
    if lease.project:
        sent = outgoing(request, target, intercepted, replace(lease, project=""), instead)
        return replace(sent, body=with_project(sent.body, lease.project))
    if rendered is None:
        return unchanged(request, target.origin, intercepted, lease)
    own = without_hops(request.headers)
    if target.keeps_headers:
        headers, path = written(intercepted, lease, own, rendered.path)
        kept = tuple(pair for pair in headers if pair[0].lower() not in FRAMING)
        host = ("host", target.origin.authority)
        return _request(target, replace(rendered, path=path), request.method, (host, *kept))
    signed = _signed(target.headers(own), target, lease, intercepted)
    return _request(target, rendered, request.method, signed)


def unchanged(
    request: WireRequest, origin: Origin, intercepted: Intercepted, lease: Lease
) -> UpstreamRequest:
    """The request as it goes to `origin` in its own bytes, with the credential of `lease`."""
    headers, path = written(intercepted, lease, without_hops(request.headers), request.target)
    kept = replaced(headers, "host", origin.authority)
    return UpstreamRequest(origin, request.method, origin.under(bytes_of(path)), kept, request.body)


def _signed(headers: Headers, target: Target, lease: Lease, intercepted: Intercepted) -> Headers:
    """A client's own credential keeps its form, since a login's token is taken in no other."""
    if target.route.original and not lease.pooled and intercepted.own:
        back = carriers.put_back(headers, "", intercepted.own)[0]
        if back != headers:
            return back
    if not lease.secret.get_secret_value():
        return headers
    if lease.source is not None:
        return _with_token(headers, "", lease, lease.source, None)[0]
    auth = target.provider.auth
    return carriers.write(headers, "", lease.secret, auth=auth, accepts=(), like=None)[0]


def _with_token(
    headers: Headers, target: str, lease: Lease, source: TokenSource, like: ClientCredential | None
) -> tuple[Headers, str]:
    """The token of a login is a bearer's whatever keys are, and its provider asks for more beside it."""
    headers, target = carriers.write(
        headers, target, lease.secret, auth=Carrier.BEARER, accepts=(), like=like
    )
    return with_needed(headers, source.login.kind, lease.account), target


def _request(to: Target, rendered: Rendered, method: str, headers: Headers) -> UpstreamRequest:
    path = to.origin.under(bytes_of(rendered.path))
    body = dump(rendered.body) if rendered.body else b""
    return UpstreamRequest(to.origin, method, path, headers, body)


def own_lease(intercepted: Intercepted) -> Lease:
    """The client's own credential, which is not the pool's to settle."""
    own = intercepted.own
    return Lease(OWN, own.secret if own else _NO_SECRET, pooled=False)


def account_lease(pool: Pool, intercepted: Intercepted) -> Lease:
    """The credential of what belongs to an account and so passes through: always the same one."""
    provider, client = intercepted.provider.name, intercepted.client
    lease = pool.account(provider, client) if intercepted.pooled else None
    return lease or own_lease(intercepted)


def written(intercepted: Intercepted, lease: Lease, headers: Headers, target: str) -> tuple[Headers, str]:
    """`headers` (without hops) and `target` of a client with the credential of `lease` on them.

    Beside a key of the pool nothing names an account of the client's.
    """
    headers, target, _ = carriers.take_out(headers, target)
    provider, own = intercepted.provider, intercepted.own
    if not lease.pooled:
        return carriers.put_back(headers, target, own) if own else (headers, target)
    if lease.source is not None:
        headers, target = _with_token(headers, target, lease, lease.source, own)
        return _without_account(headers, provider, lease.source.login.kind.headers), target
    headers, target = carriers.write(
        headers, target, lease.secret, auth=provider.auth, accepts=provider.accepts, like=own
    )
    return _without_account(headers, provider), target


def _without_account(headers: Headers, provider: Provider, besides: Container[str] = ()) -> Headers:
    """`besides`: those that name the account of the credential."""
    theirs = [name for name in provider.account_headers if name not in besides]
    return tuple([pair for pair in headers if pair[0].lower() not in theirs])
