"""How a call leaves for a target: its own bytes, or what takes their place; and one credential on it, which
is asked for, waited for and given back here."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b

from pydantic import SecretStr

from addons.call.recognition import Intercepted
from addons.call.work import Work
from addons.credentials import carriers
from addons.credentials.asking import Asking
from addons.credentials.carriers import ClientCredential
from addons.credentials.lease import NO_LEASE, Lease
from addons.credentials.pool import Pool
from addons.credentials.queue import Leave
from addons.mitm.messages import bytes_of, replaced, without_hops
from addons.oauth.source import TokenSource
from addons.secrets.redaction import Blackout
from protocols.model.call import Rendered
from protocols.model.http import Head, Headers, Origin, UpstreamRequest, WireRequest
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Carrier, Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.hooks.base import Unsigned
from rewrite.hooks.calling import CallHooks, HookFailed
from rewrite.oauth.headers import with_needed
from rewrite.oauth.projects import with_project
from rewrite.targets.target import FRAMING, Target
from rewrite.values.events import Acquire, Acquired, AwaitCredential, Event, NoneFree, OpenUpstream

OWN = "client"
"""The name under which a client's own credential stands in the records."""

_NO_SECRET = SecretStr("")


def outgoing(
    request: WireRequest,
    target: Target,
    intercepted: Intercepted,
    lease: Lease,
    wanted: OpenUpstream | None = None,
) -> UpstreamRequest:
    """The `request` of the client as it goes to one target with the credential of `lease`.

    `wanted`: of the attempt that it is for. None: what was planned. Raises HookFailed where code of the
    provider's that signs does not work.
    """
    instead = wanted.rendered if wanted else None
    sent = _written(request, target, intercepted, lease, instead or target.rendered)
    if wanted is not None and wanted.fields is not None:
        sent = replace(sent, headers=wanted.fields.headers(sent.headers))
    if lease.project:
        sent = replace(sent, body=with_project(sent.body, lease.project))
    return signed(sent, target, lease) if target.hooks else sent


def _written(
    request: WireRequest, target: Target, intercepted: Intercepted, lease: Lease, rendered: Rendered | None
) -> UpstreamRequest:
    """With the key where the provider takes one."""
    if rendered is None:
        return unchanged(request, target.origin, intercepted, lease)
    own = without_hops(request.headers)
    if target.keeps_headers:
        headers, path = written(intercepted, lease, own, rendered.path)
        given = {name.lower() for name, _ in rendered.headers} | FRAMING
        kept = tuple(pair for pair in headers if pair[0].lower() not in given)
        host = ("host", target.origin.authority)
        sent = (host, *kept, *rendered.headers)
        return _request(target, replace(rendered, path=path), request.method, sent)
    headers = _with_own_or_key(target.headers(own), target, lease, intercepted)
    return _request(target, rendered, request.method, headers)


def signed(request: UpstreamRequest, target: Target, lease: Lease) -> UpstreamRequest:
    """`request` with the credential of `lease` as the provider's own code writes it, if it has any that does.
    Raises HookFailed."""
    if target.hooks is None or not (lease.pooled and target.hooks.registered.signs):
        return request
    path = request.target.decode()
    plain, path, _ = carriers.take_out(request.headers, path)
    origin = request.origin
    url = f"{origin.scheme}://{origin.authority}{path}"
    unsigned = Unsigned(request.method, url, plain, request.body)
    headers = _headers_of(target.hooks, unsigned, lease.secret)
    if headers is None:
        return request
    added = frozenset(name.lower() for name, _ in set(headers) - set(plain))
    return replace(request, headers=headers, target=bytes_of(path), unrecorded=added)


def _headers_of(hooks: CallHooks, unsigned: Unsigned, secret: SecretStr) -> Headers | None:
    """As `CallHooks.signed`. Why a request cannot be signed is for its client too, without the key."""
    try:
        return hooks.signed(unsigned, secret.get_secret_value())
    except HookFailed as error:
        raise HookFailed(Blackout([secret]).text(str(error))) from None


def unchanged(
    request: WireRequest, origin: Origin, intercepted: Intercepted, lease: Lease
) -> UpstreamRequest:
    """The request as it goes to `origin` in its own bytes, with the credential of `lease`."""
    headers, path = written(intercepted, lease, without_hops(request.headers), request.target)
    kept = replaced(headers, "host", origin.authority)
    return UpstreamRequest(origin, request.method, origin.under(bytes_of(path)), kept, request.body)


def _with_own_or_key(headers: Headers, target: Target, lease: Lease, intercepted: Intercepted) -> Headers:
    """A client's own credential keeps its form, since a login's token is taken in no other."""
    if target.route.original and not lease.pooled and intercepted.own:
        back = carriers.put_back(headers, "", intercepted.own)[0]
        if back != headers:
            return back
    if not lease.secret.get_secret_value():
        return headers
    return with_key(headers, target.provider, lease)


def with_key(headers: Headers, provider: Provider, lease: Lease) -> Headers:
    """`headers` with the credential of `lease` as `provider` takes it."""
    if lease.source is not None:
        return _with_token(headers, "", lease, lease.source, None)[0]
    return carriers.write(headers, "", lease.secret, auth=provider.auth, accepts=(), like=None)[0]


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


def identity_of(lease: Lease, intercepted: Intercepted) -> str | None:
    """What distinguishes the credential of `lease` from all others, whatever their names. A login is the same
    whatever its token. None: there is none."""
    if lease.source is not None:
        return f"login {lease.source.login.kind.name} {lease.source.login.file}"
    if lease.pooled:
        return f"key {blake2b(lease.secret.get_secret_value().encode(), digest_size=16).hexdigest()}"
    own = intercepted.own if lease.name == OWN else None
    return f"client {own.fingerprint}" if own else None


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
    theirs = provider.account_headers
    if lease.source is not None:
        headers, target = _with_token(headers, target, lease, lease.source, own)
        kept = lease.source.login.kind.headers
        return tuple([p for p in headers if p[0].lower() in kept or p[0].lower() not in theirs]), target
    headers, target = carriers.write(
        headers, target, lease.secret, auth=provider.auth, accepts=provider.accepts, like=own
    )
    return tuple([pair for pair in headers if pair[0].lower() not in theirs]), target


@dataclass(slots=True)
class Leases:
    """The credentials of one call."""

    work: Work
    """The call."""
    held: dict[int, tuple[Target, Lease]] = field(default_factory=dict)
    """By the number of the attempt, what is asked with it."""
    leave: Leave | None = None
    """Makes the call wait no more. None: it never waited."""
    asked: tuple[Target, str] | None = None
    """The target and the name of the credential of the last attempt. None: there was none."""
    _none: Unavailable | None = None
    _ticket: int = 0

    def acquire(self, asked: Acquire, put: Callable[[Event], None]) -> None:
        """`put` gets the credential of an attempt, or why there is none; later where other proxies are asked
        for it, unless the call leaves before."""
        target = self.work.record.targets[asked.target]
        found = self._lease(target, asked)
        if isinstance(found, Asking):
            self._ticket = self._ticket or self.work.pool.queues.ticket()  # those that come later are behind
            self.leave = found.leave
            found.then(partial(self._found, put, target, asked.attempt))
        else:
            self._found(put, target, asked.attempt, found)

    def _acquired(self, target: Target, attempt: int, lease: Lease) -> Acquired:
        self.held[attempt] = target, lease
        self.asked = target, lease.name
        known = None if target.fields is None else identity_of(lease, self.work.intercepted)
        return Acquired(attempt, lease.name, lease.former, lease.asked_last, lease.reason, known)

    def _lease(self, target: Target, asked: Acquire) -> Lease | Unavailable | Asking[Lease]:
        if target.terms.pooled:
            fallback = target.index + 1 < len(self.work.record.targets)
            pool, asker = self.work.pool, self.work.asker
            return pool.acquire(target.provider.name, target.call, asked, asker, fallback=fallback)
        return own_lease(self.work.intercepted) if target.route.original else NO_LEASE

    def stand_in_line(self, wanted: AwaitCredential, put: Callable[[Event], None]) -> Unavailable:
        """Wait for a credential; at once answered where too many wait already. Returns why none is free.

        `put` gets the answer, unless the call leaves the line before.
        """
        target, none, pool = self.work.record.targets[wanted.asked.target], self._none, self.work.pool
        assert none is not None
        self._ticket = self._ticket or pool.queues.ticket()
        answer, asker = partial(self._found, put, target, wanted.attempt), self.work.asker
        provider = target.provider.name
        self.leave = pool.wait(provider, target.call, wanted, asker, self._ticket, answer)
        if self.leave is None:
            answer(replace(none, final=True, keys=(*none.keys, "as many calls as may wait already")))
        return none

    def _found(
        self, put: Callable[[Event], None], target: Target, attempt: int, found: Lease | Unavailable
    ) -> None:
        if isinstance(found, Lease):
            put(self._acquired(target, attempt, found))
        else:
            put(self._none_free(attempt, found))

    def _none_free(self, attempt: int, none: Unavailable) -> NoneFree:
        self._none = none
        return NoneFree(
            attempt, none.wait, none.paused, none.refused, none.keys, none.full, none.own, none.final
        )

    def leave_line(self) -> None:
        """Wait no more, for good: who gets the answers is let go of."""
        if self.leave is not None:
            self.leave()
            self.leave = None

    def answered(self, attempt: int, head: Head) -> None:
        """An answer begins, which says what is left of limits, or lets the next one in line in."""
        target, lease = self.held[attempt]
        provider, pool = target.provider.name, self.work.pool
        if lease.pooled:
            pool.learn(provider, lease, target.call, head.headers)
        if lease.ticket and head.status < 300:
            pool.queues.answered(provider, lease.ticket)
